/*
 * prefill.c - the forward pass of prompt tokens, a chunk of up to CHUNK_ROWS at a time.
 *
 * Per layer: Q/K/V products, positions and cache, attention, output product, gate and up, down; each is one piece of parallel
 * work over slices of weights, blocks of rows or tiles of attention. The second part of the last layer is computed only for
 * the tile that holds the last token, unless all states were asked for.
 */
#include "model/lora.h"
#include "model/prefill.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

/* Rows that a worker takes at a time for work done row by row. */
#define BLOCK_ROWS 8

static float *row_of(float *x, int row, int width)
{
    return x + (size_t)row * (size_t)width;
}

/* ---- work by rows -------------------------------------------------------------------------------------------------- */

struct row_job {
    struct prefill *p;
    void (*row)(struct prefill *p, int row, const float *weight);
    const float *weight;
    int lo, hi;
};

static void row_item(void *arg, int item, int worker)
{
    const struct row_job *j = arg;

    (void)worker;
    for (int r = j->lo + item * BLOCK_ROWS; r < j->hi && r < j->lo + (item + 1) * BLOCK_ROWS; r++) j->row(j->p, r, j->weight);
}

static void run_rows(struct prefill *p, void (*row)(struct prefill *, int, const float *), const float *weight, int lo, int hi)
{
    struct row_job j = {p, row, weight, lo, hi};

    if (lo < hi) pool_run(p->s->pool, row_item, &j, (hi - lo + BLOCK_ROWS - 1) / BLOCK_ROWS);
}

/* Padding rows start as zeros and stay what the model makes of them. */
static void embed_row(struct prefill *p, int row, const float *unused)
{
    const struct weights *w = &p->s->m->w;
    float *x = row_of(p->x, row, w->n_embd);

    (void)unused;
    if (row < p->first || row >= p->end) {
        memset(x, 0, (size_t)w->n_embd * sizeof(float));
        return;
    }
    embed_token(p->s, p->ids[row - p->first], x);
    position_angles(p->s, p->base + row, row_of(p->cos_sin, row, angles_width(w)));
}

static void norm_row(struct prefill *p, int row, const float *weight)
{
    const struct weights *w = &p->s->m->w;
    rms_norm(row_of(p->x, row, w->n_embd), weight, row_of(p->in, row, w->n_embd), w->n_embd, w->norm_eps);
}

static void store_row(struct prefill *p, int row, const float *unused)
{
    const struct weights *w = &p->s->m->w;

    (void)unused;
    qkv_finish(p->s, p->layer, &(struct column){.position = p->base + row}, row_of(p->cos_sin, row, angles_width(w)), row_of(p->q, row, w->n_q), row_of(p->k, row, w->n_kv),
               row_of(p->v, row, w->n_kv));
}

static void attention_residual_row(struct prefill *p, int row, const float *bias)
{
    const struct weights *w = &p->s->m->w;
    residual_add(w, row_of(p->x, row, w->n_embd), row_of(p->t, row, w->n_embd), bias, w->layers[p->layer].attn_post_norm);
}

static void ffn_residual_row(struct prefill *p, int row, const float *bias)
{
    const struct weights *w = &p->s->m->w;
    residual_add(w, row_of(p->x, row, w->n_embd), row_of(p->t, row, w->n_embd), bias, w->layers[p->layer].ffn_post_norm);
}

/* ---- a chunk ------------------------------------------------------------------------------------------------------- */

struct progress {
    session_step step;
    void *arg;
    size_t done, total, chunk; /* tokens: before the chunk, of the whole call, of the chunk */
    int n_layer;
};

/* half: halves of layers that are done. */
static bool go_on(const struct progress *g, int half)
{
    return !g->step || g->step(g->arg, g->done + g->chunk * (size_t)half / (2 * (size_t)g->n_layer), g->total);
}

struct adapt_job {
    struct prefill *p;
    enum adapted which;
    const float *x;
    float *y;
    int n_in, n_out, lo, hi;
};

static void adapt_item(void *arg, int item, int worker)
{
    const struct adapt_job *j = arg;
    int row = j->lo + item * DECODE_MAX, n = j->hi - row < DECODE_MAX ? j->hi - row : DECODE_MAX;

    lora_add(j->p->s->lora, worker, j->p->layer, j->which, j->x + (size_t)row * (size_t)j->n_in, n, j->y + (size_t)row * (size_t)j->n_out);
}

/* y += what the session's adapters make of x, for the chunk's tokens among rows lo to hi. */
static void adapt(struct prefill *p, enum adapted which, const struct matrix *w, const float *x, float *y, int lo, int hi)
{
    struct adapt_job j = {p, which, x, y, (int)w->n_in, (int)w->n_out, lo > p->first ? lo : p->first, hi < p->end ? hi : p->end};

    if (p->s->lora && j.lo < j.hi) pool_run(p->s->pool, adapt_item, &j, (j.hi - j.lo + DECODE_MAX - 1) / DECODE_MAX);
}

static void activate_row(struct prefill *p, int row, const float *unused)
{
    int n = p->s->m->w.n_ff;

    (void)unused;
    ff_activate(&p->s->m->w, row_of(p->ff, row, n), row_of(p->up, row, n), n);
}

static void gate_up_adapted(struct prefill *p, const struct layer *y)
{
    int lo = p->lo > p->first ? p->lo : p->first, hi = p->hi < p->end ? p->hi : p->end;

    gemm_run(p, &y->gate, p->in, p->ff);
    gemm_run(p, &y->up, p->in, p->up);
    adapt(p, ADAPT_GATE, &y->gate, p->in, p->ff, p->lo, p->hi);
    adapt(p, ADAPT_UP, &y->up, p->in, p->up, p->lo, p->hi);
    run_rows(p, activate_row, NULL, lo, hi);
}

static void attention_half(struct prefill *p, const struct layer *y, int rows)
{
    run_rows(p, norm_row, y->attn_norm, 0, rows);
    mark(p->s, STAGE_BETWEEN);
    gemm_run_qkv(p, y);
    adapt(p, ADAPT_Q, &y->wq, p->in, p->q, 0, rows);
    adapt(p, ADAPT_K, &y->wk, p->in, p->k, 0, rows);
    adapt(p, ADAPT_V, &y->wv, p->in, p->v, 0, rows);
    mark(p->s, STAGE_QKV);
    run_rows(p, store_row, NULL, p->first, p->end);
    mark(p->s, STAGE_BETWEEN);
    prefill_attend(p);
    mark(p->s, STAGE_ATTENTION);
    gemm_run(p, &y->wo, p->in, p->t);
    adapt(p, ADAPT_O, &y->wo, p->in, p->t, p->lo, p->hi);
    mark(p->s, STAGE_OUT);
    run_rows(p, attention_residual_row, y->bo, p->lo, p->hi);
}

static void keep_row(struct prefill *p, int row, const float *unused)
{
    (void)unused;
    conv_keep(p->s, p->layer, p->base + row, row_of(p->ff, row, 3 * p->s->m->w.n_embd));
}

static void conv_row(struct prefill *p, int row, const float *unused)
{
    int n = p->s->m->w.n_embd;
    (void)unused;
    conv_apply(p->s, p->layer, p->base + row, row_of(p->ff, row, 3 * n), row_of(p->in, row, n));
}

/* In place of attention. Also where few rows are wanted, those that come later need what all of them keep. */
static void conv_half(struct prefill *p, const struct layer *y, int rows)
{
    int lo = p->lo, hi = p->hi;

    run_rows(p, norm_row, y->attn_norm, 0, rows);
    p->lo = 0;
    p->hi = rows;
    gemm_run(p, &y->mix_in, p->in, p->ff);
    adapt(p, ADAPT_MIX_IN, &y->mix_in, p->in, p->ff, 0, rows);
    mark(p->s, STAGE_QKV);
    p->lo = lo;
    p->hi = hi;
    run_rows(p, keep_row, NULL, p->first, p->end);
    run_rows(p, conv_row, NULL, lo > p->first ? lo : p->first, hi < p->end ? hi : p->end);
    gemm_run(p, &y->mix_out, p->in, p->t);
    adapt(p, ADAPT_MIX_OUT, &y->mix_out, p->in, p->t, lo, hi);
    mark(p->s, STAGE_OUT);
    run_rows(p, attention_residual_row, NULL, lo, hi);
}

static void ffn_half(struct prefill *p, const struct layer *y)
{
    run_rows(p, norm_row, y->ffn_norm, p->lo, p->hi);
    mark(p->s, STAGE_BETWEEN);
    if (p->s->lora) gate_up_adapted(p, y);
    else gemm_run_gate_up(p, y);
    mark(p->s, STAGE_GATE_UP);
    gemm_run(p, &y->down, p->ff, p->t);
    adapt(p, ADAPT_DOWN, &y->down, p->ff, p->t, p->lo, p->hi);
    mark(p->s, STAGE_DOWN);
    run_rows(p, ffn_residual_row, NULL, p->lo, p->hi);
}

/* keep_last, keep_all: whose states behind the last layer are wanted. */
static int run_chunk(struct prefill *p, const struct progress *g, bool keep_last, bool keep_all)
{
    const struct weights *w = &p->s->m->w;
    int rows = (p->end + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;

    p->lo = 0;
    p->hi = rows;
    mark(p->s, STAGE_COUNT);
    run_rows(p, embed_row, NULL, 0, rows);
    for (p->layer = 0; p->layer < w->n_layer; p->layer++) {
        if (p->layer == w->n_layer - 1 && !keep_all) {
            p->lo = (p->end - 1) / TILE_ROWS * TILE_ROWS;
            p->hi = keep_last ? rows : p->lo;
        }
        if (!go_on(g, 2 * p->layer)) return ERR_STOPPED;
        if (w->layers[p->layer].mix_in.data) conv_half(p, &w->layers[p->layer], rows);
        else attention_half(p, &w->layers[p->layer], rows);
        if (!go_on(g, 2 * p->layer + 1)) return ERR_STOPPED;
        ffn_half(p, &w->layers[p->layer]);
    }
    run_rows(p, norm_row, w->output_norm, p->lo, p->hi);
    mark(p->s, STAGE_BETWEEN);
    return 0;
}

/* ---- scratch ------------------------------------------------------------------------------------------------------ */

static int group_of(const struct weights *w)
{
    return w->n_head / w->n_head_kv;
}

/* Enough rows for a BLAS call to be worth it, few enough that a chunk has work for all threads. */
static int query_tile_of(const struct weights *w)
{
    return group_of(w) >= 4 ? 32 : 64;
}

static int rows_cap_of(int n_ctx)
{
    int rows = (n_ctx + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
    return rows < CHUNK_ROWS ? rows : CHUNK_ROWS;
}

static size_t row_floats(const struct weights *w)
{
    size_t in = (size_t)(w->n_embd > w->n_q ? w->n_embd : w->n_q);
    return 2 * (size_t)w->n_embd + in + (size_t)w->n_q + 2 * (size_t)w->n_kv + (size_t)middle_width(w) + (size_t)angles_width(w);
}

static bool needs_blas(const struct weights *w)
{
    for (int i = 0; i < w->n_layer; i++) {
        const struct layer *y = &w->layers[i];
        const struct matrix *all[] = {&y->wq, &y->wk, &y->wv, &y->wo, &y->gate, &y->up, &y->down, &y->mix_in, &y->mix_out};
        for (size_t k = 0; k < ARRAY_LEN(all); k++)
            if (all[k]->data && !gemm_in_core(all[k])) return true;
    }
    return false;
}

/* The widest input of a product. */
static int64_t input_width(const struct weights *w)
{
    int64_t n = w->n_embd > w->n_q ? w->n_embd : w->n_q;
    n = n > w->n_ff ? n : w->n_ff;
    return (n + 31) / 32 * 32;
}

static size_t worker_floats(const struct weights *w)
{
    size_t rows = (size_t)query_tile_of(w) * (size_t)group_of(w), dim = (size_t)w->head_dim;
    size_t products = needs_blas(w) ? SLICE_OUT * SLICE_IN + CHUNK_ROWS * SLICE_OUT : CHUNK_ROWS * CORE_OUT;
    return products + gemm_scratch_bytes() / sizeof(float) + rows * (2 * dim + KEY_TILE + 2) + 2 * KEY_TILE * dim;
}

uint64_t prefill_bytes(const struct weights *w, int n_ctx, int n_threads)
{
    return sizeof(float) * ((size_t)rows_cap_of(n_ctx) * row_floats(w) + (size_t)n_threads * worker_floats(w)) +
           gemm_input_bytes(rows_cap_of(n_ctx), input_width(w));
}

static bool worker_init(struct prefill_worker *o, const struct weights *w, bool blas)
{
    size_t rows = (size_t)query_tile_of(w) * (size_t)group_of(w), dim = (size_t)w->head_dim;

    o->weights = blas ? floats_new(SLICE_OUT * SLICE_IN) : NULL;
    o->up = floats_new(CHUNK_ROWS * (blas ? SLICE_OUT : CORE_OUT));
    o->panel = floats_new(gemm_scratch_bytes() / sizeof(float));
    o->q = floats_new(rows * dim);
    o->acc = floats_new(rows * dim);
    o->scores = floats_new(rows * KEY_TILE);
    o->keys = floats_new(KEY_TILE * dim);
    o->values = floats_new(KEY_TILE * dim);
    o->max = floats_new(rows);
    o->sum = floats_new(rows);
    return (o->weights || !blas) && o->panel && o->up && o->q && o->acc && o->scores && o->keys && o->values && o->max && o->sum;
}

void prefill_free(struct prefill *p)
{
    if (!p) return;
    for (int i = 0; p->workers && i < p->n_workers; i++) {
        struct prefill_worker *o = &p->workers[i];
        float *all[] = {o->weights, o->up, o->panel, o->q, o->acc, o->scores, o->keys, o->values, o->max, o->sum};
        for (size_t k = 0; k < ARRAY_LEN(all); k++) free(all[k]);
    }
    free(p->workers);
    gemm_input_free(p->input);
    float *all[] = {p->x, p->t, p->in, p->q, p->k, p->v, p->ff, p->up, p->cos_sin};
    for (size_t k = 0; k < ARRAY_LEN(all); k++) free(all[k]);
    free(p);
}

static bool fill(struct prefill *p)
{
    const struct weights *w = &p->s->m->w;
    size_t rows = (size_t)p->rows_cap;
    const struct {
        float **p;
        int n;
    } buffers[] = {
        {&p->x, w->n_embd}, {&p->t, w->n_embd},      {&p->in, w->n_embd > w->n_q ? w->n_embd : w->n_q},
        {&p->q, w->n_q},    {&p->k, w->n_kv},        {&p->v, w->n_kv},
        {&p->ff, middle_width(w)},  {&p->cos_sin, angles_width(w)},
    };

    for (size_t i = 0; i < ARRAY_LEN(buffers); i++)
        if (!(*buffers[i].p = floats_new(rows * (size_t)buffers[i].n))) return false;
    p->workers = calloc((size_t)p->n_workers, sizeof(*p->workers));
    for (int i = 0; p->workers && i < p->n_workers; i++)
        if (!worker_init(&p->workers[i], w, p->blas)) return false;
    return p->workers && !gemm_input_new(&p->input, p->rows_cap, input_width(w), NULL);
}

static int prefill_new(struct session *s, struct err *e)
{
    struct prefill *p = calloc(1, sizeof(*p));

    if (p) {
        p->s = s;
        p->rows_cap = rows_cap_of(s->n_ctx);
        p->n_workers = pool_threads(s->pool);
        p->query_tile = query_tile_of(&s->m->w);
        p->blas = needs_blas(&s->m->w);
        if (fill(p)) {
            s->prefill = p;
            /* our pool is the only one that splits work: a second one inside BLAS would fight it for the processors */
            openblas_set_num_threads(1);
            return 0;
        }
        prefill_free(p);
    }
    return err_set(e, ERR_NOMEM, "out of memory for %llu MB of working space",
                   (unsigned long long)(prefill_bytes(&s->m->w, s->n_ctx, pool_threads(s->pool)) >> 20));
}

/* ---- the prompt --------------------------------------------------------------------------------------------------- */

/* Places the next chunk: as many tokens as fit behind the tile that their first position lies in. */
static size_t place_chunk(struct prefill *p, const int32_t *ids, size_t n)
{
    size_t at = p->s->n;

    p->base = (int64_t)(at / TILE_ROWS * TILE_ROWS);
    p->first = (int)(at % TILE_ROWS);
    size_t room = (size_t)(p->rows_cap - p->first);
    if (n > room) n = room;
    p->end = p->first + (int)n;
    p->ids = ids;
    return n;
}

int prefill_run(struct session *s, const int32_t *ids, size_t n, session_step step, void *arg, float *last, prefill_rows rows,
                void *rows_arg, struct err *e)
{
    const struct weights *w = &s->m->w;
    struct progress g = {.step = step, .arg = arg, .total = n, .n_layer = w->n_layer};
    int rc;

    if (!s->prefill && (rc = prefill_new(s, e))) return rc;
    struct prefill *p = s->prefill;
    if (s->lora && !p->up && !(p->up = floats_new((size_t)p->rows_cap * (size_t)w->n_ff)))
        return err_set(e, ERR_NOMEM, "out of memory for adapters");
    if (p->blas && (rc = gemm_probe(p, n, e))) return rc;
    while (g.done < n) {
        g.chunk = place_chunk(p, ids + g.done, n - g.done);
        bool is_last = g.done + g.chunk == n;
        if ((rc = run_chunk(p, &g, is_last, rows != NULL))) return err_set(e, rc, "stopped");
        if (rows) rows(rows_arg, s->n, (int)g.chunk, row_of(p->in, p->first, w->n_embd));
        memcpy(s->tokens + s->n, p->ids, g.chunk * sizeof(*ids));
        memset(s->generated + s->n, 0, g.chunk * sizeof(*s->generated));
        s->n += g.chunk;
        g.done += g.chunk;
    }
    memcpy(last, row_of(p->in, p->end - 1, w->n_embd), (size_t)w->n_embd * sizeof(float));
    return 0;
}
