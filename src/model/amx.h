/*
 * amx.h - the tile instructions of AMX, for files that multiply with them. What stands between this and AMX_END is compiled for a machine that
 * has them; whoever includes it comes behind gemm_impl.h and the system's headers. With GEMM_AMX_EMULATE they are plain C, for tests on other machines: one thread, and bf16 products summed in f32.
 *
 * TILE_DOT(c, a, b): c [16][16] f32 += a [16][32] bf16 times b, 16 pairs of elements side by side of each of 16 columns.
 */
#ifndef PONDER_AMX_H
#define PONDER_AMX_H

#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("amx-tile,amx-bf16,avx512bf16,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#define AMX_END _Pragma("clang attribute pop")
#else
#pragma GCC push_options
#pragma GCC target("amx-tile,amx-bf16,avx512bf16,avx512f,avx512bw,avx512dq,avx512vl")
#define AMX_END _Pragma("GCC pop_options")
#endif

#define TILE_FLOATS 256

/* Palette 1: 8 tiles of 16 rows of 64 bytes. */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};
_Static_assert(sizeof(struct tile_config) == 64, "as ldtilecfg reads it");

#ifdef GEMM_AMX_EMULATE
static float emulated[8][16][16];
#define TILE_CONFIG(c) ((void)(c))
#define TILE_RELEASE() ((void)0)
#define TILE_ZERO(t) memset(emulated[t], 0, sizeof emulated[t])
#define TILE_LOAD(t, p, stride) \
    for (size_t row_ = 0; row_ < 16; row_++) memcpy(emulated[t][row_], (const char *)(p) + row_ * (size_t)(stride), 64)
#define TILE_STORE(t, p, stride) \
    for (size_t row_ = 0; row_ < 16; row_++) memcpy((char *)(p) + row_ * (size_t)(stride), emulated[t][row_], 64)
#define TILE_DOT(c, a, b) emulated_dot(emulated[c], emulated[a], emulated[b])
static void emulated_dot(float c[16][16], float a[16][16], float b[16][16])
{
    for (int m = 0; m < 16; m++)
        for (int k = 0; k < 16; k++)
            for (int n = 0; n < 16; n++) {
                uint32_t x = f32_bits(a[m][k]), w = f32_bits(b[k][n]);
                c[m][n] += f32_of_bits(x << 16) * f32_of_bits(w << 16) + f32_of_bits(x & 0xffff0000) * f32_of_bits(w & 0xffff0000);
            }
}
#else
/* The compilers' tile intrinsics do not say that they touch memory. */
#define MEMORY() __asm__ volatile("" ::: "memory")
#define TILE_CONFIG(c) _tile_loadconfig(c)
#define TILE_RELEASE() _tile_release()
#define TILE_ZERO(t) _tile_zero(t)
#define TILE_LOAD(t, p, stride) \
    do { \
        MEMORY(); \
        _tile_loadd(t, p, stride); \
    } while (0)
#define TILE_STORE(t, p, stride) \
    do { \
        _tile_stored(t, p, stride); \
        MEMORY(); \
    } while (0)
#define TILE_DOT(c, a, b) _tile_dpbf16ps(c, a, b)
#endif

ALWAYS_INLINE __m512i bf16_pairs(const float *x)
{
    __m512bh v = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + 16), _mm512_loadu_ps(x));
    __m512i i;
    memcpy(&i, &v, sizeof i);
    return i;
}

/* Column k of out: dword k of each of the 16 vectors. */
ALWAYS_INLINE void transpose_16(__m512i v[16])
{
    __m512i a[16];
    UNROLL for (int i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    UNROLL for (int i = 0; i < 16; i += 4) {
        v[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
        v[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
        v[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
        v[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    /* v[4g + j] has, in its 128-bit lane l, dword 4l + j of rows 4g to 4g + 3 */
    UNROLL for (int j = 0; j < 4; j++) {
        __m512i low = _mm512_shuffle_i32x4(v[j], v[4 + j], 0x44), high = _mm512_shuffle_i32x4(v[j], v[4 + j], 0xee);
        __m512i low2 = _mm512_shuffle_i32x4(v[8 + j], v[12 + j], 0x44), high2 = _mm512_shuffle_i32x4(v[8 + j], v[12 + j], 0xee);
        a[j] = _mm512_shuffle_i32x4(low, low2, 0x88);
        a[4 + j] = _mm512_shuffle_i32x4(low, low2, 0xdd);
        a[8 + j] = _mm512_shuffle_i32x4(high, high2, 0x88);
        a[12 + j] = _mm512_shuffle_i32x4(high, high2, 0xdd);
    }
    UNROLL for (int i = 0; i < 16; i++) v[i] = a[i];
}

static void configure(void)
{
    struct tile_config c = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        c.row_bytes[i] = 64;
        c.rows[i] = 16;
    }
    TILE_CONFIG(&c);
}

#endif
