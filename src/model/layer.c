/*
 * layer.c - the steps of a layer that prompts and replies share: angles of a position, the end of the Q/K/V products, activation, and
 * the way back into the residual stream. Each works on one token, whose bits depend on nothing else.
 */
#include "model/forward.h"

#include <math.h>

void embed_token(const struct session *s, int32_t id, float *x)
{
    const struct weights *w = &s->m->w;

    dequant_row(w->embed.type, w->embed.data + (size_t)id * w->embed.row_bytes, x, w->n_embd);
    if (w->embed_scale != 1)
        for (int i = 0; i < w->n_embd; i++) x[i] *= w->embed_scale;
}

int angles_width(const struct weights *w)
{
    return w->rope_freq_local ? 2 * w->n_rot : w->n_rot;
}

void position_angles(const struct session *s, int64_t position, float *cos_sin)
{
    const struct weights *w = &s->m->w;

    rope_angles(s->rope_freq, w->n_rot, w->rope_size, position, cos_sin);
    if (w->rope_freq_local) rope_angles(w->rope_freq_local, w->n_rot, 1, position, cos_sin + w->n_rot);
}

static void norm_heads(float *x, const float *weight, int n_heads, const struct weights *w)
{
    for (int h = 0; h < n_heads; h++, x += w->head_dim) rms_norm(x, weight, x, w->head_dim, w->norm_eps);
}

void qkv_finish(struct session *s, int layer, const struct column *at, const float *cos_sin, float *q, float *k, float *v)
{
    const struct weights *w = &s->m->w;
    const struct layer *y = &w->layers[layer];
    size_t dim = (size_t)w->head_dim;

    if (y->bq) add_row(y->bq, q, w->n_q);
    if (y->bk) add_row(y->bk, k, w->n_kv);
    if (y->bv) add_row(y->bv, v, w->n_kv);
    if (y->q_norm) norm_heads(q, y->q_norm, w->n_head, w);
    if (y->k_norm) norm_heads(k, y->k_norm, w->n_head_kv, w);
    if (y->rope) {
        if (y->window && w->rope_freq_local) cos_sin += w->n_rot;
        rope_apply(w->pairs, cos_sin, w->n_rot, q, w->n_head, w->head_dim);
        rope_apply(w->pairs, cos_sin, w->n_rot, k, w->n_head_kv, w->head_dim);
    }
    size_t place = (size_t)(at->tail ? at->position - at->tail->base : at->position) * s->kv_row;
    for (int h = 0; h < w->n_head_kv; h++) {
        uint8_t *keys = at->tail ? tail_kv_of(s, at->tail, layer, false, h) : kv_of(s, layer, false, h);
        uint8_t *values = at->tail ? tail_kv_of(s, at->tail, layer, true, h) : kv_of(s, layer, true, h);
        kv_store(s->kv_type, k + (size_t)h * dim, keys + place, w->head_dim);
        kv_store(s->kv_type, v + (size_t)h * dim, values + place, w->head_dim);
    }
}

/* Piece `piece` of what a layer with a convolution keeps of positions, head_dim elements each, always in f16. */
static uint16_t *kept_of(const struct session *s, int layer, int piece)
{
    int n = s->m->w.n_cached;
    return (uint16_t *)(void *)kv_of(s, layer, piece >= n, piece % n);
}

void conv_keep(struct session *s, int layer, int64_t position, const float *bcx)
{
    const struct weights *w = &s->m->w;
    const float *b = bcx, *x = bcx + 2 * w->n_embd;
    float product[LIMIT_HEAD_DIM];

    for (int at = 0; at < w->n_embd; at += w->head_dim) {
        int n = w->n_embd - at < w->head_dim ? w->n_embd - at : w->head_dim;
        /* nothing bounds a product: at the end of f16's range it stays a number */
        for (int i = 0; i < n; i++) product[i] = fminf(fmaxf(b[at + i] * x[at + i], -65504.0f), 65504.0f);
        f32_to_f16_row(product, kept_of(s, layer, at / w->head_dim) + (size_t)position * (size_t)w->head_dim, n);
    }
}

void conv_apply(const struct session *s, int layer, int64_t position, const float *bcx, float *out)
{
    const struct weights *w = &s->m->w;
    const float *taps = w->layers[layer].taps, *b = bcx, *c = bcx + w->n_embd, *x = bcx + 2 * w->n_embd;
    float kept[LIMIT_HEAD_DIM];

    for (int i = 0; i < w->n_embd; i++) out[i] = taps[(i + 1) * CONV_TAPS - 1] * (b[i] * x[i]);
    for (int back = 1; back < CONV_TAPS && back <= position; back++) {
        for (int at = 0; at < w->n_embd; at += w->head_dim) {
            int n = w->n_embd - at < w->head_dim ? w->n_embd - at : w->head_dim;
            f16_to_f32_row(kept_of(s, layer, at / w->head_dim) + (size_t)(position - back) * (size_t)w->head_dim, kept, n);
            for (int i = 0; i < n; i++) out[at + i] += taps[(at + i + 1) * CONV_TAPS - 1 - back] * kept[i];
        }
    }
    for (int i = 0; i < w->n_embd; i++) out[i] *= c[i];
}

/*
 * gelu(g) = g * sigmoid(z) with z = g * c and c = 2 sqrt(2 / pi) (1 + 0.044715 g^2), the form with tanh. As silu(z) = z * sigmoid(z),
 * gelu(g) * up = silu(g * c) * (up / c): the same kernel serves both.
 */
void ff_activate(const struct weights *w, float *gate, float *up, int64_t n)
{
    if (!w->gelu) {
        swiglu(gate, up, gate, n);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        /* far out the cubic term would overflow, where sigmoid is 0 or 1 long since */
        float g = gate[i], near = fabsf(g) < 100.0f ? g : 100.0f, c = 1.5957691216f + 0.0713548162726f * near * near;
        gate[i] = g * c;
        up[i] /= c;
    }
    swiglu(gate, up, gate, n);
}

void residual_add(const struct weights *w, float *x, float *y, const float *bias, const float *norm)
{
    if (bias) add_row(bias, y, w->n_embd);
    if (norm) rms_norm(y, norm, y, w->n_embd, w->norm_eps);
    add_row(y, x, w->n_embd);
}
