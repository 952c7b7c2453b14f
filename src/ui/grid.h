/*
 * grid.h - a rectangle of character cells: what a screen looks like, without any terminal. Internal to src/ui.
 * Only sanitised text may enter: grid_put refuses controls (they become U+FFFD), so that no byte 0x1b can reach a terminal through a cell.
 */
#ifndef PONDER_GRID_H
#define PONDER_GRID_H

#include "base/base.h"

/* Theme slots: what a piece of screen means. Colours and attributes are the theme's. name (key in theme files), fallback meaning on terminals without colour
 * (attributes: '-' none, 'b' bold, 'd' dim, 'u' underline, 'r' reverse, 'i' italic), help. */
#define STYLE_SLOTS(X) \
    X(TEXT, "text", "-", "answers and everything without a slot of its own") \
    X(PROMPT, "prompt", "b", "what you typed") \
    X(THOUGHT, "thought", "d", "the thought") \
    X(THOUGHT_HEADER, "thought_header", "b", "the line over a thought: state, time, tokens") \
    X(THOUGHT_RULE, "thought_rule", "d", "the bar left of a thought") \
    X(INJECTED, "injected", "u", "text of a thought that the model did not write") \
    X(BAR_FULL, "bar_full", "b", "the used part of the budget bar") \
    X(BAR_SOFT, "bar_soft", "b", "the same when the thought is being closed") \
    X(BAR_EMPTY, "bar_empty", "d", "the free part of the budget bar") \
    X(TITLE, "title", "r", "the top line") \
    X(TITLE_ACCENT, "title_accent", "br", "the program's name in it") \
    X(STATUS, "status", "d", "key hints") \
    X(KEY, "key", "b", "a key's name in hints and help") \
    X(RULE, "rule", "d", "lines between parts") \
    X(INPUT, "input", "-", "the line you type") \
    X(INPUT_MARK, "input_mark", "b", "the > before it") \
    X(HINT, "hint", "d", "placeholders, counts") \
    X(QUEUED, "queued", "d", "prompts that wait") \
    X(NOTICE, "notice", "b", "messages of the program") \
    X(ERROR, "error", "br", "errors") \
    X(GOOD, "good", "b", "a good rating") \
    X(BAD, "bad", "r", "a bad rating") \
    X(FOCUS, "focus", "r", "the message in focus") \
    X(MATCH, "match", "r", "found words") \
    X(MENU, "menu", "-", "popups") \
    X(MENU_SELECTED, "menu_selected", "r", "the chosen line in a popup") \
    X(MENU_BORDER, "menu_border", "d", "their frame") \
    X(MENU_HINT, "menu_hint", "d", "what is said beside and about their rows") \
    X(MENU_STRONG, "menu_strong", "b", "headings in them, and the row in use") \
    X(CODE, "code", "-", "code in answers") \
    X(CODE_KEYWORD, "code_keyword", "b", "highlighting") \
    X(CODE_STRING, "code_string", "-", "") \
    X(CODE_COMMENT, "code_comment", "d", "") \
    X(CODE_NUMBER, "code_number", "-", "") \
    X(HEADING, "heading", "b", "Markdown headings") \
    X(EMPHASIS, "emphasis", "u", "") \
    X(STRONG, "strong", "b", "") \
    X(LINK, "link", "u", "") \
    X(QUOTE, "quote", "d", "")
#define X(n, k, a, h) STYLE_##n,
enum style { STYLE_SLOTS(X) STYLE_COUNT };
#undef X

#define CELL_BYTES 24
struct cell {
    char text[CELL_BYTES];   /* one grapheme cluster, NUL-terminated; "" continues the wide cell to the left; " " is blank */
    uint8_t style;           /* enum style */
    uint8_t width;           /* 1 or 2; 0 for a continuation */
};

struct grid {
    int w, h;
    struct cell *cells;      /* h rows of w */
    int cursor_x, cursor_y;  /* -1: hidden */
};
void grid_init(struct grid *g);
void grid_release(struct grid *g);
/* Changes the size and clears. 0 is allowed. False when memory runs out (the grid is then 0 x 0). */
bool grid_resize(struct grid *g, int w, int h);
void grid_clear(struct grid *g, enum style style);
/* Writes UTF-8 from column x of row y, clipped to [x, x_end) and to the grid (negative x clips on the left); a wide character that does not fit is left out. Returns the
 * column behind the last one written. Newlines and tabs are not interpreted (U+FFFD). */
int grid_put(struct grid *g, int x, int y, int x_end, enum style style, const char *text, size_t n);
/* The same, but tabs are blanks up to the next multiple of WRAP_TAB columns from column `origin` (where the wrapped line begins): draws a wrap_line. */
int grid_put_tabs(struct grid *g, int x, int y, int x_end, enum style style, const char *text, size_t n, int origin);
/* The first grapheme cluster of p (n > 0) as a cell would hold it, style untouched: a control or ill-formed byte is U+FFFD, a lone mark has width 0. Returns the bytes it
 * takes. Widths of text on the screen are sums of these. */
size_t grid_cluster(const char *p, size_t n, struct cell *out);
void grid_fill(struct grid *g, int x, int y, int w, int h, enum style style);          /* blanks */
void grid_restyle(struct grid *g, int x, int y, int w, enum style style);              /* keeps the text */
static inline struct cell *grid_at(const struct grid *g, int x, int y) { return &g->cells[(size_t)y * (size_t)g->w + (size_t)x]; }
/* The screen as text: a line a row, trailing blanks cut. With styles every run of a style other than text is written {slot:...}. For golden tests and /dump. */
void grid_dump(const struct grid *g, bool styles, struct str *out);
const char *style_name(enum style s);
bool style_by_name(const char *name, enum style *out);

/* ---- wrapping ------------------------------------------------------------------------------------------------ */

#define WRAP_TAB 4

/* A run of text in one style; a paragraph is a list of runs. */
struct run {
    const char *text;
    size_t n;
    enum style style;
};
/* One screen line of a wrapped paragraph: bytes [from, to) of the text. */
struct wrap_line {
    size_t from, to;
    int columns;
    bool hard;               /* ends at a newline or the end of the text; a newline at the end of the text begins no further line */
};
struct wrap {
    struct wrap_line *lines;
    size_t n, cap;
};
/* Wraps text (newlines end lines, tabs advance to multiples of 4) at `columns` (at least 1): at spaces where it can, inside long words where it must, never inside a
 * grapheme cluster; wide characters keep whole. No byte but the break's spaces is lost. Appends from byte `start`; lines may be re-wrapped from the last hard line while text
 * grows (wrap_grow). False when memory runs out. */
bool wrap_text(struct wrap *w, const char *text, size_t n, int columns);
/* The same after bytes were added behind the old n: re-wraps only from the last paragraph on. */
bool wrap_grow(struct wrap *w, const char *text, size_t n, int columns);
void wrap_release(struct wrap *w);

#endif
