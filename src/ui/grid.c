/*
 * grid.c - cells: what a screen looks like, without any terminal.
 *
 * Invariants
 *   - A cell holds one grapheme cluster without any control, format-direction or ill-formed byte, so that printing the cells of a
 *     grid in order cannot drive a terminal.
 *   - A cell of width 2 is followed, in the same row, by a cell of width 0 and empty text; no other cell has width 0. Whatever
 *     overwrites one half of a wide cluster blanks the other.
 *
 * Not done here: colours (theme.c), line breaking (wrap.c), output (term.c).
 */
#include "ui/grid.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* A grid larger than this is no screen: sizes come from the terminal, which is outside. */
#define GRID_MAX_SIDE 10000

static const struct {
    const char *name;
    enum style style;
} style_names[STYLE_COUNT] = {
#define X(n, k, a, h) {k, STYLE_##n},
    STYLE_SLOTS(X)
#undef X
};

/* True for what must never reach a cell: controls, line and paragraph separators, everything that reorders or hides text. */
static bool is_refused(uint32_t cp)
{
    if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0)) return true;
    if (cp < 0x61c) return false;
    return cp == UTF8_INVALID || cp == 0x61c || (cp >= 0x200e && cp <= 0x200f) || (cp >= 0x2028 && cp <= 0x202e) ||
           (cp >= 0x2060 && cp <= 0x206f) || cp == 0xfeff || (cp >= 0xfff9 && cp <= 0xfffb) || (cp >= 0xe0000 && cp <= 0xe007f);
}

static size_t cell_stand_in(struct cell *out, size_t used)
{
    memcpy(out->text, "\xef\xbf\xbd", 4);
    out->width = 1;
    return used;
}

size_t grid_cluster(const char *p, size_t n, struct cell *out)
{
    unsigned char first = (unsigned char)p[0];
    if (first >= 0x20 && first < 0x7f && (n == 1 || (unsigned char)p[1] < 0x80)) {
        out->text[0] = p[0];
        out->text[1] = '\0';
        out->width = 1;
        return 1;
    }
    uint32_t cp;
    size_t at = utf8_decode(p, n, &cp);
    if (is_refused(cp)) return cell_stand_in(out, at);
    int columns = 0;
    size_t len = utf8_grapheme(p, n, &columns);
    if (len > n) len = n;
    size_t kept = at < CELL_BYTES ? at : 0;
    bool full = false;
    memcpy(out->text, p, kept);
    while (at < len) {
        size_t k = utf8_decode(p + at, len - at, &cp);
        if (is_refused(cp)) { /* shown as a cell of its own */
            len = at;
            utf8_grapheme(p, len, &columns);
            break;
        }
        /* A pile of marks that does not fit is drawn as far as it goes: whole code points, never a gap. */
        if (kept + k >= CELL_BYTES) full = true;
        if (!full) {
            memcpy(out->text + kept, p + at, k);
            kept += k;
        }
        at += k;
    }
    out->text[kept] = '\0';
    out->width = (uint8_t)(columns <= 0 ? 0 : columns > 2 ? 2 : columns);
    return len;
}

void grid_init(struct grid *g)
{
    *g = (struct grid){.cursor_x = -1, .cursor_y = -1};
}

void grid_release(struct grid *g)
{
    free(g->cells);
    grid_init(g);
}

bool grid_resize(struct grid *g, int w, int h)
{
    if (w <= 0 || h <= 0) w = h = 0;
    if (w > GRID_MAX_SIDE) w = GRID_MAX_SIDE;
    if (h > GRID_MAX_SIDE) h = GRID_MAX_SIDE;
    if (w == g->w && h == g->h) {
        grid_clear(g, STYLE_TEXT);
        return true;
    }
    struct cell *cells = NULL;
    if (w > 0) cells = malloc((size_t)w * (size_t)h * sizeof(*cells));
    grid_release(g);
    if (w > 0 && !cells) return false;
    g->w = w;
    g->h = h;
    g->cells = cells;
    grid_clear(g, STYLE_TEXT);
    return true;
}

void grid_clear(struct grid *g, enum style style)
{
    grid_fill(g, 0, 0, g->w, g->h, style);
    g->cursor_x = g->cursor_y = -1;
}

/* Makes the cell a blank, and keeps the row well formed when it was half of a wide cluster. */
static void cell_blank(struct grid *g, int x, int y, enum style style)
{
    struct cell *c = grid_at(g, x, y);
    if (c->width == 0 && x > 0 && c[-1].width == 2) {
        memcpy(c[-1].text, " ", 2);
        c[-1].width = 1;
    }
    if (c->width == 2 && x + 1 < g->w && c[1].width == 0) {
        memcpy(c[1].text, " ", 2);
        c[1].width = 1;
    }
    memcpy(c->text, " ", 2);
    c->width = 1;
    c->style = (uint8_t)style;
}

/* Adds marks without a base to the cell on their left; what is invisible anyway, or does not fit, is left out. */
static void cell_append(struct grid *g, int x, int y, const char *marks)
{
    if (y < 0 || y >= g->h || x < 0 || x >= g->w) return;
    uint32_t cp;
    size_t n = strlen(marks);
    if (n == 0) return;
    utf8_decode(marks, n, &cp);
    utf8proc_category_t category = cp == UTF8_INVALID ? UTF8PROC_CATEGORY_CN : utf8proc_category((utf8proc_int32_t)cp);
    if (category != UTF8PROC_CATEGORY_MN && category != UTF8PROC_CATEGORY_ME && category != UTF8PROC_CATEGORY_MC) return;
    struct cell *c = grid_at(g, x, y);
    if (c->width == 0 && x > 0) c--;
    size_t used = strlen(c->text);
    if (used == 0 || used + n >= CELL_BYTES) return;
    memcpy(c->text + used, marks, n + 1);
}

static void cell_set(struct grid *g, int x, int y, enum style style, const struct cell *from)
{
    for (int i = 0; i < from->width; i++) cell_blank(g, x + i, y, style);
    struct cell *c = grid_at(g, x, y);
    memcpy(c->text, from->text, CELL_BYTES);
    c->width = from->width;
    if (from->width == 2) {
        c[1].text[0] = '\0';
        c[1].width = 0;
    }
}

/* Tabs as in wrap_text when expand is set, counted from column `origin`. */
static int put_clipped(struct grid *g, int x, int y, int x_end, enum style style, const char *text, size_t n, bool expand, int origin)
{
    bool row = y >= 0 && y < g->h;
    int right = x_end < g->w ? x_end : g->w;
    bool any = false;
    for (size_t i = 0; i < n;) {
        struct cell c = {0};
        if (expand && text[i] == '\t') {
            int stop = x + WRAP_TAB - (x - origin) % WRAP_TAB;
            for (; x < stop && x < right; x++)
                if (row && x >= 0) cell_blank(g, x, y, style);
            i++;
            any = true;
            if (x < stop) break;
            continue;
        }
        i += grid_cluster(text + i, n - i, &c);
        if (c.width == 0) {
            if (any) cell_append(g, x - 1, y, c.text);
            continue;
        }
        if (x + c.width > right) break;
        if (row && x >= 0)
            cell_set(g, x, y, style, &c);
        else if (row && x + c.width > 0)
            cell_blank(g, 0, y, style); /* the right half of a wide cluster that begins left of the grid */
        x += c.width;
        any = true;
    }
    return x;
}

int grid_put(struct grid *g, int x, int y, int x_end, enum style style, const char *text, size_t n)
{
    return put_clipped(g, x, y, x_end, style, text, n, false, 0);
}

int grid_put_tabs(struct grid *g, int x, int y, int x_end, enum style style, const char *text, size_t n, int origin)
{
    return put_clipped(g, x, y, x_end, style, text, n, true, origin);
}

void grid_fill(struct grid *g, int x, int y, int w, int h, enum style style)
{
    int x_to = x + w < g->w ? x + w : g->w;
    int y_to = y + h < g->h ? y + h : g->h;
    if (x == 0 && x_to == g->w) { /* whole rows: nothing outside can be halved, and the cells may still be raw memory */
        for (int row = y < 0 ? 0 : y; row < y_to; row++) {
            struct cell *c = grid_at(g, 0, row);
            for (int i = 0; i < g->w; i++) c[i] = (struct cell){.text = " ", .style = (uint8_t)style, .width = 1};
        }
        return;
    }
    for (int row = y < 0 ? 0 : y; row < y_to; row++)
        for (int col = x < 0 ? 0 : x; col < x_to; col++) cell_blank(g, col, row, style);
}

void grid_restyle(struct grid *g, int x, int y, int w, enum style style)
{
    if (y < 0 || y >= g->h) return;
    int x_to = x + w < g->w ? x + w : g->w;
    for (int col = x < 0 ? 0 : x; col < x_to; col++) grid_at(g, col, y)->style = (uint8_t)style;
}

void grid_dump(const struct grid *g, bool styles, struct str *out)
{
    for (int y = 0; y < g->h; y++) {
        int end = g->w;
        while (end > 0) {
            const struct cell *c = grid_at(g, end - 1, y);
            if (strcmp(c->text, " ") != 0 || (styles && c->style != STYLE_TEXT)) break;
            end--;
        }
        enum style now = STYLE_TEXT;
        for (int x = 0; x < end; x++) {
            const struct cell *c = grid_at(g, x, y);
            if (styles && c->style != now && c->width != 0) {
                if (now != STYLE_TEXT) str_add(out, "}");
                now = (enum style)c->style;
                if (now != STYLE_TEXT) str_addf(out, "{%s:", style_name(now));
            }
            str_add(out, c->text);
        }
        if (now != STYLE_TEXT) str_add(out, "}");
        str_add_char(out, '\n');
    }
}

const char *style_name(enum style s)
{
    return (unsigned)s < STYLE_COUNT ? style_names[s].name : "text";
}

bool style_by_name(const char *name, enum style *out)
{
    for (size_t i = 0; i < STYLE_COUNT; i++) {
        if (strcmp(style_names[i].name, name) != 0) continue;
        *out = style_names[i].style;
        return true;
    }
    return false;
}
