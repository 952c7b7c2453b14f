/*
 * prefill_attend.c - causal attention of a chunk of the prompt: f32 tiles of keys and values through BLAS, with an online
 * softmax between the two products.
 *
 * One item is a KV head and `query_tile` positions, with all query heads that share the keys as rows of one product. Query
 * tiles begin at multiples of query_tile and key tiles at multiples of KEY_TILE, and a call's shape follows from the two alone
 * (keys behind the tile's last position are left out), so that a position's bits do not depend on the chunk it came in. Keys
 * behind a position, and those in front of its window, get the weight 0 exactly.
 */
#include "model/prefill.h"

#include <cblas.h>
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

/* Keys of the tile at k0 that some query of the whole tile may see. */
static int keys_of(const struct attend_item *a, int64_t k0)
{
    int64_t n = a->q0 + a->p->query_tile - k0;
    return n < KEY_TILE ? (int)n : KEY_TILE;
}

/* 16 numbers side by side: the compiler turns them into whatever registers the target has. Aligned as floats are. */
typedef float lanes __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t int_lanes __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint32_t uint_lanes __attribute__((vector_size(64), aligned(4), may_alias));
#define LANES 16
_Static_assert(KEY_TILE % LANES == 0 && TILE_ROWS % LANES == 0, "score rows are whole vectors");

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FOR_EACH_CPU __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_CPU
#endif

/* x[i] = e^(x[i] - max) for n (a multiple of LANES) numbers not above max. Relative error about 2e-7; what is below e^-87 becomes that. */
FOR_EACH_CPU
static void exp_row(float *x, int n, float max)
{
    const lanes least = (lanes){0} - 87.0f;

    for (int i = 0; i < n; i += LANES) {
        lanes v = *(const lanes *)(x + i) - max;
        int_lanes above = v > least;
        v = (lanes)(((int_lanes)v & above) | ((int_lanes)least & ~above));
        /* 2^whole * e^rest; adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits */
        lanes shifted = v * 1.44269504f + 12582912.0f;
        lanes whole = shifted - 12582912.0f;
        lanes rest = v - whole * 0.693359375f + whole * 2.12194440e-4f;
        lanes poly = 1.9875691500e-4f * rest + 1.3981999507e-3f;
        poly = poly * rest + 8.3334519073e-3f;
        poly = poly * rest + 4.1665795894e-2f;
        poly = poly * rest + 1.6666665459e-1f;
        poly = poly * rest + 5.0000001201e-1f;
        poly = poly * rest * rest + rest + 1.0f;
        *(lanes *)(x + i) = poly * (lanes)(((uint_lanes)shifted + 127u) << 23);
    }
}

FOR_EACH_CPU
static float sum_row(const float *x, int n)
{
    lanes sum = {0};
    float total = 0;

    for (int i = 0; i < n; i += LANES) sum += *(const lanes *)(x + i);
    for (int i = 0; i < LANES; i++) total += sum[i];
    return total;
}

FOR_EACH_CPU
static float max_row(const float *x, int n, float max)
{
    lanes best = *(const lanes *)x;

    for (int i = LANES; i < n; i += LANES) {
        lanes v = *(const lanes *)(x + i);
        int_lanes above = v > best;
        best = (lanes)(((int_lanes)v & above) | ((int_lanes)best & ~above));
    }
    for (int i = 0; i < LANES; i++) max = best[i] > max ? best[i] : max;
    return max;
}

/* Copies the tile's queries, scaled, and clears what is not in the chunk. */
static void gather_queries(struct attend_item *a)
{
    const struct weights *w = &a->p->s->m->w;
    const float scale = w->attend_scale;
    size_t width = (size_t)a->n_group * (size_t)a->dim;

    for (int t = 0; t < a->p->query_tile; t++) {
        int64_t position = a->q0 + t;
        float *to = a->own->q + (size_t)t * width;
        if (position < a->first || position >= a->end) {
            memset(to, 0, width * sizeof(float));
            continue;
        }
        const float *from = a->p->q + (size_t)(position - a->p->base) * (size_t)w->n_q + (size_t)a->head * width;
        for (size_t i = 0; i < width; i++) to[i] = from[i] * scale;
    }
}

/* Keys and values of positions k0 .. k0 + KEY_TILE as f32, zero from `end` on. */
static void gather_keys(struct attend_item *a, int64_t k0, int64_t end)
{
    struct session *s = a->p->s;
    size_t dim = (size_t)a->dim, n = (size_t)(end - k0 < KEY_TILE ? end - k0 : KEY_TILE);
    const uint16_t *keys = kv_of(s, a->p->layer, false, a->head) + (size_t)k0 * dim;
    const uint16_t *values = kv_of(s, a->p->layer, true, a->head) + (size_t)k0 * dim;

    f16_to_f32_row(keys, a->own->keys, (int64_t)(n * dim));
    f16_to_f32_row(values, a->own->values, (int64_t)(n * dim));
    memset(a->own->keys + n * dim, 0, (KEY_TILE - n) * dim * sizeof(float));
    memset(a->own->values + n * dim, 0, (KEY_TILE - n) * dim * sizeof(float));
}

/* Turns the scores of a tile of keys into weights and scales what was summed before to the new maximum. */
static void soften(struct attend_item *a, int64_t k0)
{
    const struct prefill_worker *own = a->own;
    const int keys = keys_of(a, k0);

    for (int r = 0; r < a->rows; r++) {
        float *scores = own->scores + (size_t)r * KEY_TILE, *acc = own->acc + (size_t)r * (size_t)a->dim;
        int64_t position = a->q0 + r / a->n_group, seen = position - k0 + 1, hidden = first_seen(a->layer, position) - k0;
        int n = seen < 0 ? 0 : seen < keys ? (int)seen : keys, whole = (n + LANES - 1) / LANES * LANES;
        int n0 = hidden < 0 ? 0 : hidden < n ? (int)hidden : n;
        if (n0 == n) whole = 0;
        memset(scores + whole, 0, (size_t)(keys - whole) * sizeof(float));
        if (n0 == n) continue;
        for (int i = 0; i < n0; i++) scores[i] = scores[n0];
        for (int i = n; i < whole; i++) scores[i] = scores[n0];
        float max = max_row(scores, whole, own->max[r]);
        exp_row(scores, whole, max);
        memset(scores, 0, (size_t)n0 * sizeof(float));
        memset(scores + n, 0, (size_t)(whole - n) * sizeof(float));
        float keep = own->max[r] == max ? 1.0f : expf(own->max[r] - max);
        own->sum[r] = own->sum[r] * keep + sum_row(scores, whole);
        own->max[r] = max;
        if (keep != 1.0f)
            for (int i = 0; i < a->dim; i++) acc[i] *= keep;
    }
}

static void run_tile(struct attend_item *a)
{
    const struct prefill_worker *own = a->own;
    int rows = a->rows, dim = a->dim;

    gather_queries(a);
    memset(own->acc, 0, (size_t)rows * (size_t)dim * sizeof(float));
    for (int r = 0; r < rows; r++) {
        own->max[r] = -INFINITY;
        own->sum[r] = 0;
    }
    /* the window of the tile's first query begins first */
    for (int64_t k0 = first_seen(a->layer, a->q0) / KEY_TILE * KEY_TILE; k0 < a->end; k0 += KEY_TILE) {
        gather_keys(a, k0, a->end);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, keys_of(a, k0), dim, 1.0f, own->q, dim, own->keys, dim, 0.0f, own->scores,
                    KEY_TILE);
        soften(a, k0);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, dim, keys_of(a, k0), 1.0f, own->scores, KEY_TILE, own->values, dim, 1.0f,
                    own->acc, dim);
    }
}

/* The weighted sums of the tile's tokens, divided, to where the output product reads them. */
static void hand_on(struct attend_item *a)
{
    const int width = a->n_group * a->dim;
    int lo = (int)(a->first - a->q0), hi = (int)(a->end - a->q0);

    for (int r = lo * a->n_group; r < hi * a->n_group; r++) {
        float *acc = a->own->acc + (size_t)r * (size_t)a->dim, scale = 1.0f / a->own->sum[r];
        for (int i = 0; i < a->dim; i++) acc[i] *= scale;
    }
    operand_put(&a->p->in, (int)(a->first - a->p->base), (int)(a->end - a->p->base), a->head * width, width, a->own->acc + (size_t)lo * (size_t)width, width);
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

/* Rows that came in pieces the core cannot take. */
static void prepare_item(void *arg, int item, int worker)
{
    const struct attend_job *j = arg;
    struct prefill *p = j->p;
    int lo = (int)(j->first - p->base) + item * BLOCK_ROWS, end = (int)(j->end - p->base), n = p->in.n;

    (void)worker;
    gemm_input_put(p->in.core, lo, lo + BLOCK_ROWS < end ? lo + BLOCK_ROWS : end, 0, n, p->in.rows + (size_t)lo * (size_t)n, n);
}

void prefill_attend(struct prefill *p)
{
    const struct weights *w = &p->s->m->w;
    int lo = p->lo > p->first ? p->lo : p->first, hi = p->hi < p->end ? p->hi : p->end;
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
    if (odd && in_core) pool_run(p->s->pool, prepare_item, &j, (hi - lo + BLOCK_ROWS - 1) / BLOCK_ROWS);
}
