/* Models in several files: the same model as in one, and what is said where the parts do not belong together. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/model.h"
#include "tiny_model.h"

#include <unistd.h>

static char folder[] = "/tmp/ponder-split-XXXXXX";
static char whole[128];

static const struct tiny_spec spec = {"split", "llama", TENSOR_Q8_0, 2, 64, 96, 4, 2, 16, 16, 300, 512, false, false, SCALING_FACTORS};

enum { PARTS = 3 };

/* What part `no` says of itself and holds; names and numbers are the right ones but for what a test changes. */
struct part {
    int no, count, total; /* total < 0: not said */
    size_t from, to;      /* tensors of the whole model */
    bool metadata;
};

static void name_part(char path[192], int no, int count)
{
    snprintf(path, 192, "%s/tiny-%05d-of-%05d.gguf", folder, no + 1, count);
}

static void save_part(const struct tiny_model *m, const struct gguf *all, const struct part *p, const char *path)
{
    struct gguf_writer w;

    gw_init(&w);
    if (p->metadata) {
        gw_put(&w.kv, m->w.kv.p, m->w.kv.n);
        w.n_kv = m->w.n_kv;
    }
    gw_u32(&w, "split.no", (uint32_t)p->no);
    gw_u32(&w, "split.count", (uint32_t)p->count);
    if (p->total >= 0) gw_u32(&w, "split.tensors.count", (uint32_t)p->total);
    for (size_t i = p->from; i < p->to; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(all, i);
        char name[65];
        snprintf(name, sizeof name, "%.*s", (int)t->name.n, t->name.p);
        gw_tensor(&w, name, t->n_dims, t->dims, t->type, t->data, t->bytes);
    }
    assert_int_equal(gw_save(&w, path, SIZE_MAX), 0);
    gw_release(&w);
}

struct fixture {
    struct tiny_model m;
    struct gguf *all;
    struct part parts[PARTS];
};

static void begin(struct fixture *f)
{
    tiny_init(&f->m, &spec);
    assert_int_equal(gw_save(&f->m.w, whole, SIZE_MAX), 0);
    assert_int_equal(gguf_open(&f->all, whole, NULL), 0);
    size_t n = gguf_tensor_count(f->all), cuts[PARTS + 1] = {0, 3, n / 2, n};
    for (int i = 0; i < PARTS; i++) f->parts[i] = (struct part){i, PARTS, (int)n, cuts[i], cuts[i + 1], i == 0};
}

static void save(const struct fixture *f)
{
    for (int i = 0; i < PARTS; i++) {
        char path[192];
        name_part(path, i, PARTS);
        save_part(&f->m, f->all, &f->parts[i], path);
    }
}

static void end(struct fixture *f)
{
    for (int i = 0; i < PARTS; i++) {
        char path[192];
        name_part(path, i, PARTS);
        unlink(path);
    }
    gguf_close(f->all);
    tiny_release(&f->m);
}

static void assert_refused(const char *path, const char *why)
{
    struct engine *engine;
    struct err e = {0};
    int rc = engine_open(&engine, path, &e);

    if (rc != ERR_FILE || engine || !strstr(e.text, why)) fail_msg("wanted \"%s\", got %d: %s", why, rc, e.text);
}

static void logits_of(const char *path, float out[300], struct model_info *info)
{
    struct engine *engine;
    struct session *s;
    struct err e = {0};
    const int32_t ids[] = {5, 17, 250, 31, 5};

    if (engine_open(&engine, path, &e)) fail_msg("%s", e.text);
    assert_int_equal(session_new(&s, engine, 64, 1, KV_F16, &e), 0);
    assert_int_equal(session_sync(s, ids, 5, NULL, NULL, NULL, &e), 0);
    memcpy(out, session_logits(s), 300 * sizeof(float));
    *info = *engine_info(engine);
    info->path = NULL;
    session_free(s);
    engine_free(engine);
}

static void parts_are_the_whole_model(void **state)
{
    (void)state;
    struct fixture f;
    struct model_info one, many;
    float want[300], got[300];
    char path[192];
    uint64_t bytes = 0;

    begin(&f);
    save(&f);
    name_part(path, 0, PARTS);
    logits_of(whole, want, &one);
    logits_of(path, got, &many);
    assert_memory_equal(got, want, sizeof want);
    assert_string_equal(many.name, "tiny");
    assert_int_equal(many.n_params, one.n_params);
    for (int i = 0; i < PARTS; i++) {
        struct gguf *g;
        name_part(path, i, PARTS);
        assert_int_equal(gguf_open(&g, path, NULL), 0);
        bytes += gguf_file_bytes(g);
        gguf_close(g);
    }
    assert_int_equal(many.file_bytes, bytes);
    end(&f);
}

static void parts_that_do_not_belong_together_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    char first[192], path[192];

    begin(&f);
    name_part(first, 0, PARTS);
    save(&f);
    name_part(path, 1, PARTS);
    assert_refused(path, "tiny-00001-of-00003.gguf");
    name_part(path, 2, PARTS);
    assert_int_equal(truncate(path, 100), 0);
    assert_refused(first, "tiny-00003-of-00003.gguf");
    unlink(path);
    assert_refused(first, "tiny-00003-of-00003.gguf: cannot be opened");

    f.parts[2].no = 1;
    save(&f);
    assert_refused(first, "is not part 3 of 3");
    f.parts[2].no = 2;
    f.parts[2].count = 4;
    save(&f);
    assert_refused(first, "is not part 3 of 3");
    f.parts[2].count = PARTS;
    f.parts[2].from--;
    save(&f);
    assert_refused(first, "twice");
    f.parts[2].from += 2;
    save(&f);
    assert_refused(first, "tensors and should have");
    f.parts[0].total = -1;
    save(&f);
    assert_refused(first, "is missing");
    end(&f);
}

static void a_first_part_must_say_what_it_is(void **state)
{
    (void)state;
    struct fixture f;
    char first[192];

    begin(&f);
    name_part(first, 0, PARTS);
    /* whose name is not a part's */
    char odd[192];
    snprintf(odd, sizeof odd, "%s/odd.gguf", folder);
    save_part(&f.m, f.all, &f.parts[0], odd);
    assert_refused(odd, "its name does not say so");
    unlink(odd);
    f.parts[0].no = 3;
    save(&f);
    assert_refused(first, "split.no");
    f.parts[0].no = 0;
    f.parts[0].count = 1001;
    save(&f);
    assert_refused(first, "split.count is 1001");
    end(&f);
}

static void names_of_parts(void **state)
{
    (void)state;
    static const char *const no[] = {
        "model", "-00001-of-00003", "m-0001-of-00003", "m-00001-of-0000x", "m_00001-of-00003", "m-00001-fo-00003", ""};

    assert_int_equal(gguf_part_suffix("m-00001-of-00003", 16), 15);
    for (size_t i = 0; i < ARRAY_LEN(no); i++) assert_int_equal(gguf_part_suffix(no[i], strlen(no[i])), 0);
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(whole, sizeof(whole), "%s/whole.gguf", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    remove(whole);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_the_whole_model),
        cmocka_unit_test(parts_that_do_not_belong_together_are_refused),
        cmocka_unit_test(a_first_part_must_say_what_it_is),
        cmocka_unit_test(names_of_parts),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
