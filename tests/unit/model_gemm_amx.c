/*
 * model_gemm_amx.c - the AMX form of the prompt's products with its tile instructions in plain C: layouts, edges, slabs. What
 * the instructions themselves do is left to the probe on a machine that has them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#if defined(__x86_64__)

#define GEMM_AMX_EMULATE 1
#include "../../src/model/gemm_amx.c"

#include <math.h>
#include <stdlib.h>

static float rounded(float x)
{
    uint32_t u = f32_bits(x);
    return f32_of_bits((u + 0x7fff + (u >> 16 & 1)) & 0xffff0000);
}

static uint32_t seed = 1;

static uint32_t next(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

/* Q4_1 weights with scales between 2^-7 and 2^-1, rows of n_in. */
static uint8_t *make_weights(int n_out, int n_in)
{
    size_t blocks = (size_t)n_out * (size_t)n_in / 32;
    uint8_t *w = malloc(blocks * 20);
    assert_non_null(w);
    for (size_t i = 0; i < blocks * 20; i++) w[i] = i % 20 == 1 || i % 20 == 3 ? (uint8_t)(0x20 | (next() & 0x97)) : (uint8_t)next();
    return w;
}

static void check(int n_out, int n_in, int m)
{
    size_t row_bytes = (size_t)n_in / 32 * 20;
    uint8_t *w = make_weights(n_out, n_in);
    float *x = malloc((size_t)m * (size_t)n_in * sizeof *x), *y = malloc((size_t)m * (size_t)n_out * sizeof *y);
    float *expanded = malloc((size_t)n_in * sizeof *expanded), *piece = malloc((size_t)m * (size_t)n_out * sizeof *piece);
    void *scratch = aligned_alloc(64, gemm_scratch_bytes());
    struct gemm_input *g;
    double error = 0, total = 0;

    assert_true(x && y && expanded && piece && scratch);
    assert_int_equal(gemm_input_new_for(&g, &gemm_amx, m, n_in, NULL), 0);
    for (int i = 0; i < m * n_in; i++) x[i] = (float)next() * 0x1p-23f - 1.0f;
    gemm_input_begin(g, n_in, false);
    for (int c = 0; c < m; c++) gemm_input_put(g, c, c + 1, 0, n_in, x + (size_t)c * (size_t)n_in, 0);
    gemm_rows(g, 0, m, TENSOR_Q4_1, w, row_bytes, 0, n_out, y, n_out, scratch);
    for (int r = 0; r < n_out; r++) {
        dequant_row(TENSOR_Q4_1, w + (size_t)r * row_bytes, expanded, n_in);
        for (int c = 0; c < m; c++) {
            double want = 0;
            for (int k = 0; k < n_in; k++) want += (double)rounded(expanded[k]) * (double)rounded(x[(size_t)c * (size_t)n_in + (size_t)k]);
            error += pow((double)y[(size_t)c * (size_t)n_out + (size_t)r] - want, 2);
            total += want * want;
        }
    }
    if (!(error < 1e-11 * total)) fail_msg("%d rows x %d of %d: %g of %g", n_out, m, n_in, error, total);
    /* in pieces: the same bits */
    int cut_c = m / 3, cut_r = n_out / 2;
    const int part[4][4] = {{cut_c, m, cut_r, n_out}, {0, cut_c, cut_r, n_out}, {cut_c, m, 0, cut_r}, {0, cut_c, 0, cut_r}};
    for (int i = 0; i < 4; i++)
        gemm_rows(g, part[i][0], part[i][1], TENSOR_Q4_1, w, row_bytes, part[i][2], part[i][3], piece + part[i][0] * n_out + part[i][2], n_out, scratch);
    assert_memory_equal(y, piece, (size_t)m * (size_t)n_out * sizeof *y);
    gemm_input_free(g);
    free(scratch);
    free(piece);
    free(expanded);
    free(y);
    free(x);
    free(w);
}

static void test_shapes(void **state)
{
    static const int m[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 23, 64, 70};
    (void)state;
    if (!__builtin_cpu_supports("avx512bf16")) skip();
    assert_int_equal(kernels_init(NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(m); i++) check(i % 2 ? 64 : 39, 96, m[i]);
    check(32, 1024, 32);
    check(33, 1056, 33);
    check(64, 2080, 64);
}

/* Every format: the bf16 nearest to what dequant_row gives (zeros of any sign), in the layout of the tiles. */
static void test_expand(void **state)
{
    static const struct {
        uint32_t type;
        size_t unit, bytes, halves[2]; /* where a block's f16 numbers lie; below 0x4000 they are finite and not large */
    } formats[] = {
        {TENSOR_Q4_0, 32, 18, {0, 0}},   {TENSOR_Q4_1, 32, 20, {0, 2}},   {TENSOR_Q5_0, 32, 22, {0, 0}},     {TENSOR_Q5_1, 32, 24, {0, 2}},
        {TENSOR_Q8_0, 32, 34, {0, 0}},   {TENSOR_Q4_K, 256, 144, {0, 2}}, {TENSOR_Q5_K, 256, 176, {0, 2}}, {TENSOR_Q6_K, 256, 210, {208, 208}},
    };
    enum { N = 512 };
    static uint8_t w[N / 32 * 34];
    static float expanded[N];
    static _Alignas(64) uint16_t got[N / 32][512];
    (void)state;
    if (!__builtin_cpu_supports("avx512bf16")) skip();
    assert_int_equal(kernels_init(NULL), 0);
    for (size_t f = 0; f < sizeof formats / sizeof formats[0]; f++)
        for (int round = 0; round < 20; round++) {
            for (size_t i = 0; i < sizeof w; i++) w[i] = (uint8_t)next();
            for (size_t b = 0; b < N / formats[f].unit; b++)
                for (int h = 0; h < 2; h++) w[b * formats[f].bytes + formats[f].halves[h] + 1] &= 0xbf;
            dequant_row(formats[f].type, w, expanded, N);
            gemm_expand_bf16(formats[f].type, w, N, got[0]);
            for (size_t i = 0; i < N; i++)
                if (expanded[i] != 0 || (got[i / 32][i % 32] & 0x7fff) != 0) assert_int_equal(got[i / 32][i % 32], f32_bits(rounded(expanded[i])) >> 16);
        }
}

static void test_probe(void **state)
{
    (void)state;
    if (!__builtin_cpu_supports("avx512bf16")) skip();
    assert_true(gemm_amx_usable());
    assert_true(gemm_amx_usable());
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(test_expand), cmocka_unit_test(test_probe)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    return 0;
}

#endif
