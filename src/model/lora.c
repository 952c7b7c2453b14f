/*
 * lora.c - GGUF adapters (LoRA, Hu et al. 2021): read, checked against a model, and added to a session's products.
 *
 * Invariants: an adapter that is open fits its engine - every pair of matrices has the shape that the adapted one asks for - and is kept
 * in f32, apart from its file. Its set of a session changes only together with the timeline, as cached keys and values depend on it.
 *
 * It does not merge adapters into weights, and knows none for the embedding or the output matrix.
 */
#include "model/lora.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_RANK = 1024 };

/* A: rank rows of n_in. B: n_out rows of rank. NULL where this matrix is left alone. */
struct pair {
    float *a, *b;
    int n_in, n_out, rank;
};

struct adapter {
    const struct engine *m;
    double alpha;       /* 0: the scale is what the user says */
    const struct family *family; /* that it was taught to be, NULL: the model's own */
    struct pair *pairs; /* [n_layer][ADAPTED_MATRICES] */
    struct str identity; /* of its file, as gguf_add_identity has it */
};

static const char *const matrix_names[ADAPTED_MATRICES] = {"attn_q", "attn_k",   "attn_v",            "attn_output",       "ffn_gate",
                                                           "ffn_up", "ffn_down", "shortconv.in_proj", "shortconv.out_proj"};

static const struct matrix *matrix_of(const struct weights *w, int layer, enum adapted which)
{
    const struct layer *y = &w->layers[layer];
    const struct matrix *all[ADAPTED_MATRICES] = {&y->wq, &y->wk, &y->wv, &y->wo, &y->gate, &y->up, &y->down, &y->mix_in, &y->mix_out};
    return all[which];
}

/* ---- the file ------------------------------------------------------------------------------------------------------ */

static bool says(const struct gguf *g, const char *key, const char *value)
{
    struct gguf_string s;
    return gguf_get_string(g, key, &s) && s.n == strlen(value) && !memcmp(s.p, value, s.n);
}

static int check_kind(struct adapter *a, const struct gguf *g, struct err *e)
{
    const char *path = gguf_path(g);

    if (!says(g, "general.type", "adapter") || !says(g, "adapter.type", "lora"))
        return err_set(e, ERR_FILE, "%s: is not a LoRA adapter (general.type, adapter.type)", path);
    if (!says(g, "general.architecture", a->m->w.arch))
        return err_set(e, ERR_FILE, "%s: is not an adapter for a %s model", path, a->m->w.arch);
    gguf_get_real(g, "adapter.lora.alpha", &a->alpha);
    if (!isfinite(a->alpha)) return err_set(e, ERR_FILE, "%s: adapter.lora.alpha is not a number", path);
    /* a name is heeded only where it is what comes of this model: another one would break the template */
    const struct family *trained = family_trained(a->m->info.family);
    if (trained != a->m->info.family && says(g, ADAPTER_FAMILY_KEY, trained->name)) a->family = trained;
    return 0;
}

/* Expands t, which must have rows of n elements, into *out. */
static int expand(const struct gguf *g, const struct gguf_tensor *t, int64_t n, int64_t rows, float **out, struct err *e)
{
    if (t->dims[0] != n || t->dims[1] != rows || t->dims[2] != 1 || t->dims[3] != 1)
        return err_set(e, ERR_FILE, "%s: tensor %.*s is %lld x %lld, and should be %lld x %lld", gguf_path(g), (int)t->name.n, t->name.p,
                       (long long)t->dims[0], (long long)t->dims[1], (long long)n, (long long)rows);
    if (!kernel_supports(t->type))
        return err_set(e, ERR_UNSUPPORTED, "%s: quantisation type %u of tensor %.*s is not supported", gguf_path(g), t->type,
                       (int)t->name.n, t->name.p);
    if (!(*out = floats_new((size_t)n * (size_t)rows))) return err_set(e, ERR_NOMEM, "%s: out of memory", gguf_path(g));
    size_t row = (size_t)(n / tensor_block_elements(t->type)) * (size_t)tensor_block_bytes(t->type);
    for (int64_t r = 0; r < rows; r++) dequant_row(t->type, t->data + (size_t)r * row, *out + r * n, n);
    return 0;
}

/* The two halves of NAME.weight's pair; both NULL where the adapter has none. */
static int find_pair(const struct gguf *g, int layer, const char *matrix, const struct gguf_tensor **ta, const struct gguf_tensor **tb,
                     struct err *e)
{
    char name[96];

    snprintf(name, sizeof name, "blk.%d.%s.weight.lora_a", layer, matrix);
    *ta = gguf_find_tensor(g, name);
    name[strlen(name) - 1] = 'b';
    *tb = gguf_find_tensor(g, name);
    if (!*ta != !*tb)
        return err_set(e, ERR_FILE, "%s: tensor %.*s is without its other half", gguf_path(g), (int)(*ta ? *ta : *tb)->name.n,
                       (*ta ? *ta : *tb)->name.p);
    if (*ta && (*ta)->dims[1] > LIMIT_RANK)
        return err_set(e, ERR_FILE, "%s: a rank of %lld, over %d", gguf_path(g), (long long)(*ta)->dims[1], LIMIT_RANK);
    return 0;
}

/* A pair for n matrices from `first` on that lie under one another in the model's file: A is for all of them, B is cut. */
static int load_fused(struct adapter *a, const struct gguf *g, int layer, const char *matrix, enum adapted first, int n, size_t *n_claimed,
                      struct err *e)
{
    const struct gguf_tensor *ta, *tb;
    float *low = NULL, *high = NULL, *rows;
    int64_t n_in = matrix_of(&a->m->w, layer, first)->n_in, n_out = 0;
    int rc;

    if ((rc = find_pair(g, layer, matrix, &ta, &tb, e)) || !ta) return rc;
    for (int k = 0; k < n; k++) n_out += matrix_of(&a->m->w, layer, (enum adapted)((int)first + k))->n_out;
    const int rank = (int)ta->dims[1];
    if (!(rc = expand(g, ta, n_in, rank, &low, e))) rc = expand(g, tb, rank, n_out, &high, e);
    rows = high;
    for (int k = 0; k < n && !rc; k++) {
        struct pair *p = &a->pairs[(size_t)layer * ADAPTED_MATRICES + (size_t)first + (size_t)k];
        p->rank = rank;
        p->n_in = (int)n_in;
        p->n_out = (int)matrix_of(&a->m->w, layer, (enum adapted)((int)first + k))->n_out;
        size_t na = (size_t)n_in * (size_t)rank, nb = (size_t)p->n_out * (size_t)rank;
        p->a = floats_new(na);
        p->b = floats_new(nb);
        if (!p->a || !p->b) {
            rc = err_set(e, ERR_NOMEM, "%s: out of memory", gguf_path(g));
            break;
        }
        memcpy(p->a, low, na * sizeof *low);
        memcpy(p->b, rows, nb * sizeof *rows);
        rows += nb;
    }
    free(low);
    free(high);
    *n_claimed += 2;
    return rc;
}

static int load_pair(struct adapter *a, const struct gguf *g, int layer, enum adapted which, size_t *n_claimed, struct err *e)
{
    const struct matrix *m = matrix_of(&a->m->w, layer, which);
    struct pair *p = &a->pairs[(size_t)layer * ADAPTED_MATRICES + which];
    const struct gguf_tensor *ta, *tb;
    int rc;

    if ((rc = find_pair(g, layer, matrix_names[which], &ta, &tb, e)) || !ta) return rc;
    p->rank = (int)ta->dims[1];
    p->n_in = (int)m->n_in;
    p->n_out = (int)m->n_out;
    if ((rc = expand(g, ta, m->n_in, p->rank, &p->a, e)) || (rc = expand(g, tb, p->rank, m->n_out, &p->b, e))) return rc;
    *n_claimed += 2;
    return 0;
}

static int load(struct adapter *a, const struct gguf *g, struct err *e)
{
    const struct weights *w = &a->m->w;
    size_t n_claimed = 0;
    int rc;

    if ((rc = check_kind(a, g, e))) return rc;
    if (!(a->pairs = calloc((size_t)w->n_layer * ADAPTED_MATRICES, sizeof *a->pairs)))
        return err_set(e, ERR_NOMEM, "%s: out of memory", gguf_path(g));
    for (int i = 0; i < w->n_layer; i++) {
        if (w->fused && ((rc = load_fused(a, g, i, "attn_qkv", ADAPT_Q, 3, &n_claimed, e)) ||
                         (rc = load_fused(a, g, i, "ffn_up", ADAPT_GATE, 2, &n_claimed, e))))
            return rc;
        for (int k = 0; k < ADAPTED_MATRICES; k++)
            if (!w->fused || k == ADAPT_O || k == ADAPT_DOWN)
                if ((rc = load_pair(a, g, i, (enum adapted)k, &n_claimed, e))) return rc;
    }
    if (!n_claimed || n_claimed != gguf_tensor_count(g))
        return err_set(e, ERR_UNSUPPORTED, "%s: %zu of its %zu tensors are for matrices that can be adapted", gguf_path(g), n_claimed,
                       gguf_tensor_count(g));
    return 0;
}

int adapter_take(struct adapter **out, const struct engine *m, const struct gguf *g, struct err *e)
{
    *out = NULL;
    struct adapter *a = calloc(1, sizeof *a);
    if (a) {
        a->m = m;
        gguf_add_identity(g, &a->identity);
        if (!str_ok(&a->identity)) {
            adapter_free(a);
            a = NULL;
        }
    }
    int rc = a ? load(a, g, e) : err_set(e, ERR_NOMEM, "%s: out of memory", gguf_path(g));
    if (rc) {
        adapter_free(a);
        return rc;
    }
    *out = a;
    return 0;
}

int adapter_open(struct adapter **out, const struct engine *m, const char *path, struct err *e)
{
    struct gguf *g;
    int rc;

    *out = NULL;
    if ((rc = gguf_open(&g, path, e))) return rc;
    rc = adapter_take(out, m, g, e);
    gguf_close(g);
    return rc;
}

void adapter_free(struct adapter *a)
{
    if (!a) return;
    for (size_t i = 0; a->pairs && i < (size_t)a->m->w.n_layer * ADAPTED_MATRICES; i++) {
        free(a->pairs[i].a);
        free(a->pairs[i].b);
    }
    free(a->pairs);
    str_release(&a->identity);
    free(a);
}

int adapter_open_text(struct adapter **out, double *scale, const struct engine *m, const char *text, size_t n, struct err *e)
{
    char *path = mem_dup_text(text, n), *colon, *end;

    *out = NULL;
    *scale = 1;
    if (!path) return err_set(e, ERR_NOMEM, "out of memory");
    if ((colon = strrchr(path, ':')) && colon[1]) {
        double v = strtod(colon + 1, &end);
        if (!*end && v > -1000 && v < 1000) {
            *scale = v;
            *colon = '\0';
        }
    }
    int rc = adapter_open(out, m, path, e);
    free(path);
    return rc;
}

int adapter_pair(const struct adapter *a, int layer, enum adapted which, const float **low, const float **high)
{
    const struct pair *p = &a->pairs[(size_t)layer * ADAPTED_MATRICES + (size_t)which];

    *low = p->a;
    *high = p->b;
    return p->a ? p->rank : 0;
}

const struct family *adapter_family(const struct adapter *a)
{
    return a->family ? a->family : a->m->info.family;
}

double adapter_alpha(const struct adapter *a)
{
    return a->alpha;
}

/* ---- on a session --------------------------------------------------------------------------------------------------- */

struct lora_worker {
    struct act *x, *t;
    float *low, *high; /* [DECODE_MAX][rank], [DECODE_MAX][n_out], of the largest */
};

struct lora {
    const struct adapter **adapters;
    double *scales;
    size_t n;
    struct lora_worker *workers;
    int n_workers;
};

void lora_free(struct lora *o)
{
    if (!o) return;
    for (int i = 0; o->workers && i < o->n_workers; i++) {
        act_free(o->workers[i].x);
        act_free(o->workers[i].t);
        free(o->workers[i].low);
        free(o->workers[i].high);
    }
    free(o->workers);
    free(o->adapters);
    free(o->scales);
    free(o);
}

static int lora_new(struct lora **out, const struct session *s, const struct adapter *const *list, const double *scales, size_t n,
                    struct err *e)
{
    const struct weights *w = &s->m->w;
    int width = w->n_embd > w->n_q ? w->n_embd : w->n_q, rc = 0;
    struct lora *o = *out = calloc(1, sizeof *o);

    if (middle_width(w) > width) width = middle_width(w);
    if (!o) return err_set(e, ERR_NOMEM, "out of memory for adapters");
    o->n = n;
    o->n_workers = pool_threads(s->pool);
    o->adapters = calloc(n, sizeof *o->adapters);
    o->scales = calloc(n, sizeof *o->scales);
    o->workers = calloc((size_t)o->n_workers, sizeof *o->workers);
    if (!o->adapters || !o->scales || !o->workers) return err_set(e, ERR_NOMEM, "out of memory for adapters");
    memcpy(o->adapters, list, n * sizeof *list);
    memcpy(o->scales, scales, n * sizeof *scales);
    for (int i = 0; i < o->n_workers && !rc; i++) {
        struct lora_worker *own = &o->workers[i];
        own->low = floats_new((size_t)DECODE_MAX * LIMIT_RANK);
        own->high = floats_new((size_t)DECODE_MAX * (size_t)width);
        if (!own->low || !own->high) return err_set(e, ERR_NOMEM, "out of memory for adapters");
        if (!(rc = act_new(&own->x, width, DECODE_MAX, e))) rc = act_new(&own->t, LIMIT_RANK, DECODE_MAX, e);
    }
    return rc;
}

int session_set_adapters(struct session *s, const struct adapter *const *list, const double *scales, size_t n, struct err *e)
{
    struct lora *o = NULL;
    int rc = 0;

    for (size_t i = 0; i < n; i++) {
        if (list[i]->m != s->m) return err_set(e, ERR_INVALID, "an adapter for another model");
        if (!isfinite(scales[i])) return err_set(e, ERR_INVALID, "an adapter's scale is not a number");
    }
    if (n && (rc = lora_new(&o, s, list, scales, n, e))) {
        lora_free(o);
        return rc;
    }
    lora_free(s->lora);
    s->lora = o;
    session_truncate(s, 0);
    return 0;
}

void lora_add_identity(const struct lora *o, struct str *out)
{
    for (size_t i = 0; o && i < o->n; i++) {
        str_addf(out, "adapter %a ", o->scales[i]);
        str_add_bytes(out, o->adapters[i]->identity.data, o->adapters[i]->identity.len);
    }
}

void lora_add(struct lora *o, int worker, int layer, enum adapted which, const float *x, int m, float *y)
{
    struct lora_worker *own = &o->workers[worker];
    bool prepared = false;

    for (size_t i = 0; i < o->n; i++) {
        const struct pair *p = &o->adapters[i]->pairs[(size_t)layer * ADAPTED_MATRICES + which];
        double alpha = o->adapters[i]->alpha;
        if (!p->a || o->scales[i] == 0) continue;
        const float scale = (float)(alpha != 0 ? o->scales[i] * alpha / p->rank : o->scales[i]);
        if (!prepared) act_prepare(own->x, x, p->n_in, p->n_in, m);
        prepared = true;
        gemv_rows(TENSOR_F32, p->a, (size_t)p->n_in * sizeof(float), 0, p->rank, own->x, own->low, p->rank);
        act_prepare(own->t, own->low, p->rank, p->rank, m);
        gemv_rows(TENSOR_F32, p->b, (size_t)p->rank * sizeof(float), 0, p->n_out, own->t, own->high, p->n_out);
        for (size_t k = 0; k < (size_t)m * (size_t)p->n_out; k++) y[k] += scale * own->high[k];
    }
}
