/*
 * train_layer.c - a layer forward, keeping what its gradient takes, and backward.
 *
 * Kept is what comes out of products; norms and the activation are computed again, as they cost less than the memory they would take.
 */
#include "model/train.h"

#include <string.h>

static float *row_at(float *x, int row, int width)
{
    return x + (size_t)row * (size_t)width;
}

static const float *const_row_at(const float *x, int row, int width)
{
    return x + (size_t)row * (size_t)width;
}

static void add(float *x, const float *y, int n)
{
    for (int i = 0; i < n; i++) x[i] += y[i];
}

/* ---- steps by rows ----------------------------------------------------------------------------------------------------- */

struct step {
    int layer, width;
    const float *x, *weight, *dy;
    float *out;
};

static void norm_rows(struct trainer *t, void *arg, int lo, int hi, int worker)
{
    const struct step *s = arg;
    int n = t->w->n_embd;

    (void)worker;
    for (int r = lo; r < hi; r++) rms_norm(const_row_at(s->x, r, n), s->weight, row_at(s->out, r, n), n, t->w->norm_eps);
}

static void norm_back_rows(struct trainer *t, void *arg, int lo, int hi, int worker)
{
    const struct step *s = arg;
    int n = t->w->n_embd;

    (void)worker;
    for (int r = lo; r < hi; r++)
        train_math()->norm_back(const_row_at(s->x, r, n), s->weight, const_row_at(s->dy, r, n), row_at(s->out, r, n), n, t->w->norm_eps);
}

static void norm_heads(const struct weights *w, float *x, const float *weight, int n_heads)
{
    for (int h = 0; h < n_heads; h++, x += w->head_dim) rms_norm(x, weight, x, w->head_dim, w->norm_eps);
}

/* Ends the products that attention begins with: biases, norms of heads, positions. */
static void finish_rows(struct trainer *t, void *arg, int lo, int hi, int worker)
{
    const struct step *s = arg;
    const struct weights *w = t->w;
    const struct layer *y = &w->layers[s->layer];
    struct train_kept *kept = &t->layers[s->layer];
    const int width = t->groups[s->layer][GROUP_QKV].rows, n_turned = w->n_q + w->n_kv;

    (void)worker;
    for (int r = lo; r < hi; r++) {
        float *q = row_at(kept->qkv, r, width), *k = q + w->n_q, *v = k + w->n_kv;
        if (y->bq) add(q, y->bq, w->n_q);
        if (y->bk) add(k, y->bk, w->n_kv);
        if (y->bv) add(v, y->bv, w->n_kv);
        if (kept->raw) memcpy(row_at(kept->raw, r, n_turned), q, (size_t)n_turned * sizeof(float));
        if (y->q_norm) norm_heads(w, q, y->q_norm, w->n_head);
        if (y->k_norm) norm_heads(w, k, y->k_norm, w->n_head_kv);
        if (!y->rope) continue;
        rope_apply(w->pairs, row_at(t->cos_sin, r, w->n_rot), w->n_rot, q, w->n_head, w->head_dim);
        rope_apply(w->pairs, row_at(t->cos_sin, r, w->n_rot), w->n_rot, k, w->n_head_kv, w->head_dim);
    }
}

static void norm_heads_back(const struct trainer *t, const float *raw, const float *weight, float *d, int n_heads, float *room)
{
    int dim = t->w->head_dim;

    for (int h = 0; h < n_heads; h++, raw += dim, d += dim) {
        memset(room, 0, (size_t)dim * sizeof(float));
        train_math()->norm_back(raw, weight, d, room, dim, t->w->norm_eps);
        memcpy(d, room, (size_t)dim * sizeof(float));
    }
}

/* The way back through positions and norms of heads, in place in dy. */
static void finish_back_rows(struct trainer *t, void *arg, int lo, int hi, int worker)
{
    const struct step *s = arg;
    const struct weights *w = t->w;
    const struct layer *y = &w->layers[s->layer];
    struct train_kept *kept = &t->layers[s->layer];
    const int width = t->groups[s->layer][GROUP_QKV].rows;
    float *room = t->workers[worker].row;

    for (int r = lo; r < hi; r++) {
        float *q = row_at(s->out, r, width), *k = q + w->n_q;
        if (y->rope) {
            /* a turn by the opposite angle */
            for (int i = 0; i < w->n_rot; i++) room[i] = i % 2 ? -row_at(t->cos_sin, r, w->n_rot)[i] : row_at(t->cos_sin, r, w->n_rot)[i];
            rope_apply(w->pairs, room, w->n_rot, q, w->n_head, w->head_dim);
            rope_apply(w->pairs, room, w->n_rot, k, w->n_head_kv, w->head_dim);
        }
        if (!kept->raw) continue;
        const float *raw = row_at(kept->raw, r, w->n_q + w->n_kv);
        norm_heads_back(t, raw, y->q_norm, q, w->n_head, room);
        norm_heads_back(t, raw + w->n_q, y->k_norm, k, w->n_head_kv, room);
    }
}

/* out = x + the product in t->out, whose U is kept. */
static void add_rows(struct trainer *t, const struct step *s, int group, float *low, int lo, int hi)
{
    const struct train_group *g = &t->groups[s->layer][group];
    int n = t->w->n_embd;

    for (int r = lo; r < hi; r++) {
        const float *x = const_row_at(s->x, r, n), *y = const_row_at(t->out, r, g->rows);
        float *out = row_at(s->out, r, n);
        for (int i = 0; i < n; i++) out[i] = x[i] + y[i];
        if (s->weight) add(out, s->weight, n);
        if (g->n_low) memcpy(row_at(low, r, g->n_low), y + n, (size_t)g->n_low * sizeof(float));
    }
}

static void add_attended_rows(struct trainer *t, void *arg, int lo, int hi, int worker)
{
    const struct step *s = arg;
    (void)worker;
    add_rows(t, s, GROUP_OUT, t->layers[s->layer].low_out, lo, hi);
}

static void add_ffn_rows(struct trainer *t, void *arg, int lo, int hi, int worker)
{
    const struct step *s = arg;
    (void)worker;
    add_rows(t, s, GROUP_DOWN, t->layers[s->layer].low_down, lo, hi);
}

static void activate_rows(struct trainer *t, void *arg, int lo, int hi, int worker)
{
    const struct step *s = arg;
    int n = t->w->n_ff, width = t->groups[s->layer][GROUP_GATE_UP].rows;

    (void)worker;
    for (int r = lo; r < hi; r++) {
        const float *gate = const_row_at(s->x, r, width);
        swiglu(gate, gate + n, row_at(s->out, r, n), n);
    }
}

static void activate_back_rows(struct trainer *t, void *arg, int lo, int hi, int worker)
{
    const struct step *s = arg;
    int n = t->w->n_ff, width = t->groups[s->layer][GROUP_GATE_UP].rows;

    (void)worker;
    for (int r = lo; r < hi; r++) {
        const float *gate = const_row_at(s->x, r, width);
        float *d = row_at(s->out, r, width);
        train_math()->silu_back(gate, gate + n, const_row_at(s->dy, r, n), d, d + n, n);
    }
}

/* dy [T][rows] gets dx in front, for a product whose result is the stream. */
static void widen_rows(struct trainer *t, void *arg, int lo, int hi, int worker)
{
    const struct step *s = arg;
    int n = t->w->n_embd;

    (void)worker;
    for (int r = lo; r < hi; r++) memcpy(row_at(s->out, r, s->width), row_at(t->dx, r, n), (size_t)n * sizeof(float));
}

/* ---- the layer --------------------------------------------------------------------------------------------------------- */

static void norm(struct trainer *t, const float *x, const float *weight, float *out)
{
    struct step s = {.x = x, .weight = weight, .out = out};
    train_by_rows(t, t->n, norm_rows, &s);
}

static void activate(struct trainer *t, int layer, float *out)
{
    struct step s = {.layer = layer, .x = t->layers[layer].gate_up, .out = out};
    train_by_rows(t, t->n, activate_rows, &s);
}

void train_layer_forward(struct trainer *t, int layer, float *next)
{
    const struct layer *y = &t->w->layers[layer];
    struct train_kept *kept = &t->layers[layer];
    struct step s = {.layer = layer};

    norm(t, kept->x, y->attn_norm, t->in);
    train_group_forward(t, layer, GROUP_QKV, t->in, kept->qkv);
    train_by_rows(t, t->n, finish_rows, &s);
    train_attend_forward(t, layer);
    train_group_forward(t, layer, GROUP_OUT, kept->attended, t->out);
    s = (struct step){.layer = layer, .x = kept->x, .weight = y->bo, .out = kept->mid};
    train_by_rows(t, t->n, add_attended_rows, &s);

    norm(t, kept->mid, y->ffn_norm, t->in);
    train_group_forward(t, layer, GROUP_GATE_UP, t->in, kept->gate_up);
    activate(t, layer, t->in);
    train_group_forward(t, layer, GROUP_DOWN, t->in, t->out);
    s = (struct step){.layer = layer, .x = kept->mid, .out = next};
    train_by_rows(t, t->n, add_ffn_rows, &s);
}

/* dy = dx with room for dU behind each row. */
static void widen(struct trainer *t, int width)
{
    struct step s = {.width = width, .out = t->dy};
    train_by_rows(t, t->n, widen_rows, &s);
}

static void norm_back(struct trainer *t, const float *x, const float *weight, const float *dy)
{
    struct step s = {.x = x, .weight = weight, .dy = dy, .out = t->dx};
    train_by_rows(t, t->n, norm_back_rows, &s);
}

void train_layer_backward(struct trainer *t, int layer)
{
    const struct layer *y = &t->w->layers[layer];
    const struct train_group *g = t->groups[layer];
    struct train_kept *kept = &t->layers[layer];
    /* below the lowest adapter nobody asks for a gradient */
    const bool ends = layer == t->lowest;
    struct step s;

    activate(t, layer, t->in);
    widen(t, g[GROUP_DOWN].rows);
    train_group_backward(t, layer, GROUP_DOWN, t->in, kept->low_down, g[GROUP_DOWN].n_low, t->dy, t->din);
    s = (struct step){.layer = layer, .x = kept->gate_up, .dy = t->din, .out = t->dy};
    train_by_rows(t, t->n, activate_back_rows, &s);
    norm(t, kept->mid, y->ffn_norm, t->in);
    train_group_backward(t, layer, GROUP_GATE_UP, t->in, kept->gate_up + g[GROUP_GATE_UP].n_out, g[GROUP_GATE_UP].rows, t->dy, t->din);
    norm_back(t, kept->mid, y->ffn_norm, t->din);

    widen(t, g[GROUP_OUT].rows);
    train_group_backward(t, layer, GROUP_OUT, kept->attended, kept->low_out, g[GROUP_OUT].n_low, t->dy, t->din);
    train_attend_backward(t, layer, t->din, t->dy);
    s = (struct step){.layer = layer, .out = t->dy};
    train_by_rows(t, t->n, finish_back_rows, &s);
    norm(t, kept->x, y->attn_norm, t->in);
    train_group_backward(t, layer, GROUP_QKV, t->in, kept->qkv + g[GROUP_QKV].n_out, g[GROUP_QKV].rows, t->dy, ends ? NULL : t->din);
    if (!ends) norm_back(t, kept->x, y->attn_norm, t->din);
}
