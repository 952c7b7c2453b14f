/*
 * markdown_layout.c - a leaf to lines of the screen.
 *
 * Invariants
 *   - No line is wider than the columns asked for, but for one wide cluster at one column.
 *   - A line's segments lie one behind another in its text; widths are sums of grid_cluster.
 *   - Quote bars and list indentation take at most half of the columns; where they would take more, the outer ones are left out, and a list
 * marker without room gets lines of its own.
 */
#include "ui/markdown_priv.h"

#include <stdlib.h>
#include <string.h>

#define QUOTE_BAR   "▎ "
#define CODE_BAR    "│ "
#define CODE_AGAIN  "» " /* before what of a line of code had no room on the screen line above */
#define CODE_CORNER "┌ "
#define BAR_COLUMNS 2
/* Below this, code has no bar. */
#define BAR_FROM 8

static const char *const bullets[] = {"• ", "○ ", "▪ "};

int text_columns(const char *p, size_t n)
{
    int total = 0;
    for (size_t i = 0; i < n;) {
        struct cell c;
        i += grid_cluster(p + i, n - i, &c);
        total += c.width;
    }
    return total;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

void lay_segment(struct lay *lay, enum style style, const char *text, size_t n, int columns)
{
    struct layout *o = lay->out;
    if (!n || lay->failed) return;
    struct md_segment *last = o->n_segments > lay->segment ? &o->segments[o->n_segments - 1] : NULL;
    if (!last || last->style != style) {
        if (!mem_grow(&o->segments, &o->cap_segments, o->n_segments + 1, sizeof *o->segments)) {
            lay->failed = true;
            return;
        }
        last = &o->segments[o->n_segments++];
        *last = (struct md_segment){.style = style};
    }
    last->n += n;
    last->columns += columns;
    lay->used += columns;
    str_add_bytes(&o->text, text, n);
}

void lay_repeat(struct lay *lay, enum style style, const char *glyph, int n)
{
    for (int i = 0; i < n; i++) lay_segment(lay, style, glyph, strlen(glyph), 1);
}

void lay_blanks(struct lay *lay, enum style style, int n)
{
    lay_repeat(lay, style, " ", n);
}

void lay_end(struct lay *lay, enum md_kind kind, size_t from, size_t to)
{
    struct layout *o = lay->out;
    if (!mem_grow(&o->lines, &o->cap, o->n + 1, sizeof *o->lines)) lay->failed = true;
    if (lay->failed) return;
    o->lines[o->n++] = (struct md_line){
        .n_segments = o->n_segments - lay->segment,
        .n = o->text.len - lay->line_text,
        .columns = lay->used,
        .from = from,
        .to = to,
        .code = kind == MD_GAP ? MD_NO_CODE : lay->leaf->code,
        .kind = kind,
    };
    lay->segment = o->n_segments;
    lay->line_text = o->text.len;
    lay->used = 0;
}

/* Segments and texts move while a leaf is laid out; only now do the lines point at them. */
static bool layout_settle(struct layout *o)
{
    if (!str_ok(&o->text)) return false;
    const char *text = str_cstr(&o->text);
    struct md_segment *segment = o->segments;
    for (size_t i = 0; i < o->n; i++) {
        struct md_line *l = &o->lines[i];
        l->text = text;
        l->segments = segment;
        for (size_t k = 0; k < l->n_segments; k++, segment++) {
            segment->text = text;
            text += segment->n;
        }
    }
    o->done = true;
    return true;
}

void layout_release(struct layout *o)
{
    str_release(&o->text);
    free(o->segments);
    free(o->lines);
    *o = (struct layout){0};
}

/* ---- quotes and lists -------------------------------------------------------------------------------------------- */

enum style lay_base(const struct lay *lay)
{
    for (size_t i = 0; i < lay->leaf->depth; i++)
        if (lay->leaf->path[i].type == BOX_QUOTE) return STYLE_QUOTE;
    return STYLE_TEXT;
}

static size_t box_marker(const struct leaf *l, size_t i, char out[24])
{
    const struct box *b = &l->path[i];
    if (b->type == BOX_QUOTE) return (size_t)snprintf(out, 24, "%s", QUOTE_BAR);
    if (b->type == BOX_ORDERED)
        return (size_t)snprintf(out, 24, "%u%c %s", (unsigned)b->number, b->mark, b->task ? b->task == 'x' ? "[x] " : "[ ] " : "");
    if (b->task) return (size_t)snprintf(out, 24, "%s", b->task == 'x' ? "[x] " : "[ ] ");
    size_t level = 0;
    for (size_t k = 0; k < i; k++) level += l->path[k].type == BOX_BULLET;
    return (size_t)snprintf(out, 24, "%s", bullets[level % ARRAY_LEN(bullets)]);
}

static int box_columns(const struct leaf *l, size_t i)
{
    char marker[24];
    return text_columns(marker, box_marker(l, i, marker));
}

static void choose_boxes(struct lay *lay)
{
    int total = 0, limit = lay->columns / 2;
    size_t i = lay->leaf->depth;
    while (i > 0 && total + box_columns(lay->leaf, i - 1) <= limit) total += box_columns(lay->leaf, --i);
    lay->first_box = i;
}

int lay_room(const struct lay *lay)
{
    int room = lay->columns;
    for (size_t i = lay->first_box; i < lay->leaf->depth; i++) room -= box_columns(lay->leaf, i);
    return room < 1 ? 1 : room;
}

void lay_prefix(struct lay *lay)
{
    const struct leaf *l = lay->leaf;
    for (size_t i = lay->first_box; i < l->depth; i++) {
        char marker[24];
        size_t n = box_marker(l, i, marker);
        int columns = text_columns(marker, n);
        if (l->path[i].type == BOX_QUOTE)
            lay_segment(lay, STYLE_QUOTE, marker, n, columns);
        else if (!lay->marked && i >= (size_t)(l->depth - l->begun))
            lay_segment(lay, lay_base(lay), marker, n, columns);
        else
            lay_blanks(lay, lay_base(lay), columns);
    }
    lay->marked = true;
}

/* List markers that have no room beside the text. */
static void lay_lone_markers(struct lay *lay)
{
    const struct leaf *l = lay->leaf;
    for (size_t i = (size_t)(l->depth - l->begun); i < lay->first_box; i++) {
        char marker[24];
        size_t n = box_marker(l, i, marker);
        if (l->path[i].type == BOX_QUOTE) continue;
        while (n > 0 && marker[n - 1] == ' ') n--;
        if (!wrap_text(&lay->wrap, marker, n, lay->columns)) lay->failed = true;
        for (size_t k = 0; k < lay->wrap.n && !lay->failed; k++) {
            const struct wrap_line *w = &lay->wrap.lines[k];
            lay_segment(lay, lay_base(lay), marker + w->from, w->to - w->from, w->columns);
            lay_end(lay, MD_TEXT, l->from, l->from);
        }
    }
}

/* The blank line before a leaf: bars of the quotes that both sides are in. */
static void lay_gap(struct lay *lay)
{
    const struct leaf *l = lay->leaf;
    size_t shared = (size_t)(l->depth - l->begun), last = 0;
    for (size_t i = lay->first_box; i < shared; i++)
        if (l->path[i].type == BOX_QUOTE) last = i + 1;
    for (size_t i = lay->first_box; i < last; i++) {
        if (l->path[i].type == BOX_QUOTE)
            lay_segment(lay, STYLE_QUOTE, QUOTE_BAR, strlen(QUOTE_BAR), BAR_COLUMNS);
        else
            lay_blanks(lay, STYLE_TEXT, box_columns(l, i));
    }
    lay_end(lay, MD_GAP, l->from, l->from);
}

/* ---- paragraphs -------------------------------------------------------------------------------------------------- */

void lay_source(const struct rich *r, size_t from, size_t to, size_t *source_from, size_t *source_to)
{
    if (!r->n) return;
    const struct rich_span *a = &r->spans[rich_span_at(r, from)], *b = &r->spans[rich_span_at(r, to > from ? to - 1 : from)];
    *source_from = a->source + (a->exact ? from - a->at : 0);
    *source_to = b->source + (b->exact ? to - b->at : 0);
    if (*source_to < *source_from) *source_to = *source_from;
}

void lay_rich(struct lay *lay, const struct rich *r, size_t from, size_t to)
{
    int column = 0;
    for (size_t k = r->n ? rich_span_at(r, from) : 0; k < r->n && from < to; k++) {
        size_t end = k + 1 < r->n && r->spans[k + 1].at < to ? r->spans[k + 1].at : to;
        enum style style = (enum style)r->spans[k].style;
        const char *p = r->text.data;
        while (from < end) {
            if (p[from] == '\t') {
                int n = WRAP_TAB - column % WRAP_TAB;
                lay_blanks(lay, style, n);
                column += n;
                from++;
                continue;
            }
            size_t at = from;
            int columns = 0;
            while (from < end && p[from] != '\t') { /* measured with what follows: a cluster may go on in another style */
                struct cell c;
                from += grid_cluster(p + from, to - from, &c);
                columns += c.width;
            }
            lay_segment(lay, style, p + at, from - at, columns);
            column += columns;
        }
    }
}

void lay_paragraph(struct lay *lay, const struct rich *r, enum md_kind kind)
{
    size_t from = lay->leaf->content, to = from;
    if (!rich_ok(r) || !wrap_text(&lay->wrap, str_cstr(&r->text), r->text.len, lay_room(lay))) {
        lay->failed = true;
        return;
    }
    for (size_t i = 0; i < lay->wrap.n && !lay->failed; i++) {
        struct wrap_line w = lay->wrap.lines[i];
        lay_prefix(lay);
        lay_rich(lay, r, w.from, w.to);
        lay_source(r, w.from, w.to, &from, &to);
        lay_end(lay, kind, from, to);
    }
    if (lay->wrap.n) return;
    lay_prefix(lay);
    lay_end(lay, kind, from, from);
}

static bool add_place(struct lay *lay, size_t n, size_t from, size_t to)
{
    if (!mem_grow(&lay->places, &lay->cap_places, n + 1, sizeof *lay->places)) {
        lay->failed = true;
        return false;
    }
    lay->places[n] = (struct cell_place){from, to};
    return true;
}

/* The content lines of a paragraph or heading, without blanks around them. */
static struct inline_lines content_lines(struct lay *lay)
{
    const struct leaf *l = lay->leaf;
    size_t line = l->from, n = 0;
    struct cursor c;
    while (leaf_next_line(l, lay->p, &line, &c)) {
        if (l->setext && line >= l->to) break;
        size_t from, to = c.end;
        cursor_indent(&c, &from);
        while (to > from && (lay->p[to - 1] == ' ' || lay->p[to - 1] == '\t')) to--;
        if (l->kind == LEAF_HEADING && !l->setext) {
            while (from < to && lay->p[from] == '#') from++;
            while (from < to && (lay->p[from] == ' ' || lay->p[from] == '\t')) from++;
            size_t end = to;
            while (end > from && lay->p[end - 1] == '#') end--;
            if (end == from || lay->p[end - 1] == ' ') to = end;
            while (to > from && lay->p[to - 1] == ' ') to--;
        }
        if (!add_place(lay, n, from, to)) break;
        n++;
    }
    return (struct inline_lines){.lines = lay->places, .n = n};
}

static void lay_text(struct lay *lay)
{
    const struct leaf *l = lay->leaf;
    bool heading = l->kind == LEAF_HEADING;
    struct inline_lines in = content_lines(lay);
    rich_clear(&lay->rich);
    inline_add(&lay->rich, lay->p, in, heading ? STYLE_HEADING : lay_base(lay), l->tail, false);
    lay_paragraph(lay, &lay->rich, heading ? MD_HEADING : MD_TEXT);
}

static void lay_rule(struct lay *lay)
{
    lay_prefix(lay);
    lay_repeat(lay, STYLE_RULE, "─", lay_room(lay));
    lay_end(lay, MD_RULE, lay->leaf->from, lay->leaf->to);
}

/* ---- code -------------------------------------------------------------------------------------------------------- */

static bool is_break_after(char c)
{
    return c == ' ' || c == '\t' || c == ',' || c == ';' || c == '(' || c == ')' || c == '{' || c == '}' || c == '[' || c == ']' ||
           c == '|' || c == '&' || c == '=' || c == '/';
}

/* One cluster of code at column `column`. */
static size_t code_cluster(const char *p, size_t n, int column, int *columns)
{
    struct cell c;
    if (*p == '\t') {
        *columns = WRAP_TAB - column % WRAP_TAB;
        return 1;
    }
    size_t k = grid_cluster(p, n, &c);
    *columns = c.width;
    return k;
}

/* How much of a line of code fits: up to the last good place in its second half, else as much as goes in. A tab may lose columns at the
 * edge. */
static size_t code_fit(const char *p, size_t n, int room)
{
    size_t i = 0, good = 0;
    int column = 0;
    while (i < n) {
        int w;
        size_t k = code_cluster(p + i, n - i, column, &w);
        if (p[i] == '\t' && column + w > room && column < room) w = room - column;
        if (column + w > room && i > 0) return good ? good : i;
        column += w;
        i += k;
        if (column > room / 2 && is_break_after(p[i - 1])) good = i;
    }
    return n;
}

static void code_row(struct lay *lay, const char *p, size_t n, const uint8_t *styles, int room)
{
    int column = 0;
    for (size_t i = 0; i < n;) {
        int w, columns = 0;
        size_t k = code_cluster(p + i, n - i, column, &w), at = i;
        enum style style = (enum style)styles[i];
        if (p[i] == '\t') {
            lay_blanks(lay, style, column + w > room ? room - column : w);
            column += w;
            i += k;
            continue;
        }
        for (;;) {
            columns += w;
            i += k;
            if (i >= n || styles[i] != (uint8_t)style || p[i] == '\t') break;
            k = code_cluster(p + i, n - i, column + columns, &w);
        }
        lay_segment(lay, style, p + at, i - at, columns);
        column += columns;
    }
}

static void code_line(struct lay *lay, size_t from, size_t to, bool again)
{
    bool bar = lay_room(lay) >= BAR_FROM;
    int room = lay_room(lay) - (bar ? BAR_COLUMNS : 0);
    const char *p = lay->p;
    size_t at = from;
    do {
        size_t n = code_fit(p + at, to - at, room);
        lay_prefix(lay);
        if (bar) lay_segment(lay, STYLE_RULE, again ? CODE_AGAIN : CODE_BAR, strlen(again ? CODE_AGAIN : CODE_BAR), BAR_COLUMNS);
        code_row(lay, p + at, n, lay->styles + (at - from), room);
        lay_end(lay, MD_CODE, at, at + n);
        at += n;
        again = true;
    } while (at < to && !lay->failed);
}

/* "```python": what stands behind the fence, wrapped like text if it must be. */
static void code_label(struct lay *lay)
{
    const struct leaf *l = lay->leaf;
    bool bar = lay_room(lay) >= BAR_FROM;
    struct wrap *w = &lay->wrap;
    int room = lay_room(lay) - (bar ? BAR_COLUMNS : 0);
    if (!wrap_text(w, lay->p + l->info, l->info_len, room)) lay->failed = true;
    for (size_t i = 0; (i < w->n || i == 0) && !lay->failed; i++) {
        lay_prefix(lay);
        if (bar) lay_segment(lay, STYLE_RULE, i ? CODE_BAR : CODE_CORNER, strlen(i ? CODE_BAR : CODE_CORNER), BAR_COLUMNS);
        size_t from = l->info, to = from;
        if (i < w->n) {
            from += w->lines[i].from;
            to += w->lines[i].to;
            for (size_t k = from; k < to;) {
                struct cell c;
                size_t n = grid_cluster(lay->p + k, to - k, &c);
                if (lay->p[k] == '\t')
                    lay_segment(lay, STYLE_HINT, " ", 1, 1);
                else
                    lay_segment(lay, STYLE_HINT, lay->p + k, n, c.width);
                k += n;
            }
        }
        lay_end(lay, MD_CODE_LABEL, from, to);
    }
}

/* The language is the first word: "python", "{.c}", "rust,ignore". */
static const struct highlight *code_language(const struct leaf *l, const char *p)
{
    size_t from = l->info, end = l->info + l->info_len;
    while (from < end && (p[from] == '{' || p[from] == '.')) from++;
    size_t to = from;
    while (to < end && p[to] != ' ' && p[to] != ',' && p[to] != '{' && p[to] != '}' && p[to] != ':' && p[to] != '\t') to++;
    return highlight_find(p + from, to - from);
}

static void lay_code(struct lay *lay)
{
    const struct leaf *l = lay->leaf;
    const struct highlight *h = l->kind == LEAF_FENCED ? code_language(l, lay->p) : NULL;
    struct highlight_state *state = &lay->out->highlight;
    size_t line = l->from, n = 0;
    struct cursor c;
    if (l->kind == LEAF_FENCED && !l->more) code_label(lay);
    while (!lay->failed && leaf_next_code(l, lay->p, &line, &c)) {
        size_t len = c.end - c.at;
        bool again = n == 0 && leaf_is_part(l, lay->p);
        n++;
        if (!mem_grow(&lay->styles, &lay->cap_styles, len + 1, 1)) {
            lay->failed = true;
            return;
        }
        highlight_text(h, state, lay->p + c.at, len, lay->styles);
        if (c.end < l->to) highlight_newline(h, state, len > 0 && lay->p[c.end - 1] == '\\');
        code_line(lay, c.at, c.end, again);
    }
    /* a list marker or bar must not wait for a first line of indented code */
    if (!lay->out->n) {
        lay_prefix(lay);
        lay_end(lay, MD_CODE, l->from, l->from);
    }
}

/* ---- a leaf ------------------------------------------------------------------------------------------------------ */

void lay_release(struct lay *lay)
{
    rich_release(&lay->rich);
    wrap_release(&lay->wrap);
    free(lay->places);
    free(lay->styles);
    *lay = (struct lay){0};
}

bool lay_leaf(struct lay *lay, const char *p, const struct leaf *l, struct layout *out, int columns, struct highlight_state before)
{
    lay->p = p;
    lay->leaf = l;
    lay->out = out;
    lay->columns = columns < 1 ? 1 : columns;
    lay->marked = lay->failed = false;
    lay->segment = lay->line_text = 0;
    lay->used = 0;
    out->highlight = l->more ? before : (struct highlight_state){0};
    choose_boxes(lay);
    if (l->gap) lay_gap(lay);
    lay_lone_markers(lay);
    switch ((enum leaf_kind)l->kind) {
    case LEAF_TEXT:
    case LEAF_HEADING: lay_text(lay); break;
    case LEAF_RULE: lay_rule(lay); break;
    case LEAF_FENCED:
    case LEAF_INDENTED: lay_code(lay); break;
    case LEAF_TABLE: lay_table(lay); break;
    }
    return !lay->failed && layout_settle(out);
}
