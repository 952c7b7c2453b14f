/*
 * attend_avx2.c - attention of the heads of one group with AVX2; attend_avx512.c at half the width and 2 heads at a time.
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

#define HEADS_MAX 2

ALWAYS_INLINE __m256 widen(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p)); }

/* n (1 to 7) elements and zeros. */
ALWAYS_INLINE __m256 widen_some(const uint16_t *p, int n)
{
    uint16_t some[8] = {0};
    memcpy(some, p, (size_t)n * sizeof *p);
    return widen(some);
}

ALWAYS_INLINE __m256i lanes_below(int n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0)); }

ALWAYS_INLINE void tile_scores(int G, const struct attend_args *t, const float *q, const uint16_t *k, const uint16_t *v, int n,
                               float scores[][ATTEND_TILE])
{
    const int dim = t->dim;
    for (int p = 0; p < n; p += 4) {
        const uint16_t *row[4];
        __m256 acc[HEADS_MAX][4];
        UNROLL for (int j = 0; j < 4; j++) {
            int64_t at = (p + j < n ? p + j : n - 1) * t->kv_stride;
            row[j] = k + at;
            attend_fetch(t, (uintptr_t)v, p + j, n, dim);
        }
        UNROLL for (int g = 0; g < G; g++)
            UNROLL for (int j = 0; j < 4; j++) acc[g][j] = _mm256_setzero_ps();
        int i = 0;
        for (; i + 8 <= dim; i += 8) {
            __m256 x[4];
            UNROLL for (int j = 0; j < 4; j++) x[j] = widen(row[j] + i);
            UNROLL for (int g = 0; g < G; g++) {
                __m256 y = _mm256_loadu_ps(q + g * dim + i);
                UNROLL for (int j = 0; j < 4; j++) acc[g][j] = _mm256_fmadd_ps(x[j], y, acc[g][j]);
            }
        }
        if (i < dim)
            UNROLL for (int g = 0; g < G; g++) {
                __m256 y = _mm256_maskload_ps(q + g * dim + i, lanes_below(dim - i));
                UNROLL for (int j = 0; j < 4; j++) acc[g][j] = _mm256_fmadd_ps(widen_some(row[j] + i, dim - i), y, acc[g][j]);
            }
        UNROLL for (int g = 0; g < G; g++) {
            __m256 s = _mm256_hadd_ps(_mm256_hadd_ps(acc[g][0], acc[g][1]), _mm256_hadd_ps(acc[g][2], acc[g][3]));
            __m128 sum = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
            _mm_storeu_ps(&scores[g][p], _mm_mul_ps(sum, _mm_set1_ps(t->scale)));
        }
    }
}

/* As in attend_avx512.c. Lanes behind the last score count as -inf. */
static float tile_weights(float scores[ATTEND_TILE], int n, float *max, float *sum)
{
    float tops[8], totals[8];
    for (int i = n; i % 8; i++) scores[i] = -INFINITY;
    __m256 top = _mm256_set1_ps(*max), total = _mm256_setzero_ps();
    for (int i = 0; i < n; i += 8) top = _mm256_max_ps(_mm256_loadu_ps(scores + i), top);
    _mm256_storeu_ps(tops, top);
    float new_max = tops[0];
    for (int i = 1; i < 8; i++)
        if (tops[i] > new_max) new_max = tops[i];
    const float base = new_max == -INFINITY ? 0 : new_max;
    for (int i = 0; i < n; i += 8) {
        __m256 w = exp_8(_mm256_sub_ps(_mm256_loadu_ps(scores + i), _mm256_set1_ps(base)));
        _mm256_storeu_ps(scores + i, w);
        total = _mm256_add_ps(total, w);
    }
    _mm256_storeu_ps(totals, total);
    const float keep = expf(*max - base);
    *sum = *sum * keep + (((totals[0] + totals[1]) + (totals[2] + totals[3])) + ((totals[4] + totals[5]) + (totals[6] + totals[7])));
    *max = new_max;
    return keep;
}

/* What lies at next, keys to come, is fetched meanwhile. */
ALWAYS_INLINE void tile_values(int G, const struct attend_args *t, const uint16_t *v, uintptr_t next, int n, float scores[][ATTEND_TILE],
                               const float *keep, float *out)
{
    __m256 acc[HEADS_MAX][4];
    UNROLL for (int g = 0; g < G; g++)
        UNROLL for (int j = 0; j < 4; j++) acc[g][j] = _mm256_mul_ps(_mm256_loadu_ps(out + g * t->dim + 8 * j), _mm256_set1_ps(keep[g]));
    for (int p = 0; p < n; p++) {
        const uint16_t *row = v + p * t->kv_stride;
        __m256 x[4];
        attend_fetch(t, next, p, ATTEND_TILE, 32);
        UNROLL for (int j = 0; j < 4; j++) x[j] = widen(row + 8 * j);
        UNROLL for (int g = 0; g < G; g++) {
            __m256 w = _mm256_broadcast_ss(&scores[g][p]);
            UNROLL for (int j = 0; j < 4; j++) acc[g][j] = _mm256_fmadd_ps(w, x[j], acc[g][j]);
        }
    }
    UNROLL for (int g = 0; g < G; g++)
        UNROLL for (int j = 0; j < 4; j++) _mm256_storeu_ps(out + g * t->dim + 8 * j, acc[g][j]);
}

/* The last dims (1 to 31) dimensions of head g. */
static void rest_of_values(const struct attend_args *t, const uint16_t *v, int n, int dims, const float *weights, float keep, float *out)
{
    for (int i = 0; i < dims; i += 8) {
        const int here = dims - i < 8 ? dims - i : 8;
        __m256 acc = _mm256_mul_ps(_mm256_maskload_ps(out + i, lanes_below(here)), _mm256_set1_ps(keep));
        for (int p = 0; p < n; p++) {
            const uint16_t *row = v + p * t->kv_stride + i;
            acc = _mm256_fmadd_ps(_mm256_broadcast_ss(weights + p), here == 8 ? widen(row) : widen_some(row, here), acc);
        }
        _mm256_maskstore_ps(out + i, lanes_below(here), acc);
    }
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
        for (; i + 32 <= t->dim; i += 32) tile_values(G, t, v + i, next + 2 * (uintptr_t)i, n, scores, keep, acc + i);
        if (i < t->dim)
            for (int g = 0; g < G; g++) rest_of_values(t, v + i, n, t->dim - i, scores[g], keep[g], acc + g * t->dim + i);
    }
}

void attend_avx2(const struct attend_args *t)
{
    int g = 0;
    for (; g + 2 <= t->n_group; g += 2) attend_heads(2, t, g);
    if (g < t->n_group) attend_heads(1, t, g);
}

/* ---- Q8_0 as f16 ----------------------------------------------------------------------------------------------------- */

void q8_0_to_f16_avx2(const struct block_q8_0 *x, uint16_t *out, int64_t n)
{
    for (; n > 0; n -= 32, x++, out += 32) {
        const __m256 d = _mm256_set1_ps(load_f16(x->d));
        UNROLL for (int i = 0; i < 32; i += 8) {
            __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(x->qs + i)))), d);
            _mm_storeu_si128((__m128i *)(void *)(out + i), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
        }
    }
}

/* ---- panels --------------------------------------------------------------------------------------------------------- */

/* R rows and 8 * V columns. */
ALWAYS_INLINE void product_tile(int R, int V, const struct panel_args *p, int i, int x)
{
    const float *a = p->a + i * p->a_row, *b = p->b + x;
    float *c = p->c + (size_t)i * (size_t)p->columns + x;
    __m256 acc[6][2];

    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int v = 0; v < V; v++) acc[r][v] = _mm256_setzero_ps();
    if (p->keep)
        UNROLL for (int r = 0; r < R; r++)
            UNROLL for (int v = 0; v < V; v++)
                acc[r][v] = _mm256_mul_ps(_mm256_loadu_ps(c + r * p->columns + 8 * v), _mm256_loadu_ps(p->keep + x + 8 * v));
    for (int j = 0; j < p->k; j++, a += p->a_step, b += p->columns) {
        __m256 col[2];
        UNROLL for (int v = 0; v < V; v++) col[v] = _mm256_loadu_ps(b + 8 * v);
        UNROLL for (int r = 0; r < R; r++) {
            __m256 one = _mm256_set1_ps(a[r * p->a_row]);
            UNROLL for (int v = 0; v < V; v++) acc[r][v] = _mm256_fmadd_ps(one, col[v], acc[r][v]);
        }
    }
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int v = 0; v < V; v++) _mm256_storeu_ps(c + r * p->columns + 8 * v, acc[r][v]);
}

ALWAYS_INLINE void product_columns(int V, const struct panel_args *p, int x)
{
    int i = 0;
    for (; i + 6 <= p->rows; i += 6) product_tile(6, V, p, i, x);
    for (; i + 2 <= p->rows; i += 2) product_tile(2, V, p, i, x);
    if (i < p->rows) product_tile(1, V, p, i, x);
}

void panel_product_avx2(const struct panel_args *p)
{
    for (int x = 0; x < p->columns; x += 16) product_columns(2, p, x);
}

void panel_soften_avx2(float *s, int n, int columns, float *max, float *sum, float *keep)
{
    const __m256 none = _mm256_set1_ps(-INFINITY);

    for (int x = 0; x < columns; x += 8) {
        __m256 old = _mm256_loadu_ps(max + x), top = old, total = _mm256_setzero_ps();
        for (int i = 0; i < n; i++) top = _mm256_max_ps(_mm256_loadu_ps(s + i * columns + x), top);
        const __m256 base = _mm256_and_ps(_mm256_cmp_ps(top, none, _CMP_NEQ_UQ), top);
        for (int i = 0; i < n; i++) {
            __m256 weight = exp_8(_mm256_sub_ps(_mm256_loadu_ps(s + i * columns + x), base));
            _mm256_storeu_ps(s + i * columns + x, weight);
            total = _mm256_add_ps(total, weight);
        }
        __m256 kept = exp_8(_mm256_sub_ps(old, base));
        _mm256_storeu_ps(keep + x, kept);
        _mm256_storeu_ps(sum + x, _mm256_fmadd_ps(_mm256_loadu_ps(sum + x), kept, total));
        _mm256_storeu_ps(max + x, top);
    }
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
