/* What single architectures ask of a file: the windows of gemma3, the convolutions of lfm2. Their arithmetic is in model_engine.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine_help.h"

/* One layer of gemma3, whose file says nothing of windows yet. */
static void init_gemma(struct tiny_model *m)
{
    static const struct tiny_spec spec = {"gemma3", "gemma3", TENSOR_F32, 1, 64, 96, 2, 2, 32, 32, 300, 2048, true, false, SCALING_NONE};
    tiny_init(m, &spec);
}

/* Files may list which layers have a window. */
static void windows_may_be_listed(void **state)
{
    (void)state;
    for (uint32_t has = 0; has < 2; has++) {
        struct tiny_model m;
        struct engine *engine;
        int32_t ids[45];
        struct err e = {0};
        init_gemma(&m);
        gw_u32(&m.w, "gemma3.attention.sliding_window", 8);
        gw_f32(&m.w, "gemma3.rope.freq_base_swa", TINY_LOCAL_BASE);
        gw_array(&m.w, "gemma3.attention.sliding_window_pattern", 4, 1);
        gw_put_u32(&m.w.kv, has);
        m.layers[0].window = has ? 8 : 0;
        assert_int_equal(gw_save(&m.w, file, SIZE_MAX), 0);
        if (engine_open(&engine, file, &e)) fail_msg("%s", e.text);
        struct session *s = new_session(engine, 64, 1);
        fill_ids(ids, 45, 300);
        double *want = tiny_forward(&m, ids, 45);
        struct comparison c = {.want = want, .n_vocab = 300};
        assert_int_equal(session_score(s, ids, 45, false, compare_row, &c, &e), 0);
        assert_true(c.worst < 2e-4);
        free(want);
        session_free(s);
        engine_free(engine);
        tiny_release(&m);
    }
}

static void wrong_windows_are_refused(void **state)
{
    (void)state;
    struct tiny_model m;

    init_gemma(&m);
    gw_u32(&m.w, "gemma3.attention.sliding_window", UINT32_MAX);
    assert_refused(&m.w, SIZE_MAX, ERR_FILE, "attention.sliding_window");
    tiny_release(&m);
    init_gemma(&m);
    gw_u32(&m.w, "gemma3.attention.sliding_window", 8);
    gw_array(&m.w, "gemma3.attention.sliding_window_pattern", 4, 2);
    gw_put_u64(&m.w.kv, 0);
    assert_refused(&m.w, SIZE_MAX, ERR_FILE, "2 entries for 1 layers");
    tiny_release(&m);
    init_gemma(&m);
    gw_u32(&m.w, "gemma3.attention.sliding_window", 8);
    gw_f32(&m.w, "gemma3.rope.freq_base_swa", 0);
    assert_refused(&m.w, SIZE_MAX, ERR_FILE, "freq_base_swa");
    tiny_release(&m);
    init_gemma(&m);
    gw_f32(&m.w, "gemma3.final_logit_softcapping", 30);
    assert_refused(&m.w, SIZE_MAX, ERR_UNSUPPORTED, "final_logit_softcapping");
    tiny_release(&m);
}

/* A file of lfm2 with these key/value heads of its layers. */
static void assert_heads_refused(const struct tiny_model *m, int n, const uint32_t *heads, int taps, int code, const char *why)
{
    struct tiny_spec spec = m->s;
    spec.arch = "lfm2";
    struct gguf_writer w = {.table = m->w.table, .data = m->w.data, .n_tensors = m->w.n_tensors};

    gw_string(&w, "general.architecture", "lfm2");
    gw_u32(&w, "lfm2.block_count", (uint32_t)spec.n_layer);
    gw_u32(&w, "lfm2.context_length", 2048);
    gw_u32(&w, "lfm2.embedding_length", (uint32_t)spec.n_embd);
    gw_u32(&w, "lfm2.feed_forward_length", (uint32_t)spec.n_ff);
    gw_u32(&w, "lfm2.attention.head_count", (uint32_t)spec.n_head);
    gw_array(&w, "lfm2.attention.head_count_kv", 4, (uint64_t)n);
    for (int i = 0; i < n; i++) gw_put_u32(&w.kv, heads[i]);
    gw_f32(&w, "lfm2.attention.layer_norm_rms_epsilon", 1e-5f);
    gw_u32(&w, "lfm2.shortconv.l_cache", (uint32_t)taps);
    tiny_vocabulary(&w, 300);
    assert_refused(&w, SIZE_MAX, code, why);
    free(w.kv.p);
}

static void wrong_convolutions_are_refused(void **state)
{
    (void)state;
    static const struct tiny_spec spec = {"lfm2", "lfm2", TENSOR_F32, 3, 64, 96, 4, 2, 16, 16, 300, 2048, true, false, SCALING_NONE};
    struct tiny_model m;

    tiny_init(&m, &spec);
    assert_heads_refused(&m, 2, (const uint32_t[]){0, 2}, 3, ERR_FILE, "2 entries for 3 layers");
    assert_heads_refused(&m, 3, (const uint32_t[]){0, 0, 0}, 3, ERR_FILE, "zero for all layers");
    assert_heads_refused(&m, 3, (const uint32_t[]){0, 2, 4}, 3, ERR_UNSUPPORTED, "differs between layers");
    assert_heads_refused(&m, 3, (const uint32_t[]){0, 2, 1 << 20}, 3, ERR_FILE, "small numbers");
    assert_heads_refused(&m, 3, (const uint32_t[]){0, 2, 0}, 4, ERR_UNSUPPORTED, "over 4 positions");
    assert_heads_refused(&m, 3, (const uint32_t[]){2, 2, 0}, 3, ERR_FILE, "blk.0.attn_q.weight");
    assert_heads_refused(&m, 3, (const uint32_t[]){0, 0, 2}, 3, ERR_FILE, "blk.1.shortconv.in_proj.weight");
    tiny_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_may_be_listed),
        cmocka_unit_test(wrong_windows_are_refused),
        cmocka_unit_test(wrong_convolutions_are_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
