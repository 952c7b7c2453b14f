/*
 * tiny_model.h - random gemma3, lfm2, llama, phi3, qwen2, qwen3 and smollm3 models of a few hundred kilobytes for tests, and their forward pass in
 * double precision, written as the papers have it: no cache, no tiles, no quantised arithmetic. Tests only.
 *
 * The model keeps the values its file stands for (dequantised) as doubles, so the reference shares no code with what it tests, but for
 * the K-quants and IQ4_NL, whose values come from dequant_row.
 */
#ifndef PONDER_TESTS_TINY_MODEL_H
#define PONDER_TESTS_TINY_MODEL_H

#include "gguf_writer.h"
#include "model/kernels.h"

#include <math.h>

enum tiny_scaling { SCALING_NONE, SCALING_LINEAR, SCALING_LLAMA3, SCALING_FACTORS, SCALING_LONG, SCALING_SHORT };

#define TINY_ATTN_FACTOR 1.25
#define TINY_LOCAL_BASE  500

struct tiny_spec {
    const char *name;
    const char *arch;
    uint32_t type; /* of the matrices of the layers */
    int n_layer, n_embd, n_ff, n_head, n_head_kv, head_dim, n_rot, n_vocab, ctx;
    bool tied, bias;
    enum tiny_scaling scaling;
};

/* Positions that gemma3 sees in every layer but the second, fourth, ...; any number does. 0: models without windows. */
static inline int tiny_window(const struct tiny_spec *s)
{
    return !strcmp(s->arch, "gemma3") && s->n_layer > 1 ? s->n_ff / 3 : 0;
}

enum { TINY_Q, TINY_K, TINY_V, TINY_O, TINY_GATE, TINY_UP, TINY_DOWN, TINY_MATRICES };

/* Layers of lfm2 that have a convolution. */
static inline bool tiny_is_conv(const struct tiny_spec *s, int layer)
{
    return !strcmp(s->arch, "lfm2") && layer % 2 == 0;
}

struct tiny_layer {
    double *m[TINY_MATRICES]; /* [n_out][n_in] */
    double *bq, *bk, *bv, *attn_norm, *ffn_norm;
    double *q_norm, *k_norm; /* head_dim; NULL but for gemma3 and qwen3 */
    double *attn_post_norm, *ffn_post_norm; /* gemma3 */
    double *mix_in, *mix_out, *taps;        /* lfm2's convolutions: [3 n_embd][n_embd], [n_embd][n_embd], [n_embd][3] */
    int window;              /* positions it sees; 0: all */
};

struct tiny_model {
    struct tiny_spec s;
    struct gguf_writer w;
    double *embed, *output, *output_norm, *rope_factors;
    struct tiny_layer *layers;
    uint64_t seed;
    bool exact; /* keys and values are not rounded to f16: no cache holds them */
};

/* ---- numbers ----------------------------------------------------------------------------------------------------------- */

static inline double tiny_random(struct tiny_model *m) /* -1 to 1 */
{
    m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(int64_t)(m->seed >> 11) / (double)(1LL << 52) - 1.0;
}

static inline void *tiny_alloc(size_t n)
{
    void *p = calloc(n ? n : 1, 1);
    if (!p) abort();
    return p;
}

/* f16 with correct rounding, by the definition of the format. */
static inline uint16_t tiny_f16(double x)
{
    uint16_t sign = signbit(x) ? 0x8000 : 0;
    int e;
    x = fabs(x);
    if (x == 0) return sign;
    frexp(x, &e);         /* x = f * 2^e, f in [0.5, 1) */
    if (e < -13) e = -13; /* subnormals share the smallest exponent */
    double q = nearbyint(ldexp(x, 11 - e));
    if (q >= 2048) {
        q /= 2;
        e++;
    }
    if (e > 16) return (uint16_t)(sign | 0x7c00);
    return (uint16_t)(sign + (q < 1024 ? (int)q : ((e + 14) << 10) + (int)q - 1024));
}

static inline double tiny_f16_value(uint16_t h)
{
    int e = (h >> 10) & 31, f = h & 1023;
    double v = e ? ldexp(1024 + f, e - 25) : ldexp(f, -24);
    return h & 0x8000 ? -v : v;
}

/* Stores n values as `type` at out and replaces them by what is stored. Returns the bytes written. */
static inline size_t tiny_store(uint32_t type, double *v, size_t n, uint8_t *out)
{
    uint8_t *at = out;

    for (size_t i = 0; i < n && type == TENSOR_F32; i++, at += 4) {
        float f = (float)v[i];
        memcpy(at, &f, 4);
        v[i] = (double)f;
    }
    for (size_t i = 0; i < n && type == TENSOR_F16; i++, at += 2) {
        uint16_t h = tiny_f16(v[i]);
        memcpy(at, &h, 2);
        v[i] = tiny_f16_value(h);
    }
    for (size_t i = 0; i < n && type == TENSOR_BF16; i++, at += 2) {
        float f = (float)v[i];
        uint32_t bits;
        memcpy(&bits, &f, 4);
        bits &= 0xffff0000;
        memcpy(&f, &bits, 4);
        memcpy(at, (uint8_t *)&bits + 2, 2);
        v[i] = (double)f;
    }
    for (size_t i = 0; i < n && (type == TENSOR_Q8_0 || type == TENSOR_Q4_0 || type == TENSOR_Q4_1); i += 32) {
        double max = 0;
        for (size_t k = 0; k < 32; k++) max = fabs(v[i + k]) > max ? fabs(v[i + k]) : max;
        uint16_t d = tiny_f16(max / (type == TENSOR_Q8_0 ? 127 : 7)), low = tiny_f16(-max);
        double scale = tiny_f16_value(d), min = tiny_f16_value(low);
        memcpy(at, &d, 2);
        at += 2;
        if (type == TENSOR_Q4_1) {
            memcpy(at, &low, 2);
            at += 2;
        }
        for (size_t k = 0; k < 32; k++) {
            double x = v[i + k];
            int q = (int)nearbyint(type == TENSOR_Q4_1 ? (x - min) / scale : x / scale);
            if (type == TENSOR_Q8_0) {
                at[k] = (uint8_t)q;
                v[i + k] = scale * q;
                continue;
            }
            if (type == TENSOR_Q4_0) q += 8;
            q = q < 0 ? 0 : q > 15 ? 15 : q;
            at[k % 16] = (uint8_t)(k < 16 ? q : at[k % 16] | q << 4);
            v[i + k] = type == TENSOR_Q4_0 ? scale * (q - 8) : scale * q + min;
        }
        at += type == TENSOR_Q8_0 ? 32 : 16;
    }
    /* random bytes with sound scales are a block of a K-quant like any other */
    for (size_t i = 0; i < n && (type == TENSOR_Q4_K || type == TENSOR_Q6_K); i += 256) {
        size_t bytes = type == TENSOR_Q4_K ? 144 : 210;
        uint16_t d = tiny_f16(type == TENSOR_Q4_K ? 1e-4 : 4e-5), dmin = tiny_f16(7e-4);
        float f[256];
        for (size_t k = 0; k < bytes; k++) at[k] = (uint8_t)((unsigned)(v[i + k] * 4096) >> 2);
        memcpy(type == TENSOR_Q4_K ? at : at + 208, &d, 2);
        if (type == TENSOR_Q4_K) memcpy(at + 2, &dmin, 2);
        dequant_row(type, at, f, 256);
        for (size_t k = 0; k < 256; k++) v[i + k] = (double)f[k];
        at += bytes;
    }
    for (size_t i = 0; i < n && (type == TENSOR_Q2_K || type == TENSOR_IQ4_NL); i += type == TENSOR_Q2_K ? 256 : 32) {
        size_t bytes = type == TENSOR_Q2_K ? 84 : 18, elements = type == TENSOR_Q2_K ? 256 : 32;
        uint16_t d = tiny_f16(type == TENSOR_Q2_K ? 5e-3 : 1e-3), dmin = tiny_f16(7e-3);
        float f[256];
        for (size_t k = 0; k < bytes; k++) at[k] = (uint8_t)((unsigned)(fabs(v[i + k % elements]) * 4096 * (double)(k + 1)) >> 2);
        memcpy(type == TENSOR_Q2_K ? at + 80 : at, &d, 2);
        if (type == TENSOR_Q2_K) memcpy(at + 82, &dmin, 2);
        dequant_row(type, at, f, (int64_t)elements);
        for (size_t k = 0; k < elements; k++) v[i + k] = (double)f[k];
        at += bytes;
    }
    return (size_t)(at - out);
}

/* ---- making the file ------------------------------------------------------------------------------------------------------ */

/* Adds a random tensor of rows x n around `middle`; returns its values. */
static inline double *tiny_tensor(struct tiny_model *m, const char *name, uint32_t type, int n, int rows, double middle, double spread)
{
    size_t total = (size_t)n * (size_t)rows;
    double *v = tiny_alloc(total * sizeof(*v));
    uint8_t *bytes = tiny_alloc(total * 4 + 512);
    int64_t dims[2] = {n, rows};

    for (size_t i = 0; i < total; i++) v[i] = middle + spread * tiny_random(m);
    size_t used = tiny_store(type, v, total, bytes);
    gw_tensor(&m->w, name, rows > 1 ? 2 : 1, dims, type, bytes, used);
    free(bytes);
    return v;
}

static inline void tiny_key_u32(struct tiny_model *m, const char *key, int v)
{
    char name[96];
    snprintf(name, sizeof(name), "%s.%s", m->s.arch, key);
    gw_u32(&m->w, name, (uint32_t)v);
}

static inline void tiny_key_f32(struct tiny_model *m, const char *key, double v)
{
    char name[96];
    snprintf(name, sizeof(name), "%s.%s", m->s.arch, key);
    gw_f32(&m->w, name, (float)v);
}

/* A byte-level vocabulary without merges: the 94 visible ASCII characters, then "t94", "t95", ... */
static inline void tiny_vocabulary(struct gguf_writer *w, int n)
{
    gw_string(w, "tokenizer.ggml.model", "gpt2");
    gw_string(w, "tokenizer.ggml.pre", "qwen2");
    gw_array(w, "tokenizer.ggml.tokens", 8, (uint64_t)n);
    for (int i = 0; i < n; i++) {
        char text[16] = {(char)('!' + i), '\0'};
        if (i >= 94) snprintf(text, sizeof(text), "t%d", i);
        gw_put_string(&w->kv, text);
    }
    gw_array(w, "tokenizer.ggml.merges", 8, 0);
}

static inline void tiny_metadata(struct tiny_model *m)
{
    const struct tiny_spec *s = &m->s;
    char key[96];

    gw_string(&m->w, "general.architecture", s->arch);
    gw_string(&m->w, "general.name", s->name);
    tiny_key_u32(m, "block_count", s->n_layer);
    tiny_key_u32(m, "context_length", s->ctx);
    tiny_key_u32(m, "embedding_length", s->n_embd);
    tiny_key_u32(m, "feed_forward_length", s->n_ff);
    tiny_key_u32(m, "attention.head_count", s->n_head);
    if (!strcmp(s->arch, "lfm2")) {
        gw_array(&m->w, "lfm2.attention.head_count_kv", 4, (uint64_t)s->n_layer);
        for (int i = 0; i < s->n_layer; i++) gw_put_u32(&m->w.kv, tiny_is_conv(s, i) ? 0 : (uint32_t)s->n_head_kv);
        tiny_key_u32(m, "shortconv.l_cache", 3);
    } else {
        tiny_key_u32(m, "attention.head_count_kv", s->n_head_kv);
    }
    tiny_key_f32(m, "attention.layer_norm_rms_epsilon", 1e-5);
    tiny_key_f32(m, "rope.freq_base", 10000);
    if (s->head_dim * s->n_head != s->n_embd) tiny_key_u32(m, "attention.key_length", s->head_dim);
    if (s->head_dim * s->n_head != s->n_embd) tiny_key_u32(m, "attention.value_length", s->head_dim);
    if (s->n_rot != s->head_dim) tiny_key_u32(m, "rope.dimension_count", s->n_rot);
    if (s->scaling == SCALING_LINEAR || s->scaling == SCALING_LLAMA3) {
        snprintf(key, sizeof(key), "%s.rope.scaling.type", s->arch);
        gw_string(&m->w, key, s->scaling == SCALING_LINEAR ? "linear" : "llama3");
        tiny_key_f32(m, "rope.scaling.factor", 8);
        tiny_key_u32(m, "rope.scaling.original_context_length", 64);
        tiny_key_f32(m, "rope.scaling.low_freq_factor", 1);
        tiny_key_f32(m, "rope.scaling.high_freq_factor", 4);
    }
    if (tiny_window(s)) {
        tiny_key_u32(m, "attention.sliding_window", tiny_window(s));
        tiny_key_u32(m, "attention.sliding_window_pattern", 2);
        tiny_key_f32(m, "rope.freq_base_swa", TINY_LOCAL_BASE);
    }
    /* two sets of factors: the one that is meant for the contexts of the tests, 200 to 1,300 tokens, and another */
    if (s->scaling == SCALING_LONG || s->scaling == SCALING_SHORT) {
        tiny_key_u32(m, "rope.scaling.original_context_length", s->scaling == SCALING_LONG ? 64 : 2048);
        tiny_key_f32(m, "rope.scaling.attn_factor", TINY_ATTN_FACTOR);
    }
}

/* One tensor for several matrices, rows under rows; their values into parts. */
static inline void tiny_fused(struct tiny_model *m, const char *name, int n, int rows, const int *part_rows, int n_parts, double **parts)
{
    double *all = tiny_tensor(m, name, m->s.type, n, rows, 0, 1.5 / sqrt(n)), *at = all;

    for (int i = 0; i < n_parts; i++) {
        size_t bytes = (size_t)n * (size_t)part_rows[i] * sizeof(double);
        parts[i] = tiny_alloc(bytes);
        memcpy(parts[i], at, bytes);
        at += (size_t)n * (size_t)part_rows[i];
    }
    free(all);
}

static inline void tiny_init(struct tiny_model *m, const struct tiny_spec *spec)
{
    static const char *const names[TINY_MATRICES] = {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"};
    const struct tiny_spec *s = &m->s;

    memset(m, 0, sizeof(*m));
    m->s = *spec;
    m->seed = 42;
    gw_init(&m->w);
    tiny_metadata(m);
    tiny_vocabulary(&m->w, s->n_vocab);
    int n_q = s->n_head * s->head_dim, n_kv = s->n_head_kv * s->head_dim;
    const int shapes[TINY_MATRICES][2] = {{s->n_embd, n_q},     {s->n_embd, n_kv},    {s->n_embd, n_kv},   {n_q, s->n_embd},
                                          {s->n_embd, s->n_ff}, {s->n_embd, s->n_ff}, {s->n_ff, s->n_embd}};
    uint32_t blocks = s->n_embd % 32 ? TENSOR_F16 : TENSOR_Q8_0;
    m->embed = tiny_tensor(m, "token_embd.weight", s->tied ? blocks : TENSOR_F16, s->n_embd, s->n_vocab, 0, 1);
    m->output_norm = tiny_tensor(m, strcmp(s->arch, "lfm2") ? "output_norm.weight" : "token_embd_norm.weight", TENSOR_F32, s->n_embd, 1, 1, 0.3);
    m->output = s->tied ? m->embed : tiny_tensor(m, "output.weight", blocks, s->n_embd, s->n_vocab, 0, 1);
    if (s->scaling == SCALING_FACTORS) m->rope_factors = tiny_tensor(m, "rope_freqs.weight", TENSOR_F32, s->n_rot / 2, 1, 3, 2);
    if (s->scaling == SCALING_LONG || s->scaling == SCALING_SHORT) {
        const char *used = "rope_factors_long.weight", *other = "rope_factors_short.weight", *swap = used;
        if (s->scaling == SCALING_SHORT) used = other, other = swap;
        m->rope_factors = tiny_tensor(m, used, TENSOR_F32, s->n_rot / 2, 1, 3, 2);
        free(tiny_tensor(m, other, TENSOR_F32, s->n_rot / 2, 1, 3, 2));
    }
    m->layers = tiny_alloc((size_t)s->n_layer * sizeof(*m->layers));
    for (int i = 0; i < s->n_layer; i++) {
        struct tiny_layer *l = &m->layers[i];
        char name[64];
        if (!strcmp(s->arch, "phi3")) {
            const int fused[3] = {s->n_embd, n_q + 2 * n_kv, 2 * s->n_ff}, qkv_rows[3] = {n_q, n_kv, n_kv}, ff_rows[2] = {s->n_ff, s->n_ff};
            snprintf(name, sizeof(name), "blk.%d.attn_qkv.weight", i);
            tiny_fused(m, name, s->n_embd, fused[1], qkv_rows, 3, &l->m[TINY_Q]);
            snprintf(name, sizeof(name), "blk.%d.ffn_up.weight", i);
            tiny_fused(m, name, s->n_embd, fused[2], ff_rows, 2, &l->m[TINY_GATE]);
        }
        if (tiny_is_conv(s, i)) {
            snprintf(name, sizeof(name), "blk.%d.shortconv.in_proj.weight", i);
            l->mix_in = tiny_tensor(m, name, s->type, s->n_embd, 3 * s->n_embd, 0, 1.5 / sqrt(s->n_embd));
            snprintf(name, sizeof(name), "blk.%d.shortconv.conv.weight", i);
            l->taps = tiny_tensor(m, name, TENSOR_F32, 3, s->n_embd, 0, 1);
            snprintf(name, sizeof(name), "blk.%d.shortconv.out_proj.weight", i);
            l->mix_out = tiny_tensor(m, name, s->type, s->n_embd, s->n_embd, 0, 1.5 / sqrt(s->n_embd));
        }
        for (int k = tiny_is_conv(s, i) ? TINY_GATE : TINY_Q; k < TINY_MATRICES; k++) {
            if (l->m[k]) continue;
            snprintf(name, sizeof(name), "blk.%d.%s.weight", i, names[k]);
            l->m[k] = tiny_tensor(m, name, s->type, shapes[k][0], shapes[k][1], 0, 1.5 / sqrt(shapes[k][0]));
        }
        snprintf(name, sizeof(name), "blk.%d.attn_norm.weight", i);
        l->attn_norm = tiny_tensor(m, name, TENSOR_F32, s->n_embd, 1, 1, 0.3);
        snprintf(name, sizeof(name), "blk.%d.ffn_norm.weight", i);
        l->ffn_norm = tiny_tensor(m, name, TENSOR_F32, s->n_embd, 1, 1, 0.3);
        if (!strcmp(s->arch, "gemma3")) {
            l->window = i % 2 ? 0 : tiny_window(s);
            snprintf(name, sizeof(name), "blk.%d.post_attention_norm.weight", i);
            l->attn_post_norm = tiny_tensor(m, name, TENSOR_F32, s->n_embd, 1, 1, 0.3);
            snprintf(name, sizeof(name), "blk.%d.post_ffw_norm.weight", i);
            l->ffn_post_norm = tiny_tensor(m, name, TENSOR_F32, s->n_embd, 1, 1, 0.3);
        }
        if (!strcmp(s->arch, "qwen3") || !strcmp(s->arch, "gemma3") || (!strcmp(s->arch, "lfm2") && !tiny_is_conv(s, i))) {
            snprintf(name, sizeof(name), "blk.%d.attn_q_norm.weight", i);
            l->q_norm = tiny_tensor(m, name, TENSOR_F32, s->head_dim, 1, 1.5, 0.7);
            snprintf(name, sizeof(name), "blk.%d.attn_k_norm.weight", i);
            l->k_norm = tiny_tensor(m, name, TENSOR_F32, s->head_dim, 1, 1.5, 0.7);
        }
        if (!s->bias) continue;
        snprintf(name, sizeof(name), "blk.%d.attn_q.bias", i);
        l->bq = tiny_tensor(m, name, TENSOR_F32, n_q, 1, 0, 0.5);
        snprintf(name, sizeof(name), "blk.%d.attn_k.bias", i);
        l->bk = tiny_tensor(m, name, TENSOR_F32, n_kv, 1, 0, 0.5);
        snprintf(name, sizeof(name), "blk.%d.attn_v.bias", i);
        l->bv = tiny_tensor(m, name, TENSOR_F32, n_kv, 1, 0, 0.5);
    }
}

static inline void tiny_release(struct tiny_model *m)
{
    for (int i = 0; i < m->s.n_layer; i++) {
        struct tiny_layer *l = &m->layers[i];
        for (int k = 0; k < TINY_MATRICES; k++) free(l->m[k]);
        free(l->bq);
        free(l->bk);
        free(l->bv);
        free(l->attn_norm);
        free(l->q_norm);
        free(l->k_norm);
        free(l->mix_in);
        free(l->mix_out);
        free(l->taps);
        free(l->attn_post_norm);
        free(l->ffn_post_norm);
        free(l->ffn_norm);
    }
    if (!m->s.tied) free(m->output);
    free(m->embed);
    free(m->output_norm);
    free(m->rope_factors);
    free(m->layers);
    gw_release(&m->w);
}

/* ---- the reference --------------------------------------------------------------------------------------------------------- */

static inline void tiny_multiply(const double *m, int n_in, int n_out, const double *x, const double *bias, double *y)
{
    for (int r = 0; r < n_out; r++) {
        double sum = bias ? bias[r] : 0;
        for (int i = 0; i < n_in; i++) sum += m[(size_t)r * (size_t)n_in + (size_t)i] * x[i];
        y[r] = sum;
    }
}

static inline void tiny_norm(const double *x, const double *weight, int n, double *y)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i] * x[i];
    for (int i = 0; i < n; i++) y[i] = x[i] * weight[i] / sqrt(sum / n + (double)1e-5f);
}

static inline double tiny_frequency(const struct tiny_model *m, bool local, int pair)
{
    double f = pow(local ? TINY_LOCAL_BASE : 10000, -2.0 * pair / m->s.n_rot), wave = 2 * 3.14159265358979323846 / f;

    if (local) return f;
    if (m->s.scaling == SCALING_LINEAR) return f / 8;
    if (m->rope_factors) return f / m->rope_factors[pair];
    if (m->s.scaling == SCALING_LLAMA3) {
        /* as published with the models: low_freq_factor 1, high_freq_factor 4, original context 64, factor 8 */
        if (wave < 64.0 / 4) return f;
        if (wave > 64.0 / 1) return f / 8;
        double smooth = (64.0 / wave - 1) / (4.0 - 1);
        return (1 - smooth) * f / 8 + smooth * f;
    }
    return f;
}

static inline void tiny_rope(const struct tiny_model *m, bool local, double *x, int n_heads, int position)
{
    bool halves = !strncmp(m->s.arch, "qwen", 4) || !strcmp(m->s.arch, "phi3") || !strcmp(m->s.arch, "gemma3") ||
                  !strcmp(m->s.arch, "lfm2");
    double size = m->s.scaling == SCALING_LONG || m->s.scaling == SCALING_SHORT ? TINY_ATTN_FACTOR : 1;

    for (int h = 0; h < n_heads; h++, x += m->s.head_dim) {
        for (int i = 0; i < m->s.n_rot / 2; i++) {
            double angle = position * tiny_frequency(m, local, i), c = size * cos(angle), s = size * sin(angle);
            double *a = halves ? &x[i] : &x[2 * i], *b = halves ? &x[i + m->s.n_rot / 2] : &x[2 * i + 1], a0 = *a, b0 = *b;
            *a = a0 * c - b0 * s;
            *b = a0 * s + b0 * c;
        }
    }
}

/* out = attention of one position over keys and values [0, position], or the last `window` of them; both rounded to f16, as the cache
 * holds them. */
static inline void tiny_attend(const struct tiny_model *m, const double *q, const double *keys, const double *values, int position,
                               int window, double *out)
{
    const struct tiny_spec *s = &m->s;
    int n_kv = s->n_head_kv * s->head_dim, first = window && position >= window ? position - window + 1 : 0;
    double *p = tiny_alloc(((size_t)position + 1) * sizeof(*p));

    for (int h = 0; h < s->n_head; h++) {
        int kv = h / (s->n_head / s->n_head_kv);
        double max = -INFINITY, sum = 0;
        for (int t = first; t <= position; t++) {
            const double *k = keys + (size_t)t * (size_t)n_kv + (size_t)(kv * s->head_dim);
            p[t] = 0;
            for (int i = 0; i < s->head_dim; i++) p[t] += q[h * s->head_dim + i] * k[i] / sqrt(s->head_dim);
            max = p[t] > max ? p[t] : max;
        }
        for (int t = first; t <= position; t++) sum += p[t] = exp(p[t] - max);
        for (int i = 0; i < s->head_dim; i++) {
            double o = 0;
            for (int t = first; t <= position; t++) o += p[t] * values[(size_t)t * (size_t)n_kv + (size_t)(kv * s->head_dim + i)];
            out[h * s->head_dim + i] = o / sum;
        }
    }
    free(p);
}

/* SiLU, or GELU with tanh. */
static inline double tiny_gate(const struct tiny_model *m, double g)
{
    if (strcmp(m->s.arch, "gemma3") != 0) return g / (1 + exp(-g));
    return 0.5 * g * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (g + 0.044715 * g * g * g)));
}

/* x += the second half of a layer; the others are room. */
static inline void tiny_feed_forward(const struct tiny_model *m, const struct tiny_layer *l, double *x, double *h, double *gate, double *up,
                                     double *y)
{
    int e = m->s.n_embd, n_ff = m->s.n_ff;

    tiny_norm(x, l->ffn_norm, e, h);
    tiny_multiply(l->m[TINY_GATE], e, n_ff, h, NULL, gate);
    tiny_multiply(l->m[TINY_UP], e, n_ff, h, NULL, up);
    for (int i = 0; i < n_ff; i++) up[i] *= tiny_gate(m, gate[i]);
    tiny_multiply(l->m[TINY_DOWN], n_ff, e, up, NULL, y);
    if (l->ffn_post_norm) tiny_norm(y, l->ffn_post_norm, e, y);
    for (int i = 0; i < e; i++) x[i] += y[i];
}

/* x += the convolution over what comes into the layer, of one position; b x of the positions is kept in kept, [position][n_embd],
 * rounded to f16 as the cache has it. */
static inline void tiny_conv(const struct tiny_model *m, const struct tiny_layer *l, int position, double *kept, double *x)
{
    int e = m->s.n_embd;
    double *h = tiny_alloc((size_t)e * sizeof(double)), *bcx = tiny_alloc(3 * (size_t)e * sizeof(double));
    double *at = kept + (size_t)position * (size_t)e;

    tiny_norm(x, l->attn_norm, e, h);
    tiny_multiply(l->mix_in, e, 3 * e, h, NULL, bcx);
    for (int i = 0; i < e; i++) {
        at[i] = tiny_f16_value(tiny_f16(bcx[i] * bcx[2 * e + i]));
        h[i] = l->taps[3 * i + 2] * bcx[i] * bcx[2 * e + i];
        for (int back = 1; back < 3 && back <= position; back++) h[i] += l->taps[3 * i + 2 - back] * at[i - back * e];
        h[i] *= bcx[e + i];
    }
    tiny_multiply(l->mix_out, e, e, h, NULL, bcx);
    for (int i = 0; i < e; i++) x[i] += bcx[i];
    free(h);
    free(bcx);
}

static inline void tiny_layer_run(const struct tiny_model *m, const struct tiny_layer *l, int n, double *x)
{
    const struct tiny_spec *s = &m->s;
    /* smollm3: the fourth, eighth, ... layer knows no positions */
    bool with_rope = strcmp(s->arch, "smollm3") != 0 || (l - m->layers) % 4 != 3;
    int n_q = s->n_head * s->head_dim, n_kv = s->n_head_kv * s->head_dim, e = s->n_embd;
    double *keys = tiny_alloc((size_t)n * (size_t)n_kv * sizeof(double)), *values = tiny_alloc((size_t)n * (size_t)n_kv * sizeof(double));
    double *h = tiny_alloc((size_t)e * sizeof(double)), *q = tiny_alloc((size_t)n_q * sizeof(double)),
           *a = tiny_alloc((size_t)n_q * sizeof(double));
    double *gate = tiny_alloc((size_t)s->n_ff * sizeof(double)), *up = tiny_alloc((size_t)s->n_ff * sizeof(double)),
           *y = tiny_alloc((size_t)e * sizeof(double)), *kept = tiny_alloc((size_t)n * (size_t)e * sizeof(double));

    for (int t = 0; t < n; t++, x += e) {
        if (l->mix_in) {
            tiny_conv(m, l, t, kept, x);
            tiny_feed_forward(m, l, x, h, gate, up, y);
            continue;
        }
        double *k = keys + (size_t)t * (size_t)n_kv, *v = values + (size_t)t * (size_t)n_kv;
        tiny_norm(x, l->attn_norm, e, h);
        tiny_multiply(l->m[TINY_Q], e, n_q, h, l->bq, q);
        tiny_multiply(l->m[TINY_K], e, n_kv, h, l->bk, k);
        tiny_multiply(l->m[TINY_V], e, n_kv, h, l->bv, v);
        for (int j = 0; j < s->n_head && l->q_norm; j++) tiny_norm(q + j * s->head_dim, l->q_norm, s->head_dim, q + j * s->head_dim);
        for (int j = 0; j < s->n_head_kv && l->k_norm; j++) tiny_norm(k + j * s->head_dim, l->k_norm, s->head_dim, k + j * s->head_dim);
        if (with_rope) {
            tiny_rope(m, l->window > 0, q, s->n_head, t);
            tiny_rope(m, l->window > 0, k, s->n_head_kv, t);
        }
        for (int i = 0; i < n_kv && !m->exact; i++) k[i] = tiny_f16_value(tiny_f16(k[i]));
        for (int i = 0; i < n_kv && !m->exact; i++) v[i] = tiny_f16_value(tiny_f16(v[i]));
        tiny_attend(m, q, keys, values, t, l->window, a);
        tiny_multiply(l->m[TINY_O], n_q, e, a, NULL, y);
        if (l->attn_post_norm) tiny_norm(y, l->attn_post_norm, e, y);
        for (int i = 0; i < e; i++) x[i] += y[i];
        tiny_feed_forward(m, l, x, h, gate, up, y);
    }
    double *all[] = {keys, values, h, q, a, gate, up, y, kept};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) free(all[i]);
}

/* Logits of every position, [n][n_vocab]; caller frees. */
static inline double *tiny_forward(const struct tiny_model *m, const int32_t *ids, int n)
{
    const struct tiny_spec *s = &m->s;
    size_t e = (size_t)s->n_embd, v = (size_t)s->n_vocab;
    double *x = tiny_alloc((size_t)n * e * sizeof(double)), *h = tiny_alloc(e * sizeof(double));
    double *logits = tiny_alloc((size_t)n * v * sizeof(double));

    for (size_t t = 0; t < (size_t)n; t++) memcpy(x + t * e, m->embed + (size_t)ids[t] * e, e * sizeof(double));
    for (size_t i = 0; i < (size_t)n * e && !strcmp(s->arch, "gemma3"); i++) x[i] *= sqrt(s->n_embd);
    for (int i = 0; i < s->n_layer; i++) tiny_layer_run(m, &m->layers[i], n, x);
    for (size_t t = 0; t < (size_t)n; t++) {
        tiny_norm(x + t * e, m->output_norm, s->n_embd, h);
        tiny_multiply(m->output, s->n_embd, s->n_vocab, h, NULL, logits + t * v);
    }
    free(x);
    free(h);
    return logits;
}

#endif
