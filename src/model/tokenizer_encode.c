/*
 * tokenizer_encode.c - text to token ids.
 *
 * First the tokens that are recognised by their spelling are found, longest first and then leftmost, as the reference cuts texts
 * token by token in that order; the runs between them go through the pre-tokenizer and the merges. A run is one text: nothing but
 * a recognised token interrupts it, so where program text and text from outside meet, words and merges reach across.
 *
 * A piece of text from outside can become ordinary tokens only, for the merges never yield another kind (bpe.h, spm.h), and tokens of
 * white space, which some vocabularies list as user-defined.
 */
#include "model/tokenizer_impl.h"

#include <stdlib.h>
#include <string.h>

/* More places than this would have to be remembered at once: no text does that by accident. */
#define MAX_MATCHES ((size_t)16 << 20)

struct match {
    uint32_t from, len;
    int32_t id;
};

struct encoder {
    const struct tokenizer *t;
    const char *text;
    size_t n;
    struct match *matches;
    size_t n_matches, cap_matches;
    uint8_t *scratch; /* a byte for each byte of text: first which are taken, then their classes */
    size_t run;       /* where the run being cut begins */
    bool goes_on;     /* the text stands behind other tokens */
    struct bpe_work work;
    struct tokens *out;
};

/* ---- tokens recognised by their spelling -------------------------------------------------------------------- */

static int compare_special(const void *a, const void *b)
{
    const struct special *x = a, *y = b;
    size_t n = x->text.n < y->text.n ? x->text.n : y->text.n;
    int d = memcmp(x->text.p, y->text.p, n);
    return d ? d : (x->text.n > y->text.n) - (x->text.n < y->text.n);
}

static bool is_special(uint8_t type)
{
    return type == TOKEN_CONTROL || type == TOKEN_USER || type == TOKEN_UNKNOWN;
}

static bool is_blank(struct gguf_string s)
{
    size_t i = 0;
    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\n' || s.p[i] == '\t' || s.p[i] == '\r')) i++;
    return i == s.n;
}

int specials_init(struct specials *s, const struct gguf_array *tokens, const uint8_t *types)
{
    uint32_t n = 0;
    for (uint64_t i = 0; i < tokens->n; i++) n += is_special(types[i]);
    s->list = malloc((n ? n : 1) * sizeof(*s->list));
    if (!s->list) return ERR_NOMEM;
    for (uint64_t i = 0; i < tokens->n; i++) {
        struct gguf_string text;
        if (!is_special(types[i]) || !gguf_array_string(tokens, i, &text) || !text.n) continue;
        bool blank = types[i] == TOKEN_USER && is_blank(text);
        s->list[s->n++] = (struct special){text, (int32_t)i, types[i], blank};
        s->any_blank |= blank;
    }
    qsort(s->list, s->n, sizeof(*s->list), compare_special);
    for (uint32_t c = 0, i = 0; c <= 256; c++) {
        while (i < s->n && (unsigned char)s->list[i].text.p[0] < c) i++;
        s->first[c] = i;
    }
    return ERR_OK;
}

void specials_release(struct specials *s)
{
    free(s->list);
    *s = (struct specials){0};
}

/* The first of lo..hi (which agree in the bytes before depth) whose byte at depth is at least c. */
static uint32_t lower_bound(const struct specials *s, uint32_t lo, uint32_t hi, size_t depth, unsigned c)
{
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        struct gguf_string text = s->list[mid].text;
        if (text.n <= depth || (unsigned char)text.p[depth] < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool is_allowed(const struct special *s, enum token_parse parse)
{
    return s->blank || parse == PARSE_CONTROL || (parse == PARSE_USER && s->type == TOKEN_USER);
}

static int add_match(struct encoder *x, size_t from, const struct special *s)
{
    if (x->n_matches >= MAX_MATCHES) return ERR_TOO_LONG;
    if (x->n_matches == x->cap_matches && !mem_grow(&x->matches, &x->cap_matches, x->n_matches + 1, sizeof(*x->matches))) return ERR_NOMEM;
    x->matches[x->n_matches++] = (struct match){(uint32_t)from, (uint32_t)s->text.n, s->id};
    return ERR_OK;
}

/* Adds every token of the allowed types that stands anywhere within from..to, also where they overlap. */
static int find_matches(struct encoder *x, size_t from, size_t to, enum token_parse parse)
{
    const struct specials *s = &x->t->specials;
    if (parse == PARSE_NONE && !s->any_blank) return ERR_OK;
    for (size_t at = from; at < to; at++) {
        unsigned c = (unsigned char)x->text[at];
        uint32_t lo = s->first[c], hi = s->first[c + 1];
        for (size_t depth = 1; lo < hi; depth++) {
            /* The shortest of those that agree so far comes first. */
            if (s->list[lo].text.n == depth) {
                int rc = is_allowed(&s->list[lo], parse) ? add_match(x, at, &s->list[lo]) : ERR_OK;
                if (rc) return rc;
                lo++;
            }
            if (at + depth >= to) break;
            c = (unsigned char)x->text[at + depth];
            lo = lower_bound(s, lo, hi, depth, c);
            hi = lower_bound(s, lo, hi, depth, c + 1);
        }
    }
    return ERR_OK;
}

static int compare_by_rank(const void *a, const void *b)
{
    const struct match *x = a, *y = b;
    if (x->len != y->len) return x->len > y->len ? -1 : 1;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return (x->from > y->from) - (x->from < y->from);
}

static int compare_by_place(const void *a, const void *b)
{
    const struct match *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

/* Keeps the matches that the reference takes: in the order of compare_by_rank, each that overlaps none taken before. */
static void choose_matches(struct encoder *x)
{
    bool overlap = false;
    for (size_t i = 1; i < x->n_matches; i++) overlap = overlap || x->matches[i].from < x->matches[i - 1].from + x->matches[i - 1].len;
    if (!overlap) return;
    size_t kept = 0;
    qsort(x->matches, x->n_matches, sizeof(*x->matches), compare_by_rank);
    memset(x->scratch, 0, x->n);
    for (size_t i = 0; i < x->n_matches; i++) {
        struct match m = x->matches[i];
        /* Those taken before are not shorter, so one that overlaps covers the first or the last byte. */
        if (x->scratch[m.from] || x->scratch[m.from + m.len - 1]) continue;
        memset(x->scratch + m.from, 1, m.len);
        x->matches[kept++] = m;
    }
    x->n_matches = kept;
    qsort(x->matches, kept, sizeof(*x->matches), compare_by_place);
}

/* ---- the rest ----------------------------------------------------------------------------------------------- */

static int encode_word(void *arg, size_t from, size_t to)
{
    struct encoder *x = arg;
    return bpe_encode(x->t->bpe, &x->work, x->text + x->run + from, to - from, presplit_ignores_merges(x->t->split), x->out);
}

static int encode_run(struct encoder *x, size_t from, size_t to)
{
    if (x->t->spm)
        return spm_encode(x->t->spm, &x->work, x->text + from, to - from, x->t->space_prefix && !(x->goes_on && from == 0), x->out);
    x->run = from;
    presplit_classify(x->text + from, to - from, x->scratch);
    return presplit_run(x->t->split, x->text + from, x->scratch, 0, to - from, encode_word, x);
}

static int encode_all(struct encoder *x)
{
    size_t at = 0;
    int rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < x->n_matches; i++) {
        struct match m = x->matches[i];
        rc = encode_run(x, at, m.from);
        if (rc == ERR_OK) rc = tokens_push(x->out, m.id);
        at = (size_t)m.from + m.len;
    }
    return rc ? rc : encode_run(x, at, x->n);
}

static int encoder_init(struct encoder *x, const struct tokenizer *t, const char *text, size_t n, struct tokens *out)
{
    *x = (struct encoder){.t = t, .text = text, .n = n, .out = out};
    if (n > INT32_MAX) return ERR_TOO_LONG;
    x->scratch = malloc(n ? n : 1);
    return x->scratch ? ERR_OK : ERR_NOMEM;
}

/* Frees the room, and on failure takes back what was appended to out. */
static int encoder_end(struct encoder *x, size_t before, int rc, struct err *e)
{
    free(x->matches);
    free(x->scratch);
    bpe_work_release(&x->work);
    if (rc == ERR_OK) return rc;
    x->out->n = before;
    return err_set(e, rc, rc == ERR_NOMEM ? "out of memory for a text of %zu bytes" : "a text of %zu bytes cannot be tokenised", x->n);
}

static int encode_text(const struct tokenizer *t, const char *text, size_t n, bool goes_on, enum token_parse parse, struct tokens *out,
                       struct err *e)
{
    struct encoder x;
    size_t before = out->n;
    int rc = encoder_init(&x, t, text, n, out);
    x.goes_on = goes_on;
    if (rc == ERR_OK) rc = find_matches(&x, 0, n, parse);
    if (rc == ERR_OK) {
        choose_matches(&x);
        rc = encode_all(&x);
    }
    return encoder_end(&x, before, rc, e);
}

int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, enum token_parse parse, struct tokens *out, struct err *e)
{
    return encode_text(t, text, n, false, parse, out, e);
}

int tokenizer_encode_more(const struct tokenizer *t, const char *text, size_t n, enum token_parse parse, struct tokens *out, struct err *e)
{
    return encode_text(t, text, n, true, parse, out, e);
}

/* Looks for tokens between the spans from outside, and in them for those that are white space. */
static int find_prompt_matches(struct encoder *x, const struct prompt *p)
{
    size_t at = 0;
    for (size_t i = 0; i < p->n_outside; i++) {
        struct prompt_span s = p->outside[i];
        if (s.from < at || s.to < s.from || s.to > x->n) return ERR_INVALID;
        int rc = find_matches(x, at, s.from, PARSE_CONTROL);
        if (rc == ERR_OK) rc = find_matches(x, s.from, s.to, PARSE_NONE);
        if (rc) return rc;
        at = s.to;
    }
    return find_matches(x, at, x->n, PARSE_CONTROL);
}

int tokenizer_encode_prompt(const struct tokenizer *t, const struct prompt *p, struct tokens *out, struct err *e)
{
    struct encoder x;
    size_t before = out->n;
    int rc = encoder_init(&x, t, str_cstr(&p->text), p->text.len, out);
    if (rc == ERR_OK) rc = find_prompt_matches(&x, p);
    if (rc == ERR_OK) {
        choose_matches(&x);
        bool has_bos = x.n_matches && x.matches[0].from == 0 && x.matches[0].id == t->bos;
        if (t->add_bos && !has_bos) rc = tokens_push(out, t->bos);
    }
    if (rc == ERR_OK) rc = encode_all(&x);
    return encoder_end(&x, before, rc, e);
}
