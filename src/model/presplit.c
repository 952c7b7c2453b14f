/*
 * presplit.c - the splitters and the table of pre-tokenizers.
 *
 * Every splitter answers one question: where does the piece that begins at `at` end? They work on bytes with one class byte each;
 * continuation bytes carry CONTINUED, so a code point is stepped over without decoding it again. Classes are never 0 inside the
 * piece and always 0 outside, which makes the end of the piece a class of its own.
 */
#include "model/presplit.h"

#include <string.h>
#include <utf8proc.h>

enum {
    LETTER = 1,      /* \p{L} */
    NUMBER = 2,      /* \p{N} */
    MARK = 4,        /* \p{M} */
    PUNCTUATION = 8, /* \p{P} */
    SPACE = 16,      /* \s */
    OTHER = 32,
    CONTINUED = 64, /* not the first byte of its code point */
};

struct view {
    const char *text;
    const uint8_t *classes;
    size_t to;
};

/* ---- classes ------------------------------------------------------------------------------------------------ */

static bool is_space(uint32_t cp)
{
    return (cp >= 0x09 && cp <= 0x0d) || cp == 0x20 || cp == 0x85 || cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) ||
           cp == 0x2028 || cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

static uint8_t class_of(uint32_t cp)
{
    if (is_space(cp)) return SPACE;
    /* Ideographs of Unicode 15.1, which the reference's tables have and those of utf8proc before 2.9 lack. */
    if (cp >= 0x2ebf0 && cp <= 0x2ee5d) return LETTER;
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return NUMBER;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME: return MARK;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO: return PUNCTUATION;
    default: return OTHER;
    }
}

static uint8_t class_of_ascii(unsigned char c)
{
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') return LETTER;
    if (c >= '0' && c <= '9') return NUMBER;
    if (c == ' ' || (c >= '\t' && c <= '\r')) return SPACE;
    if (c <= ' ' || c == 0x7f || strchr("$+<=>^`|~", c)) return OTHER;
    return PUNCTUATION;
}

void presplit_classify(const char *text, size_t n, uint8_t *classes)
{
    uint8_t ascii[128];
    for (unsigned i = 0; i < sizeof(ascii); i++) ascii[i] = class_of_ascii((unsigned char)i);
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x80) {
            classes[i++] = ascii[c];
            continue;
        }
        uint32_t cp;
        size_t len = utf8_decode(text + i, n - i, &cp);
        if (cp == UTF8_INVALID) {
            memset(classes + i, OTHER, len);
        } else {
            memset(classes + i, CONTINUED, len);
            classes[i] = class_of(cp);
        }
        i += len;
    }
}

/* ---- steps -------------------------------------------------------------------------------------------------- */

static unsigned class_at(const struct view *v, size_t at)
{
    return at < v->to ? v->classes[at] : 0;
}

/* -1 behind the end, so that it equals no character. */
static int char_at(const struct view *v, size_t at)
{
    return at < v->to ? (unsigned char)v->text[at] : -1;
}

static size_t step(const struct view *v, size_t at)
{
    do at++;
    while (at < v->to && v->classes[at] == CONTINUED);
    return at;
}

/* Behind the longest run of code points with a class of the mask. */
static size_t run_of(const struct view *v, size_t at, unsigned mask)
{
    while (class_at(v, at) & mask) at = step(v, at);
    return at;
}

static int lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

/* 's|'t|'re|'ve|'m|'ll|'d at `at`: its end, or `at` where there is none. */
static size_t contraction(const struct view *v, size_t at, bool any_case)
{
    if (char_at(v, at) != '\'') return at;
    int a = char_at(v, at + 1), b = char_at(v, at + 2);
    if (any_case) {
        a = lower(a);
        b = lower(b);
    }
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return at + 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return at + 3;
    return at;
}

/* \s+(?!\S)|\s+ with `at` on white space: all of it at the end of the piece, otherwise all but the last, which goes with what
 * follows, unless it is the only one. */
static size_t blank(const struct view *v, size_t at)
{
    size_t last = at, end = at;
    while (class_at(v, end) & SPACE) {
        last = end;
        end = step(v, end);
    }
    if (end == at) return step(v, at);
    return end < v->to && last > at ? last : end;
}

/* \s*[\r\n]+ before that. */
static size_t blank_with_lines(const struct view *v, size_t at)
{
    size_t behind_line = at;
    for (size_t i = at; class_at(v, i) & SPACE; i = step(v, i))
        if (char_at(v, i) == '\r' || char_at(v, i) == '\n') behind_line = i + 1;
    return behind_line > at ? behind_line : blank(v, at);
}

/* ---- splitters ---------------------------------------------------------------------------------------------- */

/* \p{N}, each on its own. */
static size_t each_number(const struct view *v, size_t at)
{
    if (class_at(v, at) & NUMBER) return step(v, at);
    return run_of(v, at, ~(unsigned)NUMBER);
}

/* \p{N}+ */
static size_t all_numbers(const struct view *v, size_t at)
{
    return run_of(v, at, class_at(v, at) & NUMBER ? (unsigned)NUMBER : ~(unsigned)NUMBER);
}

static size_t up_to_numbers(const struct view *v, size_t at, int max)
{
    while (max-- > 0 && class_at(v, at) & NUMBER) at = step(v, at);
    return at;
}

/* \p{N}{1,3} */
static size_t three_numbers(const struct view *v, size_t at)
{
    if (class_at(v, at) & NUMBER) return up_to_numbers(v, at, 3);
    return run_of(v, at, ~(unsigned)NUMBER);
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* [0-9][0-9][0-9] */
static size_t three_digits(const struct view *v, size_t at)
{
    for (size_t i = at; i < v->to; i++)
        if (is_digit(char_at(v, i)) && is_digit(char_at(v, i + 1)) && is_digit(char_at(v, i + 2))) return i > at ? i : i + 3;
    return v->to;
}

static bool is_punctuation(const struct view *v, size_t at)
{
    int c = char_at(v, at);
    return (class_at(v, at) & PUNCTUATION) || (c > 0 && strchr("$+<=>^~|", c));
}

/* [\p{P}\$\+<=>\^~\|]+ */
static size_t punctuation(const struct view *v, size_t at)
{
    bool inside = is_punctuation(v, at);
    while (at < v->to && is_punctuation(v, at) == inside) at = step(v, at);
    return at;
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static size_t gpt2(const struct view *v, size_t at)
{
    size_t end = contraction(v, at, false);
    if (end > at) return end;
    size_t body = at + (char_at(v, at) == ' ');
    unsigned c = class_at(v, body);
    if (c & (LETTER | NUMBER)) return run_of(v, body, c);
    if (c && !(c & SPACE)) return run_of(v, body, ~(unsigned)(SPACE | LETTER | NUMBER));
    return blank(v, at);
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?X+|\p{N}{1,max}| ?[^\sX\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ with X the classes of
 * `letters`. */
static size_t llama(const struct view *v, size_t at, unsigned letters, int max_numbers)
{
    size_t end = contraction(v, at, true);
    if (end > at) return end;
    unsigned c = class_at(v, at);
    int first = char_at(v, at);
    if (c & NUMBER) return up_to_numbers(v, at, max_numbers);
    if (first != '\r' && first != '\n') {
        size_t next = step(v, at);
        if ((c & letters) || (class_at(v, next) & letters)) return run_of(v, next, letters);
    }
    size_t body = at + (first == ' ');
    unsigned b = class_at(v, body);
    if (b && !(b & (SPACE | NUMBER | letters))) {
        end = run_of(v, body, ~(SPACE | NUMBER | letters));
        while (char_at(v, end) == '\r' || char_at(v, end) == '\n') end++;
        return end;
    }
    return blank_with_lines(v, at);
}

static size_t llama3(const struct view *v, size_t at)
{
    return llama(v, at, LETTER, 3);
}

static size_t qwen2(const struct view *v, size_t at)
{
    return llama(v, at, LETTER, 1);
}

static size_t qwen35(const struct view *v, size_t at)
{
    return llama(v, at, LETTER | MARK, 1);
}

static bool can_be_upper(const struct view *v, size_t at)
{
    int c = char_at(v, at);
    return (class_at(v, at) & LETTER) && !(c >= 'a' && c <= 'z');
}

static bool can_be_lower(const struct view *v, size_t at)
{
    int c = char_at(v, at);
    return (class_at(v, at) & LETTER) && !(c >= 'A' && c <= 'Z');
}

/* U*L+|U+L* where U are letters that are not a-z and L letters that are not A-Z: other letters are both, so U* gives back as much
 * as L+ needs, as a backtracking engine would. */
static size_t cased_word(const struct view *v, size_t at)
{
    size_t upper = at, last_both = v->to;
    while (can_be_upper(v, upper)) {
        if (can_be_lower(v, upper)) last_both = upper;
        upper = step(v, upper);
    }
    size_t end = upper;
    if (!can_be_lower(v, upper)) {
        if (last_both == v->to) return upper;
        end = last_both;
    }
    while (can_be_lower(v, end)) end = step(v, end);
    return end;
}

/* [^\r\n\p{L}\p{N}]?(U*L+|U+L*)C?|\p{N}{1,max}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+ with C the contractions. */
static size_t cased(const struct view *v, size_t at, int max_numbers, bool contractions)
{
    unsigned c = class_at(v, at);
    int first = char_at(v, at);
    if (c & NUMBER) return up_to_numbers(v, at, max_numbers);
    if (first != '\r' && first != '\n') {
        size_t word = c & LETTER ? at : step(v, at);
        if (class_at(v, word) & LETTER) {
            size_t end = cased_word(v, word);
            return contractions ? contraction(v, end, true) : end;
        }
    }
    size_t body = at + (first == ' ');
    unsigned b = class_at(v, body);
    if (b && !(b & (SPACE | NUMBER | LETTER))) {
        size_t end = run_of(v, body, ~(unsigned)(SPACE | NUMBER | LETTER));
        while (char_at(v, end) == '\r' || char_at(v, end) == '\n' || char_at(v, end) == '/') end++;
        return end;
    }
    return blank_with_lines(v, at);
}

static size_t gpt4o(const struct view *v, size_t at)
{
    return cased(v, at, 3, true);
}

static size_t tekken(const struct view *v, size_t at)
{
    return cased(v, at, 1, false);
}

/* ---- pre-tokenizers ----------------------------------------------------------------------------------------- */

typedef size_t splitter(const struct view *v, size_t at);

enum { MAX_STAGES = 4 };

struct presplit {
    const char *names; /* space separated */
    splitter *stages[MAX_STAGES + 1];
    bool ignore_merges, add_bos;
};

static const struct presplit table[] = {
    {"default", {punctuation, gpt2, all_numbers, three_digits}, false, false},
    {"gpt-2 phi-2 mpt olmo jais trillion granite-docling gigachat a.x-4.0 mellum exaone4", {gpt2}, false, false},
    {"smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", {each_number, gpt2}, false, false},
    {"qwen2 deepseek-r1-qwen kormo stablelm2 megrez hunyuan solar-open grok-2", {qwen2}, false, false},
    {"qwen35", {qwen35}, false, false},
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2", {llama3}, true, true},
    {"smaug-bpe dbrx chatglm-bpe", {llama3}, false, false},
    {"glm4 glm5", {llama3}, true, false},
    {"minicpm5", {three_numbers, llama3}, true, false},
    {"gpt-4o llama4 kanana2 minimax-m2", {gpt4o}, false, false},
    {"tekken", {tekken}, true, true},
};

const struct presplit *presplit_find(const char *name, size_t n)
{
    if (n == 0 || memchr(name, ' ', n)) return NULL;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        for (const char *p = table[i].names; *p;) {
            size_t len = strcspn(p, " ");
            if (len == n && memcmp(p, name, n) == 0) return &table[i];
            p += len + (p[len] == ' ');
        }
    return NULL;
}

bool presplit_ignores_merges(const struct presplit *p)
{
    return p->ignore_merges;
}

bool presplit_adds_bos(const struct presplit *p)
{
    return p->add_bos;
}

struct run {
    struct view view;
    int (*word)(void *arg, size_t from, size_t to);
    void *arg;
};

static int run_stage(const struct run *r, splitter *const *stage, size_t from, size_t to)
{
    if (!*stage) return r->word(r->arg, from, to);
    struct view v = r->view;
    v.to = to;
    while (from < to) {
        size_t end = (*stage)(&v, from);
        int rc = run_stage(r, stage + 1, from, end);
        if (rc) return rc;
        from = end;
    }
    return 0;
}

int presplit_run(const struct presplit *p, const char *text, const uint8_t *classes, size_t from, size_t to,
                 int (*word)(void *arg, size_t from, size_t to), void *arg)
{
    struct run r = {.view = {text, classes, to}, .word = word, .arg = arg};
    return from < to ? run_stage(&r, p->stages, from, to) : 0;
}
