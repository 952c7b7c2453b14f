/*
 * markdown_scan.c - source lines to leaves: the block structure of CommonMark, as far as chat needs it, in one pass without looking back.
 *
 * Invariants
 *   - What a line does depends on the state before it, on the line, and for the first line of a table on the line behind it.
 *   - The beginning of every leaf but the last is final: no further text can move it. scan.resume is such a place.
 *   - Leaves do not overlap, and every line that is not blank belongs to one.
 *
 * Other than CommonMark: a line of dashes below text is a rule and no heading; list items may be indented by two columns below a number;
 * code inside a list item ends at its fence and not where its indentation ends; rows of a table have a bar; there are no HTML blocks and no
 * link definitions, which are text.
 */
#include "ui/markdown_priv.h"

#include <string.h>

/* ---- lines ------------------------------------------------------------------------------------------------------- */

size_t cursor_indent(const struct cursor *c, size_t *after)
{
    size_t column = c->column, at = c->at;
    for (; at < c->end && (c->p[at] == ' ' || c->p[at] == '\t'); at++) column = c->p[at] == '\t' ? (column / 4 + 1) * 4 : column + 1;
    *after = at;
    return column - c->column;
}

/* Takes blanks up to `columns`; a tab that reaches beyond is taken whole. */
static void cursor_skip(struct cursor *c, size_t columns)
{
    size_t to = c->column + columns;
    while (c->at < c->end && c->column < to && (c->p[c->at] == ' ' || c->p[c->at] == '\t')) {
        c->column = c->p[c->at] == '\t' ? (c->column / 4 + 1) * 4 : c->column + 1;
        c->at++;
    }
}

static void cursor_to(struct cursor *c, size_t at)
{
    while (c->at < at) {
        c->column = c->p[c->at] == '\t' ? (c->column / 4 + 1) * 4 : c->column + 1;
        c->at++;
    }
}

static bool is_blank_rest(const struct cursor *c)
{
    size_t after;
    cursor_indent(c, &after);
    return after == c->end;
}

static size_t line_end(const char *p, size_t n, size_t from)
{
    const char *newline = memchr(p + from, '\n', n - from);
    return newline ? (size_t)(newline - p) : n;
}

/* ---- list markers ------------------------------------------------------------------------------------------------ */

/* The length of a list marker at the cursor's first byte that is no blank, 0 none. */
static size_t marker_length(const char *p, size_t at, size_t end, struct box *box)
{
    size_t i = at;
    if (i < end && (p[i] == '-' || p[i] == '*' || p[i] == '+')) {
        box->type = BOX_BULLET;
        box->mark = p[i++];
    } else {
        uint32_t number = 0;
        while (i < end && i - at < 9 && p[i] >= '0' && p[i] <= '9') number = number * 10 + (uint32_t)(p[i++] - '0');
        if (i == at || i >= end || (p[i] != '.' && p[i] != ')')) return 0;
        box->type = BOX_ORDERED;
        box->mark = p[i++];
        box->number = number;
    }
    return i == end || p[i] == ' ' || p[i] == '\t' ? i - at : 0;
}

/* Takes a list marker with its blanks and task box. False, and nothing taken, when there is none. */
static bool take_marker(struct cursor *c, struct box *box, bool *empty)
{
    size_t after, indent = cursor_indent(c, &after);
    *box = (struct box){0};
    size_t len = marker_length(c->p, after, c->end, box);
    if (!len) return false;
    cursor_to(c, after + len);
    size_t blanks = cursor_indent(c, &after);
    *empty = after == c->end;
    if (*empty || blanks > 4) blanks = 1;
    cursor_skip(c, blanks);
    box->need = (uint8_t)(indent + len + blanks);
    const char *q = c->p + c->at;
    if (!*empty && c->end - c->at >= 4 && q[0] == '[' && q[2] == ']' && q[3] == ' ' && (q[1] == ' ' || q[1] == 'x' || q[1] == 'X')) {
        box->task = q[1] == ' ' ? ' ' : 'x';
        cursor_to(c, c->at + 4);
    }
    return true;
}

/* ---- boxes ------------------------------------------------------------------------------------------------------- */

static bool box_match(struct cursor *c, const struct box *b)
{
    size_t after, indent = cursor_indent(c, &after);
    if (b->type == BOX_QUOTE) {
        if (indent > 3 || after == c->end || c->p[after] != '>') return false;
        cursor_to(c, after + 1);
        if (c->at < c->end && (c->p[c->at] == ' ' || c->p[c->at] == '\t')) cursor_to(c, c->at + 1);
        return true;
    }
    if (after == c->end) return true;
    if (indent >= b->need) {
        cursor_skip(c, b->need);
        return true;
    }
    struct box inner;
    if (b->type != BOX_ORDERED || indent < 2 || !marker_length(c->p, after, c->end, &inner)) return false;
    cursor_skip(c, 2);
    return true;
}

static size_t match_path(struct cursor *c, const struct box *path, size_t depth)
{
    size_t k = 0;
    while (k < depth && box_match(c, &path[k])) k++;
    return k;
}

static bool only_items(const struct box *path, size_t from, size_t to)
{
    for (; from < to; from++)
        if (path[from].type == BOX_QUOTE) return false;
    return true;
}

bool leaf_next_line(const struct leaf *l, const char *p, size_t *line, struct cursor *c)
{
    if (*line >= l->to) return false;
    size_t end = line_end(p, l->to, *line);
    *c = (struct cursor){.p = p, .at = *line, .end = end};
    if (*line == l->from) {
        cursor_to(c, l->content < end ? l->content : end);
    } else {
        match_path(c, l->path, l->depth);
    }
    *line = end < l->to ? end + 1 : end;
    return true;
}

bool leaf_is_part(const struct leaf *l, const char *p)
{
    return l->more && l->from > 0 && p[l->from - 1] != '\n';
}

bool leaf_next_code(const struct leaf *l, const char *p, size_t *line, struct cursor *c)
{
    bool opening = l->kind == LEAF_FENCED && !l->more && *line == l->from;
    if (opening && !leaf_next_line(l, p, line, c)) return false;
    bool part = *line == l->from && leaf_is_part(l, p);
    if (!leaf_next_line(l, p, line, c)) return false;
    if (l->closed && *line >= l->to) return false;
    if (part) return true;
    /* A tab is taken only where all of it is the block's own indentation: code is copied as it was written. */
    size_t left = l->kind == LEAF_FENCED ? l->fence_indent : 4;
    while (left > 0 && c->at < c->end) {
        size_t wide = c->p[c->at] == '\t' ? 4 - c->column % 4 : c->p[c->at] == ' ' ? 1 : SIZE_MAX;
        if (wide > left) break;
        cursor_to(c, c->at + 1);
        left -= wide;
    }
    return true;
}

/* ---- what a line may begin --------------------------------------------------------------------------------------- */

static bool is_rule(const char *p, size_t at, size_t end, bool finished)
{
    char mark = p[at];
    size_t n = 0;
    if (mark != '-' && mark != '*' && mark != '_') return false;
    for (size_t i = at; i < end; i++) {
        if (p[i] == mark)
            n++;
        else if (p[i] != ' ' && p[i] != '\t')
            return false;
    }
    /* Stars at the end of an unfinished text are more often the beginning of strong emphasis. */
    return n >= 3 && (finished || mark == '-');
}

static size_t heading_level(const char *p, size_t at, size_t end)
{
    size_t n = 0;
    while (at + n < end && p[at + n] == '#') n++;
    if (n == 0 || n > 6 || at + n >= end || (p[at + n] != ' ' && p[at + n] != '\t')) return 0;
    for (size_t i = at + n; i < end; i++)
        if (p[i] != ' ' && p[i] != '\t') return n;
    return 0;
}

static bool is_underline(const char *p, size_t at, size_t end)
{
    size_t n = 0;
    while (at + n < end && p[at + n] == '=') n++;
    size_t i = at + n;
    while (i < end && (p[i] == ' ' || p[i] == '\t')) i++;
    return n >= 3 && i == end;
}

/* The length of a fence, 0 none. */
static size_t fence_length(const char *p, size_t at, size_t end)
{
    char mark = p[at];
    size_t n = 0;
    if (mark != '`' && mark != '~') return 0;
    while (at + n < end && p[at + n] == mark) n++;
    if (n < 3) return 0;
    return mark == '`' && memchr(p + at + n, '`', end - at - n) ? 0 : n;
}

size_t table_delimiters(const char *p, size_t from, size_t to, char *aligns)
{
    size_t n = 0, i = from;
    bool bar = false;
    while (to > from && (p[to - 1] == ' ' || p[to - 1] == '\t')) to--;
    while (i < to && (p[i] == ' ' || p[i] == '\t')) i++;
    if (i < to && p[i] == '|') i++, bar = true;
    while (i < to) {
        while (i < to && p[i] == ' ') i++;
        bool left = i < to && p[i] == ':', right = false;
        if (left) i++;
        size_t dashes = i;
        while (i < to && p[i] == '-') i++;
        if (i == dashes) return 0;
        if (i < to && p[i] == ':') i++, right = true;
        while (i < to && p[i] == ' ') i++;
        if (i < to && p[i] != '|') return 0;
        if (n == MD_TABLE_COLUMNS) return 0;
        if (aligns) aligns[n] = left && right ? 'c' : right ? 'r' : left ? 'l' : 0;
        n++;
        if (i < to) i++, bar = true;
    }
    return bar ? n : 0;
}

size_t table_split(const char *p, size_t from, size_t to, struct cell_place *cells, size_t max)
{
    size_t n = 0, dead_run = 0;
    while (to > from && (p[to - 1] == ' ' || p[to - 1] == '\t')) to--;
    while (from < to && (p[from] == ' ' || p[from] == '\t')) from++;
    if (from < to && p[from] == '|') from++;
    while (from < to && n < max) {
        size_t i = from;
        while (i < to && p[i] != '|') {
            if (p[i] == '\\' && i + 1 < to) {
                i += 2;
                continue;
            }
            size_t run = i;
            while (run < to && p[run] == '`') run++;
            run -= i;
            if (!run) {
                i++;
                continue;
            }
            /* bars in a code span do not end a cell; a run that found no partner is not looked for again */
            size_t close = i + run, same = 0;
            for (; run != dead_run && close < to; close += same ? same : 1) {
                for (same = 0; close + same < to && p[close + same] == '`'; same++) {
                }
                if (same == run) break;
            }
            if (run != dead_run && close < to) {
                i = close + run;
            } else {
                dead_run = run;
                i += run;
            }
        }
        if (i > to) i = to;
        bool last = n + 1 == max;
        size_t end = last ? to : i;
        if (last && end > from && p[end - 1] == '|' && (end < 2 || p[end - 2] != '\\')) end--;
        while (end > from && (p[end - 1] == ' ' || p[end - 1] == '\t')) end--;
        while (from < end && (p[from] == ' ' || p[from] == '\t')) from++;
        if (cells) cells[n] = (struct cell_place){from, end};
        n++;
        from = i + 1;
    }
    return n;
}

/* ---- leaves ------------------------------------------------------------------------------------------------------ */

/* A new leaf that begins at `from`; NULL when memory ran out. `before` is the state at that place. */
static struct leaf *add_leaf(struct scan *s, enum leaf_kind kind, size_t from, size_t content, const struct scan_state *before)
{
    if (!mem_grow(&s->leaves, &s->cap_leaves, s->n_leaves + 1, sizeof *s->leaves)) {
        s->failed = true;
        return NULL;
    }
    if (s->has_newest) {
        s->resume = s->newest;
        s->resume_leaf = s->newest_leaf;
    }
    s->newest = *before;
    s->newest.at = from;
    s->newest_leaf = s->n_leaves;
    s->has_newest = true;
    struct leaf *l = &s->leaves[s->n_leaves++];
    *l = (struct leaf){.kind = (uint8_t)kind, .from = from, .to = from, .content = content, .code = MD_NO_CODE, .depth = s->s.depth};
    memcpy(l->path, s->s.path, sizeof l->path);
    l->gap = before->blank && s->n_leaves > 1;
    s->s.blank = false;
    return l;
}

/* A leaf that goes on with what the last one holds. */
static struct leaf *add_more(struct scan *s, size_t from, size_t content, const struct scan_state *before)
{
    struct leaf old = s->leaves[s->n_leaves - 1];
    struct leaf *l = add_leaf(s, (enum leaf_kind)old.kind, from, content, before);
    if (!l) return NULL;
    size_t code = old.code;
    old.from = old.to = from;
    old.content = content;
    old.begun = 0;
    old.gap = false;
    old.more = true;
    old.code = code;
    *l = old;
    return l;
}

/* Where a line that is too long is cut: behind a blank if there is one near, never inside a sequence. */
static size_t cut_place(const char *p, size_t from, size_t to)
{
    for (size_t i = to; i > from + (to - from) / 2; i--)
        if (p[i - 1] == ' ') return i;
    size_t n = utf8_complete_prefix(p + from, to - from);
    return n ? from + n : to;
}

/* Adds the line [from, end), newline at `end` unless that is the end of the text, to the last leaf or further ones. */
static void add_line(struct scan *s, size_t from, size_t content, size_t end, const struct scan_state *before)
{
    struct leaf *l = &s->leaves[s->n_leaves - 1];
    size_t to = end < s->n ? end + 1 : end;
    if (l->to > l->from && to - l->from > MD_LEAF_BYTES) {
        if (l->kind == LEAF_INDENTED) l->to = from; /* blank lines inside code */
        l = add_more(s, from, content, before);
    }
    bool whole = l && (l->kind == LEAF_TABLE || l->kind == LEAF_HEADING || l->kind == LEAF_RULE);
    while (l && !whole && end - l->from > MD_LEAF_BYTES) {
        struct scan_state mid = s->s;
        mid.mid = true;
        l->to = cut_place(s->p, l->from, l->from + MD_LEAF_BYTES);
        l = add_more(s, l->to, l->to, &mid);
    }
    if (l) l->to = to;
}

/* ---- one line ---------------------------------------------------------------------------------------------------- */

struct line {
    size_t from, end;
    struct cursor c;
    struct scan_state before; /* the state at its beginning */
    size_t matched;
    size_t begun;
    bool all;      /* all boxes matched */
    bool finished; /* has its newline */
};

/* Inside fenced code: takes the line, or closes the code and returns false. */
static bool scan_fenced(struct scan *s, struct line *l)
{
    struct scan_state *st = &s->s;
    if (!only_items(st->path, l->matched, st->depth)) {
        st->open = OPEN_NONE;
        return false;
    }
    size_t after, indent = cursor_indent(&l->c, &after), n = 0;
    while (after + n < l->end && s->p[after + n] == st->fence) n++;
    struct cursor rest = {.p = s->p, .at = after + n, .end = l->end};
    bool closing = n >= st->fence_len && (indent <= 3 || st->depth > 0) && is_blank_rest(&rest);
    add_line(s, l->from, l->c.at, l->end, &l->before);
    if (closing) {
        s->leaves[s->n_leaves - 1].closed = true;
        st->open = OPEN_NONE;
    }
    return true;
}

static void scan_blank(struct scan *s, const struct line *l)
{
    struct scan_state *st = &s->s;
    size_t k = l->matched;
    if (k < st->depth) st->open = OPEN_NONE;
    st->depth = (uint8_t)k;
    if (st->open != OPEN_INDENTED) st->open = OPEN_NONE;
    st->blank = true;
}

/* Takes quote marks and list markers at the cursor. */
static void scan_boxes(struct scan *s, struct line *l)
{
    struct scan_state *st = &s->s;
    bool in_text = st->open == OPEN_TEXT && l->all;
    for (;;) {
        size_t after, indent = cursor_indent(&l->c, &after);
        size_t depth = l->begun ? st->depth : l->matched;
        struct box box = {.type = BOX_QUOTE};
        struct cursor c = l->c;
        bool empty;
        if (indent > 3 || after == l->end || depth == MD_DEPTH) return;
        if (box_match(&c, &box)) {
            box.need = 0;
        } else if (is_rule(s->p, after, l->end, true)) {
            return;
        } else if (take_marker(&c, &box, &empty)) {
            if (in_text && !l->begun && (empty || (box.type == BOX_ORDERED && box.number != 1))) return;
            if (empty && box.mark == '*' && !l->finished && c.at == l->end && s->p[l->end - 1] == '*') return;
        } else {
            return;
        }
        st->depth = (uint8_t)depth;
        st->path[st->depth++] = box;
        st->open = OPEN_NONE;
        l->begun++;
        l->c = c;
    }
}

static struct leaf *begin_leaf(struct scan *s, struct line *l, enum leaf_kind kind, enum open_kind open)
{
    if (!l->begun) s->s.depth = (uint8_t)l->matched;
    s->s.open = (uint8_t)open;
    struct leaf *leaf = add_leaf(s, kind, l->from, l->c.at, &l->before);
    if (!leaf) return NULL;
    leaf->begun = (uint8_t)l->begun;
    size_t i = s->n_leaves - 1;
    add_line(s, l->from, l->c.at, l->end, &l->before);
    return s->failed ? NULL : &s->leaves[i];
}

/* The content of the line behind, if it is inside the same boxes. */
static bool next_line(const struct scan *s, const struct line *l, struct cursor *c)
{
    if (l->end >= s->n) return false;
    size_t from = l->end + 1;
    *c = (struct cursor){.p = s->p, .at = from, .end = line_end(s->p, s->n, from)};
    size_t depth = l->begun ? s->s.depth : l->matched;
    return match_path(c, s->s.path, depth) == depth;
}

static bool scan_table(struct scan *s, struct line *l, size_t at)
{
    struct scan_state *st = &s->s;
    if (!memchr(s->p + at, '|', l->end - at)) return false;
    if (st->open == OPEN_TABLE && l->all && !l->begun) {
        if (st->table_rows >= MD_TABLE_ROWS) {
            if (!add_more(s, l->from, l->c.at, &l->before)) return true;
            st->table_rows = 0;
        }
        st->table_rows++;
        add_line(s, l->from, l->c.at, l->end, &l->before);
        return true;
    }
    struct cursor next;
    if (!next_line(s, l, &next)) return false;
    size_t columns = table_delimiters(s->p, next.at, next.end, NULL);
    if (!columns || table_split(s->p, at, l->end, NULL, MD_TABLE_COLUMNS + 1) != columns) return false;
    struct leaf *leaf = begin_leaf(s, l, LEAF_TABLE, OPEN_TABLE);
    if (!leaf) return true;
    leaf->columns = (uint8_t)columns;
    leaf->head = at;
    leaf->rows = next.at;
    st->table_rows = 0;
    /* The delimiter row at once: alone it might be read as a list item. */
    struct scan_state before = *st;
    before.at = l->end + 1;
    st->at = next.end < s->n ? next.end + 1 : next.end;
    add_line(s, before.at, next.at, next.end, &before);
    return true;
}

static void scan_fence(struct scan *s, struct line *l, size_t at, size_t indent, size_t len)
{
    s->s.fence = s->p[at];
    s->s.fence_len = len;
    size_t code = s->s.codes++;
    struct leaf *leaf = begin_leaf(s, l, LEAF_FENCED, OPEN_FENCED);
    if (!leaf) return;
    size_t info = at + len, end = l->end;
    while (info < end && (s->p[info] == ' ' || s->p[info] == '\t')) info++;
    while (end > info && (s->p[end - 1] == ' ' || s->p[end - 1] == '\t')) end--;
    if (info > leaf->to) info = leaf->to;
    if (end > leaf->to) end = leaf->to; /* what is cut off is shown as code */
    leaf->info = info;
    leaf->info_len = end - info;
    leaf->fence_indent = (uint8_t)indent;
    for (size_t i = (size_t)(leaf - s->leaves); i < s->n_leaves; i++) s->leaves[i].code = code;
}

/* A formula on lines of its own, $$ or \[: until its end the lines are text, whatever they begin with. */
static void scan_math(struct scan_state *st, const char *p, size_t at, size_t end)
{
    if (!st->math) {
        if (end - at < 2) return;
        char mark = p[at] == '$' && p[at + 1] == '$' ? '$' : p[at] == '\\' && p[at + 1] == '[' ? ']' : 0;
        if (!mark) return;
        st->math = mark;
        at += 2;
    }
    for (size_t i = at; i + 1 < end; i++)
        if (p[i + 1] == st->math && p[i] == (st->math == '$' ? '$' : '\\')) {
            st->math = 0;
            return;
        }
}

/* A line with text that begins no other kind of leaf. */
static void scan_text(struct scan *s, struct line *l, size_t at, size_t indent)
{
    struct scan_state *st = &s->s;
    if (st->open == OPEN_TEXT && !l->begun) { /* also where boxes do not match: lazy continuation */
        scan_math(st, s->p, at, l->end);
        add_line(s, l->from, l->c.at, l->end, &l->before);
        return;
    }
    if (indent < 4) {
        st->math = 0;
        scan_math(st, s->p, at, l->end);
        begin_leaf(s, l, LEAF_TEXT, OPEN_TEXT);
        return;
    }
    if (st->open == OPEN_INDENTED && l->all && !l->begun) {
        st->blank = false;
        add_line(s, l->from, l->c.at, l->end, &l->before);
        return;
    }
    size_t code = st->codes++;
    struct leaf *leaf = begin_leaf(s, l, LEAF_INDENTED, OPEN_INDENTED);
    if (!leaf) return;
    for (size_t i = (size_t)(leaf - s->leaves); i < s->n_leaves; i++) s->leaves[i].code = code;
}

static void scan_line(struct scan *s)
{
    struct scan_state *st = &s->s;
    struct line l = {.from = st->at, .end = line_end(s->p, s->n, st->at), .before = *st};
    l.finished = l.end < s->n;
    l.c = (struct cursor){.p = s->p, .at = l.from, .end = l.end};
    l.matched = match_path(&l.c, st->path, st->depth);
    l.all = l.matched == st->depth;
    st->at = l.finished ? l.end + 1 : l.end;
    if (st->open == OPEN_FENCED && scan_fenced(s, &l)) return;
    if (is_blank_rest(&l.c)) {
        scan_blank(s, &l);
        return;
    }
    size_t at, indent = cursor_indent(&l.c, &at), n;
    if (st->open == OPEN_TEXT && st->math) {
        scan_text(s, &l, at, indent);
        return;
    }
    scan_boxes(s, &l);
    indent = cursor_indent(&l.c, &at);
    struct leaf *leaf;
    if (at == l.end) { /* a quote mark or list marker and nothing behind it */
        bool quote = st->path[st->depth - 1].type == BOX_QUOTE;
        begin_leaf(s, &l, LEAF_TEXT, quote ? OPEN_NONE : OPEN_TEXT);
    } else if (indent > 3) {
        scan_text(s, &l, at, indent);
    } else if (is_rule(s->p, at, l.end, l.finished)) {
        begin_leaf(s, &l, LEAF_RULE, OPEN_NONE);
    } else if ((n = heading_level(s->p, at, l.end)) > 0) {
        leaf = begin_leaf(s, &l, LEAF_HEADING, OPEN_NONE);
        if (leaf) leaf->level = (uint8_t)n;
        if (leaf && s->n_leaves > 1 && !l.begun) leaf->gap = true; /* headings stand apart */
    } else if ((n = fence_length(s->p, at, l.end)) > 0) {
        scan_fence(s, &l, at, indent, n);
    } else if (st->open == OPEN_TEXT && l.all && !l.begun && is_underline(s->p, at, l.end) && !s->leaves[s->n_leaves - 1].more) {
        add_line(s, l.from, l.c.at, l.end, &l.before);
        leaf = &s->leaves[s->n_leaves - 1];
        if (!s->failed && !leaf->more) {
            leaf->kind = LEAF_HEADING;
            leaf->level = 1;
            leaf->setext = true;
        }
        st->open = OPEN_NONE;
    } else if (!scan_table(s, &l, at)) {
        scan_text(s, &l, at, indent);
    }
}

bool scan_run(struct scan *s, const char *p, size_t n)
{
    s->p = p;
    s->n = n;
    s->s = s->resume;
    s->n_leaves = s->resume_leaf;
    s->has_newest = false;
    s->failed = false;
    if (s->s.mid && s->s.at < n) {
        struct scan_state mid = s->s;
        size_t from = mid.at, end = line_end(p, n, from);
        s->s.mid = false;
        s->s.at = end < n ? end + 1 : end;
        if (add_more(s, from, from, &mid)) add_line(s, from, from, end, &mid);
    }
    while (!s->failed && s->s.at < n) scan_line(s);
    if (s->n_leaves) s->leaves[s->n_leaves - 1].tail = s->leaves[s->n_leaves - 1].to == n && n > 0 && p[n - 1] != '\n';
    return !s->failed;
}
