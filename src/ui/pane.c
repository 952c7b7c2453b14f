/*
 * pane.c - the thought in a column of its own, beside the answers: that of the reply in focus, else of the newest.
 *
 * It shows the end of the thought until it is scrolled up; then its first line stays, whatever comes.
 */
#include "ui/app.h"

static int pane_columns(const struct app *a)
{
    return a->geo.pane_w - 2 > 0 ? a->geo.pane_w - 2 : 1;
}

static int pane_rows(const struct app *a)
{
    return a->geo.view_h - 1 > 0 ? a->geo.view_h - 1 : 0;
}

/* The first line shown of the thought of item i. */
static size_t first_line(const struct app *a, size_t i, const struct wrap *w)
{
    size_t rows = (size_t)pane_rows(a), end = w->n > rows ? w->n - rows : 0;
    if (!a->pane_held || a->pane_item != i) return end;
    size_t held = wrap_line_at(w, a->pane_at);
    return held < end ? held : end;
}

void pane_scroll(struct app *a, int rows)
{
    size_t i = app_target_reply(a);
    if (!a->geo.pane_w || i == SIZE_MAX) return;
    const struct wrap *w = flow_wrap(&a->t.items[i].thought, pane_columns(a));
    size_t first = first_line(a, i, w), end = w->n > (size_t)pane_rows(a) ? w->n - (size_t)pane_rows(a) : 0;
    if (rows < 0)
        first = first > (size_t)-rows ? first - (size_t)-rows : 0;
    else
        first += (size_t)rows;
    a->pane_held = first < end;
    a->pane_item = i;
    a->pane_at = a->pane_held ? w->lines[first].from : 0;
    a->dirty = true;
}

void pane_draw(struct app *a, struct grid *g)
{
    const struct geometry *geo = &a->geo;
    if (!a->t.n || !geo->pane_w || geo->view_h < 1) return;
    for (int y = 0; y < geo->view_h; y++) screen_put(g, geo->pane_x - 1, geo->view_y + y, g->w, STYLE_RULE, "│");
    size_t i = app_target_reply(a);
    int x = geo->pane_x + 1, x_end = x + pane_columns(a);
    if (i == SIZE_MAX || !item_has_thought(&a->t.items[i])) {
        screen_put(g, x, geo->view_y, x_end, STYLE_HINT, "no thought in this reply");
        return;
    }
    struct item *it = &a->t.items[i];
    const struct wrap *w = flow_wrap(&it->thought, pane_columns(a));
    size_t first = first_line(a, i, w), rows = (size_t)pane_rows(a);
    screen_put(g, x, geo->view_y, x_end, STYLE_THOUGHT_HEADER, it->phase == PHASE_THINKING ? "thinking" : "thought");
    if (first + rows < w->n) {
        struct str s = STR_EMPTY;
        str_addf(&s, "↓ %zu more", w->n - first - rows);
        screen_put(g, x_end - utf8_columns(str_cstr(&s), s.len), geo->view_y, x_end, STYLE_NOTICE, str_cstr(&s));
        str_release(&s);
    }
    for (size_t y = 0; y < rows && first + y < w->n; y++) {
        const struct wrap_line *l = &w->lines[first + y];
        screen_put_thought(g, x, geo->view_y + 1 + (int)y, x_end, it, str_cstr(&it->thought.clean) + l->from, l->to - l->from, l->from);
    }
}
