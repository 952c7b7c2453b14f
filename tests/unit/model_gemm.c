/*
 * model_gemm.c - the prompt's products: every family against the definition in plain C and against exact arithmetic.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/gemm.h"
#include "model/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct type {
    uint32_t type;
    const char *name;
    int unit;                /* elements */
    int bytes;               /* of a unit */
    int halves[2];           /* where its f16 scales are; -1 none */
} types[] = {
    {TENSOR_Q4_0, "Q4_0", 32, 18, {0, -1}},    {TENSOR_Q4_1, "Q4_1", 32, 20, {0, 2}},     {TENSOR_Q5_0, "Q5_0", 32, 22, {0, -1}},
    {TENSOR_Q5_1, "Q5_1", 32, 24, {0, 2}},     {TENSOR_Q8_0, "Q8_0", 32, 34, {0, -1}},    {TENSOR_Q4_K, "Q4_K", 256, 144, {0, 2}},
    {TENSOR_Q5_K, "Q5_K", 256, 176, {0, 2}},   {TENSOR_Q6_K, "Q6_K", 256, 210, {208, -1}},
};
static const char *const fast[] = {"avx2", "avx512"};

static uint32_t seed;

static uint32_t next(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

static float uniform(void)
{
    return (float)next() * 0x1p-23f - 1.0f;
}

/* Any bytes are weights; only scales must not be inf or NaN. */
static uint8_t *make_weights(const struct type *t, int n_out, int n_in, size_t *row_bytes)
{
    *row_bytes = (size_t)(n_in / t->unit * t->bytes);
    size_t bytes = *row_bytes * (size_t)n_out;
    uint8_t *w = malloc(bytes);
    assert_non_null(w);
    for (size_t i = 0; i < bytes; i++) w[i] = (uint8_t)next();
    for (size_t at = 0; at < bytes; at += (size_t)t->bytes)
        for (int i = 0; i < 2; i++)
            if (t->halves[i] >= 0) w[at + (size_t)t->halves[i] + 1] = (uint8_t)(0x18 | (next() & 0x83));
    return w;
}

static float *make_rows(int m, int n)
{
    float *x = malloc((size_t)m * (size_t)n * sizeof *x);
    assert_non_null(x);
    /* blocks of very different size, some one-sided, some with a single large number */
    for (int i = 0; i < m * n / 32; i++) {
        float size = exp2f((float)(next() % 12) - 6), shift = next() % 4 ? 0 : 2;
        for (int k = 0; k < 32; k++) x[32 * i + k] = size * (uniform() + shift);
        if (next() % 8 == 0) x[32 * i + (int)(next() % 32)] = 40 * size;
    }
    return x;
}

static void *scratch_new(void)
{
    void *p = aligned_alloc(64, gemm_scratch_bytes());
    assert_non_null(p);
    return p;
}

/* y [m][n_out], by one family. */
static float *product(const char *family, const struct type *t, const uint8_t *w, size_t row_bytes, int n_out, int n_in, const float *x, int m, bool mid)
{
    struct gemm_input *g;
    float *y = malloc((size_t)m * (size_t)n_out * sizeof *y);
    void *scratch = scratch_new();
    assert_non_null(y);
    assert_true(kernels_force(family));
    assert_int_equal(gemm_input_new(&g, m, n_in, NULL), 0);
    gemm_input_begin(g, n_in, mid);
    /* in pieces: their bounds must not matter */
    for (int i = 0; i < m; i++) gemm_input_put(g, i, i + 1, 0, 32, x + (size_t)i * (size_t)n_in, 0);
    gemm_input_put(g, 0, m, 32, n_in - 32, x + 32, n_in);
    memset(y, 0xff, (size_t)m * (size_t)n_out * sizeof *y);
    gemm_rows(g, 0, m, t->type, w, row_bytes, 0, n_out, y, n_out, scratch);
    gemm_input_free(g);
    free(scratch);
    return y;
}

static void same_as_scalar(const struct type *t, int n_out, int n_in, int m, bool mid)
{
    size_t row_bytes, bytes = (size_t)m * (size_t)n_out * sizeof(float);
    uint8_t *w = make_weights(t, n_out, n_in, &row_bytes);
    float *x = make_rows(m, n_in), *want = product("scalar", t, w, row_bytes, n_out, n_in, x, m, mid);
    for (size_t f = 0; f < ARRAY_LEN(fast); f++) {
        if (!kernels_force(fast[f])) continue;
        float *y = product(fast[f], t, w, row_bytes, n_out, n_in, x, m, mid);
        if (memcmp(want, y, bytes)) fail_msg("%s, %s, %d rows x %d of %d, %s", fast[f], t->name, n_out, m, n_in, mid ? "mid" : "plain");
        free(y);
    }
    free(want);
    free(x);
    free(w);
}

static void test_families_agree(void **state)
{
    static const int rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 23, 64, 512};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        const struct type *t = &types[i];
        for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
            int n_out = rows[k] > 64 ? 33 : 70;
            seed = (uint32_t)(i * 100 + k);
            same_as_scalar(t, n_out, t->unit == 32 ? 96 : 256, rows[k], k % 2);
        }
        for (int mid = 0; mid < 2; mid++) {
            same_as_scalar(t, 32, t->unit == 32 ? 576 : 768, 7, mid);    /* more than a slab */
            same_as_scalar(t, 1, t->unit == 32 ? 1056 : 2304, 2, mid);
            same_as_scalar(t, 9, t->unit, 13, mid);
        }
    }
}

/* What activations and weights stand for, in double. */
static void test_near_exact(void **state)
{
    enum { N_OUT = 40, N_IN = 768, M = 9 };
    static float expanded[N_IN];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        double error[2] = {0, 0}, total = 0;
        size_t row_bytes;
        seed = (uint32_t)i;
        uint8_t *w = make_weights(&types[i], N_OUT, N_IN, &row_bytes);
        float *x = make_rows(M, N_IN);
        float *y[2] = {product("scalar", &types[i], w, row_bytes, N_OUT, N_IN, x, M, false),
                       product("scalar", &types[i], w, row_bytes, N_OUT, N_IN, x, M, true)};
        for (int r = 0; r < N_OUT; r++) {
            dequant_row(types[i].type, w + (size_t)r * row_bytes, expanded, N_IN);
            for (int c = 0; c < M; c++) {
                double exact = 0;
                for (int k = 0; k < N_IN; k++) exact += (double)expanded[k] * (double)x[c * N_IN + k];
                total += exact * exact;
                for (int mid = 0; mid < 2; mid++) error[mid] += pow((double)y[mid][c * N_OUT + r] - exact, 2);
            }
        }
        /* 8 bits of a block whose largest number is up to 40 times the usual */
        if (error[0] > 3e-4 * total || error[1] > 0.8 * error[0]) fail_msg("%s: %g and %g of %g", types[i].name, error[0], error[1], total);
        for (int k = 0; k < 2; k++) free(y[k]);
        free(x);
        free(w);
    }
}

/* The same bits for rows and columns asked for in pieces, at other places, in another order. */
static void test_independent_of_cuts(void **state)
{
    enum { N_OUT = 100, N_IN = 768, M = 29 };
    static const char *const all[] = {"scalar", "avx2", "avx512"};
    static float piece[M][N_OUT];
    (void)state;
    for (size_t f = 0; f < ARRAY_LEN(all); f++) {
        for (size_t i = 0; i < ARRAY_LEN(types); i++) {
            size_t row_bytes;
            if (!kernels_force(all[f])) continue;
            seed = 5;
            uint8_t *w = make_weights(&types[i], N_OUT, N_IN, &row_bytes);
            float *x = make_rows(M, N_IN), *want = product(all[f], &types[i], w, row_bytes, N_OUT, N_IN, x, M, true);
            struct gemm_input *g;
            void *scratch = scratch_new();
            assert_int_equal(gemm_input_new(&g, M + 5, 1024, NULL), 0);
            gemm_input_begin(g, N_IN, true);
            for (int c = M - 1; c >= 0; c--) gemm_input_put(g, c + 5, c + 6, 0, N_IN, x + c * N_IN, 0);
            static const int cut_c[] = {0, 1, 12, 15, M}, cut_r[] = {0, 37, 64, 65, N_OUT};
            for (int a = 3; a >= 0; a--)
                for (int b = 0; b < 4; b++)
                    gemm_rows(g, 5 + cut_c[a], 5 + cut_c[a + 1], types[i].type, w, row_bytes, cut_r[b], cut_r[b + 1],
                              &piece[cut_c[a]][cut_r[b]], N_OUT, scratch);
            if (memcmp(want, piece, sizeof piece)) fail_msg("%s, %s", all[f], types[i].name);
            gemm_input_free(g);
            free(scratch);
            free(want);
            free(x);
            free(w);
        }
    }
}

static void test_bad_numbers(void **state)
{
    static const float bad[] = {INFINITY, -INFINITY, NAN, 3.4e38f, -0.0f, 1e-40f};
    static const char *const all[] = {"scalar", "avx2", "avx512"};
    enum { N_IN = 256, M = 7 };
    (void)state;
    for (size_t f = 0; f < ARRAY_LEN(all); f++) {
        if (!kernels_force(all[f])) continue;
        for (size_t i = 0; i < ARRAY_LEN(types); i++) {
            size_t row_bytes;
            seed = 9;
            uint8_t *w = make_weights(&types[i], 3, N_IN, &row_bytes);
            float *x = calloc(M * N_IN, sizeof *x);
            assert_non_null(x);
            for (size_t b = 0; b < ARRAY_LEN(bad); b++) x[b * N_IN + 40] = bad[b];
            x[3 * N_IN + 41] = -3.4e38f;
            for (int k = 0; k < 64; k++) x[6 * N_IN + k] = 1e6f;                   /* a block without spread */
            for (int mid = 0; mid < 2; mid++) {
                float *y = product(all[f], &types[i], w, row_bytes, 3, N_IN, x, M, mid), *want = product("scalar", &types[i], w, row_bytes, 3, N_IN, x, M, mid);
                for (int r = 0; r < 3; r++) {
                    for (int c = 0; c < 4; c++) assert_true(isnan(y[3 * c + r]));
                    for (int c = 4; c < 6; c++) assert_true(fabsf(y[3 * c + r]) < 1e-20f);
                    assert_true(y[18 + r] == want[18 + r]);
                    assert_true(y[18 + r] != 0);
                }
                free(y);
                free(want);
            }
            free(x);
            free(w);
        }
    }
}

static void test_refusals(void **state)
{
    struct gemm_input *g;
    struct err e;
    float y = 7;
    void *scratch = scratch_new();
    static const float x[64];
    static const uint8_t w[1024];
    (void)state;
    assert_int_equal(gemm_input_new(&g, 0, 64, &e), ERR_INVALID);
    assert_null(g);
    assert_int_equal(gemm_input_new(&g, 1, 0, NULL), ERR_INVALID);
    assert_int_equal(gemm_input_new(&g, 1, (int64_t)1 << 40, NULL), ERR_INVALID);
    assert_false(gemm_supports(TENSOR_F32, 256));
    assert_false(gemm_supports(TENSOR_Q4_K, 128));
    assert_false(gemm_supports(TENSOR_Q4_1, 40));
    assert_false(gemm_supports(TENSOR_Q4_1, 0));
    assert_true(gemm_supports(TENSOR_Q4_1, 96) && gemm_supports(TENSOR_Q6_K, 512));
    /* what gemm_rows cannot do it does not begin */
    assert_int_equal(gemm_input_new(&g, 1, 64, NULL), 0);
    gemm_input_begin(g, 96, false);
    gemm_input_put(g, 0, 1, 0, 96, x, 0);
    gemm_rows(g, 0, 1, TENSOR_Q4_1, w, 40, 0, 1, &y, 1, scratch);
    gemm_input_begin(g, 64, false);
    gemm_input_put(g, 0, 1, 0, 64, x, 0);
    gemm_input_put(g, 1, 2, 0, 64, x, 0);
    gemm_input_put(g, 0, 1, 32, 64, x, 0);
    gemm_input_put(g, 0, 1, 16, 32, x, 0);
    gemm_rows(g, 0, 2, TENSOR_Q4_1, w, 40, 0, 1, &y, 1, scratch);
    gemm_rows(g, 0, 1, TENSOR_Q4_K, w, 40, 0, 1, &y, 1, scratch);
    gemm_rows(g, 0, 1, TENSOR_F32, w, 256, 0, 1, &y, 1, scratch);
    assert_true(y == 7);
    gemm_rows(g, 0, 1, TENSOR_Q4_1, w, 40, 0, 1, &y, 1, scratch);
    assert_true(y == 0);
    gemm_input_free(g);
    gemm_input_free(NULL);
    free(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families_agree),
        cmocka_unit_test(test_near_exact),
        cmocka_unit_test(test_independent_of_cuts),
        cmocka_unit_test(test_bad_numbers),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
