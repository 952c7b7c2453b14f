/* Several continuations of one prompt at once: each has the bits it has alone, for 1 to 8 of them and any number of threads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/model.h"
#include "tiny_model.h"

#include <unistd.h>

static char folder[] = "/tmp/ponder-batch-XXXXXX";
static char file[128];

#define N_VOCAB 300
static const struct tiny_spec specs[] = {
    {"llama q8", "llama", TENSOR_Q8_0, 2, 96, 1056, 6, 2, 16, 16, N_VOCAB, 2048, false, false, SCALING_FACTORS},
    {"qwen2 q4_k", "qwen2", TENSOR_Q4_K, 2, 256, 256, 8, 2, 32, 32, N_VOCAB, 2048, true, true, SCALING_NONE},
    {"llama q4_1", "llama", TENSOR_Q4_1, 2, 96, 96, 3, 1, 64, 32, N_VOCAB, 2048, true, false, SCALING_NONE},
    {"qwen3 f32", "qwen3", TENSOR_F32, 2, 64, 96, 4, 2, 32, 32, N_VOCAB, 2048, true, false, SCALING_NONE},
    {"smollm3 f16", "smollm3", TENSOR_F16, 5, 64, 96, 4, 2, 16, 16, N_VOCAB, 2048, true, false, SCALING_NONE},
};

static struct engine *open_spec(struct tiny_model *m, const struct tiny_spec *spec)
{
    struct engine *engine;
    struct err e = {0};
    tiny_init(m, spec);
    assert_int_equal(gw_save(&m->w, file, SIZE_MAX), 0);
    if (engine_open(&engine, file, &e)) fail_msg("%s", e.text);
    return engine;
}

static struct session *prompted(const struct engine *m, int n_ctx, int n_threads, size_t n)
{
    struct session *s;
    struct err e = {0};
    int32_t ids[700];
    for (size_t i = 0; i < n; i++) ids[i] = (int32_t)((i * 7919 + i / 5 + 1) % N_VOCAB);
    if (session_new(&s, m, n_ctx, n_threads, KV_F16, &e)) fail_msg("%s", e.text);
    if (session_sync(s, ids, n, NULL, NULL, NULL, &e)) fail_msg("%s", e.text);
    return s;
}

static int32_t token_of(int tail, int step)
{
    return (int32_t)((tail * 131 + step * 37 + step * step + 11) % N_VOCAB);
}

/* Tail i is fed at steps where (step + i) is no multiple of 5 + i, so that they grow apart. */
static bool takes_part(int tail, int step)
{
    return (step + tail) % (5 + tail) != 0;
}

#define STEPS 14

/* want[step] of a tail alone, or NULL at steps it leaves out. */
static void alone(struct session *s, size_t prompt, int tail, float *want)
{
    struct err e = {0};
    session_truncate(s, prompt);
    for (int step = 0; step < STEPS; step++) {
        int32_t id = token_of(tail, step);
        if (!takes_part(tail, step)) continue;
        assert_int_equal(session_decode(s, &id, 1, &e), 0);
        memcpy(want + (size_t)step * N_VOCAB, session_logits(s), N_VOCAB * sizeof(float));
    }
    session_truncate(s, prompt);
}

static void together(struct session *s, int n, float *const want[])
{
    struct batch *b;
    struct err e = {0};
    const float *start = session_logits(s);
    if (batch_new(&b, s, n, &e)) fail_msg("%s", e.text);
    for (int i = 0; i < n; i++) assert_memory_equal(batch_logits(b, i), start, N_VOCAB * sizeof(float));
    for (int step = 0; step < STEPS; step++) {
        int which[BATCH_MAX], m = 0;
        int32_t ids[BATCH_MAX];
        /* last one first: the order must not matter */
        for (int i = n; i-- > 0;)
            if (takes_part(i, step)) {
                ids[m] = token_of(i, step);
                which[m++] = i;
            }
        if (m && batch_decode(b, which, ids, m, &e)) fail_msg("%s", e.text);
        for (int j = 0; j < m; j++)
            assert_memory_equal(batch_logits(b, which[j]), want[which[j]] + (size_t)step * N_VOCAB, N_VOCAB * sizeof(float));
    }
    batch_free(b);
}

static void a_batch_equals_each_alone(void **state)
{
    (void)state;
    /* before, at and behind the edges of a piece of attention (256), and so that tails cross one */
    static const size_t prompts[] = {1, 37, 250, 256, 257, 509, 600};
    struct tiny_model m;
    for (size_t spec = 0; spec < ARRAY_LEN(specs); spec++) {
        struct engine *engine = open_spec(&m, &specs[spec]);
        float *want[BATCH_MAX];
        for (int i = 0; i < BATCH_MAX; i++) want[i] = tiny_alloc(STEPS * N_VOCAB * sizeof(float));
        for (size_t k = 0; k < ARRAY_LEN(prompts); k++) {
            struct session *s = prompted(engine, 700, 1, prompts[k]), *two = prompted(engine, 700, 2, prompts[k]);
            float *logits = tiny_alloc(N_VOCAB * sizeof(float));
            memcpy(logits, session_logits(s), N_VOCAB * sizeof(float));
            for (int i = 0; i < BATCH_MAX; i++) alone(s, prompts[k], i, want[i]);
            memcpy(session_logits(s), logits, N_VOCAB * sizeof(float));
            for (int n = 1; n <= BATCH_MAX; n++) {
                together(s, n, want);
                together(two, n, want);
            }
            free(logits);
            session_free(s);
            session_free(two);
        }
        for (int i = 0; i < BATCH_MAX; i++) free(want[i]);
        engine_free(engine);
        tiny_release(&m);
    }
}

/* Prompts of their own, taken one after another through the same session, with others under way. */
static void prompts_apart_equal_each_alone(void **state)
{
    (void)state;
    static const size_t prompts[] = {600, 1, 257, 37, 256, 250, 509, 300};
    struct tiny_model m;
    struct err e = {0};
    for (size_t spec = 0; spec < ARRAY_LEN(specs); spec++) {
        struct engine *engine = open_spec(&m, &specs[spec]);
        struct batch *b;
        struct session *s = prompted(engine, 700, 2, 5);
        assert_int_equal(batch_new_apart(&b, s, BATCH_MAX, &e), 0);
        int which[BATCH_MAX], first = 0;
        int32_t ids[BATCH_MAX], all[700], id = 3;
        for (size_t k = 0; k < 700; k++) all[k] = (int32_t)((k * 7919 + k / 5 + 1) % N_VOCAB);
        assert_int_equal(batch_decode(b, &first, &id, 1, &e), ERR_INVALID); /* it has no prompt yet */
        for (int i = 0; i < BATCH_MAX; i++) {
            /* each prompt is its own from its first token on */
            all[0] = i;
            assert_int_equal(session_sync(s, all, prompts[i], NULL, NULL, NULL, &e), 0);
            batch_take(b, i);
            assert_int_equal(batch_used(b, i), prompts[i]);
            which[i] = i;
        }
        session_truncate(s, 0); /* nobody needs it any more */
        for (int step = 0; step < STEPS; step++) {
            for (int i = 0; i < BATCH_MAX; i++) ids[i] = token_of(i, step);
            assert_int_equal(batch_decode(b, which, ids, BATCH_MAX, &e), 0);
            if (step != STEPS - 1) continue;
            for (int i = 0; i < BATCH_MAX; i++) {
                all[0] = i;
                assert_int_equal(session_sync(s, all, prompts[i], NULL, NULL, NULL, &e), 0);
                for (int k = 0; k < STEPS; k++) {
                    id = token_of(i, k);
                    assert_int_equal(session_decode(s, &id, 1, &e), 0);
                }
                assert_memory_equal(batch_logits(b, i), session_logits(s), N_VOCAB * sizeof(float));
            }
        }
        batch_free(b);
        session_free(s);
        engine_free(engine);
        tiny_release(&m);
    }
}

static void a_full_context_stops_one_only(void **state)
{
    (void)state;
    struct tiny_model m;
    struct err e = {0};
    struct engine *engine = open_spec(&m, &specs[0]);
    struct session *s = prompted(engine, 260, 2, 255);
    struct batch *b;
    float before[N_VOCAB];
    assert_int_equal(batch_new(&b, s, 3, &e), 0);
    int32_t id = 5, ids[3] = {5, 6, 7};
    int first = 0, others[2] = {1, 2}, all[3] = {0, 1, 2};
    for (int i = 0; i < 5; i++) assert_int_equal(batch_decode(b, &first, &id, 1, &e), 0);
    assert_int_equal(batch_used(b, 0), 260);
    memcpy(before, batch_logits(b, 1), sizeof before);
    assert_int_equal(batch_decode(b, all, ids, 3, &e), ERR_TOO_LONG);
    assert_int_equal(batch_used(b, 1), 255); /* nothing was changed */
    assert_memory_equal(batch_logits(b, 1), before, sizeof before);
    assert_int_equal(batch_decode(b, others, ids, 2, &e), 0);
    assert_int_equal(batch_used(b, 2), 256);
    batch_free(b);
    /* a prompt that fills the context can be continued by nobody */
    session_free(s);
    s = prompted(engine, 256, 1, 256);
    assert_int_equal(batch_new(&b, s, 2, &e), 0);
    assert_int_equal(batch_decode(b, others, ids, 1, &e), ERR_TOO_LONG);
    batch_free(b);
    session_free(s);
    engine_free(engine);
    tiny_release(&m);
}

static void wrong_calls_change_nothing(void **state)
{
    (void)state;
    struct tiny_model m;
    struct err e = {0};
    struct engine *engine = open_spec(&m, &specs[0]);
    struct session *s = prompted(engine, 300, 1, 20);
    struct batch *b = NULL;
    int32_t ids[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, wrong = N_VOCAB;
    int twice[2] = {1, 1}, outside = 3, below = -1, none = 0;
    assert_int_equal(batch_new(&b, s, 0, &e), ERR_INVALID);
    assert_int_equal(batch_new(&b, s, BATCH_MAX + 1, &e), ERR_INVALID);
    assert_null(b);
    assert_int_equal(batch_new(&b, s, 3, &e), 0);
    assert_int_equal(batch_decode(b, twice, ids, 2, &e), ERR_INVALID);
    assert_int_equal(batch_decode(b, &outside, ids, 1, &e), ERR_INVALID);
    assert_int_equal(batch_decode(b, &below, ids, 1, &e), ERR_INVALID);
    assert_int_equal(batch_decode(b, &none, &wrong, 1, &e), ERR_INVALID);
    assert_int_equal(batch_decode(b, twice, ids, 0, &e), ERR_INVALID);
    assert_int_equal(batch_used(b, 1), 20);
    session_truncate(s, 10); /* the prompt goes away under the batch */
    assert_int_equal(batch_decode(b, &none, ids, 1, &e), ERR_INVALID);
    batch_free(b);
    batch_free(NULL);
    session_truncate(s, 0);
    assert_int_equal(batch_new(&b, s, 2, &e), ERR_INVALID);
    session_free(s);
    engine_free(engine);
    tiny_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_equals_each_alone),
        cmocka_unit_test(prompts_apart_equal_each_alone), cmocka_unit_test(a_full_context_stops_one_only),
        cmocka_unit_test(wrong_calls_change_nothing),
    };
    if (!mkdtemp(folder)) return 1;
    snprintf(file, sizeof file, "%s/tiny.gguf", folder);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(file);
    rmdir(folder);
    return rc;
}
