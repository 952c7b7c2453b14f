/*
 * train_bf16.c - the products of training in bf16, over the pool: operands are expanded row by row and go into tiles at once.
 *
 * The small products of the adapters share the large ones' operands:
 *     forward     [Y | U] = X [W ; A]^T; then Y += U (scale B)^T
 *     backward    dU = dY (scale B); then dX = [dY | dU] [W ; A]; dB += scale (U^T dY)^T; dA += dU^T X
 * where B stands for all parts of a group, each in its own rows and columns.
 *
 * What is rounded: weights, activations and their gradients, exponentials and the adapters' values, where they enter a product. Sums, what
 * is kept, the values themselves and their gradient are f32.
 */
#include "model/train.h"
#include "model/train_amx.h"

#include <stdlib.h>
#include <string.h>

struct train_bf16 {
    /* operands in tiles. left, right: of the product in hand; low: an adapter's; across: rows of activations as a right operand */
    uint16_t *left, *right, *low_left, *low_right, *across;
    float *low;                             /* [rank][widest n_out] */
    float *rows[POOL_MAX_THREADS];          /* 32 rows of an operand, of each worker */
};

void train_bf16_free(struct trainer *t)
{
    struct train_bf16 *b = t->bf16;

    if (!b) return;
    for (int i = 0; i < t->o.n_threads; i++) free(b->rows[i]);
    free(b->left);
    free(b->right);
    free(b->low_left);
    free(b->low_right);
    free(b->across);
    free(b->low);
    free(b);
    t->bf16 = NULL;
}

static uint16_t *halves_new(size_t n)
{
    /* beyond the end is fetched ahead */
    return (uint16_t *)(void *)floats_new((n + 1) / 2 + 2048);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

int train_bf16_new(struct trainer *t, struct err *e)
{
    const int n = t->w->n_embd, tokens = t->o.max_tokens, low = 3 * t->o.rank;
    size_t left = larger(train_amx_size(2 * tokens, HEAD_SLICE), train_amx_size(2 * tokens, n)), right = train_amx_size(HEAD_SLICE, n), low_right = 0, across = train_amx_size(n, HEAD_SLICE);
    int widest = n;

    for (int k = 0; k < TRAIN_GROUPS; k++) {
        const struct train_group *g = &t->groups[0][k];
        int in = g->n_in + g->n_low, out = g->rows;
        left = larger(left, larger(train_amx_size(tokens, in), train_amx_size(tokens, out)));
        right = larger(right, larger(train_amx_size(g->n_out, in), train_amx_size(g->n_in, out)));
        low_right = larger(low_right, larger(train_amx_size(g->n_out, low), train_amx_size(low, out)));
        across = larger(across, larger(train_amx_size(g->n_in, tokens), train_amx_size(g->n_out, tokens)));
        widest = in > widest ? in : widest;
        widest = g->n_out > widest ? g->n_out : widest;
    }
    struct train_bf16 *b = t->bf16 = calloc(1, sizeof *b);
    if (!b) return err_set(e, ERR_NOMEM, "out of memory for training");
    b->left = halves_new(left);
    b->right = halves_new(right);
    b->low_left = halves_new(train_amx_size(low, tokens));
    b->low_right = halves_new(low_right);
    b->across = halves_new(across);
    b->low = floats_new((size_t)t->o.rank * (size_t)widest);
    bool ok = b->left && b->right && b->low_left && b->low_right && b->across && b->low;
    for (int i = 0; i < t->o.n_threads; i++) ok &= (b->rows[i] = floats_new(32 * (size_t)widest)) != NULL;
    return ok ? 0 : err_set(e, ERR_NOMEM, "out of memory for training");
}

/* ---- operands ------------------------------------------------------------------------------------------------------------- */

/* What goes into tiles in one round: a left operand from rows, another from columns, a right one from rows of activations, and one from
 * rows that are made on the way. Parts with no source are left out. */
struct pack {
    struct trainer *t;
    struct {
        const float *x;
        int stride, m, k, from; /* from: the tiles before it are there already */
        uint16_t *out;
    } left;
    struct {
        const float *x;
        int stride, m;
    } turned; /* low_left = x^T: m of x's columns, k is the tokens */
    struct {
        const float *x;
        int stride, n;
    } across; /* rows of x, k is the tokens */
    struct {
        void (*row)(const struct pack *p, int r, float *out);
        const struct train_group *g;
        int first, n, width;        /* first: of the output matrix */
        uint16_t *columns, *rows;   /* where it goes as columns of b, and as rows of b */
    } made;
    int ends[4];                    /* items up to the end of each */
};

static void pack_item(void *arg, int item, int worker)
{
    const struct pack *p = arg;
    struct train_bf16 *b = p->t->bf16;
    float *rows = b->rows[worker];
    const int tokens = p->t->n;

    if (item < p->ends[0]) {
        train_amx_left(p->left.x, p->left.stride, p->left.m, p->left.k, p->left.from, 16 * item, p->left.out);
    } else if (item < p->ends[1]) {
        train_amx_left_columns(p->turned.x, p->turned.stride, p->turned.m, tokens, 16 * (item - p->ends[0]), b->low_left);
    } else if (item < p->ends[2]) {
        int at = 32 * (item - p->ends[1]);
        train_amx_right_rows(p->across.x + (size_t)at * (size_t)p->across.stride, p->across.stride, tokens - at, p->across.n, at, tokens, b->across);
    } else {
        int at = 32 * (item - p->ends[2]), n = p->made.n - at < 32 ? p->made.n - at : 32;
        for (int r = 0; r < n; r++) p->made.row(p, at + r, rows + (size_t)r * (size_t)p->made.width);
        for (int half = 0; half < 32 && p->made.columns; half += 16)
            train_amx_right_columns(rows + (size_t)half * (size_t)p->made.width, n - half, p->made.width, at + half, p->made.columns);
        if (p->made.rows) train_amx_right_rows(rows, p->made.width, n, p->made.width, at, p->made.n, p->made.rows);
    }
}

static void pack(struct pack *p)
{
    p->ends[0] = p->left.x ? train_amx_tiles(p->left.m, 16) : 0;
    p->ends[1] = p->ends[0] + (p->turned.x ? train_amx_tiles(p->turned.m, 16) : 0);
    p->ends[2] = p->ends[1] + (p->across.x ? (p->t->n + 31) / 32 : 0);
    p->ends[3] = p->ends[2] + (p->made.row ? (p->made.n + 31) / 32 : 0);
    pool_run(p->t->pool, pack_item, p, p->ends[3]);
}

/* The part of a group that has this column of Y. */
static const struct train_part *part_of(const struct train_group *g, int r)
{
    int part = 0;

    while (part + 1 < g->n_parts && r >= g->parts[part + 1].at) part++;
    return &g->parts[part];
}

static void weight_row(const struct train_part *p, int r, float *out)
{
    dequant_row(p->w->type, p->w->data + (size_t)(r - p->at) * p->w->row_bytes, out, p->w->n_in);
}

/* Row r of B for all parts, n_low floats, times `by`. */
static void low_row(const struct pack *p, const struct train_group *g, int r, float by, float *out)
{
    const struct train_part *part = part_of(g, r);
    size_t rank = (size_t)p->t->o.rank;

    memset(out, 0, (size_t)g->n_low * sizeof *out);
    if (part->low_at < 0) return;
    const float *b = p->t->values + part->b + (size_t)(r - part->at) * rank;
    out += part->low_at - g->n_out;
    for (size_t i = 0; i < rank; i++) out[i] = by * b[i];
}

static void a_row(const struct pack *p, int r, float *out)
{
    const struct train_group *g = p->made.g;
    memcpy(out, p->t->values + g->a + (size_t)r * (size_t)g->n_in, (size_t)g->n_in * sizeof *out);
}

/* scale B, and zeros for the columns of dU */
static void scaled_b_row(const struct pack *p, int r, float *out)
{
    const struct train_group *g = p->made.g;

    if (r < g->n_out) low_row(p, g, r, p->t->scale, out);
    else memset(out, 0, (size_t)g->n_low * sizeof *out);
}

/* [W ; A] */
static void stacked_row(const struct pack *p, int r, float *out)
{
    const struct train_group *g = p->made.g;

    if (r < g->n_out) weight_row(part_of(g, r), r, out);
    else a_row(p, r - g->n_out, out);
}

static void vocabulary_row(const struct pack *p, int r, float *out)
{
    const struct matrix *w = &p->t->w->output;
    dequant_row(w->type, w->data + (size_t)(p->made.first + r) * w->row_bytes, out, w->n_in);
}

/* ---- products ------------------------------------------------------------------------------------------------------------- */

#define PIECE_ROWS 512
#define PIECE_COLUMNS 128

struct product {
    const uint16_t *left, *right;
    int m, n, k;
    float *c;
    int ldc;
    bool add;
    int across;
};

static void product_item(void *arg, int item, int worker)
{
    const struct product *p = arg;
    int m = item / p->across * PIECE_ROWS, n = item % p->across * PIECE_COLUMNS;

    (void)worker;
    train_amx_multiply(p->left, p->right, p->k, m, m + PIECE_ROWS < p->m ? m + PIECE_ROWS : p->m, n, n + PIECE_COLUMNS < p->n ? n + PIECE_COLUMNS : p->n, p->c,
                       p->ldc, p->add);
}

static void multiply(struct trainer *t, struct product p)
{
    p.across = (p.n + PIECE_COLUMNS - 1) / PIECE_COLUMNS;
    pool_run(t->pool, product_item, &p, p.across * ((p.m + PIECE_ROWS - 1) / PIECE_ROWS));
}

/* ---- groups --------------------------------------------------------------------------------------------------------------- */

void train_bf16_forward(struct trainer *t, const struct train_group *g, const float *x, float *y)
{
    struct train_bf16 *b = t->bf16;
    const int n_low = t->adapted ? g->n_low : 0, n = g->n_out + n_low;
    struct pack p = {.t = t, .left = {.x = x, .stride = g->n_in, .m = t->n, .k = g->n_in, .out = b->left},
                     .made = {.row = stacked_row, .g = g, .n = n, .width = g->n_in, .columns = b->right}};
    struct pack low = {.t = t, .left = {.x = y + g->n_out, .stride = g->rows, .m = t->n, .k = n_low, .out = b->left},
                       .made = {.row = scaled_b_row, .g = g, .n = g->n_out, .width = n_low, .columns = b->low_right}};

    pack(&p);
    multiply(t, (struct product){.left = b->left, .right = b->right, .m = t->n, .n = n, .k = g->n_in, .c = y, .ldc = g->rows});
    if (!n_low) return;
    pack(&low);
    multiply(t, (struct product){.left = b->left, .right = b->low_right, .m = t->n, .n = g->n_out, .k = n_low, .c = y, .ldc = g->rows, .add = true});
}

struct low_rows {
    const struct train_group *g;
    float *dy;
};

/* What is behind dY meets zeros in the product that makes it, and must be numbers. */
static void clear_low_rows(struct trainer *t, void *arg, int lo, int hi, int worker)
{
    const struct low_rows *s = arg;

    (void)t;
    (void)worker;
    for (int r = lo; r < hi; r++) memset(s->dy + (size_t)r * (size_t)s->g->rows + s->g->n_out, 0, (size_t)s->g->n_low * sizeof(float));
}

/* grads += scale * low^T */
static void add_turned_rows(struct trainer *t, void *arg, int lo, int hi, int worker)
{
    const struct train_part *p = arg;
    const size_t rank = (size_t)t->o.rank, n = (size_t)p->w->n_out;

    (void)worker;
    for (int r = lo; r < hi; r++)
        for (size_t i = 0; i < rank; i++) t->grads[p->b + (size_t)r * rank + i] += t->scale * t->bf16->low[i * n + (size_t)r];
}

/* dB += scale (U^T dY)^T, part by part. */
static void b_gradients(struct trainer *t, const struct train_group *g, const float *u, int u_stride, const float *dy)
{
    struct train_bf16 *b = t->bf16;
    for (int i = 0; i < g->n_parts; i++) {
        const struct train_part *p = &g->parts[i];
        if (p->low_at < 0) continue;
        const int n = (int)p->w->n_out;
        struct pack both = {.t = t, .turned = {.x = u + (p->low_at - g->n_out), .stride = u_stride, .m = t->o.rank},
                            .across = {.x = dy + p->at, .stride = g->rows, .n = n}};
        pack(&both);
        multiply(t, (struct product){.left = b->low_left, .right = b->across, .m = t->o.rank, .n = n, .k = t->n, .c = b->low, .ldc = n});
        train_by_rows(t, n, add_turned_rows, (void *)(uintptr_t)p);
    }
}

void train_bf16_backward(struct trainer *t, const struct train_group *g, const float *x, const float *u, int u_stride, float *dy, float *dx)
{
    struct train_bf16 *b = t->bf16;
    struct pack p = {.t = t, .left = {.x = dy, .stride = g->rows, .m = t->n, .k = g->rows, .out = b->left}};

    if (g->n_low) {
        train_by_rows(t, t->n, clear_low_rows, &(struct low_rows){g, dy});
        p.made.row = scaled_b_row;
        p.made.g = g;
        p.made.n = g->rows;
        p.made.width = g->n_low;
        p.made.rows = b->low_right;
        pack(&p);
        multiply(t, (struct product){.left = b->left, .right = b->low_right, .m = t->n, .n = g->n_low, .k = g->rows, .c = dy + g->n_out, .ldc = g->rows});
        b_gradients(t, g, u, u_stride, dy);
        struct pack a = {.t = t, .turned = {.x = dy + g->n_out, .stride = g->rows, .m = g->n_low}, .across = {.x = x, .stride = g->n_in, .n = g->n_in}};
        pack(&a);
        multiply(t, (struct product){.left = b->low_left, .right = b->across, .m = g->n_low, .n = g->n_in, .k = t->n, .c = t->grads + g->a, .ldc = g->n_in, .add = true});
        p.left.from = g->n_out;
    }
    if (!dx) return;
    p.made.row = stacked_row;
    p.made.g = g;
    p.made.n = g->rows;
    p.made.width = g->n_in;
    p.made.rows = b->right;
    pack(&p);
    multiply(t, (struct product){.left = b->left, .right = b->right, .m = t->n, .n = g->n_in, .k = g->rows, .c = dx, .ldc = g->n_in});
}

/* ---- the head -------------------------------------------------------------------------------------------------------------- */

void train_bf16_scores(struct trainer *t, int first, int n)
{
    struct train_bf16 *b = t->bf16;
    const int width = t->w->n_embd, rows = train_head_rows(t);
    struct pack p = {.t = t, .left = {.x = t->head, .stride = width, .m = rows, .k = width, .out = b->left},
                     .made = {.row = vocabulary_row, .first = first, .n = n, .width = width, .columns = b->right, .rows = t->kept ? b->across : NULL}};

    pack(&p);
    multiply(t, (struct product){.left = b->left, .right = b->right, .m = rows, .n = n, .k = width, .c = t->logits, .ldc = HEAD_SLICE});
}

void train_bf16_sums(struct trainer *t, int n)
{
    struct train_bf16 *b = t->bf16;
    const int width = t->w->n_embd, rows = train_head_rows(t);
    struct pack p = {.t = t, .left = {.x = t->logits, .stride = HEAD_SLICE, .m = rows, .k = n, .out = b->left}};

    pack(&p);
    multiply(t, (struct product){.left = b->left, .right = b->across, .m = rows, .n = width, .k = n, .c = t->unit, .ldc = width, .add = true});
}
