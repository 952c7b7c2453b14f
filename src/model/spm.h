/*
 * spm.h - internal: text to ids by the scores of the tokens, for SentencePiece vocabularies ("llama" in GGUF files).
 *
 * Texts of tokens have "▁" (U+2581) where the text has a space; spm_encode takes plain text.
 */
#ifndef PONDER_SPM_H
#define PONDER_SPM_H

#include "model/bpe.h"

struct spm;

/* index and types (an enum token_type a token) outlive it. scores: NULL for none, all equal then; byte_tokens as in bpe.h; unknown: the
 * token for what has none, or -1. ERR_FILE for scores that are no numbers. */
int spm_new(struct spm **out, const struct bpe *index, const struct gguf_array *tokens, const struct gguf_array *scores, const uint8_t *types,
            const int32_t byte_tokens[256], int32_t unknown, const char *path, struct err *e);
void spm_free(struct spm *s);
/* Appends the ids of n bytes; space: as if a space stood in front. ERR_NOMEM, ERR_TOO_LONG. */
int spm_encode(const struct spm *s, struct bpe_work *w, const char *text, size_t n, bool space, struct tokens *out);
/* The ordinary token that stands for these bytes; -1 when there is none. w is used as room. */
int32_t spm_find_bytes(const struct spm *s, struct bpe_work *w, const char *bytes, size_t n);
/* Writes the bytes that a token's text stands for (at most n) and returns their number. */
size_t spm_decode(const char *text, size_t n, char *out);

#endif
