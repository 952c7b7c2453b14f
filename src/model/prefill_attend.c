/*
 * prefill_attend.c - causal attention of a chunk of the prompt.
 *
 * One item is a KV head and `query_tile` positions, with all query heads that share the keys: query vectors, which are split into panels
 * and stand in them side by side. A panel meets keys and values tile by tile with an online softmax between the two products, as the left
 * operand of which keys and values serve as they lie in the cache; nothing is turned but the queries, once, and the result.
 *
 * Query tiles begin at multiples of query_tile and key tiles at multiples of KEY_TILE, and a position's sums go over the tile's keys in
 * their order, so that its bits do not depend on the chunk it came in. Keys behind a position, and those in front of its window, get
 * the weight 0 exactly.
 */
#include "model/prefill.h"

#include <math.h>
#include <string.h>

struct attend_item {
    struct prefill *p;
    struct prefill_worker *own;
    const struct layer *layer;
    int head, n_group, dim, rows;
    int64_t q0;              /* position of the tile's first query */
    int64_t first, end;      /* positions of the tile that are wanted */
};

/* Queries from `row` on, up to a panel of them. */
struct panel {
    int row, columns;
    float *q, *acc, *max, *sum;
};

static struct panel panel_at(const struct attend_item *a, int row)
{
    int columns = a->rows - row < PANEL_COLUMNS ? a->rows - row : PANEL_COLUMNS;
    size_t at = (size_t)row * (size_t)a->dim;

    return (struct panel){row, columns, a->own->q + at, a->own->acc + at, a->own->max + row, a->own->sum + row};
}

/* Keys of the tile at k0 that some query of the whole tile may see. */
static int keys_of(const struct attend_item *a, int64_t k0)
{
    int64_t n = a->q0 + a->p->query_tile - k0;
    return n < KEY_TILE ? (int)n : KEY_TILE;
}

/* Four numbers side by side, in whatever registers the target has. */
typedef float four __attribute__((vector_size(16), aligned(4), may_alias));

static void turn_4(four v[4])
{
    four a = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5), b = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5);
    four c = __builtin_shufflevector(v[0], v[1], 2, 6, 3, 7), d = __builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);
    v[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
    v[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
    v[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
    v[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

/* A query; zeros for one that is not in the chunk. */
static const float *query_at(const struct attend_item *a, int row)
{
    static const float none[LIMIT_HEAD_DIM];
    int64_t position = a->q0 + row / a->n_group;
    size_t head = (size_t)a->head * (size_t)a->n_group + (size_t)(row % a->n_group);

    if (position < a->first || position >= a->end) return none;
    return a->p->q + (size_t)(position - a->p->base) * (size_t)a->p->s->m->w.n_q + head * (size_t)a->dim;
}

/* A panel of queries, scaled, as columns. */
static void gather_queries(const struct attend_item *a, const struct panel *n)
{
    const float scale = a->p->s->m->w.attend_scale;

    for (int c = 0; c < n->columns; c += 4) {
        const float *from[4];
        int i = 0;
        for (int k = 0; k < 4; k++) from[k] = query_at(a, n->row + c + k);
        for (; i + 4 <= a->dim; i += 4) {
            four v[4];
            for (int k = 0; k < 4; k++) v[k] = *(const four *)(from[k] + i) * scale;
            turn_4(v);
            for (int k = 0; k < 4; k++) *(four *)(n->q + (i + k) * n->columns + c) = v[k];
        }
        for (; i < a->dim; i++)
            for (int k = 0; k < 4; k++) n->q[i * n->columns + c + k] = from[k][i] * scale;
    }
}

/* Keys and values of positions k0 .. k0 + KEY_TILE as f32, zero from `end` on. */
static void gather_keys(const struct attend_item *a, int64_t k0, int64_t end)
{
    struct session *s = a->p->s;
    size_t dim = (size_t)a->dim, n = (size_t)(end - k0 < KEY_TILE ? end - k0 : KEY_TILE);

    kv_load(s->kv_type, kv_of(s, a->p->layer, false, a->head) + (size_t)k0 * s->kv_row, a->own->keys, (int64_t)(n * dim));
    kv_load(s->kv_type, kv_of(s, a->p->layer, true, a->head) + (size_t)k0 * s->kv_row, a->own->values, (int64_t)(n * dim));
    memset(a->own->keys + n * dim, 0, (KEY_TILE - n) * dim * sizeof(float));
    memset(a->own->values + n * dim, 0, (KEY_TILE - n) * dim * sizeof(float));
}

static int between(int64_t n, int low, int high)
{
    return n < low ? low : n > high ? high : (int)n;
}

/* Scores of keys that a query does not see become -inf: for a key, a run of the first columns (positions in front of it) and one of the last
 * (positions whose window begins behind it). */
static void hide(const struct attend_item *a, const struct panel *n, int64_t k0, int keys)
{
    for (int i = 0; i < keys; i++) {
        float *scores = a->own->scores + (size_t)i * (size_t)n->columns;
        int64_t key = k0 + i, seen = (key - a->q0) * a->n_group - n->row;
        int64_t window = a->layer->window ? (key + a->layer->window - a->q0) * a->n_group - n->row : n->columns;
        for (int c = 0, end = between(seen, 0, n->columns); c < end; c++) scores[c] = -INFINITY;
        for (int c = between(window, 0, n->columns); c < n->columns; c++) scores[c] = -INFINITY;
    }
}

static void run_panel(const struct attend_item *a, const struct panel *n, int64_t k0)
{
    const int keys = keys_of(a, k0);
    float keep[PANEL_COLUMNS];

    panel_product(a->own->keys, a->dim, 1, keys, a->dim, n->q, a->own->scores, n->columns, NULL);
    if (k0 + keys > a->q0 || a->layer->window) hide(a, n, k0, keys);
    panel_soften(a->own->scores, keys, n->columns, n->max, n->sum, keep);
    panel_product(a->own->values, 1, a->dim, a->dim, keys, a->own->scores, n->acc, n->columns, keep);
}

static void run_tile(const struct attend_item *a)
{
    for (int row = 0; row < a->rows; row += PANEL_COLUMNS) {
        struct panel n = panel_at(a, row);
        gather_queries(a, &n);
        memset(n.acc, 0, (size_t)n.columns * (size_t)a->dim * sizeof(float));
        for (int c = 0; c < n.columns; c++) {
            n.max[c] = -INFINITY;
            n.sum[c] = 0;
        }
    }
    /* the window of the tile's first query begins first */
    for (int64_t k0 = first_seen(a->layer, a->q0) / KEY_TILE * KEY_TILE; k0 < a->end; k0 += KEY_TILE) {
        gather_keys(a, k0, a->end);
        for (int row = 0; row < a->rows; row += PANEL_COLUMNS) {
            struct panel n = panel_at(a, row);
            run_panel(a, &n, k0);
        }
    }
}

/* Columns c to c + 4 of the sums, divided, as rows of out. */
static void give_columns(const struct attend_item *a, const struct panel *n, int c, float *out)
{
    const four scale = 1.0f / *(const four *)(n->sum + c);
    int i = 0;

    for (; i + 4 <= a->dim; i += 4) {
        four v[4];
        for (int k = 0; k < 4; k++) v[k] = *(const four *)(n->acc + (i + k) * n->columns + c) * scale;
        turn_4(v);
        for (int k = 0; k < 4; k++) *(four *)(out + k * a->dim + i) = v[k];
    }
    for (; i < a->dim; i++)
        for (int k = 0; k < 4; k++) out[k * a->dim + i] = n->acc[i * n->columns + c + k] * scale[k];
}

/* The weighted sums of the tile's tokens, divided, to where the output product reads them. */
static void hand_on(const struct attend_item *a)
{
    const int width = a->n_group * a->dim, lo = (int)(a->first - a->q0);
    float *out = a->own->q;     /* is not needed any more: [position][head of the group][dimension] */

    for (int row = 0; row < a->rows; row += PANEL_COLUMNS) {
        struct panel n = panel_at(a, row);
        for (int c = 0; c < n.columns; c += 4) give_columns(a, &n, c, out + (row + c) * a->dim);
    }
    operand_put(&a->p->in, (int)(a->first - a->p->base), (int)(a->end - a->p->base), a->head * width, width, out + (size_t)lo * (size_t)width, width);
}

struct attend_job {
    struct prefill *p;
    int64_t first, end;      /* positions */
    int64_t first_tile;
    int n_tiles;
};

static void attend_tile(void *arg, int item, int worker)
{
    const struct attend_job *j = arg;
    struct prefill *p = j->p;
    const struct weights *w = &p->s->m->w;
    /* the longest pieces, those of the last tile, are handed out first */
    int64_t tile = j->first_tile + (j->n_tiles - 1 - item / w->n_head_kv), q0 = tile * p->query_tile, q1 = q0 + p->query_tile;
    struct attend_item a = {
        .p = p, .own = &p->workers[worker], .layer = &w->layers[p->layer],
        .head = item % w->n_head_kv, .n_group = w->n_head / w->n_head_kv, .dim = w->head_dim,
        .rows = p->query_tile * (w->n_head / w->n_head_kv), .q0 = q0, .first = q0 > j->first ? q0 : j->first,
        .end = q1 < j->end ? q1 : j->end,
    };

    run_tile(&a);
    hand_on(&a);
}

static void clear_rows(struct prefill *p, int lo, int hi)
{
    size_t n_q = (size_t)p->s->m->w.n_q;
    if (p->in.in_rows && lo < hi) memset(p->in.rows + (size_t)lo * n_q, 0, (size_t)(hi - lo) * n_q * sizeof(float));
}

void prefill_attend(struct prefill *p)
{
    const struct weights *w = &p->s->m->w;
    int lo = p->lo, hi = p->hi;
    prefill_wanted(p, &lo, &hi);
    struct attend_job j = {.p = p, .first = p->base + lo, .end = p->base + hi};
    const bool in_core = p->in.in_core, odd = w->n_head / w->n_head_kv * w->head_dim % 32 != 0;

    if (lo >= hi) return;
    if (odd) {
        p->in.in_rows = true;
        p->in.in_core = false;
    }
    clear_rows(p, p->lo, lo);
    clear_rows(p, hi, p->hi);
    j.first_tile = j.first / p->query_tile;
    j.n_tiles = (int)((j.end - 1) / p->query_tile - j.first_tile + 1);
    pool_run(p->s->pool, attend_tile, &j, j.n_tiles * w->n_head_kv);
    p->in.in_core = in_core;
    if (odd) operand_put_rows(p, &p->in, lo, hi); /* they came in pieces that the core cannot take */
}
