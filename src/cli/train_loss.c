/*
 * train_loss.c - supervised, DPO, KTO and GRPO losses over log-probabilities.
 *
 * A loss needs the log-probabilities of what is learnt and gives back its derivative by each of them; everything else is the trainer's. What
 * a text's policy and reference say are sums over its learnt tokens, each times its weight.
 *
 *   sft   -sum w logp / sum w, where a token of what is kept counts KL(model alone || adapted) instead
 *   grpo  the same with w the reply's advantage, divided by the number of tokens: one step on what was sampled by the values of now, where the
 *         ratio of policies is 1 and nothing is there to be clipped
 *   dpo   -log s(z), z = beta ((policy - reference) of the chosen - the same of the rejected); Rafailov et al. 2023
 *   kto   w (1 - s(+-beta (policy - reference - KL))), + for good ones; KL, at least 0, is the mean of policy - reference over prompts with
 *         the next record's completion, and not differentiated; Ethayarajh et al. 2024
 */
#include "cli/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Items that pass through the trainer together. */
struct pass {
    struct trainer *t;
    const struct train_want *w;
    struct train_item *const *items;
    size_t n;
    struct train_sequence *sequences;
    uint8_t *learn; /* of all tokens */
    float *logp, *coef;
    double total;   /* of the whole batch: weight that is learnt, or items */
    double kl;
};

/* Texts that a loss is made of. */
static int texts_of(enum train_kind k)
{
    return k == TRAIN_DPO ? 2 : 1;
}

static size_t tokens_of(const struct train_item *i, int from, int to)
{
    size_t n = 0;

    for (int k = from; k < to; k++) n += i->texts[k].ids.n;
    return n;
}

static double sigmoid(double x)
{
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

static double log_sigmoid(double x)
{
    return x >= 0 ? -log1p(exp(-x)) : x - log1p(exp(x));
}

static int pass_new(struct pass *p, struct trainer *t, const struct train_want *w, struct err *e)
{
    size_t n = (size_t)w->options.max_tokens;

    *p = (struct pass){.t = t, .w = w};
    p->sequences = calloc(n + 2, sizeof *p->sequences);
    p->learn = calloc(n, 1);
    p->logp = calloc(n, sizeof *p->logp);
    p->coef = calloc(n, sizeof *p->coef);
    return p->sequences && p->learn && p->logp && p->coef ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static void pass_release(struct pass *p)
{
    free(p->sequences);
    free(p->learn);
    free(p->logp);
    free(p->coef);
}

/* How many of the items go together, at least one. */
static size_t fitting(const struct train_want *w, struct train_item *const *items, size_t n, int from, int to)
{
    size_t tokens = 0, k = 0;

    while (k < n && (k == 0 || tokens + tokens_of(items[k], from, to) <= (size_t)w->options.max_tokens)) tokens += tokens_of(items[k++], from, to);
    return k;
}

/* Log-probabilities of the items' texts from..to. */
static int forward(struct pass *p, int from, int to, bool keep, struct train_sums *s, struct err *e)
{
    size_t n = 0, at = 0;

    for (size_t i = 0; i < p->n; i++)
        for (int k = from; k < to; k++) {
            const struct train_text *text = &p->items[i]->texts[k];
            p->sequences[n++] = (struct train_sequence){text->ids.ids, p->learn + at, text->ids.n, p->items[i]->keep};
            for (size_t j = 0; j < text->ids.n; j++) {
                p->learn[at++] = j && text->weights[j] != 0;
                if (s) s->learnt += j && text->weights[j] != 0;
            }
        }
    if (s) s->tokens += at;
    if (s) s->items += p->n;
    return at ? trainer_forward(p->t, p->sequences, n, true, keep, p->logp, e) : 0;
}

/* The weighed log-probability of a text whose learnt tokens begin at logp; *logp goes on behind them. */
static double sum_text(const struct train_text *t, const float **logp)
{
    double sum = 0;

    for (size_t i = 1; i < t->ids.n; i++)
        if (t->weights[i] != 0) sum += (double)t->weights[i] * (double)*(*logp)++;
    return sum;
}

static void spread(const struct train_text *t, double by, float **coef)
{
    for (size_t i = 1; i < t->ids.n; i++)
        if (t->weights[i] != 0) *(*coef)++ = (float)(by * (double)t->weights[i]);
}

static double weight_of_text(const struct train_text *t)
{
    double sum = 0;

    for (size_t i = 1; i < t->ids.n; i++) sum += (double)t->weights[i];
    return sum;
}

/* ---- the losses ------------------------------------------------------------------------------------------------------------ */

static void sft_loss(struct pass *p, struct train_sums *s)
{
    const float *logp = p->logp;
    float *coef = p->coef;

    for (size_t i = 0; i < p->n; i++) {
        s->loss -= p->items[i]->weight * sum_text(&p->items[i]->texts[0], &logp);
        spread(&p->items[i]->texts[0], -p->items[i]->weight / p->total, &coef);
    }
}

static void dpo_loss(struct pass *p, struct train_sums *s)
{
    const float *logp = p->logp;
    float *coef = p->coef;

    for (size_t i = 0; i < p->n; i++) {
        const struct train_item *item = p->items[i];
        double chosen = sum_text(&item->texts[0], &logp), rejected = sum_text(&item->texts[1], &logp);
        double z = p->w->beta * ((chosen - item->reference[0]) - (rejected - item->reference[1])), pull = p->w->beta * sigmoid(-z);
        /* some of the supervised loss on the chosen keeps it from losing what both lose */
        double sft = p->w->sft / weight_of_text(&item->texts[0]), share = item->weight / p->total;
        s->loss += item->weight * (-log_sigmoid(z) - sft * chosen);
        s->margin += z;
        s->right += z > 0;
        spread(&item->texts[0], -share * (pull + sft), &coef);
        spread(&item->texts[1], share * pull, &coef);
    }
}

static void kto_loss(struct pass *p, struct train_sums *s)
{
    const float *logp = p->logp;
    float *coef = p->coef;

    for (size_t i = 0; i < p->n; i++) {
        const struct train_item *item = p->items[i];
        double ratio = sum_text(&item->texts[0], &logp) - item->reference[0], sign = item->good ? 1 : -1;
        double v = sigmoid(sign * p->w->beta * (ratio - p->kl)), weight = item->weight * (item->good ? p->w->weight_good : p->w->weight_bad);
        s->loss += weight * (1 - v);
        s->margin += sign * p->w->beta * ratio;
        s->right += sign * (ratio - p->kl) > 0;
        spread(&item->texts[0], -sign * weight * p->w->beta * v * (1 - v) / p->total, &coef);
    }
}

/* ---- KL ---------------------------------------------------------------------------------------------------------------------- */

static int kl_of(struct pass *p, struct train_item *const *items, size_t n, struct err *e)
{
    double sum = 0;
    int counted = 0, rc = 0;

    for (size_t at = 0; at < n && !rc; at += p->n) {
        p->items = items + at;
        p->n = fitting(p->w, items + at, n - at, 1, 2);
        rc = forward(p, 1, 2, false, NULL, e);
        const float *logp = p->logp;
        for (size_t i = 0; i < p->n && !rc; i++) {
            if (!p->items[i]->texts[1].ids.n) continue;
            sum += sum_text(&p->items[i]->texts[1], &logp) - p->items[i]->reference[1];
            counted++;
        }
    }
    p->kl = counted && sum > 0 ? sum / counted : 0;
    return rc;
}

/* ---- passes ------------------------------------------------------------------------------------------------------------------- */

static double total_of(const struct train_want *w, struct train_item *const *items, size_t n)
{
    double total = 0;

    if (w->kind == TRAIN_DPO || w->kind == TRAIN_KTO) return (double)n;
    /* an advantage may be negative: there tokens are counted as they are */
    for (size_t i = 0; i < n; i++) total += (w->kind == TRAIN_SFT ? items[i]->weight : 1) * weight_of_text(&items[i]->texts[0]);
    return total;
}

int train_loss_run(struct trainer *t, const struct train_want *w, struct train_item *const *items, size_t n, bool learn, const volatile bool *stop,
                   struct train_sums *sums, struct err *e)
{
    static void (*const losses[TRAIN_KINDS])(struct pass *, struct train_sums *) = {sft_loss, dpo_loss, kto_loss, sft_loss};
    struct pass p;
    int rc = pass_new(&p, t, w, e);

    p.total = total_of(w, items, n);
    sums->of += p.total;
    if (!rc && w->kind == TRAIN_KTO) rc = kl_of(&p, items, n, e);
    for (size_t at = 0; at < n && !rc; at += p.n) {
        p.items = items + at;
        p.n = fitting(w, items + at, n - at, 0, texts_of(w->kind));
        if (stop && *stop) {
            rc = err_set(e, ERR_STOPPED, "stopped");
            break;
        }
        if ((rc = forward(&p, 0, texts_of(w->kind), learn, sums, e))) break;
        losses[w->kind](&p, sums);
        if (learn) rc = trainer_backward(t, p.coef, e);
    }
    pass_release(&p);
    return rc;
}

int train_loss_reference(struct trainer *t, const struct train_want *w, struct train_data *d, const volatile bool *stop, struct err *e)
{
    struct train_item **items = calloc(d->n ? d->n : 1, sizeof(struct train_item *));
    struct pass p;
    int rc = pass_new(&p, t, w, e);

    if (!items && !rc) rc = err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < d->n && !rc; i++) items[i] = &d->items[i];
    for (size_t at = 0; at < d->n && !rc; at += p.n) {
        p.items = items + at;
        p.n = fitting(w, items + at, d->n - at, 0, 2);
        if (stop && *stop) rc = err_set(e, ERR_STOPPED, "stopped");
        if (!rc) rc = forward(&p, 0, 2, false, NULL, e);
        const float *logp = p.logp;
        for (size_t i = 0; i < p.n && !rc; i++)
            for (int k = 0; k < 2; k++) p.items[i]->reference[k] = sum_text(&p.items[i]->texts[k], &logp);
    }
    free(items);
    pass_release(&p);
    return rc;
}
