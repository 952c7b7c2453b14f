/*
 * tokenizer.c - builds a tokenizer from the metadata of a GGUF file, and answers questions about its tokens.
 *
 * Taken are byte-level BPE vocabularies ("gpt2") with a pre-tokenizer of presplit.c, and SentencePiece's with scores ("llama"). All ids are checked against the
 * vocabulary, and the arrays against each other, before anything uses them. Encoding is in tokenizer_encode.c.
 */
#include "model/tokenizer_impl.h"

#include <stdlib.h>
#include <string.h>

/* Texts of tokens that end a reply whatever the file says of them. They also become control tokens: a file that calls them
 * ordinary is mistaken, and text from outside must never end a turn. */
static const char *const end_texts[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<｜end▁of▁sentence｜>",
};

/* Tokens for filling gaps in code, found by their key or else by the first of their texts. They become control tokens as well;
 * some end a reply. */
static const struct {
    const char *key;
    bool ends;
    const char *texts[7];
} code_tokens[] = {
    {"tokenizer.ggml.fim_pre_token_id",
     false,
     {"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "<|code_prefix|>", "<|prefix|>"}},
    {"tokenizer.ggml.fim_suf_token_id",
     false,
     {"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "<|code_suffix|>", "<|suffix|>"}},
    {"tokenizer.ggml.fim_mid_token_id",
     false,
     {"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "<|code_middle|>", "<|middle|>"}},
    {"tokenizer.ggml.fim_pad_token_id", true, {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}},
    {"tokenizer.ggml.fim_rep_token_id", true, {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}},
    {"tokenizer.ggml.fim_sep_token_id", true, {"<|file_sep|>"}},
};

/* ---- reading ------------------------------------------------------------------------------------------------ */

static int find_by_text(const struct tokenizer *t, const char *text)
{
    return bpe_find(t->bpe, text, strlen(text));
}

static int check_model(struct tokenizer *t, const struct gguf *g, struct err *e)
{
    struct gguf_string model, pre = {"default", 7};
    char shown[64];
    if (!gguf_get_string(g, "tokenizer.ggml.model", &model))
        return err_set(e, ERR_FILE, "%s: has no tokenizer (tokenizer.ggml.model is missing)", t->path);
    if (model.n == 5 && memcmp(model.p, "llama", 5) == 0) return ERR_OK; /* cuts no words */
    if (model.n != 4 || memcmp(model.p, "gpt2", 4) != 0) {
        snprintf(shown, sizeof(shown), "%.*s", (int)(model.n < 60 ? model.n : 60), model.p);
        return err_set(e, ERR_UNSUPPORTED, "%s: tokenizer model \"%s\" is not supported (tokenizer.ggml.model)", t->path, shown);
    }
    gguf_get_string(g, "tokenizer.ggml.pre", &pre);
    t->split = presplit_find(pre.p, pre.n);
    if (!t->split) {
        snprintf(shown, sizeof(shown), "%.*s", (int)(pre.n < 60 ? pre.n : 60), pre.p);
        return err_set(e, ERR_UNSUPPORTED, "%s: pre-tokenizer \"%s\" is not supported (tokenizer.ggml.pre)", t->path, shown);
    }
    return ERR_OK;
}

static int read_strings(const struct tokenizer *t, const struct gguf *g, const char *key, struct gguf_array *out, struct err *e)
{
    if (!gguf_get_array(g, key, out)) return err_set(e, ERR_FILE, "%s: %s is missing", t->path, key);
    if (out->type != GGUF_STRING) return err_set(e, ERR_FILE, "%s: %s is not an array of strings", t->path, key);
    return ERR_OK;
}

/* The numbers that files use for enum token_type. */
static uint8_t type_of_number(int64_t number)
{
    static const uint8_t types[] = {TOKEN_UNUSED, TOKEN_NORMAL, TOKEN_UNKNOWN, TOKEN_CONTROL, TOKEN_USER, TOKEN_UNUSED, TOKEN_BYTE};
    return number >= 0 && number < (int64_t)sizeof(types) ? types[number] : (uint8_t)TOKEN_UNUSED;
}

static int read_types(struct tokenizer *t, const struct gguf *g, struct err *e)
{
    static const char key[] = "tokenizer.ggml.token_type";
    struct gguf_array a;
    memset(t->types, TOKEN_NORMAL, (size_t)t->tokens.n);
    if (!gguf_get_array(g, key, &a)) return ERR_OK;
    if (a.n != t->tokens.n)
        return err_set(e, ERR_FILE, "%s: %s has %zu entries for %zu tokens", t->path, key, (size_t)a.n, (size_t)t->tokens.n);
    for (uint64_t i = 0; i < a.n; i++) {
        int64_t number;
        if (!gguf_array_int(&a, i, &number)) return err_set(e, ERR_FILE, "%s: %s is not an array of integers", t->path, key);
        t->types[i] = type_of_number(number);
    }
    return ERR_OK;
}

/* A token id of the metadata; -1 where the key is missing or says none. */
static int read_id(const struct tokenizer *t, const struct gguf *g, const char *key, int32_t *out, struct err *e)
{
    int64_t v;
    *out = -1;
    if (!gguf_get_int(g, key, &v) || v == -1 || v == UINT32_MAX) return ERR_OK;
    if (v < 0 || v >= (int64_t)t->tokens.n)
        return err_set(e, ERR_FILE, "%s: %s is %lld, outside of the vocabulary", t->path, key, (long long)v);
    *out = (int32_t)v;
    return ERR_OK;
}

static void mark_end(struct tokenizer *t, int32_t id)
{
    if (id >= 0) t->ends[id] = 1;
}

static int read_code_tokens(struct tokenizer *t, const struct gguf *g, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(code_tokens); i++) {
        int32_t id;
        int rc = read_id(t, g, code_tokens[i].key, &id, e);
        if (rc) return rc;
        for (size_t k = 0; id < 0 && k < ARRAY_LEN(code_tokens[i].texts) && code_tokens[i].texts[k]; k++) {
            id = find_by_text(t, code_tokens[i].texts[k]);
            if (id >= 0) t->types[id] = TOKEN_CONTROL;
        }
        if (code_tokens[i].ends) mark_end(t, id);
    }
    return ERR_OK;
}

/* What files with scores mean where they do not say. */
static void set_scored_defaults(struct tokenizer *t, const struct gguf *g)
{
    int64_t v;

    if (t->split) return;
    if (t->bos < 0 && t->tokens.n > 1 && !gguf_get_int(g, "tokenizer.ggml.bos_token_id", &v)) t->bos = 1;
    if (t->eos < 0 && t->tokens.n > 2 && !gguf_get_int(g, "tokenizer.ggml.eos_token_id", &v)) t->eos = 2;
    t->space_prefix = true;
    gguf_get_bool(g, "tokenizer.ggml.add_space_prefix", &t->space_prefix);
}

static int read_special_ids(struct tokenizer *t, const struct gguf *g, struct err *e)
{
    int32_t eot, eom;
    int rc;
    if ((rc = read_id(t, g, "tokenizer.ggml.bos_token_id", &t->bos, e)) ||
        (rc = read_id(t, g, "tokenizer.ggml.eos_token_id", &t->eos, e)) || (rc = read_id(t, g, "tokenizer.ggml.eot_token_id", &eot, e)) ||
        (rc = read_id(t, g, "tokenizer.ggml.eom_token_id", &eom, e)) || (rc = read_code_tokens(t, g, e)))
        return rc;
    for (size_t i = 0; i < ARRAY_LEN(end_texts); i++) {
        int32_t id = find_by_text(t, end_texts[i]);
        mark_end(t, id);
        if (id >= 0) t->types[id] = TOKEN_CONTROL;
    }
    set_scored_defaults(t, g);
    mark_end(t, t->eos);
    mark_end(t, eot);
    mark_end(t, eom);
    /* The harmony format has <|end|> between the parts of one reply. */
    int32_t end = find_by_text(t, "<|end|>");
    if (end >= 0 && find_by_text(t, "<|return|>") >= 0 && find_by_text(t, "<|call|>") >= 0) t->ends[end] = 0;
    t->add_bos = !t->split || presplit_adds_bos(t->split);
    gguf_get_bool(g, "tokenizer.ggml.add_bos_token", &t->add_bos);
    t->add_bos = t->add_bos && t->bos >= 0;
    return ERR_OK;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte of a token "<0x1F>"; -1 for other texts. */
static int byte_of_text(struct gguf_string s)
{
    if (s.n != 6 || memcmp(s.p, "<0x", 3) != 0 || s.p[5] != '>' || hex_digit(s.p[3]) < 0 || hex_digit(s.p[4]) < 0) return -1;
    return hex_digit(s.p[3]) << 4 | hex_digit(s.p[4]);
}

static int find_byte_tokens(const struct tokenizer *t, int32_t byte_tokens[256], struct err *e)
{
    memset(byte_tokens, 0xff, 256 * sizeof(*byte_tokens));
    for (uint64_t i = 0; i < t->tokens.n; i++) {
        if (t->types[i] != TOKEN_BYTE) continue;
        struct gguf_string s = {"", 0};
        gguf_array_string(&t->tokens, i, &s);
        int byte = byte_of_text(s);
        if (byte < 0) return err_set(e, ERR_FILE, "%s: tokenizer.ggml.tokens: byte token %zu is not spelt like <0x1F>", t->path, (size_t)i);
        if (byte_tokens[byte] < 0) byte_tokens[byte] = (int32_t)i;
    }
    return ERR_OK;
}

/* The bytes of every token. Texts in the byte-level alphabet only get shorter, so the array's size is room enough. */
static int make_pieces(struct tokenizer *t, struct err *e)
{
    size_t n = (size_t)t->tokens.n, at = 0;
    t->pieces = malloc(t->tokens.bytes + 1);
    t->piece_at = malloc((n + 1) * sizeof(*t->piece_at));
    if (!t->pieces || !t->piece_at) return err_set(e, ERR_NOMEM, "%s: out of memory for %zu tokens", t->path, n);
    for (size_t i = 0; i < n; i++) {
        struct gguf_string s = {"", 0};
        gguf_array_string(&t->tokens, i, &s);
        t->piece_at[i] = (uint32_t)at;
        if (t->types[i] == TOKEN_NORMAL) {
            at += t->spm ? spm_decode(s.p, s.n, t->pieces + at) : bpe_decode(t->bpe, s.p, s.n, t->pieces + at);
        } else if (t->types[i] == TOKEN_BYTE) {
            t->pieces[at++] = (char)byte_of_text(s);
        } else {
            memcpy(t->pieces + at, s.p, s.n);
            at += s.n;
        }
        t->pieces[at++] = '\0';
    }
    t->piece_at[n] = (uint32_t)at;
    return ERR_OK;
}

static int read_template(struct tokenizer *t, const struct gguf *g, struct err *e)
{
    struct gguf_string s;
    if (!gguf_get_string(g, "tokenizer.chat_template", &s) || s.n == 0) return ERR_OK;
    t->chat_template = mem_dup_text(s.p, s.n);
    t->chat_template_len = s.n;
    return t->chat_template ? ERR_OK : err_set(e, ERR_NOMEM, "%s: out of memory", t->path);
}

/* What says which symbols become one: a list of merges, or a score a token. */
static int read_merging(struct tokenizer *t, const struct gguf *g, const int32_t byte_tokens[256], struct err *e)
{
    static const char key[] = "tokenizer.ggml.scores";
    struct gguf_array a;
    int32_t unknown;
    int rc;

    if (t->split) {
        if ((rc = read_strings(t, g, "tokenizer.ggml.merges", &a, e))) return rc;
        return bpe_add_merges(t->bpe, &a, t->types, byte_tokens, t->path, e);
    }
    if ((rc = read_id(t, g, "tokenizer.ggml.unknown_token_id", &unknown, e))) return rc;
    bool scored = gguf_get_array(g, key, &a);
    if (scored && a.n != t->tokens.n)
        return err_set(e, ERR_FILE, "%s: %s has %zu entries for %zu tokens", t->path, key, (size_t)a.n, (size_t)t->tokens.n);
    return spm_new(&t->spm, t->bpe, &t->tokens, scored ? &a : NULL, t->types, byte_tokens, unknown, t->path, e);
}

static int read_all(struct tokenizer *t, const struct gguf *g, struct err *e)
{
    int32_t byte_tokens[256];
    int rc;
    if ((rc = check_model(t, g, e)) || (rc = read_strings(t, g, "tokenizer.ggml.tokens", &t->tokens, e))) return rc;
    if (t->tokens.n == 0) return err_set(e, ERR_FILE, "%s: tokenizer.ggml.tokens is empty", t->path);
    t->types = malloc((size_t)t->tokens.n);
    t->ends = calloc((size_t)t->tokens.n, 1);
    if (!t->types || !t->ends) return err_set(e, ERR_NOMEM, "%s: out of memory for %zu tokens", t->path, (size_t)t->tokens.n);
    /* Types first as the file has them, then corrected, and only then the merges, which depend on them. */
    if ((rc = read_types(t, g, e)) || (rc = find_byte_tokens(t, byte_tokens, e)) || (rc = bpe_new(&t->bpe, &t->tokens, t->path, e)) ||
        (rc = read_special_ids(t, g, e)) || (rc = read_merging(t, g, byte_tokens, e)) || (rc = make_pieces(t, e)) ||
        (rc = read_template(t, g, e)))
        return rc;
    if (specials_init(&t->specials, &t->tokens, t->types) != ERR_OK)
        return err_set(e, ERR_NOMEM, "%s: out of memory for control tokens", t->path);
    return ERR_OK;
}

int tokenizer_new(struct tokenizer **out, const struct gguf *g, struct err *e)
{
    *out = NULL;
    struct tokenizer *t = calloc(1, sizeof(*t));
    if (!t) return err_set(e, ERR_NOMEM, "%s: out of memory", gguf_path(g));
    t->path = gguf_path(g);
    int rc = read_all(t, g, e);
    if (rc) {
        tokenizer_free(t);
        return rc;
    }
    *out = t;
    return ERR_OK;
}

int tokenizer_open(struct tokenizer **out, const char *path, struct err *e)
{
    struct gguf *g;
    *out = NULL;
    int rc = gguf_open(&g, path, e);
    if (rc) return rc;
    rc = tokenizer_new(out, g, e);
    if (rc)
        gguf_close(g);
    else
        (*out)->owned = g;
    return rc;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t) return;
    specials_release(&t->specials);
    spm_free(t->spm);
    bpe_free(t->bpe);
    free(t->types);
    free(t->ends);
    free(t->pieces);
    free(t->piece_at);
    free(t->chat_template);
    gguf_close(t->owned);
    free(t);
}

/* ---- questions ---------------------------------------------------------------------------------------------- */

static bool is_token(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && (uint64_t)id < t->tokens.n;
}

int tokenizer_size(const struct tokenizer *t)
{
    return (int)t->tokens.n;
}

const char *tokenizer_piece(const struct tokenizer *t, int32_t id, size_t *len)
{
    if (!is_token(t, id)) {
        *len = 0;
        return "";
    }
    *len = t->piece_at[id + 1] - t->piece_at[id] - 1;
    return t->pieces + t->piece_at[id];
}

enum token_type tokenizer_type(const struct tokenizer *t, int32_t id)
{
    return is_token(t, id) ? (enum token_type)t->types[id] : TOKEN_UNKNOWN;
}

int32_t tokenizer_find(const struct tokenizer *t, const char *text)
{
    int32_t id = find_by_text(t, text);
    if (id >= 0 && (t->types[id] == TOKEN_CONTROL || t->types[id] == TOKEN_USER || t->types[id] == TOKEN_UNKNOWN)) return id;
    struct bpe_work w = {0};
    id = t->spm ? spm_find_bytes(t->spm, &w, text, strlen(text)) : bpe_find_bytes(t->bpe, &w, text, strlen(text));
    bpe_work_release(&w);
    return id;
}

int32_t tokenizer_bos(const struct tokenizer *t)
{
    return t->bos;
}

int32_t tokenizer_eos(const struct tokenizer *t)
{
    return t->eos;
}

bool tokenizer_adds_bos(const struct tokenizer *t)
{
    return t->add_bos;
}

bool tokenizer_is_end(const struct tokenizer *t, int32_t id)
{
    return is_token(t, id) && t->ends[id];
}

const char *tokenizer_template(const struct tokenizer *t, size_t *len)
{
    *len = t->chat_template_len;
    return t->chat_template;
}
