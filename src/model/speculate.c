/*
 * speculate.c - when to evaluate guessed tokens together with the one that is due, and how many.
 *
 * A pass of m tokens costs less than m passes, because the weights are read once. A guess that comes true saves a pass, one that
 * does not costs the difference. So the number of guesses is the one with the most expected tokens for the time, none unless that
 * gains something, from two things that are measured all the while:
 *   - how often a guess behind a match of so many tokens was right. This is noted for every sampled token, also when nothing was
 *     evaluated ahead, so that a text which does not repeat itself costs nothing to find out about;
 *   - what a pass of m tokens costs beside a pass of one. Without evidence an estimate slowly returns to what it was at first, so
 *     that one bad moment of the machine is not for ever.
 *
 * What is evaluated ahead has the bits it would have had alone, and a pick is made from it as from any other: the text does not
 * depend on any of this.
 */
#include "model/speculate.h"

#include "model/ngrams.h"

#include <stdlib.h>

/* A pass may take this many times as long as one of a single token: commands wait for it, and the text comes in its steps. */
#define COST_MAX    2.25
#define GAIN_MIN    1.06 /* what is measured is not that exact */
#define COST_FIRST  0.15 /* of a further token, beside the first, while nothing is known */
#define COST_RETURN (1.0 / 512)
#define MEAN_OF     8    /* passes */
#define ODDS_FIRST  4.0  /* weight of the first estimate, in observations */
#define ODDS_MEMORY 96.0 /* observations before the older ones count half */

/* Right guesses behind a match of at least so many tokens, as a first estimate. */
static const struct {
    int length;
    double odds;
} steps[] = {{1, 0.1}, {2, 0.25}, {3, 0.4}, {4, 0.5}, {5, 0.55}, {7, 0.65}, {10, 0.8}, {15, 0.9}, {23, 0.93}, {NGRAMS_LENGTH, 0.95}};

struct speculator {
    struct ngrams ngrams;
    double seen[ARRAY_LEN(steps)], right[ARRAY_LEN(steps)];
    int64_t (*clock_us)(void);
    double single_us;                    /* of a pass of one token */
    double cost[SESSION_DECODE_MAX + 1]; /* of each further token of a pass of m, as a part of the first */
    int measured[SESSION_DECODE_MAX + 1];
    bool sure;    /* the next token was known, not picked */
    bool guessed; /* what was last evaluated ahead was guessed */
    size_t drafted, accepted;
};

int speculator_new(struct speculator **out, struct err *e)
{
    struct speculator *p = calloc(1, sizeof(*p));
    int rc;

    *out = NULL;
    if (!p) return err_set(e, ERR_NOMEM, "out of memory for guesses");
    if ((rc = ngrams_init(&p->ngrams, e))) {
        free(p);
        return rc;
    }
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        p->seen[i] = ODDS_FIRST;
        p->right[i] = ODDS_FIRST * steps[i].odds;
    }
    for (size_t m = 0; m <= SESSION_DECODE_MAX; m++) p->cost[m] = COST_FIRST;
    p->clock_us = clock_mono_us;
    *out = p;
    return 0;
}

void speculator_free(struct speculator *p)
{
    if (!p) return;
    ngrams_release(&p->ngrams);
    free(p);
}

int speculator_begin(struct speculator *p, const int32_t *ids, size_t n, struct err *e)
{
    p->drafted = p->accepted = 0;
    p->sure = false;
    return ngrams_begin(&p->ngrams, ids, n, e);
}

void speculator_counts(const struct speculator *p, size_t *drafted, size_t *accepted)
{
    *drafted = p->drafted;
    *accepted = p->accepted;
}

void speculator_set_clock(struct speculator *p, int64_t (*us)(void))
{
    p->clock_us = us;
}

/* ---- what is measured -------------------------------------------------------------------------------------------- */

static size_t step_of(int length)
{
    size_t i = ARRAY_LEN(steps) - 1;

    while (i && length < steps[i].length) i--;
    return i;
}

/* Notes whether the token was the one to be expected. */
static void note_token(struct speculator *p, int32_t id)
{
    int32_t expected;
    size_t i = step_of(p->ngrams.length);

    if (!ngrams_guess(&p->ngrams, &expected, 1)) return;
    p->seen[i]++;
    if (expected == id) p->right[i]++;
    if (p->seen[i] < ODDS_MEMORY) return;
    p->seen[i] /= 2;
    p->right[i] /= 2;
}

static double between(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}

/* What a mean becomes with one more value: of all at first, then of the newest. */
static double averaged(double mean, double v, int *n)
{
    if (*n < MEAN_OF) ++*n;
    return mean + (v - mean) / *n;
}

static void note_pass(struct speculator *p, size_t m, int64_t us)
{
    double took = us > 0 ? (double)us : 1;

    if (m == 1) {
        /* a pass that the machine interrupted says little about the next */
        if (p->measured[1]) took = between(took, p->single_us / 2, p->single_us * 2);
        p->single_us = averaged(p->single_us, took, &p->measured[1]);
        for (size_t k = 2; k <= SESSION_DECODE_MAX; k++) p->cost[k] += (COST_FIRST - p->cost[k]) * COST_RETURN;
        return;
    }
    p->cost[m] = averaged(p->cost[m], between((took / p->single_us - 1) / (double)(m - 1), 0, 2), &p->measured[m]);
    for (size_t k = 2; k <= SESSION_DECODE_MAX; k++)
        if (!p->measured[k]) p->cost[k] = p->cost[m];
}

/* ---- what follows from it ------------------------------------------------------------------------------------------ */

/* How many of n tokens to evaluate with the one that is due. sure: they will come, else they are guessed. */
static size_t worthwhile(const struct speculator *p, size_t n, bool sure)
{
    double chance = 1, tokens = 1, best = GAIN_MIN;
    size_t take = 0;

    if (!p->measured[1]) return 0;
    for (size_t k = 1; k <= n; k++) {
        size_t i = step_of(p->ngrams.length + (int)k - 1);
        double cost = 1 + (double)k * p->cost[k + 1];
        if (!sure) chance *= p->right[i] / p->seen[i];
        tokens += chance;
        if (cost > COST_MAX || tokens / cost <= best) continue;
        best = tokens / cost;
        take = k;
    }
    return take;
}

/* Puts what is to be evaluated with ids[0] behind it; returns how many tokens. */
static size_t look_ahead(struct speculator *p, const int32_t *sure, size_t n_sure, size_t room, int32_t *ids)
{
    size_t n = n_sure < room ? n_sure : room;

    p->guessed = !n_sure;
    if (p->guessed) n = ngrams_guess(&p->ngrams, ids + 1, room);
    n = worthwhile(p, n, !p->guessed);
    for (size_t i = 0; i < n && !p->guessed; i++) ids[1 + i] = sure[i];
    if (p->guessed) p->drafted += n;
    return n;
}

int speculator_decode(struct speculator *p, struct session *s, int32_t id, const int32_t *sure, size_t n_sure, struct err *e)
{
    int32_t ids[SESSION_DECODE_MAX] = {id};
    size_t used;

    if (!p->sure) note_token(p, id);
    p->sure = n_sure > 0;
    ngrams_add(&p->ngrams, id);
    if (session_take(s, id)) {
        p->accepted += p->guessed;
        return 0;
    }
    session_tokens(s, &used);
    size_t left = (size_t)session_ctx(s) - used, room = left > SESSION_DECODE_MAX ? SESSION_DECODE_MAX - 1 : left ? left - 1 : 0;
    size_t n = look_ahead(p, sure, n_sure, room, ids);
    int64_t start = p->clock_us();
    int rc = session_decode_ahead(s, ids, n + 1, e);
    if (!rc) note_pass(p, n + 1, p->clock_us() - start);
    return rc;
}
