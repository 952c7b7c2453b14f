/*
 * answers.c - the final answer in a reply, in a form (UTF-8) in which equal answers are equal bytes; right or wrong; and who wins a vote.
 *
 * Where the answer stands, best first: in \boxed{}; behind a phrase that announces it ("The answer is", "#### "); in the last line. What is
 * asked for (a number, a text) decides what is taken from there. Numbers are compared as decimals, so 1,200.0 is 1200 and 3/4 is 0.75;
 * texts without case, quotes, emphasis and the full stop at their end.
 */
#include "base/base.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>

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
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool starts(const struct slice *s, size_t at, const char *text)
{
    size_t n = strlen(text);
    return at <= s->n && s->n - at >= n && !memcmp(s->p + at, text, n);
}

static const char *const form_names[] = {[FORM_AUTO] = "auto", [FORM_NUMBER] = "number", [FORM_BOXED] = "boxed", [FORM_TEXT] = "text"};

const char *answer_form_name(enum answer_form f)
{
    return (unsigned)f < ARRAY_LEN(form_names) ? form_names[f] : "";
}

bool answer_form_by_name(const char *name, enum answer_form *out)
{
    for (size_t i = 0; i < ARRAY_LEN(form_names); i++)
        if (!strcmp(name, form_names[i])) {
            *out = (enum answer_form)i;
            return true;
        }
    return false;
}

/* ---- LaTeX ------------------------------------------------------------------------------------------------------ */

/* The end of the group that begins with the brace at `at`: behind its closing brace; 0 when it is not closed. */
static size_t group_end(const struct slice *s, size_t at)
{
    int depth = 0;
    for (size_t i = at; i < s->n; i++) {
        if (s->p[i] == '\\') {
            i++;
        } else if (s->p[i] == '{') {
            depth++;
        } else if (s->p[i] == '}' && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

#define NESTING_MAX 16

static void plain_latex(struct str *out, struct slice s, int depth);

/* \frac{a}{b} as a/b, with braces where a part is more than one word. Returns where to go on, 0 when it is none. */
static size_t fraction(struct str *out, const struct slice *s, size_t at, int depth)
{
    static const char *const names[] = {"\\frac{", "\\dfrac{", "\\tfrac{"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!starts(s, at, names[i])) continue;
        size_t a = at + strlen(names[i]) - 1, b = group_end(s, a), end = b && b < s->n && s->p[b] == '{' ? group_end(s, b) : 0;
        if (!end) return 0;
        plain_latex(out, (struct slice){s->p + a + 1, b - a - 2}, depth + 1);
        str_add_char(out, '/');
        plain_latex(out, (struct slice){s->p + b + 1, end - b - 2}, depth + 1);
        return end;
    }
    return 0;
}

/* What LaTeX writes around a value: spacing, fonts, escaped signs. */
static void plain_latex(struct str *out, struct slice s, int depth)
{
    static const struct {
        const char *from, *to;
    } words[] = {{"\\left", ""}, {"\\right", ""}, {"\\!", ""}, {"\\,", ""}, {"\\;", ""}, {"\\:", ""}, {"\\ ", " "},          {"\\$", "$"},
                 {"\\%", "%"},   {"{,}", ","},    {"\\(", ""}, {"\\)", ""}, {"\\[", ""}, {"\\]", ""}, {"\\displaystyle", ""}};
    static const char *const fonts[] = {"\\text{", "\\textbf{", "\\mathrm{", "\\mathbf{", "\\mbox{"};
    for (size_t i = 0; i < s.n;) {
        size_t next = depth < NESTING_MAX ? fraction(out, &s, i, depth) : 0;
        for (size_t k = 0; !next && k < ARRAY_LEN(fonts) && depth < NESTING_MAX; k++) {
            size_t open = i + strlen(fonts[k]) - 1, end = starts(&s, i, fonts[k]) ? group_end(&s, open) : 0;
            if (!end) continue;
            plain_latex(out, (struct slice){s.p + open + 1, end - open - 2}, depth + 1);
            next = end;
        }
        for (size_t k = 0; !next && k < ARRAY_LEN(words); k++)
            if (starts(&s, i, words[k].from)) {
                str_add(out, words[k].to);
                next = i + strlen(words[k].from);
            }
        if (!next) str_add_char(out, s.p[i]);
        i = next ? next : i + 1;
    }
}

/* The content of the last \boxed{} that is closed; p NULL when there is none. */
static struct slice last_boxed(const struct slice *s)
{
    static const char *const names[] = {"\\boxed{", "\\fbox{"};
    for (size_t i = s->n; i-- > 0;) {
        if (s->p[i] != '\\') continue;
        for (size_t k = 0; k < ARRAY_LEN(names); k++) {
            size_t open = i + strlen(names[k]) - 1, end = starts(s, i, names[k]) ? group_end(s, open) : 0;
            if (end) return (struct slice){s->p + open + 1, end - open - 2};
        }
    }
    return (struct slice){0};
}

/* ---- numbers ---------------------------------------------------------------------------------------------------- */

#define DIGITS_MAX 60

/* A decimal as it was written: digits without their point, and how many of them are behind it. */
struct number {
    bool negative;
    char digits[DIGITS_MAX];
    int n, decimals;
};

static bool take_digit(struct number *v, char c)
{
    if (v->n == DIGITS_MAX) return false;
    v->digits[v->n++] = c;
    return true;
}

/* Digits at `at`, with commas between thousands, a decimal part, an exponent. Returns the end; `at` when there is no number. */
static size_t read_digits(const struct slice *s, size_t at, struct number *v)
{
    size_t i = at;
    bool fits = true;
    v->n = v->decimals = 0;
    for (; i < s->n && is_digit(s->p[i]); i++) fits = take_digit(v, s->p[i]) && fits;
    size_t whole = i - at;
    while (whole && whole <= 3 && i + 3 < s->n && s->p[i] == ',' && is_digit(s->p[i + 1]) && is_digit(s->p[i + 2]) &&
           is_digit(s->p[i + 3]) && (i + 4 >= s->n || !is_digit(s->p[i + 4])))
        for (i++; i < s->n && is_digit(s->p[i]); i++) fits = take_digit(v, s->p[i]) && fits;
    if (i + 1 < s->n && s->p[i] == '.' && is_digit(s->p[i + 1]))
        for (i++; i < s->n && is_digit(s->p[i]); i++) {
            fits = take_digit(v, s->p[i]) && fits;
            v->decimals++;
        }
    if (!v->n || !fits) return at;
    size_t e = i + 1;
    if (i < s->n && (s->p[i] == 'e' || s->p[i] == 'E')) {
        bool minus = e < s->n && s->p[e] == '-';
        if (e < s->n && (s->p[e] == '-' || s->p[e] == '+')) e++;
        int exponent = 0;
        size_t from = e;
        for (; e < s->n && is_digit(s->p[e]) && exponent < 100; e++) exponent = exponent * 10 + (s->p[e] - '0');
        if (e > from && exponent <= 30 && (e == s->n || !is_letter(s->p[e]))) {
            v->decimals += minus ? exponent : -exponent;
            i = e;
        }
    }
    return i;
}

/* Without zeros that say nothing. */
static void put_decimal(struct str *out, const struct number *v)
{
    int from = 0, n = v->n, decimals = v->decimals;
    while (decimals > 0 && n > from && v->digits[n - 1] == '0') n--, decimals--;
    while (from < n && n - from > decimals && v->digits[from] == '0') from++;
    bool zero = true;
    for (int i = from; i < n; i++) zero = zero && v->digits[i] == '0';
    if (zero) {
        str_add_char(out, '0');
        return;
    }
    if (v->negative) str_add_char(out, '-');
    int whole = n - from - decimals;
    if (whole <= 0) str_add(out, "0.");
    for (int i = whole; i < 0; i++) str_add_char(out, '0');
    for (int i = from; i < n; i++) {
        if (i > from && i - from == whole) str_add_char(out, '.');
        str_add_char(out, v->digits[i]);
    }
    for (int i = decimals; i < 0; i++) str_add_char(out, '0');
}

static bool whole_value(const struct number *v, int64_t *out)
{
    if (v->decimals || v->n > 17) return false;
    *out = 0;
    for (int i = 0; i < v->n; i++) *out = *out * 10 + (v->digits[i] - '0');
    return true;
}

/* a/b as a decimal where it is one of at most 12 places, reduced otherwise. False when it is no fraction of whole numbers. */
static bool put_fraction(struct str *out, const struct number *a, const struct number *b)
{
    int64_t x, y, p, q;
    if (!whole_value(a, &x) || !whole_value(b, &y) || !y || x > 100000 * INT64_C(1000000) || y > 1000000) return false;
    for (p = x, q = y; q;) {
        int64_t r = p % q;
        p = q;
        q = r;
    }
    x /= p;
    y /= p;
    int64_t rest = y;
    struct number v = {.negative = a->negative != b->negative};
    while (rest % 2 == 0) rest /= 2;
    while (rest % 5 == 0) rest /= 5;
    if (rest != 1) {
        str_addf(out, "%s%lld/%lld", v.negative ? "-" : "", (long long)x, (long long)y);
        return true;
    }
    v.n = snprintf(v.digits, sizeof v.digits, "%lld", (long long)(x / y));
    for (int64_t r = x % y; r && v.decimals < 20; v.decimals++, r %= y) {
        r *= 10;
        v.digits[v.n++] = (char)('0' + r / y);
    }
    put_decimal(out, &v);
    return true;
}

#define MINUS "\xe2\x88\x92" /* U+2212 */

/* Whether a minus sign stands in front of `at` that belongs to the number, and not to a subtraction or a word. A sign of money may stand
 * between. */
static bool signed_before(const struct slice *s, size_t at)
{
    if (at && s->p[at - 1] == '$') at--;
    size_t sign = at && s->p[at - 1] == '-' ? 1 : at >= 3 && !memcmp(s->p + at - 3, MINUS, 3) ? 3 : 0;
    if (!sign) return false;
    char before = at > sign ? s->p[at - sign - 1] : ' ';
    return !is_digit(before) && !is_letter(before) && before != ')' && before != ']' && before != '}' && before != '-';
}

/* The last number of s, appended to out; false when there is none. */
static bool last_number(struct str *out, const struct slice *s)
{
    struct str best = STR_EMPTY;
    for (size_t i = 0; i < s->n;) {
        bool point = s->p[i] == '.' && i + 1 < s->n && is_digit(s->p[i + 1]);
        if (!is_digit(s->p[i]) && !point) {
            i++;
            continue;
        }
        struct number a = {0}, b = {0};
        size_t end = read_digits(s, i, &a);
        bool part = (i && is_letter(s->p[i - 1])) || end == i || (end + 1 < s->n && s->p[end] == '.' && is_digit(s->p[end + 1]));
        if (part) { /* of a word or a version: no number */
            while (i < s->n && (is_digit(s->p[i]) || s->p[i] == '.')) i++;
            continue;
        }
        a.negative = signed_before(s, i);
        str_clear(&best);
        size_t slash = end, over = end + 1;
        while (slash < s->n && s->p[slash] == ' ') slash++;
        for (over = slash + 1; over < s->n && s->p[over] == ' '; over++) {
        }
        size_t end_b = slash < s->n && s->p[slash] == '/' && over < s->n && is_digit(s->p[over]) ? read_digits(s, over, &b) : over;
        if (end_b > over && put_fraction(&best, &a, &b))
            end = end_b;
        else
            put_decimal(&best, &a);
        i = end;
    }
    bool found = best.len > 0;
    str_add_bytes(out, str_cstr(&best), best.len);
    str_release(&best);
    return found;
}

/* The number that s is, all of it but signs of money, a per cent sign and a full stop. */
static bool whole_number(struct str *out, struct slice s)
{
    while (s.n && (is_blank(*s.p) || *s.p == '$' || *s.p == '*')) s.p++, s.n--;
    while (s.n && (is_blank(s.p[s.n - 1]) || strchr("$%.*", s.p[s.n - 1]))) s.n--;
    if (!s.n || s.n > 2 * DIGITS_MAX) return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_digit(s.p[i]) && !strchr("+-.,/ $", s.p[i]) && !(i < 3 && (unsigned char)s.p[i] >= 0x80)) return false;
    /* "1, 2" is a list and "5-3" a calculation */
    for (size_t i = 1; i + 1 < s.n; i++)
        if ((s.p[i] == ' ' && s.p[i - 1] != '/' && s.p[i + 1] != '/') || (strchr("+-", s.p[i]) && s.p[i - 1] != ' ' && s.p[i - 1] != '$'))
            return false;
    return last_number(out, &s);
}

/* ---- texts ------------------------------------------------------------------------------------------------------ */

static bool edge(char c)
{
    return is_blank(c) || strchr("*_`#>\"'.,;:!?()[]$", c);
}

/* Without case, without what stands around it, blanks in a row as one; joined: without blanks at all. */
static void put_text(struct str *out, struct slice s, bool joined)
{
    while (s.n && edge(*s.p)) s.p++, s.n--;
    while (s.n && edge(s.p[s.n - 1])) s.n--;
    struct str flat = STR_EMPTY;
    for (size_t i = 0; i < s.n; i++) {
        if (starts(&s, i, "**"))
            i++;
        else if (!is_blank(s.p[i]))
            str_add_text_byte(&flat, s.p[i]);
        else if (!joined && !is_blank(s.p[i - 1]))
            str_add_text_byte(&flat, ' ');
    }
    str_end_text(&flat);
    utf8proc_uint8_t *folded = NULL;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)str_cstr(&flat), (utf8proc_ssize_t)flat.len, &folded,
                                      UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);
    if (n >= 0)
        str_add_bytes(out, folded, (size_t)n);
    else
        str_add_bytes(out, str_cstr(&flat), flat.len);
    free(folded);
    str_release(&flat);
}

/* A value: the number that it is, or its text. */
static void put_value(struct str *out, struct slice s, bool joined)
{
    struct str plain = STR_EMPTY;
    plain_latex(&plain, s, 0);
    struct slice v = {str_cstr(&plain), plain.len};
    if (!whole_number(out, v)) put_text(out, v, joined);
    str_release(&plain);
}

/* The line that begins at `at`, and where the next one does. */
static struct slice line_at(const struct slice *s, size_t at, size_t *next)
{
    size_t end = at;
    while (end < s->n && s->p[end] != '\n') end++;
    *next = end < s->n ? end + 1 : s->n;
    return (struct slice){s->p + at, end - at};
}

static bool says_something(const struct slice *line)
{
    if (line->n >= 3 && !memcmp(line->p, "```", 3)) return false;
    for (size_t i = 0; i < line->n; i++)
        if (!edge(line->p[i]) && !strchr("-=~|\\", line->p[i])) return true;
    return false;
}

static struct slice last_line(const struct slice *s)
{
    struct slice last = {s->p, 0};
    for (size_t at = 0; at < s->n;) {
        struct slice line = line_at(s, at, &at);
        if (says_something(&line)) last = line;
    }
    return last;
}

static bool same_letters(const struct slice *s, size_t at, const char *word)
{
    size_t n = strlen(word);
    return s->n - at >= n && !strncasecmp(s->p + at, word, n);
}

/* What stands behind the last phrase that announces the answer: the rest of its sentence, or the next line. p NULL when there is none. */
static struct slice announced(const struct slice *s)
{
    static const char *const phrases[] = {"answer is", "answer:", "answer**:", "answer:**", "####"};
    size_t at = SIZE_MAX;
    for (size_t i = s->n; i-- > 0 && at == SIZE_MAX;)
        for (size_t k = 0; k < ARRAY_LEN(phrases); k++)
            if (same_letters(s, i, phrases[k]) && (s->p[i] == '#' || !i || !is_letter(s->p[i - 1]))) {
                at = i + strlen(phrases[k]);
                break;
            }
    if (at == SIZE_MAX) return (struct slice){0};
    size_t next;
    struct slice line = line_at(s, at, &next);
    while (!says_something(&line) && next < s->n) line = line_at(s, next, &next);
    while (line.n && (is_blank(*line.p) || *line.p == ':' || *line.p == '*')) line.p++, line.n--;
    for (size_t i = 1; i < line.n; i++)
        if (strchr(".!?", line.p[i]) && (i + 1 == line.n || is_blank(line.p[i + 1]))) {
            line.n = i;
            break;
        }
    return line;
}

/* ---- the answer --------------------------------------------------------------------------------------------------- */

static bool number_in(struct str *out, struct slice s)
{
    struct str plain = STR_EMPTY;
    plain_latex(&plain, s, 0);
    bool found = last_number(out, &(struct slice){str_cstr(&plain), plain.len});
    str_release(&plain);
    return found;
}

void answer_extract(struct str *out, enum answer_form form, const char *text, size_t n)
{
    struct slice s = {text ? text : "", text ? n : 0}, boxed = last_boxed(&s), said = announced(&s);
    if (said.p && !says_something(&said)) said.p = NULL;
    if (form == FORM_NUMBER) {
        if (!(boxed.p && number_in(out, boxed)) && !(said.p && number_in(out, said))) number_in(out, s);
    } else if (boxed.p) {
        put_value(out, boxed, form != FORM_TEXT);
    } else if (form != FORM_BOXED) {
        struct slice last = said.p ? said : last_line(&s);
        if (form == FORM_TEXT || !number_in(out, last)) put_value(out, last, false);
    }
}

const char *answer_place(const char *text, size_t n, size_t *len)
{
    struct slice s = {text ? text : "", text ? n : 0}, boxed = last_boxed(&s), said = announced(&s);
    if (said.p && !says_something(&said)) said.p = NULL;
    struct slice place = boxed.p ? boxed : said.p ? said : last_line(&s);
    *len = place.n;
    return place.p;
}

enum answer_form answer_form_of(const char *expected, size_t n)
{
    struct slice s = {expected, n};
    struct str number = STR_EMPTY, plain = STR_EMPTY;
    plain_latex(&plain, s, 0);
    bool is_number = whole_number(&number, (struct slice){str_cstr(&plain), plain.len});
    str_release(&number);
    str_release(&plain);
    if (is_number) return FORM_NUMBER;
    return memchr(expected, '\\', n) ? FORM_BOXED : FORM_TEXT;
}

void answer_expected(struct str *out, enum answer_form form, const char *expected, size_t n)
{
    struct slice s = {expected, n}, boxed = last_boxed(&s);
    if (form == FORM_AUTO) form = answer_form_of(expected, n);
    if (form == FORM_NUMBER)
        number_in(out, s);
    else
        put_value(out, boxed.p ? boxed : s, form == FORM_BOXED);
}

bool answer_is_right(enum answer_form form, const char *reply, size_t n, const char *expected, size_t n_expected)
{
    struct str got = STR_EMPTY, want = STR_EMPTY;
    if (form == FORM_AUTO) form = answer_form_of(expected, n_expected);
    answer_extract(&got, form, reply, n);
    answer_expected(&want, form, expected, n_expected);
    bool right = want.len && got.len == want.len && !memcmp(got.data, want.data, got.len);
    if (!right && form == FORM_TEXT) {
        str_clear(&got);
        put_value(&got, (struct slice){reply, n}, false);
        right = want.len && got.len == want.len && !memcmp(got.data, want.data, got.len);
    }
    right = right && str_ok(&got) && str_ok(&want);
    str_release(&got);
    str_release(&want);
    return right;
}

/* ---- votes -------------------------------------------------------------------------------------------------------- */

int answers_same(const struct answer_ballot *b, size_t n, size_t i)
{
    int count = 0;
    for (size_t k = 0; k < n && b[i].answer[0]; k++) count += !strcmp(b[k].answer, b[i].answer);
    return count;
}

size_t answers_winner(const struct answer_ballot *b, size_t n)
{
    size_t best = 0;
    int best_count = -1, best_whole = -1;
    for (size_t i = 0; i < n; i++) {
        int count = answers_same(b, n, i), whole = 0;
        for (size_t k = 0; k < n; k++) whole += b[k].whole && !strcmp(b[k].answer, b[i].answer);
        bool better = count > best_count || (count == best_count && whole > best_whole);
        /* of those who say the same, the first that came to its own end */
        bool same = !better && !strcmp(b[i].answer, b[best].answer) && b[i].whole && !b[best].whole;
        if (better || same) {
            best = i;
            best_count = count;
            best_whole = whole;
        }
    }
    return best;
}
