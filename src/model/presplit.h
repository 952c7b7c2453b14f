/*
 * presplit.h - internal: cuts text into the words that byte pair merges must not cross.
 *
 * One hand-written splitter for each regular expression of the reference; a pre-tokenizer (`tokenizer.ggml.pre`) is a short chain
 * of them, each cutting the pieces of the one before. The pieces cover the text without gap or overlap. Look-ahead never leaves
 * the piece, as in the reference.
 */
#ifndef PONDER_PRESPLIT_H
#define PONDER_PRESPLIT_H

#include "base/base.h"

struct presplit;

/* The pre-tokenizer of a name, static; NULL when this version has none. */
const struct presplit *presplit_find(const char *name, size_t n);
/* Words that are tokens as a whole are taken without merging. */
bool presplit_ignores_merges(const struct presplit *p);
/* Whether vocabularies of this kind want BOS where the file does not say. */
bool presplit_adds_bos(const struct presplit *p);

/* Fills classes, one byte for each byte of the text: what presplit_run needs to know. A byte that is part of no well-formed
 * sequence counts as a symbol of its own. */
void presplit_classify(const char *text, size_t n, uint8_t *classes);
/* Calls word for each piece of the bytes from..to, in order; stops at the first result that is not 0 and returns it. */
int presplit_run(const struct presplit *p, const char *text, const uint8_t *classes, size_t from, size_t to,
                 int (*word)(void *arg, size_t from, size_t to), void *arg);

#endif
