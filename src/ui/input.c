/*
 * input.c - the input line on the screen: a mark, the text broken hard at the edge, and the cursor.
 *
 * Broken at columns and not at words, so that every place of the cursor has a cell of its own, also behind blanks.
 */
#include "ui/app.h"

#include <string.h>

const char *input_mark(const struct app *a)
{
    switch (a->mode) {
    case INPUT_SAY: return "say> ";
    case INPUT_EDIT_PROMPT: return "edit> ";
    case INPUT_EDIT_ANSWER: return "answer> ";
    case INPUT_EDIT_THOUGHT: return "thought> ";
    case INPUT_TAG: return "tags> ";
    case INPUT_COMMENT: return "comment> ";
    case INPUT_BRANCH: return "branch> ";
    case INPUT_FIND: return "find> ";
    default: return "> ";
    }
}

size_t input_text(const struct app *a, struct str *out)
{
    size_t len, cursor;
    const char *p = line_text(a->line, &len, &cursor);
    struct text_sanitizer s;
    text_sanitizer_init(&s, TEXT_SCREEN);
    text_sanitizer_feed(&s, p, cursor, out);
    size_t at = out->len;
    text_sanitizer_feed(&s, p + cursor, len - cursor, out);
    text_sanitizer_end(&s, out);
    return at < out->len ? at : out->len;
}

struct walk {
    const char *text;
    size_t n, at;
    int columns, row, col;
    struct cell cell; /* at the place before the last step */
    int cell_row, cell_col;
};

/* One cluster on; false at the end. Newlines come as cells of width 0. */
static bool walk_step(struct walk *w)
{
    if (w->at >= w->n) return false;
    if (w->text[w->at] == '\n') {
        w->cell = (struct cell){.text = ""};
        w->cell_row = w->row++;
        w->cell_col = w->col;
        w->col = 0;
        w->at++;
        return true;
    }
    if (w->text[w->at] == '\t') {
        w->cell = (struct cell){.text = " ", .width = 1};
        w->at++;
    } else {
        w->at += grid_cluster(w->text + w->at, w->n - w->at, &w->cell);
    }
    if (w->col + w->cell.width > w->columns && w->col > 0) {
        w->row++;
        w->col = 0;
    }
    w->cell_row = w->row;
    w->cell_col = w->col;
    w->col += w->cell.width;
    return true;
}

void input_measure(const struct str *text, size_t cursor, int columns, struct input_rows *out)
{
    struct walk w = {.text = str_cstr(text), .n = text->len, .columns = columns < 1 ? 1 : columns};
    bool placed = false;
    *out = (struct input_rows){0};
    for (;;) {
        size_t before = w.at;
        int row = w.row, col = w.col;
        bool more = walk_step(&w);
        if (!placed && before >= cursor) {
            out->cursor_row = more && w.cell.width ? w.cell_row : row;
            out->cursor_col = more && w.cell.width ? w.cell_col : col;
            placed = true;
        }
        if (!more) break;
    }
    if (out->cursor_col >= w.columns) { /* behind a full row */
        out->cursor_col = 0;
        out->cursor_row++;
    }
    out->rows = (w.row > out->cursor_row ? w.row : out->cursor_row) + 1;
}

static void draw_placeholder(struct app *a, struct grid *g, int x, int y)
{
    const char *text = "";
    if (a->mode == INPUT_SAY)
        text = "a line for the thought";
    else if (a->mode == INPUT_FIND)
        text = "words";
    else if (a->mode != INPUT_PROMPT || a->focus != FOCUS_INPUT)
        text = "";
    else if (app_running(a))
        text = "type ahead; Enter queues it";
    else if (!a->t.n)
        text = "Ask something, or /help";
    screen_put(g, x, y, g->w, STYLE_HINT, text);
}

void input_draw(struct app *a, struct grid *g)
{
    const struct geometry *geo = &a->geo;
    if (geo->input_h <= 0) return;
    const char *message = line_message(a->line), *mark = message[0] ? message : input_mark(a);
    int x0 = screen_put(g, 0, geo->input_y, g->w, STYLE_INPUT_MARK, mark);
    if (x0 > g->w / 2) x0 = 0;
    int columns = g->w - x0 > 0 ? g->w - x0 : 1;
    struct str text = STR_EMPTY;
    size_t cursor = input_text(a, &text);
    struct input_rows in;
    input_measure(&text, cursor, columns, &in);
    int top = in.cursor_row - geo->input_h + 1;
    if (top < 0 || in.rows <= geo->input_h) top = 0;
    if (!text.len) draw_placeholder(a, g, x0, geo->input_y);
    struct walk w = {.text = str_cstr(&text), .n = text.len, .columns = columns};
    while (walk_step(&w)) {
        int row = w.cell_row - top;
        if (row >= geo->input_h) break;
        if (row >= 0 && w.cell.width) grid_put(g, x0 + w.cell_col, geo->input_y + row, g->w, STYLE_INPUT, w.cell.text, strlen(w.cell.text));
    }
    if (top > 0) screen_put(g, 0, geo->input_y, x0 > 1 ? x0 - 1 : 1, STYLE_HINT, "↑");
    if (in.rows > top + geo->input_h) screen_put(g, 0, geo->input_y + geo->input_h - 1, x0 > 1 ? x0 - 1 : 1, STYLE_HINT, "↓");
    if (a->focus == FOCUS_INPUT && !a->popup) {
        g->cursor_x = x0 + in.cursor_col < g->w ? x0 + in.cursor_col : g->w - 1;
        g->cursor_y = geo->input_y + in.cursor_row - top;
    }
    screen_hit(a, HIT_INPUT, 0, geo->input_y, g->w, geo->input_h, 0);
    str_release(&text);
}
