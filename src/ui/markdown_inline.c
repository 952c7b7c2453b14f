/*
 * markdown_inline.c - the inside of a paragraph, heading or table cell: emphasis, code, links, entities, formulas. md4c reads it.
 *
 * md4c gets a copy in which what it must not understand is masked: a byte of the source stands there as a control character that is an
 * ordinary letter to it. The copy is one line behind a guard, so that nothing in it can begin a block. What is shown is taken from the
 * source by the place in the copy, masks and newlines included.
 *
 * Invariants
 *   - Every byte that is no markup comes out, in order, with its place in the source.
 *   - md4c never sees more than MD_INLINE_BYTES at once.
 */
#include "ui/markdown_priv.h"

#include <md4c.h>
#include <stdlib.h>
#include <string.h>

/* ---- rich text --------------------------------------------------------------------------------------------------- */

void rich_release(struct rich *r)
{
    str_release(&r->text);
    free(r->spans);
    *r = (struct rich){0};
}

void rich_clear(struct rich *r)
{
    str_clear(&r->text);
    r->n = 0;
    r->failed = false;
}

bool rich_ok(const struct rich *r)
{
    return !r->failed && str_ok(&r->text);
}

void rich_add(struct rich *r, enum style style, const char *text, size_t n, size_t source, bool exact)
{
    if (!n) return;
    struct rich_span *last = r->n ? &r->spans[r->n - 1] : NULL;
    bool joins = last && last->style == style && last->exact && exact && last->source + (r->text.len - last->at) == source;
    if (!joins) {
        if (!mem_grow(&r->spans, &r->cap, r->n + 1, sizeof *r->spans)) {
            r->failed = true;
            return;
        }
        r->spans[r->n++] = (struct rich_span){.at = r->text.len, .source = source, .exact = exact, .style = (uint8_t)style};
    }
    str_add_bytes(&r->text, text, n);
}

size_t rich_span_at(const struct rich *r, size_t at)
{
    size_t low = 0, high = r->n;
    while (low + 1 < high) {
        size_t mid = low + (high - low) / 2;
        if (r->spans[mid].at <= at)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* ---- masking ----------------------------------------------------------------------------------------------------- */

/* Control characters that md4c takes for letters; the place in this list plus 1 is the mask. The places of tab and newlines are free. */
static const char masked[] = "\\*_`[]<&\0\0\0\0\0~!:>|$";

static char mask_of(char c)
{
    const char *at = c ? memchr(masked, c, sizeof masked - 1) : NULL;
    return at ? (char)(at - masked + 1) : c;
}

static char unmask(char c)
{
    return (unsigned char)c < sizeof masked && c > 0 && masked[c - 1] ? masked[c - 1] : c;
}

struct copy {
    const char *p;   /* the source */
    struct str text; /* the copy, guard included */
    size_t *map;     /* for every byte of it, the place in the source */
    size_t cap_map, n_map;
    bool failed;
};

/* An ordinary word before everything: what follows cannot begin a block. */
static const char guard[] = "\x01 ";
#define GUARD (sizeof guard - 1)

static void copy_add(struct copy *c, char byte, size_t source)
{
    if (!mem_grow(&c->map, &c->cap_map, c->n_map + 1, sizeof *c->map)) {
        c->failed = true;
        return;
    }
    c->map[c->n_map++] = source;
    str_add_char(&c->text, byte);
}

static void mask_range(char *t, size_t from, size_t to)
{
    for (; from < to; from++) t[from] = mask_of(t[from]);
}

static size_t run_length(const char *t, size_t n, size_t at)
{
    size_t k = at;
    while (k < n && t[k] == t[at]) k++;
    return k - at;
}

/* Behind the code span that begins at `at`, or behind its backticks when it has no end. */
static size_t skip_code(const char *t, size_t n, size_t at, size_t *dead_run)
{
    size_t run = run_length(t, n, at);
    if (run == *dead_run) return at + run;
    for (size_t i = at + run; i < n;) {
        const char *tick = memchr(t + i, '`', n - i);
        if (!tick) break;
        i = (size_t)(tick - t);
        size_t k = run_length(t, n, i);
        i += k;
        if (k == run) return i;
    }
    *dead_run = run;
    return at + run;
}

/* The end of $formula$, 0 when these are amounts of money: as pandoc, no blank inside the dollars, no digit behind the second. */
static size_t dollar_end(const char *t, size_t n, size_t at, size_t *none_before)
{
    if (at + 1 >= n || t[at + 1] == ' ' || t[at + 1] == '$' || at < *none_before) return 0;
    for (size_t i = at + 2; i < n; i++) {
        if (t[i] == '\\') {
            i++;
        } else if (t[i] == '$' && t[i - 1] != ' ' && !(i + 1 < n && t[i + 1] >= '0' && t[i + 1] <= '9')) {
            return i + 1;
        }
    }
    *none_before = n;
    return 0;
}

static size_t find_pair(const char *t, size_t n, size_t from, char a, char b)
{
    for (size_t i = from; i + 1 < n; i++)
        if (t[i] == a && t[i + 1] == b) return i + 2;
    return 0;
}

/* The end of the formula that begins at `at`, 0 none. One that is not closed yet goes to the end, so that nothing in it changes its look
 * when it is. */
static size_t formula_end(const struct copy *c, const char *t, size_t n, size_t at, size_t *no_dollar)
{
    if (t[at] == '\\' && at + 1 < n && (t[at + 1] == '(' || t[at + 1] == '[')) {
        size_t end = find_pair(t, n, at + 2, '\\', t[at + 1] == '(' ? ')' : ']');
        return end ? end : n;
    }
    if (t[at] != '$') return 0;
    if (at + 1 < n && t[at + 1] == '$') {
        size_t end = find_pair(t, n, at + 2, '$', '$');
        bool first = at == GUARD || c->p[c->map[at - 1]] == '\n';
        return end ? end : first ? n : 0;
    }
    return dollar_end(t, n, at, no_dollar);
}

/* **bold* is on its way to **bold**: the star is not an emphasis of its own. */
static void mask_half_closed(char *t, size_t n)
{
    bool one = false, two = false;
    if (n < 2 || t[n - 1] != '*' || t[n - 2] == '*') return;
    for (size_t i = 0; i < n - 1;) {
        if (t[i] != '*') {
            i++;
            continue;
        }
        size_t run = run_length(t, n, i);
        if (run & 1) one = !one;
        if (run & 2) two = !two;
        i += run;
    }
    if (two && !one) t[n - 1] = mask_of('*');
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* 2*3*4 and (a+b)*(c+d)*e: a star that multiplies, where CommonMark would see emphasis inside a word. */
static bool is_product(const char *t, size_t n, size_t at)
{
    if (at + 1 >= n) return false;
    char before = t[at - 1], after = t[at + 1];
    if (before == ')') return is_alnum(after) || after == '(';
    return is_alnum(before) && (is_alnum(after) || (after == '(' && before <= '9'));
}

static void mask(struct copy *c, bool tail)
{
    char *t = c->text.data;
    size_t n = c->text.len, dead_run = 0, no_dollar = 0;
    for (size_t i = GUARD; i < n;) {
        size_t end = formula_end(c, t, n, i, &no_dollar);
        if (end) {
            mask_range(t, i, end);
            i = end;
        } else if (t[i] == '`') {
            i = skip_code(t, n, i, &dead_run);
        } else if (t[i] == '*') {
            size_t run = run_length(t, n, i);
            if (run == 1 && is_product(t, n, i)) mask_range(t, i, i + 1);
            i += run;
        } else if (t[i] == '~') {
            size_t run = run_length(t, n, i);
            if (run != 2) mask_range(t, i, i + run); /* about ~5, and no strike-through */
            i += run;
        } else if (t[i] == '\\' && i + 1 < n && strchr(")]{},;", t[i + 1])) {
            mask_range(t, i, i + 2);
            i += 2;
        } else {
            i += t[i] == '\\' ? 2 : 1;
        }
    }
    if (tail) mask_half_closed(t, n);
}

/* ---- entities ---------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *text;
} entities[] = {
    {"&amp;", "&"},   {"&lt;", "<"},    {"&gt;", ">"},     {"&quot;", "\""},  {"&apos;", "'"},  {"&nbsp;", "\xc2\xa0"}, {"&copy;", "©"},
    {"&reg;", "®"},   {"&trade;", "™"}, {"&hellip;", "…"}, {"&ndash;", "–"},  {"&mdash;", "—"}, {"&laquo;", "«"},       {"&raquo;", "»"},
    {"&lsquo;", "‘"}, {"&rsquo;", "’"}, {"&ldquo;", "“"},  {"&rdquo;", "”"},  {"&times;", "×"}, {"&divide;", "÷"},      {"&plusmn;", "±"},
    {"&deg;", "°"},   {"&euro;", "€"},  {"&bull;", "•"},   {"&middot;", "·"}, {"&rarr;", "→"},  {"&larr;", "←"},        {"&le;", "≤"},
    {"&ge;", "≥"},    {"&ne;", "≠"},    {"&pi;", "π"},     {"&infin;", "∞"},
};

/* The meaning of an entity. False when it is unknown, or nothing that may be shown: it is then shown as it is written. */
static bool entity_text(const char *p, size_t n, struct str *out)
{
    for (size_t i = 0; i < ARRAY_LEN(entities); i++) {
        if (strlen(entities[i].name) != n || memcmp(entities[i].name, p, n) != 0) continue;
        str_add(out, entities[i].text);
        return true;
    }
    if (n < 4 || n > 12 || p[1] != '#') return false;
    bool hex = p[2] == 'x' || p[2] == 'X';
    uint32_t cp = 0;
    for (size_t i = hex ? 3 : 2; i + 1 < n; i++) {
        uint32_t digit = (uint32_t)(p[i] <= '9' ? p[i] - '0' : (p[i] | 32) - 'a' + 10);
        cp = cp * (hex ? 16 : 10) + digit;
        if (cp > 0x10ffff) return false;
    }
    char bytes[4];
    size_t k = utf8_encode(cp, bytes);
    struct str clean = STR_EMPTY;
    text_sanitize(&clean, bytes, k, TEXT_ONE_LINE);
    bool fit = cp > 0x20 && clean.len == k && memcmp(clean.data, bytes, k) == 0 && utf8_width(cp) > 0;
    if (fit) str_add_bytes(out, bytes, k);
    str_release(&clean);
    return fit;
}

/* ---- md4c -------------------------------------------------------------------------------------------------------- */

#define LINKS 8

struct reader {
    struct rich *out;
    const char *p;
    const struct copy *copy;
    enum style base;
    bool cell;     /* \| in code is a bar */
    size_t source; /* of the byte after the last one shown */
    int em, strong, code, del, link;
    struct {
        size_t text; /* place in out where it begins */
    } links[LINKS];
};

static enum style style_now(const struct reader *r)
{
    if (r->code) return STYLE_CODE;
    if (r->link) return STYLE_LINK;
    if (r->del) return STYLE_HINT;
    if (r->base == STYLE_HEADING) return STYLE_HEADING;
    if (r->strong) return STYLE_STRONG;
    if (r->em) return STYLE_EMPHASIS;
    return r->base;
}

static void say(struct reader *r, enum style style, const char *text)
{
    rich_add(r->out, style, text, strlen(text), r->source, false);
}

/* A piece of the copy, as the source has it. */
static void show_copy(struct reader *r, size_t from, size_t to)
{
    if (from < GUARD) from = GUARD;
    while (from < to) {
        size_t source = r->copy->map[from], k = 1;
        if (r->cell && r->code && r->p[source] == '\\' && from + 1 < to && r->p[source + 1] == '|') {
            from++;
            continue;
        }
        while (from + k < to && r->copy->map[from + k] == source + k && !(r->cell && r->code && r->p[source + k] == '\\')) k++;
        rich_add(r->out, style_now(r), r->p + source, k, source, true);
        r->source = source + k;
        from += k;
    }
}

static bool in_copy(const struct reader *r, const char *text, size_t n, size_t *at)
{
    uintptr_t begin = (uintptr_t)r->copy->text.data, q = (uintptr_t)text;
    if (q < begin || q - begin > r->copy->text.len || n > r->copy->text.len - (q - begin)) return false;
    *at = q - begin;
    return true;
}

static int on_text(MD_TEXTTYPE type, const MD_CHAR *text, MD_SIZE size, void *arg)
{
    struct reader *r = arg;
    size_t at = 0;
    bool mapped = in_copy(r, text, size, &at);
    if (type == MD_TEXT_NULLCHAR) {
        say(r, style_now(r), "\xef\xbf\xbd");
    } else if (type == MD_TEXT_BR || type == MD_TEXT_SOFTBR) {
        say(r, style_now(r), "\n");
    } else if (type == MD_TEXT_ENTITY && mapped && at >= GUARD) {
        struct str meaning = STR_EMPTY;
        if (entity_text(text, size, &meaning)) {
            rich_add(r->out, style_now(r), meaning.data, meaning.len, r->copy->map[at], false);
            r->source = r->copy->map[at] + size;
        } else {
            show_copy(r, at, at + size);
        }
        str_release(&meaning);
    } else if (mapped) {
        show_copy(r, at, at + size);
    } else {
        rich_add(r->out, style_now(r), text, size, r->source, false);
    }
    return 0;
}

static void add_attribute(struct str *out, const MD_ATTRIBUTE *a)
{
    for (size_t i = 0; a->text && a->size && a->substr_offsets[i] < a->size; i++) {
        const char *p = a->text + a->substr_offsets[i];
        size_t n = a->substr_offsets[i + 1] - a->substr_offsets[i];
        if (a->substr_types[i] == MD_TEXT_NULLCHAR) {
            str_add(out, "\xef\xbf\xbd");
        } else if (a->substr_types[i] != MD_TEXT_ENTITY || !entity_text(p, n, out)) {
            for (size_t k = 0; k < n; k++) str_add_char(out, unmask(p[k]));
        }
    }
}

/* Behind a link: where it goes, unless that is what its text says. */
static void show_target(struct reader *r, const MD_ATTRIBUTE *target, const MD_ATTRIBUTE *title, size_t text_at)
{
    struct str url = STR_EMPTY;
    add_attribute(&url, target);
    const char *shown = str_cstr(&r->out->text) + (text_at < r->out->text.len ? text_at : r->out->text.len);
    bool mail = url.len > 7 && memcmp(url.data, "mailto:", 7) == 0;
    bool same = strcmp(str_cstr(&url), shown) == 0 || (mail && strcmp(url.data + 7, shown) == 0);
    if (!same || title->size) {
        struct str all = STR_EMPTY;
        str_add(&all, *shown ? " (" : "(");
        if (!same) str_add_bytes(&all, str_cstr(&url), url.len);
        if (title->size) {
            str_add(&all, same ? "\"" : " \"");
            add_attribute(&all, title);
            str_add_char(&all, '"');
        }
        str_add_char(&all, ')');
        if (!str_ok(&all) || !str_ok(&url)) r->out->failed = true;
        rich_add(r->out, STYLE_HINT, str_cstr(&all), all.len, r->source, false);
        str_release(&all);
    }
    str_release(&url);
}

static int on_enter_span(MD_SPANTYPE type, void *detail, void *arg)
{
    struct reader *r = arg;
    (void)detail;
    switch (type) {
    case MD_SPAN_EM: r->em++; break;
    case MD_SPAN_STRONG: r->strong++; break;
    case MD_SPAN_CODE: r->code++; break;
    case MD_SPAN_DEL:
        r->del++;
        say(r, STYLE_HINT, "~~");
        break;
    case MD_SPAN_A:
    case MD_SPAN_IMG:
        r->link++;
        if (type == MD_SPAN_IMG) say(r, STYLE_HINT, "image: ");
        if (r->link <= LINKS) r->links[r->link - 1].text = r->out->text.len;
        break;
    default: break;
    }
    return 0;
}

static int on_leave_span(MD_SPANTYPE type, void *detail, void *arg)
{
    struct reader *r = arg;
    switch (type) {
    case MD_SPAN_EM: r->em--; break;
    case MD_SPAN_STRONG: r->strong--; break;
    case MD_SPAN_CODE: r->code--; break;
    case MD_SPAN_DEL:
        say(r, STYLE_HINT, "~~");
        r->del--;
        break;
    case MD_SPAN_A:
    case MD_SPAN_IMG: {
        size_t text_at = r->link <= LINKS ? r->links[r->link - 1].text : SIZE_MAX;
        const MD_SPAN_A_DETAIL *a = detail;
        const MD_SPAN_IMG_DETAIL *i = detail;
        show_target(r, type == MD_SPAN_A ? &a->href : &i->src, type == MD_SPAN_A ? &a->title : &i->title, text_at);
        r->link--;
        break;
    }
    default: break;
    }
    return 0;
}

static int on_block(MD_BLOCKTYPE type, void *detail, void *arg)
{
    (void)type, (void)detail, (void)arg;
    return 0;
}

static bool needs_parsing(const char *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strchr("\\`*_~[]<&!", t[i]) || (t[i] == ':' && i + 1 < n && t[i + 1] == '/') || !t[i]) return true;
    return false;
}

static void parse_copy(struct rich *out, struct copy *c, enum style base, bool tail, bool cell)
{
    struct reader r = {.out = out, .p = c->p, .copy = c, .base = base, .cell = cell};
    static const MD_PARSER parser = {
        .flags = MD_FLAG_NOHTML | MD_FLAG_STRIKETHROUGH | MD_FLAG_PERMISSIVEURLAUTOLINKS | MD_FLAG_NOINDENTEDCODEBLOCKS,
        .enter_block = on_block,
        .leave_block = on_block,
        .enter_span = on_enter_span,
        .leave_span = on_leave_span,
        .text = on_text,
    };
    if (c->failed || !str_ok(&c->text)) {
        out->failed = true;
    } else if (c->text.len > GUARD) {
        if (!needs_parsing(c->text.data + GUARD, c->text.len - GUARD)) {
            show_copy(&r, GUARD, c->text.len);
            return;
        }
        r.source = c->map[GUARD];
        mask(c, tail);
        if (md_parse(c->text.data, (MD_SIZE)c->text.len, &parser, &r) != 0) out->failed = true;
    }
}

static void copy_reset(struct copy *c)
{
    str_clear(&c->text);
    c->n_map = 0;
    for (size_t i = 0; i < GUARD; i++) copy_add(c, guard[i], 0);
}

/* md4c drops blanks at the end of its paragraph; a piece of one keeps them. */
static void flush_copy(struct rich *out, struct copy *c, enum style base, bool last, bool tail, bool cell)
{
    size_t n = c->text.len, blanks = 0;
    while (!last && n > GUARD && c->text.data[n - 1] == ' ') n--, blanks++;
    str_truncate(&c->text, n);
    parse_copy(out, c, base, last && tail, cell);
    for (size_t i = 0; i < blanks && !c->failed; i++) rich_add(out, base, c->p + c->map[n + i], 1, c->map[n + i], true);
    copy_reset(c);
}

void inline_add(struct rich *r, const char *p, struct inline_lines in, enum style base, bool tail, bool cell)
{
    struct copy c = {.p = p};
    bool any = false;
    copy_reset(&c);
    for (size_t k = 0; k < in.n; k++) {
        size_t from = in.lines[k].from, to = in.lines[k].to;
        bool last = k + 1 == in.n;
        if (!last && to > from && p[to - 1] == '\\' && !(to - from > 1 && p[to - 2] == '\\')) to--; /* a hard break */
        if (to == from) continue;
        if (any) { /* the newline before this line */
            size_t begin = from;
            while (begin > 0 && p[begin - 1] != '\n') begin--;
            copy_add(&c, ' ', begin ? begin - 1 : 0);
        }
        any = true;
        for (size_t i = from; i < to; i++) {
            if (c.text.len >= MD_INLINE_BYTES && (p[i] == ' ' || c.text.len >= MD_INLINE_BYTES + MD_INLINE_BYTES / 4)) {
                if (((unsigned char)p[i] & 0xc0) != 0x80) flush_copy(r, &c, base, false, false, cell);
            }
            copy_add(&c, p[i] == '\t' || p[i] == '\n' ? ' ' : p[i], i);
        }
    }
    flush_copy(r, &c, base, true, tail, cell);
    str_release(&c.text);
    free(c.map);
}
