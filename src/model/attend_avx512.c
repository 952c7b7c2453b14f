/*
 * attend_avx512.c - attention of the heads of one group with AVX-512: keys and values are widened once for up to 6 heads.
 *
 * Per tile of ATTEND_TILE positions: all scores, then their maximum and exponentials, then the values. Memory is kept busy all the while:
 * scores fetch the tile's values, and values the keys of the next tile, be it another piece of the context or the end; both from four
 * places of the tile in turn. What is done for one head and one position does not depend on how many heads go together. See attend.c for
 * what a partial result is.
 */
#include "model/kernels_impl.h"

#ifdef KERNELS_X86

#include <immintrin.h>
#include <math.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
#endif

#include "model/kernels_exp_avx512.h"

#define HEADS_MAX 6

ALWAYS_INLINE __m512 widen(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p)); }
ALWAYS_INLINE __m512 widen_some(const uint16_t *p, __mmask16 k) { return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(k, p)); }

ALWAYS_INLINE __mmask16 lanes_below(int n) { return n >= 16 ? 0xffff : n > 0 ? (__mmask16)((1u << n) - 1) : 0; }

ALWAYS_INLINE __m128 sum_lanes_4(__m512 a, __m512 b, __m512 c, __m512 d)
{
    __m256 a8 = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m256 b8 = _mm256_add_ps(_mm512_castps512_ps256(b), _mm512_extractf32x8_ps(b, 1));
    __m256 c8 = _mm256_add_ps(_mm512_castps512_ps256(c), _mm512_extractf32x8_ps(c, 1));
    __m256 d8 = _mm256_add_ps(_mm512_castps512_ps256(d), _mm512_extractf32x8_ps(d, 1));
    __m256 s = _mm256_hadd_ps(_mm256_hadd_ps(a8, b8), _mm256_hadd_ps(c8, d8));
    return _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
}

/* Scores of G heads over n positions from k on, rounded up to whole fours: the last position stands in for missing ones. The rows
 * of v are fetched meanwhile. */
ALWAYS_INLINE void tile_scores(int G, const struct attend_args *t, const float *q, const uint16_t *k, const uint16_t *v, int n,
                               float scores[][ATTEND_TILE])
{
    const int dim = t->dim;
    for (int p = 0; p < n; p += 4) {
        const uint16_t *row[4];
        __m512 acc[HEADS_MAX][4];
        UNROLL for (int j = 0; j < 4; j++) {
            int64_t at = (p + j < n ? p + j : n - 1) * t->kv_stride;
            row[j] = k + at;
            attend_fetch(t, (uintptr_t)v, p + j, n, dim);
        }
        UNROLL for (int g = 0; g < G; g++)
            UNROLL for (int j = 0; j < 4; j++) acc[g][j] = _mm512_setzero_ps();
        int i = 0;
        for (; i + 16 <= dim; i += 16) {
            __m512 x[4];
            UNROLL for (int j = 0; j < 4; j++) x[j] = widen(row[j] + i);
            UNROLL for (int g = 0; g < G; g++) {
                __m512 y = _mm512_loadu_ps(q + g * dim + i);
                UNROLL for (int j = 0; j < 4; j++) acc[g][j] = _mm512_fmadd_ps(x[j], y, acc[g][j]);
            }
        }
        if (i < dim) {
            const __mmask16 some = lanes_below(dim - i);
            UNROLL for (int g = 0; g < G; g++) {
                __m512 y = _mm512_maskz_loadu_ps(some, q + g * dim + i);
                UNROLL for (int j = 0; j < 4; j++) acc[g][j] = _mm512_fmadd_ps(widen_some(row[j] + i, some), y, acc[g][j]);
            }
        }
        UNROLL for (int g = 0; g < G; g++) {
            __m128 s = sum_lanes_4(acc[g][0], acc[g][1], acc[g][2], acc[g][3]);
            _mm_storeu_ps(&scores[g][p], _mm_mul_ps(s, _mm_set1_ps(t->scale)));
        }
    }
}

/* Turns n scores into weights against the larger of *max and their own maximum; brings *max and *sum up to date. Returns what
 * the earlier values count for now. */
static float tile_weights(float scores[ATTEND_TILE], int n, float *max, float *sum)
{
    __m512 top = _mm512_set1_ps(*max);
    for (int i = 0; i < n; i += 16) {
        const __mmask16 k = lanes_below(n - i);
        top = _mm512_mask_max_ps(top, k, _mm512_maskz_loadu_ps(k, scores + i), top);
    }
    const float new_max = _mm512_reduce_max_ps(top);
    /* With no score above -inf yet, -inf minus -inf would make a NaN out of nothing. */
    const float base = new_max == -INFINITY ? 0 : new_max;
    __m512 total = _mm512_setzero_ps();
    for (int i = 0; i < n; i += 16) {
        const __mmask16 k = lanes_below(n - i);
        __m512 w = exp_16(_mm512_sub_ps(_mm512_maskz_loadu_ps(k, scores + i), _mm512_set1_ps(base)));
        _mm512_mask_storeu_ps(scores + i, k, w);
        total = _mm512_mask_add_ps(total, k, total, w);
    }
    const float keep = expf(*max - base);
    *sum = *sum * keep + _mm512_reduce_add_ps(total);
    *max = new_max;
    return keep;
}

/* Adds the weighted values of n positions to 16 * V dimensions of G heads, of which `dims` are there. What lies at next is fetched
 * meanwhile. */
ALWAYS_INLINE void tile_values(int G, int V, const struct attend_args *t, const uint16_t *v, uintptr_t next, int n, int dims,
                               float scores[][ATTEND_TILE], const float *keep, float *out)
{
    __m512 acc[HEADS_MAX][4];
    __mmask16 some[4];
    UNROLL for (int j = 0; j < V; j++) some[j] = V == 4 ? 0xffff : lanes_below(dims - 16 * j);
    UNROLL for (int g = 0; g < G; g++)
        UNROLL for (int j = 0; j < V; j++)
            acc[g][j] = _mm512_mul_ps(_mm512_maskz_loadu_ps(some[j], out + g * t->dim + 16 * j), _mm512_set1_ps(keep[g]));
    for (int p = 0; p < n; p++) {
        const uint16_t *row = v + p * t->kv_stride;
        __m512 x[4];
        attend_fetch(t, next, p, ATTEND_TILE, 16 * V);
        UNROLL for (int j = 0; j < V; j++) x[j] = V == 4 ? widen(row + 16 * j) : widen_some(row + 16 * j, some[j]);
        UNROLL for (int g = 0; g < G; g++) {
            __m512 w = _mm512_set1_ps(scores[g][p]);
            UNROLL for (int j = 0; j < V; j++) acc[g][j] = _mm512_fmadd_ps(w, x[j], acc[g][j]);
        }
    }
    UNROLL for (int g = 0; g < G; g++)
        UNROLL for (int j = 0; j < V; j++) _mm512_mask_storeu_ps(out + g * t->dim + 16 * j, some[j], acc[g][j]);
}

ALWAYS_INLINE void attend_heads(int G, const struct attend_args *t, int g0)
{
    float scores[HEADS_MAX][ATTEND_TILE], keep[HEADS_MAX], *max = t->part->max + g0, *sum = t->part->sum + g0;
    float *acc = t->part->acc + g0 * t->dim;
    for (int g = 0; g < G; g++) {
        max[g] = -INFINITY;
        sum[g] = 0;
    }
    memset(acc, 0, (size_t)(G * t->dim) * sizeof *acc);
    for (int64_t p = t->p0; p < t->p1; p += ATTEND_TILE) {
        const int n = t->p1 - p < ATTEND_TILE ? (int)(t->p1 - p) : ATTEND_TILE;
        const uint16_t *v = t->v + p * t->kv_stride;
        const uintptr_t next = (uintptr_t)(t->k + p * t->kv_stride) + (uintptr_t)(ATTEND_TILE * t->kv_stride) * sizeof *v;
        tile_scores(G, t, t->q + g0 * t->dim, t->k + p * t->kv_stride, v, n, scores);
        for (int g = 0; g < G; g++) keep[g] = tile_weights(scores[g], n, max + g, sum + g);
        int i = 0;
        for (; i + 64 <= t->dim; i += 64) tile_values(G, 4, t, v + i, next + 2 * (uintptr_t)i, n, 64, scores, keep, acc + i);
        for (; i < t->dim; i += 32) tile_values(G, 2, t, v + i, next + 2 * (uintptr_t)i, n, t->dim - i, scores, keep, acc + i);
    }
}

void attend_avx512(const struct attend_args *t)
{
    for (int g = 0; g < t->n_group;) {
        const int left = t->n_group - g, heads = left <= HEADS_MAX ? left : left < 2 * HEADS_MAX ? (left + 1) / 2 : HEADS_MAX;
        switch (heads) {
        case 1: attend_heads(1, t, g); break;
        case 2: attend_heads(2, t, g); break;
        case 3: attend_heads(3, t, g); break;
        case 4: attend_heads(4, t, g); break;
        case 5: attend_heads(5, t, g); break;
        default: attend_heads(6, t, g); break;
        }
        g += heads;
    }
}

/* ---- Q8_0 as f16 ----------------------------------------------------------------------------------------------------- */

void q8_0_to_f16_avx512(const struct block_q8_0 *x, uint16_t *out, int64_t n)
{
    for (; n > 0; n -= 32, x++, out += 32) {
        const __m512 d = _mm512_set1_ps(load_f16(x->d));
        UNROLL for (int i = 0; i < 32; i += 16) {
            __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(x->qs + i)))), d);
            _mm256_storeu_si256((__m256i *)(void *)(out + i), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
        }
    }
}

/* ---- panels --------------------------------------------------------------------------------------------------------- */

/* R rows and 16 * V columns. */
ALWAYS_INLINE void product_tile(int R, int V, const struct panel_args *p, int i, int x)
{
    const float *a = p->a + i * p->a_row, *b = p->b + x;
    float *c = p->c + (size_t)i * (size_t)p->columns + x;
    __m512 acc[6][4];

    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int v = 0; v < V; v++) acc[r][v] = _mm512_setzero_ps();
    if (p->keep)
        UNROLL for (int r = 0; r < R; r++)
            UNROLL for (int v = 0; v < V; v++)
                acc[r][v] = _mm512_mul_ps(_mm512_loadu_ps(c + r * p->columns + 16 * v), _mm512_loadu_ps(p->keep + x + 16 * v));
    for (int j = 0; j < p->k; j++, a += p->a_step, b += p->columns) {
        __m512 col[4];
        UNROLL for (int v = 0; v < V; v++) col[v] = _mm512_loadu_ps(b + 16 * v);
        UNROLL for (int r = 0; r < R; r++) {
            __m512 one = _mm512_set1_ps(a[r * p->a_row]);
            UNROLL for (int v = 0; v < V; v++) acc[r][v] = _mm512_fmadd_ps(one, col[v], acc[r][v]);
        }
    }
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int v = 0; v < V; v++) _mm512_storeu_ps(c + r * p->columns + 16 * v, acc[r][v]);
}

ALWAYS_INLINE void product_columns(int V, const struct panel_args *p, int x)
{
    int i = 0;
    for (; i + 6 <= p->rows; i += 6) product_tile(6, V, p, i, x);
    for (; i + 2 <= p->rows; i += 2) product_tile(2, V, p, i, x);
    if (i < p->rows) product_tile(1, V, p, i, x);
}

void panel_product_avx512(const struct panel_args *p)
{
    int x = 0;
    for (; x + 64 <= p->columns; x += 64) product_columns(4, p, x);
    for (; x + 32 <= p->columns; x += 32) product_columns(2, p, x);
    for (; x < p->columns; x += 16) product_columns(1, p, x);
}

void panel_soften_avx512(float *s, int n, int columns, float *max, float *sum, float *keep)
{
    const __m512 none = _mm512_set1_ps(-INFINITY);

    for (int x = 0; x < columns; x += 16) {
        __m512 old = _mm512_loadu_ps(max + x), top = old, total = _mm512_setzero_ps();
        for (int i = 0; i < n; i++) top = _mm512_max_ps(_mm512_loadu_ps(s + i * columns + x), top);
        const __mmask16 some = _mm512_cmp_ps_mask(top, none, _CMP_NEQ_UQ);
        const __m512 base = _mm512_maskz_mov_ps(some, top);
        for (int i = 0; i < n; i++) {
            __m512 one = _mm512_loadu_ps(s + i * columns + x);
            __m512 weight = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(one, none, _CMP_NEQ_UQ), exp_16(_mm512_sub_ps(one, base)));
            _mm512_storeu_ps(s + i * columns + x, weight);
            total = _mm512_add_ps(total, weight);
        }
        __m512 kept = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(old, none, _CMP_NEQ_UQ), exp_16(_mm512_sub_ps(old, base)));
        _mm512_storeu_ps(keep + x, kept);
        _mm512_storeu_ps(sum + x, _mm512_fmadd_ps(_mm512_loadu_ps(sum + x), kept, total));
        _mm512_storeu_ps(max + x, top);
    }
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
