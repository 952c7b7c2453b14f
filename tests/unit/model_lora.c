/* Adapters: against a double-precision forward pass whose weights they were merged into, bit for bit against themselves, and refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/model.h"
#include "tiny_model.h"

#include <unistd.h>

static char folder[] = "/tmp/ponder-lora-XXXXXX";
static char model_file[128], adapter_file[128];

static const struct tiny_spec specs[] = {
    {"llama f32", "llama", TENSOR_F32, 2, 64, 96, 4, 2, 16, 16, 300, 512, true, false, SCALING_NONE},
    {"qwen3 q8", "qwen3", TENSOR_Q8_0, 2, 64, 160, 2, 1, 64, 64, 300, 512, true, false, SCALING_NONE},
};
static const char *const names[TINY_MATRICES] = {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"};

static void shape_of(const struct tiny_spec *s, int k, int *n_in, int *n_out)
{
    int n_q = s->n_head * s->head_dim, n_kv = s->n_head_kv * s->head_dim;
    const int shapes[TINY_MATRICES][2] = {{s->n_embd, n_q},     {s->n_embd, n_kv},    {s->n_embd, n_kv},   {n_q, s->n_embd},
                                          {s->n_embd, s->n_ff}, {s->n_embd, s->n_ff}, {s->n_ff, s->n_embd}};
    *n_in = shapes[k][0];
    *n_out = shapes[k][1];
}

static void adapter_metadata(struct gguf_writer *w, const char *arch, const char *type, double alpha)
{
    gw_init(w);
    gw_string(w, "general.type", "adapter");
    gw_string(w, "general.architecture", arch);
    gw_string(w, "adapter.type", type);
    gw_f32(w, "adapter.lora.alpha", (float)alpha);
}

/* Writes a random adapter for the matrices of `which` (a bit each) and adds `scale` times it to the model's values. */
static void make_adapter(struct tiny_model *m, uint64_t seed, unsigned which, int rank, double alpha, double scale, const char *path)
{
    struct tiny_model a = {.s = m->s, .seed = seed};

    adapter_metadata(&a.w, m->s.arch, "lora", alpha);
    for (int i = 0; i < m->s.n_layer; i++)
        for (int k = 0; k < TINY_MATRICES; k++) {
            char name[96];
            int n_in, n_out;
            if (!(which >> k & 1)) continue;
            shape_of(&m->s, k, &n_in, &n_out);
            snprintf(name, sizeof name, "blk.%d.%s.weight.lora_a", i, names[k]);
            double *low = tiny_tensor(&a, name, TENSOR_F32, n_in, rank, 0, 1.5 / sqrt(n_in));
            name[strlen(name) - 1] = 'b';
            double *high = tiny_tensor(&a, name, TENSOR_F16, rank, n_out, 0, 0.5);
            for (int r = 0; r < n_out; r++)
                for (int c = 0; c < n_in; c++)
                    for (int j = 0; j < rank; j++)
                        m->layers[i].m[k][r * n_in + c] += scale * alpha / rank * high[r * rank + j] * low[j * n_in + c];
            free(low);
            free(high);
        }
    assert_int_equal(gw_save(&a.w, path, SIZE_MAX), 0);
    gw_release(&a.w);
}

static struct adapter *open_adapter(const struct engine *m)
{
    struct adapter *a;
    struct err e = {0};
    if (adapter_open(&a, m, adapter_file, &e)) fail_msg("%s", e.text);
    return a;
}

struct comparison {
    const double *want;
    double worst;
};

static void compare_row(void *arg, size_t position, const float *logits)
{
    struct comparison *c = arg;
    const double *want = c->want + position * 300;
    double largest = 0, distance = 0;

    for (int i = 0; i < 300; i++) {
        largest = fabs(want[i]) > largest ? fabs(want[i]) : largest;
        double d = fabs(want[i] - (double)logits[i]);
        if (!(d <= distance)) distance = d;
    }
    if (!(distance / largest <= c->worst)) c->worst = distance / largest;
}

static double distance_from(struct session *s, const double *want, const int32_t *ids, size_t n, bool one_by_one)
{
    struct comparison c = {want, 0};
    struct err e = {0};
    if (session_score(s, ids, n, one_by_one, compare_row, &c, &e)) fail_msg("%s", e.text);
    return c.worst;
}

static void fill_ids(int32_t *ids, int n)
{
    for (int i = 0; i < n; i++) ids[i] = (i * 7919 + i / 5 + 1) % 300;
}

static void logits_match_merged_weights(void **state)
{
    (void)state;
    enum { N = 70 };
    int32_t ids[N];
    fill_ids(ids, N);
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        struct tiny_model m;
        struct engine *engine;
        struct session *s;
        const double scales[2] = {0.75, -0.5};
        bool floats = specs[i].type == TENSOR_F32;

        tiny_init(&m, &specs[i]);
        assert_int_equal(gw_save(&m.w, model_file, SIZE_MAX), 0);
        assert_int_equal(engine_open(&engine, model_file, NULL), 0);
        assert_int_equal(session_new(&s, engine, 100, 2, KV_F16, NULL), 0);
        double *plain = tiny_forward(&m, ids, N);
        /* all matrices by one, and some by another of another rank on top */
        make_adapter(&m, 7, 0x7f, 4, 8, scales[0], adapter_file);
        struct adapter *first = open_adapter(engine);
        make_adapter(&m, 8, 0x51, 7, 16, scales[1], adapter_file);
        struct adapter *second = open_adapter(engine);
        double *merged = tiny_forward(&m, ids, N);
        for (int one_by_one = 0; one_by_one < 2; one_by_one++) {
            /* prompts meet quantised matrices with 8 bits; that what is added is right shows in the other cases */
            double allowed = one_by_one ? 1e-3 : floats ? 2e-4 : 5e-2;
            assert_int_equal(session_set_adapters(s, (const struct adapter *[]){first, second}, scales, 2, NULL), 0);
            double d = distance_from(s, merged, ids, N, one_by_one);
            if (!(d < allowed)) fail_msg("%s, one by one %d: off by %g", specs[i].name, one_by_one, d);
            d = distance_from(s, plain, ids, N, one_by_one);
            if (!(d > 0.1)) fail_msg("%s: the adapters change %g", specs[i].name, d);
            /* and gone again */
            assert_int_equal(session_set_adapters(s, NULL, NULL, 0, NULL), 0);
            d = distance_from(s, plain, ids, N, one_by_one);
            if (!(d < allowed)) fail_msg("%s without adapters, one by one %d: off by %g", specs[i].name, one_by_one, d);
        }
        free(plain);
        free(merged);
        session_free(s);
        adapter_free(first);
        adapter_free(second);
        engine_free(engine);
        tiny_release(&m);
    }
}

static void bits_do_not_depend_on_cuts_or_threads(void **state)
{
    (void)state;
    enum { N = 150 };
    int32_t ids[N];
    fill_ids(ids, N);
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        struct tiny_model m;
        struct engine *engine;
        float *prompt = NULL, *reply = NULL;
        const double one = 1;

        tiny_init(&m, &specs[i]);
        assert_int_equal(gw_save(&m.w, model_file, SIZE_MAX), 0);
        assert_int_equal(engine_open(&engine, model_file, NULL), 0);
        make_adapter(&m, 9, 0x7f, 5, 5, one, adapter_file);
        struct adapter *a = open_adapter(engine);
        for (int threads = 1; threads <= 3; threads++) {
            struct session *s;
            size_t n;
            assert_int_equal(session_new(&s, engine, 200, threads, KV_F16, NULL), 0);
            assert_int_equal(session_sync(s, ids, 20, NULL, NULL, NULL, NULL), 0);
            assert_int_equal(session_set_adapters(s, (const struct adapter *[]){a}, &one, 1, NULL), 0);
            session_tokens(s, &n);
            assert_int_equal(n, 0); /* what was cached is another model's */
            for (int cut = 1; threads > 1 && cut < N; cut += 37)
                assert_int_equal(session_sync(s, ids, (size_t)cut, NULL, NULL, NULL, NULL), 0);
            assert_int_equal(session_sync(s, ids, N, NULL, NULL, NULL, NULL), 0);
            if (!prompt) {
                prompt = tiny_alloc(300 * sizeof(float));
                memcpy(prompt, session_logits(s), 300 * sizeof(float));
            }
            assert_memory_equal(session_logits(s), prompt, 300 * sizeof(float));
            if (threads == 1)
                for (int k = 0; k < 5; k++) assert_int_equal(session_decode(s, ids + k, 1, NULL), 0);
            else
                assert_int_equal(session_decode(s, ids, 5, NULL), 0);
            if (!reply) {
                reply = tiny_alloc(300 * sizeof(float));
                memcpy(reply, session_logits(s), 300 * sizeof(float));
            }
            assert_memory_equal(session_logits(s), reply, 300 * sizeof(float));
            session_free(s);
        }
        free(prompt);
        free(reply);
        adapter_free(a);
        engine_free(engine);
        tiny_release(&m);
    }
}

/* Saves what w holds and releases it; opening must fail and say why. */
static void assert_refused(const struct engine *m, struct gguf_writer *w, int code, const char *why)
{
    struct adapter *a;
    struct err e = {0};

    assert_int_equal(gw_save(w, adapter_file, SIZE_MAX), 0);
    gw_release(w);
    int rc = adapter_open(&a, m, adapter_file, &e);
    if (rc != code || a || strncmp(e.text, adapter_file, strlen(adapter_file)) || !strstr(e.text, why))
        fail_msg("wanted %d with \"%s\", got %d: %s", code, why, rc, e.text);
}

static void add_tensor(struct gguf_writer *w, const char *name, int n, int rows)
{
    static const uint8_t zeros[64 * 1100 * 4];
    const int64_t dims[2] = {n, rows};
    gw_tensor(w, name, 2, dims, TENSOR_F32, zeros, (size_t)n * (size_t)rows * 4);
}

static void wrong_adapters_are_refused(void **state)
{
    (void)state;
    struct tiny_model m;
    struct engine *engine, *other;
    struct session *s;
    struct gguf_writer w;
    struct err e = {0};
    const double bad = NAN, one = 1;

    tiny_init(&m, &specs[0]);
    assert_int_equal(gw_save(&m.w, model_file, SIZE_MAX), 0);
    assert_int_equal(engine_open(&engine, model_file, NULL), 0);
    assert_int_equal(engine_open(&other, model_file, NULL), 0);
    gw_init(&w);
    assert_refused(engine, &w, ERR_FILE, "not a LoRA adapter");
    adapter_metadata(&w, "llama", "dora", 1);
    assert_refused(engine, &w, ERR_FILE, "not a LoRA adapter");
    adapter_metadata(&w, "qwen2", "lora", 1);
    assert_refused(engine, &w, ERR_FILE, "not an adapter for a llama");
    adapter_metadata(&w, "llama", "lora", NAN);
    assert_refused(engine, &w, ERR_FILE, "alpha");
    adapter_metadata(&w, "llama", "lora", 1);
    assert_refused(engine, &w, ERR_UNSUPPORTED, "0 of its 0");
    adapter_metadata(&w, "llama", "lora", 1);
    add_tensor(&w, "blk.0.attn_q.weight.lora_a", 64, 4);
    assert_refused(engine, &w, ERR_FILE, "without its other half");
    adapter_metadata(&w, "llama", "lora", 1);
    add_tensor(&w, "blk.0.attn_q.weight.lora_a", 64, 4);
    add_tensor(&w, "blk.0.attn_q.weight.lora_b", 5, 64);
    assert_refused(engine, &w, ERR_FILE, "should be 4 x 64");
    adapter_metadata(&w, "llama", "lora", 1);
    add_tensor(&w, "blk.0.attn_q.weight.lora_a", 32, 4);
    add_tensor(&w, "blk.0.attn_q.weight.lora_b", 4, 64);
    assert_refused(engine, &w, ERR_FILE, "should be 64 x 4");
    adapter_metadata(&w, "llama", "lora", 1);
    add_tensor(&w, "blk.0.attn_q.weight.lora_a", 64, 1025);
    add_tensor(&w, "blk.0.attn_q.weight.lora_b", 1025, 64);
    assert_refused(engine, &w, ERR_FILE, "rank of 1025");
    adapter_metadata(&w, "llama", "lora", 1);
    add_tensor(&w, "blk.2.attn_q.weight.lora_a", 64, 4);
    add_tensor(&w, "blk.2.attn_q.weight.lora_b", 4, 64);
    assert_refused(engine, &w, ERR_UNSUPPORTED, "0 of its 2 tensors");

    make_adapter(&m, 1, 1, 4, 4, 1, adapter_file);
    struct adapter *a = open_adapter(engine);
    assert_int_equal(session_new(&s, other, 32, 1, KV_F16, NULL), 0);
    assert_int_equal(session_set_adapters(s, (const struct adapter *[]){a}, &one, 1, &e), ERR_INVALID);
    session_free(s);
    assert_int_equal(session_new(&s, engine, 32, 1, KV_F16, NULL), 0);
    assert_int_equal(session_set_adapters(s, (const struct adapter *[]){a}, &bad, 1, &e), ERR_INVALID);
    assert_int_equal(session_set_adapters(s, (const struct adapter *[]){a}, &one, 1, &e), 0);
    session_free(s);
    adapter_free(a);
    adapter_free(NULL);
    engine_free(other);
    engine_free(engine);
    tiny_release(&m);
}

static void scales_stand_behind_the_name(void **state)
{
    (void)state;
    static const struct {
        const char *tail;
        double scale;
        int rc;
    } cases[] = {{"", 1, 0}, {":0.5", 0.5, 0}, {":-2", -2, 0}, {":1e2,more", 1, ERR_FILE},
                 {":", 1, ERR_FILE}, {":nan", 1, ERR_FILE}, {":2000", 1, ERR_FILE}};
    struct tiny_model m;
    struct engine *engine;

    tiny_init(&m, &specs[0]);
    assert_int_equal(gw_save(&m.w, model_file, SIZE_MAX), 0);
    assert_int_equal(engine_open(&engine, model_file, NULL), 0);
    make_adapter(&m, 5, 1 << TINY_Q, 2, 4, 1, adapter_file);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct adapter *a;
        struct err e = {0};
        char text[256];
        double scale = 0;
        int n = snprintf(text, sizeof text, "%s%s", adapter_file, cases[i].tail);
        int rc = adapter_open_text(&a, &scale, engine, text, (size_t)n, &e);
        assert_int_equal(rc == 0, cases[i].rc == 0);
        assert_int_equal(a != NULL, rc == 0);
        if (!rc) assert_true(scale == cases[i].scale);
        adapter_free(a);
    }
    engine_free(engine);
    tiny_release(&m);
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(model_file, sizeof(model_file), "%s/model.gguf", folder);
    snprintf(adapter_file, sizeof(adapter_file), "%s/adapter.gguf", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    remove(model_file);
    remove(adapter_file);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_match_merged_weights),
        cmocka_unit_test(bits_do_not_depend_on_cuts_or_threads),
        cmocka_unit_test(wrong_adapters_are_refused),
        cmocka_unit_test(scales_stand_behind_the_name),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
