/*
 * layout.c - where the parts of the screen are, for any size down to 1 x 1.
 *
 * What matters most keeps its row longest: input, transcript, hints, title, rule, queue.
 */
#include "ui/app.h"

#include <string.h>

#define SIDE_FROM  110
#define QUEUE_ROWS 3
#define WHY_ROWS   4

bool app_beside(const struct app *a)
{
    return a->w >= SIDE_FROM && !strcmp(a->set.layout, "side");
}

static int input_rows_wanted(const struct app *a)
{
    const char *message = line_message(a->line), *mark = message[0] ? message : input_mark(a);
    int x0 = utf8_columns(mark, strlen(mark));
    if (x0 > a->w / 2) x0 = 0;
    struct str text = STR_EMPTY;
    struct input_rows in;
    size_t cursor = input_text(a, &text);
    input_measure(&text, cursor, a->w - x0 > 0 ? a->w - x0 : 1, &in);
    str_release(&text);
    return in.rows;
}

void screen_layout(struct app *a)
{
    struct geometry *g = &a->geo;
    int h = a->h;
    *g = (struct geometry){
        .title_y = -1, .trouble_y = -1, .rule_y = -1, .hint_y = -1, .queue_y = -1, .say_y = -1, .why_y = -1, .text_w = a->w};
    int third = h / 3 > 1 ? h / 3 : 1, wanted = input_rows_wanted(a);
    g->input_h = wanted < third ? wanted : third;
    if (g->input_h > h) g->input_h = h;
    int bottom = h;
    if (h >= 4) g->hint_y = --bottom;
    g->input_y = bottom -= g->input_h;
    size_t queued = a->port->queued(a->chat);
    if (h >= 8 && queued) {
        g->queue_h = queued < QUEUE_ROWS ? (int)queued : QUEUE_ROWS;
        g->queue_y = bottom -= g->queue_h;
    }
    size_t n_candidates;
    line_candidates(a->line, &n_candidates);
    if (h >= 8 && n_candidates && a->focus == FOCUS_INPUT) {
        g->say_h = 1;
        g->say_y = --bottom;
    }
    if (h >= 10 && a->why.len && a->focus == FOCUS_READING) {
        struct wrap w = {0};
        wrap_text(&w, str_cstr(&a->why), a->why.len, a->w - 2 > 0 ? a->w - 2 : 1);
        g->why_h = w.n < WHY_ROWS ? (int)w.n : WHY_ROWS;
        g->why_y = bottom -= g->why_h;
        wrap_release(&w);
    }
    if (h >= 6) g->rule_y = --bottom;
    if (h >= 5) g->title_y = g->view_y++;
    if (h >= 8 && a->trouble.len) g->trouble_y = g->view_y++;
    g->view_h = bottom - g->view_y;
    if (g->view_h < 0) g->view_h = 0;
    if (app_beside(a) && !a->pane_closed) {
        g->pane_w = a->w * 2 / 5;
        g->text_w = a->w - g->pane_w - 1;
        g->pane_x = g->text_w + 1;
    }
    transcript_resize(&a->t, g->text_w, g->view_h);
}
