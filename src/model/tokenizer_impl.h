/* tokenizer_impl.h - internal to the tokenizer's own files: what a loaded tokenizer consists of. */
#ifndef PONDER_TOKENIZER_IMPL_H
#define PONDER_TOKENIZER_IMPL_H

#include "model/bpe.h"
#include "model/presplit.h"
#include "model/spm.h"
#include "model/tokenizer.h"

/* A token that is recognised in text by its own spelling. */
struct special {
    struct gguf_string text; /* in the mapping, never empty */
    int32_t id;
    uint8_t type; /* enum token_type: control, user-defined or unknown */
    bool blank;   /* user-defined and nothing but white space: text from outside may have it */
};

/* By text, so that the ones which share a prefix lie together. */
struct specials {
    struct special *list;
    uint32_t n;
    bool any_blank;
    uint32_t first[257]; /* list[first[c]] to list[first[c + 1]] begin with byte c */
};

struct tokenizer {
    struct gguf *owned; /* NULL when the caller keeps the file */
    const char *path;   /* of the file, for messages; belongs to the file */
    struct gguf_array tokens;
    const struct presplit *split; /* NULL in vocabularies with scores */
    struct bpe *bpe;
    struct spm *spm;              /* NULL in vocabularies with merges */
    struct specials specials;
    uint8_t *types;     /* enum token_type of each token */
    uint8_t *ends;      /* 1 for tokens that end a reply */
    char *pieces;       /* bytes of all tokens, a NUL behind each */
    uint32_t *piece_at; /* n + 1 offsets into it */
    char *chat_template;
    size_t chat_template_len;
    int32_t bos, eos;
    bool add_bos;
    bool space_prefix; /* a text, and what follows a recognised token, begins with a space */
};

/* Fills specials from the types. ERR_NOMEM only. */
int specials_init(struct specials *s, const struct gguf_array *tokens, const uint8_t *types);
void specials_release(struct specials *s);

#endif
