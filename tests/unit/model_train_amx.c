/*
 * model_train_amx.c - training's products in bf16 with the tile instructions in plain C: layouts and edges, by columns and by rows of the
 * right operand, added to what is there.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#if defined(__x86_64__)

#define GEMM_AMX_EMULATE 1
#include "../../src/model/train_amx.c"

#include <math.h>
#include <stdlib.h>

static uint32_t seed = 1;

/* A number that bf16 holds: sums of their products are exact in f32. */
static float next(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)((int)(seed >> 8) % 17 - 8);
}

static float *numbers(size_t n)
{
    float *x = malloc((n + 1) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = next();
    return x;
}

/* by_rows: b lies as k rows of n; otherwise as n rows of k. turned: a lies as k rows of m. */
static void check(int m, int n, int k, bool by_rows, bool add, bool turned)
{
    const int stride = (turned ? m : k) + 3, ldc = n + 5;
    float *a = numbers((size_t)(turned ? k : m) * (size_t)stride), *b = numbers((size_t)n * (size_t)k), *c = numbers((size_t)m * (size_t)ldc), *was = numbers((size_t)m * (size_t)ldc);
    uint16_t *left = aligned_alloc(64, 2 * train_amx_size(m, k) + 4096), *right = aligned_alloc(64, 2 * train_amx_size(n, k));

    assert_non_null(left);
    assert_non_null(right);
    memset(left, 0xff, 2 * train_amx_size(m, k)); /* what is not written would show */
    memset(right, 0xff, 2 * train_amx_size(n, k));
    memcpy(was, c, (size_t)m * (size_t)ldc * sizeof *c);
    for (int r = 0; r < train_amx_tiles(m, 16) * 16; r += 16) {
        if (turned) train_amx_left_columns(a, stride, m, k, r, left);
        else train_amx_left(a, stride, m, k, 0, r, left);
        /* and again what is behind half of it */
        if (!turned) train_amx_left(a, stride, m, k, k / 2, r, left);
    }
    for (int r = 0; r < (by_rows ? train_amx_tiles(k, 32) * 32 : train_amx_tiles(n, 16) * 16); r += by_rows ? 32 : 16) {
        if (by_rows) train_amx_right_rows(b + (size_t)r * (size_t)n, n, k - r, n, r, k, right);
        else train_amx_right_columns(b + (size_t)r * (size_t)k, n - r, k, r, right);
    }
    /* in pieces, as the pool has them */
    for (int r = 0; r < m; r += 64)
        for (int s = 0; s < n; s += 32) train_amx_multiply(left, right, k, r, r + 64 < m ? r + 64 : m, s, s + 32 < n ? s + 32 : n, c, ldc, add);
    for (int r = 0; r < m; r++)
        for (int s = 0; s < ldc; s++) {
            float want = s >= n || add ? was[(size_t)r * (size_t)ldc + (size_t)s] : 0;
            for (int i = 0; i < k && s < n; i++)
                want += a[turned ? (size_t)i * (size_t)stride + (size_t)r : (size_t)r * (size_t)stride + (size_t)i] * (by_rows ? b[(size_t)i * (size_t)n + (size_t)s] : b[(size_t)s * (size_t)k + (size_t)i]);
            float got = c[(size_t)r * (size_t)ldc + (size_t)s];
            if (got != want) fail_msg("%d x %d x %d, by rows %d, added %d, turned %d: [%d][%d] is %g, not %g", m, n, k, by_rows, add, turned, r, s, (double)got, (double)want);
        }
    free(a);
    free(b);
    free(c);
    free(was);
    free(left);
    free(right);
}

static void products_are_exact(void **state)
{
    (void)state;
    static const int shapes[][3] = {{1, 1, 1}, {16, 16, 32}, {32, 32, 32}, {33, 31, 30}, {70, 48, 100}, {64, 97, 33}, {5, 40, 700}, {96, 64, 1300}};

    if (!__builtin_cpu_supports("avx512bf16")) skip();
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int way = 0; way < 8; way++) check(shapes[i][0], shapes[i][1], shapes[i][2], way & 1, way & 2, way & 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(products_are_exact)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    return 0;
}

#endif
