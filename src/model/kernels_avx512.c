/*
 * kernels_avx512.c - rows against activations with AVX-512 VNNI, from the formats as they lie in the file.
 *
 * Shape of every quantised kernel: 64 unsigned weight bytes are made once, multiplied with the hi and the lo plane of each column
 * (vpdpbusd, 256 * hi + lo joined by a shift between the two), and the 16 integer lanes, each wholly inside one block, are
 * scaled and added to 16 float lanes. No sum goes across lanes before the row is done. Minimums and offsets meet the
 * activation sums of the blocks instead.
 *
 * tile_*(R, M) work on R rows and M columns, both constants after inlining. The operations on one (row, column) pair are the
 * same and in the same order for all R and M: that is the promise of kernels.h. Fetching ahead goes past the last row, which is harmless.
 */
#include "model/gemm.h"
#include "model/kernels_impl.h"

#ifdef KERNELS_X86

#include <immintrin.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")
#endif

#include "model/kernels_k_avx512.h"

#include "model/kernels_exp_avx512.h"

/* The 16 lanes of each of four vectors, added in one fixed tree. */
ALWAYS_INLINE __m128 sum_lanes_4(__m512 a, __m512 b, __m512 c, __m512 d)
{
    __m256 a8 = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m256 b8 = _mm256_add_ps(_mm512_castps512_ps256(b), _mm512_extractf32x8_ps(b, 1));
    __m256 c8 = _mm256_add_ps(_mm512_castps512_ps256(c), _mm512_extractf32x8_ps(c, 1));
    __m256 d8 = _mm256_add_ps(_mm512_castps512_ps256(d), _mm512_extractf32x8_ps(d, 1));
    __m256 s = _mm256_hadd_ps(_mm256_hadd_ps(a8, b8), _mm256_hadd_ps(c8, d8));
    return _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
}

ALWAYS_INLINE void store_sums(const __m512 *acc, int R, int M, float *y, int64_t y_step, int64_t y_stride)
{
    if (R == 4) {
        UNROLL for (int c = 0; c < M; c++) {
            float sums[4];
            _mm_storeu_ps(sums, sum_lanes_4(acc[c], acc[M + c], acc[2 * M + c], acc[3 * M + c]));
            UNROLL for (int r = 0; r < 4; r++) y[c * y_stride + r * y_step] = sums[r];
        }
        return;
    }
    UNROLL for (int i = 0; i < R * M; i++) {
        __m128 s = sum_lanes_4(acc[i], acc[i], acc[i], acc[i]);
        y[i % M * y_stride + i / M * y_step] = _mm_cvtss_f32(s);
    }
}

/* The 16 partial integer sums of 64 weights against a unit of hi and lo planes. */
ALWAYS_INLINE __m512i dot_unit(__m512i w, const int8_t *unit)
{
    __m512i t = _mm512_dpbusd_epi32(_mm512_setzero_si512(), w, _mm512_loadu_si512(unit));
    return _mm512_dpbusd_epi32(_mm512_slli_epi32(t, 8), w, _mm512_loadu_si512(unit + 64));
}

/* The same for two units whose lanes belong to the same blocks. */
ALWAYS_INLINE __m512i dot_two_units(__m512i w0, __m512i w1, const int8_t *units)
{
    __m512i t = _mm512_dpbusd_epi32(_mm512_setzero_si512(), w0, _mm512_loadu_si512(units));
    t = _mm512_slli_epi32(_mm512_dpbusd_epi32(t, w1, _mm512_loadu_si512(units + 128)), 8);
    t = _mm512_dpbusd_epi32(t, w0, _mm512_loadu_si512(units + 64));
    return _mm512_dpbusd_epi32(t, w1, _mm512_loadu_si512(units + 192));
}

ALWAYS_INLINE __m512 fma_lanes(__m512i ints, __m512 scales, __m512i lanes, __m512 acc)
{
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(ints), _mm512_permutexvar_ps(lanes, scales), acc);
}

/* ---- blocks of 32: chunks of 16 blocks, then of 4 ---------------------------------------------------------------- */

/* The end of a row may be the end of the mapping, so the last 1 to 4 blocks are read under masks. n is a chunk's constant number of
 * blocks, 16 or 4; nb how many of 4 are there (16 are always). Missing blocks read as zeros. */
ALWAYS_INLINE __m128i load_16(const uint8_t *p, bool here) { return _mm_maskz_loadu_epi8(here ? 0xffff : 0, p); }

/* A float of the activations for each block of a chunk: what lies behind belongs to another column. */
ALWAYS_INLINE __m512 block_floats(const float *p, int n) { return n == 16 ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(0xf, p); }

ALWAYS_INLINE int block_bytes(uint32_t type)
{
    return type == TENSOR_Q4_0 ? 18 : type == TENSOR_Q4_1 ? 20 : type == TENSOR_Q5_0 ? 22 : type == TENSOR_Q5_1 ? 24 : 34;
}

/* The f16 at word `at` of each block, as f32 in block order. */
ALWAYS_INLINE __m512 chunk_halves(int words, int at, const uint8_t *p, int n, int nb)
{
    /* Two blocks in a load: their words go to where the lanes of the two blocks are. Full chunks need no masks: 64 bytes for Q8_0's
     * blocks of 34, or 32 bytes for the shorter ones, stay inside the chunk. */
    const __m512i from = _mm512_set1_epi32((words + at) << 16 | at);
    __m512i h = _mm512_setzero_si512();
    UNROLL for (int i = 0; i < n / 2; i++) {
        const __mmask32 to = (__mmask32)(3u << 2 * i);
        const uint8_t *q = p + 4 * words * i;
        __m512i v;
        if (n == 4) {
            const int last = 2 * i + 1 < nb ? words + at : at;
            v = _mm512_maskz_loadu_epi16(2 * i < nb ? (__mmask32)((2u << last) - 1) : 0, q);
        } else {
            v = words == 17 ? _mm512_loadu_si512(q) : _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)q));
        }
        h = _mm512_mask_permutexvar_epi16(h, to, from, v);
    }
    return _mm512_cvtph_ps(_mm512_castsi512_si256(h));
}

/* The same for Q4_1, four blocks' words in a load, the minimums in the upper half of the vector. */
ALWAYS_INLINE void chunk_scales_q4_1(const uint8_t *p, int n, int nb, __m512 *d, __m512 *m)
{
    const __m512i at = _mm512_set_epi16(31, 21, 11, 1, 31, 21, 11, 1, 31, 21, 11, 1, 31, 21, 11, 1, 30, 20, 10, 0, 30, 20, 10, 0, 30, 20,
                                        10, 0, 30, 20, 10, 0);
    if (n == 4) {
        const __mmask32 here = nb < 4 ? (__mmask32)((1u << 10 * nb) - 1) : 0xffffffff;
        __m512i h = _mm512_maskz_permutexvar_epi16(0x000f000f, at, _mm512_maskz_loadu_epi16(here, p));
        *d = _mm512_cvtph_ps(_mm512_castsi512_si256(h));
        *m = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(h, 1));
        return;
    }
    __m512i h = _mm512_permutexvar_epi16(at, _mm512_loadu_si512(p));
    UNROLL for (int g = 1; g < 4; g++)
        h = _mm512_mask_permutexvar_epi16(h, (__mmask32)(0x000f000fu << 4 * g), at, _mm512_loadu_si512(p + 80 * g));
    *d = _mm512_cvtph_ps(_mm512_castsi512_si256(h));
    *m = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(h, 1));
}

ALWAYS_INLINE void chunk_scales(uint32_t type, const uint8_t *p, int n, int nb, __m512 *d, __m512 *m)
{
    const int words = block_bytes(type) / 2;
    if (type == TENSOR_Q4_1) {
        chunk_scales_q4_1(p, n, nb, d, m);
        return;
    }
    *d = chunk_halves(words, 0, p, n, nb);
    if (type == TENSOR_Q5_1) *m = chunk_halves(words, 1, p, n, nb);
    else *m = _mm512_mul_ps(*d, _mm512_set1_ps(type == TENSOR_Q4_0 ? -8.0f : -16.0f));
}

/* Weights of a group of 4 blocks: first 16 of each block in w0, last 16 in w1. */
ALWAYS_INLINE void group_weights(uint32_t type, const uint8_t *p, int n, int nb, __m512i *w0, __m512i *w1)
{
    const int stride = block_bytes(type);
    const __m512i low = _mm512_set1_epi8(15);
    __m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)(p + stride - 16)));
    v = _mm512_inserti32x4(v, load_16(p + 2 * stride - 16, n == 16 || nb > 1), 1);
    v = _mm512_inserti32x4(v, load_16(p + 3 * stride - 16, n == 16 || nb > 2), 2);
    v = _mm512_inserti32x4(v, load_16(p + 4 * stride - 16, n == 16 || nb > 3), 3);
    *w0 = _mm512_and_si512(v, low);
    *w1 = _mm512_and_si512(_mm512_srli_epi16(v, 4), low);
    if (type != TENSOR_Q5_0 && type != TENSOR_Q5_1) return;
    uint64_t h0 = 0, h1 = 0;
    UNROLL for (int j = 0; j < 4; j++) {
        uint64_t bits = n == 16 || j < nb ? load_u32(p + j * stride + stride - 20) : 0;
        h0 |= (bits & 0xffff) << 16 * j;
        h1 |= (bits >> 16) << 16 * j;
    }
    *w0 = _mm512_mask_add_epi8(*w0, h0, *w0, _mm512_set1_epi8(16));
    *w1 = _mm512_mask_add_epi8(*w1, h1, *w1, _mm512_set1_epi8(16));
}

/* Lanes of group g: 4 lanes for each of the blocks 4g to 4g + 3. */
ALWAYS_INLINE __m512i lanes_by_4(int g)
{
    return _mm512_add_epi32(_mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0), _mm512_set1_epi32(4 * g));
}

ALWAYS_INLINE void chunk_nibbles(uint32_t type, int R, int M, const uint8_t *p, size_t row_bytes, struct stream *next, int64_t b0, int n,
                                 int nb, const struct act *a, int c0, __m512 *acc, __m512 *accm)
{
    const int bytes = block_bytes(type);
    __m512 s[8];
    UNROLL for (int r = 0; r < R; r++) {
        const uint8_t *row = p + (size_t)r * row_bytes;
        __m512 d, m;
        chunk_scales(type, row, n, nb, &d, &m);
        UNROLL for (int c = 0; c < M; c++) {
            const int64_t at = (c0 + c) * (a->stride / 32) + b0;
            s[r * M + c] = _mm512_mul_ps(d, block_floats(a->s32 + at, n));
            accm[r * M + c] = _mm512_fmadd_ps(m, block_floats(a->sum32 + at, n), accm[r * M + c]);
        }
    }
    UNROLL for (int g = 0; g < n / 4; g++)
        UNROLL for (int r = 0; r < R; r++) {
            __m512i w0, w1;
            stream_fetch(&next[r], 4 * bytes, (nb < 4 ? nb : 4) * bytes);
            group_weights(type, p + (size_t)r * row_bytes + (size_t)(4 * g * bytes), n, nb, &w0, &w1);
            UNROLL for (int c = 0; c < M; c++) {
                const int8_t *units = a->half + (c0 + c) * a->stride * 2 + (b0 + 4 * g) * 64;
                acc[r * M + c] = fma_lanes(dot_two_units(w0, w1, units), s[r * M + c], lanes_by_4(g), acc[r * M + c]);
            }
        }
}

ALWAYS_INLINE void chunk_q8(int R, int M, const uint8_t *p, size_t row_bytes, struct stream *next, int64_t b0, int n, int nb,
                            const struct act *a, int c0, __m512 *acc)
{
    const __m512i lanes0 = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi32(1), 1);
    __m512 s[8];
    UNROLL for (int r = 0; r < R; r++) {
        const uint8_t *row = p + (size_t)r * row_bytes;
        __m512 d = chunk_halves(17, 0, row, n, nb);
        UNROLL for (int c = 0; c < M; c++) s[r * M + c] = _mm512_mul_ps(d, block_floats(a->s32 + (c0 + c) * (a->stride / 32) + b0, n));
    }
    UNROLL for (int u = 0; u < n / 2; u++) {
        const __m512i lanes = _mm512_add_epi32(lanes0, _mm512_set1_epi32(2 * u));
        UNROLL for (int r = 0; r < R; r++) {
            stream_fetch(&next[r], 68, n == 16 || 2 * u + 1 < nb ? 68 : 34);
            const uint8_t *q = p + (size_t)r * row_bytes + 68 * u;
            __m256i first = _mm256_maskz_loadu_epi8(n == 16 || 2 * u < nb ? 0xffffffff : 0, q + 2);
            __m256i second = _mm256_maskz_loadu_epi8(n == 16 || 2 * u + 1 < nb ? 0xffffffff : 0, q + 36);
            __m512i v = _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
            v = _mm512_xor_si512(v, _mm512_set1_epi8((char)0x80));
            UNROLL for (int c = 0; c < M; c++) {
                __m512i t = dot_unit(v, a->nat + (c0 + c) * a->stride * 2 + (b0 + 2 * u) * 64);
                t = _mm512_add_epi32(t, _mm512_loadu_si512(a->bias4 + (c0 + c) * (a->stride / 4) + (b0 + 2 * u) * 8));
                acc[r * M + c] = fma_lanes(t, s[r * M + c], lanes, acc[r * M + c]);
            }
        }
    }
}

ALWAYS_INLINE void tile_blocks(uint32_t type, int R, int M, const uint8_t *w, size_t row_bytes, const struct act *a, int c0, float *y, int64_t y_step,
                               int64_t y_stride)
{
    const int64_t n_blocks = a->n / 32;
    const int bytes = block_bytes(type);
    struct stream next[4];
    UNROLL for (int r = 0; r < R; r++) next[r] = stream_of(w + (size_t)r * row_bytes, c0);
    __m512 acc[8], accm[8];
    UNROLL for (int i = 0; i < R * M; i++) acc[i] = accm[i] = _mm512_setzero_ps();
    int64_t b = 0;
    for (; b + 16 <= n_blocks; b += 16) {
        if (type == TENSOR_Q8_0) chunk_q8(R, M, w + b * bytes, row_bytes, next, b, 16, 16, a, c0, acc);
        else chunk_nibbles(type, R, M, w + b * bytes, row_bytes, next, b, 16, 16, a, c0, acc, accm);
    }
    for (; b < n_blocks; b += 4) {
        const int nb = (int)(n_blocks - b);
        if (type == TENSOR_Q8_0) chunk_q8(R, M, w + b * bytes, row_bytes, next, b, 4, nb, a, c0, acc);
        else chunk_nibbles(type, R, M, w + b * bytes, row_bytes, next, b, 4, nb, a, c0, acc, accm);
    }
    UNROLL for (int i = 0; i < R * M; i++) acc[i] = _mm512_add_ps(acc[i], accm[i]);
    store_sums(acc, R, M, y, y_step, y_stride);
}

/* ---- Q4_K Q5_K --------------------------------------------------------------------------------------------------- */

/* Unit j of a block, sub-blocks (0 2), (1 3), (4 6), (5 7). Q4_K's odd ones stay 16 times too large: see act.k4. */
ALWAYS_INLINE __m512i k_weights(uint32_t type, int j, __m512i qs, __m512i qh)
{
    const __m512i low = _mm512_set1_epi8(15);
    if (type == TENSOR_Q4_K) return j % 2 ? _mm512_andnot_si512(low, qs) : _mm512_and_si512(qs, low);
    __m512i w = _mm512_and_si512(j % 2 ? _mm512_srli_epi16(qs, 4) : qs, low);
    const char bit = (char)(1 << (j / 2 * 4 + j % 2)), bit2 = (char)(4 << (j / 2 * 4 + j % 2));
    __mmask64 fifth = _mm512_test_epi8_mask(qh, _mm512_inserti64x4(_mm512_set1_epi8(bit), _mm256_set1_epi8(bit2), 1));
    return _mm512_mask_add_epi8(w, fifth, w, _mm512_set1_epi8(16));
}

ALWAYS_INLINE void tile_k(uint32_t type, int R, int M, const uint8_t *w, size_t row_bytes, const struct act *a, int c0, float *y, int64_t y_step,
                               int64_t y_stride)
{
    const size_t bytes = type == TENSOR_Q4_K ? sizeof(struct block_q4_k) : sizeof(struct block_q5_k);
    const float *k = type == TENSOR_Q4_K ? a->k4 : a->k5;
    struct stream next[4];
    UNROLL for (int r = 0; r < R; r++) next[r] = stream_of(w + (size_t)r * row_bytes, c0);
    __m512 acc[8], s[8];
    UNROLL for (int i = 0; i < R * M; i++) acc[i] = _mm512_setzero_ps();
    for (int64_t b = 0; b < a->n / 256; b++, w += bytes) {
        UNROLL for (int r = 0; r < R; r++) {
            __m512 dm = k_scales(w + (size_t)r * row_bytes);
            UNROLL for (int c = 0; c < M; c++) {
                const int i = r * M + c;
                s[i] = _mm512_mul_ps(dm, _mm512_loadu_ps(k + (c0 + c) * (a->stride / 16) + b * 16));
                acc[i] = _mm512_mask_sub_ps(acc[i], 0xff00, acc[i], s[i]);
            }
        }
        UNROLL for (int j = 0; j < 4; j++) {
            const int first = j / 2 * 4 + j % 2;
            const __m512i lanes = _mm512_inserti64x4(_mm512_set1_epi32(first), _mm256_set1_epi32(first + 2), 1);
            UNROLL for (int r = 0; r < R; r++) {
                const uint8_t *p = w + (size_t)r * row_bytes;
                stream_fetch(&next[r], (int)bytes / 4, (int)bytes / 4);
                __m512i qh = _mm512_setzero_si512();
                if (type == TENSOR_Q5_K) qh = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(p + 16)));
                __m512i v = k_weights(type, j, _mm512_loadu_si512(p + bytes - 128 + j / 2 * 64), qh);
                UNROLL for (int c = 0; c < M; c++) {
                    const int8_t *unit = a->pair + (c0 + c) * a->stride * 2 + b * 512 + j * 128;
                    acc[r * M + c] = fma_lanes(dot_unit(v, unit), s[r * M + c], lanes, acc[r * M + c]);
                }
            }
        }
    }
    store_sums(acc, R, M, y, y_step, y_stride);
}

/* ---- Q6_K --------------------------------------------------------------------------------------------------------- */

/* Unit j of a block, elements 64j to 64j + 63, as q + 32. */
ALWAYS_INLINE __m512i q6_weights(const uint8_t *p, int j)
{
    const __m512i low = _mm512_set1_epi8(15), two = _mm512_set1_epi8(0x30);
    __m512i ql = _mm512_loadu_si512(p + j / 2 * 64);
    __m512i qh = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(p + 128 + j / 2 * 32)));
    if (j % 2) {
        ql = _mm512_srli_epi16(ql, 4);
        qh = _mm512_srlv_epi64(qh, _mm512_set_epi64(2, 2, 2, 2, 0, 0, 0, 0));
    } else {
        qh = _mm512_sllv_epi64(qh, _mm512_set_epi64(2, 2, 2, 2, 4, 4, 4, 4));
    }
    return _mm512_ternarylogic_epi32(ql, low, _mm512_and_si512(qh, two), 0xea);
}

ALWAYS_INLINE void tile_q6(uint32_t type, int R, int M, const uint8_t *w, size_t row_bytes, const struct act *a, int c0, float *y, int64_t y_step,
                               int64_t y_stride)
{
    const size_t bytes = sizeof(struct block_q6_k);
    struct stream next[4];
    UNROLL for (int r = 0; r < R; r++) next[r] = stream_of(w + (size_t)r * row_bytes, c0);
    __m512 acc[8], accm[8], s[8];
    (void)type;
    UNROLL for (int i = 0; i < R * M; i++) acc[i] = accm[i] = _mm512_setzero_ps();
    for (int64_t b = 0; b < a->n / 256; b++, w += bytes) {
        UNROLL for (int r = 0; r < R; r++) {
            const uint8_t *p = w + (size_t)r * row_bytes;
            __m512 d = _mm512_cvtph_ps(_mm256_set1_epi16((short)load_u16(p + 208)));
            d = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(p + 192)))), d);
            UNROLL for (int c = 0; c < M; c++) {
                const int64_t at = (c0 + c) * (a->stride / 16) + b * 16;
                s[r * M + c] = _mm512_mul_ps(d, _mm512_loadu_ps(a->s16 + at));
                accm[r * M + c] = _mm512_fmadd_ps(d, _mm512_loadu_ps(a->off16 + at), accm[r * M + c]);
            }
        }
        UNROLL for (int j = 0; j < 4; j++)
            UNROLL for (int r = 0; r < R; r++) {
                stream_fetch(&next[r], 53, j == 3 ? (int)bytes - 3 * 53 : 53);
                __m512i v = q6_weights(w + (size_t)r * row_bytes, j);
                UNROLL for (int c = 0; c < M; c++) {
                    const int8_t *unit = a->nat + (c0 + c) * a->stride * 2 + b * 512 + j * 128;
                    acc[r * M + c] = fma_lanes(dot_unit(v, unit), s[r * M + c], lanes_by_4(j), acc[r * M + c]);
                }
            }
    }
    UNROLL for (int i = 0; i < R * M; i++) acc[i] = _mm512_add_ps(acc[i], accm[i]);
    store_sums(acc, R, M, y, y_step, y_stride);
}

/* ---- F32 F16 BF16 --------------------------------------------------------------------------------------------------- */

ALWAYS_INLINE __m512 float_weights(uint32_t type, const uint8_t *p, __mmask16 k)
{
    if (type == TENSOR_F32) return _mm512_maskz_loadu_ps(k, p);
    __m256i h = _mm256_maskz_loadu_epi16(k, p);
    if (type == TENSOR_F16) return _mm512_cvtph_ps(h);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

ALWAYS_INLINE void tile_floats(uint32_t type, int R, int M, const uint8_t *w, size_t row_bytes, const struct act *a, int c0, float *y, int64_t y_step,
                               int64_t y_stride)
{
    const int size = type == TENSOR_F32 ? 4 : 2;
    struct stream next[4];
    UNROLL for (int r = 0; r < R; r++) next[r] = stream_of(w + (size_t)r * row_bytes, c0);
    __m512 acc[8];
    UNROLL for (int i = 0; i < R * M; i++) acc[i] = _mm512_setzero_ps();
    for (int64_t i = 0; i < a->n; i += 16) {
        __mmask16 k = a->n - i < 16 ? (__mmask16)((1 << (a->n - i)) - 1) : 0xffff;
        UNROLL for (int r = 0; r < R; r++) {
            const uint8_t *p = w + (size_t)r * row_bytes + i * size;
            stream_fetch(&next[r], 16 * size, 16 * size);
            __m512 v = float_weights(type, p, k);
            UNROLL for (int c = 0; c < M; c++)
                acc[r * M + c] = _mm512_fmadd_ps(v, _mm512_loadu_ps(a->x + (c0 + c) * a->stride + i), acc[r * M + c]);
        }
    }
    store_sums(acc, R, M, y, y_step, y_stride);
}

/* ---- gate ------------------------------------------------------------------------------------------------------------- */

static void swiglu_avx512(const float *gate, const float *up, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 k = n - i < 16 ? (__mmask16)((1 << (n - i)) - 1) : 0xffff;
        const __m512 g = _mm512_maskz_loadu_ps(k, gate + i), u = _mm512_maskz_loadu_ps(k, up + i);
        const __m512 e = exp_16(_mm512_min_ps(_mm512_set1_ps(120.0f), _mm512_sub_ps(_mm512_setzero_ps(), g)));
        _mm512_mask_storeu_ps(out + i, k, _mm512_mul_ps(_mm512_div_ps(g, _mm512_add_ps(e, _mm512_set1_ps(1.0f))), u));
    }
}

/* ---- drivers -------------------------------------------------------------------------------------------------------- */

GEMV_DRIVER(q4_0, tile_blocks, TENSOR_Q4_0, 4)
GEMV_DRIVER(q4_1, tile_blocks, TENSOR_Q4_1, 4)
GEMV_DRIVER(q5_0, tile_blocks, TENSOR_Q5_0, 4)
GEMV_DRIVER(q5_1, tile_blocks, TENSOR_Q5_1, 4)
GEMV_DRIVER(q8_0, tile_blocks, TENSOR_Q8_0, 4)
GEMV_DRIVER(q4_k, tile_k, TENSOR_Q4_K, 4)
GEMV_DRIVER(q5_k, tile_k, TENSOR_Q5_K, 4)
GEMV_DRIVER(q6_k, tile_q6, TENSOR_Q6_K, 4)
GEMV_DRIVER(f32, tile_floats, TENSOR_F32, 4)
GEMV_DRIVER(f16, tile_floats, TENSOR_F16, 4)
GEMV_DRIVER(bf16, tile_floats, TENSOR_BF16, 4)

static const struct format_kernels formats[] = {
    {TENSOR_F32, gemv_f32}, {TENSOR_F16, gemv_f16}, {TENSOR_BF16, gemv_bf16}, {TENSOR_Q4_0, gemv_q4_0}, {TENSOR_Q4_1, gemv_q4_1},
    {TENSOR_Q5_0, gemv_q5_0}, {TENSOR_Q5_1, gemv_q5_1}, {TENSOR_Q8_0, gemv_q8_0}, {TENSOR_Q4_K, gemv_q4_k}, {TENSOR_Q5_K, gemv_q5_k},
    {TENSOR_Q6_K, gemv_q6_k}, {0, NULL},
};

const struct kernel_family kernels_avx512 = {
    .name = "avx512",
    .cpu_has = cpu_has_avx512,
    .prepare = prepare_avx2,
    .formats = formats,
    .dequant = dequant_avx2,
    .attend = attend_avx512,
    .q8_0_to_f16 = q8_0_to_f16_avx512,
    .panel_product = panel_product_avx512,
    .panel_soften = panel_soften_avx512,
    .f32_to_f16 = f32_to_f16_avx2,
    .f16_to_f32 = f16_to_f32_avx2,
    .rms_norm = rms_norm_avx2,
    .add = add_avx2,
    .swiglu = swiglu_avx512,
};

/* The prompt's products are the only ones that the tiles pay for: the rest is AVX-512. */
const struct kernel_family kernels_amx = {
    .name = "amx",
    .cpu_has = gemm_amx_usable,
    .prepare = prepare_avx2,
    .formats = formats,
    .dequant = dequant_avx2,
    .attend = attend_avx512,
    .q8_0_to_f16 = q8_0_to_f16_avx512,
    .panel_product = panel_product_avx512,
    .panel_soften = panel_soften_avx512,
    .f32_to_f16 = f32_to_f16_avx2,
    .f16_to_f32 = f16_to_f32_avx2,
    .rms_norm = rms_norm_avx2,
    .add = add_avx2,
    .swiglu = swiglu_avx512,
};

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
