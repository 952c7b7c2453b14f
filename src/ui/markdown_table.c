/*
 * markdown_table.c - a table to lines: a frame of box characters fitted to the columns, or, where that is too narrow, a line "head: cell"
 * for every cell.
 *
 * Invariants: every cell of the source is shown whole; cells beyond the number of columns are part of the last one. A table that is longer
 * than a leaf goes on in a frame of its own.
 */
#include "ui/markdown_priv.h"

#include <string.h>

/* A column that must be narrower than its text is at least so wide; below, there is no frame. */
#define COLUMN_MIN 5

struct table {
    struct lay *lay;
    size_t columns;
    char aligns[MD_TABLE_COLUMNS];
    int widths[MD_TABLE_COLUMNS];
    struct rich head[MD_TABLE_COLUMNS];
    struct rich cells[MD_TABLE_COLUMNS]; /* of one row */
    struct wrap wraps[MD_TABLE_COLUMNS];
    size_t row; /* place of the row in the source */
};

static void read_cells(struct table *t, struct rich *out, size_t from, size_t to, enum style style)
{
    struct cell_place places[MD_TABLE_COLUMNS];
    size_t n = table_split(t->lay->p, from, to, places, t->columns);
    for (size_t i = 0; i < t->columns; i++) {
        rich_clear(&out[i]);
        if (i < n) inline_add(&out[i], t->lay->p, (struct inline_lines){&places[i], 1}, style, false, true);
        if (!rich_ok(&out[i])) t->lay->failed = true;
    }
}

/* Steps through the body: false at its end. */
static bool next_row(const struct table *t, size_t *line, struct cursor *c)
{
    const struct leaf *l = t->lay->leaf;
    while (leaf_next_line(l, t->lay->p, line, c)) {
        if (c->at == l->rows || c->at == l->head || (!l->more && c->end > l->head && c->at <= l->head)) continue;
        return true;
    }
    return false;
}

static int rich_columns(const struct rich *r)
{
    int total = 0;
    const char *p = str_cstr(&r->text);
    for (size_t i = 0; i < r->text.len;) {
        struct cell c;
        bool tab = p[i] == '\t';
        i += grid_cluster(p + i, r->text.len - i, &c);
        total += tab ? WRAP_TAB : c.width;
        if (total > INT32_MAX / 2) break;
    }
    return total;
}

static void widen(struct table *t, const struct rich *cells)
{
    for (size_t i = 0; i < t->columns; i++) {
        int w = rich_columns(&cells[i]);
        if (w > t->widths[i]) t->widths[i] = w;
    }
}

/* Makes the columns fit into `room`: the widest give first. False when they cannot. */
static bool fit(struct table *t, int room)
{
    int cap = 1, total = 0, least = 0;
    room -= 3 * (int)t->columns + 1;
    if (room < (int)t->columns) return false;
    for (size_t i = 0; i < t->columns; i++) {
        if (t->widths[i] < 1) t->widths[i] = 1;
        if (t->widths[i] > room + 1) t->widths[i] = room + 1;
        least += t->widths[i] < COLUMN_MIN ? t->widths[i] : COLUMN_MIN;
        total += t->widths[i];
        if (t->widths[i] > cap) cap = t->widths[i];
    }
    if (least > room) return false;
    while (total > room) {
        cap--;
        for (size_t i = 0; i < t->columns && total > room; i++) {
            if (t->widths[i] <= cap) continue;
            t->widths[i]--;
            total--;
        }
    }
    return true;
}

static void frame(struct table *t, const char *left, const char *cross, const char *right)
{
    struct lay *lay = t->lay;
    lay_prefix(lay);
    for (size_t i = 0; i < t->columns; i++) {
        lay_repeat(lay, STYLE_RULE, i ? cross : left, 1);
        lay_repeat(lay, STYLE_RULE, "─", t->widths[i] + 2);
    }
    lay_repeat(lay, STYLE_RULE, right, 1);
    lay_end(lay, MD_TABLE, t->row, t->row);
}

static void cell_line(struct table *t, size_t i, const struct rich *r, size_t k)
{
    struct lay *lay = t->lay;
    enum style base = lay_base(lay);
    struct wrap_line w = k < t->wraps[i].n ? t->wraps[i].lines[k] : (struct wrap_line){0};
    int free_columns = t->widths[i] - w.columns;
    if (free_columns < 0) free_columns = 0;
    int before = t->aligns[i] == 'r' ? free_columns : t->aligns[i] == 'c' ? free_columns / 2 : 0;
    lay_repeat(lay, STYLE_RULE, "│", 1);
    lay_blanks(lay, base, before + 1);
    lay_rich(lay, r, w.from, w.to);
    lay_blanks(lay, base, free_columns - before + 1);
}

/* A row of cells; returns how many lines it took. */
static size_t frame_row(struct table *t, const struct rich *cells, size_t end)
{
    struct lay *lay = t->lay;
    size_t lines = 1;
    for (size_t i = 0; i < t->columns && !lay->failed; i++) {
        if (!wrap_text(&t->wraps[i], str_cstr(&cells[i].text), cells[i].text.len, t->widths[i])) lay->failed = true;
        if (t->wraps[i].n > lines) lines = t->wraps[i].n;
    }
    for (size_t k = 0; k < lines && !lay->failed; k++) {
        lay_prefix(lay);
        for (size_t i = 0; i < t->columns; i++) cell_line(t, i, &cells[i], k);
        lay_repeat(lay, STYLE_RULE, "│", 1);
        lay_end(lay, MD_TABLE, t->row, end);
    }
    return lines;
}

static void lay_framed(struct table *t)
{
    struct lay *lay = t->lay;
    const struct leaf *l = lay->leaf;
    size_t line = l->from, before = 0;
    struct cursor c;
    bool first = true;
    t->row = l->more ? l->from : l->head;
    frame(t, "┌", "┬", "┐");
    if (!l->more) {
        frame_row(t, t->head, l->rows);
        first = false;
    }
    while (!lay->failed && next_row(t, &line, &c)) {
        read_cells(t, t->cells, c.at, c.end, lay_base(lay));
        if (lay->failed) break;
        /* Rows of more than one line are kept apart. */
        bool tall = false;
        for (size_t i = 0; i < t->columns; i++) tall |= rich_columns(&t->cells[i]) > t->widths[i];
        t->row = c.at;
        if (!first && (before == 0 || before > 1 || tall)) frame(t, "├", "┼", "┤");
        before = frame_row(t, t->cells, c.end);
        first = false;
    }
    if (before == 0 && !l->more) frame(t, "├", "┼", "┤");
    frame(t, "└", "┴", "┘");
}

static void copy_rich(struct rich *to, const struct rich *from)
{
    for (size_t i = 0; i < from->n; i++) {
        size_t at = from->spans[i].at, end = i + 1 < from->n ? from->spans[i + 1].at : from->text.len;
        rich_add(to, (enum style)from->spans[i].style, from->text.data + at, end - at, from->spans[i].source, from->spans[i].exact);
    }
}

/* Lines "head: cell". The first row names all heads, later ones those with a cell. */
static void lay_records(struct table *t)
{
    struct lay *lay = t->lay;
    const struct leaf *l = lay->leaf;
    size_t line = l->from, rows = 0;
    struct cursor c;
    struct rich *r = &lay->rich;
    bool more;
    do {
        more = next_row(t, &line, &c);
        if (!more && (rows || l->more)) break;
        size_t place = more ? c.at : l->head;
        if (more) read_cells(t, t->cells, c.at, c.end, lay_base(lay));
        if (rows) {
            lay_prefix(lay);
            lay_repeat(lay, STYLE_RULE, "─", lay_room(lay) < 3 ? lay_room(lay) : 3);
            lay_end(lay, MD_TABLE, place, place);
        }
        size_t first = lay->out->n;
        for (size_t i = 0; i < t->columns && !lay->failed; i++) {
            bool filled = more && t->cells[i].text.len > 0;
            if (!filled && (rows || l->more)) continue;
            rich_clear(r);
            copy_rich(r, &t->head[i]);
            if (t->head[i].text.len) rich_add(r, STYLE_STRONG, filled ? ": " : ":", filled ? 2 : 1, place, false);
            if (filled) copy_rich(r, &t->cells[i]);
            lay_paragraph(lay, r, MD_TABLE);
        }
        for (size_t i = first; i < lay->out->n && !lay->failed; i++) { /* heads are above: places of lines must not go back */
            lay->out->lines[i].from = place;
            lay->out->lines[i].to = more ? c.end : l->rows;
        }
        rows++;
    } while (more && !lay->failed);
}

void lay_table(struct lay *lay)
{
    const struct leaf *l = lay->leaf;
    struct table t = {.lay = lay, .columns = l->columns};
    size_t line = l->from;
    struct cursor c = {0};
    const char *newline = memchr(lay->p + l->head, '\n', l->to - l->head);
    size_t head_end = newline ? (size_t)(newline - lay->p) : l->to;
    newline = memchr(lay->p + l->rows, '\n', l->to > l->rows ? l->to - l->rows : 0);
    table_delimiters(lay->p, l->rows, newline ? (size_t)(newline - lay->p) : l->to, t.aligns);
    read_cells(&t, t.head, l->head, head_end, STYLE_STRONG);
    if (!l->more) widen(&t, t.head);
    while (!lay->failed && next_row(&t, &line, &c)) {
        read_cells(&t, t.cells, c.at, c.end, lay_base(lay));
        widen(&t, t.cells);
    }
    if (!lay->failed) {
        if (fit(&t, lay_room(lay)))
            lay_framed(&t);
        else
            lay_records(&t);
    }
    for (size_t i = 0; i < t.columns; i++) {
        rich_release(&t.head[i]);
        rich_release(&t.cells[i]);
        wrap_release(&t.wraps[i]);
    }
}
