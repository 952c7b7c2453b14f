/*
 * highlight.c - the state machine that colours code by the tables of highlight_tables.c.
 *
 * Invariants
 *   - Every byte gets a style, and the time is linear in the bytes.
 *   - What a byte gets depends on the bytes before it on the same line, on the state, and on at most the rest of its token.
 *
 * Not done here: regular expressions of JavaScript, here-documents of the shell, expressions inside template strings.
 */
#include "ui/highlight.h"

#include <string.h>

enum mode { MODE_CODE, MODE_LINE_COMMENT, MODE_BLOCK_COMMENT, MODE_STRING };

/* Longer words are no keywords. */
#define WORD_MAX 24
/* A string of Rust with its own number of #: no entry of the table. */
#define QUOTE_RAW 0xff

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || c >= 0x80;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool starts(const char *p, size_t n, const char *what)
{
    size_t k = what ? strlen(what) : 0;
    return k > 0 && k <= n && memcmp(p, what, k) == 0;
}

const struct highlight *highlight_find(const char *name, size_t n)
{
    if (n == 0 || n > WORD_MAX) return NULL;
    for (size_t i = 0; i < highlight_count; i++) {
        for (const char *p = highlight_table[i].names; *p;) {
            size_t k = strcspn(p, " ");
            size_t same = 0;
            while (same < k && same < n && lower(name[same]) == p[same]) same++;
            if (same == k && k == n) return &highlight_table[i];
            p += k;
            p += strspn(p, " ");
        }
    }
    return NULL;
}

static bool in_list(const char *const *list, size_t n, const char *word)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(word, list[mid]);
        if (order == 0) return true;
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return false;
}

static bool is_keyword(const struct highlight *h, const char *p, size_t n)
{
    char word[WORD_MAX + 1];
    if (n > WORD_MAX) return false;
    for (size_t i = 0; i < n; i++) word[i] = h->flags & HIGHLIGHT_ANY_CASE ? lower(p[i]) : p[i];
    word[n] = '\0';
    return in_list(h->keywords, h->n_keywords, word) || (h->more && in_list(h->more, h->n_more, word));
}

/* One text while it is coloured. */
struct work {
    const struct highlight *h;
    struct highlight_state *s;
    const char *p;
    size_t n, at;
    uint8_t *styles;
};

static void paint(struct work *w, size_t to, enum style style)
{
    if (to > w->n) to = w->n;
    memset(w->styles + w->at, (int)style, to - w->at);
    w->at = to;
}

static void block_comment(struct work *w)
{
    size_t i = w->at;
    const struct highlight *h = w->h;
    while (i < w->n) {
        if ((h->flags & HIGHLIGHT_NESTED) && starts(w->p + i, w->n - i, h->block_open) && w->s->depth < UINT8_MAX) {
            w->s->depth++;
            i += strlen(h->block_open);
        } else if (starts(w->p + i, w->n - i, h->block_close)) {
            i += strlen(h->block_close);
            if (w->s->depth > 0) w->s->depth--;
            if (w->s->depth == 0) {
                w->s->mode = MODE_CODE;
                break;
            }
        } else {
            i++;
        }
    }
    paint(w, i, STYLE_CODE_COMMENT);
}

/* True where a raw string with n hashes ends: "## */
static bool raw_ends(const char *p, size_t n, size_t hashes)
{
    if (n < hashes + 1 || p[0] != '"') return false;
    for (size_t i = 1; i <= hashes; i++)
        if (p[i] != '#') return false;
    return true;
}

static void string_rest(struct work *w)
{
    size_t from = w->at, i = from;
    struct highlight_state *s = w->s;
    const struct highlight_string *q = s->quote < HIGHLIGHT_STRINGS ? &w->h->strings[s->quote] : NULL;
    while (i < w->n) {
        if (!q) {
            if (raw_ends(w->p + i, w->n - i, s->hashes)) {
                i += 1u + s->hashes;
                s->mode = MODE_CODE;
                break;
            }
        } else if (q->escapes && w->p[i] == '\\') {
            i++;
        } else if (starts(w->p + i, w->n - i, q->close)) {
            i += strlen(q->close);
            s->mode = MODE_CODE;
            break;
        }
        i++;
    }
    paint(w, i, STYLE_CODE_STRING);
}

/* After a string of JSON: was it a key? */
static bool is_key(const struct work *w)
{
    size_t i = w->at;
    while (i < w->n && (w->p[i] == ' ' || w->p[i] == '\t')) i++;
    return i < w->n && w->p[i] == ':';
}

static bool begin_string(struct work *w)
{
    const struct highlight *h = w->h;
    const char *p = w->p + w->at;
    size_t left = w->n - w->at, from = w->at;
    for (size_t k = 0; k < HIGHLIGHT_STRINGS && h->strings[k].open; k++) {
        if (!starts(p, left, h->strings[k].open)) continue;
        /* 'a without a second quote near is a lifetime of Rust */
        if ((h->flags & HIGHLIGHT_RUST) && p[0] == '\'' && !(left > 2 && (p[1] == '\\' || p[2] == '\'' || (unsigned char)p[1] >= 0x80)))
            continue;
        w->s->mode = MODE_STRING;
        w->s->quote = (uint8_t)k;
        paint(w, w->at + strlen(h->strings[k].open), STYLE_CODE_STRING);
        string_rest(w);
        if ((h->flags & HIGHLIGHT_KEYS) && w->s->mode == MODE_CODE && is_key(w)) memset(w->styles + from, STYLE_CODE_KEYWORD, w->at - from);
        return true;
    }
    return false;
}

static bool begin_comment(struct work *w)
{
    const struct highlight *h = w->h;
    const char *p = w->p + w->at;
    size_t left = w->n - w->at;
    if (starts(p, left, h->block_open)) {
        w->s->mode = MODE_BLOCK_COMMENT;
        w->s->depth = 1;
        paint(w, w->at + strlen(h->block_open), STYLE_CODE_COMMENT);
        block_comment(w);
        return true;
    }
    for (size_t k = 0; k < ARRAY_LEN(h->line_comments); k++) {
        if (!starts(p, left, h->line_comments[k])) continue;
        if ((h->flags & HIGHLIGHT_SHELL) && w->at > 0 && !strchr(" \t;&|(", p[-1])) continue;
        w->s->mode = MODE_LINE_COMMENT;
        paint(w, w->n, STYLE_CODE_COMMENT);
        return true;
    }
    return false;
}

/* 12, 0x1f, 1_000, 1.5e-3, .5, 10u64. A dot belongs to it only before a digit or after one, so that 0..9 is two numbers. */
static void number(struct work *w)
{
    size_t i = w->at;
    const char *p = w->p;
    bool hex = i + 1 < w->n && p[i] == '0' && lower(p[i + 1]) == 'x';
    while (i < w->n) {
        if (is_word((unsigned char)p[i]) && (unsigned char)p[i] < 0x80)
            i++;
        else if (p[i] == '.' &&
                 !(i + 1 < w->n && (p[i + 1] == '.' || (is_word((unsigned char)p[i + 1]) && !is_digit((unsigned char)p[i + 1])))))
            i++;
        else if ((p[i] == '+' || p[i] == '-') && i > w->at && !hex && lower(p[i - 1]) == 'e')
            i++;
        else
            break;
    }
    paint(w, i, STYLE_CODE_NUMBER);
}

/* r"raw", r#"raw"#: true if one begins at the word that ends at `end`. */
static bool begin_raw(struct work *w, size_t end)
{
    size_t k = end, hashes = 0;
    if (!(w->h->flags & HIGHLIGHT_RUST) || end - w->at > 2 || w->p[end - 1] != 'r') return false;
    while (k < w->n && w->p[k] == '#' && hashes < 200) k++, hashes++;
    if (k >= w->n || w->p[k] != '"') return false;
    w->s->mode = MODE_STRING;
    w->s->quote = QUOTE_RAW;
    w->s->hashes = (uint8_t)hashes;
    paint(w, k + 1, STYLE_CODE_STRING);
    string_rest(w);
    return true;
}

static void word(struct work *w)
{
    size_t end = w->at;
    while (end < w->n && is_word((unsigned char)w->p[end])) end++;
    if (begin_raw(w, end)) return;
    bool keyword = w->s->directive || is_keyword(w->h, w->p + w->at, end - w->at);
    w->s->directive = false;
    paint(w, end, keyword ? STYLE_CODE_KEYWORD : STYLE_CODE);
}

/* $name, ${name}, $1 of the shell. */
static void variable(struct work *w)
{
    size_t i = w->at + 1;
    if (i < w->n && w->p[i] == '{') {
        while (i < w->n && w->p[i] != '}') i++;
        i++;
    } else if (i < w->n && is_word((unsigned char)w->p[i])) {
        while (i < w->n && is_word((unsigned char)w->p[i])) i++;
    } else if (i < w->n && w->p[i] != '(') {
        i++;
    }
    paint(w, i, STYLE_CODE_NUMBER);
}

static bool only_blanks_before(const struct work *w)
{
    for (size_t i = w->at; i-- > 0;)
        if (w->p[i] != ' ' && w->p[i] != '\t') return false;
    return true;
}

static void plain(struct work *w)
{
    unsigned char c = (unsigned char)w->p[w->at];
    /* .5, but not the end of 0..5 */
    bool digit_next = w->at + 1 < w->n && is_digit((unsigned char)w->p[w->at + 1]) && !(w->at > 0 && w->p[w->at - 1] == '.');
    if (c == ' ' || c == '\t') {
        paint(w, w->at + 1, STYLE_CODE);
    } else if ((w->h->flags & HIGHLIGHT_DIRECTIVES) && c == '#' && only_blanks_before(w)) {
        w->s->directive = true;
        paint(w, w->at + 1, STYLE_CODE_KEYWORD);
    } else if (begin_comment(w) || begin_string(w)) {
        w->s->directive = false;
    } else if ((w->h->flags & HIGHLIGHT_SHELL) && c == '$') {
        variable(w);
    } else if (is_digit(c) || (c == '.' && digit_next)) {
        number(w);
    } else if (is_word(c)) {
        word(w);
    } else if ((w->h->flags & HIGHLIGHT_SHELL) && c == '\\') {
        paint(w, w->at + 2, STYLE_CODE);
    } else {
        paint(w, w->at + 1, STYLE_CODE);
    }
}

void highlight_text(const struct highlight *h, struct highlight_state *s, const char *p, size_t n, uint8_t *styles)
{
    struct work w = {.h = h, .s = s, .p = p, .n = n, .styles = styles};
    if (!h) {
        memset(styles, STYLE_CODE, n);
        return;
    }
    while (w.at < n) {
        switch (s->mode) {
        case MODE_LINE_COMMENT: paint(&w, n, STYLE_CODE_COMMENT); break;
        case MODE_BLOCK_COMMENT: block_comment(&w); break;
        case MODE_STRING: string_rest(&w); break;
        default: plain(&w);
        }
    }
}

void highlight_newline(const struct highlight *h, struct highlight_state *s, bool escaped)
{
    s->directive = false;
    if (!h) return;
    if (s->mode == MODE_LINE_COMMENT && !(escaped && (h->flags & HIGHLIGHT_DIRECTIVES))) s->mode = MODE_CODE;
    if (s->mode != MODE_STRING || s->quote == QUOTE_RAW || s->quote >= HIGHLIGHT_STRINGS) return;
    const struct highlight_string *q = &h->strings[s->quote];
    if (!q->lines && !(q->escapes && escaped)) s->mode = MODE_CODE;
}
