/*
 * prefill_gemm.c - products of a chunk's rows with matrices, slice by slice over the pool: quantised matrices through the core
 * of gemm.h, others expanded to f32 and through BLAS.
 *
 * The core's bits depend on a row's numbers alone, so it computes the chunk's tokens and nothing else. What follows is about BLAS.
 *
 * Why the bits do not depend on the chunk or on the threads. BLAS chooses its inner loops by the shape of a call and by a row's
 * place in it, so a row's sums may differ from shape to shape and from place to place. Therefore all calls that compute one
 * output have the same shape - TILE_ROWS rows, the same slice of the matrix - and a position has the same place in its tile
 * whatever the chunk (see prefill.h). Larger calls are faster; gemm_probe compares the two on the shapes of this model, and
 * they are used only where they agree in every bit: which loops run depends on shapes alone, never on the numbers.
 */
#include "model/prefill.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

/* What becomes of a slice of products. */
enum gemm_end { END_STORE, END_ADD, END_GATE_UP };

struct gemm_job {
    struct prefill *p;
    struct {
        const struct matrix *w;
        float *y;
        bool core;
        int slice_out;       /* rows of w of an item */
        int n_slices;
    } parts[3];
    const struct operand *x;
    int lo, hi;     /* rows */
    int group_rows; /* rows an item takes: all of them, or fewer where there are many threads and few slices */
    int n_groups;
    enum gemm_end end;
    const float *bias;       /* END_ADD: or NULL */
    const struct matrix *up; /* END_GATE_UP: the second matrix */
};

static const int bulk_rows[BULK_SIZES] = BULK_ROWS;

/* The largest call that may be made for a shape with this many rows left. */
static int call_rows(const struct prefill *p, int n, int k, int rows)
{
    for (int i = 0; i < p->n_shapes; i++) {
        if (p->shapes[i].n != n || p->shapes[i].k != k) continue;
        for (int b = 0; b < BULK_SIZES; b++)
            if (p->shapes[i].bulk[b] && rows >= bulk_rows[b]) return bulk_rows[b];
    }
    return TILE_ROWS;
}

static void sgemm(int rows, int n, int k, const float *x, int x_stride, const float *weights, float *y, int y_stride, bool add)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, n, k, 1.0f, x, x_stride, weights, k, add ? 1.0f : 0.0f, y, y_stride);
}

/* y[row][0 .. n) (+)= weights [n][k] . x[row][0 .. k), for `rows` rows, a multiple of TILE_ROWS. */
static void multiply(const struct prefill *p, int rows, int n, int k, const float *x, int x_stride, const float *weights, float *y,
                     int y_stride, bool add)
{
    for (int r = 0, step; r < rows; r += step) {
        step = call_rows(p, n, k, rows - r);
        sgemm(step, n, k, x + (size_t)r * (size_t)x_stride, x_stride, weights, y + (size_t)r * (size_t)y_stride, y_stride, add);
    }
}

/* Rows [r0, r0 + n) of w times rows [lo, hi) of x, into y, whose column 0 is row r0. */
static void multiply_slice(const struct gemm_job *j, const struct matrix *w, int64_t r0, int n, int lo, int hi, float *weights, float *y,
                           int y_stride)
{
    const int block = tensor_block_elements(w->type), block_bytes = tensor_block_bytes(w->type), n_in = (int)w->n_in;

    for (int k0 = 0; k0 < n_in; k0 += SLICE_IN) {
        int k = n_in - k0 < SLICE_IN ? n_in - k0 : SLICE_IN;
        const uint8_t *from = w->data + (size_t)r0 * w->row_bytes + (size_t)(k0 / block) * (size_t)block_bytes;
        for (int r = 0; r < n; r++) dequant_row(w->type, from + (size_t)r * w->row_bytes, weights + (size_t)r * (size_t)k, k);
        multiply(j->p, hi - lo, n, k, j->x->rows + (size_t)lo * (size_t)n_in + k0, n_in, weights, y, y_stride, k0 > 0);
    }
}

bool gemm_in_core(const struct matrix *w)
{
    return gemm_supports(w->type, w->n_in);
}

/* The rows of the chunk's tokens among [lo, hi): the core needs no padding. */
static void core_slice(const struct gemm_job *j, const struct matrix *w, int64_t r0, int n, int lo, int hi, void *panel, float *y, int y_stride)
{
    int from = lo, to = hi;

    prefill_wanted(j->p, &from, &to);
    if (from < to)
        gemm_rows(j->x->core, from, to, w->type, w->data, w->row_bytes, r0, r0 + n, y + (size_t)(from - lo) * (size_t)y_stride, y_stride, panel);
}

/* y += out + bias, for rows `from` to `to`, of n elements. Leaves other numbers in out. */
static void add_rows(float *out, int from, int to, int n, float *y, int y_stride, const float *bias)
{
    for (int r = from; r < to; r++, y += y_stride, out += n) {
        if (bias) add_row(bias, out, n);
        add_row(out, y, n);
    }
}

static void gemm_item(void *arg, int item, int worker)
{
    const struct gemm_job *j = arg;
    struct prefill *p = j->p;
    const struct prefill_worker *own = &p->workers[worker];
    int group = item % j->n_groups, slice = item / j->n_groups, part = 0;
    int lo = j->lo + group * j->group_rows, hi = lo + j->group_rows < j->hi ? lo + j->group_rows : j->hi;

    while (slice >= j->parts[part].n_slices) slice -= j->parts[part++].n_slices;
    const struct matrix *w = j->parts[part].w;
    bool core = j->parts[part].core;
    int slice_out = j->parts[part].slice_out, n_out = (int)w->n_out, r0 = slice * slice_out, n = n_out - r0 < slice_out ? n_out - r0 : slice_out;
    float *y = j->end == END_STORE ? j->parts[part].y + (size_t)lo * (size_t)n_out + r0 : own->out;
    int y_stride = j->end == END_STORE ? n_out : n;

    if (core) core_slice(j, w, r0, n, lo, hi, own->panel, y, y_stride);
    else multiply_slice(j, w, r0, n, lo, hi, own->weights, y, y_stride);
    int from = lo, to = hi;
    prefill_wanted(p, &from, &to);
    if (j->end == END_STORE || from >= to) return;
    float *out = own->out + (size_t)(from - lo) * (size_t)n;
    if (j->end == END_ADD) {
        add_rows(out, from, to, n, j->parts[part].y + (size_t)from * (size_t)n_out + r0, n_out, j->bias ? j->bias + r0 : NULL);
        return;
    }
    if (core) core_slice(j, j->up, r0, n, lo, hi, own->panel, own->up, n);
    else multiply_slice(j, j->up, r0, n, lo, hi, own->weights, own->up, n);
    ff_activate(&p->s->m->w, out, own->up + (size_t)(from - lo) * (size_t)n, (int64_t)(to - from) * n);
    operand_put(&p->middle, from, to, r0, n, out, n);
}

static int tile_up(int rows)
{
    return (rows + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
}

static void plan_slices(struct gemm_job *j)
{
    for (int i = 0; i < 3 && j->parts[i].w; i++) {
        const struct matrix *w = j->parts[i].w;
        j->parts[i].core = gemm_in_core(w) && (!j->up || gemm_in_core(j->up));
        j->parts[i].slice_out = j->parts[i].core ? CORE_OUT : SLICE_OUT;
        j->parts[i].n_slices = (int)((w->n_out + j->parts[i].slice_out - 1) / j->parts[i].slice_out);
    }
}

static void run_job(struct gemm_job *j)
{
    int n_threads = pool_threads(j->p->s->pool), n_slices = 0, rows = j->hi - j->lo;

    if (rows <= 0) return;
    plan_slices(j);
    for (int i = 0; i < 3; i++) n_slices += j->parts[i].n_slices;
    j->n_groups = 1;
    j->group_rows = rows;
    while (n_slices * j->n_groups < 2 * n_threads && j->group_rows > 4 * TILE_ROWS) {
        j->group_rows = tile_up(j->group_rows / 2);
        j->n_groups = (rows + j->group_rows - 1) / j->group_rows;
    }
    pool_run(j->p->s->pool, gemm_item, j, n_slices * j->n_groups);
}

void gemm_run(struct prefill *p, const struct operand *x, const struct matrix *w, float *y)
{
    struct gemm_job j = {.p = p, .parts = {{.w = w, .y = y}}, .x = x, .lo = p->lo, .hi = p->hi};
    run_job(&j);
}

void gemm_run_add(struct prefill *p, const struct operand *x, const struct matrix *w, const float *bias, float *y)
{
    struct gemm_job j = {.p = p, .parts = {{.w = w, .y = y}}, .x = x, .lo = p->lo, .hi = p->hi, .end = END_ADD, .bias = bias};
    run_job(&j);
}

void gemm_run_qkv(struct prefill *p, const struct layer *y)
{
    struct gemm_job j = {.p = p, .parts = {{.w = &y->wq, .y = p->q}, {.w = &y->wk, .y = p->k}, {.w = &y->wv, .y = p->v}}, .x = &p->in, .lo = 0,
                         .hi = tile_up(p->end)};
    run_job(&j);
}

void gemm_run_gate_up(struct prefill *p, const struct layer *y)
{
    struct gemm_job j = {.p = p, .parts = {{.w = &y->gate}}, .x = &p->in, .lo = p->lo, .hi = p->hi, .end = END_GATE_UP, .up = &y->up};
    run_job(&j);
}

/* ---- operands ----------------------------------------------------------------------------------------------------- */

void operand_begin(struct prefill *p, struct operand *o, int n, const struct matrix *const *readers, int count)
{
    bool mid = false;

    o->n = n;
    o->in_core = false;
    o->in_rows = p->s->lora != NULL;
    for (int i = 0; i < count; i++) {
        if (!gemm_in_core(readers[i])) {
            o->in_rows = true;
            continue;
        }
        o->in_core = true;
        mid |= gemm_wants_mid(readers[i]->type);
    }
    if (o->in_core) gemm_input_begin(o->core, n, mid);
}

void operand_put(struct operand *o, int lo, int hi, int k0, int n, const float *x, int x_stride)
{
    if (o->in_rows)
        for (int r = lo; r < hi; r++)
            memcpy(o->rows + (size_t)r * (size_t)o->n + k0, x + (size_t)(r - lo) * (size_t)x_stride, (size_t)n * sizeof(float));
    if (o->in_core) gemm_input_put(o->core, lo, hi, k0, n, x, x_stride);
}

struct put_job {
    const struct operand *o;
    int lo, hi;
};

static void put_item(void *arg, int item, int worker)
{
    const struct put_job *j = arg;
    int lo = j->lo + item * BLOCK_ROWS, hi = lo + BLOCK_ROWS < j->hi ? lo + BLOCK_ROWS : j->hi, n = j->o->n;

    (void)worker;
    gemm_input_put(j->o->core, lo, hi, 0, n, j->o->rows + (size_t)lo * (size_t)n, n);
}

void operand_put_rows(struct prefill *p, struct operand *o, int lo, int hi)
{
    struct put_job j = {o, lo, hi};
    if (o->in_core && lo < hi) pool_run(p->s->pool, put_item, &j, (hi - lo + BLOCK_ROWS - 1) / BLOCK_ROWS);
}

/* ---- the probe ---------------------------------------------------------------------------------------------------- */

static void add_shape(struct prefill *p, int n, int k)
{
    for (int i = 0; i < p->n_shapes; i++)
        if (p->shapes[i].n == n && p->shapes[i].k == k) return;
    if (p->n_shapes < MAX_SHAPES) p->shapes[p->n_shapes++] = (struct gemm_shape){n, k, {false}};
}

static void add_shapes(struct prefill *p, const struct matrix *w)
{
    int n_last = (int)(w->n_out % SLICE_OUT), k_last = (int)(w->n_in % SLICE_IN);
    bool n_full = w->n_out >= SLICE_OUT, k_full = w->n_in >= SLICE_IN;

    if (n_full && k_full) add_shape(p, SLICE_OUT, SLICE_IN);
    if (n_full && k_last) add_shape(p, SLICE_OUT, k_last);
    if (n_last && k_full) add_shape(p, n_last, SLICE_IN);
    if (n_last && k_last) add_shape(p, n_last, k_last);
}

static bool same_bits(const struct gemm_shape *g, int rows, const float *x, const float *weights, float *bulk, float *tiles)
{
    size_t n = (size_t)g->n, k = (size_t)g->k;

    for (int add = 0; add < 2; add++) {
        sgemm(rows, g->n, g->k, x, g->k, weights, bulk, g->n, add);
        for (size_t r = 0; r < (size_t)rows; r += TILE_ROWS)
            sgemm(TILE_ROWS, g->n, g->k, x + r * k, g->k, weights, tiles + r * n, g->n, add);
    }
    return !memcmp(bulk, tiles, (size_t)rows * n * sizeof(float));
}

/* Any numbers do whose sums round differently in another order. */
static void fill_probe(float *x, size_t n)
{
    uint32_t seed = 1;
    for (size_t i = 0; i < n; i++) x[i] = (float)(int32_t)(seed = seed * 1664525u + 1013904223u) * 0x1p-31f;
}

int gemm_probe(struct prefill *p, size_t n, struct err *e)
{
    const struct layer *y = p->s->m->w.layers;
    const struct matrix *all[] = {&y->wq, &y->wk, &y->wv, &y->wo, &y->gate, &y->up, &y->down, &y->mix_in, &y->mix_out};
    size_t n_x = (size_t)BULK_ROWS_MAX * SLICE_IN, n_y = (size_t)BULK_ROWS_MAX * SLICE_OUT;
    float *x = NULL, *weights = p->workers[0].weights;

    for (int b = 0; b < BULK_SIZES; b++) {
        if (p->probed[b] || n < (size_t)bulk_rows[b]) continue;
        if (!x) {
            if (!(x = floats_new(n_x + 2 * n_y))) return err_set(e, ERR_NOMEM, "out of memory for the probe of BLAS");
            fill_probe(x, n_x);
            fill_probe(weights, (size_t)SLICE_OUT * SLICE_IN);
            for (size_t i = 0; i < ARRAY_LEN(all); i++) add_shapes(p, all[i]);
        }
        for (int i = 0; i < p->n_shapes; i++)
            p->shapes[i].bulk[b] = same_bits(&p->shapes[i], bulk_rows[b], x, weights, x + n_x, x + n_x + n_y);
        p->probed[b] = true;
    }
    free(x);
    return 0;
}
