/*
 * gemm_avx2.c - the prompt's products with AVX2; also how all x86 families prepare activations and expand weights.
 *
 * A tile is 8 matrix rows, one a lane, times 4 columns: no sum goes across lanes, so the sums are those of the definition. vpmaddubsw
 * multiplies q + 128 with weights of up to 6 bits; as many of its 16-bit sums are added as cannot overflow: 4 for 4 bits
 * (4 * 2 * 255 * 15 < 2^15), 2 for 5 and 6. For 8 bits the sign moves to the activations, which |q| <= 127 allows.
 */
#include "model/gemm_impl.h"

#ifdef KERNELS_X86

#include <immintrin.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

#define TINY 1e-30f
#define COLUMNS 4

ALWAYS_INLINE __m256i load_32(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
ALWAYS_INLINE __m128i load_16(const void *p) { return _mm_loadu_si128((const __m128i *)p); }
ALWAYS_INLINE float load_half(const void *p) { return _cvtsh_ss(load_u16(p)); }

/* ---- activations ---------------------------------------------------------------------------------------------------- */

ALWAYS_INLINE float max_lanes(__m256 v)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

/* 32 numbers as q + 128. */
ALWAYS_INLINE void input_block(const float *x, bool mid, uint8_t *q, float *scale, float *sum, float *middle)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 v[4], top, lo, hi;
    UNROLL for (int i = 0; i < 4; i++) v[i] = _mm256_loadu_ps(x + 8 * i);
    /* as integers, magnitudes of NaN are the largest */
    __m256i bits = _mm256_castps_si256(_mm256_andnot_ps(sign, v[0]));
    UNROLL for (int i = 1; i < 4; i++) bits = _mm256_max_epi32(bits, _mm256_castps_si256(_mm256_andnot_ps(sign, v[i])));
    top = _mm256_castsi256_ps(bits);
    bool finite = !_mm256_movemask_epi8(_mm256_cmpgt_epi32(bits, _mm256_set1_epi32(0x7f7fffff)));
    float range, c = 0;
    if (mid) {
        lo = _mm256_min_ps(_mm256_min_ps(v[0], v[1]), _mm256_min_ps(v[2], v[3]));
        hi = _mm256_max_ps(_mm256_max_ps(v[0], v[1]), _mm256_max_ps(v[2], v[3]));
        float least = -max_lanes(_mm256_xor_ps(lo, sign)), most = max_lanes(hi);
        range = most - least;
        c = 0.5f * least + 0.5f * most;
    } else {
        range = 2.0f * max_lanes(top);
    }
    finite = finite && f32_bits(range) < 0x7f800000;
    if (!finite) c = 0;
    float inverse = finite && range >= TINY ? 254.0f / range : 0;
    *scale = !finite ? f32_of_bits(0x7fc00000) : inverse > 0 ? range / 254.0f : 0;
    __m256i k[4];
    UNROLL for (int i = 0; i < 4; i++)
        k[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_sub_ps(v[i], _mm256_set1_ps(c)), _mm256_set1_ps(inverse)));
    __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(k[0], k[1]), _mm256_packs_epi32(k[2], k[3]));
    packed = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    packed = _mm256_max_epi8(packed, _mm256_set1_epi8(-127));
    packed = _mm256_xor_si256(packed, _mm256_set1_epi8((char)0x80));
    if (!finite) packed = _mm256_set1_epi8((char)0x80);
    _mm256_storeu_si256((__m256i *)q, packed);
    __m256i four = _mm256_sad_epu8(packed, _mm256_setzero_si256());
    __m128i two = _mm_add_epi64(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
    int total = _mm_cvtsi128_si32(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two))) - 32 * 128;
    *middle = c;
    *sum = *scale * (float)total + 32.0f * c;
}

ALWAYS_INLINE void put_row(struct gemm_input *g, int row, int64_t b0, int64_t b1, bool mid, const float *x)
{
    const int64_t n = g->n / 32;
    float *scales = gemm_scales(g, row);
    uint8_t *q = g->q + row * g->stride;

    for (int64_t b = b0; b < b1; b++, x += 32) input_block(x, mid, q + 32 * b, scales + b, scales + n + b, scales + 2 * n + b);
}

void gemm_put_avx2(struct gemm_input *g, int lo, int hi, int64_t k0, int64_t n, const float *x, int64_t x_stride)
{
    const int64_t b0 = k0 / 32, b1 = (k0 + n) / 32;

    for (int row = lo; row < hi; row++, x += x_stride) {
        if (g->mid) put_row(g, row, b0, b1, true, x);
        else put_row(g, row, b0, b1, false, x);
    }
}

/* ---- weights -------------------------------------------------------------------------------------------------------- */

/* Nibbles of 16 bytes: the low ones, then the high ones. */
ALWAYS_INLINE __m256i nibbles(const uint8_t *qs)
{
    __m128i v = load_16(qs);
    return _mm256_and_si256(_mm256_inserti128_si256(_mm256_castsi128_si256(v), _mm_srli_epi16(v, 4), 1), _mm256_set1_epi8(15));
}

/* 16 in each byte i whose bit i of bits is set. */
ALWAYS_INLINE __m256i fifth_bits(uint32_t bits)
{
    const __m256i spread = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i one = _mm256_set1_epi64x((int64_t)0x8040201008040201);
    __m256i v = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), spread), one);
    return _mm256_and_si256(_mm256_cmpeq_epi8(v, one), _mm256_set1_epi8(16));
}

/* Weights of block i (of 32) of a row, as the format's unpack_fn makes them. */
ALWAYS_INLINE __m256i unpack_weights(uint32_t type, const uint8_t *row, int64_t i)
{
    const __m256i low = _mm256_set1_epi8(15);
    const int s = (int)(i % 8);
    switch (type) {
    case TENSOR_Q4_0: return _mm256_sub_epi8(nibbles(row + 18 * i + 2), _mm256_set1_epi8(8));
    case TENSOR_Q4_1: return nibbles(row + 20 * i + 4);
    case TENSOR_Q5_0: return _mm256_sub_epi8(_mm256_or_si256(nibbles(row + 22 * i + 6), fifth_bits(load_u32(row + 22 * i + 2))), _mm256_set1_epi8(16));
    case TENSOR_Q5_1: return _mm256_or_si256(nibbles(row + 24 * i + 8), fifth_bits(load_u32(row + 24 * i + 4)));
    case TENSOR_Q8_0: return load_32(row + 34 * i + 2);
    case TENSOR_Q4_K: {
        const struct block_q4_k *b = (const struct block_q4_k *)row + i / 8;
        return _mm256_and_si256(_mm256_srl_epi16(load_32(b->qs + s / 2 * 32), _mm_cvtsi32_si128(s % 2 * 4)), low);
    }
    case TENSOR_Q5_K: {
        const struct block_q5_k *b = (const struct block_q5_k *)row + i / 8;
        __m256i w = _mm256_and_si256(_mm256_srl_epi16(load_32(b->qs + s / 2 * 32), _mm_cvtsi32_si128(s % 2 * 4)), low);
        __m256i bit = _mm256_and_si256(_mm256_srl_epi16(load_32(b->qh), _mm_cvtsi32_si128(s)), _mm256_set1_epi8(1));
        return _mm256_or_si256(w, _mm256_slli_epi16(bit, 4));
    }
    default: {
        const struct block_q6_k *b = (const struct block_q6_k *)row + i / 8;
        const int h = s / 4, p = s % 4;
        __m256i ql = _mm256_and_si256(_mm256_srl_epi16(load_32(b->ql + h * 64 + p % 2 * 32), _mm_cvtsi32_si128(p / 2 * 4)), low);
        __m256i qh = _mm256_and_si256(_mm256_srl_epi16(load_32(b->qh + h * 32), _mm_cvtsi32_si128(2 * p)), _mm256_set1_epi8(3));
        return _mm256_sub_epi8(_mm256_or_si256(ql, _mm256_slli_epi16(qh, 4)), _mm256_set1_epi8(32));
    }
    }
}

/* Scales of blocks [b, b + n) of one row into column `r` of the panel. */
ALWAYS_INLINE void unpack_scales(uint32_t type, const uint8_t *row, int64_t b, int n, struct gemm_panel *p, int r)
{
    int bytes = type == TENSOR_Q4_0 ? 18 : type == TENSOR_Q4_1 ? 20 : type == TENSOR_Q5_0 ? 22 : type == TENSOR_Q5_1 ? 24 : 34;
    if (type == TENSOR_Q4_K || type == TENSOR_Q5_K) {
        bytes = type == TENSOR_Q4_K ? (int)sizeof(struct block_q4_k) : (int)sizeof(struct block_q5_k);
        for (int i = 0; i < n; i += 8) {
            const uint8_t *k = row + (b + i) / 8 * bytes;
            const float d = load_half(k), dmin = load_half(k + 2);
            for (int s = 0; s < 8; s++) {
                int sc, m;
                k_scale_min(k + 4, s, &sc, &m);
                p->d[i + s][r] = d * (float)sc;
                p->m[i + s][r] = -(dmin * (float)m);
            }
        }
        return;
    }
    if (type == TENSOR_Q6_K) {
        for (int i = 0; i < n; i += 8) {
            const struct block_q6_k *k = (const struct block_q6_k *)row + (b + i) / 8;
            const float d = load_half(k->d);
            for (int s = 0; s < 16; s++) p->d[2 * i + s][r] = d * (float)k->scales[s];
        }
        return;
    }
    for (int i = 0; i < n; i++) {
        p->d[i][r] = load_half(row + (b + i) * bytes);
        if (type == TENSOR_Q4_1 || type == TENSOR_Q5_1) p->m[i][r] = load_half(row + (b + i) * bytes + 2);
    }
}

/* Lane i of out[k]: dword k of v[i]. */
ALWAYS_INLINE void transpose_8(const __m256i v[8], __m256i out[8])
{
    __m256i a[8], b[8];
    UNROLL for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
        a[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
    }
    UNROLL for (int i = 0; i < 8; i += 4) {
        b[i] = _mm256_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm256_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm256_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm256_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        out[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
        out[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
    }
}

/* Sum of the 4 signed bytes of each lane. */
ALWAYS_INLINE __m256i sum_quads(__m256i v)
{
    return _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), v), _mm256_set1_epi16(1));
}

/* Block b (of the slab) of 8 rows from r on: weights and what follows from their sums. */
ALWAYS_INLINE void expand_block(uint32_t type, const uint8_t *w, size_t row_bytes, int rows, int64_t block, int b, struct gemm_panel *p, int r)
{
    const bool halves = type == TENSOR_Q6_K;
    __m256i v[8], t[8], sum[2];
    UNROLL for (int i = 0; i < 8; i++)
        v[i] = i < rows ? unpack_weights(type, w + (size_t)i * row_bytes, block) : _mm256_setzero_si256();
    transpose_8(v, t);
    UNROLL for (int k = 0; k < 8; k++) _mm256_store_si256((__m256i *)p->w[8 * b + k][r], t[k]);
    UNROLL for (int h = 0; h < 2; h++) {
        sum[h] = _mm256_add_epi32(_mm256_add_epi32(sum_quads(t[4 * h]), sum_quads(t[4 * h + 1])),
                                  _mm256_add_epi32(sum_quads(t[4 * h + 2]), sum_quads(t[4 * h + 3])));
    }
    if (halves) {
        __m256 dw[2];
        UNROLL for (int h = 0; h < 2; h++) {
            _mm256_store_si256((__m256i *)&p->init[2 * b + h][r], _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_slli_epi32(sum[h], 7)));
            dw[h] = _mm256_mul_ps(_mm256_load_ps(&p->d[2 * b + h][r]), _mm256_cvtepi32_ps(sum[h]));
        }
        _mm256_store_ps(&p->dw[b][r], _mm256_add_ps(dw[0], dw[1]));
        return;
    }
    sum[0] = _mm256_add_epi32(sum[0], sum[1]);
    _mm256_store_si256((__m256i *)&p->init[b][r], _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_slli_epi32(sum[0], 7)));
    _mm256_store_ps(&p->dw[b][r], _mm256_mul_ps(_mm256_load_ps(&p->d[b][r]), _mm256_cvtepi32_ps(sum[0])));
}

ALWAYS_INLINE void expand_type(uint32_t type, const uint8_t *w, size_t row_bytes, int rows, int64_t k0, int n, struct gemm_panel *p)
{
    for (int r = 0; r < GEMM_PANEL; r++) {
        if (r < rows) {
            unpack_scales(type, w + (size_t)r * row_bytes, k0 / 32, n / 32, p, r);
            continue;
        }
        for (int i = 0; i < n / 16; i++) p->d[i][r] = 0;
        for (int i = 0; i < n / 32; i++) p->m[i][r] = 0;
    }
    for (int r = 0; r < GEMM_PANEL; r += 8) {
        const uint8_t *first = w + (size_t)r * row_bytes;
        if (rows - r >= 8)
            for (int b = 0; b < n / 32; b++) expand_block(type, first, row_bytes, 8, k0 / 32 + b, b, p, r);
        else
            for (int b = 0; b < n / 32; b++) expand_block(type, first, row_bytes, rows - r, k0 / 32 + b, b, p, r);
    }
}

void gemm_expand_avx2(const struct gemm_format *f, const uint8_t *w, size_t row_bytes, int rows, int64_t k0, int n, struct gemm_panel *p)
{
    switch (f->type) {
    case TENSOR_Q4_0: expand_type(TENSOR_Q4_0, w, row_bytes, rows, k0, n, p); break;
    case TENSOR_Q4_1: expand_type(TENSOR_Q4_1, w, row_bytes, rows, k0, n, p); break;
    case TENSOR_Q5_0: expand_type(TENSOR_Q5_0, w, row_bytes, rows, k0, n, p); break;
    case TENSOR_Q5_1: expand_type(TENSOR_Q5_1, w, row_bytes, rows, k0, n, p); break;
    case TENSOR_Q8_0: expand_type(TENSOR_Q8_0, w, row_bytes, rows, k0, n, p); break;
    case TENSOR_Q4_K: expand_type(TENSOR_Q4_K, w, row_bytes, rows, k0, n, p); break;
    case TENSOR_Q5_K: expand_type(TENSOR_Q5_K, w, row_bytes, rows, k0, n, p); break;
    case TENSOR_Q6_K: expand_type(TENSOR_Q6_K, w, row_bytes, rows, k0, n, p); break;
    default: break;
    }
}

/* ---- products ------------------------------------------------------------------------------------------------------- */

/* Adds the products of 4 k with k's weights to wide (32-bit lanes). */
ALWAYS_INLINE __m256i widen(__m256i pairs)
{
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

/* t += `steps` (4 or 8) weights of 4 from w on times column c; b: the block's bytes of column 0 of the tile. */
ALWAYS_INLINE void dot_steps(int bits, int N, int steps, const int8_t *w, const uint8_t *b, int64_t stride, __m256i *t)
{
    const int depth = bits == 4 ? 4 : 2;
    __m256i pairs[COLUMNS];
    UNROLL for (int k = 0; k < steps; k++) {
        __m256i v = _mm256_load_si256((const __m256i *)(w + k * 4 * GEMM_PANEL));
        UNROLL for (int c = 0; c < N; c++) {
            __m256i q = _mm256_set1_epi32((int)load_u32(b + c * stride + 4 * k));
            if (bits == 8) {
                q = _mm256_sign_epi8(_mm256_xor_si256(q, _mm256_set1_epi8((char)0x80)), v);
                t[c] = _mm256_add_epi32(t[c], widen(_mm256_maddubs_epi16(_mm256_abs_epi8(v), q)));
                continue;
            }
            __m256i product = _mm256_maddubs_epi16(q, v);
            pairs[c] = k % depth ? _mm256_add_epi16(pairs[c], product) : product;
            if (k % depth == depth - 1) t[c] = _mm256_add_epi32(t[c], widen(pairs[c]));
        }
    }
}

/* Panel rows r to r + 8 times N columns from c0 on. */
ALWAYS_INLINE void tile(int bits, bool halves, bool min, bool mid, int N, const struct gemm_slab *s, int c0, int r)
{
    const struct gemm_input *g = s->g;
    const struct gemm_panel *p = s->panel;
    const int64_t n = g->n / 32;
    const uint8_t *q = gemm_q(g, c0) + 32 * s->b0;
    const float *scales = gemm_scales(g, c0) + s->b0;
    const int here = s->rows - r < 8 ? s->rows - r : 8;
    const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(here), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    float *y = s->y + (c0 - s->lo) * s->y_stride + r;
    __m256 acc[COLUMNS];

    UNROLL for (int c = 0; c < N; c++) acc[c] = s->first ? _mm256_setzero_ps() : _mm256_maskload_ps(y + c * s->y_stride, mask);
    for (int b = 0; b < s->blocks; b++) {
        UNROLL for (int h = 0; h <= halves; h++) {
            const int i = halves ? 2 * b + h : b;
            __m256i t[COLUMNS];
            UNROLL for (int c = 0; c < N; c++) t[c] = bits == 8 ? _mm256_setzero_si256() : _mm256_load_si256((const __m256i *)&p->init[i][r]);
            dot_steps(bits, N, halves ? 4 : 8, p->w[8 * b + 4 * h][r], q + 32 * b + 16 * h, g->stride, t);
            UNROLL for (int c = 0; c < N; c++) {
                __m256 ds = _mm256_mul_ps(_mm256_load_ps(&p->d[i][r]), _mm256_broadcast_ss(scales + c * 3 * n + b));
                acc[c] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(t[c]), ds, acc[c]);
            }
        }
        UNROLL for (int c = 0; c < N; c++) {
            if (min) acc[c] = _mm256_fmadd_ps(_mm256_load_ps(&p->m[b][r]), _mm256_broadcast_ss(scales + (3 * c + 1) * n + b), acc[c]);
            if (mid) acc[c] = _mm256_fmadd_ps(_mm256_load_ps(&p->dw[b][r]), _mm256_broadcast_ss(scales + (3 * c + 2) * n + b), acc[c]);
        }
    }
    UNROLL for (int c = 0; c < N; c++) _mm256_maskstore_ps(y + c * s->y_stride, mask, acc[c]);
}

#define MULTIPLY(name, bits, halves, min, mid) \
    static void multiply_##name(const struct gemm_slab *s, int c0, int c1) \
    { \
        for (int c = c0; c < c1; c += COLUMNS) \
            for (int r = 0; r < s->rows; r += 8) \
                switch (c1 - c) { \
                case 1: tile(bits, halves, min, mid, 1, s, c, r); break; \
                case 2: tile(bits, halves, min, mid, 2, s, c, r); break; \
                case 3: tile(bits, halves, min, mid, 3, s, c, r); break; \
                default: tile(bits, halves, min, mid, 4, s, c, r); break; \
                } \
    }

MULTIPLY(4, 4, false, false, false)
MULTIPLY(4_mid, 4, false, false, true)
MULTIPLY(4_min, 4, false, true, false)
MULTIPLY(4_min_mid, 4, false, true, true)
MULTIPLY(5, 5, false, false, false)
MULTIPLY(5_mid, 5, false, false, true)
MULTIPLY(5_min, 5, false, true, false)
MULTIPLY(5_min_mid, 5, false, true, true)
MULTIPLY(6, 6, true, false, false)
MULTIPLY(6_mid, 6, true, false, true)
MULTIPLY(8, 8, false, false, false)
MULTIPLY(8_mid, 8, false, false, true)

static void multiply(const struct gemm_slab *s, int c0, int c1)
{
    const struct gemm_format *f = s->format;
    const bool mid = s->g->mid;
    switch (f->bits) {
    case 4:
        if (f->min) (mid ? multiply_4_min_mid : multiply_4_min)(s, c0, c1);
        else (mid ? multiply_4_mid : multiply_4)(s, c0, c1);
        break;
    case 5:
        if (f->min) (mid ? multiply_5_min_mid : multiply_5_min)(s, c0, c1);
        else (mid ? multiply_5_mid : multiply_5)(s, c0, c1);
        break;
    case 6: (mid ? multiply_6_mid : multiply_6)(s, c0, c1); break;
    default: (mid ? multiply_8_mid : multiply_8)(s, c0, c1); break;
    }
}

const struct gemm_family gemm_avx2 = {
    .name = "avx2",
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
