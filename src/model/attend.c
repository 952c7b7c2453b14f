/*
 * attend.c - attention in plain C, and the joining of partial results for every family.
 *
 * A partial result is an online softmax that has not been divided yet: the largest score seen, the sum of exp(score - max), and the
 * values weighted in the same way. Parts without positions, or whose scores are all -inf, weigh nothing.
 */
#include "model/kernels_impl.h"

#include <math.h>

/* Scores of one head over positions [p0, p1), at most ATTEND_TILE. */
static void tile_scores(const struct attend_args *t, const float *q, int64_t p0, int64_t p1, float *scores)
{
    for (int64_t p = p0; p < p1; p++) {
        const uint16_t *k = t->k + p * t->kv_stride;
        double sum = 0;
        for (int i = 0; i < t->dim; i++) sum += (double)q[i] * (double)f16_value(k[i]);
        scores[p - p0] = (float)sum * t->scale;
    }
}

static void attend_head(const struct attend_args *t, int g)
{
    float *acc = t->part->acc + (size_t)g * (size_t)t->dim, max = -INFINITY, sum = 0;
    float scores[ATTEND_TILE];
    for (int i = 0; i < t->dim; i++) acc[i] = 0;
    for (int64_t p0 = t->p0; p0 < t->p1; p0 += ATTEND_TILE) {
        int64_t p1 = t->p1 - p0 < ATTEND_TILE ? t->p1 : p0 + ATTEND_TILE;
        tile_scores(t, t->q + (size_t)g * (size_t)t->dim, p0, p1, scores);
        float top = max;
        for (int64_t p = p0; p < p1; p++)
            if (scores[p - p0] > top) top = scores[p - p0];
        /* With no score above -inf yet, -inf minus -inf would make a NaN out of nothing. */
        float base = top == -INFINITY ? 0 : top, keep = expf(max - base);
        sum *= keep;
        for (int i = 0; i < t->dim; i++) acc[i] *= keep;
        for (int64_t p = p0; p < p1; p++) {
            const uint16_t *v = t->v + p * t->kv_stride;
            float weight = expf(scores[p - p0] - base);
            sum += weight;
            for (int i = 0; i < t->dim; i++) acc[i] += weight * f16_value(v[i]);
        }
        max = top;
    }
    t->part->max[g] = max;
    t->part->sum[g] = sum;
}

void attend_scalar(const struct attend_args *t)
{
    for (int g = 0; g < t->n_group; g++) attend_head(t, g);
}

void q8_0_to_f16_scalar(const struct block_q8_0 *x, uint16_t *out, int64_t n)
{
    for (; n > 0; n -= 32, x++)
        for (int i = 0; i < 32; i++) *out++ = f16_of_f32((float)x->qs[i] * load_f16(x->d));
}

void panel_product_scalar(const struct panel_args *p)
{
    for (int i = 0; i < p->rows; i++) {
        float *c = p->c + (size_t)i * (size_t)p->columns;
        for (int x = 0; x < p->columns; x++) c[x] = p->keep ? c[x] * p->keep[x] : 0;
        for (int j = 0; j < p->k; j++) {
            const float *b = p->b + (size_t)j * (size_t)p->columns, a = p->a[i * p->a_row + j * p->a_step];
            for (int x = 0; x < p->columns; x++) c[x] += a * b[x];
        }
    }
}

void panel_soften_scalar(float *s, int n, int columns, float *max, float *sum, float *keep)
{
    for (int x = 0; x < columns; x++) {
        float top = max[x];
        for (int i = 0; i < n; i++)
            if (s[i * columns + x] > top) top = s[i * columns + x];
        float base = top == -INFINITY ? 0 : top;
        keep[x] = expf(max[x] - base);
        sum[x] *= keep[x];
        max[x] = top;
        for (int i = 0; i < n; i++) {
            float *one = s + i * columns + x;
            *one = expf(*one - base);
            sum[x] += *one;
        }
    }
}

void attend_merge(const struct attend_part *parts, int n, int n_group, int dim, float *out)
{
    for (int g = 0; g < n_group; g++) {
        float *o = out + (size_t)g * (size_t)dim, max = -INFINITY, sum = 0;
        for (int i = 0; i < dim; i++) o[i] = 0;
        for (int p = 0; p < n; p++)
            if (parts[p].max[g] > max) max = parts[p].max[g];
        if (max == -INFINITY) max = 0;
        for (int p = 0; p < n; p++) {
            const float *acc = parts[p].acc + (size_t)g * (size_t)dim;
            float weight = expf(parts[p].max[g] - max);
            sum += weight * parts[p].sum[g];
            for (int i = 0; i < dim; i++) o[i] += weight * acc[i];
        }
        float inverse = sum == 0 ? 0 : 1 / sum;
        for (int i = 0; i < dim; i++) o[i] *= inverse;
    }
}
