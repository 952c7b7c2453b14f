/*
 * kernels_avx2.c - rows against activations with AVX2.
 *
 * The same shapes as in kernels_avx512.c at half the width: weights stay unsigned bytes, vpmaddubsw multiplies them with a plane of
 * the activations. Its sums of two products fit 16 bits as long as weights have at most 6 bits (63 * 128 * 2), and the sums
 * of four with 5 bits; Q8_0 is widened to 16-bit products instead. Integer sums are exact, float sums are in one order for
 * all R and M.
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

ALWAYS_INLINE float sum_lanes(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

ALWAYS_INLINE void store_sums(const __m256 *acc, int R, int M, float *y, int64_t y_step, int64_t y_stride)
{
    UNROLL for (int i = 0; i < R * M; i++) y[i % M * y_stride + i / M * y_step] = sum_lanes(acc[i]);
}

/* 256 times the pair sums of the hi plane plus those of the lo plane. */
ALWAYS_INLINE __m256i join_planes(__m256i hi, __m256i lo)
{
    return _mm256_add_epi32(_mm256_madd_epi16(hi, _mm256_set1_epi16(256)), _mm256_madd_epi16(lo, _mm256_set1_epi16(1)));
}

/* The 8 partial sums of 32 weights (at most 6 bits) against planes 64 bytes apart. */
ALWAYS_INLINE __m256i dot_32(__m256i w, const int8_t *planes)
{
    return join_planes(_mm256_maddubs_epi16(w, load_32(planes)), _mm256_maddubs_epi16(w, load_32(planes + 64)));
}

ALWAYS_INLINE __m256 fma_lanes(__m256i ints, __m256 scales, __m256i lanes, __m256 acc)
{
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(ints), _mm256_permutevar8x32_ps(scales, lanes), acc);
}

/* ---- blocks of 32: chunks of 8 blocks, then of 2 -------------------------------------------------------------------- */

/* A float of the activations for each block of a chunk: what lies behind belongs to another column. */
ALWAYS_INLINE __m256 block_floats(const float *p, int n)
{
    return n == 8 ? _mm256_loadu_ps(p) : _mm256_castsi256_ps(_mm256_zextsi128_si256(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}

ALWAYS_INLINE int block_bytes(uint32_t type)
{
    return type == TENSOR_Q4_0 ? 18 : type == TENSOR_Q4_1 ? 20 : type == TENSOR_Q5_0 ? 22 : type == TENSOR_Q5_1 ? 24 : 34;
}

/* The first f16 of n (8 or 2) blocks, and their second one if m is not NULL; of the last two, nb are there. 0 for the rest. */
ALWAYS_INLINE void chunk_halves(const uint8_t *p, int stride, int n, int nb, __m256 *d, __m256 *m)
{
    int h[8] = {0};
    UNROLL for (int i = 0; i < n; i++) h[i] = n == 8 || i < nb ? (int)load_u32(p + i * stride) : 0;
    const __m128i a = _mm_setr_epi32(h[0], h[1], h[2], h[3]), b = _mm_setr_epi32(h[4], h[5], h[6], h[7]), low = _mm_set1_epi32(0xffff);
    *d = _mm256_cvtph_ps(_mm_packus_epi32(_mm_and_si128(a, low), _mm_and_si128(b, low)));
    if (m) *m = _mm256_cvtph_ps(_mm_packus_epi32(_mm_srli_epi32(a, 16), _mm_srli_epi32(b, 16)));
}

/* Spreads 32 bits to 32 bytes of 16 or 0: the low 16 bits of a and b first, or the high 16. */
ALWAYS_INLINE __m256i fifth_bits(uint32_t a, uint32_t b, int high)
{
    uint32_t bits = high ? a >> 16 | (b & 0xffff0000) : (a & 0xffff) | b << 16;
    const __m256i byte = _mm256_set_epi64x(0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0);
    const __m256i bit = _mm256_set1_epi64x((int64_t)0x8040201008040201);
    __m256i v = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), byte), bit);
    return _mm256_and_si256(_mm256_cmpeq_epi8(v, bit), _mm256_set1_epi8(16));
}

/* Weights of a pair of blocks: first 16 of each in w0, last 16 in w1; of one block and zeros when there is no second. */
ALWAYS_INLINE void pair_weights(uint32_t type, const uint8_t *p, bool second, __m256i *w0, __m256i *w1)
{
    const int stride = block_bytes(type);
    const __m256i low = _mm256_set1_epi8(15);
    __m128i upper = second ? load_16(p + 2 * stride - 16) : _mm_setzero_si128();
    __m256i v = _mm256_inserti128_si256(_mm256_castsi128_si256(load_16(p + stride - 16)), upper, 1);
    *w0 = _mm256_and_si256(v, low);
    *w1 = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);
    if (type != TENSOR_Q5_0 && type != TENSOR_Q5_1) return;
    uint32_t a = load_u32(p + stride - 20), b = second ? load_u32(p + 2 * stride - 20) : 0;
    *w0 = _mm256_or_si256(*w0, fifth_bits(a, b, 0));
    *w1 = _mm256_or_si256(*w1, fifth_bits(a, b, 1));
}

ALWAYS_INLINE void chunk_nibbles(uint32_t type, int R, int M, const uint8_t *p, size_t row_bytes, struct stream *next, int64_t b0, int n,
                                 int nb, const struct act *a, int c0, __m256 *acc, __m256 *accm)
{
    const int bytes = block_bytes(type);
    const bool has_m = type == TENSOR_Q4_1 || type == TENSOR_Q5_1;
    __m256 s[8];
    UNROLL for (int r = 0; r < R; r++) {
        const uint8_t *row = p + (size_t)r * row_bytes;
        __m256 d, m;
        chunk_halves(row, bytes, n, nb, &d, has_m ? &m : NULL);
        if (!has_m) m = _mm256_mul_ps(d, _mm256_set1_ps(type == TENSOR_Q4_0 ? -8.0f : -16.0f));
        UNROLL for (int c = 0; c < M; c++) {
            const int64_t at = (c0 + c) * (a->stride / 32) + b0;
            s[r * M + c] = _mm256_mul_ps(d, block_floats(a->s32 + at, n));
            accm[r * M + c] = _mm256_fmadd_ps(m, block_floats(a->sum32 + at, n), accm[r * M + c]);
        }
    }
    UNROLL for (int g = 0; g < n / 2; g++) {
        const __m256i lanes = _mm256_set_epi32(2 * g + 1, 2 * g + 1, 2 * g + 1, 2 * g + 1, 2 * g, 2 * g, 2 * g, 2 * g);
        UNROLL for (int r = 0; r < R; r++) {
            __m256i w0, w1;
            stream_fetch(&next[r], 2 * bytes, n == 8 || nb > 1 ? 2 * bytes : bytes);
            pair_weights(type, p + (size_t)r * row_bytes + (size_t)(2 * g * bytes), n == 8 || nb > 1, &w0, &w1);
            UNROLL for (int c = 0; c < M; c++) {
                const int8_t *x = a->half + (c0 + c) * a->stride * 2 + (b0 + 2 * g) / 4 * 256 + (b0 + 2 * g) % 4 * 16;
                __m256i hi = _mm256_add_epi16(_mm256_maddubs_epi16(w0, load_32(x)), _mm256_maddubs_epi16(w1, load_32(x + 128)));
                __m256i lo = _mm256_add_epi16(_mm256_maddubs_epi16(w0, load_32(x + 64)), _mm256_maddubs_epi16(w1, load_32(x + 192)));
                acc[r * M + c] = fma_lanes(join_planes(hi, lo), s[r * M + c], lanes, acc[r * M + c]);
            }
        }
    }
}

ALWAYS_INLINE void chunk_q8(int R, int M, const uint8_t *p, size_t row_bytes, struct stream *next, int64_t b0, int n, int nb,
                            const struct act *a, int c0, __m256 *acc)
{
    __m256 s[8];
    UNROLL for (int r = 0; r < R; r++) {
        const uint8_t *row = p + (size_t)r * row_bytes;
        __m256 d;
        chunk_halves(row, 34, n, nb, &d, NULL);
        UNROLL for (int c = 0; c < M; c++) s[r * M + c] = _mm256_mul_ps(d, block_floats(a->s32 + (c0 + c) * (a->stride / 32) + b0, n));
    }
    UNROLL for (int u = 0; u < n; u++) {
        /* A missing second block has scale 0: the first one's bytes stand in for it. */
        const int at = n == 8 || u < nb ? u : 0;
        UNROLL for (int r = 0; r < R; r++) {
            stream_fetch(&next[r], 34, n == 8 || u < nb ? 34 : 0);
            const uint8_t *q = p + (size_t)r * row_bytes + 34 * at + 2;
            __m256i w0 = _mm256_cvtepi8_epi16(load_16(q)), w1 = _mm256_cvtepi8_epi16(load_16(q + 16));
            UNROLL for (int c = 0; c < M; c++) {
                const int16_t *x = a->q + (c0 + c) * a->stride + (b0 + u) * 32;
                __m256i t = _mm256_add_epi32(_mm256_madd_epi16(w0, load_32(x)), _mm256_madd_epi16(w1, load_32(x + 16)));
                acc[r * M + c] = fma_lanes(t, s[r * M + c], _mm256_set1_epi32(u), acc[r * M + c]);
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
    __m256 acc[8], accm[8];
    UNROLL for (int i = 0; i < R * M; i++) acc[i] = accm[i] = _mm256_setzero_ps();
    int64_t b = 0;
    for (; b + 8 <= n_blocks; b += 8) {
        if (type == TENSOR_Q8_0) chunk_q8(R, M, w + b * bytes, row_bytes, next, b, 8, 8, a, c0, acc);
        else chunk_nibbles(type, R, M, w + b * bytes, row_bytes, next, b, 8, 8, a, c0, acc, accm);
    }
    for (; b < n_blocks; b += 2) {
        const int nb = (int)(n_blocks - b);
        if (type == TENSOR_Q8_0) chunk_q8(R, M, w + b * bytes, row_bytes, next, b, 2, nb, a, c0, acc);
        else chunk_nibbles(type, R, M, w + b * bytes, row_bytes, next, b, 2, nb, a, c0, acc, accm);
    }
    UNROLL for (int i = 0; i < R * M; i++) acc[i] = _mm256_add_ps(acc[i], accm[i]);
    store_sums(acc, R, M, y, y_step, y_stride);
}

/* ---- Q4_K Q5_K --------------------------------------------------------------------------------------------------------- */

/* d * scale and dmin * minimum of the 8 sub-blocks: see k_scales in kernels_avx512.c. */
ALWAYS_INLINE void k_scales(const uint8_t *p, __m256 *d, __m256 *m)
{
    const __m128i v = load_16(p);
    const __m128i keep = _mm_set_epi32(0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f), upper = _mm_set_epi32(0x30303030, 0, 0x30303030, 0);
    __m128i six = _mm_srlv_epi32(_mm_shuffle_epi32(v, _MM_SHUFFLE(3, 2, 3, 1)), _mm_set_epi32(4, 0, 0, 0));
    __m128i top = _mm_and_si128(_mm_srli_epi32(_mm_shuffle_epi32(v, _MM_SHUFFLE(2, 2, 1, 1)), 2), upper);
    six = _mm_or_si128(_mm_and_si128(six, keep), top);
    __m128 dm = _mm_cvtph_ps(v);
    __m256 d_all = _mm256_broadcastss_ps(dm), m_all = _mm256_broadcastss_ps(_mm_movehdup_ps(dm));
    *d = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(six)), d_all);
    *m = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(six, 8))), m_all);
}

/* Sub-block j of a block: its nibbles are those of bytes 32 * (j / 2).. */
ALWAYS_INLINE __m256i k_weights(uint32_t type, int j, const uint8_t *p, size_t bytes)
{
    const __m256i low = _mm256_set1_epi8(15);
    __m256i qs = load_32(p + bytes - 128 + j / 2 * 32);
    __m256i w = _mm256_and_si256(j % 2 ? _mm256_srli_epi16(qs, 4) : qs, low);
    if (type == TENSOR_Q4_K) return w;
    const __m256i bit = _mm256_set1_epi8((char)(1 << j));
    __m256i fifth = _mm256_cmpeq_epi8(_mm256_and_si256(load_32(p + 16), bit), bit);
    return _mm256_or_si256(w, _mm256_and_si256(fifth, _mm256_set1_epi8(16)));
}

ALWAYS_INLINE void tile_k(uint32_t type, int R, int M, const uint8_t *w, size_t row_bytes, const struct act *a, int c0, float *y, int64_t y_step,
                               int64_t y_stride)
{
    const size_t bytes = type == TENSOR_Q4_K ? sizeof(struct block_q4_k) : sizeof(struct block_q5_k);
    struct stream next[4];
    UNROLL for (int r = 0; r < R; r++) next[r] = stream_of(w + (size_t)r * row_bytes, c0);
    __m256 acc[8], s[8];
    UNROLL for (int i = 0; i < R * M; i++) acc[i] = _mm256_setzero_ps();
    for (int64_t b = 0; b < a->n / 256; b++, w += bytes) {
        UNROLL for (int r = 0; r < R; r++) {
            __m256 d, m;
            k_scales(w + (size_t)r * row_bytes, &d, &m);
            UNROLL for (int c = 0; c < M; c++) {
                const float *k = a->k5 + (c0 + c) * (a->stride / 16) + b * 16;
                s[r * M + c] = _mm256_mul_ps(d, _mm256_loadu_ps(k));
                acc[r * M + c] = _mm256_fnmadd_ps(m, _mm256_loadu_ps(k + 8), acc[r * M + c]);
            }
        }
        UNROLL for (int j = 0; j < 8; j++)
            UNROLL for (int r = 0; r < R; r++) {
                if (j % 2) stream_fetch(&next[r], (int)bytes / 4, (int)bytes / 4);
                __m256i v = k_weights(type, j, w + (size_t)r * row_bytes, bytes);
                UNROLL for (int c = 0; c < M; c++) {
                    const int8_t *x = a->nat + (c0 + c) * a->stride * 2 + b * 512 + j / 2 * 128 + j % 2 * 32;
                    acc[r * M + c] = fma_lanes(dot_32(v, x), s[r * M + c], _mm256_set1_epi32(j), acc[r * M + c]);
                }
            }
    }
    store_sums(acc, R, M, y, y_step, y_stride);
}

/* ---- Q6_K ---------------------------------------------------------------------------------------------------------------- */

/* Unit j (0 to 7) of 32 elements, as q + 32. */
ALWAYS_INLINE __m256i q6_weights(const uint8_t *p, int j)
{
    const __m256i low = _mm256_set1_epi8(15), two = _mm256_set1_epi8(0x30);
    const int h = j / 4, u = j % 4;
    __m256i ql = load_32(p + h * 64 + u % 2 * 32), qh = load_32(p + 128 + h * 32);
    ql = _mm256_and_si256(u / 2 ? _mm256_srli_epi16(ql, 4) : ql, low);
    qh = u == 0 ? _mm256_slli_epi16(qh, 4) : u == 1 ? _mm256_slli_epi16(qh, 2) : u == 2 ? qh : _mm256_srli_epi16(qh, 2);
    return _mm256_or_si256(ql, _mm256_and_si256(qh, two));
}

ALWAYS_INLINE void tile_q6(uint32_t type, int R, int M, const uint8_t *w, size_t row_bytes, const struct act *a, int c0, float *y, int64_t y_step,
                               int64_t y_stride)
{
    const size_t bytes = sizeof(struct block_q6_k);
    struct stream next[4];
    UNROLL for (int r = 0; r < R; r++) next[r] = stream_of(w + (size_t)r * row_bytes, c0);
    __m256 acc[8], s[8];
    (void)type;
    UNROLL for (int i = 0; i < R * M; i++) acc[i] = _mm256_setzero_ps();
    for (int64_t b = 0; b < a->n / 256; b++, w += bytes) {
        UNROLL for (int h = 0; h < 2; h++) {
            UNROLL for (int r = 0; r < R; r++) {
                const uint8_t *p = w + (size_t)r * row_bytes;
                __m256 d = _mm256_cvtph_ps(_mm_set1_epi16((short)load_u16(p + 208)));
                d = _mm256_mul_ps(
                    _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(p + 192 + 8 * h)))), d);
                UNROLL for (int c = 0; c < M; c++) {
                    const int64_t at = (c0 + c) * (a->stride / 16) + b * 16 + 8 * h;
                    s[r * M + c] = _mm256_mul_ps(d, _mm256_loadu_ps(a->s16 + at));
                    acc[r * M + c] = _mm256_fmadd_ps(d, _mm256_loadu_ps(a->off16 + at), acc[r * M + c]);
                }
            }
            UNROLL for (int u = 0; u < 4; u++)
                UNROLL for (int r = 0; r < R; r++) {
                    const __m256i lanes = _mm256_set_epi32(2 * u + 1, 2 * u + 1, 2 * u + 1, 2 * u + 1, 2 * u, 2 * u, 2 * u, 2 * u);
                    if (u % 2) stream_fetch(&next[r], 53, h && u == 3 ? (int)bytes - 3 * 53 : 53);
                    __m256i v = q6_weights(w + (size_t)r * row_bytes, 4 * h + u);
                    UNROLL for (int c = 0; c < M; c++) {
                        const int8_t *x = a->nat + (c0 + c) * a->stride * 2 + b * 512 + h * 256 + u / 2 * 128 + u % 2 * 32;
                        acc[r * M + c] = fma_lanes(dot_32(v, x), s[r * M + c], lanes, acc[r * M + c]);
                    }
                }
        }
    }
    store_sums(acc, R, M, y, y_step, y_stride);
}

/* ---- F32 F16 BF16 ---------------------------------------------------------------------------------------------------------- */

ALWAYS_INLINE __m256 float_weights(uint32_t type, const uint8_t *p)
{
    if (type == TENSOR_F32) return _mm256_loadu_ps((const float *)(const void *)p);
    if (type == TENSOR_F16) return _mm256_cvtph_ps(load_16(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_16(p)), 16));
}

ALWAYS_INLINE void tile_floats(uint32_t type, int R, int M, const uint8_t *w, size_t row_bytes, const struct act *a, int c0, float *y, int64_t y_step,
                               int64_t y_stride)
{
    const size_t size = type == TENSOR_F32 ? 4 : 2;
    struct stream next[4];
    UNROLL for (int r = 0; r < R; r++) next[r] = stream_of(w + (size_t)r * row_bytes, c0);
    const int64_t whole = a->n / 8 * 8;
    __m256 acc[8];
    UNROLL for (int i = 0; i < R * M; i++) acc[i] = _mm256_setzero_ps();
    for (int64_t i = 0; i < whole; i += 8) {
        UNROLL for (int r = 0; r < R; r++) {
            const uint8_t *p = w + (size_t)r * row_bytes + (size_t)i * size;
            stream_fetch(&next[r], 8 * (int)size, 8 * (int)size);
            __m256 v = float_weights(type, p);
            UNROLL for (int c = 0; c < M; c++)
                acc[r * M + c] = _mm256_fmadd_ps(v, _mm256_loadu_ps(a->x + (c0 + c) * a->stride + i), acc[r * M + c]);
        }
    }
    if (whole < a->n)
        UNROLL for (int r = 0; r < R; r++) {
            uint8_t rest[32] = {0};    /* the end of a row may be the end of the mapping */
            memcpy(rest, w + (size_t)r * row_bytes + (size_t)whole * size, (size_t)(a->n - whole) * size);
            __m256 v = float_weights(type, rest);
            UNROLL for (int c = 0; c < M; c++)
                acc[r * M + c] = _mm256_fmadd_ps(v, _mm256_loadu_ps(a->x + (c0 + c) * a->stride + whole), acc[r * M + c]);
        }
    store_sums(acc, R, M, y, y_step, y_stride);
}

/* ---- drivers --------------------------------------------------------------------------------------------------------------- */

GEMV_DRIVER(q4_0, tile_blocks, TENSOR_Q4_0, 4, 4, 2)
GEMV_DRIVER(q4_1, tile_blocks, TENSOR_Q4_1, 4, 4, 2)
GEMV_DRIVER(q5_0, tile_blocks, TENSOR_Q5_0, 4, 4, 2)
GEMV_DRIVER(q5_1, tile_blocks, TENSOR_Q5_1, 4, 4, 2)
GEMV_DRIVER(q8_0, tile_blocks, TENSOR_Q8_0, 4, 4, 2)
GEMV_DRIVER(q4_k, tile_k, TENSOR_Q4_K, 4, 4, 2)
GEMV_DRIVER(q5_k, tile_k, TENSOR_Q5_K, 4, 4, 2)
GEMV_DRIVER(q6_k, tile_q6, TENSOR_Q6_K, 4, 4, 2)
GEMV_DRIVER(f32, tile_floats, TENSOR_F32, 4, 4, 2)
GEMV_DRIVER(f16, tile_floats, TENSOR_F16, 4, 4, 2)
GEMV_DRIVER(bf16, tile_floats, TENSOR_BF16, 4, 4, 2)

static const struct format_kernels formats[] = {
    {TENSOR_F32, gemv_f32}, {TENSOR_F16, gemv_f16}, {TENSOR_BF16, gemv_bf16}, {TENSOR_Q4_0, gemv_q4_0}, {TENSOR_Q4_1, gemv_q4_1},
    {TENSOR_Q5_0, gemv_q5_0}, {TENSOR_Q5_1, gemv_q5_1}, {TENSOR_Q8_0, gemv_q8_0}, {TENSOR_Q4_K, gemv_q4_k}, {TENSOR_Q5_K, gemv_q5_k},
    {TENSOR_Q6_K, gemv_q6_k}, {0, NULL},
};

const struct kernel_family kernels_avx2 = {
    .name = "avx2",
    .cpu_has = cpu_has_avx2,
    .prepare = prepare_avx2,
    .formats = formats,
    .dequant = dequant_avx2,
    .attend = attend_avx2,
    .q8_0_to_f16 = q8_0_to_f16_avx2,
    .panel_product = panel_product_avx2,
    .panel_soften = panel_soften_avx2,
    .f32_to_f16 = f32_to_f16_avx2,
    .f16_to_f32 = f16_to_f32_avx2,
    .rms_norm = rms_norm_avx2,
    .add = add_avx2,
    .swiglu = swiglu_avx2,
};

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
