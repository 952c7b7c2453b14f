/*
 * sampler.c - logits to one token id.
 *
 * The order is the one the makers' sampling values were published for: repeat penalty, temperature, top-k, top-p, min-p.
 *
 * Invariants
 *   - Exactly one random number a pick, also for greedy ones, so that the n-th pick depends on the seed and n alone.
 *   - The logits come back as they were, so that a position can be asked twice when a pick was refused.
 *   - No order but (logit descending, id ascending) matters, and exp is our own: the same bits on every machine.
 *   - A NaN counts as -INFINITY.
 *
 * Tokens less likely than e^-23 (1e-10) of the likeliest are left out: all of a 200 000 word vocabulary together weigh less
 * than 2e-5 there. Nothing is ever sorted but one bucket of the histogram.
 */
#include "model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

#define REPEAT_WINDOW   64
#define FLOOR_X         (-23.0f)
#define BUCKETS_PER_E   4
#define N_BUCKETS       (23 * BUCKETS_PER_E + 1)
#define N_POWERS        1064
#define LANES           16 /* logits in a block */
#define TOP_K_BOUND_MAX 256

struct cand {
    int32_t id;
    float x;  /* (logit - best) / temperature, 0 for the best, FLOOR_X to 0 */
    double w; /* e^x */
};

struct sampler {
    struct sampler_params p;
    int n_vocab;
    uint64_t rng[4];
    int32_t recent[REPEAT_WINDOW]; /* ring */
    size_t n_recent, next_recent;
    double power[N_POWERS]; /* of two, see fill_powers */
    float *tops;            /* the best of every block of the logits at hand */
    struct cand *cand;      /* n_vocab, those in play, ids ascending */
    struct cand *bucket;    /* n_vocab, room to sort one bucket */
};

/* ---- random numbers: xoshiro256**, seeded by splitmix64 (Blackman and Vigna) ------------------------------------ */

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

/* Uniform in [0, 1). */
static double draw(struct sampler *s)
{
    uint64_t *r = s->rng, result = rotl(r[1] * 5, 7) * 9, t = r[1] << 17;
    r[2] ^= r[0];
    r[3] ^= r[1];
    r[1] ^= r[2];
    r[0] ^= r[3];
    r[2] ^= t;
    r[3] = rotl(r[3], 45);
    return (double)(result >> 11) * 0x1.0p-53;
}

/* ---- e^x ---------------------------------------------------------------------------------------------------------- */

/* Powers of two in steps of a 32nd, 2^0 down to 2^(-34), from square roots, which IEEE 754 rounds alike everywhere. */
static void fill_powers(double *power)
{
    double step[5], root = 2;
    for (int k = 4; k >= 0; k--) step[k] = root = sqrt(root);
    for (int q = 0; q < N_POWERS; q++) {
        double v = 1;
        for (int k = 0; k < 5; k++)
            if (q >> k & 1) v *= step[k];
        power[q] = 1 / v / (double)(1ull << (q >> 5));
    }
}

/* e^x for FLOOR_X <= x <= 0 within 1e-10 of itself. */
static inline double exp_small(const double *power, float x)
{
    double v = (double)x * -(32 * 1.4426950408889634); /* in 32nds of a power of two, 0 to 1061.8 */
    int q = (int)v;
    double f = ((double)q - v) * (0.69314718055994531 / 32); /* -0.022 < f <= 0 */
    return power[q] * (1 + f * (1 + f * (1.0 / 2 + f * (1.0 / 6 + f * (1.0 / 24)))));
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

int sampler_new(struct sampler **out, int n_vocab, const struct sampler_params *p, struct err *e)
{
    *out = NULL;
    if (n_vocab < 1) return err_set(e, ERR_INVALID, "a sampler needs a vocabulary");
    if (!(p->temp >= 0 && p->temp <= 1000)) return err_set(e, ERR_INVALID, "the temperature must be between 0 and 1000");
    if (!(p->top_p >= 0 && p->top_p <= 1)) return err_set(e, ERR_INVALID, "top-p must be between 0 and 1");
    if (!(p->min_p >= 0 && p->min_p <= 1)) return err_set(e, ERR_INVALID, "min-p must be between 0 and 1");
    if (!(p->repeat_penalty >= 0 && p->repeat_penalty <= 100))
        return err_set(e, ERR_INVALID, "the repeat penalty must be between 0 and 100");
    struct sampler *s = calloc(1, sizeof *s);
    if (!s) return err_set(e, ERR_NOMEM, "out of memory for the sampler");
    s->p = *p;
    s->n_vocab = n_vocab;
    uint64_t seed = p->seed;
    for (size_t i = 0; i < ARRAY_LEN(s->rng); i++) s->rng[i] = splitmix(&seed);
    fill_powers(s->power);
    s->tops = malloc(((size_t)n_vocab + LANES - 1) / LANES * sizeof *s->tops);
    s->cand = malloc((size_t)n_vocab * sizeof *s->cand);
    s->bucket = malloc((size_t)n_vocab * sizeof *s->bucket);
    if (!s->tops || !s->cand || !s->bucket) {
        sampler_free(s);
        return err_set(e, ERR_NOMEM, "out of memory for the sampler");
    }
    *out = s;
    return 0;
}

void sampler_free(struct sampler *s)
{
    if (!s) return;
    free(s->tops);
    free(s->cand);
    free(s->bucket);
    free(s);
}

void sampler_accept(struct sampler *s, int32_t id)
{
    if (id < 0 || id >= s->n_vocab) return;
    s->recent[s->next_recent] = id;
    s->next_recent = (s->next_recent + 1) % REPEAT_WINDOW;
    if (s->n_recent < REPEAT_WINDOW) s->n_recent++;
}

/* ---- repeat penalty -------------------------------------------------------------------------------------------- */

/* Fills was[] with what stood there; restore undoes it. An id seen twice is punished once: the second time would overwrite
 * its saved value, so it is skipped. */
static void punish(const struct sampler *s, float *logits, float was[REPEAT_WINDOW])
{
    float by = (float)s->p.repeat_penalty;
    for (size_t i = 0; i < s->n_recent; i++) {
        size_t j = 0;
        while (j < i && s->recent[j] != s->recent[i]) j++;
        if (j < i) continue;
        float *l = &logits[s->recent[i]];
        was[i] = *l;
        *l = *l > 0 ? *l / by : *l * by;
    }
}

static void restore(const struct sampler *s, float *logits, const float was[REPEAT_WINDOW])
{
    for (size_t i = 0; i < s->n_recent; i++) {
        size_t j = 0;
        while (j < i && s->recent[j] != s->recent[i]) j++;
        if (j == i) logits[s->recent[i]] = was[i];
    }
}

/* ---- picking --------------------------------------------------------------------------------------------------- */

/* The largest of LANES neighbours; a NaN is never larger. */
static inline float block_top(const float *v)
{
    float top[4];
    for (int k = 0; k < 4; k++) top[k] = v[k] > -INFINITY ? v[k] : -INFINITY;
    for (int i = 4; i < LANES; i += 4)
        for (int k = 0; k < 4; k++) top[k] = v[i + k] > top[k] ? v[i + k] : top[k];
    float a = top[0] > top[1] ? top[0] : top[1], b = top[2] > top[3] ? top[2] : top[3];
    return a > b ? a : b;
}

/* The best id, the lowest of equals; 0 when there is nothing but -INFINITY. Leaves the best of every block in s->tops. */
static int32_t best_id(struct sampler *s, const float *logits)
{
    float top = -INFINITY;
    int n = s->n_vocab, at = 0;
    for (int b = 0; b * LANES < n; b++) {
        float best = -INFINITY;
        if (b * LANES + LANES <= n)
            best = block_top(logits + b * LANES);
        else
            for (int i = b * LANES; i < n; i++) best = logits[i] > best ? logits[i] : best;
        s->tops[b] = best;
        if (best > top) {
            top = best;
            at = b * LANES;
        }
    }
    if (!(top > -INFINITY)) return 0;
    while (!(logits[at] == top)) at++;
    return at;
}

/* The k-th largest of the blocks' tops, which the k-th largest logit cannot be below; -INFINITY when there are fewer blocks. */
static float top_k_bound(const struct sampler *s, int k)
{
    float heap[TOP_K_BOUND_MAX]; /* the largest so far, the smallest of them in front */
    int n = 0, blocks = (s->n_vocab + LANES - 1) / LANES;
    if (k > TOP_K_BOUND_MAX || blocks < k) return -INFINITY;
    for (int b = 0; b < blocks; b++) {
        float v = s->tops[b];
        int at = n;
        if (n < k) {
            for (n++; at && heap[(at - 1) / 2] > v; at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
        } else if (v > heap[0]) {
            at = 0;
            for (int child; (child = 2 * at + 1) < k; at = child) {
                if (child + 1 < k && heap[child + 1] < heap[child]) child++;
                if (heap[child] >= v) break;
                heap[at] = heap[child];
            }
        } else {
            continue;
        }
        heap[at] = v;
    }
    return heap[0];
}

static int bucket_of(float x)
{
    return (int)(-x * BUCKETS_PER_E);
}

static int by_rank(const void *a, const void *b)
{
    const struct cand *p = a, *q = b;
    if (p->x != q->x) return p->x > q->x ? -1 : 1;
    return p->id < q->id ? -1 : p->id > q->id;
}

/* Keeps the best of n candidates: best first, until `count` are kept or their weight reaches `weight`, the one that reaches it
 * included. At least one is kept. The ids stay ascending. */
static size_t keep_best(struct sampler *s, size_t n, size_t count, double weight)
{
    size_t counts[N_BUCKETS] = {0};
    double weights[N_BUCKETS] = {0}, w = 0;
    for (size_t i = 0; i < n; i++) {
        int b = bucket_of(s->cand[i].x);
        counts[b]++;
        weights[b] += s->cand[i].w;
    }
    size_t kept = 0;
    int b = 0;
    while (b < N_BUCKETS - 1 && kept + counts[b] < count && w + weights[b] < weight) {
        kept += counts[b];
        w += weights[b];
        b++;
    }
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (bucket_of(s->cand[i].x) == b) s->bucket[m++] = s->cand[i];
    if (!m) return n;
    qsort(s->bucket, m, sizeof *s->bucket, by_rank);
    size_t last = 0;
    for (;; last++) {
        kept++;
        w += s->bucket[last].w;
        if (last + 1 == m || kept >= count || w >= weight) break;
    }
    struct cand edge = s->bucket[last];
    size_t out = 0;
    for (size_t i = 0; i < n; i++)
        if (by_rank(&s->cand[i], &edge) <= 0) s->cand[out++] = s->cand[i];
    return out;
}

static double total_weight(const struct cand *c, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += c[i].w;
    return sum;
}

/* Fills s->cand with what lies within FLOOR_X of the best and may be among the top k, weights not yet; returns how many. */
static size_t gather(struct sampler *s, const float *logits, float top)
{
    float inv = (float)(1 / s->p.temp), low = top + FLOOR_X * (float)s->p.temp;
    if (s->p.top_k > 0) {
        float bound = top_k_bound(s, s->p.top_k);
        if (bound > low) low = bound;
    }
    size_t n = 0;
    for (int from = 0, b = 0; from < s->n_vocab; from += LANES, b++) {
        if (!(s->tops[b] >= low)) continue;
        int to = from + LANES < s->n_vocab ? from + LANES : s->n_vocab;
        for (int i = from; i < to; i++) {
            if (!(logits[i] >= low)) continue;
            float x = (logits[i] - top) * inv;
            s->cand[n++] = (struct cand){.id = i, .x = x >= FLOOR_X ? x : FLOOR_X};
        }
    }
    return n;
}

static int32_t pick_random(struct sampler *s, const float *logits, int32_t best, double u)
{
    size_t n = gather(s, logits, logits[best]);
    size_t k = s->p.top_k > 0 ? (size_t)s->p.top_k : SIZE_MAX;
    if (n > k) n = keep_best(s, n, k, INFINITY);
    for (size_t i = 0; i < n; i++) s->cand[i].w = exp_small(s->power, s->cand[i].x);
    if (s->p.top_p < 1) n = keep_best(s, n, SIZE_MAX, s->p.top_p * total_weight(s->cand, n));
    if (s->p.min_p > 0) {
        size_t kept = 0;
        for (size_t i = 0; i < n; i++)
            if (s->cand[i].w >= s->p.min_p) s->cand[kept++] = s->cand[i];
        n = kept;
    }
    double at = u * total_weight(s->cand, n);
    for (size_t i = 0; i + 1 < n; i++) {
        at -= s->cand[i].w;
        if (at < 0) return s->cand[i].id;
    }
    return n ? s->cand[n - 1].id : best;
}

int32_t sampler_pick(struct sampler *s, float *logits)
{
    double u = draw(s);
    float was[REPEAT_WINDOW];
    bool punished = s->p.repeat_penalty > 0 && s->p.repeat_penalty != 1;
    if (punished) punish(s, logits, was);
    int32_t id = best_id(s, logits);
    /* Below this temperature nothing but the best could be drawn, and 1 / temp may overflow. */
    if (s->p.temp >= 1e-6 && isfinite(logits[id])) id = pick_random(s, logits, id, u);
    if (punished) restore(s, logits, was);
    return id;
}
