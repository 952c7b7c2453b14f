/*
 * train.c - a trainer's life, and the order of its passes.
 *
 * Knows models made of norms, causal attention over all positions (with biases, norms of heads, any sharing of keys) and a gated
 * feed-forward: llama, qwen2, qwen3, smollm3. The embedding, norms and the output matrix are not taught.
 */
#include "model/blas.h"
#include "model/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_RANK 256
#define LIMIT_TOKENS 65536

/* ---- what can be taught ------------------------------------------------------------------------------------------------- */

static const char *what_is_missing(const struct weights *w)
{
    if (w->conv) return "convolutions";
    if (w->gelu || w->embed_scale != 1) return "a GELU gate";
    if (w->fused) return "matrices in one";
    if (w->rope_freq_long) return "two sets of positions";
    for (int i = 0; i < w->n_layer; i++)
        if (w->layers[i].attn_post_norm || w->layers[i].ffn_post_norm || w->layers[i].window) return "windows or norms behind a half";
    return NULL;
}

static int check_options(const struct trainer *t, struct err *e)
{
    const struct train_options *o = &t->o;
    const char *missing = what_is_missing(t->w);

    if (missing) return err_set(e, ERR_UNSUPPORTED, "%s: models with %s cannot be trained", t->m->info.path, missing);
    if (o->rank < 1 || o->rank > LIMIT_RANK) return err_set(e, ERR_INVALID, "a rank of %d: 1 to %d", o->rank, LIMIT_RANK);
    if (!(fabs(o->alpha) > 0) || !isfinite(o->alpha)) return err_set(e, ERR_INVALID, "alpha must be a number that is not 0");
    if (!(o->targets & TRAIN_ALL) || o->targets & ~TRAIN_ALL) return err_set(e, ERR_INVALID, "no matrix to teach");
    if (o->max_tokens < 1 || o->max_tokens > LIMIT_TOKENS)
        return err_set(e, ERR_INVALID, "%d tokens at once: 1 to %d", o->max_tokens, LIMIT_TOKENS);
    return 0;
}

/* ---- groups ------------------------------------------------------------------------------------------------------------- */

static void add_part(struct trainer *t, struct train_group *g, enum adapted which, const struct matrix *w)
{
    struct train_part *p = &g->parts[g->n_parts++];

    *p = (struct train_part){.which = which, .w = w, .at = g->n_out, .low_at = -1};
    g->n_in = (int)w->n_in;
    g->n_out += (int)w->n_out;
    if (t->o.targets >> which & 1) g->n_low += t->o.rank;
}

/* Places of the group's values: A halves, then B halves. */
static void place_values(struct trainer *t, struct train_group *g)
{
    size_t rank = (size_t)t->o.rank;
    int low = g->n_out;

    g->rows = g->n_out + g->n_low;
    g->a = t->n_values;
    t->n_values += (size_t)g->n_low * (size_t)g->n_in;
    for (int i = 0; i < g->n_parts; i++) {
        struct train_part *p = &g->parts[i];
        if (!(t->o.targets >> p->which & 1)) continue;
        p->low_at = low;
        low += t->o.rank;
        p->b = t->n_values;
        t->n_values += (size_t)p->w->n_out * rank;
    }
}

static int make_groups(struct trainer *t, struct err *e)
{
    const struct weights *w = t->w;

    if (!(t->groups = calloc((size_t)w->n_layer, sizeof *t->groups))) return err_set(e, ERR_NOMEM, "out of memory");
    for (int i = 0; i < w->n_layer; i++) {
        const struct layer *y = &w->layers[i];
        struct train_group *g = t->groups[i];
        add_part(t, &g[GROUP_QKV], ADAPT_Q, &y->wq);
        add_part(t, &g[GROUP_QKV], ADAPT_K, &y->wk);
        add_part(t, &g[GROUP_QKV], ADAPT_V, &y->wv);
        add_part(t, &g[GROUP_OUT], ADAPT_O, &y->wo);
        add_part(t, &g[GROUP_GATE_UP], ADAPT_GATE, &y->gate);
        add_part(t, &g[GROUP_GATE_UP], ADAPT_UP, &y->up);
        add_part(t, &g[GROUP_DOWN], ADAPT_DOWN, &y->down);
        for (int k = 0; k < TRAIN_GROUPS; k++) place_values(t, &g[k]);
    }
    return 0;
}

/* ---- memory ------------------------------------------------------------------------------------------------------------- */

static int widest(int a, int b)
{
    return a > b ? a : b;
}

/* Floats a token of what is kept of a layer, beside its x. */
static size_t kept_floats(const struct trainer *t)
{
    const struct weights *w = t->w;
    const struct train_group *g = t->groups[0];
    size_t n = (size_t)(g[GROUP_QKV].rows + w->n_q + w->n_head + g[GROUP_OUT].n_low + w->n_embd + g[GROUP_GATE_UP].rows + g[GROUP_DOWN].n_low);

    return w->layers[0].q_norm ? n + (size_t)(w->n_q + w->n_kv) : n;
}

static float *take(float **at, size_t n)
{
    float *p = *at;
    *at += (n + 15) / 16 * 16;
    return p;
}

static int make_kept(struct trainer *t, struct err *e)
{
    const struct weights *w = t->w;
    const struct train_group *g = t->groups[0];
    size_t tokens = (size_t)t->o.max_tokens, layers = (size_t)w->n_layer, n = (size_t)w->n_embd;
    uint64_t limit = t->o.memory ? t->o.memory : memory_available() / 2;

    t->recompute = limit && sizeof(float) * tokens * layers * (kept_floats(t) + n) > limit;
    size_t sets = t->recompute ? 1 : layers;
    t->layers = calloc(layers + 1, sizeof *t->layers);
    t->memory = floats_new((tokens * n + 16) * (layers + 1) + (tokens * kept_floats(t) + 10 * 16) * sets);
    if (!t->layers || !t->memory)
        return err_set(e, ERR_NOMEM, "out of memory for what %d tokens keep", t->o.max_tokens);
    float *at = t->memory;
    for (size_t i = 0; i <= layers; i++) t->layers[i].x = take(&at, tokens * n);
    for (size_t i = 0; i < layers; i++) {
        struct train_kept *k = &t->layers[i];
        float *x = k->x;
        if (i && t->recompute) {
            *k = t->layers[0];
            k->x = x;
            continue;
        }
        k->qkv = take(&at, tokens * (size_t)g[GROUP_QKV].rows);
        k->raw = w->layers[i].q_norm ? take(&at, tokens * (size_t)(w->n_q + w->n_kv)) : NULL;
        k->attended = take(&at, tokens * (size_t)w->n_q);
        k->lse = take(&at, tokens * (size_t)w->n_head);
        k->low_out = take(&at, tokens * (size_t)g[GROUP_OUT].n_low);
        k->mid = take(&at, tokens * n);
        k->gate_up = take(&at, tokens * (size_t)g[GROUP_GATE_UP].rows);
        k->low_down = take(&at, tokens * (size_t)g[GROUP_DOWN].n_low);
    }
    return 0;
}

static int make_scratch(struct trainer *t, struct err *e)
{
    const struct weights *w = t->w;
    const struct train_group *g = t->groups[0];
    size_t tokens = (size_t)t->o.max_tokens, n = (size_t)w->n_embd;
    int in = widest(widest(w->n_embd, w->n_q), w->n_ff), rows = 0, row = widest(widest(w->n_embd, w->head_dim), w->n_rot);
    size_t operand = (size_t)HEAD_SLICE * n;

    for (int k = 0; k < TRAIN_GROUPS; k++) {
        size_t size = (size_t)g[k].rows * (size_t)g[k].n_in;
        rows = widest(rows, g[k].rows);
        operand = size > operand ? size : operand;
    }
    const struct {
        float **p;
        size_t n;
    } buffers[] = {
        {&t->weights, operand},        {&t->in, tokens * (size_t)in},
        {&t->out, tokens * (n + (size_t)t->o.rank)}, {&t->dx, tokens * n},
        {&t->dy, tokens * (size_t)rows}, {&t->din, tokens * (size_t)in},
        {&t->head, 2 * tokens * n},    {&t->unit, 2 * tokens * n},
        {&t->logits, 2 * tokens * HEAD_SLICE}, {&t->max, 2 * tokens},
        {&t->sum, 2 * tokens},         {&t->target, tokens},
        {&t->cos_sin, tokens * (size_t)w->n_rot}, {&t->values, t->n_values},
        {&t->grads, t->n_values},      {&t->first, t->n_values},
        {&t->second, t->n_values},
    };
    for (size_t i = 0; i < ARRAY_LEN(buffers); i++)
        if (!(*buffers[i].p = floats_new(buffers[i].n))) return err_set(e, ERR_NOMEM, "out of memory for training");
    t->ids = calloc(tokens, sizeof *t->ids);
    t->label_row = calloc(tokens, sizeof *t->label_row);
    t->label_id = calloc(tokens, sizeof *t->label_id);
    t->base_row = calloc(tokens, sizeof *t->base_row);
    t->begins = calloc(tokens + 1, sizeof *t->begins);
    t->workers = calloc((size_t)t->o.n_threads, sizeof *t->workers);
    if (!t->ids || !t->label_row || !t->label_id || !t->base_row || !t->begins || !t->workers) return err_set(e, ERR_NOMEM, "out of memory for training");
    for (int i = 0; i < t->o.n_threads; i++) {
        struct train_worker *own = &t->workers[i];
        own->scores = floats_new(ATTEND_ROWS * tokens);
        own->deltas = floats_new(ATTEND_ROWS * tokens);
        own->row = floats_new((size_t)row);
        if (!own->scores || !own->deltas || !own->row) return err_set(e, ERR_NOMEM, "out of memory for training");
    }
    return 0;
}

/* ---- first values ------------------------------------------------------------------------------------------------------- */

static double uniform(uint64_t *state) /* splitmix64: 0 to 1 */
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static void set_first_values(struct trainer *t)
{
    uint64_t state = t->o.seed;

    memset(t->values, 0, t->n_values * sizeof(float));
    memset(t->first, 0, t->n_values * sizeof(float));
    memset(t->second, 0, t->n_values * sizeof(float));
    for (int i = 0; i < t->w->n_layer; i++)
        for (int k = 0; k < TRAIN_GROUPS; k++) {
            const struct train_group *g = &t->groups[i][k];
            double bound = 1 / sqrt((double)g->n_in);
            for (size_t v = 0; v < (size_t)g->n_low * (size_t)g->n_in; v++) t->values[g->a + v] = (float)((2 * uniform(&state) - 1) * bound);
        }
    trainer_clear(t);
}

/* ---- life --------------------------------------------------------------------------------------------------------------- */

static int init(struct trainer *t, struct err *e)
{
    int rc;

    if ((rc = check_options(t, e)) || (rc = pool_new(&t->pool, t->o.n_threads, e)) || (rc = make_groups(t, e)) || (rc = make_kept(t, e)) ||
        (rc = make_scratch(t, e)) || (rc = blas_prepare(t->o.n_threads, e)))
        return rc;
    if (!t->o.f32 && !strcmp(kernels_name(), "amx") && (rc = train_bf16_new(t, e))) return rc;
    t->scale = (float)(t->o.alpha / t->o.rank);
    while (t->lowest < t->w->n_layer - 1) {
        const struct train_group *g = t->groups[t->lowest];
        if (g[0].n_low + g[1].n_low + g[2].n_low + g[3].n_low) break;
        t->lowest++;
    }
    set_first_values(t);
    return 0;
}

int trainer_new(struct trainer **out, const struct engine *m, const struct train_options *o, struct err *e)
{
    *out = NULL;
    struct trainer *t = calloc(1, sizeof *t);
    if (!t) return err_set(e, ERR_NOMEM, "out of memory for training");
    t->m = m;
    t->w = &m->w;
    t->o = *o;
    int rc = init(t, e);
    if (rc) {
        trainer_free(t);
        return rc;
    }
    *out = t;
    return 0;
}

void trainer_free(struct trainer *t)
{
    if (!t) return;
    for (int i = 0; t->workers && i < t->o.n_threads; i++) {
        free(t->workers[i].scores);
        free(t->workers[i].deltas);
        free(t->workers[i].row);
    }
    train_bf16_free(t);
    void *all[] = {t->workers, t->ids,  t->label_row, t->label_id, t->base_row, t->begins, t->weights, t->in,      t->out,    t->dx,    t->dy,   t->din,    t->head,
                   t->unit,    t->logits, t->max,   t->sum,      t->target, t->cos_sin, t->values, t->grads, t->first, t->second, t->layers, t->memory,
                   t->groups};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) free(all[i]);
    pool_free(t->pool);
    free(t);
}

size_t trainer_parameters(const struct trainer *t)
{
    return t->n_values;
}

bool trainer_recomputes(const struct trainer *t)
{
    return t->recompute;
}

const char *trainer_precision(const struct trainer *t)
{
    return t->bf16 ? "bf16" : "f32";
}

/* ---- passes ------------------------------------------------------------------------------------------------------------- */

/* alone_only: none but those that are to be as the model alone. */
static int take_sequences(struct trainer *t, const struct train_sequence *s, size_t n, bool alone_only, struct err *e)
{
    int n_alone = 0;

    t->n = t->n_sequences = t->n_labels = 0;
    for (size_t i = 0; i < n; i++) {
        if (alone_only && !s[i].as_alone) continue;
        if (s[i].n > (size_t)(t->o.max_tokens - t->n))
            return err_set(e, ERR_TOO_LONG, "sequences of more than %d tokens together", t->o.max_tokens);
        if (!s[i].n) continue;
        t->begins[t->n_sequences++] = t->n;
        for (size_t k = 0; k < s[i].n; k++) {
            int32_t id = s[i].ids[k];
            if (id < 0 || id >= t->w->n_vocab) return err_set(e, ERR_INVALID, "token %d is not in the vocabulary of %d", id, t->w->n_vocab);
            if (k && s[i].learn[k]) {
                t->label_row[t->n_labels] = t->n - 1;
                t->base_row[t->n_labels] = s[i].as_alone && t->adapted ? n_alone++ : -1;
                t->label_id[t->n_labels++] = id;
            }
            rope_angles(t->w->rope_freq, t->w->n_rot, t->w->rope_size, (int64_t)k, t->cos_sin + (size_t)t->n * (size_t)t->w->n_rot);
            t->ids[t->n++] = id;
        }
    }
    t->begins[t->n_sequences] = t->n;
    return t->n ? 0 : err_set(e, ERR_INVALID, "no tokens");
}

static void embed_rows(struct trainer *t, void *arg, int lo, int hi, int worker)
{
    const struct matrix *w = &t->w->embed;

    (void)arg;
    (void)worker;
    for (int r = lo; r < hi; r++)
        dequant_row(w->type, w->data + (size_t)t->ids[r] * w->row_bytes, t->layers[0].x + (size_t)r * (size_t)w->n_in, w->n_in);
}

/* What comes out of the last layer. */
static const float *forward_layers(struct trainer *t)
{
    train_by_rows(t, t->n, embed_rows, NULL);
    for (int i = 0; i < t->w->n_layer; i++) train_layer_forward(t, i, t->layers[i + 1].x);
    return t->layers[t->w->n_layer].x;
}

int trainer_forward(struct trainer *t, const struct train_sequence *s, size_t n, bool adapted, bool keep, float *logp, struct err *e)
{
    bool any = false;
    int rc = 0;

    t->ready = t->adapted = t->kept = false;
    t->n_base = 0;
    for (size_t i = 0; i < n; i++) any |= s[i].as_alone && s[i].n;
    if (any && adapted) {
        if ((rc = take_sequences(t, s, n, true, e))) return rc;
        train_head_base(t, forward_layers(t));
    }
    t->adapted = adapted;
    if ((rc = take_sequences(t, s, n, false, e))) return rc;
    t->kept = keep;
    train_head_forward(t, forward_layers(t), logp);
    t->ready = keep && adapted;
    return 0;
}

int trainer_backward(struct trainer *t, const float *coef, struct err *e)
{
    if (!t->ready) return err_set(e, ERR_INVALID, "there is no forward pass to go back through");
    t->ready = false;
    train_head_backward(t, t->layers[t->w->n_layer].x, coef, t->dx);
    for (int i = t->w->n_layer; i-- > t->lowest;) {
        /* the last layer's are still there; what goes into the next one stays as it is */
        if (t->recompute && i < t->w->n_layer - 1) train_layer_forward(t, i, t->layers[i + 1].x);
        train_layer_backward(t, i);
    }
    return 0;
}

/* ---- the optimiser ------------------------------------------------------------------------------------------------------ */

void trainer_clear(struct trainer *t)
{
    memset(t->grads, 0, t->n_values * sizeof(float));
}

#define STEP_VALUES 16384

struct step_job {
    struct trainer *t;
    struct train_adam a;
};

static void step_item(void *arg, int item, int worker)
{
    const struct step_job *j = arg;
    size_t at = (size_t)item * STEP_VALUES, n = j->t->n_values - at < STEP_VALUES ? j->t->n_values - at : STEP_VALUES;

    (void)worker;
    train_math()->adam(&j->a, j->t->values + at, j->t->grads + at, j->t->first + at, j->t->second + at, (int)n);
}

static double gradient_norm(const struct trainer *t)
{
    double sum = 0;

    for (size_t at = 0; at < t->n_values; at += STEP_VALUES)
        sum += train_math()->squares(t->grads + at, (int)(t->n_values - at < STEP_VALUES ? t->n_values - at : STEP_VALUES));
    return sqrt(sum);
}

int trainer_step(struct trainer *t, const struct train_step *o, double *norm, struct err *e)
{
    double size = gradient_norm(t), step = (double)t->steps + 1;
    struct step_job j = {t, {.lr = (float)o->lr, .beta1 = (float)o->beta1, .beta2 = (float)o->beta2, .eps = (float)o->eps, .decay = (float)o->decay,
                             .scale = 1, .correct1 = (float)(1 - pow(o->beta1, step)), .correct2 = (float)sqrt(1 - pow(o->beta2, step))}};

    if (norm) *norm = size;
    if (!isfinite(size)) {
        trainer_clear(t);
        return err_set(e, ERR_INVALID, "the gradient is not a number");
    }
    if (o->clip > 0 && size > o->clip) j.a.scale = (float)(o->clip / (size + 1e-6));
    pool_run(t->pool, step_item, &j, (int)((t->n_values + STEP_VALUES - 1) / STEP_VALUES));
    t->steps++;
    trainer_clear(t);
    return 0;
}

double train_schedule(double lr, double lowest, int64_t step, int64_t warmup, int64_t total)
{
    if (step < warmup) return lr * (double)(step + 1) / (double)warmup;
    if (step >= total || total <= warmup) return lr * (total <= warmup ? 1 : lowest);
    double way = (double)(step - warmup) / (double)(total - warmup);
    return lr * (lowest + (1 - lowest) * 0.5 * (1 + cos(3.14159265358979323846 * way)));
}
