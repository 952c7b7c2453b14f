/*
 * ngrams.h - guesses the next tokens of a text from what stood behind its last tokens before. Internal to src/model.
 *
 * A log of the newest tokens, and for n-grams of a few lengths where each stood last. Adding a token and finding the longest
 * match take a handful of look-ups, however long the text is.
 */
#ifndef PONDER_NGRAMS_H
#define PONDER_NGRAMS_H

#include "model/model.h"

/* Tokens remembered; a power of two. */
#define NGRAMS_LOG 32768
/* The longest match that is told from a longer one. */
#define NGRAMS_LENGTH 32

struct ngrams {
    int32_t *log;         /* ring of NGRAMS_LOG */
    uint32_t *ends;       /* [gram][hash]: position behind the newest n-gram with this hash, 0 none */
    uint32_t n;           /* tokens ever added */
    uint32_t from;        /* position of the token that is expected next, below n */
    int length;           /* tokens before `from` that are the last ones of the text, 0: nothing is expected */
    struct tokens prompt; /* the one of the last ngrams_begin */
};

int ngrams_init(struct ngrams *g, struct err *e);
void ngrams_release(struct ngrams *g);
/* A text begins with this prompt. What it shares with the beginning of the last one is not taken twice. */
int ngrams_begin(struct ngrams *g, const int32_t *ids, size_t n, struct err *e);
void ngrams_add(struct ngrams *g, int32_t id);
/* The tokens that are expected next, at most max; returns how many. */
size_t ngrams_guess(const struct ngrams *g, int32_t *out, size_t max);

#endif
