/*
 * template.c - prompts and what goes into them: spans, Python's string methods, dates, the merges, and family_render.
 *
 * A prompt knows which of its bytes came from outside. Spans are ascending, disjoint and not empty; neighbours are one span,
 * so that "inside one span" is the same question however a renderer cut its text.
 *
 * The templates themselves are in template_chatml.c and template_roles.c, the table of families in family.c.
 */
#include "model/template.h"
#include "model/examples.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What the prompted mode asks of a model that was not trained to think. Short: the smallest models copy long instructions
 * instead of following them. */
#define ASK_TO_THINK "Think step by step inside <think> and </think> before you answer. Then give the answer after </think>."

/* ---- prompts ------------------------------------------------------------------------------------------------ */

void prompt_release(struct prompt *p)
{
    if (!p) return;
    str_release(&p->text);
    free(p->outside);
    *p = (struct prompt){0};
}

void prompt_add(struct prompt *p, const char *text)
{
    if (text) str_add(&p->text, text);
}

void prompt_add_outside(struct prompt *p, const char *bytes, size_t n)
{
    size_t from = p->text.len;
    if (!n || p->text.failed) return;
    if (p->n_outside && p->outside[p->n_outside - 1].to == from) {
        str_add_bytes(&p->text, bytes, n);
        if (!p->text.failed) p->outside[p->n_outside - 1].to = p->text.len;
        return;
    }
    /* The span first: text from outside without its span would be read as the program's own. */
    if (!mem_grow(&p->outside, &p->cap_outside, p->n_outside + 1, sizeof *p->outside)) {
        p->text.failed = true;
        return;
    }
    str_add_bytes(&p->text, bytes, n);
    if (!p->text.failed) p->outside[p->n_outside++] = (struct prompt_span){.from = from, .to = p->text.len};
}

void prompt_add_slice(struct prompt *p, struct slice s)
{
    prompt_add_outside(p, s.p, s.n);
}

void prompt_add_bos(struct prompt *p, const struct family *f, const struct render_options *o)
{
    prompt_add(p, o->bos ? o->bos : f->facts->bos);
}

void prompt_add_kept(struct prompt *p, const struct family *f, const struct chat_message *m, const struct render_options *o)
{
    struct slice thought = slice_strip(slice_thought(m));
    if (!o->keep_thoughts || !thought.n) return;
    prompt_add(p, f->facts->thought_before);
    prompt_add_slice(p, thought);
    prompt_add(p, f->facts->thought_after);
}

/* Whether text opens a thought and does not close it. Every opening that a template writes holds at most one of each. */
static bool leaves_open(const struct family *f, const char *text)
{
    bool opened = false;
    if (!text) return false;
    for (const char *const *t = f->open; *t; t++) opened |= strstr(text, *t) != NULL;
    for (const char *const *t = f->close; *t; t++) opened &= strstr(text, *t) == NULL;
    return opened;
}

void reply_begin(struct prompt *p, const struct family *f, const struct render_options *o, const char *header)
{
    const struct template_facts *x = f->facts;
    if (o->no_generation) return;
    const char *opening = o->think ? x->opening : x->opening_off;
    prompt_add(p, header);
    prompt_add(p, opening);
    p->thought_open = leaves_open(f, opening);
    if (!o->think && o->force_off && x->off_prefill) {
        prompt_add(p, x->off_prefill);
        p->thought_open = false;
    }
    if (o->think && o->prompted && f->start == THOUGHT_PROMPTED) {
        prompt_add(p, x->thought_before);
        p->thought_open = true;
    }
}

const char *role_name(enum role r)
{
    static const char *const names[] = {[ROLE_SYSTEM] = "system", [ROLE_USER] = "user", [ROLE_ASSISTANT] = "assistant"};
    return names[r];
}

/* ---- Python strings ----------------------------------------------------------------------------------------- */

struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

struct slice slice_content(const struct chat_message *m)
{
    return (struct slice){m->content ? m->content : "", m->content ? m->content_len : 0};
}

struct slice slice_thought(const struct chat_message *m)
{
    return (struct slice){m->thought ? m->thought : "", m->thought ? m->thought_len : 0};
}

bool slice_starts(struct slice s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.n >= n && !memcmp(s.p, prefix, n);
}

bool slice_ends(struct slice s, const char *suffix)
{
    size_t n = strlen(suffix);
    return s.n >= n && !memcmp(s.p + s.n - n, suffix, n);
}

static const char *slice_find(struct slice s, const char *needle)
{
    return s.n ? memmem(s.p, s.n, needle, strlen(needle)) : NULL;
}

bool slice_has(struct slice s, const char *needle)
{
    return slice_find(s, needle) != NULL;
}

struct slice slice_before_first(struct slice s, const char *sep)
{
    const char *at = slice_find(s, sep);
    return at ? (struct slice){s.p, (size_t)(at - s.p)} : s;
}

struct slice slice_after_last(struct slice s, const char *sep)
{
    for (const char *at; (at = slice_find(s, sep));) {
        size_t used = (size_t)(at - s.p) + strlen(sep);
        s = (struct slice){s.p + used, s.n - used};
    }
    return s;
}

/* str.isspace of CPython: the Unicode white space, and the four separators of ASCII. */
static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
           c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

struct slice slice_rstrip(struct slice s)
{
    while (s.n) {
        size_t back = 1;
        uint32_t c;
        while (back < 4 && back < s.n && ((unsigned char)s.p[s.n - back] & 0xc0) == 0x80) back++;
        if (utf8_decode(s.p + s.n - back, back, &c) != back || c == UTF8_INVALID || !is_space(c)) break;
        s.n -= back;
    }
    return s;
}

struct slice slice_strip(struct slice s)
{
    while (s.n) {
        uint32_t c;
        size_t used = utf8_decode(s.p, s.n, &c);
        if (c == UTF8_INVALID || !is_space(c)) break;
        s = (struct slice){s.p + used, s.n - used};
    }
    return slice_rstrip(s);
}

struct slice slice_lstrip_newlines(struct slice s)
{
    while (s.n && *s.p == '\n') s = (struct slice){s.p + 1, s.n - 1};
    return s;
}

struct slice slice_rstrip_newlines(struct slice s)
{
    while (s.n && s.p[s.n - 1] == '\n') s.n--;
    return s;
}

struct slice slice_strip_newlines(struct slice s)
{
    return slice_rstrip_newlines(slice_lstrip_newlines(s));
}

void slice_without(struct str *out, struct slice s, const char *what)
{
    for (const char *at; (at = slice_find(s, what));) {
        size_t before = (size_t)(at - s.p), used = before + strlen(what);
        str_add_bytes(out, s.p, before);
        s = (struct slice){s.p + used, s.n - used};
    }
    str_add_bytes(out, s.p, s.n);
}

bool slice_split_think(struct slice *content, struct slice *thought)
{
    if (!slice_has(*content, "</think>")) return false;
    struct slice before = slice_rstrip_newlines(slice_before_first(*content, "</think>"));
    *thought = slice_lstrip_newlines(slice_after_last(before, "<think>"));
    *content = slice_lstrip_newlines(slice_after_last(*content, "</think>"));
    return true;
}

/* ---- dates -------------------------------------------------------------------------------------------------- */

struct date {
    int year, month, day; /* month and day from 1 */
};

static bool digits(const char *p, size_t n, int *value)
{
    *value = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9') return false;
        *value = *value * 10 + (p[i] - '0');
    }
    return true;
}

static bool date_parse(struct date *d, const char *text)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (strlen(text) != 10 || text[4] != '-' || text[7] != '-') return false;
    if (!digits(text, 4, &d->year) || !digits(text + 5, 2, &d->month) || !digits(text + 8, 2, &d->day)) return false;
    if (d->year < 1 || d->month < 1 || d->month > 12 || d->day < 1 || d->day > days[d->month - 1]) return false;
    bool leap = (d->year % 4 == 0 && d->year % 100 != 0) || d->year % 400 == 0;
    return d->month != 2 || d->day < 29 || leap;
}

int prompt_add_date(struct prompt *p, const struct render_options *o, const char *format, struct err *e)
{
    static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                         "July",    "August",   "September", "October", "November", "December"};
    struct date d;
    if (!o->date) {
        time_t now = time(NULL);
        struct tm tm;
        if (!localtime_r(&now, &tm)) return err_set(e, ERR_FAILED, "the clock has no date for the prompt");
        d = (struct date){tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday};
    } else if (!date_parse(&d, o->date)) {
        return err_set(e, ERR_INVALID, "'%.40s' is not a date (YYYY-MM-DD)", o->date);
    }
    for (const char *c = format; *c; c++) {
        if (*c != '%') {
            str_add_char(&p->text, *c);
            continue;
        }
        switch (*++c) {
        case 'd': str_addf(&p->text, "%02d", d.day); break;
        case 'm': str_addf(&p->text, "%02d", d.month); break;
        case 'b': str_addf(&p->text, "%.3s", months[d.month - 1]); break;
        case 'B': str_add(&p->text, months[d.month - 1]); break;
        case 'Y': str_addf(&p->text, "%04d", d.year); break;
        default: return err_set(e, ERR_INVALID, "a date format with %%%c", *c);
        }
    }
    return 0;
}

/* ---- the messages as the template gets them ----------------------------------------------------------------- */

/* A changed copy of a conversation. Joined contents lie in pool, which is reserved whole before the first is written, so
 * that they stay where they are. */
struct reshaped {
    struct chat_message *m;
    size_t n;
    struct str pool;
};

/* Makes into's content a, an empty line, b. A content at the end of the pool is extended where it lies, so that each byte of
 * the conversation is copied once at most. */
static void join(struct reshaped *r, struct chat_message *into, struct slice a, struct slice b)
{
    size_t at = r->pool.len;
    if (a.n && a.n <= at && a.p == r->pool.data + (at - a.n))
        at -= a.n;
    else
        str_add_bytes(&r->pool, a.p, a.n);
    str_add(&r->pool, "\n\n");
    str_add_bytes(&r->pool, b.p, b.n);
    into->content = r->pool.data + at;
    into->content_len = r->pool.len - at;
}

/* The request to think becomes part of the system text, or a system text of its own. */
static void add_request(struct reshaped *r, const struct template_facts *x)
{
    struct slice ask = slice_of(ASK_TO_THINK);
    if (r->n && r->m[0].role == ROLE_SYSTEM) {
        if (slice_content(&r->m[0]).n)
            join(r, &r->m[0], slice_content(&r->m[0]), ask);
        else
            r->m[0].content = ask.p, r->m[0].content_len = ask.n;
        return;
    }
    memmove(r->m + 1, r->m, r->n * sizeof *r->m);
    r->n++;
    r->m[0] = (struct chat_message){.role = ROLE_SYSTEM, .content = ask.p, .content_len = ask.n};
    if (x->system) join(r, &r->m[0], slice_of(x->system), ask);
}

/* The parts of an example's reply: the opened thought, as a reply will have to write it, and the answer. */
static size_t example_parts(const struct family *f, const struct example *x, const char *parts[6])
{
    const char *const all[] = {f->facts->thought_before, f->think_lead, f->think_lead ? " " : NULL, x->thought, f->facts->thought_after, x->answer};
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (all[i]) parts[n++] = all[i];
    return n;
}

static size_t example_bytes(const struct family *f)
{
    size_t bytes = 0;
    for (size_t i = 0; i < examples_count; i++) {
        const char *parts[6];
        for (size_t k = example_parts(f, &examples[i], parts); k-- > 0;) bytes += strlen(parts[k]);
    }
    return bytes;
}

/* Exchanges of their own, behind the system text and before what was said. */
static void add_examples(struct reshaped *r, const struct family *f)
{
    size_t at = r->n && r->m[0].role == ROLE_SYSTEM;
    memmove(r->m + at + 2 * examples_count, r->m + at, (r->n - at) * sizeof *r->m);
    r->n += 2 * examples_count;
    for (size_t i = 0; i < examples_count; i++) {
        const char *parts[6];
        size_t from = r->pool.len, n = example_parts(f, &examples[i], parts);
        struct slice q = slice_of(examples[i].question);
        for (size_t k = 0; k < n; k++) str_add(&r->pool, parts[k]);
        r->m[at + 2 * i] = (struct chat_message){.role = ROLE_USER, .content = q.p, .content_len = q.n};
        r->m[at + 2 * i + 1] = (struct chat_message){.role = ROLE_ASSISTANT, .content = r->pool.data + from, .content_len = r->pool.len - from};
    }
}

static void drop_message(struct reshaped *r, size_t i)
{
    r->n--;
    memmove(r->m + i, r->m + i + 1, (r->n - i) * sizeof *r->m);
}

static void merge(struct reshaped *r, const struct template_facts *x)
{
    if (x->system_in_user && r->n > 1 && r->m[0].role == ROLE_SYSTEM && r->m[1].role == ROLE_USER) {
        join(r, &r->m[1], slice_content(&r->m[0]), slice_content(&r->m[1]));
        drop_message(r, 0);
    }
    for (size_t i = 0; x->no_empty_reply && i < r->n;) {
        if (r->m[i].role == ROLE_ASSISTANT && !slice_content(&r->m[i]).n)
            drop_message(r, i);
        else
            i++;
    }
    for (size_t i = 1; x->alternates && i < r->n;) {
        if (r->m[i].role != r->m[i - 1].role || r->m[i].role == ROLE_SYSTEM) {
            i++;
            continue;
        }
        join(r, &r->m[i - 1], slice_content(&r->m[i - 1]), slice_content(&r->m[i]));
        drop_message(r, i);
    }
}

static int reshape(struct reshaped *r, const struct family *f, const struct chat_message *m, size_t n, bool ask, bool with_examples, struct err *e)
{
    const struct template_facts *x = f->facts;
    size_t bytes = sizeof ASK_TO_THINK + (x->system ? strlen(x->system) : 0) + 2, need;
    /* an example's question may be joined with the system text */
    if (with_examples) bytes += example_bytes(f) + strlen(examples[0].question) + 2;
    for (size_t i = 0; i < n; i++)
        if (__builtin_add_overflow(bytes, slice_content(&m[i]).n, &need) || __builtin_add_overflow(need, 2, &bytes))
            return err_set(e, ERR_NOMEM, "the conversation is too long for memory");
    /* examples come to lie behind the system text, which is copied once more where it is joined with the first of them */
    if (with_examples && __builtin_mul_overflow(bytes, 2, &bytes)) return err_set(e, ERR_NOMEM, "the conversation is too long for memory");
    r->m = calloc(n + 1 + 2 * examples_count, sizeof *r->m);
    if (!r->m || !str_reserve(&r->pool, bytes)) return err_set(e, ERR_NOMEM, "out of memory for the prompt");
    if (n) memcpy(r->m, m, n * sizeof *m);
    r->n = n;
    if (ask) add_request(r, x);
    if (with_examples) add_examples(r, f);
    merge(r, x);
    return 0;
}

int family_render(const struct family *f, struct prompt *out, const struct chat_message *m, size_t n, const struct render_options *o,
                  struct err *e)
{
    struct reshaped r = {0};
    bool ask = o->think && o->prompted && f->start == THOUGHT_PROMPTED;
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++)
        if (m[i].role != ROLE_SYSTEM && m[i].role != ROLE_USER && m[i].role != ROLE_ASSISTANT)
            rc = err_set(e, ERR_INVALID, "a message of an unknown role");
    if (!rc) rc = reshape(&r, f, m, n, ask, ask && o->examples, e);
    if (!rc && f->facts->needs_message && !r.n) rc = err_set(e, ERR_INVALID, "the template wants a message, and there is none");
    if (!rc) rc = f->render(f, out, r.m, r.n, o, e);
    if (!rc && !str_ok(&out->text)) rc = err_set(e, ERR_NOMEM, "out of memory for the prompt");
    if (rc) prompt_release(out);
    free(r.m);
    str_release(&r.pool);
    return rc;
}
