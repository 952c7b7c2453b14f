/*
 * lora.h - low-rank adapters on a session: y = W x + scale * B (A x). Internal to src/model; the public face is in model.h.
 *
 * What is added to a row of y depends on its x alone, not on the rows beside it nor on the thread: prompts and replies keep the bits that
 * forward.h promises.
 */
#ifndef PONDER_LORA_H
#define PONDER_LORA_H

#include "model/forward.h"

enum adapted { ADAPT_Q, ADAPT_K, ADAPT_V, ADAPT_O, ADAPT_GATE, ADAPT_UP, ADAPT_DOWN, ADAPT_MIX_IN, ADAPT_MIX_OUT, ADAPTED_MATRICES };

/* A session's adapters and a scratch for each worker. */
struct lora;
void lora_free(struct lora *o);
/* Appends which files they are and their scales; nothing for none. */
void lora_add_identity(const struct lora *o, struct str *out);
/* Adds what the adapters make of m rows of x (n_in of the matrix, one behind the other; 1 to DECODE_MAX) to rows of y (n_out). */
void lora_add(struct lora *o, int worker, int layer, enum adapted which, const float *x, int m, float *y);

/* The halves of an adapter for a matrix, valid as long as it: A rank rows of n_in, B n_out rows of rank. Returns the rank, 0 where it has none. */
int adapter_pair(const struct adapter *a, int layer, enum adapted which, const float **low, const float **high);
/* As adapter_open, from a file that is open; it may be closed then. */
int adapter_take(struct adapter **out, const struct engine *m, const struct gguf *g, struct err *e);
/* Where a file says what family the adapter was taught to be. */
#define ADAPTER_FAMILY_KEY "ponder.family"
/* 0: it says none. */
double adapter_alpha(const struct adapter *a);

#endif
