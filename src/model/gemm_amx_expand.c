/*
 * gemm_amx_expand.c - rows of quantised weights to bf16, for the tiles of AMX.
 *
 * The bf16 nearest to what dequant_row gives, bit for bit. Formats of 4 and 5 bits go through a table: a block has 16 or 32
 * different values, which are computed and rounded once and then looked up for all of its elements.
 */
#include "model/gemm_impl.h"

#ifdef KERNELS_X86

#include <immintrin.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
#endif

#include "model/kernels_k_avx512.h"

/* From one group of 32 elements to the next of the same row in a tile's layout. */
#define STEP 512

ALWAYS_INLINE __m512i bf16_of(__m512 low, __m512 high)
{
    __m512bh v = _mm512_cvtne2ps_pbh(high, low);
    __m512i i;
    memcpy(&i, &v, sizeof i);
    return i;
}

ALWAYS_INLINE __m512 count_16(void) { return _mm512_set_ps(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0); }
ALWAYS_INLINE __m512 half_all(const uint8_t *p) { return _mm512_cvtph_ps(_mm256_set1_epi16((short)load_u16(p))); }
ALWAYS_INLINE __m256i load_32(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }

/* 16 bytes of nibbles as words: low ones, then high ones. */
ALWAYS_INLINE __m512i nibble_words(const uint8_t *p)
{
    __m256i w = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_and_si256(w, _mm256_set1_epi16(15))), _mm256_srli_epi16(w, 4), 1);
}

/* The values d * (q + from) + m for q = 0 to 15. */
ALWAYS_INLINE __m512 table_16(__m512 d, __m512 m, float from) { return _mm512_fmadd_ps(_mm512_add_ps(count_16(), _mm512_set1_ps(from)), d, m); }

static void expand_q4_0(const uint8_t *w, int n, uint16_t *out)
{
    const struct block_q4_0 *b = (const struct block_q4_0 *)w;
    for (int i = 0; i < n; i += 32, b++, out += STEP) {
        const __m512 t = table_16(half_all(b->d), _mm512_setzero_ps(), -8);
        _mm512_store_si512(out, _mm512_permutexvar_epi16(nibble_words(b->qs), bf16_of(t, t)));
    }
}

static void expand_q4_1(const uint8_t *w, int n, uint16_t *out)
{
    const struct block_q4_1 *b = (const struct block_q4_1 *)w;
    for (int i = 0; i < n; i += 32, b++, out += STEP) {
        const __m512 t = table_16(half_all(b->d), half_all(b->m), 0);
        _mm512_store_si512(out, _mm512_permutexvar_epi16(nibble_words(b->qs), bf16_of(t, t)));
    }
}

ALWAYS_INLINE void store_q5(const uint8_t *qs, uint32_t fifth, __m512 d, __m512 m, float from, uint16_t *out)
{
    const __m512i nibbles = nibble_words(qs), q = _mm512_mask_add_epi16(nibbles, fifth, nibbles, _mm512_set1_epi16(16));
    _mm512_store_si512(out, _mm512_permutexvar_epi16(q, bf16_of(table_16(d, m, from), table_16(d, m, from + 16))));
}

static void expand_q5_0(const uint8_t *w, int n, uint16_t *out)
{
    const struct block_q5_0 *b = (const struct block_q5_0 *)w;
    for (int i = 0; i < n; i += 32, b++, out += STEP) store_q5(b->qs, load_u32(b->qh), half_all(b->d), _mm512_setzero_ps(), -16, out);
}

static void expand_q5_1(const uint8_t *w, int n, uint16_t *out)
{
    const struct block_q5_1 *b = (const struct block_q5_1 *)w;
    for (int i = 0; i < n; i += 32, b++, out += STEP) store_q5(b->qs, load_u32(b->qh), half_all(b->d), half_all(b->m), 0, out);
}

/* 32 signed bytes, the first 16 scaled by d0, the others by d1. */
ALWAYS_INLINE void store_bytes(__m256i q, __m512 d0, __m512 d1, uint16_t *out)
{
    const __m512 low = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm256_castsi256_si128(q)));
    const __m512 high = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm256_extracti128_si256(q, 1)));
    _mm512_store_si512(out, bf16_of(_mm512_mul_ps(low, d0), _mm512_mul_ps(high, d1)));
}

static void expand_q8_0(const uint8_t *w, int n, uint16_t *out)
{
    const struct block_q8_0 *b = (const struct block_q8_0 *)w;
    for (int i = 0; i < n; i += 32, b++, out += STEP) {
        const __m512 d = half_all(b->d);
        store_bytes(load_32((const uint8_t *)b->qs), d, d, out);
    }
}

/* Lane `lane` of v everywhere. */
ALWAYS_INLINE __m512 lane_all(__m512 v, int lane) { return _mm512_permutexvar_ps(_mm512_set1_epi32(lane), v); }

ALWAYS_INLINE __m512 k_table(__m512 scales, int j, float from)
{
    return _mm512_fmsub_ps(_mm512_add_ps(count_16(), _mm512_set1_ps(from)), lane_all(scales, j), lane_all(scales, 8 + j));
}

static void expand_q4_k(const uint8_t *w, int n, uint16_t *out)
{
    for (int i = 0; i < n; i += 256, w += sizeof(struct block_q4_k)) {
        const __m512 scales = k_scales(w);
        UNROLL for (int j = 0; j < 4; j++, out += 2 * STEP) {
            const __m512i words = _mm512_cvtepu8_epi16(load_32(w + 16 + 32 * j));
            const __m512i table = bf16_of(k_table(scales, 2 * j, 0), k_table(scales, 2 * j + 1, 0));
            _mm512_store_si512(out, _mm512_permutexvar_epi16(_mm512_and_si512(words, _mm512_set1_epi16(15)), table));
            _mm512_store_si512(out + STEP, _mm512_permutexvar_epi16(_mm512_or_si512(_mm512_srli_epi16(words, 4), _mm512_set1_epi16(16)), table));
        }
    }
}

static void expand_q5_k(const uint8_t *w, int n, uint16_t *out)
{
    for (int i = 0; i < n; i += 256, w += sizeof(struct block_q5_k)) {
        const __m512 scales = k_scales(w);
        const __m256i fifth = load_32(w + 16);
        UNROLL for (int s = 0; s < 8; s++, out += STEP) {
            __m512i q = _mm512_cvtepu8_epi16(load_32(w + 48 + s / 2 * 32));
            q = s % 2 ? _mm512_srli_epi16(q, 4) : _mm512_and_si512(q, _mm512_set1_epi16(15));
            q = _mm512_mask_add_epi16(q, _mm256_test_epi8_mask(fifth, _mm256_set1_epi8((char)(1 << s))), q, _mm512_set1_epi16(16));
            _mm512_store_si512(out, _mm512_permutexvar_epi16(q, bf16_of(k_table(scales, s, 0), k_table(scales, s, 16))));
        }
    }
}

static void expand_q6_k(const uint8_t *w, int n, uint16_t *out)
{
    const __m256i low = _mm256_set1_epi8(15), two = _mm256_set1_epi8(0x30);
    for (int i = 0; i < n; i += 256, w += sizeof(struct block_q6_k)) {
        const __m128i sc = _mm_loadu_si128((const __m128i *)(const void *)(w + 192));
        const __m512 d = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(sc)), half_all(w + 208));
        UNROLL for (int s = 0; s < 8; s++, out += STEP) {
            /* group s of a half: low nibbles of bytes 32 (s % 2) on, high ones for the last two; bits 2s, 2s + 1 of the upper bytes */
            const int half = s / 4, part = s % 4;
            __m256i q = load_32(w + 64 * half + 32 * (part % 2)), top = load_32(w + 128 + 32 * half);
            q = _mm256_and_si256(part < 2 ? q : _mm256_srli_epi16(q, 4), low);
            top = part < 2 ? _mm256_slli_epi16(top, 4 - 2 * part) : _mm256_srli_epi16(top, 2 * part - 4);
            q = _mm256_sub_epi8(_mm256_or_si256(q, _mm256_and_si256(top, two)), _mm256_set1_epi8(32));
            store_bytes(q, lane_all(d, 2 * s), lane_all(d, 2 * s + 1), out);
        }
    }
}

void gemm_expand_bf16(uint32_t type, const uint8_t *w, int n, uint16_t *out)
{
    switch (type) {
    case TENSOR_Q4_0: expand_q4_0(w, n, out); return;
    case TENSOR_Q4_1: expand_q4_1(w, n, out); return;
    case TENSOR_Q5_0: expand_q5_0(w, n, out); return;
    case TENSOR_Q5_1: expand_q5_1(w, n, out); return;
    case TENSOR_Q8_0: expand_q8_0(w, n, out); return;
    case TENSOR_Q4_K: expand_q4_k(w, n, out); return;
    case TENSOR_Q5_K: expand_q5_k(w, n, out); return;
    case TENSOR_Q6_K: expand_q6_k(w, n, out); return;
    default: break;
    }
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
