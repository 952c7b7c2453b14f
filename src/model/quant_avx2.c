/*
 * quant_avx2.c - expanding rows to f32 with AVX2, for the AVX2 and AVX-512 families: stores are the limit, not arithmetic.
 *
 * Bit for bit what quant_dequant does: the product d * q is exact, so that a fused multiply-add rounds as a plain one.
 */
#include "model/kernels_impl.h"

#ifdef KERNELS_X86

#include <immintrin.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

ALWAYS_INLINE __m256i load_32(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
ALWAYS_INLINE __m128i load_16(const void *p) { return _mm_loadu_si128((const __m128i *)p); }
ALWAYS_INLINE __m256i low_nibbles(__m256i v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }
ALWAYS_INLINE __m256i high_nibbles(__m256i v) { return low_nibbles(_mm256_srli_epi16(v, 4)); }

ALWAYS_INLINE void store_8(__m128i q, float d, float m, float *out)
{
    _mm256_storeu_ps(out, _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)), _mm256_set1_ps(d), _mm256_set1_ps(m)));
}

/* 32 signed bytes; d0 scales the first 16, d1 the others. */
ALWAYS_INLINE void store_32(__m256i q, float d0, float d1, float m, float *out)
{
    __m128i a = _mm256_castsi256_si128(q), b = _mm256_extracti128_si256(q, 1);
    store_8(a, d0, m, out);
    store_8(_mm_srli_si128(a, 8), d0, m, out + 8);
    store_8(b, d1, m, out + 16);
    store_8(_mm_srli_si128(b, 8), d1, m, out + 24);
}

ALWAYS_INLINE float half_at(const uint8_t *p) { return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(load_u16(p)))); }

/* 16 bytes of nibbles: elements 0..15, then 16..31. */
ALWAYS_INLINE __m256i nibbles_16(const uint8_t *p)
{
    __m128i v = load_16(p);
    return low_nibbles(_mm256_inserti128_si256(_mm256_castsi128_si256(v), _mm_srli_epi16(v, 4), 1));
}

/* Bit i of bits as 16 in byte i. */
ALWAYS_INLINE __m256i fifth_bits(uint32_t bits)
{
    const __m256i byte = _mm256_set_epi64x(0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0);
    const __m256i bit = _mm256_set1_epi64x((int64_t)0x8040201008040201);
    __m256i v = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), byte), bit);
    return _mm256_and_si256(_mm256_cmpeq_epi8(v, bit), _mm256_set1_epi8(16));
}

static void dequant_q4_0(const uint8_t *row, float *out, int64_t n)
{
    const struct block_q4_0 *b = (const struct block_q4_0 *)row;
    for (int64_t i = 0; i < n / 32; i++, b++) {
        float d = half_at(b->d);
        store_32(_mm256_sub_epi8(nibbles_16(b->qs), _mm256_set1_epi8(8)), d, d, 0, out + 32 * i);
    }
}

static void dequant_q4_1(const uint8_t *row, float *out, int64_t n)
{
    const struct block_q4_1 *b = (const struct block_q4_1 *)row;
    for (int64_t i = 0; i < n / 32; i++, b++) {
        float d = half_at(b->d);
        store_32(nibbles_16(b->qs), d, d, half_at(b->m), out + 32 * i);
    }
}

static void dequant_q5_0(const uint8_t *row, float *out, int64_t n)
{
    const struct block_q5_0 *b = (const struct block_q5_0 *)row;
    for (int64_t i = 0; i < n / 32; i++, b++) {
        float d = half_at(b->d);
        __m256i q = _mm256_or_si256(nibbles_16(b->qs), fifth_bits(load_u32(b->qh)));
        store_32(_mm256_sub_epi8(q, _mm256_set1_epi8(16)), d, d, 0, out + 32 * i);
    }
}

static void dequant_q5_1(const uint8_t *row, float *out, int64_t n)
{
    const struct block_q5_1 *b = (const struct block_q5_1 *)row;
    for (int64_t i = 0; i < n / 32; i++, b++) {
        float d = half_at(b->d);
        store_32(_mm256_or_si256(nibbles_16(b->qs), fifth_bits(load_u32(b->qh))), d, d, half_at(b->m), out + 32 * i);
    }
}

static void dequant_q8_0(const uint8_t *row, float *out, int64_t n)
{
    const struct block_q8_0 *b = (const struct block_q8_0 *)row;
    for (int64_t i = 0; i < n / 32; i++, b++) {
        float d = half_at(b->d);
        store_32(load_32(b->qs), d, d, 0, out + 32 * i);
    }
}

static void dequant_q4_k(const uint8_t *row, float *out, int64_t n)
{
    const struct block_q4_k *b = (const struct block_q4_k *)row;
    for (int64_t i = 0; i < n / 256; i++, b++)
        for (int s = 0; s < 8; s++) {
            int sc, mn;
            k_scale_min(b->scales, s, &sc, &mn);
            float d = half_at(b->d) * (float)sc, m = -(half_at(b->dmin) * (float)mn);
            __m256i qs = load_32(b->qs + s / 2 * 32);
            store_32(s % 2 ? high_nibbles(qs) : low_nibbles(qs), d, d, m, out + 256 * i + 32 * s);
        }
}

static void dequant_q5_k(const uint8_t *row, float *out, int64_t n)
{
    const struct block_q5_k *b = (const struct block_q5_k *)row;
    for (int64_t i = 0; i < n / 256; i++, b++) {
        const __m256i qh = load_32(b->qh);
        for (int s = 0; s < 8; s++) {
            int sc, mn;
            k_scale_min(b->scales, s, &sc, &mn);
            float d = half_at(b->d) * (float)sc, m = -(half_at(b->dmin) * (float)mn);
            const __m256i qs = load_32(b->qs + s / 2 * 32), bit = _mm256_set1_epi8((char)(1 << s));
            __m256i fifth = _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(qh, bit), bit), _mm256_set1_epi8(16));
            store_32(_mm256_or_si256(s % 2 ? high_nibbles(qs) : low_nibbles(qs), fifth), d, d, m, out + 256 * i + 32 * s);
        }
    }
}

static void dequant_q6_k(const uint8_t *row, float *out, int64_t n)
{
    const struct block_q6_k *b = (const struct block_q6_k *)row;
    for (int64_t i = 0; i < n / 256; i++, b++) {
        const float d = half_at(b->d);
        for (int s = 0; s < 8; s++) {
            const __m256i ql = load_32(b->ql + s / 4 * 64 + s % 2 * 32);
            __m256i qh = _mm256_srl_epi16(load_32(b->qh + s / 4 * 32), _mm_cvtsi32_si128(s % 4 * 2));
            qh = _mm256_slli_epi16(_mm256_and_si256(qh, _mm256_set1_epi8(3)), 4);
            __m256i q = _mm256_or_si256(s % 4 / 2 ? high_nibbles(ql) : low_nibbles(ql), qh);
            store_32(_mm256_sub_epi8(q, _mm256_set1_epi8(32)), d * (float)b->scales[2 * s], d * (float)b->scales[2 * s + 1], 0,
                     out + 256 * i + 32 * s);
        }
    }
}

/* Bits 2p and 2p + 1 of 32 bytes. */
ALWAYS_INLINE __m256i two_bits(const uint8_t *qs, int p)
{
    return _mm256_and_si256(_mm256_srl_epi16(load_32(qs), _mm_cvtsi32_si128(2 * p)), _mm256_set1_epi8(3));
}

static void dequant_q2_k(const uint8_t *row, float *out, int64_t n)
{
    const struct block_q2_k *b = (const struct block_q2_k *)row;
    for (int64_t i = 0; i < n / 256; i++, b++) {
        const float d = half_at(b->d), dmin = half_at(b->dmin);
        for (int s = 0; s < 8; s++) {
            __m256i q = two_bits(b->qs + s / 4 * 32, s % 4);
            __m128i halves[2] = {_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1)};
            for (int k = 0; k < 2; k++) {
                int sc = b->scales[2 * s + k] & 15, mn = b->scales[2 * s + k] >> 4;
                float *to = out + 256 * i + 32 * s + 16 * k;
                store_8(halves[k], d * (float)sc, -(dmin * (float)mn), to);
                store_8(_mm_srli_si128(halves[k], 8), d * (float)sc, -(dmin * (float)mn), to + 8);
            }
        }
    }
}

static void dequant_q3_k(const uint8_t *row, float *out, int64_t n)
{
    const struct block_q3_k *b = (const struct block_q3_k *)row;
    for (int64_t i = 0; i < n / 256; i++, b++) {
        const __m256i hmask = load_32(b->hmask);
        const float d = half_at(b->d);
        for (int s = 0; s < 8; s++) {
            const __m256i bit = _mm256_set1_epi8((char)(1 << s));
            /* 4 is taken off where the bit is not set */
            __m256i off = _mm256_andnot_si256(_mm256_cmpeq_epi8(_mm256_and_si256(hmask, bit), bit), _mm256_set1_epi8(4));
            __m256i q = _mm256_sub_epi8(two_bits(b->qs + s / 4 * 32, s % 4), off);
            store_32(q, d * (float)q3_k_scale(b->scales, 2 * s), d * (float)q3_k_scale(b->scales, 2 * s + 1), 0, out + 256 * i + 32 * s);
        }
    }
}

ALWAYS_INLINE __m256i look_up(const uint8_t *qs, const int8_t values[16])
{
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load_16(values)), nibbles_16(qs));
}

static void dequant_iq4_nl(const uint8_t *row, float *out, int64_t n)
{
    const struct block_iq4_nl *b = (const struct block_iq4_nl *)row;
    for (int64_t i = 0; i < n / 32; i++, b++) {
        float d = half_at(b->d);
        store_32(look_up(b->qs, iq4_values), d, d, 0, out + 32 * i);
    }
}

static void dequant_iq4_xs(const uint8_t *row, float *out, int64_t n)
{
    const struct block_iq4_xs *b = (const struct block_iq4_xs *)row;
    for (int64_t i = 0; i < n / 256; i++, b++)
        for (int s = 0; s < 8; s++) {
            float d = half_at(b->d) * (float)iq4_xs_scale(b, s);
            store_32(look_up(b->qs + 16 * s, iq4_values), d, d, 0, out + 256 * i + 32 * s);
        }
}

static void dequant_mxfp4(const uint8_t *row, float *out, int64_t n)
{
    const struct block_mxfp4 *b = (const struct block_mxfp4 *)row;
    for (int64_t i = 0; i < n / 32; i++, b++) {
        float d = mxfp4_scale(b->e);
        store_32(look_up(b->qs, mxfp4_values), d, d, 0, out + 32 * i);
    }
}

static void dequant_f16(const uint8_t *row, float *out, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(out + i, _mm256_cvtph_ps(load_16(row + 2 * i)));
    for (; i < n; i++) out[i] = load_f16(row + 2 * i);
}

static void dequant_bf16(const uint8_t *row, float *out, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_16(row + 2 * i)), 16)));
    for (; i < n; i++) out[i] = f32_of_bits((uint32_t)load_u16(row + 2 * i) << 16);
}

dequant_fn *dequant_avx2(uint32_t type)
{
    switch (type) {
    case TENSOR_F16: return dequant_f16;
    case TENSOR_BF16: return dequant_bf16;
    case TENSOR_Q4_0: return dequant_q4_0;
    case TENSOR_Q4_1: return dequant_q4_1;
    case TENSOR_Q5_0: return dequant_q5_0;
    case TENSOR_Q5_1: return dequant_q5_1;
    case TENSOR_Q8_0: return dequant_q8_0;
    case TENSOR_Q4_K: return dequant_q4_k;
    case TENSOR_Q5_K: return dequant_q5_k;
    case TENSOR_Q6_K: return dequant_q6_k;
    case TENSOR_Q2_K: return dequant_q2_k;
    case TENSOR_Q3_K: return dequant_q3_k;
    case TENSOR_IQ4_NL: return dequant_iq4_nl;
    case TENSOR_IQ4_XS: return dequant_iq4_xs;
    case TENSOR_MXFP4: return dequant_mxfp4;
    default: return NULL;
    }
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
