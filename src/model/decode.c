/*
 * decode.c - the forward pass of generated tokens: 1 to 8 at a time through the quantised row kernels.
 *
 * Each layer is five pieces of parallel work (Q/K/V rows, attention, output rows, gate and up rows, down rows) with a few
 * microseconds of the calling thread's own between them. Rows and attention pieces are cut by fixed rules or their results
 * do not depend on the cut, so the bits are the same for any number of threads and for any grouping of the tokens.
 */
#include "model/lora.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of weights a worker takes at a time: long enough to hide the hand-over, short enough that nobody waits for the last: at most an
 * eighth of a worker's share. */
#define ITEM_BYTES_MAX (192 << 10)
#define ITEM_BYTES_MIN (24 << 10)

/* ---- rows of one or several matrices against the prepared activations ---------------------------------------------- */

/* A matrix is cut into a block for each worker, a block into GEMV_STREAMS streams of neighbouring rows, and an item is a piece of each: a
 * worker goes down its streams item by item, and what the kernels fetch ahead of one is the beginning of the next. */
struct product {
    const struct matrix *w;
    float *y; /* [m][w->n_out] */
    int64_t stream_rows, item_rows;     /* of one stream */
    int n_blocks, block_items;
    int n_items;                        /* one more than those of the blocks where rows are left over */
};

struct rows_job {
    const struct act *act;
    struct product p[3];
    /* gate and up of this model: a worker turns the rows of p[0] and p[1] that it made into p[0].y; m columns; NULL: it does not */
    const struct weights *fuse;
    int m;
};

static void plan_product(struct product *p, const struct matrix *w, float *y, int n_threads)
{
    const size_t bytes = w->row_bytes * (size_t)w->n_out;
    size_t item = bytes / (8 * (size_t)n_threads);

    if (item > ITEM_BYTES_MAX) item = ITEM_BYTES_MAX;
    if (item < ITEM_BYTES_MIN) item = ITEM_BYTES_MIN;
    p->w = w;
    p->y = y;
    p->n_blocks = bytes / ITEM_BYTES_MIN < (size_t)n_threads ? 1 + (int)(bytes / ITEM_BYTES_MIN) : n_threads;
    p->stream_rows = w->n_out / (p->n_blocks * GEMV_STREAMS);
    p->item_rows = 1 + (int64_t)(item / (GEMV_STREAMS * w->row_bytes));
    p->block_items = (int)((p->stream_rows + p->item_rows - 1) / p->item_rows);
    p->n_items = p->n_blocks * p->block_items + (p->n_blocks * GEMV_STREAMS * p->stream_rows < w->n_out);
}

static struct gemv_span span_of(const struct product *p, int item)
{
    const int64_t block_rows = GEMV_STREAMS * p->stream_rows, at = item % p->block_items * p->item_rows;

    return (struct gemv_span){item / p->block_items * block_rows + at, p->stream_rows - at < p->item_rows ? p->stream_rows - at : p->item_rows,
                              p->stream_rows, GEMV_STREAMS};
}

static void run_rows(const struct act *a, const struct product *p, const struct gemv_span *g)
{
    gemv_span(p->w->type, p->w->data, p->w->row_bytes, g, a, p->y, p->w->n_out);
}

static void rows_item(void *arg, int item, int worker)
{
    struct rows_job *j = arg;
    const struct product *p = j->p;

    (void)worker;
    while (item >= p->n_items) item -= p++->n_items;
    const int64_t in_blocks = p->n_blocks * GEMV_STREAMS * p->stream_rows, n_out = p->w->n_out;
    const struct gemv_span rest = {in_blocks, n_out - in_blocks, 0, 1}, g = item < p->n_blocks * p->block_items ? span_of(p, item) : rest;
    run_rows(j->act, p, &g);
    if (!j->fuse) return;
    run_rows(j->act, &j->p[1], &g);
    for (int c = 0; c < j->m; c++)
        for (int q = 0; q < g.streams; q++) {
            const int64_t at = c * n_out + g.r0 + q * g.apart;
            ff_activate(j->fuse, p->y + at, j->p[1].y + at, g.n);
        }
}

static void run_product(struct session *s, const struct act *a, const struct matrix *w, float *y)
{
    struct rows_job j = {.act = a};

    plan_product(&j.p[0], w, y, pool_threads(s->pool));
    pool_run(s->pool, rows_item, &j, j.p[0].n_items);
}

static void run_qkv(struct session *s, const struct layer *y)
{
    struct decode *d = &s->d;
    struct rows_job j = {.act = d->act};

    plan_product(&j.p[0], &y->wq, d->q, pool_threads(s->pool));
    plan_product(&j.p[1], &y->wk, d->k, pool_threads(s->pool));
    plan_product(&j.p[2], &y->wv, d->v, pool_threads(s->pool));
    pool_run(s->pool, rows_item, &j, j.p[0].n_items + j.p[1].n_items + j.p[2].n_items);
}

static void adapt(struct session *s, int layer, enum adapted which, const float *x, int m, float *y)
{
    if (s->lora) lora_add(s->lora, 0, layer, which, x, m, y);
}

/* Adapters change gate and up before they meet. */
static void run_gate_up(struct session *s, int layer, int m)
{
    const struct layer *y = &s->m->w.layers[layer];
    struct decode *d = &s->d;
    struct rows_job j = {.act = d->act, .fuse = s->lora ? NULL : &s->m->w, .m = m};

    plan_product(&j.p[0], &y->gate, d->ff, pool_threads(s->pool));
    plan_product(&j.p[1], &y->up, d->up, pool_threads(s->pool));
    pool_run(s->pool, rows_item, &j, s->lora ? j.p[0].n_items + j.p[1].n_items : j.p[0].n_items);
    if (!s->lora) return;
    adapt(s, layer, ADAPT_GATE, d->norm, m, d->ff);
    adapt(s, layer, ADAPT_UP, d->norm, m, d->up);
    ff_activate(&s->m->w, d->ff, d->up, (int64_t)m * s->m->w.n_ff);
}

void output_run(struct session *s, const float *norm, int m, float *logits)
{
    const struct weights *w = &s->m->w;

    act_prepare(s->out_act, norm, w->n_embd, w->n_embd, m);
    mark(s, STAGE_BETWEEN);
    run_product(s, s->out_act, &w->output, logits);
    mark(s, STAGE_VOCABULARY);
}

/* ---- attention -------------------------------------------------------------------------------------------------- */

struct attend_job {
    struct session *s;
    int layer;
    int n_splits; /* pieces that the longest context of the call has */
};

static struct attend_part *parts_of(const struct session *s, int m, int head)
{
    return s->d.parts + ((size_t)m * (size_t)s->m->w.n_head_kv + (size_t)head) * (size_t)s->n_splits;
}

static void attend_item(void *arg, int item, int worker)
{
    const struct attend_job *j = arg;
    struct session *s = j->s;
    const struct weights *w = &s->m->w;
    int n_group = w->n_head / w->n_head_kv;
    int split = item % j->n_splits, head = item / j->n_splits % w->n_head_kv, m = item / j->n_splits / w->n_head_kv;
    const struct column *at = &s->d.at[m];
    int64_t end = at->position + 1, p0 = (int64_t)split * DECODE_SPLIT, p1 = p0 + DECODE_SPLIT;
    int64_t seen = first_seen(&w->layers[j->layer], at->position);

    if (p0 >= end || p1 <= seen) return;
    if (p1 > end) p1 = end;
    const uint8_t *k = kv_of(s, j->layer, false, head), *v = kv_of(s, j->layer, true, head);
    bool in_tail = at->tail && p0 >= at->tail->base;
    if (p0 < seen) p0 = seen;
    if (in_tail) {
        k = tail_kv_of(s, at->tail, j->layer, false, head);
        v = tail_kv_of(s, at->tail, j->layer, true, head);
        p0 -= at->tail->base;
        p1 -= at->tail->base;
    }
    const float *q = s->d.q + (size_t)m * (size_t)w->n_q + (size_t)head * (size_t)n_group * (size_t)w->head_dim;
    struct attend_part *part = parts_of(s, m, head) + split;
    if (s->kv_type == KV_F16) {
        attend(q, n_group, w->head_dim, w->attend_scale, (const uint16_t *)(const void *)k, (const uint16_t *)(const void *)v, w->head_dim, p0, p1, part);
        return;
    }
    const int64_t n = (p1 - p0) * w->head_dim;
    uint16_t *wide_k = s->d.wide + (size_t)worker * 2 * DECODE_SPLIT * (size_t)w->head_dim, *wide_v = wide_k + DECODE_SPLIT * (size_t)w->head_dim;
    kv_widen(s->kv_type, k + (size_t)p0 * s->kv_row, wide_k, n);
    kv_widen(s->kv_type, v + (size_t)p0 * s->kv_row, wide_v, n);
    attend(q, n_group, w->head_dim, w->attend_scale, wide_k, wide_v, w->head_dim, 0, p1 - p0, part);
}

static void merge_item(void *arg, int item, int worker)
{
    const struct attend_job *j = arg;
    struct session *s = j->s;
    const struct weights *w = &s->m->w;
    int n_group = w->n_head / w->n_head_kv, head = item % w->n_head_kv, m = item / w->n_head_kv;
    int64_t position = s->d.at[m].position;
    int n = (int)(position / DECODE_SPLIT) + 1, n0 = (int)(first_seen(&w->layers[j->layer], position) / DECODE_SPLIT);

    (void)worker;
    float *out = s->d.attended + (size_t)m * (size_t)w->n_q + (size_t)head * (size_t)n_group * (size_t)w->head_dim;
    attend_merge(parts_of(s, m, head) + n0, n - n0, n_group, w->head_dim, out);
}

static void run_attention(struct session *s, int layer, int m)
{
    int64_t last = 0;
    for (int i = 0; i < m; i++)
        if (s->d.at[i].position > last) last = s->d.at[i].position;
    struct attend_job j = {.s = s, .layer = layer, .n_splits = (int)(last / DECODE_SPLIT) + 1};
    int heads = m * s->m->w.n_head_kv;

    pool_run(s->pool, attend_item, &j, heads * j.n_splits);
    /* a short merge costs less than handing it over */
    if (j.n_splits >= 8)
        pool_run(s->pool, merge_item, &j, heads);
    else
        for (int i = 0; i < heads; i++) merge_item(&j, i, 0);
}

/* ---- the pass ----------------------------------------------------------------------------------------------------- */

static void finish_qkv(struct session *s, int layer, int m)
{
    const struct weights *w = &s->m->w;
    struct decode *d = &s->d;

    for (int j = 0; j < m; j++)
        qkv_finish(s, layer, &d->at[j], d->cos_sin + (size_t)j * (size_t)angles_width(w), d->q + (size_t)j * (size_t)w->n_q,
                   d->k + (size_t)j * (size_t)w->n_kv, d->v + (size_t)j * (size_t)w->n_kv);
}

/* out = what attention makes of norm, which is prepared in act. */
static void run_attention_half(struct session *s, int layer, int m)
{
    const struct weights *w = &s->m->w;
    const struct layer *y = &w->layers[layer];
    struct decode *d = &s->d;

    run_qkv(s, y);
    adapt(s, layer, ADAPT_Q, d->norm, m, d->q);
    adapt(s, layer, ADAPT_K, d->norm, m, d->k);
    adapt(s, layer, ADAPT_V, d->norm, m, d->v);
    mark(s, STAGE_QKV);
    finish_qkv(s, layer, m);
    mark(s, STAGE_BETWEEN);
    run_attention(s, layer, m);
    mark(s, STAGE_ATTENTION);
    act_prepare(d->act, d->attended, w->n_q, w->n_q, m);
    mark(s, STAGE_BETWEEN);
    run_product(s, d->act, &y->wo, d->out);
    adapt(s, layer, ADAPT_O, d->attended, m, d->out);
}

/* The same of a layer with a convolution. */
static void run_conv(struct session *s, int layer, int m)
{
    const struct weights *w = &s->m->w;
    const struct layer *y = &w->layers[layer];
    struct decode *d = &s->d;
    size_t n = (size_t)w->n_embd;

    run_product(s, d->act, &y->mix_in, d->ff);
    adapt(s, layer, ADAPT_MIX_IN, d->norm, m, d->ff);
    for (int j = 0; j < m; j++) conv_keep(s, layer, (int64_t)s->n + j, d->ff + (size_t)j * 3 * n);
    for (int j = 0; j < m; j++) conv_apply(s, layer, (int64_t)s->n + j, d->ff + (size_t)j * 3 * n, d->attended + (size_t)j * n);
    act_prepare(d->act, d->attended, w->n_embd, w->n_embd, m);
    run_product(s, d->act, &y->mix_out, d->out);
    adapt(s, layer, ADAPT_MIX_OUT, d->attended, m, d->out);
}

/* Adds out to the residual stream, with a bias and through a norm of its own where there are such, and norms it for what comes next. */
static void finish_half(struct session *s, const float *bias, const float *post_norm, const float *norm_weight, int m)
{
    const struct weights *w = &s->m->w;
    struct decode *d = &s->d;
    size_t n = (size_t)w->n_embd;

    for (int j = 0; j < m; j++) {
        float *x = d->x + (size_t)j * n;
        residual_add(w, x, d->out + (size_t)j * n, bias, post_norm);
        rms_norm(x, norm_weight, d->norm + (size_t)j * n, w->n_embd, w->norm_eps);
    }
}

static void start(struct session *s, const int32_t *ids, int m)
{
    const struct weights *w = &s->m->w;
    struct decode *d = &s->d;

    for (int j = 0; j < m; j++) {
        float *x = d->x + (size_t)j * (size_t)w->n_embd;
        embed_token(s, ids[j], x);
        rms_norm(x, w->layers[0].attn_norm, d->norm + (size_t)j * (size_t)w->n_embd, w->n_embd, w->norm_eps);
        position_angles(s, d->at[j].position, d->cos_sin + (size_t)j * (size_t)angles_width(w));
    }
}

void decode_run(struct session *s, const int32_t *ids, int m)
{
    for (int j = 0; j < m; j++) s->d.at[j] = (struct column){.position = (int64_t)s->n + j};
    decode_columns(s, ids, m);
}

void decode_columns(struct session *s, const int32_t *ids, int m)
{
    const struct weights *w = &s->m->w;
    struct decode *d = &s->d;

    mark(s, STAGE_COUNT);
    start(s, ids, m);
    for (int i = 0; i < w->n_layer; i++) {
        const struct layer *y = &w->layers[i];

        act_prepare(d->act, d->norm, w->n_embd, w->n_embd, m);
        mark(s, STAGE_BETWEEN);
        if (y->mix_in.data) run_conv(s, i, m);
        else run_attention_half(s, i, m);
        mark(s, STAGE_OUT);
        finish_half(s, y->bo, y->attn_post_norm, y->ffn_norm, m);

        act_prepare(d->act, d->norm, w->n_embd, w->n_embd, m);
        mark(s, STAGE_BETWEEN);
        run_gate_up(s, i, m);
        mark(s, STAGE_GATE_UP);

        act_prepare(d->act, d->ff, w->n_ff, w->n_ff, m);
        mark(s, STAGE_BETWEEN);
        run_product(s, d->act, &y->down, d->out);
        adapt(s, i, ADAPT_DOWN, d->ff, m, d->out);
        mark(s, STAGE_DOWN);
        finish_half(s, NULL, y->ffn_post_norm, i + 1 < w->n_layer ? w->layers[i + 1].attn_norm : w->output_norm, m);
    }
}

/* ---- scratch ------------------------------------------------------------------------------------------------------ */

static int64_t widest(const struct weights *w)
{
    int64_t n = w->n_embd > w->n_q ? w->n_embd : w->n_q;
    return n > w->n_ff ? n : w->n_ff;
}

static int attended_width(const struct weights *w)
{
    return w->conv && w->n_embd > w->n_q ? w->n_embd : w->n_q;
}

/* Floats of the partial results of attention: [m][KV head][split][n_group * (head_dim + 2)]. */
static size_t part_floats(const struct weights *w, int n_splits)
{
    return (size_t)DECODE_MAX * (size_t)n_splits * ((size_t)w->n_q + 2 * (size_t)w->n_head);
}

static void place_parts(struct session *s)
{
    const struct weights *w = &s->m->w;
    size_t group = (size_t)(w->n_head / w->n_head_kv), n = (size_t)DECODE_MAX * (size_t)w->n_head_kv * (size_t)s->n_splits;
    float *at = s->d.part_floats;

    for (size_t i = 0; i < n; i++) {
        s->d.parts[i].acc = at;
        s->d.parts[i].max = at + group * (size_t)w->head_dim;
        s->d.parts[i].sum = s->d.parts[i].max + group;
        at += group * ((size_t)w->head_dim + 2);
    }
}

int decode_init(struct session *s, struct err *e)
{
    const struct weights *w = &s->m->w;
    struct decode *d = &s->d;
    const struct {
        float **p;
        int n;
    } rows[] = {
        {&d->x, w->n_embd}, {&d->norm, w->n_embd}, {&d->q, w->n_q},   {&d->attended, attended_width(w)}, {&d->k, w->n_kv},
        {&d->v, w->n_kv},   {&d->ff, middle_width(w)},     {&d->up, w->n_ff}, {&d->out, w->n_embd},   {&d->cos_sin, angles_width(w)},
    };
    int rc;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (!(*rows[i].p = floats_new((size_t)DECODE_MAX * (size_t)rows[i].n))) goto no_memory;
    d->part_floats = floats_new(part_floats(w, s->n_splits));
    d->parts = calloc((size_t)DECODE_MAX * (size_t)w->n_head_kv * (size_t)s->n_splits, sizeof(*d->parts));
    if (s->kv_type != KV_F16 && !(d->wide = malloc((size_t)pool_threads(s->pool) * 2 * DECODE_SPLIT * (size_t)w->head_dim * sizeof(*d->wide)))) goto no_memory;
    if (!d->part_floats || !d->parts) goto no_memory;
    place_parts(s);
    if ((rc = act_new(&d->act, widest(w), DECODE_MAX, e))) return rc;
    return act_new(&s->out_act, w->n_embd, DECODE_MAX, e);

no_memory:
    return err_set(e, ERR_NOMEM, "out of memory for %llu MB of working space", (unsigned long long)(decode_bytes(w, s->n_ctx) >> 20));
}

uint64_t decode_bytes(const struct weights *w, int n_ctx)
{
    int n_splits = (n_ctx + DECODE_SPLIT - 1) / DECODE_SPLIT;
    size_t rows = 3 * (size_t)w->n_embd + (size_t)w->n_q + (size_t)attended_width(w) + 2 * (size_t)w->n_kv + (size_t)middle_width(w) +
                  (size_t)w->n_ff + (size_t)angles_width(w);

    return sizeof(float) * (DECODE_MAX * (rows + 4 * (size_t)widest(w)) + part_floats(w, n_splits));
}

void decode_release(struct decode *d)
{
    free(d->x);
    free(d->norm);
    free(d->q);
    free(d->attended);
    free(d->k);
    free(d->v);
    free(d->ff);
    free(d->up);
    free(d->out);
    free(d->cos_sin);
    free(d->wide);
    free(d->parts);
    free(d->part_floats);
    act_free(d->act);
}
