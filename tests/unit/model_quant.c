/*
 * model_quant.c - the storage formats: expanded values against an independent reading of the format in double and against those of the
 * format's own Python package, bit for bit in every kernel family, and f16 over all its values.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 20261123;

static uint32_t next_random(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 32);
}

static double half_value(const uint8_t *p)
{
    int h = p[0] | p[1] << 8, e = h >> 10 & 31, f = h & 1023;
    double v = e == 31 ? (f ? NAN : INFINITY) : e ? ldexp(1024 + f, e - 25) : ldexp(f, -24);
    return h & 0x8000 ? -v : v;
}

/* Bit b of a little-endian bit string. */
static int bit_of(const uint8_t *p, int b) { return p[b / 8] >> b % 8 & 1; }

/* Six bits of a K-quant's packed scale (which = 0) or minimum (1) of sub-block j, bit by bit from the format's description. */
static int packed_six(const uint8_t *s, int which, int j)
{
    if (j < 4) return s[j + 4 * which] % 64;
    int low = which ? s[j + 4] / 16 : s[j + 4] % 16;
    return low + 16 * (s[j - 4 + 4 * which] / 64);
}

static const int iq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/* Element i of a row. */
static double element(uint32_t type, const uint8_t *row, int64_t i)
{
    int j = (int)(i % 32), k = (int)(i % 256), sub = k / 32;
    switch (type) {
    case TENSOR_F32: {
        float v;
        memcpy(&v, row + 4 * i, 4);
        return v;
    }
    case TENSOR_F16: return half_value(row + 2 * i);
    case TENSOR_BF16: {
        uint8_t b[4] = {0, 0, row[2 * i], row[2 * i + 1]};
        float v;
        memcpy(&v, b, 4);
        return v;
    }
    case TENSOR_Q4_0: row += i / 32 * 18; return half_value(row) * ((row[2 + j % 16] >> (j / 16 * 4)) % 16 - 8);
    case TENSOR_Q4_1: row += i / 32 * 20; return half_value(row) * ((row[4 + j % 16] >> (j / 16 * 4)) % 16) + half_value(row + 2);
    case TENSOR_Q5_0: row += i / 32 * 22; return half_value(row) * ((row[6 + j % 16] >> (j / 16 * 4)) % 16 + 16 * bit_of(row + 2, j) - 16);
    case TENSOR_Q5_1:
        row += i / 32 * 24;
        return half_value(row) * ((row[8 + j % 16] >> (j / 16 * 4)) % 16 + 16 * bit_of(row + 4, j)) + half_value(row + 2);
    case TENSOR_Q8_0: row += i / 32 * 34; return half_value(row) * (int8_t)row[2 + j];
    case TENSOR_Q4_K:
    case TENSOR_Q5_K: {
        row += i / 256 * (type == TENSOR_Q4_K ? 144 : 176);
        const uint8_t *qs = row + (type == TENSOR_Q4_K ? 16 : 48) + sub / 2 * 32 + j;
        int q = sub % 2 ? *qs / 16 : *qs % 16;
        if (type == TENSOR_Q5_K) q += 16 * bit_of(row + 16 + j, sub);
        return half_value(row) * packed_six(row + 4, 0, sub) * q - half_value(row + 2) * packed_six(row + 4, 1, sub);
    }
    case TENSOR_Q6_K: {
        row += i / 256 * 210;
        int h = k / 128, l = k % 128;
        int low = row[h * 64 + l % 64] >> (l / 64 * 4) & 15;
        int high = row[128 + h * 32 + l % 32] >> (l / 32 * 2) & 3;
        return half_value(row + 208) * (int8_t)row[192 + k / 16] * (low + 16 * high - 32);
    }
    case TENSOR_Q2_K: {
        row += i / 256 * 84;
        int q = row[16 + k / 128 * 32 + j] / (1 << (2 * (sub % 4))) % 4, scale = row[k / 16];
        return half_value(row + 80) * (scale % 16) * q - half_value(row + 82) * (scale / 16);
    }
    case TENSOR_Q3_K: {
        row += i / 256 * 110;
        int q = row[32 + k / 128 * 32 + j] / (1 << (2 * (sub % 4))) % 4 + 4 * bit_of(row + j, sub) - 4, s = k / 16;
        int low = s < 8 ? row[96 + s] % 16 : row[96 + s - 8] / 16;
        int high = bit_of(row + 104 + s % 4, s / 4 * 2) + 2 * bit_of(row + 104 + s % 4, s / 4 * 2 + 1);
        return half_value(row + 108) * (low + 16 * high - 32) * q;
    }
    case TENSOR_IQ4_NL: row += i / 32 * 18; return half_value(row) * iq4[(row[2 + j % 16] >> (j / 16 * 4)) % 16];
    case TENSOR_IQ4_XS: {
        row += i / 256 * 136;
        int low = row[4 + sub / 2] >> (sub % 2 * 4) & 15, high = bit_of(row + 2, 2 * sub) + 2 * bit_of(row + 2, 2 * sub + 1);
        return half_value(row) * (low + 16 * high - 32) * iq4[(row[8 + 16 * sub + j % 16] >> (j / 16 * 4)) % 16];
    }
    case TENSOR_MXFP4: {
        /* sign, two bits of exponent, one of fraction */
        row += i / 32 * 17;
        int v = (row[1 + j % 16] >> (j / 16 * 4)) % 16, e = v / 2 % 4;
        double x = e ? ldexp(1 + v % 2 / 2.0, e - 1) : v % 2 / 2.0;
        return (v > 7 ? -1 : 1) * ldexp(x, row[0] - 127);
    }
    default: fail(); return 0;
    }
}

static const uint32_t types[] = {TENSOR_F32,  TENSOR_F16,  TENSOR_BF16, TENSOR_Q4_0, TENSOR_Q4_1, TENSOR_Q5_0,
                                 TENSOR_Q5_1, TENSOR_Q8_0, TENSOR_Q4_K, TENSOR_Q5_K, TENSOR_Q6_K, TENSOR_Q2_K,
                                 TENSOR_Q3_K, TENSOR_IQ4_NL, TENSOR_IQ4_XS, TENSOR_MXFP4};
static const char *const families[] = {"scalar", "avx2", "avx512"};

static bool use_family(const char *name)
{
    if (kernels_force(name)) return true;
    print_message("[  SKIP  ] %s: not on this CPU\n", name);
    return false;
}

static void check_row(uint32_t type, const uint8_t *row, int64_t n)
{
    float *out = malloc((size_t)(n + 1) * sizeof *out);
    assert_non_null(out);
    out[n] = 12345;
    dequant_row(type, row, out, n);
    for (int64_t i = 0; i < n; i++) {
        double want = element(type, row, i);
        if (isnan(want)) assert_true(isnan(out[i]));
        else if (out[i] != (float)want)
            fail_msg("%s of %s, element %d: %a, not %a", kernels_name(), tensor_type_name(type), (int)i, out[i], want);
    }
    assert_true(out[n] == 12345);
    free(out);
}

static void test_expand_random_rows(void **context)
{
    (void)context;
    for (size_t f = 0; f < ARRAY_LEN(families); f++) {
        if (!use_family(families[f])) continue;
        for (size_t t = 0; t < ARRAY_LEN(types); t++) {
            int64_t block = tensor_block_elements(types[t]);
            for (int64_t n = block; n < 4000; n += block < 32 ? 37 : block * 3) {
                size_t bytes = (size_t)(n / block * tensor_block_bytes(types[t]));
                uint8_t *row = malloc(bytes);    /* exactly as long as the row, so that a sanitiser sees a read behind it */
                assert_non_null(row);
                for (size_t i = 0; i < bytes; i++) row[i] = (uint8_t)next_random();    /* scales of any kind, inf and NaN too */
                check_row(types[t], row, n);
                free(row);
            }
        }
    }
}

/* One block with numbers worked out by hand. */
static void test_expand_by_hand(void **context)
{
    (void)context;
    uint8_t b[20] = {0x00, 0x38, 0x00, 0xbc};    /* d = 0.5, m = -1 */
    float out[32];
    for (int i = 0; i < 16; i++) b[4 + i] = (uint8_t)(i | (15 - i) << 4);
    for (size_t f = 0; f < ARRAY_LEN(families); f++) {
        if (!use_family(families[f])) continue;
        dequant_row(TENSOR_Q4_1, b, out, 32);
        for (int i = 0; i < 16; i++) {
            assert_true(out[i] == 0.5f * (float)i - 1);
            assert_true(out[16 + i] == 0.5f * (float)(15 - i) - 1);
        }
    }
}

static size_t from_hex(const char *text, uint8_t *out, size_t max)
{
    size_t n = 0;
    for (unsigned byte; n < max && sscanf(text + 2 * n, "%2x", &byte) == 1; n++) out[n] = (uint8_t)byte;
    return n;
}

/* Lines "TYPE NUMBER BLOCKS VALUES" in hex, made by the gguf package out of random blocks with sound scales. */
static void test_expand_as_the_package(void **context)
{
    (void)context;
    static char line[8192], blocks[2048], values[6144];
    static uint8_t row[1024], bytes[2048];
    float got[256], want[256];
    FILE *file = fopen("tests/vectors/dequant.txt", "r");
    unsigned type, n_lines = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#') continue;
        assert_int_equal(sscanf(line, "%*s %u %2047s %6143s", &type, blocks, values), 3);
        size_t n_bytes = from_hex(blocks, row, sizeof row), n = from_hex(values, bytes, sizeof bytes) / 4;
        assert_true(n > 0 && n <= 256);
        assert_int_equal(n_bytes, n / (size_t)tensor_block_elements(type) * (size_t)tensor_block_bytes(type));
        memcpy(want, bytes, n * sizeof *want);
        for (size_t f = 0; f < ARRAY_LEN(families); f++) {
            if (!use_family(families[f])) continue;
            dequant_row(type, row, got, (int64_t)n);
            for (size_t i = 0; i < n; i++)
                if (got[i] != want[i])
                    fail_msg("%s of %s, element %d: %a, not %a", kernels_name(), tensor_type_name(type), (int)i, got[i], want[i]);
        }
        n_lines++;
    }
    fclose(file);
    assert_int_equal(n_lines, 13);
}

static void test_supported_types(void **context)
{
    (void)context;
    for (size_t t = 0; t < ARRAY_LEN(types); t++) assert_true(kernel_supports(types[t]));
    assert_false(kernel_supports(15));    /* Q8_K: never in a file */
    assert_false(kernel_supports(16));    /* IQ2_XXS */
    assert_false(kernel_supports(UINT32_MAX));
}

static void test_f16_all_values(void **context)
{
    (void)context;
    static uint16_t in[65536], back[65536];
    static float wide[65536];
    for (int i = 0; i < 65536; i++) in[i] = (uint16_t)i;
    for (size_t f = 0; f < ARRAY_LEN(families); f++) {
        if (!use_family(families[f])) continue;
        f16_to_f32_row(in, wide, 65536);
        f32_to_f16_row(wide, back, 65536);
        for (int i = 0; i < 65536; i++) {
            uint8_t bytes[2] = {(uint8_t)i, (uint8_t)(i >> 8)};
            double want = half_value(bytes);
            if (isnan(want)) {
                assert_true(isnan(wide[i]));
                assert_int_equal(back[i], i | 0x200);    /* quiet now */
            } else {
                assert_true(wide[i] == (float)want && (signbit(wide[i]) != 0) == (i >> 15));
                assert_int_equal(back[i], i);
            }
        }
    }
}

/* The f16 nearest to v (finite, not negative, below 65520), ties to even: by looking at both neighbours. */
static uint16_t nearest_half(double v)
{
    int lo = 0, hi = 0x7c00;
    while (hi - lo > 1) {
        int mid = (lo + hi) / 2;
        uint8_t b[2] = {(uint8_t)mid, (uint8_t)(mid >> 8)};
        if (half_value(b) <= v) lo = mid;
        else hi = mid;
    }
    uint8_t a[2] = {(uint8_t)lo, (uint8_t)(lo >> 8)}, b[2] = {(uint8_t)hi, (uint8_t)(hi >> 8)};
    double below = v - half_value(a), above = (hi == 0x7c00 ? 65536 : half_value(b)) - v;
    return (uint16_t)(below < above || (below == above && lo % 2 == 0) ? lo : hi);
}

static void test_f16_rounding(void **context)
{
    (void)context;
    enum { N = 4096 };
    static float x[N + 8];
    static uint16_t h[N + 8];
    for (int i = 0; i < N; i++) {
        uint32_t bits = next_random() & 0x7fffffff;
        if (i % 4 == 1) bits = 0x33000000 + next_random() % 0x05800000;    /* about the smallest f16 */
        if (i % 4 == 2) bits = (next_random() % 0x0f800000 + 0x38000000) & 0xfffff000;    /* many ties */
        memcpy(&x[i], &bits, 4);
        if (!(x[i] < 65520)) x[i] = (float)i;
    }
    const float special[8] = {65519.996f, 65520.0f, 1e30f, INFINITY, -65520.0f, -0.0f, 0x1p-25f, 0x1.000002p-25f};
    const uint16_t want_special[8] = {0x7bff, 0x7c00, 0x7c00, 0x7c00, 0xfc00, 0x8000, 0x0000, 0x0001};
    memcpy(x + N, special, sizeof special);
    for (size_t f = 0; f < ARRAY_LEN(families); f++) {
        if (!use_family(families[f])) continue;
        f32_to_f16_row(x, h, N + 8);
        for (int i = 0; i < N; i++)
            if (h[i] != nearest_half(x[i])) fail_msg("%s: %a became %04x, not %04x", kernels_name(), x[i], h[i], nearest_half(x[i]));
        for (int i = 0; i < 8; i++) assert_int_equal(h[N + i], want_special[i]);
        for (int64_t n = 1; n < 20; n++) {    /* ends of rows */
            uint16_t some[21];
            some[n] = 0xabcd;
            f32_to_f16_row(x, some, n);
            assert_memory_equal(some, h, (size_t)n * 2);
            assert_int_equal(some[n], 0xabcd);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_supported_types), cmocka_unit_test(test_expand_by_hand), cmocka_unit_test(test_expand_random_rows),
        cmocka_unit_test(test_expand_as_the_package),
        cmocka_unit_test(test_f16_all_values),  cmocka_unit_test(test_f16_rounding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
