/*
 * train_bf16.c - the large products of training in bf16, over the pool: a group's operand is expanded row by row and goes into tiles at once.
 *
 * What is rounded: weights, activations, gradients of activations and exponentials, where they enter one of these products. Sums, what is kept,
 * the adapters' values and their gradient are f32.
 */
#include "model/train.h"
#include "model/train_amx.h"

#include <stdlib.h>
#include <string.h>

struct train_bf16 {
    uint16_t *left, *right, *right_rows;    /* operands in tiles; right_rows: the head's second */
    float *rows[POOL_MAX_THREADS];          /* 32 rows of an operand, of each worker */
};

void train_bf16_free(struct trainer *t)
{
    struct train_bf16 *b = t->bf16;

    if (!b) return;
    for (int i = 0; i < t->o.n_threads; i++) free(b->rows[i]);
    free(b->left);
    free(b->right);
    free(b->right_rows);
    free(b);
    t->bf16 = NULL;
}

static uint16_t *halves_new(size_t n)
{
    return (uint16_t *)(void *)floats_new((n + 1) / 2);
}

int train_bf16_new(struct trainer *t, struct err *e)
{
    const struct train_group *g = t->groups[0];
    const int n = t->w->n_embd;
    size_t left = train_amx_size(t->o.max_tokens, HEAD_SLICE), right = train_amx_size(HEAD_SLICE, n), head = train_amx_size(n, HEAD_SLICE);
    int widest = n;

    for (int k = 0; k < TRAIN_GROUPS; k++) {
        const size_t lefts[2] = {train_amx_size(t->o.max_tokens, g[k].n_in), train_amx_size(t->o.max_tokens, g[k].rows)};
        const size_t rights[2] = {train_amx_size(g[k].rows, g[k].n_in), train_amx_size(g[k].n_in, g[k].rows)};
        for (int i = 0; i < 2; i++) {
            left = lefts[i] > left ? lefts[i] : left;
            right = rights[i] > right ? rights[i] : right;
        }
        widest = g[k].n_in > widest ? g[k].n_in : widest;
    }
    struct train_bf16 *b = t->bf16 = calloc(1, sizeof *b);
    if (!b) return err_set(e, ERR_NOMEM, "out of memory for training");
    b->left = halves_new(left);
    b->right = halves_new(right);
    b->right_rows = halves_new(head);
    bool ok = b->left && b->right && b->right_rows;
    for (int i = 0; i < t->o.n_threads; i++) ok &= (b->rows[i] = floats_new(32 * (size_t)widest)) != NULL;
    return ok ? 0 : err_set(e, ERR_NOMEM, "out of memory for training");
}

/* ---- operands ------------------------------------------------------------------------------------------------------------- */

struct pack {
    struct trainer *t;
    /* the left operand: [m][k]; NULL: it is there */
    const float *x;
    int x_stride, m, k, n_left;
    /* rows of the right one: of a group, or of the output matrix from `first` on */
    const struct train_group *g;
    int first, n, width;
    uint16_t *columns, *rows;       /* where they go as columns, and as rows of b */
};

static void operand_row(const struct pack *p, int r, float *out)
{
    const struct train_group *g = p->g;
    const struct matrix *w = &p->t->w->output;
    int part = 0;

    if (!g) {
        dequant_row(w->type, w->data + (size_t)(p->first + r) * w->row_bytes, out, w->n_in);
        return;
    }
    if (r >= g->n_out) {
        memcpy(out, p->t->values + g->a + (size_t)(r - g->n_out) * (size_t)g->n_in, (size_t)g->n_in * sizeof *out);
        return;
    }
    while (part + 1 < g->n_parts && r >= g->parts[part + 1].at) part++;
    w = g->parts[part].w;
    dequant_row(w->type, w->data + (size_t)(r - g->parts[part].at) * w->row_bytes, out, w->n_in);
}

static void pack_item(void *arg, int item, int worker)
{
    const struct pack *p = arg;
    struct train_bf16 *b = p->t->bf16;
    float *rows = b->rows[worker];

    if (item < p->n_left) {
        train_amx_left(p->x, p->x_stride, p->m, p->k, 16 * item, b->left);
        return;
    }
    int at = 32 * (item - p->n_left), n = p->n - at < 32 ? p->n - at : 32;
    for (int r = 0; r < n; r++) operand_row(p, at + r, rows + (size_t)r * (size_t)p->width);
    for (int half = 0; half < 32 && p->columns; half += 16)
        train_amx_right_columns(rows + (size_t)half * (size_t)p->width, n - half, p->width, at + half, p->columns);
    if (p->rows) train_amx_right_rows(rows, n, p->width, at, p->n, p->rows);
}

static void pack(struct pack *p)
{
    p->n_left = p->x ? train_amx_tiles(p->m, 16) : 0;
    pool_run(p->t->pool, pack_item, p, p->n_left + (p->n + 31) / 32);
}

/* ---- products ------------------------------------------------------------------------------------------------------------- */

#define PIECE_ROWS 512
#define PIECE_COLUMNS 128

struct product {
    const uint16_t *left, *right;
    int m, n, k, across;
    float *c;
    int ldc;
    bool add;
};

static void product_item(void *arg, int item, int worker)
{
    const struct product *p = arg;
    int m = item / p->across * PIECE_ROWS, n = item % p->across * PIECE_COLUMNS;

    (void)worker;
    train_amx_multiply(p->left, p->right, p->k, m, m + PIECE_ROWS < p->m ? m + PIECE_ROWS : p->m, n, n + PIECE_COLUMNS < p->n ? n + PIECE_COLUMNS : p->n, p->c,
                       p->ldc, p->add);
}

static void multiply(struct trainer *t, struct product *p)
{
    p->across = (p->n + PIECE_COLUMNS - 1) / PIECE_COLUMNS;
    pool_run(t->pool, product_item, p, p->across * ((p->m + PIECE_ROWS - 1) / PIECE_ROWS));
}

void train_bf16_forward(struct trainer *t, const struct train_group *g, const float *x, float *y)
{
    int n = t->adapted ? g->rows : g->n_out;
    struct pack p = {.t = t, .x = x, .x_stride = g->n_in, .m = t->n, .k = g->n_in, .g = g, .n = n, .width = g->n_in, .columns = t->bf16->right};
    struct product c = {.left = t->bf16->left, .right = t->bf16->right, .m = t->n, .n = n, .k = g->n_in, .c = y, .ldc = g->rows};

    pack(&p);
    multiply(t, &c);
}

void train_bf16_backward(struct trainer *t, const struct train_group *g, const float *dy, float *dx)
{
    struct pack p = {.t = t, .x = dy, .x_stride = g->rows, .m = t->n, .k = g->rows, .g = g, .n = g->rows, .width = g->n_in, .rows = t->bf16->right};
    struct product c = {.left = t->bf16->left, .right = t->bf16->right, .m = t->n, .n = g->n_in, .k = g->rows, .c = dx, .ldc = g->n_in};

    pack(&p);
    multiply(t, &c);
}

void train_bf16_scores(struct trainer *t, int first, int n)
{
    const int width = t->w->n_embd;
    struct pack p = {.t = t, .x = t->head, .x_stride = width, .m = t->n_labels, .k = width, .first = first, .n = n, .width = width,
                     .columns = t->bf16->right, .rows = t->kept ? t->bf16->right_rows : NULL};
    struct product c = {.left = t->bf16->left, .right = t->bf16->right, .m = t->n_labels, .n = n, .k = width, .c = t->logits, .ldc = HEAD_SLICE};

    pack(&p);
    multiply(t, &c);
}

void train_bf16_sums(struct trainer *t, int n)
{
    const int width = t->w->n_embd;
    struct pack p = {.t = t, .x = t->logits, .x_stride = HEAD_SLICE, .m = t->n_labels, .k = n};
    struct product c = {.left = t->bf16->left, .right = t->bf16->right_rows, .m = t->n_labels, .n = width, .k = n, .c = t->unit, .ldc = width, .add = true};

    pack(&p);
    multiply(t, &c);
}
