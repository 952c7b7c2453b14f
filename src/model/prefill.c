/*
 * prefill.c - the forward pass of prompt tokens, a chunk of up to CHUNK_ROWS at a time.
 *
 * Per layer: Q/K/V products, positions and cache, attention, output product, gate and up, down; each is one piece of parallel
 * work over slices of weights, blocks of rows or tiles of attention. The second part of the last layer is computed only for
 * the tile that holds the last token, unless all states were asked for.
 */
#include "model/blas.h"
#include "model/lora.h"
#include "model/prefill.h"

#include <stdlib.h>
#include <string.h>

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
    float *x = row_of(p->x, row, w->n_embd);
    rms_norm(x, weight, x, w->n_embd, w->norm_eps);
}

static void store_row(struct prefill *p, int row, const float *unused)
{
    const struct weights *w = &p->s->m->w;

    (void)unused;
    qkv_finish(p->s, p->layer, &(struct column){.position = p->base + row}, row_of(p->cos_sin, row, angles_width(w)), row_of(p->q, row, w->n_q), row_of(p->k, row, w->n_kv),
               row_of(p->v, row, w->n_kv));
}

struct in_job {
    struct prefill *p;
    /* makes the row of p->in, n_embd numbers */
    void (*make)(struct prefill *p, int row, const float *weight, float *out);
    const float *weight;
    int lo, hi;
};

static void in_item(void *arg, int item, int worker)
{
    const struct in_job *j = arg;
    struct prefill *p = j->p;
    int n = p->in.n, lo = j->lo + item * BLOCK_ROWS, hi = lo + BLOCK_ROWS < j->hi ? lo + BLOCK_ROWS : j->hi;

    for (int r = lo; r < hi; r++) j->make(p, r, j->weight, row_of(p->workers[worker].block, r - lo, n));
    operand_put(&p->in, lo, hi, 0, n, p->workers[worker].block, n);
}

/* p->in, which was begun, row by row. lo is a multiple of BLOCK_ROWS. */
static void make_in(struct prefill *p, void (*make)(struct prefill *, int, const float *, float *), const float *weight, int lo, int hi)
{
    struct in_job j = {p, make, weight, lo, hi};

    if (lo < hi) pool_run(p->s->pool, in_item, &j, (hi - lo + BLOCK_ROWS - 1) / BLOCK_ROWS);
}

static void normed_row(struct prefill *p, int row, const float *weight, float *out)
{
    const struct weights *w = &p->s->m->w;
    rms_norm(row_of(p->x, row, w->n_embd), weight, out, w->n_embd, w->norm_eps);
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
    struct adapt_job j = {p, which, x, y, (int)w->n_in, (int)w->n_out, lo, hi};

    prefill_wanted(p, &j.lo, &j.hi);
    if (p->s->lora && j.lo < j.hi) pool_run(p->s->pool, adapt_item, &j, (j.hi - j.lo + DECODE_MAX - 1) / DECODE_MAX);
}

static void activate_row(struct prefill *p, int row, const float *unused)
{
    int n = p->s->m->w.n_ff;

    (void)unused;
    ff_activate(&p->s->m->w, row_of(p->middle.rows, row, n), row_of(p->up, row, n), n);
}

/* Adapters part gate and up, and read the whole of what is between the products: it goes through f32. */
static void gate_up_adapted(struct prefill *p, const struct layer *y)
{
    int lo = p->lo, hi = p->hi;
    float *ff = p->middle.rows;

    prefill_wanted(p, &lo, &hi);
    gemm_run(p, &p->in, &y->gate, ff);
    gemm_run(p, &p->in, &y->up, p->up);
    adapt(p, ADAPT_GATE, &y->gate, p->in.rows, ff, p->lo, p->hi);
    adapt(p, ADAPT_UP, &y->up, p->in.rows, p->up, p->lo, p->hi);
    run_rows(p, activate_row, NULL, lo, hi);
    operand_put_rows(p, &p->middle, lo, hi);
}

struct add_job {
    struct prefill *p;
    const float *bias, *norm;
    int lo, hi;
};

static void add_item(void *arg, int item, int worker)
{
    const struct add_job *j = arg;
    struct prefill *p = j->p;
    const struct weights *w = &p->s->m->w;

    (void)worker;
    for (int r = j->lo + item * BLOCK_ROWS; r < j->hi && r < j->lo + (item + 1) * BLOCK_ROWS; r++)
        residual_add(w, row_of(p->x, r, w->n_embd), row_of(p->t, r, w->n_embd), j->bias, j->norm);
}

/* Ends half a layer: x += w . operand + bias, with adapters and a norm where there are some. */
static void add_half(struct prefill *p, struct operand *o, const struct matrix *w, enum adapted which, const float *bias, const float *norm,
                     enum session_stage stage)
{
    struct add_job j = {p, bias, norm, p->lo, p->hi};

    if (!norm && !p->s->lora) {
        gemm_run_add(p, o, w, bias, p->x);
        mark(p->s, stage);
        return;
    }
    gemm_run(p, o, w, p->t);
    adapt(p, which, w, o->rows, p->t, p->lo, p->hi);
    mark(p->s, stage);
    prefill_wanted(p, &j.lo, &j.hi);
    if (j.lo < j.hi) pool_run(p->s->pool, add_item, &j, (j.hi - j.lo + BLOCK_ROWS - 1) / BLOCK_ROWS);
}

static void attention_half(struct prefill *p, const struct layer *y, int rows)
{
    const struct weights *w = &p->s->m->w;
    const struct matrix *qkv[] = {&y->wq, &y->wk, &y->wv}, *out[] = {&y->wo};

    operand_begin(p, &p->in, w->n_embd, qkv, 3);
    make_in(p, normed_row, y->attn_norm, 0, rows);
    mark(p->s, STAGE_BETWEEN);
    gemm_run_qkv(p, y);
    adapt(p, ADAPT_Q, &y->wq, p->in.rows, p->q, 0, rows);
    adapt(p, ADAPT_K, &y->wk, p->in.rows, p->k, 0, rows);
    adapt(p, ADAPT_V, &y->wv, p->in.rows, p->v, 0, rows);
    mark(p->s, STAGE_QKV);
    run_rows(p, store_row, NULL, p->first, p->end);
    mark(p->s, STAGE_BETWEEN);
    operand_begin(p, &p->in, w->n_q, out, 1);
    prefill_attend(p);
    mark(p->s, STAGE_ATTENTION);
    add_half(p, &p->in, &y->wo, ADAPT_O, y->bo, y->attn_post_norm, STAGE_OUT);
}

static void keep_row(struct prefill *p, int row, const float *unused)
{
    (void)unused;
    conv_keep(p->s, p->layer, p->base + row, row_of(p->middle.rows, row, 3 * p->s->m->w.n_embd));
}

static void conv_row(struct prefill *p, int row, const float *unused, float *out)
{
    int n = p->s->m->w.n_embd;

    (void)unused;
    if (row < p->first || row >= p->end) memset(out, 0, (size_t)n * sizeof(float));
    else conv_apply(p->s, p->layer, p->base + row, row_of(p->middle.rows, row, 3 * n), out);
}

/* In place of attention. Also where few rows are wanted, those that come later need what all of them keep. */
static void conv_half(struct prefill *p, const struct layer *y, int rows)
{
    const struct matrix *in[] = {&y->mix_in}, *out[] = {&y->mix_out};
    int lo = p->lo, hi = p->hi, n = p->s->m->w.n_embd;

    operand_begin(p, &p->in, n, in, 1);
    make_in(p, normed_row, y->attn_norm, 0, rows);
    p->lo = 0;
    p->hi = rows;
    gemm_run(p, &p->in, &y->mix_in, p->middle.rows);
    adapt(p, ADAPT_MIX_IN, &y->mix_in, p->in.rows, p->middle.rows, 0, rows);
    mark(p->s, STAGE_QKV);
    p->lo = lo;
    p->hi = hi;
    run_rows(p, keep_row, NULL, p->first, p->end);
    operand_begin(p, &p->in, n, out, 1);
    make_in(p, conv_row, NULL, lo, hi);
    add_half(p, &p->in, &y->mix_out, ADAPT_MIX_OUT, NULL, y->attn_post_norm, STAGE_OUT);
}

static void ffn_half(struct prefill *p, const struct layer *y)
{
    const struct weights *w = &p->s->m->w;
    const struct matrix *gate_up[] = {&y->gate, &y->up}, *down[] = {&y->down};

    operand_begin(p, &p->in, w->n_embd, gate_up, 2);
    make_in(p, normed_row, y->ffn_norm, p->lo, p->hi);
    mark(p->s, STAGE_BETWEEN);
    operand_begin(p, &p->middle, w->n_ff, down, 1);
    if (p->s->lora) gate_up_adapted(p, y);
    else gemm_run_gate_up(p, y);
    mark(p->s, STAGE_GATE_UP);
    add_half(p, &p->middle, &y->down, ADAPT_DOWN, NULL, y->ffn_post_norm, STAGE_DOWN);
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

static bool has_post_norms(const struct weights *w)
{
    for (int i = 0; i < w->n_layer; i++)
        if (w->layers[i].attn_post_norm || w->layers[i].ffn_post_norm) return true;
    return false;
}

static int in_width(const struct weights *w)
{
    return w->n_embd > w->n_q ? w->n_embd : w->n_q;
}

/* The buffers of a chunk's rows; of width 0 those that this model needs only where adapters are. */
struct row_buffer {
    float **p;
    int n;
};
#define ROW_BUFFERS 9

static void row_buffers(struct prefill *p, const struct weights *w, bool lora, struct row_buffer out[ROW_BUFFERS])
{
    const bool blas = needs_blas(w);
    const struct row_buffer all[ROW_BUFFERS] = {
        {&p->x, w->n_embd},
        {&p->q, w->n_q},
        {&p->k, w->n_kv},
        {&p->v, w->n_kv},
        {&p->cos_sin, angles_width(w)},
        {&p->in.rows, lora || blas || w->head_dim * group_of(w) % 32 ? in_width(w) : 0},
        {&p->middle.rows, lora || blas || w->conv ? middle_width(w) : 0},
        {&p->t, lora || has_post_norms(w) ? w->n_embd : 0},
        {&p->up, lora ? w->n_ff : 0},
    };
    memcpy(out, all, sizeof all);
}

static int up_to_32(int n)
{
    return (n + 31) / 32 * 32;
}

static size_t worker_floats(const struct weights *w)
{
    size_t rows = (size_t)query_tile_of(w) * (size_t)group_of(w), dim = (size_t)w->head_dim;
    size_t products = needs_blas(w) ? SLICE_OUT * SLICE_IN + 2 * CHUNK_ROWS * SLICE_OUT : 2 * CHUNK_ROWS * CORE_OUT;
    return products + (size_t)BLOCK_ROWS * (size_t)w->n_embd + gemm_scratch_bytes() / sizeof(float) + rows * (2 * dim + 2) + KEY_TILE * (PANEL_COLUMNS + 2 * dim);
}

uint64_t prefill_bytes(const struct weights *w, int n_ctx, int n_threads)
{
    struct prefill none;
    struct row_buffer b[ROW_BUFFERS];
    size_t row = 0;

    row_buffers(&none, w, false, b);
    for (int i = 0; i < ROW_BUFFERS; i++) row += (size_t)b[i].n;
    return sizeof(float) * ((size_t)rows_cap_of(n_ctx) * row + (size_t)n_threads * worker_floats(w)) +
           gemm_input_bytes(rows_cap_of(n_ctx), up_to_32(in_width(w))) + gemm_input_bytes(rows_cap_of(n_ctx), up_to_32(w->n_ff));
}

static bool worker_init(struct prefill_worker *o, const struct weights *w, bool blas)
{
    size_t rows = (size_t)query_tile_of(w) * (size_t)group_of(w), dim = (size_t)w->head_dim;

    o->weights = blas ? floats_new(SLICE_OUT * SLICE_IN) : NULL;
    o->block = floats_new((size_t)BLOCK_ROWS * (size_t)w->n_embd);
    o->out = floats_new(CHUNK_ROWS * (blas ? SLICE_OUT : CORE_OUT));
    o->up = floats_new(CHUNK_ROWS * (blas ? SLICE_OUT : CORE_OUT));
    o->panel = floats_new(gemm_scratch_bytes() / sizeof(float));
    o->q = floats_new(rows * dim);
    o->acc = floats_new(rows * dim);
    o->scores = floats_new(KEY_TILE * PANEL_COLUMNS);
    o->keys = floats_new(KEY_TILE * dim);
    o->values = floats_new(KEY_TILE * dim);
    o->max = floats_new(rows);
    o->sum = floats_new(rows);
    return (o->weights || !blas) && o->block && o->out && o->panel && o->up && o->q && o->acc && o->scores && o->keys && o->values && o->max && o->sum;
}

static bool fill_rows(struct prefill *p, bool lora)
{
    struct row_buffer b[ROW_BUFFERS];

    row_buffers(p, &p->s->m->w, lora, b);
    for (int i = 0; i < ROW_BUFFERS; i++)
        if (b[i].n && !*b[i].p && !(*b[i].p = floats_new((size_t)p->rows_cap * (size_t)b[i].n))) return false;
    return true;
}

void prefill_free(struct prefill *p)
{
    struct row_buffer b[ROW_BUFFERS];

    if (!p) return;
    for (int i = 0; p->workers && i < p->n_workers; i++) {
        struct prefill_worker *o = &p->workers[i];
        float *all[] = {o->weights, o->block, o->out, o->up, o->panel, o->q, o->acc, o->scores, o->keys, o->values, o->max, o->sum};
        for (size_t k = 0; k < ARRAY_LEN(all); k++) free(all[k]);
    }
    free(p->workers);
    gemm_input_free(p->in.core);
    gemm_input_free(p->middle.core);
    row_buffers(p, &p->s->m->w, true, b);
    for (int i = 0; i < ROW_BUFFERS; i++) free(*b[i].p);
    free(p);
}

static bool fill(struct prefill *p)
{
    const struct weights *w = &p->s->m->w;

    if (!fill_rows(p, false)) return false;
    p->workers = calloc((size_t)p->n_workers, sizeof(*p->workers));
    for (int i = 0; p->workers && i < p->n_workers; i++)
        if (!worker_init(&p->workers[i], w, p->blas)) return false;
    return p->workers && !gemm_input_new(&p->in.core, p->rows_cap, up_to_32(in_width(w)), NULL) &&
           !gemm_input_new(&p->middle.core, p->rows_cap, up_to_32(w->n_ff), NULL);
}

static int prefill_new(struct session *s, struct err *e)
{
    int rc;

    if (needs_blas(&s->m->w) && (rc = blas_prepare(pool_threads(s->pool), e))) return rc;
    struct prefill *p = calloc(1, sizeof(*p));
    if (p) {
        p->s = s;
        p->rows_cap = rows_cap_of(s->n_ctx);
        p->n_workers = pool_threads(s->pool);
        p->query_tile = query_tile_of(&s->m->w);
        p->blas = needs_blas(&s->m->w);
        if (fill(p)) {
            s->prefill = p;
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
    if (s->lora && !fill_rows(p, true)) return err_set(e, ERR_NOMEM, "out of memory for adapters");
    if (p->blas && (rc = gemm_probe(p, n, e))) return rc;
    while (g.done < n) {
        g.chunk = place_chunk(p, ids + g.done, n - g.done);
        bool is_last = g.done + g.chunk == n;
        if ((rc = run_chunk(p, &g, is_last, rows != NULL))) return err_set(e, rc, "stopped");
        if (rows) rows(rows_arg, s->n, (int)g.chunk, row_of(p->x, p->first, w->n_embd));
        memcpy(s->tokens + s->n, p->ids, g.chunk * sizeof(*ids));
        memset(s->generated + s->n, 0, g.chunk * sizeof(*s->generated));
        s->n += g.chunk;
        g.done += g.chunk;
    }
    memcpy(last, row_of(p->x, p->end - 1, w->n_embd), (size_t)w->n_embd * sizeof(float));
    return 0;
}
