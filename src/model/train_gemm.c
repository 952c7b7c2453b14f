/*
 * train_gemm.c - the products of training, and work by rows, over the pool.
 *
 * Products in f32 are BLAS calls of one thread each, cut into pieces by shape. The matrices of a group are expanded into one operand that
 * is used at once and overwritten by the next.
 */
#include "model/train.h"

#include <cblas.h>
#include <string.h>

/* ---- work by rows ------------------------------------------------------------------------------------------------------ */

#define ROWS_A_BLOCK 16

struct rows_job {
    struct trainer *t;
    train_rows rows;
    void *arg;
    int n;
};

static void rows_item(void *arg, int item, int worker)
{
    const struct rows_job *j = arg;
    int lo = item * ROWS_A_BLOCK, hi = lo + ROWS_A_BLOCK < j->n ? lo + ROWS_A_BLOCK : j->n;

    j->rows(j->t, j->arg, lo, hi, worker);
}

void train_by_rows(struct trainer *t, int n, train_rows rows, void *arg)
{
    struct rows_job j = {t, rows, arg, n};

    if (n > 0) pool_run(t->pool, rows_item, &j, (n + ROWS_A_BLOCK - 1) / ROWS_A_BLOCK);
}

/* ---- products ---------------------------------------------------------------------------------------------------------- */

/* A piece's rows, and columns: fewer where there are few rows, so that there is work for all. */
#define PIECE_ROWS 512
#define PIECE_COLUMNS 640
#define PIECE_COLUMNS_LOW 192
#define PRODUCTS_MAX 16

struct pieces {
    const struct train_product *list;
    int n, rows[PRODUCTS_MAX], columns[PRODUCTS_MAX], first[PRODUCTS_MAX + 1];
};

static int pieces_of(int n, int most, int *size)
{
    int pieces = (n + most - 1) / most;

    *size = ((n + pieces - 1) / pieces + 15) / 16 * 16;
    return (n + *size - 1) / *size;
}

static void product_item(void *arg, int item, int worker)
{
    const struct pieces *s = arg;
    int i = 0;

    (void)worker;
    while (item >= s->first[i + 1]) i++;
    const struct train_product *p = &s->list[i];
    int across = (p->n + s->columns[i] - 1) / s->columns[i], at = item - s->first[i];
    int r = at / across * s->rows[i], c = at % across * s->columns[i];
    int m = p->m - r < s->rows[i] ? p->m - r : s->rows[i], n = p->n - c < s->columns[i] ? p->n - c : s->columns[i];
    const float *a = p->a + (p->ta ? (size_t)r : (size_t)r * (size_t)p->lda), *b = p->b + (p->tb ? (size_t)c * (size_t)p->ldb : (size_t)c);
    cblas_sgemm(CblasRowMajor, p->ta ? CblasTrans : CblasNoTrans, p->tb ? CblasTrans : CblasNoTrans, m, n, p->k, p->alpha, a, p->lda, b, p->ldb,
                p->beta, p->c + (size_t)r * (size_t)p->ldc + c, p->ldc);
}

void train_multiply(struct trainer *t, const struct train_product *list, int n)
{
    struct pieces s = {.list = list, .n = n};

    for (int i = 0; i < n; i++) {
        int down = pieces_of(list[i].m, PIECE_ROWS, &s.rows[i]);
        int across = pieces_of(list[i].n, list[i].m < PIECE_ROWS / 2 ? PIECE_COLUMNS_LOW : PIECE_COLUMNS, &s.columns[i]);
        s.first[i + 1] = s.first[i] + down * across;
    }
    if (n) pool_run(t->pool, product_item, &s, s.first[n]);
}

/* ---- operands ---------------------------------------------------------------------------------------------------------- */

#define EXPAND_ROWS 32

struct expand_job {
    const struct matrix *w;
    int64_t r0;
    int n;
    float *out;
};

static void expand_item(void *arg, int item, int worker)
{
    const struct expand_job *j = arg;

    (void)worker;
    for (int r = item * EXPAND_ROWS; r < j->n && r < (item + 1) * EXPAND_ROWS; r++)
        dequant_row(j->w->type, j->w->data + (size_t)(j->r0 + r) * j->w->row_bytes, j->out + (size_t)r * (size_t)j->w->n_in, j->w->n_in);
}

void train_expand(struct trainer *t, const struct matrix *w, int64_t r0, int n, float *out)
{
    struct expand_job j = {w, r0, n, out};

    pool_run(t->pool, expand_item, &j, (n + EXPAND_ROWS - 1) / EXPAND_ROWS);
}

static void expand_group(struct trainer *t, const struct train_group *g)
{
    for (int i = 0; i < g->n_parts; i++)
        train_expand(t, g->parts[i].w, 0, (int)g->parts[i].w->n_out, t->weights + (size_t)g->parts[i].at * (size_t)g->n_in);
    if (g->n_low) memcpy(t->weights + (size_t)g->n_out * (size_t)g->n_in, t->values + g->a, (size_t)g->n_low * (size_t)g->n_in * sizeof(float));
}

void train_group_forward(struct trainer *t, int layer, int group, const float *x, float *y)
{
    const struct train_group *g = &t->groups[layer][group];
    struct train_product low[3];
    int rank = t->o.rank, n = 0;

    if (t->bf16) {
        train_bf16_forward(t, g, x, y);
        return;
    }
    expand_group(t, g);
    struct train_product all = {.tb = true, .m = t->n, .n = t->adapted ? g->rows : g->n_out, .k = g->n_in, .alpha = 1, .a = x, .b = t->weights,
                                .c = y, .lda = g->n_in, .ldb = g->n_in, .ldc = g->rows};
    train_multiply(t, &all, 1);
    for (int i = 0; i < g->n_parts && t->adapted; i++) {
        const struct train_part *p = &g->parts[i];
        if (p->low_at < 0) continue;
        low[n++] = (struct train_product){.tb = true, .m = t->n, .n = (int)p->w->n_out, .k = rank, .alpha = t->scale, .beta = 1,
                                          .a = y + p->low_at, .b = t->values + p->b, .c = y + p->at, .lda = g->rows, .ldb = rank, .ldc = g->rows};
    }
    train_multiply(t, low, n);
}

void train_group_backward(struct trainer *t, int layer, int group, const float *x, const float *u, int u_stride, float *dy, float *dx)
{
    const struct train_group *g = &t->groups[layer][group];
    struct train_product low[8];
    int rank = t->o.rank, n = 0;

    if (t->bf16) {
        train_bf16_backward(t, g, x, u, u_stride, dy, dx);
        return;
    }
    for (int i = 0; i < g->n_parts; i++) {
        const struct train_part *p = &g->parts[i];
        int n_out = (int)p->w->n_out;
        if (p->low_at < 0) continue;
        low[n++] = (struct train_product){.m = t->n, .n = rank, .k = n_out, .alpha = t->scale, .a = dy + p->at, .b = t->values + p->b,
                                          .c = dy + p->low_at, .lda = g->rows, .ldb = rank, .ldc = g->rows};
        low[n++] = (struct train_product){.ta = true, .m = n_out, .n = rank, .k = t->n, .alpha = t->scale, .beta = 1, .a = dy + p->at,
                                          .b = u + (p->low_at - g->n_out), .c = t->grads + p->b, .lda = g->rows, .ldb = u_stride, .ldc = rank};
    }
    train_multiply(t, low, n);
    n = 0;
    if (g->n_low)
        low[n++] = (struct train_product){.ta = true, .m = g->n_low, .n = g->n_in, .k = t->n, .alpha = 1, .beta = 1, .a = dy + g->n_out, .b = x,
                                          .c = t->grads + g->a, .lda = g->rows, .ldb = g->n_in, .ldc = g->n_in};
    if (dx) {
        expand_group(t, g);
        low[n++] = (struct train_product){.m = t->n, .n = g->n_in, .k = g->rows, .alpha = 1, .a = dy, .b = t->weights, .c = dx, .lda = g->rows,
                                          .ldb = g->n_in, .ldc = g->n_in};
    }
    train_multiply(t, low, n);
}
