/* Engine and session on tiny models: against a double-precision forward pass, and bit for bit against themselves. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine_help.h"

#include <sys/wait.h>

/* Shapes chosen so that every special path is met: two slices of output rows and two of inputs (1056 > 1024), heads that are not
 * n_embd / n_head wide, rotary parts of a head, groups of 1, 3 and 4 query heads, odd numbers of heads. */
static const struct tiny_spec specs[] = {
    {"llama f32", "llama", TENSOR_F32, 2, 64, 160, 4, 4, 16, 16, 300, 2048, true, false, SCALING_NONE},
    {"llama q8", "llama", TENSOR_Q8_0, 2, 96, 1056, 6, 2, 16, 16, 300, 2048, false, false, SCALING_FACTORS},
    {"qwen2 q4", "qwen2", TENSOR_Q4_0, 2, 64, 288, 4, 1, 16, 16, 300, 2048, true, true, SCALING_NONE},
    {"qwen2 f16", "qwen2", TENSOR_F16, 1, 64, 96, 3, 3, 32, 16, 300, 2048, false, true, SCALING_LINEAR},
    {"llama q4_1", "llama", TENSOR_Q4_1, 2, 96, 96, 3, 1, 64, 32, 300, 2048, true, false, SCALING_LLAMA3},
    {"llama bf16", "llama", TENSOR_BF16, 1, 48, 80, 3, 3, 16, 8, 300, 2048, false, true, SCALING_NONE},
    {"llama q6_k", "llama", TENSOR_Q6_K, 1, 256, 512, 4, 2, 64, 64, 300, 2048, true, false, SCALING_NONE},
    {"qwen2 q4_k", "qwen2", TENSOR_Q4_K, 2, 256, 256, 8, 2, 32, 32, 300, 2048, true, true, SCALING_NONE},
    {"qwen3 f32", "qwen3", TENSOR_F32, 2, 64, 96, 4, 2, 32, 32, 300, 2048, true, false, SCALING_NONE},
    {"qwen3 q8", "qwen3", TENSOR_Q8_0, 1, 64, 96, 3, 1, 32, 16, 300, 2048, false, false, SCALING_NONE},
    {"phi3 f32", "phi3", TENSOR_F32, 2, 64, 160, 4, 2, 16, 12, 300, 2048, true, false, SCALING_LONG},
    {"phi3 q4", "phi3", TENSOR_Q4_0, 1, 96, 288, 3, 1, 32, 32, 300, 2048, false, false, SCALING_SHORT},
    {"phi3 f16", "phi3", TENSOR_F16, 1, 64, 96, 2, 2, 32, 32, 300, 2048, true, false, SCALING_NONE},
    {"llama q2_k", "llama", TENSOR_Q2_K, 1, 256, 256, 4, 2, 64, 64, 300, 2048, true, false, SCALING_NONE},
    {"qwen3 iq4_nl", "qwen3", TENSOR_IQ4_NL, 1, 64, 96, 2, 2, 32, 32, 300, 2048, true, false, SCALING_NONE},
    {"smollm3 f32", "smollm3", TENSOR_F32, 5, 64, 96, 4, 2, 16, 16, 300, 2048, true, false, SCALING_NONE},
    {"gemma3 f32", "gemma3", TENSOR_F32, 3, 64, 96, 4, 2, 32, 32, 300, 2048, true, false, SCALING_NONE},
    {"gemma3 q8", "gemma3", TENSOR_Q8_0, 3, 96, 1056, 3, 1, 32, 32, 300, 2048, true, false, SCALING_LINEAR},
    {"lfm2 f32", "lfm2", TENSOR_F32, 3, 64, 96, 4, 2, 16, 16, 300, 2048, true, false, SCALING_NONE},
    {"lfm2 q8", "lfm2", TENSOR_Q8_0, 4, 96, 1056, 3, 1, 32, 32, 300, 2048, true, false, SCALING_NONE},
    {"gemma3 f16", "gemma3", TENSOR_F16, 1, 64, 96, 2, 2, 32, 32, 300, 2048, true, false, SCALING_NONE},
};
/* The one that the tests of bits use, one with windows, and one with convolutions. */
#define MAIN_SPEC   1
#define WINDOW_SPEC 17
#define CONV_SPEC   18

static struct engine *open_spec(struct tiny_model *m, const struct tiny_spec *spec)
{
    struct engine *engine;
    struct err e = {0};

    tiny_init(m, spec);
    assert_int_equal(gw_save(&m->w, file, SIZE_MAX), 0);
    if (engine_open(&engine, file, &e)) fail_msg("%s", e.text);
    return engine;
}

static void sync_to(struct session *s, const int32_t *ids, size_t n)
{
    struct err e = {0};
    if (session_sync(s, ids, n, NULL, NULL, NULL, &e)) fail_msg("%s", e.text);
}

static void decode(struct session *s, const int32_t *ids, size_t n)
{
    struct err e = {0};
    if (session_decode(s, ids, n, &e)) fail_msg("%s", e.text);
}

static void assert_same_logits(struct session *s, const float *want, int n_vocab)
{
    assert_memory_equal(session_logits(s), want, (size_t)n_vocab * sizeof(float));
}

static float *copy_logits(struct session *s, int n_vocab)
{
    float *out = tiny_alloc((size_t)n_vocab * sizeof(float));
    memcpy(out, session_logits(s), (size_t)n_vocab * sizeof(float));
    return out;
}

/* ---- against the reference ----------------------------------------------------------------------------------------- */

static void logits_match_the_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        struct tiny_model m;
        struct engine *engine = open_spec(&m, &specs[i]);
        struct session *s = new_session(engine, 600, 2);
        /* two models also beyond a key tile, a chunk and a piece of decode attention */
        int n = i == MAIN_SPEC || i == WINDOW_SPEC ? 550 : 45;
        int32_t ids[550];
        struct err e = {0};
        fill_ids(ids, (size_t)n, specs[i].n_vocab);
        double *want = tiny_forward(&m, ids, n);
        for (int one_by_one = 0; one_by_one < 2; one_by_one++) {
            struct comparison c = {.want = want, .n_vocab = specs[i].n_vocab};
            assert_int_equal(session_score(s, ids, (size_t)n, one_by_one, compare_row, &c, &e), 0);
            assert_int_equal(c.next, n);
            /* decode rounds activations to 16 bits; prefill to 8, but for matrices of floats */
            bool floats = specs[i].type == TENSOR_F32 || specs[i].type == TENSOR_F16 || specs[i].type == TENSOR_BF16;
            if (!(c.worst < (one_by_one ? 1e-3 : floats ? 2e-4 : 3e-2)))
                fail_msg("%s %s: off by %g of the largest logit", specs[i].name, one_by_one ? "decode" : "prefill", c.worst);
        }
        free(want);
        session_free(s);
        engine_free(engine);
        tiny_release(&m);
    }
}

/* ---- bit for bit --------------------------------------------------------------------------------------------------- */

static void prompt_does_not_depend_on_its_cuts(void **state)
{
    (void)state;
    static const size_t cuts[][6] = {{1}, {31, 32, 33}, {5, 130, 131, 400}, {512}, {64, 300, 556, 699}, {100, 228, 484}};
    struct tiny_model m;
    enum { N = 700 };
    int32_t ids[N];

    static const size_t some[] = {MAIN_SPEC, MAIN_SPEC + 1, WINDOW_SPEC - 1, WINDOW_SPEC, CONV_SPEC, CONV_SPEC + 1};
    for (size_t k = 0; k < ARRAY_LEN(some); k++) {
        struct engine *engine = open_spec(&m, &specs[some[k]]);
        struct session *s = new_session(engine, 800, 2);
        fill_ids(ids, N, 300);
        sync_to(s, ids, N);
        float *want = copy_logits(s, 300);
        decode(s, ids, 3);
        float *then = copy_logits(s, 300);
        for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
            session_truncate(s, 0);
            for (size_t c = 0; c < 6 && cuts[i][c]; c++) sync_to(s, ids, cuts[i][c]);
            sync_to(s, ids, N);
            assert_same_logits(s, want, 300);
            /* what follows reads every cached position */
            decode(s, ids, 3);
            assert_same_logits(s, then, 300);
        }
        free(want);
        free(then);
        session_free(s);
        engine_free(engine);
        tiny_release(&m);
    }
}

static void threads_do_not_change_results(void **state)
{
    (void)state;
    static const int threads[] = {2, 3, 5};
    struct tiny_model m;
    int32_t ids[420];

    for (size_t spec = 0; spec < ARRAY_LEN(specs); spec++) {
        struct engine *engine = open_spec(&m, &specs[spec]);
        float *prompt = NULL, *reply = NULL;
        fill_ids(ids, 420, 300);
        for (size_t i = 0; i <= ARRAY_LEN(threads); i++) {
            struct session *s = new_session(engine, 500, i ? threads[i - 1] : 1);
            sync_to(s, ids, 420);
            if (i)
                assert_same_logits(s, prompt, 300);
            else
                prompt = copy_logits(s, 300);
            for (int k = 0; k < 5; k++) decode(s, ids + k, 1);
            if (i)
                assert_same_logits(s, reply, 300);
            else
                reply = copy_logits(s, 300);
            session_free(s);
        }
        free(prompt);
        free(reply);
        engine_free(engine);
        tiny_release(&m);
    }
}

static void tokens_at_once_equal_one_at_a_time(void **state)
{
    (void)state;
    struct tiny_model m;
    int32_t ids[300];

    for (size_t spec = 0; spec < ARRAY_LEN(specs); spec++) {
        struct engine *engine = open_spec(&m, &specs[spec]);
        struct session *s = new_session(engine, 400, 2);
        float *want[9] = {0};
        fill_ids(ids, 300, 300);
        /* across the edge of a piece of attention at 256 */
        sync_to(s, ids, 251);
        for (size_t k = 1; k <= 8; k++) {
            decode(s, ids + k, 1);
            want[k] = copy_logits(s, 300);
        }
        for (size_t n = 2; n <= 8; n++) {
            sync_to(s, ids, 251);
            decode(s, ids + 1, n);
            assert_same_logits(s, want[n], 300);
            /* and the cache behind them */
            if (n < 8) {
                decode(s, ids + 1 + n, 8 - n);
                assert_same_logits(s, want[8], 300);
            }
        }
        for (size_t k = 1; k <= 8; k++) free(want[k]);
        session_free(s);
        engine_free(engine);
        tiny_release(&m);
    }
}

/* The same with a context in Q8_0. */
static void q8_0_cells_keep_the_promises_of_bits(void **state)
{
    cells = KV_Q8_0;
    n_other_cells = 0;
    prompt_does_not_depend_on_its_cuts(state);
    threads_do_not_change_results(state);
    tokens_at_once_equal_one_at_a_time(state);
    cells = KV_F16;
    assert_true(n_other_cells > 20);
}

/* 8 bits are near 16, and other; a model that cannot have them is told. */
static void q8_0_cells_are_near(void **state)
{
    static const struct tiny_spec wide = {"llama q8", "llama", TENSOR_F32, 2, 64, 96, 4, 2, 32, 32, 300, 2048, false, false, SCALING_NONE};
    struct tiny_model m;
    struct session *s;
    struct err e = {0};
    int32_t ids[300];
    (void)state;

    struct engine *engine = open_spec(&m, &wide);
    fill_ids(ids, 300, 300);
    s = new_session(engine, 400, 2);
    sync_to(s, ids, 290);
    for (int i = 290; i < 300; i++) decode(s, ids + i, 1);
    float *want = copy_logits(s, 300);
    session_free(s);
    assert_int_equal(session_new(&s, engine, 400, 2, KV_Q8_0, &e), 0);
    assert_true(engine_session_bytes(engine, 2000, KV_Q8_0) < engine_session_bytes(engine, 2000, KV_F16));
    sync_to(s, ids, 290);
    for (int i = 290; i < 300; i++) decode(s, ids + i, 1);
    float most = 0, distance = 0;
    for (int i = 0; i < 300; i++) {
        most = fmaxf(most, fabsf(want[i]));
        distance = fmaxf(distance, fabsf(want[i] - session_logits(s)[i]));
    }
    assert_true(distance > 0 && distance < 0.02f * most);
    session_free(s);
    free(want);
    engine_free(engine);
    tiny_release(&m);

    engine = open_spec(&m, &specs[CONV_SPEC]);
    assert_int_equal(session_new(&s, engine, 400, 2, KV_Q8_0, &e), ERR_UNSUPPORTED);
    assert_null(s);
    engine_free(engine);
    tiny_release(&m);
}

/* BLAS has other inner loops on other processors, some of which do not give a row the same bits everywhere in a tile: the
 * tests of bits run again on those, in a process of their own, since BLAS chooses when it is loaded. */
#define OTHER_BLAS "--other-blas"

static void other_inner_loops_of_blas(void **state)
{
    (void)state;
    static const char *const cores[] = {
#if defined(__x86_64__)
        "Haswell",
        "Zen",
        "Nehalem",
#endif
        NULL
    };
    for (size_t i = 0; cores[i]; i++) {
#if defined(__x86_64__)
        if (i < 2 && !__builtin_cpu_supports("avx2")) continue;
#endif
        int status;
        pid_t pid = fork();
        if (!pid) {
            setenv("OPENBLAS_CORETYPE", cores[i], 1);
            if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)) _exit(99);
            execl("/proc/self/exe", "model_engine", OTHER_BLAS, (char *)NULL);
            _exit(99);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (status) fail_msg("with OPENBLAS_CORETYPE=%s: status %#x", cores[i], (unsigned)status);
    }
}

/* ---- the timeline -------------------------------------------------------------------------------------------------- */

static void assert_timeline(struct session *s, const int32_t *ids, size_t n)
{
    size_t have;
    const int32_t *tokens = session_tokens(s, &have);

    assert_int_equal(have, n);
    assert_memory_equal(tokens, ids, n * sizeof(*ids));
}

static void prefixes_are_reused(void **state)
{
    (void)state;
    struct tiny_model m;
    struct engine *engine = open_spec(&m, &specs[MAIN_SPEC]);
    struct session *s = new_session(engine, 200, 2), *fresh = new_session(engine, 200, 1);
    int32_t ids[120], other[120];
    size_t reused;

    fill_ids(ids, 120, 300);
    memcpy(other, ids, sizeof(other));
    other[70] = 299;
    sync_to(s, ids, 100);
    assert_timeline(s, ids, 100);
    float *first = copy_logits(s, 300);

    /* the same again: nothing to do, though the caller has changed the logits */
    session_logits(s)[0] = 1e9f;
    assert_int_equal(session_sync(s, ids, 100, NULL, NULL, &reused, NULL), 0);
    assert_int_equal(reused, 100);
    assert_same_logits(s, first, 300);

    /* a reply, and the prompt again: as `regenerate` does */
    decode(s, ids + 100, 8);
    assert_timeline(s, ids, 108);
    assert_int_equal(session_sync(s, ids, 100, NULL, NULL, &reused, NULL), 0);
    assert_int_equal(reused, 100);
    assert_same_logits(s, first, 300);
    assert_timeline(s, ids, 100);

    /* a shorter one needs its last token's state */
    assert_int_equal(session_sync(s, ids, 90, NULL, NULL, &reused, NULL), 0);
    assert_int_equal(reused, 89);
    sync_to(fresh, ids, 90);
    assert_same_logits(s, session_logits(fresh), 300);

    /* one that differs in the middle */
    assert_int_equal(session_sync(s, other, 120, NULL, NULL, &reused, NULL), 0);
    assert_int_equal(reused, 70);
    session_truncate(fresh, 0);
    sync_to(fresh, other, 120);
    assert_same_logits(s, session_logits(fresh), 300);
    assert_timeline(s, other, 120);
    free(first);
    session_free(fresh);
    session_free(s);
    engine_free(engine);
    tiny_release(&m);
}

static void replies_become_prompt_when_kept(void **state)
{
    (void)state;
    struct tiny_model m;
    struct engine *engine = open_spec(&m, &specs[MAIN_SPEC]);
    struct session *s = new_session(engine, 200, 2), *fresh = new_session(engine, 200, 2);
    int32_t ids[120];
    size_t reused;

    fill_ids(ids, 120, 300);
    sync_to(fresh, ids, 120);
    sync_to(s, ids, 60);
    for (int i = 0; i < 40; i++) decode(s, ids + 60 + i, 1);
    assert_int_equal(session_sync(s, ids, 120, NULL, NULL, &reused, NULL), 0);
    assert_int_equal(reused, 60);
    assert_same_logits(s, session_logits(fresh), 300);
    /* the reply's own positions were rewritten, not only skipped: decode from both reads all of them */
    decode(s, ids, 1);
    decode(fresh, ids, 1);
    assert_same_logits(s, session_logits(fresh), 300);
    session_free(fresh);
    session_free(s);
    engine_free(engine);
    tiny_release(&m);
}

struct stopper {
    int calls, stop_at;
    size_t last, total;
    bool backwards;
};

static bool stop_step(void *arg, size_t done, size_t total)
{
    struct stopper *t = arg;

    if (done < t->last || done > total) t->backwards = true;
    t->last = done;
    t->total = total;
    return t->calls++ != t->stop_at;
}

static void a_stopped_prompt_can_go_on(void **state)
{
    (void)state;
    struct tiny_model m;
    struct engine *engine = open_spec(&m, &specs[MAIN_SPEC]);
    struct session *s = new_session(engine, 1300, 2);
    struct stopper count = {.stop_at = -1};
    static int32_t ids[1200];
    struct err e = {0};

    fill_ids(ids, 1200, 300);
    assert_int_equal(session_sync(s, ids, 1200, stop_step, &count, NULL, &e), 0);
    assert_false(count.backwards);
    assert_int_equal(count.total, 1200);
    assert_true(count.calls >= 3 * 2);
    float *want = copy_logits(s, 300);
    for (int at = 0; at < count.calls; at++) {
        struct stopper t = {.stop_at = at};
        size_t have;
        session_truncate(s, 7);
        assert_int_equal(session_sync(s, ids, 1200, stop_step, &t, NULL, &e), ERR_STOPPED);
        assert_int_equal(t.calls, at + 1);
        session_tokens(s, &have);
        assert_true(have >= 7 && have < 1200);
        sync_to(s, ids, 1200);
        assert_same_logits(s, want, 300);
    }
    free(want);
    session_free(s);
    engine_free(engine);
    tiny_release(&m);
}

static void refuse_row(void *arg, size_t position, const float *logits)
{
    (void)arg;
    (void)position;
    (void)logits;
    fail_msg("no row was due");
}

static void wrong_calls_change_nothing(void **state)
{
    (void)state;
    struct tiny_model m;
    struct engine *engine = open_spec(&m, &specs[MAIN_SPEC]);
    struct session *s = new_session(engine, 40, 1), *none;
    int32_t ids[64], bad[2] = {1, 300}, negative[1] = {-1};
    struct err e = {0};

    fill_ids(ids, 64, 300);
    sync_to(s, ids, 38);
    float *before = copy_logits(s, 300);
    assert_int_equal(session_sync(s, bad, 2, NULL, NULL, NULL, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "300"));
    assert_int_equal(session_sync(s, negative, 1, NULL, NULL, NULL, &e), ERR_INVALID);
    assert_int_equal(session_sync(s, ids, 0, NULL, NULL, NULL, &e), ERR_INVALID);
    assert_int_equal(session_sync(s, ids, 41, NULL, NULL, NULL, &e), ERR_TOO_LONG);
    assert_int_equal(session_decode(s, bad, 2, &e), ERR_INVALID);
    assert_int_equal(session_decode(s, ids, 0, &e), ERR_INVALID);
    assert_int_equal(session_decode(s, ids, 9, &e), ERR_INVALID);
    assert_int_equal(session_decode(s, ids, 3, &e), ERR_TOO_LONG);
    assert_int_equal(session_score(s, negative, 1, false, refuse_row, NULL, &e), ERR_INVALID);
    assert_int_equal(session_score(s, ids, 41, true, refuse_row, NULL, &e), ERR_TOO_LONG);
    assert_timeline(s, ids, 38);
    assert_same_logits(s, before, 300);
    /* the context can be filled to the last position, and no further */
    decode(s, ids, 2);
    assert_int_equal(session_decode(s, ids, 1, &e), ERR_TOO_LONG);
    assert_int_equal(session_ctx(s), 40);
    sync_to(s, ids, 40);

    assert_int_equal(session_new(&none, engine, 0, 1, KV_F16, &e), ERR_INVALID);
    assert_null(none);
    assert_int_equal(session_new(&none, engine, 2049, 1, KV_F16, &e), ERR_INVALID);
    assert_int_equal(session_new(&none, engine, 16, 0, KV_F16, &e), ERR_INVALID);
    assert_null(none);
    session_free(NULL);
    free(before);
    session_free(s);
    engine_free(engine);
    tiny_release(&m);
}

/* ---- files that are refused ---------------------------------------------------------------------------------------- */

/* Model metadata and tensors of a spec with one change of the numbers, but the tensors of the unchanged one. */
struct wrong_numbers {
    struct tiny_spec change; /* 0 and NULL: as it is */
    int code;
    const char *why;
};

static void pick(int *v, int change)
{
    if (change) *v = change;
}

static void wrong_numbers_are_refused(void **state)
{
    (void)state;
    static const struct wrong_numbers cases[] = {
        {{.arch = "mamba"}, ERR_UNSUPPORTED, "architecture \"mamba\""},
        {{.n_layer = -1}, ERR_FILE, "block_count"},
        {{.n_layer = 1000}, ERR_FILE, "1000 layers"},
        {{.n_layer = 3}, ERR_FILE, "blk.2."},
        {{.n_embd = 1 << 30}, ERR_FILE, "embedding_length"},
        {{.n_embd = 90}, ERR_FILE, "token_embd.weight"},
        {{.n_ff = 1024}, ERR_FILE, "ffn_gate"},
        {{.n_ff = -5}, ERR_FILE, "feed_forward_length"},
        {{.n_head = 7}, ERR_FILE, "cannot share"},
        {{.n_head = 2000}, ERR_FILE, "head_count"},
        {{.n_head = 12}, ERR_FILE, "attn_q.weight"},
        {{.n_head_kv = 3}, ERR_FILE, "attn_k.weight"},
        {{.head_dim = 32, .n_rot = 16}, ERR_FILE, "attn_q.weight"},
        {{.n_rot = 7}, ERR_FILE, "rotary"},
        {{.n_rot = 64}, ERR_FILE, "rotary"},
        {{.ctx = -1}, ERR_FILE, "context_length"},
    };
    struct tiny_model m;

    tiny_init(&m, &specs[MAIN_SPEC]);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct tiny_spec *c = &cases[i].change;
        struct tiny_model wrong = {.s = m.s};
        if (c->arch) wrong.s.arch = c->arch;
        pick(&wrong.s.n_layer, c->n_layer);
        pick(&wrong.s.n_embd, c->n_embd);
        pick(&wrong.s.n_ff, c->n_ff);
        pick(&wrong.s.n_head, c->n_head);
        pick(&wrong.s.n_head_kv, c->n_head_kv);
        pick(&wrong.s.head_dim, c->head_dim);
        wrong.s.n_rot = wrong.s.head_dim;
        pick(&wrong.s.n_rot, c->n_rot);
        pick(&wrong.s.ctx, c->ctx);
        tiny_metadata(&wrong);
        tiny_vocabulary(&wrong.w, m.s.n_vocab);
        wrong.w.table = m.w.table;
        wrong.w.data = m.w.data;
        wrong.w.n_tensors = m.w.n_tensors;
        assert_refused(&wrong.w, SIZE_MAX, cases[i].code, cases[i].why);
        free(wrong.w.kv.p);
    }
    tiny_release(&m);
}

static void wrong_tensors_are_refused(void **state)
{
    (void)state;
    struct tiny_model m;
    struct tiny_spec spec = specs[MAIN_SPEC];
    static const uint8_t zeros[8192];
    int64_t dims[2] = {96, 1};

    /* one tensor more than the model knows */
    tiny_init(&m, &spec);
    gw_tensor(&m.w, "blk.0.ffn_gate_inp.weight", 1, dims, TENSOR_F32, zeros, 96 * 4);
    assert_refused(&m.w, SIZE_MAX, ERR_UNSUPPORTED, "blk.0.ffn_gate_inp.weight");
    tiny_release(&m);
    /* a storage type without kernels: 256 values of IQ2_XXS are 66 bytes */
    tiny_init(&m, &specs[6]);
    struct gguf_writer w = {.kv = m.w.kv, .n_kv = m.w.n_kv};
    dims[0] = 256;
    dims[1] = 300;
    uint8_t *big = tiny_alloc(66 * 300);
    gw_tensor(&w, "token_embd.weight", 2, dims, 16, big, 66 * 300);
    assert_refused(&w, SIZE_MAX, ERR_UNSUPPORTED, "type 16");
    free(w.table.p);
    free(w.data.p);
    free(big);
    /* metadata and vocabulary, and nothing else */
    struct gguf_writer empty = {.kv = m.w.kv, .n_kv = m.w.n_kv};
    assert_refused(&empty, SIZE_MAX, ERR_FILE, "vocabulary only");
    /* qwen2 without its biases */
    tiny_release(&m);
    spec = specs[2];
    spec.bias = false;
    tiny_init(&m, &spec);
    assert_refused(&m.w, SIZE_MAX, ERR_FILE, "attn_q.bias");
    tiny_release(&m);
    /* norms of heads that llama does not have, and that qwen3 must have */
    tiny_init(&m, &specs[MAIN_SPEC]);
    dims[0] = 16;
    gw_tensor(&m.w, "blk.0.attn_q_norm.weight", 1, dims, TENSOR_F32, zeros, 16 * 4);
    assert_refused(&m.w, SIZE_MAX, ERR_UNSUPPORTED, "attn_q_norm.weight");
    tiny_release(&m);
    spec = specs[MAIN_SPEC];
    spec.scaling = SCALING_NONE;
    tiny_init(&m, &spec);
    struct tiny_model as_qwen3 = {.s = m.s};
    as_qwen3.s.arch = "qwen3";
    tiny_metadata(&as_qwen3);
    tiny_vocabulary(&as_qwen3.w, 300);
    as_qwen3.w.table = m.w.table;
    as_qwen3.w.data = m.w.data;
    as_qwen3.w.n_tensors = m.w.n_tensors;
    assert_refused(&as_qwen3.w, SIZE_MAX, ERR_FILE, "attn_q_norm.weight");
    free(as_qwen3.w.kv.p);
    tiny_release(&m);
    /* factors for long contexts without those for short ones */
    spec = (struct tiny_spec){"phi3", "phi3", TENSOR_F32, 1, 64, 96, 2, 2, 32, 32, 300, 2048, true, false, SCALING_NONE};
    tiny_init(&m, &spec);
    dims[0] = 16;
    gw_tensor(&m.w, "rope_factors_long.weight", 1, dims, TENSOR_F32, zeros, 16 * 4);
    assert_refused(&m.w, SIZE_MAX, ERR_FILE, "rope_factors_short.weight");
    /* both, and zeros divide */
    gw_tensor(&m.w, "rope_factors_short.weight", 1, dims, TENSOR_F32, zeros, 16 * 4);
    assert_refused(&m.w, SIZE_MAX, ERR_FILE, "position embedding");
    tiny_release(&m);
    /* a vocabulary larger than the embedding */
    tiny_init(&m, &specs[0]);
    struct tiny_model other = {.s = m.s};
    tiny_metadata(&other);
    tiny_vocabulary(&other.w, 301);
    other.w.table = m.w.table;
    other.w.data = m.w.data;
    other.w.n_tensors = m.w.n_tensors;
    assert_refused(&other.w, SIZE_MAX, ERR_FILE, "301");
    free(other.w.kv.p);
    tiny_release(&m);
}

static void unknown_scalings_are_refused(void **state)
{
    (void)state;
    struct tiny_model m;

    tiny_init(&m, &specs[0]);
    gw_string(&m.w, "llama.rope.scaling.type", "yarn");
    gw_f32(&m.w, "llama.rope.scaling.factor", 4);
    assert_refused(&m.w, SIZE_MAX, ERR_UNSUPPORTED, "yarn");
    tiny_release(&m);
    tiny_init(&m, &specs[0]);
    gw_string(&m.w, "llama.rope.scaling.type", "linear");
    gw_f32(&m.w, "llama.rope.scaling.factor", 0);
    assert_refused(&m.w, SIZE_MAX, ERR_FILE, "rope.scaling.factor");
    tiny_release(&m);
    tiny_init(&m, &specs[0]);
    gw_u32(&m.w, "llama.expert_count", 8);
    assert_refused(&m.w, SIZE_MAX, ERR_UNSUPPORTED, "mixture of experts");
    tiny_release(&m);
}

static void truncated_files_are_refused(void **state)
{
    (void)state;
    struct tiny_model m;
    struct engine *engine;
    struct err e;
    size_t n;

    tiny_init(&m, &specs[0]);
    free(gw_finish(&m.w, &n));
    for (size_t limit = 0; limit < n - 32; limit += limit < 2000 ? 101 : 4001) {
        memset(&e, 0, sizeof(e));
        assert_int_equal(gw_save(&m.w, file, limit), 0);
        assert_int_not_equal(engine_open(&engine, file, &e), 0);
        assert_null(engine);
        assert_true(strlen(e.text) > strlen(file));
    }
    tiny_release(&m);
    assert_int_not_equal(engine_open(&engine, "/nonexistent/model.gguf", &e), 0);
    assert_null(engine);
    engine_free(NULL);
}

/* ---- what is said of a model --------------------------------------------------------------------------------------- */

/* Attention of phi3 may see a window only: contexts stay inside it. */
static void a_window_bounds_the_context(void **state)
{
    (void)state;
    struct tiny_model m;
    struct tiny_spec spec = {"phi3", "phi3", TENSOR_F32, 1, 64, 96, 2, 2, 32, 32, 300, 2048, true, false, SCALING_NONE};
    struct engine *engine;

    tiny_init(&m, &spec);
    gw_u32(&m.w, "phi3.attention.sliding_window", 1000);
    assert_int_equal(gw_save(&m.w, file, SIZE_MAX), 0);
    assert_int_equal(engine_open(&engine, file, NULL), 0);
    assert_int_equal(engine_info(engine)->ctx_train, 1000);
    engine_free(engine);
    tiny_release(&m);
}

static void info_describes_the_file(void **state)
{
    (void)state;
    struct tiny_model m;
    struct engine *engine = open_spec(&m, &specs[MAIN_SPEC]);
    const struct model_info *info = engine_info(engine);
    uint64_t n_params = 2 * 300 * 96 + 96 + 8 + 2 * (2 * 96 * 96 + 2 * 96 * 32 + 3 * 96 * 1056 + 2 * 96);

    assert_string_equal(info->path, file);
    assert_string_equal(info->arch, "llama");
    assert_string_equal(info->quant, "Q8_0"); /* no general.file_type: what most bytes are */
    assert_int_equal(info->n_vocab, 300);
    assert_int_equal(info->n_layer, 2);
    assert_int_equal(info->n_embd, 96);
    assert_int_equal(info->n_ff, 1056);
    assert_int_equal(info->n_head, 6);
    assert_int_equal(info->n_head_kv, 2);
    assert_int_equal(info->head_dim, 16);
    assert_int_equal(info->ctx_train, 2048);
    assert_int_equal(info->n_params, n_params);
    assert_true(info->file_bytes > n_params);
    assert_non_null(info->family);
    assert_int_equal(tokenizer_size(engine_tokenizer(engine)), 300);
    /* the cache alone: 2 layers of keys and values, 2 heads of 16, 2 bytes */
    assert_true(engine_session_bytes(engine, 1000, KV_F16) >= 1000 * 2 * 2 * 2 * 16 * 2);
    assert_true(engine_session_bytes(engine, 2000, KV_F16) > engine_session_bytes(engine, 1000, KV_F16));
    assert_non_null(engine_kernels());
    engine_free(engine);
    tiny_release(&m);

    tiny_init(&m, &specs[0]);
    gw_u32(&m.w, "general.file_type", 15);
    assert_int_equal(gw_save(&m.w, file, SIZE_MAX), 0);
    assert_int_equal(engine_open(&engine, file, NULL), 0);
    assert_string_equal(engine_info(engine)->quant, "Q4_K_M");
    engine_free(engine);
    tiny_release(&m);
    assert_true(engine_default_threads() >= 1);
    assert_true(engine_default_threads() <= (int)sysconf(_SC_NPROCESSORS_ONLN));
}

/* The name of a model whose file is called `as` and holds `general`. */
static void name_of(const char *as, const char *general, char out[128])
{
    struct tiny_model m;
    struct tiny_spec spec = specs[0];
    struct engine *engine;
    char path[192];

    spec.name = general;
    tiny_init(&m, &spec);
    snprintf(path, sizeof path, "%.*s/%s", (int)(strrchr(file, '/') - file), file, as);
    assert_int_equal(gw_save(&m.w, path, SIZE_MAX), 0);
    assert_int_equal(engine_open(&engine, path, NULL), 0);
    snprintf(out, 128, "%s", engine_info(engine)->name);
    engine_free(engine);
    tiny_release(&m);
    unlink(path);
}

static void a_model_goes_by_its_files_name(void **state)
{
    (void)state;
    char name[128], as[64];

    snprintf(as, sizeof as, "Some-Model.%s.gguf", tensor_type_name(specs[0].type));
    name_of(as, "training run 7", name);
    assert_string_equal(name, "Some-Model");
    name_of("Some-Model-Q9_X.gguf", "training run 7", name);
    assert_string_equal(name, "Some-Model-Q9_X");
    name_of("ggml-model-x.gguf", "training run 7", name);
    assert_string_equal(name, "training run 7");
    name_of("evil\x1b[31m\nname.gguf", "", name);
    assert_non_null(strstr(name, "name"));
    for (const char *c = name; *c; c++) assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
}

/* ---------------------------------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    const struct CMUnitTest bits[] = {
        cmocka_unit_test(prompt_does_not_depend_on_its_cuts),
        cmocka_unit_test(threads_do_not_change_results),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_match_the_reference),      cmocka_unit_test(prompt_does_not_depend_on_its_cuts),
        cmocka_unit_test(threads_do_not_change_results),   cmocka_unit_test(q8_0_cells_keep_the_promises_of_bits),
        cmocka_unit_test(q8_0_cells_are_near),
        cmocka_unit_test(tokens_at_once_equal_one_at_a_time),
        cmocka_unit_test(other_inner_loops_of_blas),       cmocka_unit_test(prefixes_are_reused),
        cmocka_unit_test(replies_become_prompt_when_kept), cmocka_unit_test(a_stopped_prompt_can_go_on),
        cmocka_unit_test(wrong_calls_change_nothing),      cmocka_unit_test(wrong_numbers_are_refused),
        cmocka_unit_test(wrong_tensors_are_refused),       cmocka_unit_test(unknown_scalings_are_refused),
        cmocka_unit_test(truncated_files_are_refused),     cmocka_unit_test(info_describes_the_file),
        cmocka_unit_test(a_model_goes_by_its_files_name),  cmocka_unit_test(a_window_bounds_the_context),
    };
    if (argc > 1 && !strcmp(argv[1], OTHER_BLAS)) return cmocka_run_group_tests(bits, make_folder, remove_folder);
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
