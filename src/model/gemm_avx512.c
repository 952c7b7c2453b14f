/*
 * gemm_avx512.c - the prompt's products with AVX-512 VNNI.
 *
 * A tile is the 32 rows of a panel, one a lane of two vectors, times 6 columns: 12 integer and 12 float accumulators, weights loaded
 * once for 6 columns, 4 activations broadcast for 32 rows (vpdpbusd of q + 128 and signed weights, begun at the panel's `init`).
 * No sum goes across lanes, so the sums are those of the definition.
 */
#include "model/gemm_impl.h"

#ifdef KERNELS_X86

#include <immintrin.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")
#endif

#define COLUMNS 6

/* The whole panel times N columns from c0 on. */
ALWAYS_INLINE void tile(bool halves, bool min, bool mid, int N, const struct gemm_slab *s, int c0)
{
    const struct gemm_input *g = s->g;
    const struct gemm_panel *p = s->panel;
    const int64_t n = g->n / 32, stride = g->stride;
    const uint8_t *q = gemm_q(g, c0) + 32 * s->b0;
    const float *scales = gemm_scales(g, c0) + s->b0;
    const uint32_t here = s->rows < GEMM_PANEL ? (1u << s->rows) - 1 : 0xffffffff;
    const __mmask16 mask[2] = {(__mmask16)here, (__mmask16)(here >> 16)};
    float *y = s->y + (c0 - s->lo) * s->y_stride;
    __m512 acc[2 * COLUMNS];

    UNROLL for (int i = 0; i < 2 * N; i++)
        acc[i] = s->first ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(mask[i % 2], y + i / 2 * s->y_stride + 16 * (i % 2));
    for (int b = 0; b < s->blocks; b++) {
        UNROLL for (int h = 0; h <= halves; h++) {
            const int at = halves ? 2 * b + h : b, steps = halves ? 4 : 8;
            __m512i t[2 * COLUMNS];
            UNROLL for (int i = 0; i < 2 * N; i++) t[i] = _mm512_load_si512(&p->init[at][16 * (i % 2)]);
            UNROLL for (int k = 0; k < steps; k++) {
                const __m512i w0 = _mm512_load_si512(p->w[8 * b + 4 * h + k]), w1 = _mm512_load_si512(p->w[8 * b + 4 * h + k][16]);
                UNROLL for (int c = 0; c < N; c++) {
                    const __m512i a = _mm512_set1_epi32((int)load_u32(q + c * stride + 32 * b + 16 * h + 4 * k));
                    t[2 * c] = _mm512_dpbusd_epi32(t[2 * c], a, w0);
                    t[2 * c + 1] = _mm512_dpbusd_epi32(t[2 * c + 1], a, w1);
                }
            }
            const __m512 d0 = _mm512_load_ps(p->d[at]), d1 = _mm512_load_ps(p->d[at] + 16);
            UNROLL for (int c = 0; c < N; c++) {
                const __m512 scale = _mm512_set1_ps(scales[c * 3 * n + b]);
                acc[2 * c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(t[2 * c]), _mm512_mul_ps(d0, scale), acc[2 * c]);
                acc[2 * c + 1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(t[2 * c + 1]), _mm512_mul_ps(d1, scale), acc[2 * c + 1]);
            }
        }
        if (min) {
            const __m512 m0 = _mm512_load_ps(p->m[b]), m1 = _mm512_load_ps(p->m[b] + 16);
            UNROLL for (int c = 0; c < N; c++) {
                const __m512 sum = _mm512_set1_ps(scales[(c * 3 + 1) * n + b]);
                acc[2 * c] = _mm512_fmadd_ps(m0, sum, acc[2 * c]);
                acc[2 * c + 1] = _mm512_fmadd_ps(m1, sum, acc[2 * c + 1]);
            }
        }
        if (mid) {
            const __m512 dw0 = _mm512_load_ps(p->dw[b]), dw1 = _mm512_load_ps(p->dw[b] + 16);
            UNROLL for (int c = 0; c < N; c++) {
                const __m512 middle = _mm512_set1_ps(scales[(c * 3 + 2) * n + b]);
                acc[2 * c] = _mm512_fmadd_ps(dw0, middle, acc[2 * c]);
                acc[2 * c + 1] = _mm512_fmadd_ps(dw1, middle, acc[2 * c + 1]);
            }
        }
    }
    UNROLL for (int i = 0; i < 2 * N; i++) _mm512_mask_storeu_ps(y + i / 2 * s->y_stride + 16 * (i % 2), mask[i % 2], acc[i]);
}

#define MULTIPLY(name, halves, min, mid) \
    static void multiply_##name(const struct gemm_slab *s, int c0, int c1) \
    { \
        for (int c = c0; c < c1; c += COLUMNS) \
            switch (c1 - c) { \
            case 1: tile(halves, min, mid, 1, s, c); break; \
            case 2: tile(halves, min, mid, 2, s, c); break; \
            case 3: tile(halves, min, mid, 3, s, c); break; \
            case 4: tile(halves, min, mid, 4, s, c); break; \
            case 5: tile(halves, min, mid, 5, s, c); break; \
            default: tile(halves, min, mid, 6, s, c); break; \
            } \
    }

MULTIPLY(plain, false, false, false)
MULTIPLY(mid, false, false, true)
MULTIPLY(min, false, true, false)
MULTIPLY(min_mid, false, true, true)
MULTIPLY(halves, true, false, false)
MULTIPLY(halves_mid, true, false, true)

static void multiply(const struct gemm_slab *s, int c0, int c1)
{
    const bool mid = s->g->mid;
    if (s->format->halves) (mid ? multiply_halves_mid : multiply_halves)(s, c0, c1);
    else if (s->format->min) (mid ? multiply_min_mid : multiply_min)(s, c0, c1);
    else (mid ? multiply_mid : multiply_plain)(s, c0, c1);
}

const struct gemm_family gemm_avx512 = {
    .name = "avx512",
    .element = 1,
    .put = gemm_put_avx2,
    .expand = gemm_expand_avx2,
    .multiply = multiply,
};

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
