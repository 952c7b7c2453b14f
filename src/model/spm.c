/*
 * spm.c - byte pair encoding by scores, as SentencePiece has it: the characters of a text are joined two by two, always the two whose token
 * has the highest score, the leftmost of equals; a character that is no token becomes byte tokens.
 *
 * The text is not cut into words first, so it is one list of symbols, and a heap holds the possible joins by score, then place, as in
 * bpe.c: n bytes take O(n log n). Only ordinary tokens are joined: text never becomes a control token.
 */
#include "model/spm.h"

#include <stdlib.h>
#include <string.h>

#define NO_RANK UINT32_MAX
#define SPACE   "\xe2\x96\x81"

struct spm {
    const struct bpe *index;
    const uint8_t *types;
    uint32_t *rank; /* of each token: the smaller, the sooner */
    size_t longest; /* bytes of the longest token */
    int32_t byte_tokens[256];
    int32_t unknown;
};

/* Scores in falling order as rising integers. */
static uint32_t rank_of(float score)
{
    uint32_t bits;
    score += 0.0f; /* of the two zeros one */
    memcpy(&bits, &score, sizeof bits);
    return bits & 0x80000000u ? bits : ~(bits | 0x80000000u);
}

static int read_scores(struct spm *s, const struct gguf_array *tokens, const struct gguf_array *scores, const char *path, struct err *e)
{
    for (uint64_t i = 0; i < tokens->n; i++) {
        struct gguf_string text;
        double score = 0;
        if (gguf_array_string(tokens, i, &text) && text.n > s->longest) s->longest = text.n;
        if (scores && (!gguf_array_real(scores, i, &score) || score != score))
            return err_set(e, ERR_FILE, "%s: tokenizer.ggml.scores: entry %zu is not a number", path, (size_t)i);
        s->rank[i] = rank_of((float)score);
    }
    return ERR_OK;
}

int spm_new(struct spm **out, const struct bpe *index, const struct gguf_array *tokens, const struct gguf_array *scores, const uint8_t *types,
            const int32_t byte_tokens[256], int32_t unknown, const char *path, struct err *e)
{
    struct spm *s = calloc(1, sizeof *s);

    *out = NULL;
    if (s) s->rank = malloc((size_t)tokens->n * sizeof *s->rank);
    if (!s || !s->rank) {
        spm_free(s);
        return err_set(e, ERR_NOMEM, "%s: out of memory for %zu tokens", path, (size_t)tokens->n);
    }
    s->index = index;
    s->types = types;
    s->unknown = unknown;
    memcpy(s->byte_tokens, byte_tokens, sizeof s->byte_tokens);
    int rc = read_scores(s, tokens, scores, path, e);
    if (rc) {
        spm_free(s);
        return rc;
    }
    *out = s;
    return ERR_OK;
}

void spm_free(struct spm *s)
{
    if (!s) return;
    free(s->rank);
    free(s);
}

size_t spm_decode(const char *text, size_t n, char *out)
{
    size_t made = 0;

    for (size_t i = 0; i < n; made++) {
        bool space = n - i >= 3 && !memcmp(text + i, SPACE, 3);
        out[made] = space ? ' ' : text[i];
        i += space ? 3 : 1;
    }
    return made;
}

/* text with "▁" for spaces, into w->spelled. */
static bool spell(struct bpe_work *w, const char *text, size_t n, bool space)
{
    str_clear(&w->spelled);
    if (space) str_add_bytes(&w->spelled, SPACE, 3);
    for (size_t i = 0; i < n;) {
        const char *at = memchr(text + i, ' ', n - i);
        size_t run = at ? (size_t)(at - text) - i : n - i;
        str_add_bytes(&w->spelled, text + i, run);
        i += run;
        if (at) str_add_bytes(&w->spelled, SPACE, 3);
        i += at != NULL;
    }
    return str_ok(&w->spelled);
}

static int32_t find_ordinary(const struct spm *s, const char *text, size_t n)
{
    int32_t id = n > s->longest ? -1 : bpe_find(s->index, text, n);
    return id >= 0 && (s->types[id] == TOKEN_NORMAL || s->types[id] == TOKEN_UNUSED) ? id : -1;
}

int32_t spm_find_bytes(const struct spm *s, struct bpe_work *w, const char *bytes, size_t n)
{
    return spell(w, bytes, n, false) ? find_ordinary(s, str_cstr(&w->spelled), w->spelled.len) : -1;
}

/* A symbol's place in the spelled text; of the list's end, the text's length. */
static size_t place(const struct bpe_work *w, int32_t i)
{
    return i < 0 ? w->spelled.len : w->symbols[i].symbol;
}

/* Looks up the token that symbol i and the next one make together and queues it. */
static bool queue_join(const struct spm *s, struct bpe_work *w, int32_t i)
{
    struct bpe_symbol *y = &w->symbols[i];

    y->rank = NO_RANK;
    if (y->next < 0) return true;
    size_t from = place(w, i);
    int32_t id = find_ordinary(s, str_cstr(&w->spelled) + from, place(w, w->symbols[y->next].next) - from);
    if (id < 0) return true;
    y->rank = s->rank[id];
    return bpe_heap_push(w, (uint64_t)y->rank << 32 | (uint32_t)i);
}

static bool join_all(const struct spm *s, struct bpe_work *w)
{
    while (w->n_heap) {
        uint64_t entry = bpe_heap_pop(w);
        int32_t i = (int32_t)(uint32_t)entry;
        struct bpe_symbol *y = &w->symbols[i];
        if (y->rank != (uint32_t)(entry >> 32)) continue;
        struct bpe_symbol *gone = &w->symbols[y->next];
        gone->rank = NO_RANK;
        y->next = gone->next;
        if (y->next >= 0) w->symbols[y->next].prev = i;
        if (!queue_join(s, w, i) || (y->prev >= 0 && !queue_join(s, w, y->prev))) return false;
    }
    return true;
}

/* Bytes of the character that begins with c, as the reference counts: by the first byte alone. */
static size_t char_bytes(char c)
{
    unsigned char u = (unsigned char)c;
    return u < 0xc0 ? 1 : u < 0xe0 ? 2 : u < 0xf0 ? 3 : 4;
}

/* The list of the spelled text's characters. */
static bool list_symbols(struct bpe_work *w, int32_t *count)
{
    const char *text = str_cstr(&w->spelled);
    size_t n = w->spelled.len, i = 0;
    int32_t made = 0;

    if (n > w->cap_symbols && !mem_grow(&w->symbols, &w->cap_symbols, n, sizeof *w->symbols)) return false;
    for (; i < n; i += char_bytes(text[i]), made++)
        w->symbols[made] = (struct bpe_symbol){.symbol = (uint32_t)i, .rank = NO_RANK, .prev = made - 1, .next = made + 1};
    w->symbols[made - 1].next = -1;
    *count = made;
    return true;
}

static int push_symbol(const struct spm *s, const char *text, size_t n, struct tokens *out)
{
    int32_t id = find_ordinary(s, text, n);
    int rc = ERR_OK;

    if (id >= 0) return tokens_push(out, id);
    for (size_t i = 0; i < n && !rc; i++) {
        id = s->byte_tokens[(unsigned char)text[i]];
        if (id < 0) id = s->unknown;
        if (id >= 0) rc = tokens_push(out, id);
    }
    return rc;
}

int spm_encode(const struct spm *s, struct bpe_work *w, const char *text, size_t n, bool space, struct tokens *out)
{
    int32_t count;
    int rc = ERR_OK;

    if (!n) return ERR_OK;
    if (!spell(w, text, n, space)) return ERR_NOMEM;
    if (w->spelled.len > INT32_MAX) return ERR_TOO_LONG;
    w->n_heap = 0;
    if (!list_symbols(w, &count)) return ERR_NOMEM;
    for (int32_t i = 0; i < count; i++)
        if (!queue_join(s, w, i)) return ERR_NOMEM;
    if (!join_all(s, w)) return ERR_NOMEM;
    for (int32_t i = 0; i >= 0 && !rc; i = w->symbols[i].next) {
        size_t from = place(w, i);
        rc = push_symbol(s, str_cstr(&w->spelled) + from, place(w, w->symbols[i].next) - from, out);
    }
    return rc;
}
