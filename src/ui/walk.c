/*
 * walk.c - rating a thought step by step: each is good, neutral or bad, and the first bad one ends the walk.
 *
 * Steps are as the record cuts them. A mark is written at once; u takes the newest one back. What was marked before is shown and can be
 * marked anew: a bad mark drops those behind it.
 */
#include "ui/walk.h"

#include <stdlib.h>
#include <string.h>

#define MARGIN 8 /* columns of number and mark */

struct walk {
    int64_t reply;
    struct thought_steps steps;
    struct str *texts; /* sanitised, one a step */
    size_t n_texts;    /* those that are there */
    size_t at;         /* the step that keys are about */
    int top, rows;     /* first row of the window, rows of it as drawn last */
};

void walk_close(struct app *a)
{
    struct walk *w = a->walk;
    if (!w) return;
    a->walk = NULL;
    for (size_t i = 0; i < w->n_texts; i++) str_release(&w->texts[i]);
    free(w->texts);
    thought_steps_release(&w->steps);
    free(w);
    a->dirty = true;
}

static int load_texts(struct walk *w, const struct message *m, struct err *e)
{
    w->texts = calloc(w->steps.n ? w->steps.n : 1, sizeof *w->texts);
    if (!w->texts) return err_set(e, ERR_NOMEM, "out of memory");
    for (; w->n_texts < w->steps.n; w->n_texts++) {
        const struct thought_step *s = &w->steps.items[w->n_texts];
        if (s->offset > m->thought_len || s->length > m->thought_len - s->offset) return err_set(e, ERR_DB, "a step lies outside its thought");
        text_sanitize(&w->texts[w->n_texts], m->thought + s->offset, s->length, TEXT_SCREEN);
    }
    return 0;
}

static int load(struct app *a, struct walk *w, struct err *e)
{
    struct message_list l = {0};
    int rc = store_load_steps(a->store, w->reply, &w->steps, e);
    if (!rc) rc = store_load_message(a->store, w->reply, &l, e);
    if (!rc && (!l.n || !w->steps.n)) rc = err_set(e, ERR_NOT_FOUND, "this reply has no thought to rate");
    if (!rc) rc = load_texts(w, &l.items[0], e);
    message_list_release(&l);
    return rc;
}

void walk_start(struct app *a)
{
    struct err e = {0};
    size_t i = app_target_reply(a);
    if (i == SIZE_MAX || a->t.items[i].phase != PHASE_DONE || a->t.items[i].id <= 0) {
        app_error(a, "there is no finished reply whose steps could be rated");
        return;
    }
    struct walk *w = calloc(1, sizeof *w);
    if (!w) {
        app_error(a, "out of memory");
        return;
    }
    w->reply = a->t.items[i].id;
    a->walk = w;
    if (load(a, w, &e)) {
        walk_close(a);
        app_error(a, "%s", e.text);
        return;
    }
    /* on with the first that has no mark, unless an error was found */
    while (w->at + 1 < w->steps.n && w->steps.items[w->at].rated && w->steps.items[w->at].value >= 0) w->at++;
    rating_forget(a);
    a->dirty = true;
}

/* ---- keys ---------------------------------------------------------------------------------------------------------- */

static void reload(struct app *a)
{
    struct walk *w = a->walk;
    struct thought_steps fresh = {0};
    if (store_load_steps(a->store, w->reply, &fresh, NULL) || fresh.n != w->steps.n) {
        thought_steps_release(&fresh);
        return;
    }
    thought_steps_release(&w->steps);
    w->steps = fresh;
}

static void finish(struct app *a)
{
    const struct thought_steps *s = &a->walk->steps;
    size_t good = 0, neutral = 0, bad = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (!s->items[i].rated) continue;
        good += s->items[i].value > 0;
        neutral += s->items[i].value == 0;
        if (s->items[i].value < 0) bad = i + 1;
    }
    size_t n = s->n;
    walk_close(a);
    if (bad)
        app_notice(a, "%zu good, %zu neutral, the first error is step %zu of %zu", good, neutral, bad, n);
    else if (good + neutral)
        app_notice(a, "%zu good, %zu neutral of %zu steps, no error marked", good, neutral, n);
    else
        app_notice(a, "no step marked");
}

static void mark(struct app *a, int value)
{
    struct walk *w = a->walk;
    struct err e = {0};
    if (store_rate_step(a->store, w->reply, (int)w->at + 1, value, &e)) {
        app_error(a, "%s", e.text);
        return;
    }
    reload(a);
    if (value < 0 || w->at + 1 == w->steps.n)
        finish(a);
    else
        w->at++;
}

static void take_back(struct app *a)
{
    struct walk *w = a->walk;
    struct undone u = {0};
    struct err e = {0};
    int rc = store_undo(a->store, a->port->conversation(a->chat), &u, &e);
    if (rc == ERR_NOT_FOUND) {
        app_notice(a, "nothing to take back");
    } else if (rc) {
        app_error(a, "%s", e.text);
    } else {
        reload(a);
        app_notice(a, "taken back: %s", u.what);
        if (!strcmp(u.what, "steps"))
            for (w->at = 0; w->at + 1 < w->steps.n && w->steps.items[w->at].rated; w->at++) {
            }
    }
}

static void move(struct walk *w, int by)
{
    if (by < 0)
        w->at = w->at > (size_t)-by ? w->at - (size_t)-by : 0;
    else
        w->at = w->at + (size_t)by < w->steps.n ? w->at + (size_t)by : w->steps.n - 1;
}

static void letter(struct app *a, uint32_t cp)
{
    switch (cp) {
    case '+':
    case 'g': mark(a, 1); break;
    case ' ':
    case '0':
    case 'n': mark(a, 0); break;
    case '-':
    case 'b': mark(a, -1); break;
    case 'j': move(a->walk, 1); break;
    case 'k': move(a->walk, -1); break;
    case 'u': take_back(a); break;
    case 'q': finish(a); break;
    default: break;
    }
}

void walk_key(struct app *a, const struct key *k)
{
    struct walk *w = a->walk;
    a->dirty = true;
    if (k->kind == KEY_TEXT_ && k->mods == MOD_CTRL && k->cp == 'c') {
        finish(a);
    } else if (k->kind == KEY_TEXT_ && k->mods == MOD_CTRL && k->cp == 'l') {
        a->want.redraw = true;
    } else if (k->kind == KEY_TEXT_ && !k->mods) {
        letter(a, k->cp);
    } else if (k->kind == KEY_NAMED_) {
        switch (k->name) {
        case NAMED_ESC:
        case NAMED_ENTER: finish(a); break;
        case NAMED_UP:
        case NAMED_BACKSPACE: move(w, -1); break;
        case NAMED_DOWN: move(w, 1); break;
        case NAMED_HOME: move(w, -1000000); break;
        case NAMED_END: move(w, 1000000); break;
        default: break;
        }
    }
}

/* ---- drawing ------------------------------------------------------------------------------------------------------ */

const char *walk_hint(const struct app *a)
{
    return a->walk ? "+ good · 0 neutral · - bad, ends it · j k move · u undo · Esc done" : NULL;
}

static const char *mark_of(const struct thought_step *s, enum style *style)
{
    *style = !s->rated ? STYLE_HINT : s->value > 0 ? STYLE_GOOD : s->value < 0 ? STYLE_BAD : STYLE_NOTICE;
    return !s->rated ? " " : s->value > 0 ? "+" : s->value < 0 ? "-" : "0";
}

/* Rows [*from, return value) of step i when all are one below another; a blank row behind each paragraph. */
static int rows_of(const struct walk *w, size_t i, int columns, struct wrap *wrap)
{
    wrap_text(wrap, str_cstr(&w->texts[i]), w->texts[i].len, columns);
    int n = wrap->n ? (int)wrap->n : 1;
    return n + (w->steps.sentences ? 0 : 1);
}

/* The window follows the step that is marked. */
static void follow(struct walk *w, int columns, int h)
{
    struct wrap wrap = {0};
    int row = 0, from = 0, to = 0;
    for (size_t i = 0; i <= w->at && i < w->steps.n; i++) {
        from = row;
        row += rows_of(w, i, columns, &wrap);
        to = row;
    }
    wrap_release(&wrap);
    if (to > w->top + h) w->top = to - h;
    if (from < w->top) w->top = from;
}

static void draw_step(const struct walk *w, struct grid *g, size_t i, int y, const struct wrap *wrap, int y0, int y1)
{
    const struct str *text = &w->texts[i];
    enum style style;
    const char *mark_text = mark_of(&w->steps.items[i], &style);
    struct str number = STR_EMPTY;
    str_addf(&number, "%3zu", i + 1);
    for (size_t r = 0; r < (wrap->n ? wrap->n : 1); r++, y++) {
        if (y < y0 || y >= y1) continue;
        if (i == w->at) screen_put(g, 0, y, 1, STYLE_FOCUS, " ");
        if (r == 0) {
            screen_put(g, 1, y, g->w, i == w->at ? STYLE_KEY : STYLE_HINT, str_cstr(&number));
            screen_put(g, 5, y, g->w, style, mark_text);
        }
        screen_put(g, MARGIN - 1, y, g->w, STYLE_THOUGHT_RULE, "│");
        if (!wrap->n) continue;
        const struct wrap_line *l = &wrap->lines[r];
        grid_put_tabs(g, MARGIN + 1, y, g->w, i == w->at ? STYLE_TEXT : STYLE_THOUGHT, text->data + l->from, l->to - l->from, MARGIN + 1);
    }
    str_release(&number);
}

void walk_draw(struct app *a, struct grid *g)
{
    struct walk *w = a->walk;
    struct wrap wrap = {0};
    struct str s = STR_EMPTY;
    int y0 = a->geo.title_y >= 0 ? a->geo.title_y + 1 : 0, y1 = a->geo.hint_y >= 0 ? a->geo.hint_y : g->h;
    int columns = g->w - MARGIN - 2 > 0 ? g->w - MARGIN - 2 : 1;
    a->n_hits = 0;
    g->cursor_x = g->cursor_y = -1;
    grid_fill(g, 0, y0, g->w, y1 - y0, STYLE_TEXT);
    str_addf(&s, "step %zu of %zu: is it good, neutral or bad? The first bad one ends it.", w->at + 1, w->steps.n);
    if (y1 - y0 > 3) screen_put(g, 1, y0++, g->w, STYLE_THOUGHT_HEADER, str_cstr(&s));
    str_release(&s);
    w->rows = y1 - y0;
    follow(w, columns, w->rows);
    int y = y0 - w->top;
    for (size_t i = 0; i < w->steps.n && y < y1; i++) {
        int n = rows_of(w, i, columns, &wrap);
        if (y + n > y0) draw_step(w, g, i, y, &wrap, y0, y1);
        y += n;
    }
    wrap_release(&wrap);
}
