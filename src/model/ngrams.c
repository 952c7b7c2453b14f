/*
 * ngrams.c - the log of tokens and its n-grams.
 *
 * Invariant: ends[i][h] is a position that is looked at only after the tokens before it were compared, so a hash that two
 * n-grams share, or one whose tokens have left the log, costs a guess and no more.
 */
#include "model/ngrams.h"

#include <stdlib.h>
#include <string.h>

#define HASH_BITS 16
#define HASHES    ((size_t)1 << HASH_BITS)
/* Tokens of the last prompt taken again, so that the end of a known prompt is found where it stood before. */
#define OVERLAP 16

static const int grams[] = {8, 5, 3, 2, 1};

static int32_t token_at(const struct ngrams *g, uint32_t position)
{
    return g->log[position % NGRAMS_LOG];
}

/* The place of the last grams[i] tokens in ends. */
static uint32_t *slot_of(const struct ngrams *g, size_t i)
{
    uint64_t h = 0;

    for (uint32_t k = 1; k <= (uint32_t)grams[i]; k++) h = (h ^ (uint32_t)token_at(g, g->n - k)) * 0x9e3779b97f4a7c15u;
    return &g->ends[i * HASHES + (size_t)(h >> (64 - HASH_BITS))];
}

/* How many tokens before `from` are the last ones of the text. */
static int common(const struct ngrams *g, uint32_t from)
{
    int n = 0;

    if (!from || from >= g->n || g->n - from > NGRAMS_LOG - NGRAMS_LENGTH) return 0;
    while (n < NGRAMS_LENGTH && (uint32_t)n < from && token_at(g, from - 1 - (uint32_t)n) == token_at(g, g->n - 1 - (uint32_t)n)) n++;
    return n;
}

int ngrams_init(struct ngrams *g, struct err *e)
{
    *g = (struct ngrams){0};
    g->log = calloc(NGRAMS_LOG, sizeof(*g->log));
    g->ends = calloc(ARRAY_LEN(grams) * HASHES, sizeof(*g->ends));
    if (g->log && g->ends) return 0;
    ngrams_release(g);
    return err_set(e, ERR_NOMEM, "out of memory for guesses");
}

void ngrams_release(struct ngrams *g)
{
    free(g->log);
    free(g->ends);
    tokens_release(&g->prompt);
    *g = (struct ngrams){0};
}

void ngrams_add(struct ngrams *g, int32_t id)
{
    /* where the text went on as expected, that place is one to look at */
    uint32_t from = g->length && token_at(g, g->from) == id ? g->from + 1 : 0;

    g->log[g->n++ % NGRAMS_LOG] = id;
    int best = common(g, from);
    for (size_t i = 0; i < ARRAY_LEN(grams); i++) {
        if ((uint32_t)grams[i] > g->n) continue;
        uint32_t *end = slot_of(g, i);
        int n = common(g, *end);
        /* the longest, the newest of equals */
        if (n > best || (n == best && *end > from)) {
            best = n;
            from = *end;
        }
        *end = g->n;
    }
    g->from = from;
    g->length = best;
}

size_t ngrams_guess(const struct ngrams *g, int32_t *out, size_t max)
{
    if (!g->length) return 0;
    for (uint32_t i = 0; i < max; i++) {
        uint32_t at = g->from + i;
        out[i] = at < g->n ? token_at(g, at) : out[at - g->n];
    }
    return max;
}

int ngrams_begin(struct ngrams *g, const int32_t *ids, size_t n, struct err *e)
{
    size_t from = 0;

    while (from < n && from < g->prompt.n && ids[from] == g->prompt.ids[from]) from++;
    if (n > NGRAMS_LOG && from < n - NGRAMS_LOG) from = n - NGRAMS_LOG;
    for (size_t i = from > OVERLAP ? from - OVERLAP : 0; i < n; i++) ngrams_add(g, ids[i]);
    g->prompt.n = 0;
    return tokens_append(&g->prompt, ids, n) ? err_set(e, ERR_NOMEM, "out of memory for guesses") : 0;
}
