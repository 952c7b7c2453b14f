/*
 * kernels_avx2_rows.c - what is done to whole vectors: fixed point, f16, norm, gate; with AVX2, for the AVX2 and AVX-512 families.
 *
 * These run once a matrix or less, next to the thousands of rows of gemv_rows: half the width costs nothing that can be measured.
 */
#include "model/kernels_impl.h"

#ifdef KERNELS_X86

#include <immintrin.h>
#include <math.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

#include "model/kernels_exp_avx2.h"

/* ---- fixed point ------------------------------------------------------------------------------------------------------ */

ALWAYS_INLINE int32_t sum_i32(__m256i v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, _MM_SHUFFLE(1, 0, 3, 2)));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, _MM_SHUFFLE(2, 3, 0, 1))));
}

/* Scale and inverse of a block, as prepare_block of kernels_scalar.c has them. */
ALWAYS_INLINE bool block_scale(const __m256 x[4], float *scale, float *inverse)
{
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256i top = _mm256_setzero_si256();
    UNROLL for (int i = 0; i < 4; i++) top = _mm256_max_epi32(top, _mm256_and_si256(_mm256_castps_si256(x[i]), magnitude));
    __m128i t = _mm_max_epi32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1));
    t = _mm_max_epi32(t, _mm_shuffle_epi32(t, _MM_SHUFFLE(1, 0, 3, 2)));
    t = _mm_max_epi32(t, _mm_shuffle_epi32(t, _MM_SHUFFLE(2, 3, 0, 1)));
    uint32_t bits = (uint32_t)_mm_cvtsi128_si32(t);
    float amax = f32_of_bits(bits);
    *scale = *inverse = 0;
    if (bits >= 0x7f800000) {
        *scale = f32_of_bits(0x7fc00000);
        return false;
    }
    if (amax >= ACT_TINY) {
        *scale = amax / (float)ACT_Q_MAX;
        *inverse = (float)ACT_Q_MAX / amax;
    }
    return true;
}

ALWAYS_INLINE void store_planes(struct act *a, int64_t at, __m256i q0, __m256i q1)
{
    const __m256i round = _mm256_set1_epi16(128);
    __m256i h0 = _mm256_srai_epi16(_mm256_add_epi16(q0, round), 8), h1 = _mm256_srai_epi16(_mm256_add_epi16(q1, round), 8);
    __m256i l0 = _mm256_sub_epi16(q0, _mm256_slli_epi16(h0, 8)), l1 = _mm256_sub_epi16(q1, _mm256_slli_epi16(h1, 8));
    __m256i plane[2] = {_mm256_permute4x64_epi64(_mm256_packs_epi16(h0, h1), _MM_SHUFFLE(3, 1, 2, 0)),
                        _mm256_permute4x64_epi64(_mm256_packs_epi16(l0, l1), _MM_SHUFFLE(3, 1, 2, 0))};
    int64_t group = at / 128 * 256, unit = at % 128 / 32;
    UNROLL for (int i = 0; i < 2; i++) {
        int64_t p = group + 64 * i;
        _mm256_storeu_si256((__m256i *)(void *)(a->nat + p + unit / 2 * 128 + unit % 2 * 32), plane[i]);
        _mm_storeu_si128((__m128i *)(void *)(a->half + p + unit * 16), _mm256_castsi256_si128(plane[i]));
        _mm_storeu_si128((__m128i *)(void *)(a->half + p + 128 + unit * 16), _mm256_extracti128_si256(plane[i], 1));
    }
}

static void prepare_block(struct act *a, int64_t at)
{
    __m256 x[4];
    __m256i q[4];
    float scale, inverse;
    UNROLL for (int i = 0; i < 4; i++) x[i] = _mm256_loadu_ps(a->x + at + 8 * i);
    bool finite = block_scale(x, &scale, &inverse);
    UNROLL for (int i = 0; i < 4; i++)
        q[i] = finite ? _mm256_cvtps_epi32(_mm256_mul_ps(x[i], _mm256_set1_ps(inverse))) : _mm256_setzero_si256();
    __m256i q0 = _mm256_permute4x64_epi64(_mm256_packs_epi32(q[0], q[1]), _MM_SHUFFLE(3, 1, 2, 0));
    __m256i q1 = _mm256_permute4x64_epi64(_mm256_packs_epi32(q[2], q[3]), _MM_SHUFFLE(3, 1, 2, 0));
    _mm256_storeu_si256((__m256i *)(void *)(a->q + at), q0);
    _mm256_storeu_si256((__m256i *)(void *)(a->q + at + 16), q1);
    store_planes(a, at, q0, q1);

    const __m256i one = _mm256_set1_epi16(1);
    __m256i twos0 = _mm256_madd_epi16(q0, one), twos1 = _mm256_madd_epi16(q1, one);
    int32_t sum0 = sum_i32(twos0), sum1 = sum_i32(twos1);
    a->s32[at / 32] = a->s16[at / 16] = a->s16[at / 16 + 1] = scale;
    a->sum32[at / 32] = scale * (float)(sum0 + sum1);
    a->off16[at / 16] = -32.0f * (scale * (float)sum0);
    a->off16[at / 16 + 1] = -32.0f * (scale * (float)sum1);
    int64_t k = at / 256 * 16 + at % 256 / 32;
    a->k5[k] = scale;
    a->k5[k + 8] = a->sum32[at / 32];
}

void prepare_avx2(struct act *a, int col)
{
    for (int64_t i = 0; i < a->n; i += 32) prepare_block(a, col * a->stride + i);
}

/* ---- f16 ---------------------------------------------------------------------------------------------------------------- */

void f32_to_f16_avx2(const float *x, uint16_t *out, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(void *)(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < n; i++) out[i] = f16_of_f32(x[i]);
}

void f16_to_f32_avx2(const uint16_t *x, float *out, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(x + i))));
    for (; i < n; i++) out[i] = f16_value(x[i]);
}

/* ---- norm and gate ------------------------------------------------------------------------------------------------------- */

/* Lanes below n are all ones. */
ALWAYS_INLINE __m256i first_lanes(int64_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0));
}

void rms_norm_avx2(const float *x, const float *weight, float *out, int64_t n, float eps)
{
    __m256d s0 = _mm256_setzero_pd(), s1 = _mm256_setzero_pd();
    for (int64_t i = 0; i < n; i += 8) {
        __m256 v = n - i >= 8 ? _mm256_loadu_ps(x + i) : _mm256_maskload_ps(x + i, first_lanes(n - i));
        __m256d lo = _mm256_cvtps_pd(_mm256_castps256_ps128(v)), hi = _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
        s0 = _mm256_fmadd_pd(lo, lo, s0);
        s1 = _mm256_fmadd_pd(hi, hi, s1);
    }
    s0 = _mm256_add_pd(s0, s1);
    __m128d s = _mm_add_pd(_mm256_castpd256_pd128(s0), _mm256_extractf128_pd(s0, 1));
    double sum = _mm_cvtsd_f64(_mm_add_sd(s, _mm_unpackhi_pd(s, s)));
    float factor = (float)(1.0 / sqrt(sum / (double)n + (double)eps));
    const __m256 f = _mm256_set1_ps(factor);
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), f), _mm256_loadu_ps(weight + i)));
    for (; i < n; i++) out[i] = x[i] * factor * weight[i];
}

void add_avx2(const float *x, float *y, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(y + i), _mm256_loadu_ps(x + i)));
    for (; i < n; i++) y[i] += x[i];
}

void swiglu_avx2(const float *gate, const float *up, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i += 8) {
        const bool whole = n - i >= 8;
        const __m256i lanes = first_lanes(n - i);
        __m256 g = whole ? _mm256_loadu_ps(gate + i) : _mm256_maskload_ps(gate + i, lanes);
        __m256 u = whole ? _mm256_loadu_ps(up + i) : _mm256_maskload_ps(up + i, lanes);
        __m256 e = exp_8(_mm256_sub_ps(_mm256_setzero_ps(), g));
        __m256 v = _mm256_mul_ps(_mm256_div_ps(g, _mm256_add_ps(e, _mm256_set1_ps(1.0f))), u);
        if (whole) _mm256_storeu_ps(out + i, v);
        else _mm256_maskstore_ps(out + i, lanes, v);
    }
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
