/*
 * bpe.h - internal: the symbols of a byte-level vocabulary and its merges; words to ids.
 *
 * Texts of tokens are in the byte-level alphabet (each byte a printable character, "Ġ" for a space); words given to bpe_encode are
 * plain bytes. Symbols are token ids, and numbers from the vocabulary size on for what merges make without it being a token.
 */
#ifndef PONDER_BPE_H
#define PONDER_BPE_H

#include "model/gguf.h"
#include "model/model.h"

struct bpe;

/* One symbol of the word being merged. */
struct bpe_symbol {
    uint32_t symbol;
    uint32_t rank, result; /* of the merge with the next one */
    int32_t prev, next;    /* -1 at the ends */
};

/* Room that bpe_encode keeps between words. All-zero is an empty one. */
struct bpe_work {
    struct bpe_symbol *symbols;
    size_t cap_symbols;
    uint64_t *heap;
    size_t n_heap, cap_heap;
    struct str spelled;
};
void bpe_work_release(struct bpe_work *w);
/* The heap of w: the smallest entry comes out first. False when memory runs out. */
bool bpe_heap_push(struct bpe_work *w, uint64_t entry);
uint64_t bpe_heap_pop(struct bpe_work *w);

/* Indexes the token texts, an array of strings that outlives it. ERR_FILE when two tokens have the same text. */
int bpe_new(struct bpe **out, const struct gguf_array *tokens, const char *path, struct err *e);
void bpe_free(struct bpe *b);
/* The token with exactly this text; -1 when there is none. */
int32_t bpe_find(const struct bpe *b, const char *text, size_t n);
/* Resolves the merges. types (an enum token_type a token, outlives b) says which tokens merges may yield: normal and
 * unused ones. byte_tokens: for each byte the token of type byte that stands for it, or -1. */
int bpe_add_merges(struct bpe *b, const struct gguf_array *merges, const uint8_t *types, const int32_t byte_tokens[256], const char *path,
                   struct err *e);
/* The ordinary token that stands for these bytes; -1 when there is none. w is used as room. */
int32_t bpe_find_bytes(const struct bpe *b, struct bpe_work *w, const char *bytes, size_t n);
/* Appends the ids of one word, at most INT32_MAX bytes. whole: a word that is a token is taken as it is. Bytes that the
 * vocabulary cannot express are left out. ERR_NOMEM only. */
int bpe_encode(const struct bpe *b, struct bpe_work *w, const char *bytes, size_t n, bool whole, struct tokens *out);

/* Writes the bytes that a text in the byte-level alphabet stands for (at most n) and returns their number. Characters outside of
 * the alphabet stand for themselves. */
size_t bpe_decode(const struct bpe *b, const char *text, size_t n, char *out);

#endif
