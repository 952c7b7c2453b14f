/*
 * train_head.c - log-probabilities of the tokens that are learnt, and their gradient.
 *
 * The vocabulary passes by in slices, each expanded once and used for two products: scores of the labels, and the sum over the vocabulary
 * of exp(score) times its row of the output matrix. Maxima and sums are kept as in attention over tiles, so that no matrix of labels by
 * vocabulary is ever there. What a label's log-probability says about its state,
 *     d logp / d state = W[label] - sum over v of p[v] W[v],
 * is ready with the log-probability itself: a loss needs to bring no more than a coefficient for each label.
 *
 * Where a label is to be as the model alone has it, with its distribution q from a state of its own that passes beside the other,
 *     -KL(q || p) = sum over v of q[v] (log p[v] - log q[v]),   its gradient   sum over v of q[v] W[v] - sum over v of p[v] W[v]
 * take the places of the log-probability and of its gradient; nothing is learnt through q.
 */
#include "model/train.h"

#include <math.h>
#include <string.h>

struct head_step {
    const float *x, *coef;
    float *out, *dx;
    int first, n; /* the slice of the vocabulary */
};

static void gather_rows(struct trainer *t, void *arg, int lo, int hi, int worker)
{
    const struct head_step *s = arg;
    size_t n = (size_t)t->w->n_embd;

    (void)worker;
    for (int i = lo; i < hi; i++)
        rms_norm(s->x + (size_t)t->label_row[i] * n, t->w->output_norm, t->head + (size_t)(t->n_base + i) * n, t->w->n_embd, t->w->norm_eps);
}

static void clear_rows(struct trainer *t, void *arg, int lo, int hi, int worker)
{
    size_t n = (size_t)t->w->n_embd;

    (void)arg;
    (void)worker;
    for (int r = lo; r < hi; r++) {
        t->max[r] = -INFINITY;
        t->sum[r] = 0;
        if (r >= t->n_base) t->target[r - t->n_base] = 0;
        if (t->kept) memset(t->unit + (size_t)r * n, 0, n * sizeof(float));
    }
}

/* Scores of row r to exponentials, by the largest so far; what was summed by a smaller one is scaled down, by what is returned. */
static float exponential_row(struct trainer *t, int r, int n)
{
    const struct train_math *math = train_math();
    size_t width = (size_t)t->w->n_embd;
    float *scores = t->logits + (size_t)r * HEAD_SLICE, *unit = t->unit + (size_t)r * width, max = math->max(scores, n), less = 1;

    if (max > t->max[r]) {
        less = expf(t->max[r] - max);
        t->sum[r] *= less;
        for (size_t k = 0; k < width && t->kept; k++) unit[k] *= less;
        t->max[r] = max;
    }
    t->sum[r] += math->exp_sum(scores, n, t->max[r]);
    return less;
}

static void exponential_rows(struct trainer *t, void *arg, int lo, int hi, int worker)
{
    const struct head_step *s = arg;
    float more[HEAD_SLICE];

    (void)worker;
    for (int i = lo; i < hi; i++) {
        const float *scores = t->logits + (size_t)(t->n_base + i) * HEAD_SLICE;
        int label = t->label_id[i] - s->first, base = t->base_row[i];
        if (base >= 0) {
            float *alone = t->logits + (size_t)base * HEAD_SLICE;
            for (int k = 0; k < s->n; k++) more[k] = scores[k] - alone[k];
            t->target[i] *= exponential_row(t, base, s->n);
            t->target[i] += train_math()->dot(alone, more, s->n);
        } else if (label >= 0 && label < s->n) {
            t->target[i] = scores[label];
        }
        exponential_row(t, t->n_base + i, s->n);
    }
}

static void finish_rows(struct trainer *t, void *arg, int lo, int hi, int worker)
{
    const struct matrix *w = &t->w->output;
    size_t n = (size_t)t->w->n_embd;
    float *row = t->workers[worker].row;

    (void)arg;
    for (int i = lo; i < hi; i++) {
        int base = t->base_row[i];
        float *unit = t->unit + (size_t)(t->n_base + i) * n, inverse = 1.0f / t->sum[t->n_base + i];
        if (base < 0) dequant_row(w->type, w->data + (size_t)t->label_id[i] * w->row_bytes, row, w->n_in);
        for (size_t k = 0; k < n && base >= 0; k++) row[k] = t->unit[(size_t)base * n + k] / t->sum[base];
        for (size_t k = 0; k < n; k++) unit[k] = row[k] - unit[k] * inverse;
    }
}

static float result(const struct trainer *t, int i)
{
    int base = t->base_row[i], r = t->n_base + i;
    float all = t->max[r] + logf(t->sum[r]);

    if (base < 0) return t->target[i] - all;
    return t->target[i] / t->sum[base] - (all - t->max[base] - logf(t->sum[base]));
}

/* t->logits = scores for the slice; its rows are then at hand. */
static void score_slice(struct trainer *t, int first, int n)
{
    const int width = t->w->n_embd;
    struct train_product p = {.tb = true, .m = train_head_rows(t), .n = n, .k = width, .alpha = 1, .a = t->head, .b = t->weights, .c = t->logits, .lda = width,
                              .ldb = width, .ldc = HEAD_SLICE};

    if (t->bf16) {
        train_bf16_scores(t, first, n);
        return;
    }
    train_expand(t, &t->w->output, first, n, t->weights);
    train_multiply(t, &p, 1);
}

/* t->unit += exponentials times the slice's rows. */
static void sum_slice(struct trainer *t, int n)
{
    const int width = t->w->n_embd;
    struct train_product p = {.m = train_head_rows(t), .n = width, .k = n, .alpha = 1, .beta = 1, .a = t->logits, .b = t->weights, .c = t->unit, .lda = HEAD_SLICE,
                              .ldb = width, .ldc = width};

    if (t->bf16) train_bf16_sums(t, n);
    else train_multiply(t, &p, 1);
}

void train_head_base(struct trainer *t, const float *x)
{
    train_by_rows(t, t->n_labels, gather_rows, &(struct head_step){.x = x});
    t->n_base = t->n_labels;
}

void train_head_forward(struct trainer *t, const float *x, float *logp)
{
    struct head_step s = {.x = x};

    train_by_rows(t, t->n_labels, gather_rows, &s);
    train_by_rows(t, train_head_rows(t), clear_rows, NULL);
    for (s.first = 0; s.first < t->w->n_vocab && t->n_labels; s.first += HEAD_SLICE) {
        s.n = t->w->n_vocab - s.first < HEAD_SLICE ? t->w->n_vocab - s.first : HEAD_SLICE;
        score_slice(t, s.first, s.n);
        train_by_rows(t, t->n_labels, exponential_rows, &s);
        if (t->kept) sum_slice(t, s.n);
    }
    for (int i = 0; i < t->n_labels; i++) logp[i] = result(t, i);
    if (t->kept) train_by_rows(t, t->n_labels, finish_rows, &s);
}

/* A row of x has at most one label. */
static void back_rows(struct trainer *t, void *arg, int lo, int hi, int worker)
{
    const struct head_step *s = arg;
    size_t n = (size_t)t->w->n_embd;
    float *row = t->workers[worker].row;

    for (int i = lo; i < hi; i++) {
        const float *unit = t->unit + (size_t)(t->n_base + i) * n;
        size_t at = (size_t)t->label_row[i] * n;
        for (size_t k = 0; k < n; k++) row[k] = s->coef[i] * unit[k];
        train_math()->norm_back(s->x + at, t->w->output_norm, row, s->dx + at, t->w->n_embd, t->w->norm_eps);
    }
}

void train_head_backward(struct trainer *t, const float *x, const float *coef, float *dx)
{
    struct head_step s = {.x = x, .coef = coef, .dx = dx};

    memset(dx, 0, (size_t)t->n * (size_t)t->w->n_embd * sizeof(float));
    train_by_rows(t, t->n_labels, back_rows, &s);
}
