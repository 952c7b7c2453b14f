/*
 * verify.c - whether a reply gives the known answer. The place where an answer stands is found as for any reply (answer_place); what is
 * taken from there depends on the check, and is brought into a form in which equal answers are equal bytes. A reply that hedges ("5 or
 * 6") is wrong.
 */
#include "tasks/internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const check_names[] = {
#define X(n, s) s,
    TASK_CHECKS(X)
#undef X
};

const char *task_check_name(enum task_check c)
{
    return (unsigned)c < ARRAY_LEN(check_names) ? check_names[c] : "";
}

bool task_check_by_name(const char *name, enum task_check *out)
{
    for (size_t i = 0; i < ARRAY_LEN(check_names); i++)
        if (!strcmp(check_names[i], name)) {
            *out = (enum task_check)i;
            return true;
        }
    return false;
}

struct slice {
    const char *p;
    size_t n;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* ---- words ------------------------------------------------------------------------------------------------------------- */

/* The next run of letters and digits from *at on; n 0 at the end. */
static struct slice next_word(const struct slice *s, size_t *at)
{
    size_t i = *at;
    while (i < s->n && !is_letter(s->p[i]) && !is_digit(s->p[i])) i++;
    size_t from = i;
    while (i < s->n && (is_letter(s->p[i]) || is_digit(s->p[i]))) i++;
    *at = i;
    return (struct slice){s->p + from, i - from};
}

static bool word_is(const struct slice *w, const char *text)
{
    return w->n == strlen(text) && !strncasecmp(w->p, text, w->n);
}

static void add_lower(struct str *out, const struct slice *w)
{
    for (size_t i = 0; i < w->n; i++) str_add_char(out, (char)(w->p[i] >= 'A' && w->p[i] <= 'Z' ? w->p[i] + 32 : w->p[i]));
}

/* All words in small letters with a blank between them, without an article in front. */
static void put_words(struct str *out, const struct slice *s)
{
    size_t at = 0, n = 0;
    for (struct slice w = next_word(s, &at); w.n; w = next_word(s, &at)) {
        if (!n && (word_is(&w, "the") || word_is(&w, "a") || word_is(&w, "an"))) {
            size_t ahead = at;
            if (next_word(s, &ahead).n) continue; /* and not the letter A as an answer */
        }
        if (n++) str_add_char(out, ' ');
        add_lower(out, &w);
    }
}

static bool has_word(const struct slice *s, const char *text)
{
    size_t at = 0;
    for (struct slice w = next_word(s, &at); w.n; w = next_word(s, &at))
        if (word_is(&w, text)) return true;
    return false;
}

static const char *const kinds[][8] = {{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}, {"yes", "no"}, {"true", "false"}, {"heads", "tails"}};

/* The one word of the answer's kind; nothing where there are several, or one that is denied. */
static void put_known_word(struct str *out, const struct slice *s, const char *answer)
{
    const char *const *kind = NULL;
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
        for (size_t i = 0; i < 8 && kinds[k][i]; i++)
            if (!strcasecmp(kinds[k][i], answer)) kind = kinds[k];
    const char *found = NULL;
    int n = 0;
    for (size_t i = 0; kind && i < 8 && kind[i]; i++)
        if (has_word(s, kind[i])) {
            found = kind[i];
            n++;
        }
    bool denied = kind == kinds[2] && has_word(s, "not");
    if (n == 1 && !denied) str_add(out, found);
}

/* "Tom", and also "Tom is the youngest" and "The youngest is Tom". */
static bool says_text(const char *words, const char *want)
{
    static const char *const verbs[] = {" is ", " was ", " comes ", " are "};
    size_t n = strlen(words), k = strlen(want);
    if (!strcmp(words, want)) return true;
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        size_t v = strlen(verbs[i]);
        if (n > k + v && !strncmp(words, want, k) && !strncmp(words + k, verbs[i], v)) return true;
        if (n > k + v && !strcmp(words + n - k, want) && !strncmp(words + n - k - v, verbs[i], v)) return true;
        if (n > k + v + 4 && !strcmp(words + n - k, want) && !strncmp(words + n - k - 4, "the ", 4) && !strncmp(words + n - k - 4 - v, verbs[i], v)) return true;
    }
    return false;
}

/* ---- numerals ---------------------------------------------------------------------------------------------------------- */

static void put_list(struct str *out, const struct slice *s)
{
    for (size_t i = 0, n = 0; i < s->n;) {
        bool minus = s->p[i] == '-' && (!i || !is_digit(s->p[i - 1])) && i + 1 < s->n && is_digit(s->p[i + 1]);
        if (i + 3 < s->n && !memcmp(s->p + i, "\xe2\x88\x92", 3) && is_digit(s->p[i + 3])) {
            minus = true;
            i += 2;
        }
        if (!minus && !is_digit(s->p[i])) {
            i++;
            continue;
        }
        size_t from = i + minus, end = from;
        while (end < s->n && (is_digit(s->p[end]) || (s->p[end] == '.' && end + 1 < s->n && is_digit(s->p[end + 1])))) end++;
        if (n++) str_add_char(out, ' ');
        struct str one = STR_EMPTY;
        str_add(&one, minus ? "-" : "");
        str_add_bytes(&one, s->p + from, end - from);
        answer_expected(out, FORM_NUMBER, str_cstr(&one), one.len);
        str_release(&one);
        i = end;
    }
}

static bool is_numeral(const struct slice *w)
{
    for (size_t i = 0; i < w->n; i++)
        if (!is_digit(w->p[i]) && !((w->p[i] | 32) >= 'a' && (w->p[i] | 32) <= 'f')) return false;
    return w->n > 0;
}

static void put_digits(struct str *out, const struct slice *s)
{
    struct slice last = {0}, cut = *s;
    for (size_t i = 1; i < cut.n; i++) /* "1101 (base 2)", "1101_2", "1101 in base 2" */
        if (strchr("(_", cut.p[i]) || (cut.n - i > 4 && !strncmp(cut.p + i, " in ", 4)) || (cut.n - i > 5 && !strncasecmp(cut.p + i, " base", 5))) cut.n = i;
    size_t at = 0;
    for (struct slice w = next_word(&cut, &at); w.n; w = next_word(&cut, &at)) {
        if (w.n > 2 && w.p[0] == '0' && strchr("xXoO", w.p[1])) w.p += 2, w.n -= 2;
        if (is_numeral(&w)) last = w;
    }
    while (last.n > 1 && *last.p == '0') last.p++, last.n--;
    add_lower(out, &last);
}

static bool read_int(const struct slice *s, size_t *at, long long *v)
{
    size_t i = *at;
    *v = 0;
    while (i < s->n && is_digit(s->p[i]) && i - *at < 18) *v = *v * 10 + (s->p[i++] - '0');
    bool any = i > *at;
    *at = i;
    return any;
}

/* The last a/b, \frac{a}{b} or \dfrac{a}{b}. */
static void put_fraction(struct str *out, const struct slice *s)
{
    for (size_t i = 0; i < s->n; i++) {
        long long a, b;
        size_t at = i;
        bool latex = s->n - i > 5 && !strncmp(s->p + i, "frac{", 5);
        if (latex) at += 5;
        if (!latex && (!is_digit(s->p[i]) || (i && is_digit(s->p[i - 1])))) continue;
        if (!read_int(s, &at, &a)) continue;
        while (at < s->n && strchr(" }{/", s->p[at])) at++;
        bool slash = false;
        for (size_t k = i; k < at; k++) slash = slash || s->p[k] == (latex ? '}' : '/');
        if (!slash || !read_int(s, &at, &b)) continue;
        str_clear(out);
        str_addf(out, "%lld/%lld", a, b);
    }
}

static void put_time(struct str *out, const struct slice *s)
{
    for (size_t i = 0; i < s->n; i++) {
        long long h, min;
        size_t at = i;
        if (!is_digit(s->p[i]) || (i && is_digit(s->p[i - 1])) || !read_int(s, &at, &h) || at - i > 2 || at >= s->n || s->p[at] != ':') continue;
        size_t from = ++at;
        if (!read_int(s, &at, &min) || at - from != 2 || h > 24 || min > 59) continue;
        while (at < s->n && s->p[at] == ' ') at++;
        bool letters = s->n - at >= 2, pm = letters && !strncasecmp(s->p + at, "pm", 2), am = letters && !strncasecmp(s->p + at, "am", 2);
        if (pm && h < 12) h += 12;
        if (am && h == 12) h = 0;
        str_clear(out);
        str_addf(out, "%lld:%02lld", h % 24, min);
    }
}

/* ---- expressions ------------------------------------------------------------------------------------------------------- */

#define LEAVES_MAX 16

struct reader {
    const char *p, *end;
    long long leaves[LEAVES_MAX];
    int n, depth;
    bool bad;
};
struct ratio {
    long long a, b; /* b above 0 */
};

static bool fits(__int128 v)
{
    return v < 1000000000000 && v > -1000000000000;
}

static struct ratio ratio_of(struct reader *r, __int128 a, __int128 b)
{
    if (!b || !fits(a) || !fits(b)) {
        r->bad = true;
        return (struct ratio){0, 1};
    }
    if (b < 0) a = -a, b = -b;
    long long d = gcd_of((long long)(a < 0 ? -a : a), (long long)b);
    return (struct ratio){(long long)a / d, (long long)b / d};
}

/* The sign of an operation, as one of + - * / ( ) or 0; takes it. */
static char operation(struct reader *r)
{
    static const struct {
        const char *text;
        char op;
    } signs[] = {{"+", '+'}, {"-", '-'}, {"\xe2\x88\x92", '-'}, {"*", '*'}, {"\xc3\x97", '*'}, {"\xc2\xb7", '*'}, {"x", '*'}, {"/", '/'}, {"\xc3\xb7", '/'}, {"(", '('}, {")", ')'}, {"[", '('}, {"]", ')'}};
    while (r->p < r->end && (*r->p == ' ' || *r->p == '`' || *r->p == '$')) r->p++;
    for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
        size_t n = strlen(signs[i].text);
        if ((size_t)(r->end - r->p) >= n && !memcmp(r->p, signs[i].text, n)) {
            r->p += n;
            return signs[i].op;
        }
    }
    return 0;
}

static struct ratio read_sum(struct reader *r);

static struct ratio read_factor(struct reader *r)
{
    char op = operation(r);
    struct ratio v = {0, 1};
    if (++r->depth > 32) r->bad = true;
    if (r->bad) return v;
    if (op == '-') {
        v = read_factor(r);
        v.a = -v.a;
    } else if (op == '(') {
        v = read_sum(r);
        if (operation(r) != ')') r->bad = true;
    } else {
        struct slice s = {r->p, (size_t)(r->end - r->p)};
        size_t at = 0;
        if (op || !read_int(&s, &at, &v.a) || r->n == LEAVES_MAX) {
            r->bad = true;
            return v;
        }
        r->leaves[r->n++] = v.a;
        r->p += at;
    }
    r->depth--;
    return v;
}

static struct ratio read_product(struct reader *r)
{
    struct ratio v = read_factor(r);
    while (!r->bad) {
        const char *before = r->p;
        char op = operation(r);
        if (op != '*' && op != '/') {
            r->p = before;
            break;
        }
        struct ratio w = read_factor(r);
        v = op == '*' ? ratio_of(r, (__int128)v.a * w.a, (__int128)v.b * w.b) : ratio_of(r, (__int128)v.a * w.b, (__int128)v.b * w.a);
    }
    return v;
}

static struct ratio read_sum(struct reader *r)
{
    struct ratio v = read_product(r);
    while (!r->bad) {
        const char *before = r->p;
        char op = operation(r);
        if (op != '+' && op != '-') {
            r->p = before;
            break;
        }
        struct ratio w = read_product(r);
        __int128 left = (__int128)v.a * w.b, right = (__int128)w.a * v.b;
        v = ratio_of(r, op == '+' ? left + right : left - right, (__int128)v.b * w.b);
    }
    return v;
}

static int by_size(const void *a, const void *b)
{
    const long long *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* The value and the sorted numbers, so that all ways to write it are the same. Nothing for what is no calculation. */
static void put_expression(struct str *out, const struct slice *s)
{
    struct slice part = *s;
    for (size_t i = 0; i < part.n; i++)
        if (part.p[i] == '=') part.n = i;
    while (part.n && strchr(" .*`$", part.p[part.n - 1])) part.n--;
    while (part.n && *part.p == '*') part.p++, part.n--;
    struct reader r = {.p = part.p, .end = part.p + part.n};
    struct ratio v = read_sum(&r);
    if (operation(&r) || r.p != r.end || r.bad) return;
    qsort(r.leaves, (size_t)r.n, sizeof *r.leaves, by_size);
    str_addf(out, "%lld/%lld:", v.a, v.b);
    for (int i = 0; i < r.n; i++) str_addf(out, " %lld", r.leaves[i]);
}

/* ---- all of them ------------------------------------------------------------------------------------------------------- */

static void put_last_word(struct str *out, const struct slice *s)
{
    struct slice last = {0};
    size_t at = 0;
    for (struct slice w = next_word(s, &at); w.n; w = next_word(s, &at)) last = w;
    add_lower(out, &last);
}

static void take(struct str *out, enum task_check c, const struct slice *s, const char *answer)
{
    switch (c) {
    case TASK_WORD: put_known_word(out, s, answer); break;
    case TASK_LIST: put_list(out, s); break;
    case TASK_DIGITS: put_digits(out, s); break;
    case TASK_FRACTION: put_fraction(out, s); break;
    case TASK_EXPRESSION: put_expression(out, s); break;
    case TASK_LETTERS: put_last_word(out, s); break;
    case TASK_TIME: put_time(out, s); break;
    default: put_words(out, s); break;
    }
}

enum task_check task_check_of(const char *answer)
{
    struct slice s = {answer, strlen(answer)};
    struct str word = STR_EMPTY;
    put_known_word(&word, &s, answer);
    bool known = word.len > 0;
    str_release(&word);
    if (known) return TASK_WORD;
    return answer_form_of(answer, s.n) == FORM_NUMBER ? TASK_NUMBER : TASK_TEXT;
}

bool task_reply_is_right(enum task_check c, const char *answer, const char *text, size_t n, struct str *got)
{
    struct slice place, known = {answer, strlen(answer)};
    struct str have = STR_EMPTY, want = STR_EMPTY;
    place.p = answer_place(text, n, &place.n);
    if (c == TASK_NUMBER) {
        answer_extract(&have, FORM_NUMBER, text, n);
        answer_expected(&want, FORM_NUMBER, answer, known.n);
    } else {
        take(&have, c, &place, answer);
        take(&want, c, &known, answer);
    }
    bool right = want.len && (c == TASK_TEXT ? says_text(str_cstr(&have), str_cstr(&want)) : !strcmp(str_cstr(&have), str_cstr(&want)));
    if (c == TASK_NUMBER || c == TASK_WORD || c == TASK_TIME) right = right && !has_word(&place, "or");
    right = right && str_ok(&have) && str_ok(&want);
    const struct str *said = right ? &want : &have;
    if (got) str_add_bytes(got, str_cstr(said), said->len);
    str_release(&have);
    str_release(&want);
    return right;
}
