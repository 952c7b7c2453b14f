/*
 * kernels_avx512.c - rows against activations with AVX-512 VNNI, from the formats as they lie in the file.
 *
 * Shape of every quantised kernel: 512 weights become 8 vectors of unsigned bytes once, turned so that a 32-bit lane holds bytes of one
 * block in all of them. The products with the hi plane of a column (vpdpbusd) are summed in 16 integer lanes, shifted, and those with
 * the lo plane added on top: 2 instructions for 64 weights and hardly any for the rest, as a vector of block scales serves all 512. No
 * sum goes across lanes before the row is done. Minimums meet the activation sums of the blocks instead.
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
#include "model/kernels_turn_avx512.h"

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

/* t[r] = w[r] . a column, n units of 64: those of the hi plane at x, of the lo plane behind them. With `apart` each plane has its own sum, as
 * one long chain would wait for itself; where there are many columns the others fill the gaps, and an addition is saved. The integers
 * are the same either way. With next, the streams fetch n / 2 times `step` bytes. */
ALWAYS_INLINE void dot_units(int R, int n, bool apart, const __m512i w[2][8], const int8_t *x, __m512i t[2], struct stream *next, int step)
{
    __m512i u[2];
    UNROLL for (int r = 0; r < R; r++) t[r] = u[r] = _mm512_setzero_si512();
    UNROLL for (int k = 0; k < n; k++) {
        const __m512i hi = _mm512_loadu_si512(x + 64 * k);
        UNROLL for (int r = 0; r < R; r++) {
            if (next && k % 2 == 0) stream_fetch(&next[r], step, step);
            t[r] = _mm512_dpbusd_epi32(t[r], w[r][k], hi);
            if (apart) u[r] = _mm512_dpbusd_epi32(u[r], w[r][k], _mm512_loadu_si512(x + 64 * (n + k)));
        }
    }
    UNROLL for (int r = 0; r < R; r++) t[r] = _mm512_slli_epi32(t[r], 8);
    if (apart) {
        UNROLL for (int r = 0; r < R; r++) t[r] = _mm512_add_epi32(t[r], u[r]);
        return;
    }
    UNROLL for (int k = 0; k < n; k++) {
        const __m512i lo = _mm512_loadu_si512(x + 64 * (n + k));
        UNROLL for (int r = 0; r < R; r++) t[r] = _mm512_dpbusd_epi32(t[r], w[r][k], lo);
    }
}

/* Rows of a tile whose weights are in registers at a time: two share what they load of the activations. */
ALWAYS_INLINE int rows_at_once(int R) { return R == 4 ? 2 : R; }

ALWAYS_INLINE __m128i load_xmm(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }

/* ---- blocks of 32: chunks of 16 blocks, turned --------------------------------------------------------------------- */

ALWAYS_INLINE int block_bytes(uint32_t type)
{
    return type == TENSOR_Q4_0 ? 18 : type == TENSOR_Q4_1 ? 20 : type == TENSOR_Q5_0 ? 22 : type == TENSOR_Q5_1 ? 24 : 34;
}

ALWAYS_INLINE bool has_minimum(uint32_t type) { return type == TENSOR_Q4_1 || type == TENSOR_Q5_1; }

/* What turns d into the minimum that a format without one has. */
ALWAYS_INLINE __m512 implied_minimum(uint32_t type, __m512 d)
{
    return _mm512_mul_ps(d, _mm512_set1_ps(type == TENSOR_Q4_0 ? -8.0f : -16.0f));
}

/* The f16 at word `at` of each block, as f32 in lane order: lane 4 L + p is block 4 p + L. */
ALWAYS_INLINE __m512 chunk_halves(int words, int at, const uint8_t *p)
{
    /* Two blocks in a load: their words go to where the lanes of the two blocks are. 64 bytes for Q8_0's blocks of 34, or 32 bytes for the
     * shorter ones, stay inside the chunk. */
    const __m512i from = _mm512_broadcast_i32x4(_mm_set_epi64x((words + at) * 0x0001000100010001, at * 0x0001000100010001));
    __m512i h = _mm512_setzero_si512();
    UNROLL for (int i = 0; i < 8; i++) {
        const __mmask32 to = (__mmask32)(0x11u << (i % 2 * 8 + i / 2));
        const uint8_t *q = p + 4 * words * i;
        __m512i v = words == 17 ? _mm512_loadu_si512(q) : _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)q));
        h = _mm512_mask_permutexvar_epi16(h, to, from, v);
    }
    return _mm512_cvtph_ps(_mm512_castsi512_si256(h));
}

/* Words 0 and 1 of the four blocks in a load of Q4_1: the scales go to the lower half of a vector, the minimums to the upper. */
ALWAYS_INLINE __m512i words_q4_1(void)
{
    return _mm512_set_epi16(31, 31, 31, 31, 21, 21, 21, 21, 11, 11, 11, 11, 1, 1, 1, 1, 30, 30, 30, 30, 20, 20, 20, 20, 10, 10, 10, 10, 0, 0,
                            0, 0);
}

ALWAYS_INLINE void chunk_scales(uint32_t type, const uint8_t *p, __m512 *d, __m512 *m)
{
    const int words = block_bytes(type) / 2;
    if (type == TENSOR_Q4_1) {
        __m512i h = _mm512_setzero_si512();
        UNROLL for (int g = 0; g < 4; g++)
            h = _mm512_mask_permutexvar_epi16(h, (__mmask32)(0x11111111u << g), words_q4_1(), _mm512_loadu_si512(p + 80 * g));
        *d = _mm512_cvtph_ps(_mm512_castsi512_si256(h));
        *m = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(h, 1));
        return;
    }
    *d = chunk_halves(words, 0, p);
    if (type == TENSOR_Q5_1) *m = chunk_halves(words, 1, p);
    else if (type != TENSOR_Q8_0) *m = implied_minimum(type, *d);
}

/* 16 bytes of each of four blocks `stride` apart, of which nb are there; the end of a row may be the end of the mapping. */
ALWAYS_INLINE __m128i load_16(const uint8_t *p, bool here) { return _mm_maskz_loadu_epi8(here ? 0xffff : 0, p); }

ALWAYS_INLINE __m512i load_4x16(const uint8_t *p, int stride, int nb, bool all)
{
    __m512i v = _mm512_castsi128_si512(load_xmm(p));
    v = _mm512_inserti32x4(v, all ? load_xmm(p + stride) : load_16(p + stride, nb > 1), 1);
    v = _mm512_inserti32x4(v, all ? load_xmm(p + 2 * stride) : load_16(p + 2 * stride, nb > 2), 2);
    return _mm512_inserti32x4(v, all ? load_xmm(p + 3 * stride) : load_16(p + 3 * stride, nb > 3), 3);
}

/* Weights of a group of 4 blocks: first 16 of each block in w0, last 16 in w1; 0 for blocks that are not there. */
ALWAYS_INLINE void group_weights(uint32_t type, const uint8_t *p, int nb, bool all, __m512i *w0, __m512i *w1)
{
    const int stride = block_bytes(type);
    const __m512i low = _mm512_set1_epi8(15);
    if (type == TENSOR_Q8_0) {
        *w0 = _mm512_xor_si512(load_4x16(p + 2, stride, nb, all), _mm512_set1_epi8((char)0x80));
        *w1 = _mm512_xor_si512(load_4x16(p + 18, stride, nb, all), _mm512_set1_epi8((char)0x80));
        return;
    }
    __m512i v = load_4x16(p + stride - 16, stride, nb, all);
    *w0 = _mm512_and_si512(v, low);
    *w1 = _mm512_and_si512(_mm512_srli_epi16(v, 4), low);
    if (type != TENSOR_Q5_0 && type != TENSOR_Q5_1) return;
    uint64_t h0 = 0, h1 = 0;
    UNROLL for (int j = 0; j < 4; j++) {
        uint64_t bits = all || j < nb ? load_u32(p + j * stride + stride - 20) : 0;
        h0 |= (bits & 0xffff) << 16 * j;
        h1 |= (bits >> 16) << 16 * j;
    }
    *w0 = _mm512_mask_add_epi8(*w0, h0, *w0, _mm512_set1_epi8(16));
    *w1 = _mm512_mask_add_epi8(*w1, h1, *w1, _mm512_set1_epi8(16));
}

/* Four blocks of Q8_0 as group_weights has them, in two loads less. */
ALWAYS_INLINE void group_q8(const uint8_t *p, __m512i *w0, __m512i *w1)
{
    const __m512i sign = _mm512_set1_epi8((char)0x80);
    __m512i v[2];
    UNROLL for (int i = 0; i < 2; i++) {
        const __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(p + 68 * i + 2));
        const __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p + 68 * i + 36));
        v[i] = _mm512_xor_si512(_mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1), sign);
    }
    *w0 = _mm512_shuffle_i32x4(v[0], v[1], _MM_SHUFFLE(2, 0, 2, 0));
    *w1 = _mm512_shuffle_i32x4(v[0], v[1], _MM_SHUFFLE(3, 1, 3, 1));
}

/* Weights of 16 blocks, turned: w[4 h + k] has in lane 4 L + p elements 16 h + 4 k .. + 3 of block 4 p + L. */
ALWAYS_INLINE void chunk_weights(uint32_t type, const uint8_t *p, struct stream *next, __m512i w[8])
{
    const int bytes = block_bytes(type);
    const __m512i low = _mm512_set1_epi8(15);
    if (type == TENSOR_Q4_0 || type == TENSOR_Q4_1) {
        UNROLL for (int g = 0; g < 4; g++) {
            stream_fetch(next, 2 * bytes, 2 * bytes);
            w[g] = load_4x16(p + 4 * g * bytes + bytes - 16, bytes, 4, true);
        }
        turn_4(w);
        UNROLL for (int k = 0; k < 4; k++) {
            w[4 + k] = _mm512_and_si512(_mm512_srli_epi16(w[k], 4), low);
            w[k] = _mm512_and_si512(w[k], low);
        }
        return;
    }
    UNROLL for (int g = 0; g < 4; g++) {
        stream_fetch(next, 2 * bytes, 2 * bytes);
        if (type == TENSOR_Q8_0) group_q8(p + 4 * g * bytes, &w[g], &w[4 + g]);
        else group_weights(type, p + 4 * g * bytes, 4, true, &w[g], &w[4 + g]);
    }
    turn_4(w);
    turn_4(w + 4);
}

/* The chunk of R rows at b0, where p is the first one's. */
ALWAYS_INLINE void chunk_rows(uint32_t type, int R, int M, const uint8_t *p, size_t row_bytes, struct stream *next, int64_t b0,
                              const struct act *a, int c0, __m512 *acc)
{
    const int bytes = block_bytes(type);
    __m512i w[2][8];
    __m512 d[2], m[2];
    UNROLL for (int r = 0; r < R; r++) {
        const uint8_t *row = p + (size_t)r * row_bytes;
        chunk_scales(type, row, &d[r], &m[r]);
        chunk_weights(type, row, &next[r], w[r]);
    }
    UNROLL for (int c = 0; c < M; c++) {
        const int64_t at = (c0 + c) * (a->stride / 32) + b0;
        const __m512 s = _mm512_loadu_ps(a->s32 + at);
        __m512i t[2];
        dot_units(R, 8, true, (const __m512i(*)[8])w, a->half + (c0 + c) * a->stride * 2 + b0 * 64, t, c ? NULL : next, 2 * bytes);
        UNROLL for (int r = 0; r < R; r++) {
            if (type == TENSOR_Q8_0) t[r] = _mm512_add_epi32(t[r], _mm512_loadu_si512(a->bias + 4 * at));
            else acc[r * M + c] = _mm512_fmadd_ps(m[r], _mm512_loadu_ps(a->sum32 + at), acc[r * M + c]);
            acc[r * M + c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(t[r]), _mm512_mul_ps(d[r], s), acc[r * M + c]);
        }
    }
}

/* ---- blocks of 32: what is left of a row, by groups of 4 blocks ----------------------------------------------------------- */

/* A float of the activations for each block of a group: what lies behind belongs to another column. */
ALWAYS_INLINE __m512 group_floats(const float *p) { return _mm512_maskz_loadu_ps(0xf, p); }

/* The f16 at word `at` of each block, of which nb are there, as f32. */
ALWAYS_INLINE __m512 group_halves(int words, int at, const uint8_t *p, int nb)
{
    uint64_t h = 0;
    UNROLL for (int i = 0; i < 4; i++) h |= (uint64_t)(i < nb ? load_u16(p + 2 * (words * i + at)) : 0) << 16 * i;
    return _mm512_zextps128_ps512(_mm_cvtph_ps(_mm_cvtsi64_si128((int64_t)h)));
}

ALWAYS_INLINE void group_row(uint32_t type, int M, const uint8_t *p, int64_t b, int nb, const struct act *a, int c0, __m512 *acc)
{
    const int words = block_bytes(type) / 2;
    const __m512i lanes = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    const __m512 d = group_halves(words, 0, p, nb), m = has_minimum(type) ? group_halves(words, 1, p, nb) : implied_minimum(type, d);
    __m512i w[2][8];
    group_weights(type, p, nb, false, &w[0][0], &w[0][1]);
    UNROLL for (int c = 0; c < M; c++) {
        const int64_t at = (c0 + c) * (a->stride / 32) + b;
        const __m512 s = _mm512_mul_ps(d, group_floats(a->s32 + at));
        __m512i t[2];
        dot_units(1, 2, false, (const __m512i(*)[8])w, a->half + (c0 + c) * a->stride * 2 + b * 64, t, NULL, 0);
        if (type == TENSOR_Q8_0) t[0] = _mm512_add_epi32(t[0], _mm512_loadu_si512(a->bias + 4 * at));
        else acc[c] = _mm512_fmadd_ps(m, group_floats(a->sum32 + at), acc[c]);
        acc[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(t[0]), _mm512_permutexvar_ps(lanes, s), acc[c]);
    }
}

ALWAYS_INLINE void tile_blocks(uint32_t type, int R, int M, const uint8_t *w, size_t row_bytes, const struct act *a, int c0, float *y, int64_t y_step,
                               int64_t y_stride)
{
    const int64_t n_blocks = a->n / 32;
    const int bytes = block_bytes(type), rows = rows_at_once(R);
    struct stream next[4];
    UNROLL for (int r = 0; r < R; r++) next[r] = stream_of(w + (size_t)r * row_bytes, c0);
    __m512 acc[16];
    UNROLL for (int i = 0; i < R * M; i++) acc[i] = _mm512_setzero_ps();
    int64_t b = 0;
    for (; b + 16 <= n_blocks; b += 16) {
        UNROLL for (int r = 0; r < R; r += rows)
            chunk_rows(type, rows, M, w + (size_t)r * row_bytes + b * bytes, row_bytes, next + r, b, a, c0, acc + r * M);
    }
    for (; b < n_blocks; b += 4) {
        const int nb = (int)(n_blocks - b);
        UNROLL for (int r = 0; r < R; r++) {
            stream_fetch(&next[r], 4 * bytes, 4 * bytes);
            group_row(type, M, w + (size_t)r * row_bytes + b * bytes, b, nb, a, c0, acc + r * M);
        }
    }
    store_sums(acc, R, M, y, y_step, y_stride);
}

/* ---- Q4_K Q5_K Q6_K: two blocks at a time, turned ---------------------------------------------------------------------------- */

/* Stands for the second block of a pair where a row has an odd number: scales of 0. */
static const uint8_t no_block[sizeof(struct block_q6_k)];

struct pair {
    __m512i v[4], h[4];    /* weights, turned: the lower bits of both halves, and the upper ones */
    __m512 d[2], m;        /* scales of the halves; minimums in the order of act.k_sum */
};

ALWAYS_INLINE size_t k_bytes(uint32_t type)
{
    return type == TENSOR_Q4_K ? sizeof(struct block_q4_k) : type == TENSOR_Q5_K ? sizeof(struct block_q5_k) : sizeof(struct block_q6_k);
}

/* 16 bytes, four of each of (block, half of it) p; byte 4 L + p of the result is byte L of p. */
ALWAYS_INLINE __m128i turn_bytes(__m128i v)
{
    return _mm_shuffle_epi8(v, _mm_set_epi8(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0));
}

/* Float a in the lanes of the first block, float b in those of the second. */
ALWAYS_INLINE __m512 per_block(__m128 v, int a, int b)
{
    return _mm512_permutexvar_ps(_mm512_broadcast_i32x4(_mm_set_epi32(b, b, a, a)), _mm512_castps128_ps512(v));
}

/* Scales of the sub-blocks, d * 6 bits, and minimums, dmin * 6 bits, from the first 16 bytes of both blocks. */
ALWAYS_INLINE void pair_scales_k(const uint8_t *p, const uint8_t *q, struct pair *t)
{
    /* See k_scales in kernels_k_avx512.h. */
    const __m256i v = _mm256_inserti128_si256(_mm256_castsi128_si256(load_xmm(p)), load_xmm(q), 1);
    const __m256i keep = _mm256_broadcastsi128_si256(_mm_set_epi32(0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f));
    const __m256i upper = _mm256_broadcastsi128_si256(_mm_set_epi32(0x30303030, 0, 0x30303030, 0));
    __m256i six = _mm256_srlv_epi32(_mm256_shuffle_epi32(v, _MM_SHUFFLE(3, 2, 3, 1)), _mm256_set_epi32(4, 0, 0, 0, 4, 0, 0, 0));
    __m256i top = _mm256_and_si256(_mm256_srli_epi32(_mm256_shuffle_epi32(v, _MM_SHUFFLE(2, 2, 1, 1)), 2), upper);
    six = _mm256_ternarylogic_epi32(six, keep, top, 0xea);
    six = _mm256_permute4x64_epi64(six, _MM_SHUFFLE(3, 1, 2, 0));    /* the scales of both, then the minimums of both */
    const __m128 ds = _mm_cvtph_ps(_mm_insert_epi32(_mm_cvtsi32_si128((int)load_u32(p)), (int)load_u32(q), 1));
    const __m512 sc = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(turn_bytes(_mm256_castsi256_si128(six))));
    const __m512 mn = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(turn_bytes(_mm256_extracti128_si256(six, 1))));
    const __m512 d = _mm512_mul_ps(sc, per_block(ds, 0, 2));
    t->d[0] = _mm512_shuffle_f32x4(d, d, _MM_SHUFFLE(2, 2, 0, 0));
    t->d[1] = _mm512_shuffle_f32x4(d, d, _MM_SHUFFLE(3, 3, 1, 1));
    t->m = _mm512_mul_ps(mn, per_block(ds, 1, 3));
}

/* d * scale of the 16 elements that a lane belongs to. */
ALWAYS_INLINE void pair_scales_q6(const uint8_t *p, const uint8_t *q, struct pair *t)
{
    const __m128 a = _mm_castsi128_ps(load_xmm(p + 192)), b = _mm_castsi128_ps(load_xmm(q + 192));
    const __m128 ds = _mm_cvtph_ps(_mm_cvtsi32_si128((int)(load_u16(p + 208) | (uint32_t)load_u16(q + 208) << 16)));
    const __m512 d = per_block(ds, 0, 1);
    const __m128i low = _mm_castps_si128(_mm_shuffle_ps(a, b, _MM_SHUFFLE(2, 0, 2, 0)));
    const __m128i high = _mm_castps_si128(_mm_shuffle_ps(a, b, _MM_SHUFFLE(3, 1, 3, 1)));
    t->d[0] = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(turn_bytes(low))), d);
    t->d[1] = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(turn_bytes(high))), d);
}

/* Blocks p and q. Lane 4 L + 2 block + half of vector j has dword j of 16 bytes: the L-th 16 of those 64 that hold nibbles of a half (128
 * elements) of the block. In Q4_K and Q5_K the low nibbles are elements 0 to 31 and 64 to 95 of it, in Q6_K 0 to 63. */
ALWAYS_INLINE void pair_load(uint32_t type, const uint8_t *p, const uint8_t *q, struct pair *t)
{
    const size_t at = type == TENSOR_Q6_K ? 0 : k_bytes(type) - 128;
    t->v[0] = _mm512_loadu_si512(p + at);
    t->v[1] = _mm512_loadu_si512(p + at + 64);
    t->v[2] = _mm512_loadu_si512(q + at);
    t->v[3] = _mm512_loadu_si512(q + at + 64);
    turn_4(t->v);
    if (type == TENSOR_Q5_K) {
        const __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(p + 16));
        const __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(q + 16));
        const __m512i h = _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
        const __m512i from = _mm512_set_epi32(12, 12, 4, 4, 8, 8, 0, 0, 12, 12, 4, 4, 8, 8, 0, 0);
        UNROLL for (int j = 0; j < 4; j++) t->h[j] = _mm512_permutexvar_epi32(_mm512_add_epi32(from, _mm512_set1_epi32(j)), h);
    }
    if (type == TENSOR_Q6_K) {
        const __m512i a = _mm512_loadu_si512(p + 128), b = _mm512_loadu_si512(q + 128);
        const __m512i from = _mm512_set_epi32(28, 20, 12, 4, 24, 16, 8, 0, 28, 20, 12, 4, 24, 16, 8, 0);
        UNROLL for (int j = 0; j < 4; j++) t->h[j] = _mm512_permutex2var_epi32(a, _mm512_add_epi32(from, _mm512_set1_epi32(j)), b);
    }
}

/* The weights of the low (0) or high nibbles, with their upper bits. Rotation brings those of a lane to where they belong. */
ALWAYS_INLINE void pair_weights(uint32_t type, int high, const struct pair *t, __m512i w[8])
{
    const __m512i low = _mm512_set1_epi8(15);
    UNROLL for (int j = 0; j < 4; j++) {
        const __m512i v = high ? _mm512_srli_epi16(t->v[j], 4) : t->v[j];
        if (type == TENSOR_Q4_K) {
            w[j] = _mm512_and_si512(v, low);
        } else if (type == TENSOR_Q5_K) {
            const __m512i by = _mm512_set_epi32(-2, 2, -2, 2, -2, 2, -2, 2, 0, 4, 0, 4, 0, 4, 0, 4);
            const __m512i bit = _mm512_rolv_epi32(t->h[j], _mm512_sub_epi32(by, _mm512_set1_epi32(high)));
            w[j] = _mm512_ternarylogic_epi32(v, low, _mm512_and_si512(bit, _mm512_set1_epi8(16)), 0xea);
        } else {
            const __m512i by = _mm512_set_epi32(2, 2, 2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 4, 4);
            const __m512i bits = _mm512_rolv_epi32(t->h[j], _mm512_sub_epi32(by, _mm512_set1_epi32(4 * high)));
            w[j] = _mm512_ternarylogic_epi32(v, low, _mm512_and_si512(bits, _mm512_set1_epi8(0x30)), 0xea);
        }
    }
}

/* Blocks b and b + 1 of R rows, where p is the first one's block b; both is false where there is no second. */
ALWAYS_INLINE void pair_rows(uint32_t type, int R, int M, const uint8_t *p, size_t row_bytes, struct stream *next, int64_t b, bool both,
                             const struct act *a, int c0, __m512 *acc)
{
    const int bytes = (int)k_bytes(type), eighth = (bytes + 3) / 4;
    const int8_t *planes = type == TENSOR_Q6_K ? a->nat : a->pair;
    const float *scales = type == TENSOR_Q6_K ? a->s16 : a->k5;
    struct pair t[2];
    UNROLL for (int r = 0; r < R; r++) {
        const uint8_t *row = p + (size_t)r * row_bytes, *second = both ? row + bytes : no_block;
        stream_fetch(&next[r], eighth, eighth);
        if (type == TENSOR_Q6_K) pair_scales_q6(row, second, &t[r]);
        else pair_scales_k(row, second, &t[r]);
        stream_fetch(&next[r], eighth, eighth);
        pair_load(type, row, second, &t[r]);
    }
    if (type != TENSOR_Q6_K)
        UNROLL for (int c = 0; c < M; c++) {
            const __m512 sums = _mm512_loadu_ps(a->k_sum + (c0 + c) * (a->stride / 32) + b * 8);
            UNROLL for (int r = 0; r < R; r++) acc[r * M + c] = _mm512_fnmadd_ps(t[r].m, sums, acc[r * M + c]);
        }
    UNROLL for (int high = 0; high < 2; high++) {
        __m512i w[2][8];
        UNROLL for (int r = 0; r < R; r++) {
            stream_fetch(&next[r], eighth, eighth);
            pair_weights(type, high, &t[r], w[r]);
        }
        UNROLL for (int c = 0; c < M; c++) {
            const int64_t at = (c0 + c) * (a->stride / 16) + b * 16 + high * 16;
            const __m512 s = _mm512_loadu_ps(scales + at);
            __m512i sums[2];
            dot_units(R, 4, M <= 2, (const __m512i(*)[8])w, planes + (c0 + c) * a->stride * 2 + b * 512 + high * 512, sums, c ? NULL : next,
                      eighth);
            UNROLL for (int r = 0; r < R; r++) {
                if (type == TENSOR_Q6_K) sums[r] = _mm512_add_epi32(sums[r], _mm512_loadu_si512(a->bias16 + at));
                acc[r * M + c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[r]), _mm512_mul_ps(t[r].d[high], s), acc[r * M + c]);
            }
        }
    }
}

ALWAYS_INLINE void tile_k(uint32_t type, int R, int M, const uint8_t *w, size_t row_bytes, const struct act *a, int c0, float *y, int64_t y_step,
                               int64_t y_stride)
{
    const int64_t n_blocks = a->n / 256;
    const int rows = rows_at_once(R);
    struct stream next[4];
    UNROLL for (int r = 0; r < R; r++) next[r] = stream_of(w + (size_t)r * row_bytes, c0);
    __m512 acc[16];
    UNROLL for (int i = 0; i < R * M; i++) acc[i] = _mm512_setzero_ps();
    for (int64_t b = 0; b < n_blocks; b += 2, w += 2 * k_bytes(type)) {
        UNROLL for (int r = 0; r < R; r += rows)
            pair_rows(type, rows, M, w + (size_t)r * row_bytes, row_bytes, next + r, b, b + 1 < n_blocks, a, c0, acc + r * M);
    }
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

GEMV_DRIVER(q4_0, tile_blocks, TENSOR_Q4_0, 4, 8, 1)
GEMV_DRIVER(q4_1, tile_blocks, TENSOR_Q4_1, 4, 8, 1)
GEMV_DRIVER(q5_0, tile_blocks, TENSOR_Q5_0, 4, 8, 1)
GEMV_DRIVER(q5_1, tile_blocks, TENSOR_Q5_1, 4, 8, 1)
GEMV_DRIVER(q8_0, tile_blocks, TENSOR_Q8_0, 4, 8, 1)
GEMV_DRIVER(q4_k, tile_k, TENSOR_Q4_K, 4, 8, 2)
GEMV_DRIVER(q5_k, tile_k, TENSOR_Q5_K, 4, 8, 2)
GEMV_DRIVER(q6_k, tile_k, TENSOR_Q6_K, 4, 8, 2)
GEMV_DRIVER(f32, tile_floats, TENSOR_F32, 4, 4, 2)
GEMV_DRIVER(f16, tile_floats, TENSOR_F16, 4, 4, 2)
GEMV_DRIVER(bf16, tile_floats, TENSOR_BF16, 4, 4, 2)

static const struct format_kernels formats[] = {
    {TENSOR_F32, gemv_f32}, {TENSOR_F16, gemv_f16}, {TENSOR_BF16, gemv_bf16}, {TENSOR_Q4_0, gemv_q4_0}, {TENSOR_Q4_1, gemv_q4_1},
    {TENSOR_Q5_0, gemv_q5_0}, {TENSOR_Q5_1, gemv_q5_1}, {TENSOR_Q8_0, gemv_q8_0}, {TENSOR_Q4_K, gemv_q4_k}, {TENSOR_Q5_K, gemv_q5_k},
    {TENSOR_Q6_K, gemv_q6_k}, {0, NULL},
};

const struct kernel_family kernels_avx512 = {
    .name = "avx512",
    .cpu_has = cpu_has_avx512,
    .prepare = prepare_avx512,
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
    .prepare = prepare_avx512,
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
