/* What bench measures, on a tiny model: the work of a token counted by hand, the time of stages, and a roof that is a roof. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/kernels_peak.h"
#include "model/model.h"
#include "tiny_model.h"

#include <unistd.h>

static char file[] = "/tmp/ponder-measure-XXXXXX";
static struct tiny_model tiny;
static struct engine *engine;
static const struct tiny_spec spec = {"llama q8", "llama", TENSOR_Q8_0, 2, 96, 160, 6, 2, 16, 16, 300, 2048, false, false, SCALING_NONE};

static int set_up(void **state)
{
    (void)state;
    int fd = mkstemp(file);
    if (fd < 0) return -1;
    close(fd);
    tiny_init(&tiny, &spec);
    if (gw_save(&tiny.w, file, SIZE_MAX)) return -1;
    return engine_open(&engine, file, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    engine_free(engine);
    tiny_release(&tiny);
    return unlink(file);
}

static struct session *new_session(int n_threads)
{
    struct session *s;
    assert_int_equal(session_new(&s, engine, 512, n_threads, KV_F16, NULL), 0);
    return s;
}

static void cost_of_a_token(void **state)
{
    (void)state;
    struct token_cost none, some;
    const double row = 34.0 / 32; /* bytes of an element of Q8_0 */

    engine_token_cost(engine, 0, &none);
    engine_token_cost(engine, 100, &some);
    assert_true(none.ops[STAGE_QKV] == 2 * 2 * 96 * (96 + 32 + 32));
    assert_true(none.bytes[STAGE_QKV] == 2 * 96 * (96 + 32 + 32) * row);
    assert_true(none.bytes[STAGE_OUT] == 2 * 96 * 96 * row);
    assert_true(none.bytes[STAGE_GATE_UP] == 2 * 2 * 96 * 160 * row);
    assert_true(none.bytes[STAGE_DOWN] == 2 * 96 * 160 * row);
    assert_true(none.bytes[STAGE_VOCABULARY] >= 300 * 96 * row);
    assert_true(none.bytes[STAGE_ATTENTION] == 0 && none.ops[STAGE_ATTENTION] == 0);
    /* two layers, keys and values of two heads of 16, two bytes each; six query heads */
    assert_true(some.bytes[STAGE_ATTENTION] == 100 * 2 * 2 * 2 * 16 * 2);
    assert_true(some.ops[STAGE_ATTENTION] == 100 * 2 * 2 * 2 * 6 * 16);
    assert_true(some.bytes[STAGE_QKV] == none.bytes[STAGE_QKV]);
}

static int64_t total(const struct session_profile *p)
{
    int64_t us = 0;
    for (int i = 0; i < STAGE_COUNT; i++) us += p->us[i];
    return us;
}

/* Runs a prompt and some tokens; microseconds that it took. */
static int64_t work(struct session *s, float *logits)
{
    int32_t ids[300];
    int64_t since = clock_mono_us();

    for (int i = 0; i < 300; i++) ids[i] = i * 7 % 300;
    session_truncate(s, 0);
    assert_int_equal(session_sync(s, ids, 300, NULL, NULL, NULL, NULL), 0);
    for (int i = 0; i < 60; i++) assert_int_equal(session_decode(s, ids + i, 1, NULL), 0);
    int64_t us = clock_mono_us() - since;
    memcpy(logits, session_logits(s), 300 * sizeof(float));
    return us;
}

static void stages_add_up(void **state)
{
    (void)state;
    static float plain[300], measured[300];
    struct session_profile p, before;

    for (int threads = 1; threads <= 3; threads++) {
        struct session *s = new_session(threads);
        work(s, plain);
        session_set_profile(s, &p);
        assert_int_equal(total(&p), 0);
        int64_t us = work(s, measured);
        /* every stage is seen, and nothing is counted twice; readings are whole microseconds */
        for (int i = 0; i < STAGE_COUNT; i++) {
            assert_true(p.us[i] > 0);
            assert_in_range(p.waiting_us[i], 0, p.us[i] + 1000);
        }
        assert_in_range(total(&p), 1, us);
        assert_memory_equal(plain, measured, sizeof plain);
        if (threads == 1)
            for (int i = 0; i < STAGE_COUNT; i++) assert_int_equal(p.waiting_us[i], 0);
        session_set_profile(s, NULL);
        before = p;
        work(s, plain);
        assert_memory_equal(&before, &p, sizeof p);
        session_free(s);
    }
}

static void stages_have_names(void **state)
{
    (void)state;
    assert_string_equal(session_stage_name(STAGE_QKV), "qkv");
    assert_string_equal(session_stage_name(STAGE_BETWEEN), "between");
    assert_string_equal(session_stage_name(STAGE_COUNT), "");
}

static void roof_is_sane(void **state)
{
    (void)state;
    struct session *s = new_session(2);
    struct roof r;

    assert_int_equal(session_measure_roof(s, &r, NULL), 0);
    assert_true(r.read_gbps > 0.05 && r.read_gbps < 5000);
    assert_true(r.read_bytes >= (size_t)1 << 20);
    assert_non_null(r.instructions);
    if (r.instructions[0]) assert_true(r.multiply_gops > 0.1 && r.multiply_gops < 1e6);
    else assert_true(r.multiply_gops == 0);
    session_free(s);
}

static void peaks_of_the_families(void **state)
{
    (void)state;
    assert_null(kernel_peak_of("scalar"));
    assert_null(kernel_peak_of("abacus"));
#if defined(__x86_64__)
    static const char *const names[] = {"avx2", "avx512", "amx"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct kernel_peak *p = kernel_peak_of(names[i]);
        assert_non_null(p);
        assert_string_equal(p->family, names[i]);
        if (kernels_force(names[i])) p->run(1000);
    }
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cost_of_a_token),  cmocka_unit_test(stages_add_up), cmocka_unit_test(stages_have_names),
        cmocka_unit_test(roof_is_sane),     cmocka_unit_test(peaks_of_the_families),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
