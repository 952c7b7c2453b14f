/*
 * weights.c - finds a model's tensors and refuses whatever does not fit together.
 *
 * Invariant: nothing of a file's metadata is used unchecked. Counts are capped so that no product of two of them leaves 63
 * bits; every tensor must have exactly the shape that the metadata implies; a tensor that no rule claims is an error, because a
 * model that needs it would run and be wrong.
 *
 * It does not read weights beyond the norm and bias vectors and the frequency factors, so opening costs no page of a matrix.
 */
#include "model/weights.h"

#include "model/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Far above every model of these families, far below what an int or an allocation minds. */
enum {
    LIMIT_LAYERS = 1024,
    LIMIT_WIDTH = 1 << 17,
    LIMIT_FF = 1 << 20,
    LIMIT_HEADS = 1024,
    LIMIT_HEAD_DIM = 1024,
    LIMIT_VOCAB = 1 << 22,
    LIMIT_CTX = 1 << 24,
};

static const struct arch {
    const char *name;
    enum rope_pairs pairs;
    bool qkv_bias;  /* must be there; optional otherwise */
    bool head_norm; /* must be there; unknown otherwise */
    bool fused;     /* Q, K and V are one matrix, gate and up another */
    bool long_rope; /* may have frequency factors for short and for long contexts */
    int no_rope;    /* every so many layers one has no position embedding; 0: none */
    bool gemma;     /* norms behind both halves of a layer, a gate with GELU, scaled embeddings */
    int windows;    /* where attention has a window: every so many layers one has none, unless the file says another number */
} archs[] = {
    {.name = "gemma3", .pairs = ROPE_HALVES, .head_norm = true, .gemma = true, .windows = 6},
    {.name = "llama", .pairs = ROPE_ADJACENT},
    {.name = "phi3", .pairs = ROPE_HALVES, .fused = true, .long_rope = true},
    {.name = "qwen2", .pairs = ROPE_HALVES, .qkv_bias = true},
    {.name = "qwen3", .pairs = ROPE_HALVES, .head_norm = true},
    /* files do not say which layers: the period is the architecture's */
    {.name = "smollm3", .pairs = ROPE_ADJACENT, .no_rope = 4},
};

struct loader {
    struct weights *w;
    const struct gguf *g;
    const struct arch *arch;
    struct err *e;
    size_t n_claimed;
    bool *claimed; /* by tensor index */
};

static const char *key_of(const struct loader *l, char buffer[96], const char *name)
{
    snprintf(buffer, 96, "%s.%s", l->arch->name, name);
    return buffer;
}

/* A count between 1 and max. Missing: the fallback, or an error where that is 0. A list of equal numbers, one a layer, counts
 * as the number. */
static int get_count(const struct loader *l, const char *name, int fallback, int max, int *out)
{
    char key[96];
    int64_t v = fallback;
    struct gguf_array a;

    key_of(l, key, name);
    if (!gguf_get_int(l->g, key, &v) && gguf_get_array(l->g, key, &a)) {
        v = 0;
        for (uint64_t i = 0; i < a.n; i++) {
            int64_t vi;
            if (!gguf_array_int(&a, i, &vi)) return err_set(l->e, ERR_FILE, "%s: %s is not a list of numbers", gguf_path(l->g), key);
            if (i && vi != v)
                return err_set(l->e, ERR_UNSUPPORTED, "%s: %s differs between layers, which is not supported", gguf_path(l->g), key);
            v = vi;
        }
    }
    if (!v) return err_set(l->e, ERR_FILE, "%s: %s is missing or zero", gguf_path(l->g), key);
    if (v < 0 || v > max)
        return err_set(l->e, ERR_FILE, "%s: %s is %lld, which is not between 1 and %d", gguf_path(l->g), key, (long long)v, max);
    *out = (int)v;
    return 0;
}

/* A finite number above 0, or the fallback where the key is missing. */
static int get_positive(const struct loader *l, const char *name, double fallback, double *out)
{
    char key[96];
    double v = fallback;

    gguf_get_real(l->g, key_of(l, key, name), &v);
    if (!isfinite(v) || v <= 0) return err_set(l->e, ERR_FILE, "%s: %s is missing or not a positive number", gguf_path(l->g), key);
    *out = v;
    return 0;
}

static int find_arch(struct loader *l)
{
    struct gguf_string s;

    if (!gguf_get_string(l->g, "general.architecture", &s))
        return err_set(l->e, ERR_FILE, "%s: general.architecture is missing", gguf_path(l->g));
    for (size_t i = 0; i < ARRAY_LEN(archs); i++)
        if (s.n == strlen(archs[i].name) && !memcmp(s.p, archs[i].name, s.n)) l->arch = &archs[i];
    if (!l->arch)
        return err_set(l->e, ERR_UNSUPPORTED, "%s: architecture \"%.*s\" is not supported (gemma3, llama, phi3, qwen2, qwen3 and smollm3 are)",
                       gguf_path(l->g), (int)(s.n < 64 ? s.n : 64), s.p);
    snprintf(l->w->arch, sizeof(l->w->arch), "%s", l->arch->name);
    l->w->pairs = l->arch->pairs;

    int64_t experts = 0;
    double cap = 0;
    char key[96];
    if (gguf_get_int(l->g, key_of(l, key, "expert_count"), &experts) && experts != 0)
        return err_set(l->e, ERR_UNSUPPORTED, "%s: a mixture of experts, which is not supported", gguf_path(l->g));
    if ((gguf_get_real(l->g, key_of(l, key, "final_logit_softcapping"), &cap) && cap != 0) ||
        (gguf_get_real(l->g, key_of(l, key, "attn_logit_softcapping"), &cap) && cap != 0))
        return err_set(l->e, ERR_UNSUPPORTED, "%s: %s is not supported", gguf_path(l->g), key);
    return 0;
}

static int read_numbers(struct loader *l)
{
    struct weights *w = l->w;
    double eps;
    int rc = 0, value_dim;

    if ((rc = get_count(l, "block_count", 0, LIMIT_LAYERS, &w->n_layer))) return rc;
    if ((rc = get_count(l, "embedding_length", 0, LIMIT_WIDTH, &w->n_embd))) return rc;
    if ((rc = get_count(l, "feed_forward_length", 0, LIMIT_FF, &w->n_ff))) return rc;
    if ((rc = get_count(l, "context_length", 0, LIMIT_CTX, &w->ctx_train))) return rc;
    if ((rc = get_count(l, "attention.head_count", 0, LIMIT_HEADS, &w->n_head))) return rc;
    if ((rc = get_count(l, "attention.head_count_kv", w->n_head, LIMIT_HEADS, &w->n_head_kv))) return rc;
    if ((rc = get_count(l, "attention.key_length", w->n_embd / w->n_head, LIMIT_HEAD_DIM, &w->head_dim))) return rc;
    if ((rc = get_count(l, "attention.value_length", w->head_dim, LIMIT_HEAD_DIM, &value_dim))) return rc;
    if ((rc = get_count(l, "rope.dimension_count", w->head_dim, LIMIT_HEAD_DIM, &w->n_rot))) return rc;
    if ((rc = get_positive(l, "attention.layer_norm_rms_epsilon", 0, &eps))) return rc;
    if (eps > 1) return err_set(l->e, ERR_FILE, "%s: the norm's epsilon is %g", gguf_path(l->g), eps);
    w->norm_eps = (float)eps;

    if ((size_t)w->n_layer > gguf_tensor_count(l->g))
        return err_set(l->e, ERR_FILE, "%s: %d layers in %zu tensors", gguf_path(l->g), w->n_layer, gguf_tensor_count(l->g));
    if (w->n_head % w->n_head_kv)
        return err_set(l->e, ERR_FILE, "%s: %d heads cannot share %d key/value heads", gguf_path(l->g), w->n_head, w->n_head_kv);
    if (value_dim != w->head_dim)
        return err_set(l->e, ERR_UNSUPPORTED, "%s: values of another length than keys (%d, %d) are not supported", gguf_path(l->g),
                       value_dim, w->head_dim);
    if (w->n_rot % 2 || w->n_rot > w->head_dim)
        return err_set(l->e, ERR_FILE, "%s: %d rotary dimensions in heads of %d", gguf_path(l->g), w->n_rot, w->head_dim);
    w->gelu = l->arch->gemma;
    w->embed_scale = l->arch->gemma ? sqrtf((float)w->n_embd) : 1;
    /* files do not say that the 27B, alone with 62 layers, was trained with another scale */
    w->attend_scale = (float)(1 / sqrt(l->arch->gemma && w->n_layer == 62 ? w->n_embd / w->n_head : w->head_dim));
    /* within its window a model attends to everything, and longer contexts would need one */
    int64_t window = 0;
    char key[96];
    if (l->arch->long_rope && gguf_get_int(l->g, key_of(l, key, "attention.sliding_window"), &window) && window > 0 &&
        window < w->ctx_train)
        w->ctx_train = (int)window;
    w->n_q = w->n_head * w->head_dim;
    w->n_kv = w->n_head_kv * w->head_dim;
    return 0;
}

/* The tensor of this name with shape rows x n (rows 1: a vector), claimed; NULL with *rc 0 where it may be missing and is. */
static const struct gguf_tensor *find(struct loader *l, const char *name, int64_t n, int64_t rows, bool optional, int *rc)
{
    const struct gguf_tensor *t = gguf_find_tensor(l->g, name);

    *rc = 0;
    if (!t) {
        if (!optional) *rc = err_set(l->e, ERR_FILE, "%s: tensor %s is missing", gguf_path(l->g), name);
        return NULL;
    }
    if (!kernel_supports(t->type)) {
        const char *type = tensor_type_name(t->type);
        if (type[0] == '?')
            *rc = err_set(l->e, ERR_UNSUPPORTED, "%s: quantisation type %u of tensor %s is not supported", gguf_path(l->g), t->type, name);
        else
            *rc = err_set(l->e, ERR_UNSUPPORTED, "%s: quantisation %s of tensor %s is not supported", gguf_path(l->g), type, name);
        return NULL;
    }
    size_t row = (size_t)n / (size_t)tensor_block_elements(t->type) * (size_t)tensor_block_bytes(t->type);
    if (t->dims[0] != n || t->dims[1] != rows || t->dims[2] != 1 || t->dims[3] != 1 || n % tensor_block_elements(t->type) ||
        t->bytes < row * (size_t)rows) {
        *rc = err_set(l->e, ERR_FILE, "%s: tensor %s is %lld x %lld, and should be %lld x %lld", gguf_path(l->g), name,
                      (long long)t->dims[0], (long long)t->dims[1], (long long)n, (long long)rows);
        return NULL;
    }
    size_t index = (size_t)(t - gguf_tensor_at(l->g, 0));
    l->n_claimed += !l->claimed[index];
    l->claimed[index] = true;
    return t;
}

static int get_matrix(struct loader *l, const char *name, int64_t n_in, int64_t n_out, bool optional, struct matrix *out)
{
    int rc;
    const struct gguf_tensor *t = find(l, name, n_in, n_out, optional, &rc);

    if (!t) return rc;
    size_t row = (size_t)(n_in / tensor_block_elements(t->type)) * (size_t)tensor_block_bytes(t->type);
    *out = (struct matrix){.data = t->data, .row_bytes = row, .n_in = n_in, .n_out = n_out, .type = t->type};
    return 0;
}

/* Copies a vector into the arena, which plan_arena made large enough for all of them. */
static int get_vector(struct loader *l, const char *name, int64_t n, bool optional, const float **out)
{
    int rc;
    const struct gguf_tensor *t = find(l, name, n, 1, optional, &rc);

    if (!t) return rc;
    float *v = l->w->arena + l->w->arena_used;
    dequant_row(t->type, t->data, v, n);
    l->w->arena_used += (size_t)(n + 15) / 16 * 16;
    *out = v;
    return 0;
}

static int plan_arena(struct loader *l)
{
    struct weights *w = l->w;
    size_t a_layer = 5 * (size_t)w->n_embd + (size_t)w->n_q + 2 * (size_t)w->n_kv + 2 * (size_t)w->head_dim + 10 * 16;

    w->arena_cap = a_layer * (size_t)w->n_layer + (size_t)w->n_embd + 3 * (size_t)w->n_rot + 4 * 16;
    size_t bytes = (w->arena_cap * sizeof(float) + 63) / 64 * 64;
    w->arena = aligned_alloc(64, bytes);
    w->layers = calloc((size_t)w->n_layer, sizeof(*w->layers));
    w->rope_freq = calloc((size_t)w->n_rot, sizeof(*w->rope_freq)); /* two sets */
    if (!w->arena || !w->layers || !w->rope_freq)
        return err_set(l->e, ERR_NOMEM, "%s: out of memory for %zu KB of norms", gguf_path(l->g), bytes >> 10);
    return 0;
}

struct matrix_spec {
    const char *name;
    int64_t n_in, n_out;
    struct matrix *out;
};

static int get_listed(struct loader *l, int i, const struct matrix_spec *list, size_t n)
{
    char name[64];
    int rc = 0;

    for (size_t k = 0; k < n && !rc; k++) {
        snprintf(name, sizeof(name), "blk.%d.%s.weight", i, list[k].name);
        rc = get_matrix(l, name, list[k].n_in, list[k].n_out, false, list[k].out);
    }
    return rc;
}

static int get_matrices(struct loader *l, int i)
{
    struct weights *w = l->w;
    struct layer *y = &w->layers[i];
    const struct matrix_spec list[] = {
        {"attn_q", w->n_embd, w->n_q, &y->wq},      {"attn_k", w->n_embd, w->n_kv, &y->wk},     {"attn_v", w->n_embd, w->n_kv, &y->wv},
        {"attn_output", w->n_q, w->n_embd, &y->wo}, {"ffn_gate", w->n_embd, w->n_ff, &y->gate}, {"ffn_up", w->n_embd, w->n_ff, &y->up},
        {"ffn_down", w->n_ff, w->n_embd, &y->down},
    };
    return get_listed(l, i, list, ARRAY_LEN(list));
}

/* Rows [from, from + n) of m. */
static struct matrix rows_of(const struct matrix *m, int64_t from, int64_t n)
{
    struct matrix part = *m;
    part.data += (size_t)from * m->row_bytes;
    part.n_out = n;
    return part;
}

/* Q, K and V under one another in a matrix, gate and up in another: taken apart without a copy. */
static int get_fused_matrices(struct loader *l, int i)
{
    struct weights *w = l->w;
    struct layer *y = &w->layers[i];
    struct matrix qkv, gate_up;
    const struct matrix_spec list[] = {
        {"attn_qkv", w->n_embd, w->n_q + 2 * w->n_kv, &qkv},
        {"attn_output", w->n_q, w->n_embd, &y->wo},
        {"ffn_up", w->n_embd, 2 * w->n_ff, &gate_up},
        {"ffn_down", w->n_ff, w->n_embd, &y->down},
    };
    int rc = get_listed(l, i, list, ARRAY_LEN(list));

    if (rc) return rc;
    y->wq = rows_of(&qkv, 0, w->n_q);
    y->wk = rows_of(&qkv, w->n_q, w->n_kv);
    y->wv = rows_of(&qkv, w->n_q + w->n_kv, w->n_kv);
    y->gate = rows_of(&gate_up, 0, w->n_ff);
    y->up = rows_of(&gate_up, w->n_ff, w->n_ff);
    return 0;
}

static int get_layer(struct loader *l, int i)
{
    struct weights *w = l->w;
    struct layer *y = &w->layers[i];
    const bool may_lack_bias = !l->arch->qkv_bias;
    const struct {
        const char *name;
        int64_t n;
        bool optional;
        const float **out;
    } vectors[] = {
        {"attn_norm.weight", w->n_embd, false, &y->attn_norm},  {"ffn_norm.weight", w->n_embd, false, &y->ffn_norm},
        {"attn_q.bias", w->n_q, may_lack_bias, &y->bq},         {"attn_k.bias", w->n_kv, may_lack_bias, &y->bk},
        {"attn_v.bias", w->n_kv, may_lack_bias, &y->bv},        {"attn_output.bias", w->n_embd, true, &y->bo},
        {"attn_q_norm.weight", w->head_dim, false, &y->q_norm}, {"attn_k_norm.weight", w->head_dim, false, &y->k_norm},
        {"post_attention_norm.weight", w->n_embd, false, &y->attn_post_norm},
        {"post_ffw_norm.weight", w->n_embd, false, &y->ffn_post_norm},
    };
    const size_t n_vectors = ARRAY_LEN(vectors) - (l->arch->gemma ? 0 : l->arch->head_norm ? 2 : 4);
    char name[64];
    int rc;

    if ((rc = l->arch->fused ? get_fused_matrices(l, i) : get_matrices(l, i))) return rc;
    y->rope = !l->arch->no_rope || (i + 1) % l->arch->no_rope != 0;
    for (size_t k = 0; k < n_vectors; k++) {
        snprintf(name, sizeof(name), "blk.%d.%s", i, vectors[k].name);
        if ((rc = get_vector(l, name, vectors[k].n, vectors[k].optional, vectors[k].out))) return rc;
    }
    return 0;
}

/* Which layers see a window only: all but every so-manieth, or those that a list says. */
static int get_windows(struct loader *l)
{
    static const char name[] = "attention.sliding_window_pattern";
    struct weights *w = l->w;
    int window, period;
    int64_t v = 0;
    struct gguf_array a;
    char key[96];
    int rc;

    if (!l->arch->windows) return 0;
    if (gguf_get_int(l->g, key_of(l, key, "attention.sliding_window"), &v) ? !v : !gguf_get_array(l->g, key, &a)) return 0;
    if ((rc = get_count(l, "attention.sliding_window", 0, INT32_MAX, &window))) return rc;
    if (gguf_get_array(l->g, key_of(l, key, name), &a)) {
        if (a.n != (uint64_t)w->n_layer)
            return err_set(l->e, ERR_FILE, "%s: %s has %zu entries for %d layers", gguf_path(l->g), key, (size_t)a.n, w->n_layer);
        for (int i = 0; i < w->n_layer; i++) {
            if (!gguf_array_int(&a, (uint64_t)i, &v)) return err_set(l->e, ERR_FILE, "%s: %s is not a list of numbers", gguf_path(l->g), key);
            w->layers[i].window = v ? window : 0;
        }
        return 0;
    }
    if ((rc = get_count(l, name, l->arch->windows, LIMIT_LAYERS, &period))) return rc;
    for (int i = 0; i < w->n_layer; i++) w->layers[i].window = (i + 1) % period ? window : 0;
    return 0;
}

/* Embedding and output matrix: the vocabulary's size is the file's own, the tokenizer is compared with it elsewhere. */
static int get_ends(struct loader *l)
{
    struct weights *w = l->w;
    const struct gguf_tensor *t = gguf_find_tensor(l->g, "token_embd.weight");
    int rc;

    if (!t) return err_set(l->e, ERR_FILE, "%s: tensor token_embd.weight is missing", gguf_path(l->g));
    if (t->dims[1] < 1 || t->dims[1] > LIMIT_VOCAB)
        return err_set(l->e, ERR_FILE, "%s: a vocabulary of %lld tokens", gguf_path(l->g), (long long)t->dims[1]);
    w->n_vocab = (int)t->dims[1];
    if ((rc = get_matrix(l, "token_embd.weight", w->n_embd, w->n_vocab, false, &w->embed))) return rc;
    w->output = w->embed;
    if ((rc = get_matrix(l, "output.weight", w->n_embd, w->n_vocab, true, &w->output))) return rc;
    return get_vector(l, "output_norm.weight", w->n_embd, false, &w->output_norm);
}

static int scale_by_metadata(struct loader *l, bool has_factors)
{
    struct weights *w = l->w;
    struct gguf_string type = {"none", 4};
    struct rope_llama3 s;
    double factor = 1;
    char key[96];
    int rc;

    bool named = gguf_get_string(l->g, key_of(l, key, "rope.scaling.type"), &type);
    if (!named && gguf_get_real(l->g, key_of(l, key, "rope.scale_linear"), &factor)) type = (struct gguf_string){"linear", 6};
    if (type.n == 4 && !memcmp(type.p, "none", 4)) return 0;
    if (l->w->rope_freq_long && type.n == 8 && !memcmp(type.p, "longrope", 8)) return 0; /* the factors say it all */
    if ((rc = get_positive(l, "rope.scaling.factor", factor, &factor))) return rc;
    if (type.n == 6 && !memcmp(type.p, "linear", 6)) {
        for (int i = 0; i < w->n_rot / 2; i++) w->rope_freq[i] /= factor;
        return 0;
    }
    if (type.n == 6 && !memcmp(type.p, "llama3", 6)) {
        /* converters that know this type also write its result as rope_freqs.weight: never both */
        if (has_factors) return 0;
        s.factor = factor;
        if ((rc = get_positive(l, "rope.scaling.low_freq_factor", 1, &s.low_freq_factor))) return rc;
        if ((rc = get_positive(l, "rope.scaling.high_freq_factor", 4, &s.high_freq_factor))) return rc;
        if ((rc = get_positive(l, "rope.scaling.original_context_length", 8192, &s.original_ctx))) return rc;
        if (s.high_freq_factor <= s.low_freq_factor)
            return err_set(l->e, ERR_FILE, "%s: rope.scaling: the high frequency factor is not above the low one", gguf_path(l->g));
        rope_scale_llama3(w->rope_freq, w->n_rot, &s);
        return 0;
    }
    return err_set(l->e, ERR_UNSUPPORTED, "%s: rope scaling \"%.*s\" is not supported", gguf_path(l->g), (int)(type.n < 32 ? type.n : 32),
                   type.p);
}

/* The second set of frequencies, for contexts over the original one, and the factors of the first. */
static int get_long_rope(struct loader *l, const float **factors)
{
    struct weights *w = l->w;
    const float *far;
    double *freq = w->rope_freq + w->n_rot / 2;
    int rc;

    if ((rc = get_vector(l, "rope_factors_short.weight", w->n_rot / 2, false, factors))) return rc;
    if ((rc = get_vector(l, "rope_factors_long.weight", w->n_rot / 2, false, &far))) return rc;
    if ((rc = get_count(l, "rope.scaling.original_context_length", w->ctx_train, LIMIT_CTX, &w->rope_ctx))) return rc;
    if ((rc = get_positive(l, "rope.scaling.attn_factor", 1, &w->rope_size))) return rc;
    for (int i = 0; i < w->n_rot / 2; i++) freq[i] = w->rope_freq[i] / (double)far[i];
    w->rope_freq_long = freq;
    return 0;
}

static int get_rope(struct loader *l)
{
    struct weights *w = l->w;
    const float *factors = NULL;
    double base;
    int rc;

    if ((rc = get_positive(l, "rope.freq_base", 10000, &base))) return rc;
    w->rope_size = 1;
    rope_frequencies(w->rope_freq, w->n_rot, base);
    if (l->arch->long_rope && gguf_find_tensor(l->g, "rope_factors_long.weight")) {
        if ((rc = get_long_rope(l, &factors))) return rc;
    } else if ((rc = get_vector(l, "rope_freqs.weight", w->n_rot / 2, true, &factors))) {
        return rc;
    }
    if ((rc = scale_by_metadata(l, factors != NULL))) return rc;
    if (l->arch->windows) {
        /* in the place of the second set; never scaled */
        double *local = w->rope_freq + w->n_rot / 2;
        if ((rc = get_positive(l, "rope.freq_base_swa", 10000, &base))) return rc;
        rope_frequencies(local, w->n_rot, base);
        w->rope_freq_local = local;
    }
    for (int i = 0; factors && i < w->n_rot / 2; i++) w->rope_freq[i] /= (double)factors[i];
    for (int i = 0; i < (w->rope_freq_long || w->rope_freq_local ? w->n_rot : w->n_rot / 2); i++)
        if (!isfinite(w->rope_freq[i]) || w->rope_freq[i] < 0)
            return err_set(l->e, ERR_FILE, "%s: frequency %d of the position embedding is not a number", gguf_path(l->g), i);
    return 0;
}

static int check_all_claimed(const struct loader *l)
{
    size_t n = gguf_tensor_count(l->g);

    for (size_t i = 0; i < n; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(l->g, i);
        if (!l->claimed[i])
            return err_set(l->e, ERR_UNSUPPORTED, "%s: tensor %.*s is not part of a %s model as this version knows it", gguf_path(l->g),
                           (int)t->name.n, t->name.p, l->arch->name);
        l->w->n_params += (uint64_t)t->dims[0] * (uint64_t)t->dims[1];
    }
    return 0;
}

static int load(struct loader *l)
{
    int rc;

    if ((rc = find_arch(l)) || (rc = read_numbers(l)) || (rc = plan_arena(l))) return rc;
    if ((rc = get_ends(l)) || (rc = get_rope(l)) || (rc = get_windows(l))) return rc;
    for (int i = 0; i < l->w->n_layer; i++)
        if ((rc = get_layer(l, i))) return rc;
    return check_all_claimed(l);
}

int weights_init(struct weights *w, const struct gguf *g, struct err *e)
{
    struct loader l = {.w = w, .g = g, .e = e};

    memset(w, 0, sizeof(*w));
    if (!gguf_tensor_count(g)) return err_set(e, ERR_FILE, "%s: has no weights (vocabulary only)", gguf_path(g));
    l.claimed = calloc(gguf_tensor_count(g), sizeof(*l.claimed));
    int rc = l.claimed ? load(&l) : err_set(e, ERR_NOMEM, "%s: out of memory for the list of tensors", gguf_path(g));
    free(l.claimed);
    if (rc) weights_release(w);
    return rc;
}

void weights_release(struct weights *w)
{
    free(w->arena);
    free(w->layers);
    free(w->rope_freq);
    memset(w, 0, sizeof(*w));
}
