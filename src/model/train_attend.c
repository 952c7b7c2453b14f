/*
 * train_attend.c - causal attention inside each sequence, and its gradient.
 *
 * Scores are formed for ATTEND_ROWS queries at a time and forgotten; the backward pass forms them again from what is kept, the log of
 * their sum of exponentials. Forward an item is a head of a sequence, backward a KV head with the query heads that share it, so that its
 * gradients are summed in one order.
 */
#include "model/train.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

struct attend_job {
    struct trainer *t;
    int layer;
    const float *dout;
    float *dqkv;
};

/* A block of queries of a head: rows [lo, hi) of a sequence that begins at `begin`. */
struct block {
    const float *q, *k, *v;     /* of the block's first query, of the sequence's first position */
    int stride;                 /* of q, k and v */
    int n, seen;                /* queries; keys up to the last query */
    float *scores;              /* [n][seen] */
};

static struct block block_of(const struct trainer *t, int layer, int head, int begin, int lo, int hi, float *scores)
{
    const struct weights *w = t->w;
    const int width = t->groups[layer][GROUP_QKV].rows, dim = w->head_dim, kv = head / (w->n_head / w->n_head_kv);
    const float *first = t->layers[layer].qkv + (size_t)begin * (size_t)width;

    return (struct block){.q = first + (size_t)lo * (size_t)width + (size_t)head * (size_t)dim, .k = first + w->n_q + (size_t)kv * (size_t)dim,
                          .v = first + w->n_q + w->n_kv + (size_t)kv * (size_t)dim, .stride = width, .n = hi - lo, .seen = hi, .scores = scores};
}

static void form_scores(const struct trainer *t, const struct block *b)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, b->n, b->seen, t->w->head_dim, t->w->attend_scale, b->q, b->stride, b->k, b->stride, 0,
                b->scores, b->seen);
}

static void forward_block(struct trainer *t, int layer, int head, int begin, int lo, int hi, float *scores)
{
    const struct weights *w = t->w;
    const struct train_math *math = train_math();
    struct train_kept *kept = &t->layers[layer];
    struct block b = block_of(t, layer, head, begin, lo, hi, scores);
    float *out = kept->attended + (size_t)(begin + lo) * (size_t)w->n_q + (size_t)head * (size_t)w->head_dim, inverse[ATTEND_ROWS];

    form_scores(t, &b);
    for (int i = 0; i < b.n; i++) {
        float *row = scores + (size_t)i * (size_t)b.seen;
        int seen = lo + i + 1;
        float max = math->max(row, seen), sum = math->exp_sum(row, seen, max);
        memset(row + seen, 0, (size_t)(b.seen - seen) * sizeof(float));
        kept->lse[(size_t)head * (size_t)t->o.max_tokens + (size_t)(begin + lo + i)] = max + logf(sum);
        inverse[i] = 1.0f / sum;
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, b.n, w->head_dim, b.seen, 1, scores, b.seen, b.v, b.stride, 0, out, w->n_q);
    for (int i = 0; i < b.n; i++)
        for (int k = 0; k < w->head_dim; k++) out[(size_t)i * (size_t)w->n_q + (size_t)k] *= inverse[i];
}

static void forward_item(void *arg, int item, int worker)
{
    const struct attend_job *j = arg;
    struct trainer *t = j->t;
    int head = item % t->w->n_head, s = item / t->w->n_head, begin = t->begins[s], n = t->begins[s + 1] - begin;

    for (int lo = 0; lo < n; lo += ATTEND_ROWS)
        forward_block(t, j->layer, head, begin, lo, lo + ATTEND_ROWS < n ? lo + ATTEND_ROWS : n, t->workers[worker].scores);
}

void train_attend_forward(struct trainer *t, int layer)
{
    struct attend_job j = {.t = t, .layer = layer};
    pool_run(t->pool, forward_item, &j, t->n_sequences * t->w->n_head);
}

static void backward_block(const struct attend_job *j, int head, int begin, int lo, int hi, const struct train_worker *own)
{
    struct trainer *t = j->t;
    const struct weights *w = t->w;
    const struct train_math *math = train_math();
    const struct train_kept *kept = &t->layers[j->layer];
    struct block b = block_of(t, j->layer, head, begin, lo, hi, own->scores);
    const int dim = w->head_dim, width = b.stride, kv = head / (w->n_head / w->n_head_kv);
    const size_t at = (size_t)(begin + lo) * (size_t)w->n_q + (size_t)(head * dim);
    const float *out = kept->attended + at, *dout = j->dout + at;
    float *dq = j->dqkv + (size_t)(begin + lo) * (size_t)width + (size_t)(head * dim);
    float *dk = j->dqkv + (size_t)begin * (size_t)width + w->n_q + (size_t)(kv * dim), *dv = dk + w->n_kv;

    form_scores(t, &b);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, b.n, b.seen, dim, 1, dout, w->n_q, b.v, b.stride, 0, own->deltas, b.seen);
    for (int i = 0; i < b.n; i++) {
        float *p = b.scores + (size_t)i * (size_t)b.seen, *d = own->deltas + (size_t)i * (size_t)b.seen;
        int seen = lo + i + 1;
        math->exp_sum(p, seen, kept->lse[(size_t)head * (size_t)t->o.max_tokens + (size_t)(begin + lo + i)]);
        float delta = math->dot(out + (size_t)i * (size_t)w->n_q, dout + (size_t)i * (size_t)w->n_q, dim);
        math->attend_back(p, d, seen, delta, w->attend_scale);
        memset(p + seen, 0, (size_t)(b.seen - seen) * sizeof(float));
        memset(d + seen, 0, (size_t)(b.seen - seen) * sizeof(float));
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, b.n, dim, b.seen, 1, own->deltas, b.seen, b.k, b.stride, 0, dq, width);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, b.seen, dim, b.n, 1, own->deltas, b.seen, b.q, b.stride, 1, dk, width);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, b.seen, dim, b.n, 1, b.scores, b.seen, dout, w->n_q, 1, dv, width);
}

static void backward_item(void *arg, int item, int worker)
{
    const struct attend_job *j = arg;
    const struct trainer *t = j->t;
    const struct weights *w = t->w;
    const int width = t->groups[j->layer][GROUP_QKV].rows, dim = w->head_dim, group = w->n_head / w->n_head_kv;
    const int kv = item % w->n_head_kv, s = item / w->n_head_kv, begin = t->begins[s], n = t->begins[s + 1] - begin;

    for (int r = 0; r < n; r++) {
        float *dk = j->dqkv + (size_t)(begin + r) * (size_t)width + w->n_q + (size_t)(kv * dim);
        memset(dk, 0, (size_t)dim * sizeof(float));
        memset(dk + w->n_kv, 0, (size_t)dim * sizeof(float));
    }
    for (int head = kv * group; head < (kv + 1) * group; head++)
        for (int lo = 0; lo < n; lo += ATTEND_ROWS)
            backward_block(j, head, begin, lo, lo + ATTEND_ROWS < n ? lo + ATTEND_ROWS : n, &t->workers[worker]);
}

void train_attend_backward(struct trainer *t, int layer, const float *dout, float *dqkv)
{
    struct attend_job j = {.t = t, .layer = layer, .dout = dout, .dqkv = dqkv};
    pool_run(t->pool, backward_item, &j, t->n_sequences * t->w->n_head_kv);
}
