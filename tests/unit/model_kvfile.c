/* Files of a session's K/V: the same bits come back, only where they belong, and no damage passes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/model.h"
#include "tiny_model.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE 64
#define N 150

static const struct tiny_spec plain = {"llama q8", "llama", TENSOR_Q8_0, 2, 96, 1056, 6, 2, 16, 16, 300, 2048, false, false, SCALING_NONE};
static const struct tiny_spec floats = {"qwen3 f32", "qwen3", TENSOR_F32, 2, 64, 96, 4, 2, 32, 32, 300, 2048, true, false, SCALING_NONE};
static const struct tiny_spec longer = {"phi3 f32", "phi3", TENSOR_F32, 2, 64, 160, 4, 2, 16, 12, 300, 2048, true, false, SCALING_LONG};

static enum kv_type cells;

static char folder[] = "/tmp/ponder-kvfile-XXXXXX";
static char model[128], adapter[128], path[2][128];
static int32_t ids[N + 50];

static struct engine *open_engine(const struct tiny_spec *spec)
{
    struct tiny_model m;
    struct engine *engine;
    struct err e = {0};

    tiny_init(&m, spec);
    assert_int_equal(gw_save(&m.w, model, SIZE_MAX), 0);
    tiny_release(&m);
    if (engine_open(&engine, model, &e)) fail_msg("%s", e.text);
    return engine;
}

static struct session *new_session(const struct engine *m, int n_ctx, int n_threads)
{
    struct session *s;
    struct err e = {0};

    if (session_new(&s, m, n_ctx, n_threads, cells, &e)) fail_msg("%s", e.text);
    return s;
}

static struct kv_key key_of(const struct session *s, size_t n)
{
    struct kv_key key;
    assert_int_equal(kv_key_start(&key, s, NULL), 0);
    for (size_t at = 0; at < n; at += PIECE) assert_int_equal(kv_key_add(&key, ids + at, PIECE, NULL), 0);
    return key;
}

/* Evaluates n of ids and writes them in two pieces. */
static void save(struct session *s, size_t n)
{
    struct err e = {0};
    assert_int_equal(session_prepare(s, ids, n, NULL, NULL, &e), 0);
    struct kv_key start = key_of(s, 0), second = key_of(s, PIECE);
    if (session_save(s, &start, 0, PIECE, path[0], &e)) fail_msg("%s", e.text);
    if (session_save(s, &second, PIECE, n - PIECE, path[1], &e)) fail_msg("%s", e.text);
}

static int load(struct session *s, int piece, const int32_t *want, size_t n)
{
    struct kv_key key = key_of(s, piece ? PIECE : 0);
    return session_load(s, &key, piece ? PIECE : 0, want, n, path[piece], NULL);
}

static size_t length(struct session *s)
{
    size_t n;
    session_tokens(s, &n);
    return n;
}

/* The logits of ids, and of tokens generated behind them, are those of a session that evaluated everything. */
static void assert_like_fresh(struct session *s, const struct engine *m, const int32_t *want, size_t n, size_t want_reused)
{
    struct session *fresh = new_session(m, 1024, 1);
    size_t bytes = (size_t)engine_info(m)->n_vocab * sizeof(float), reused = 0;

    assert_int_equal(session_sync(fresh, want, n, NULL, NULL, NULL, NULL), 0);
    assert_int_equal(session_sync(s, want, n, NULL, NULL, &reused, NULL), 0);
    assert_int_equal(reused, want_reused);
    assert_memory_equal(session_logits(s), session_logits(fresh), bytes);
    for (int32_t id = 5; id < 12; id++) {
        assert_int_equal(session_decode(fresh, &id, 1, NULL), 0);
        assert_int_equal(session_decode(s, &id, 1, NULL), 0);
        assert_memory_equal(session_logits(s), session_logits(fresh), bytes);
    }
    session_free(fresh);
}

static void the_same_bits_come_back(void **state)
{
    (void)state;
    const struct tiny_spec *specs[] = {&plain, &floats};
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        struct engine *m = open_engine(specs[i]);
        struct session *s = new_session(m, 512, 2), *other = new_session(m, 300, 1);
        struct stat st;
        save(s, N);
        assert_int_equal(stat(path[1], &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(st.st_size, session_file_bytes(s, N - PIECE));
        assert_int_equal(load(other, 0, ids, N + 50), 0);
        assert_int_equal(length(other), PIECE);
        assert_int_equal(load(other, 1, ids, N + 50), 0);
        assert_int_equal(length(other), N);
        assert_int_equal(session_shared(other, ids, N + 50), N);
        assert_like_fresh(other, m, ids, N + 50, N);
        session_free(s);
        session_free(other);
        engine_free(m);
    }
}

/* Cells of 8 bits come back too, in less of a file, and never as those of 16. */
static void cells_of_8_bits(void **state)
{
    (void)state;
    struct engine *m = open_engine(&floats);
    struct session *f16 = new_session(m, 512, 1);
    cells = KV_Q8_0;
    struct session *s = new_session(m, 512, 2), *other = new_session(m, 300, 1);
    save(s, N);
    assert_true(session_file_bytes(s, N) < session_file_bytes(f16, N));
    assert_int_not_equal(load(f16, 0, ids, N + 50), 0);
    assert_int_equal(length(f16), 0);
    assert_int_equal(load(other, 0, ids, N + 50), 0);
    assert_int_equal(load(other, 1, ids, N + 50), 0);
    assert_like_fresh(other, m, ids, N + 50, N);
    cells = KV_F16;
    session_free(f16);
    session_free(s);
    session_free(other);
    engine_free(m);
}

static void as_much_as_the_texts_share(void **state)
{
    (void)state;
    struct engine *m = open_engine(&plain);
    struct session *s = new_session(m, 512, 2), *other = new_session(m, 512, 2);
    int32_t branch[N];
    save(s, N);
    memcpy(branch, ids, sizeof branch);
    branch[PIECE + 40] = (branch[PIECE + 40] + 1) % 300;
    /* what is evaluated already lies in the middle of the first piece */
    assert_int_equal(session_prepare(other, branch, 37, NULL, NULL, NULL), 0);
    assert_int_equal(load(other, 0, branch, N), 0);
    assert_int_equal(load(other, 1, branch, N), 0);
    assert_int_equal(length(other), PIECE + 40);
    assert_like_fresh(other, m, branch, N, PIECE + 40);
    /* nothing to gain: nothing changes; a shorter text takes no more than it has */
    session_truncate(other, N);
    assert_int_equal(load(other, 0, branch, N), 0);
    assert_int_equal(length(other), N);
    session_truncate(other, 0);
    assert_int_equal(load(other, 0, ids, 20), 0);
    assert_int_equal(length(other), 20);
    /* a timeline that is not the text's beginning, a piece that begins behind it */
    assert_int_equal(load(other, 1, ids, N), ERR_INVALID);
    assert_int_equal(load(other, 0, ids + 1, N), ERR_INVALID);
    session_free(s);
    session_free(other);
    engine_free(m);
}

static void only_positions_of_prompts_are_written(void **state)
{
    (void)state;
    struct engine *m = open_engine(&plain);
    struct session *s = new_session(m, 512, 1);
    int32_t id = 7;
    assert_int_equal(session_sync(s, ids, 20, NULL, NULL, NULL, NULL), 0);
    assert_int_equal(session_decode(s, &id, 1, NULL), 0);
    struct kv_key key = key_of(s, 0);
    unlink(path[0]);
    assert_int_equal(session_save(s, &key, 0, 21, path[0], NULL), ERR_INVALID);
    assert_int_equal(session_save(s, &key, 0, 22, path[0], NULL), ERR_INVALID);
    assert_int_equal(session_save(s, &key, 19, SIZE_MAX, path[0], NULL), ERR_INVALID);
    assert_int_equal(session_save(s, &key, 0, 0, path[0], NULL), ERR_INVALID);
    assert_int_equal(access(path[0], F_OK), -1);
    assert_int_equal(session_save(s, &key, 0, 20, path[0], NULL), 0);
    /* a generated token of the same id is no beginning to build on */
    int32_t all[21];
    memcpy(all, ids, sizeof all);
    all[20] = 7;
    assert_int_equal(session_shared(s, all, 21), 20);
    session_free(s);
    engine_free(m);
}

static uint8_t *slurp(const char *name, size_t *n)
{
    struct str s = STR_EMPTY;
    assert_int_equal(file_read(&s, name, 1 << 24, NULL), 0);
    *n = s.len;
    return (uint8_t *)str_detach(&s);
}

static void put(const char *name, const void *bytes, size_t n)
{
    unlink(name);
    assert_int_equal(file_write_cache(name, bytes, n, NULL), 0);
}

static void no_damage_passes(void **state)
{
    (void)state;
    struct engine *m = open_engine(&plain);
    struct session *s = new_session(m, 512, 1), *other = new_session(m, 512, 1);
    size_t n;
    save(s, N);
    uint8_t *bytes = slurp(path[0], &n);
    assert_int_equal(session_prepare(other, ids, 10, NULL, NULL, NULL), 0);
    /* every bit of header and tokens, one of some bytes of the rows */
    for (size_t at = 0; at < n; at += at < 80 + 4 * PIECE ? 1 : 997)
        for (int bit = 0; bit < 8; bit += at < 80 ? 1 : 5) {
            bytes[at] ^= (uint8_t)(1 << bit);
            put(path[0], bytes, n);
            int rc = load(other, 0, ids, N);
            /* a changed token can end the text that is shared: then there is nothing to read on for */
            if (rc != ERR_FILE && !(at >= 80 && at < 80 + 4 * 11 && !rc)) fail_msg("bit %d of byte %zu: %d", bit, at, rc);
            assert_int_equal(length(other), 10);
            bytes[at] ^= (uint8_t)(1 << bit);
        }
    for (size_t cut = 0; cut < n; cut += cut < 400 ? 1 : 499) {
        put(path[0], bytes, cut);
        assert_int_equal(load(other, 0, ids, N), ERR_FILE);
        assert_int_equal(length(other), 10);
    }
    uint8_t *more = tiny_alloc(n + 1);
    memcpy(more, bytes, n);
    put(path[0], more, n + 1);
    assert_int_equal(load(other, 0, ids, N), ERR_FILE);
    /* rows that were read before the damage was seen are never used */
    bytes[n - 1] ^= 1;
    put(path[0], bytes, n);
    assert_int_equal(load(other, 0, ids, N), ERR_FILE);
    assert_like_fresh(other, m, ids, N, 10);
    unlink(path[0]);
    session_truncate(other, 0);
    assert_int_equal(load(other, 0, ids, N), ERR_NOT_FOUND);
    assert_int_equal(symlink(path[1], path[0]), 0);
    assert_int_equal(load(other, 0, ids, N), ERR_FILE);
    unlink(path[0]);
    assert_int_equal(mkfifo(path[0], 0600), 0);
    assert_int_equal(load(other, 0, ids, N), ERR_FILE);
    unlink(path[0]);
    free(more);
    free(bytes);
    session_free(s);
    session_free(other);
    engine_free(m);
}

static void write_adapter(void)
{
    struct gguf_writer w;
    float values[96 * 4];
    for (size_t i = 0; i < ARRAY_LEN(values); i++) values[i] = (float)((int)(i * 37 % 19) - 9) / 3;
    gw_init(&w);
    gw_string(&w, "general.type", "adapter");
    gw_string(&w, "general.architecture", "llama");
    gw_string(&w, "adapter.type", "lora");
    gw_tensor(&w, "blk.0.attn_output.weight.lora_a", 2, (int64_t[]){96, 4}, TENSOR_F32, values, sizeof values);
    gw_tensor(&w, "blk.0.attn_output.weight.lora_b", 2, (int64_t[]){4, 96}, TENSOR_F32, values, sizeof values);
    assert_int_equal(gw_save(&w, adapter, SIZE_MAX), 0);
    gw_release(&w);
}

static bool same_key(const struct session *a, const struct kv_key *b)
{
    struct kv_key key = key_of(a, 0);
    return !memcmp(&key, b, sizeof key);
}

static void keys_tell_what_bits_depend_on(void **state)
{
    (void)state;
    struct engine *m = open_engine(&plain);
    struct session *s = new_session(m, 512, 1), *wide = new_session(m, 1024, 2);
    struct kv_key key = key_of(s, 0), again = key_of(wide, 0), longer_key = key_of(s, PIECE);
    assert_memory_equal(&key, &again, sizeof key);      /* neither context nor threads matter */
    assert_memory_not_equal(&key, &longer_key, sizeof key);
    struct adapter *a;
    struct err e = {0};
    write_adapter();
    if (adapter_open(&a, m, adapter, &e)) fail_msg("%s", e.text);
    const struct adapter *list[] = {a};
    double scale = 1, half = 0.5;
    assert_int_equal(session_set_adapters(s, list, &scale, 1, &e), 0);
    assert_false(same_key(s, &key));
    struct kv_key adapted = key_of(s, 0);
    assert_int_equal(session_set_adapters(s, list, &half, 1, &e), 0);
    assert_false(same_key(s, &adapted));
    /* what another adapter or model evaluated is not taken */
    save(s, N);
    session_truncate(s, 0);
    assert_int_equal(load(s, 0, ids, N), 0);
    assert_int_equal(session_set_adapters(s, NULL, NULL, 0, &e), 0);
    assert_true(same_key(s, &key));
    assert_int_equal(load(s, 0, ids, N), ERR_FILE);
    adapter_free(a);
    session_free(s);
    session_free(wide);
    engine_free(m);
    m = open_engine(&plain);        /* the same model in another file */
    s = new_session(m, 512, 1);
    assert_false(same_key(s, &key));
    session_free(s);
    engine_free(m);
    m = open_engine(&longer);       /* frequencies of long contexts */
    s = new_session(m, 64, 1);
    wide = new_session(m, 2048, 1);
    key = key_of(s, 0);
    assert_false(same_key(wide, &key));
    session_free(s);
    session_free(wide);
    engine_free(m);
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(model, sizeof model, "%s/tiny.gguf", folder);
    snprintf(adapter, sizeof adapter, "%s/adapter.gguf", folder);
    for (int i = 0; i < 2; i++) snprintf(path[i], sizeof path[i], "%s/%d.kv", folder, i);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) ids[i] = (int32_t)((i * 7919 + i / 5 + 1) % 300);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_bits_come_back),
        cmocka_unit_test(cells_of_8_bits),
        cmocka_unit_test(as_much_as_the_texts_share),
        cmocka_unit_test(only_positions_of_prompts_are_written),
        cmocka_unit_test(no_damage_passes),
        cmocka_unit_test(keys_tell_what_bits_depend_on),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
