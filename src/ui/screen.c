/*
 * screen.c - the state of the app as cells: a pure function of it, but for layouts that are kept for the next time and the places where the
 * mouse can act.
 */
#include "ui/app.h"
#include "ui/duel.h"
#include "ui/keymap.h"
#include "ui/review.h"
#include "ui/walk.h"

#include <string.h>

int screen_put(struct grid *g, int x, int y, int x_end, enum style style, const char *text)
{
    return grid_put(g, x, y, x_end, style, text, strlen(text));
}

void screen_hit(struct app *a, enum hit_kind kind, int x, int y, int w, int h, size_t index)
{
    if (a->n_hits == HITS_MAX || w <= 0 || h <= 0) return;
    a->hits[a->n_hits++] = (struct hit){.kind = kind, .x = x, .y = y, .w = w, .h = h, .index = index};
}

/* ---- title ------------------------------------------------------------------------------------------------------ */

static void add_model(const struct app *a, struct str *out)
{
    if (a->port->model(a->chat)) {
        str_add(out, str_cstr(&a->model_name));
    } else if (a->model_failed) {
        str_add(out, "no model: /model NAME");
    } else {
        str_addf(out, "loading %s… ", str_cstr(&a->model_name));
        format_seconds(out, a->now - a->loading_since);
    }
}

static int columns_of(const struct str *s)
{
    return utf8_columns(str_cstr(s), s->len);
}

/* With an ellipsis where it does not fit. */
static void put_cut(struct grid *g, int x, int y, int x_end, enum style style, const struct str *s)
{
    screen_put(g, x, y, x_end, style, str_cstr(s));
    if (columns_of(s) > x_end - x && x_end > x) screen_put(g, x_end - 1, y, x_end, style, "…");
}

static void draw_title(struct app *a, struct grid *g)
{
    int y = a->geo.title_y;
    if (y < 0) return;
    grid_fill(g, 0, y, g->w, 1, STYLE_TITLE);
    int x = screen_put(g, g->w >= 24 ? 1 : 0, y, g->w, STYLE_TITLE_ACCENT, "ponder");
    struct str model = STR_EMPTY, ctx = STR_EMPTY, speed = STR_EMPTY;
    bool hidden = duel_hides(a);
    if (hidden)
        str_add(&model, "which is better?");
    else if (a->review)
        review_title(a, &model);
    else
        add_model(a, &model);
    if (!hidden && a->last.context > 0 && a->last.context_used > 0) str_addf(&ctx, "ctx %d/%d", a->last.context_used, a->last.context);
    if (!hidden && a->last.tokens_per_s >= 10)
        str_addf(&speed, "%.0f tok/s", a->last.tokens_per_s);
    else if (!hidden && a->last.tokens_per_s > 0)
        str_addf(&speed, "%.1f tok/s", a->last.tokens_per_s);
    int right = g->w - (g->w >= 24 ? 1 : 0);
    if (speed.len && right - columns_of(&speed) > x + 12) {
        right -= columns_of(&speed);
        screen_put(g, right, y, g->w, STYLE_TITLE, str_cstr(&speed));
        right -= 2;
    }
    if (ctx.len && right - 6 - columns_of(&ctx) > x + 3 + columns_of(&model)) {
        right -= 6;
        meter_draw(g, right, y, 6, (double)a->last.context_used / a->last.context, STYLE_TITLE, STYLE_TITLE);
        right--;
    }
    if (ctx.len && right - columns_of(&ctx) > x + 16) {
        right -= columns_of(&ctx);
        screen_put(g, right, y, g->w, STYLE_TITLE, str_cstr(&ctx));
        right -= 1;
    }
    if (g->w >= 24) x = screen_put(g, x, y, right, STYLE_TITLE, " · ");
    if (g->w >= 24) put_cut(g, x, y, right, STYLE_TITLE, &model);
    str_release(&model);
    str_release(&ctx);
    str_release(&speed);
}

/* ---- transcript ------------------------------------------------------------------------------------------------- */

static char fold_case(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static size_t find_in(const char *p, size_t n, const struct str *words, size_t from)
{
    for (size_t i = from; i + words->len <= n; i++) {
        size_t k = 0;
        while (k < words->len && fold_case(p[i + k]) == fold_case(words->data[k])) k++;
        if (k == words->len) return i;
    }
    return SIZE_MAX;
}

/* Text of a line with the searched words marked. */
static void draw_matches(const struct app *a, struct grid *g, int x, int y, const struct row *r)
{
    if (!a->find.len || a->focus != FOCUS_READING) return;
    for (size_t at = 0; (at = find_in(r->text, r->n, &a->find, at)) != SIZE_MAX; at += a->find.len) {
        int from = x + utf8_columns(r->text, at);
        grid_restyle(g, from, y, utf8_columns(r->text + at, a->find.len), STYLE_MATCH);
    }
}

void screen_put_thought(struct grid *g, int x, int y, int x_end, const struct item *it, const char *text, size_t n, size_t from)
{
    grid_put_tabs(g, x, y, x_end, STYLE_THOUGHT, text, n, x);
    for (size_t i = 0; i < it->n_injected; i++) {
        const struct injected_span *s = &it->injected[i];
        if (s->to <= from || s->from >= from + n) continue;
        size_t first = s->from > from ? s->from - from : 0, to = s->to - from < n ? s->to - from : n;
        int c = utf8_columns(text, first), wide = utf8_columns(text + first, to - first);
        if (x + c + wide > x_end) wide = x_end - x - c;
        if (wide > 0) grid_restyle(g, x + c, y, wide, STYLE_INJECTED);
    }
}

static void add_rating(const struct item *it, struct str *out)
{
    if (it->answer_rating) str_addf(out, "rated %s", it->answer_rating > 0 ? "+" : "-");
}

/* On the last line of the answer where it has room, on the foot otherwise. */
static bool rating_fits_answer(const struct app *a, const struct item *it, int columns)
{
    return it->answer_rating && columns + 12 <= transcript_text_columns(&a->t);
}

static void draw_rating(struct grid *g, int x_end, int y, const struct item *it)
{
    struct str s = STR_EMPTY;
    add_rating(it, &s);
    screen_put(g, x_end - columns_of(&s), y, x_end, it->answer_rating > 0 ? STYLE_GOOD : STYLE_BAD, str_cstr(&s));
    str_release(&s);
}

static void draw_foot(struct app *a, struct grid *g, int x, int y, int x_end, struct item *it)
{
    struct str s = STR_EMPTY;
    thought_describe_end(it, &s);
    if (it->n_siblings > 1) str_addf(&s, "%sversion %d of %d", s.len ? " · " : "", it->sibling + 1, it->n_siblings);
    int last = transcript_last_columns(&a->t, (size_t)(it - a->t.items));
    bool rated = it->answer_rating && !(last && rating_fits_answer(a, it, last));
    int end = rated ? x_end - 8 : x_end;
    if (s.len) {
        x = screen_put(g, x, y, end, it->failure ? STYLE_ERROR : STYLE_HINT, "· ");
        screen_put(g, x, y, end, it->failure ? STYLE_ERROR : STYLE_HINT, str_cstr(&s));
    }
    if (rated) draw_rating(g, x_end, y, it);
    str_release(&s);
}

static void draw_you(struct grid *g, int x, int y, int x_end)
{
    if (x_end - x < 8) {
        screen_put(g, x, y, x_end, STYLE_RULE, "you");
        return;
    }
    int at = screen_put(g, x, y, x_end, STYLE_RULE, "┌ ");
    at = screen_put(g, at, y, x_end, STYLE_PROMPT, "you");
    at = screen_put(g, at, y, x_end, STYLE_RULE, " ");
    while (at < x_end - 1) at = screen_put(g, at, y, x_end, STYLE_RULE, "─");
    screen_put(g, at, y, x_end, STYLE_RULE, "┐");
}

void screen_put_markdown(struct grid *g, int x, int y, int x_end, const struct md_line *line)
{
    int at = x;
    for (size_t i = 0; i < line->n_segments; i++) {
        const struct md_segment *s = &line->segments[i];
        grid_put_tabs(g, at, y, x_end, s->style, s->text, s->n, x);
        at += s->columns;
    }
}

static void draw_answer(struct grid *g, int x, int y, int x_end, const struct row *r)
{
    if (r->line)
        screen_put_markdown(g, x, y, x_end, r->line);
    else
        grid_put_tabs(g, x, y, x_end, STYLE_TEXT, r->text, r->n, x);
}

static void draw_board(struct app *a, struct grid *g, int x, int y, int x_end, struct item *it, int row)
{
    size_t n;
    const struct board_cell *c = board_cells(it->board, transcript_text_columns(&a->t), a->now, &n);
    bool live = row == 0 && it->board->running;
    for (size_t i = 0; i < n; i++) {
        if (c[i].row != row) continue;
        int from = x + c[i].x, to = from + c[i].w < x_end ? from + c[i].w : x_end;
        int end = grid_put(g, from, y, to, c[i].style, it->board->text.data + c[i].from, c[i].n);
        if (live && it->board->decode_at) thought_draw_controls(a, g, end + 2, y, x_end, it);
    }
    if (live) a->header_seen = true;
}

static void draw_row(struct app *a, struct grid *g, int y, const struct row *r)
{
    struct item *it = &a->t.items[r->item];
    int margin = transcript_margin(&a->t), x = margin, x_end = a->geo.text_w - margin;
    screen_hit(a, HIT_ITEM, 0, y, a->geo.text_w, 1, r->item);
    switch (r->kind) {
    case ROW_YOU: draw_you(g, x, y, x_end); break;
    case ROW_PROMPT:
        grid_put_tabs(g, x, y, x_end, STYLE_PROMPT, r->text, r->n, x);
        draw_matches(a, g, x, y, r);
        break;
    case ROW_BOARD: draw_board(a, g, x, y, x_end, it, (int)r->index); break;
    case ROW_STATUS: thought_draw_status(a, g, x, y, x_end, r->item); break;
    case ROW_HEADER:
        if (r->item == a->reply) a->header_seen = true;
        thought_draw_header(a, g, x, y, x_end, r->item);
        break;
    case ROW_THOUGHT: {
        int text_x = transcript_text_columns(&a->t) - transcript_thought_columns(&a->t) + x;
        if (text_x > x) screen_put(g, x, y, x_end, STYLE_THOUGHT_RULE, r->cut_above ? "┆" : "│");
        screen_put_thought(g, text_x, y, x_end, it, r->text, r->n, r->from);
        draw_matches(a, g, text_x, y, r);
        break;
    }
    case ROW_ANSWER:
        draw_answer(g, x, y, x_end, r);
        draw_matches(a, g, x, y, r);
        if (r->last && rating_fits_answer(a, it, r->columns)) draw_rating(g, x_end, y, it);
        break;
    case ROW_FOOT: draw_foot(a, g, x, y, x_end, it); break;
    default: break;
    }
    if (a->focus == FOCUS_READING && r->item == a->focus_item && r->kind != ROW_FOOT) {
        if (margin)
            screen_put(g, 0, y, 1, STYLE_FOCUS, " ");
        else
            grid_restyle(g, 0, y, 1, STYLE_FOCUS);
    }
}

static void draw_transcript(struct app *a, struct grid *g)
{
    struct transcript *t = &a->t;
    size_t item;
    int row;
    if (!t->n || a->geo.view_h <= 0) return;
    transcript_top(t, &item, &row);
    for (int y = 0; y < a->geo.view_h && item < t->n; y++) {
        struct row r;
        while (item < t->n && row >= transcript_height(t, item)) {
            item++;
            row = 0;
        }
        if (item >= t->n) break;
        transcript_row(t, item, row++, &r);
        draw_row(a, g, a->geo.view_y + y, &r);
    }
}

static const char *welcome_line(const struct app *a, const char *line, size_t i)
{
    return i == 2 && a->set.private_chat ? "Ctrl-O opens a thought again. Nothing of this chat is kept." : line;
}

static void draw_welcome(struct app *a, struct grid *g)
{
    static const char *const lines[] = {
        "The model thinks first, then it answers.",
        "While it thinks, + and - change how much it may, F5 makes it answer.",
        "Ctrl-O opens a thought again. Everything is kept, on this machine only.",
        "",
        "F1 help · F2 commands · F3 earlier conversations · F4 models",
    };
    static const int least_first[] = {2, 1, 3, 0, 4};
    struct wrap w[ARRAY_LEN(lines)] = {{0}};
    bool gone[ARRAY_LEN(lines)] = {false};
    int margin = transcript_margin(&a->t), columns = g->w - 2 * margin, rows = 0, y = a->geo.view_y + 1;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        const char *text = welcome_line(a, lines[i], i);
        wrap_text(&w[i], text, strlen(text), columns > 0 ? columns : 1);
        rows += w[i].n ? (int)w[i].n : 1;
    }
    /* where there is no room for all, some are whole */
    for (size_t k = 0; k < ARRAY_LEN(least_first) && rows > a->geo.view_h - 1; k++) {
        gone[least_first[k]] = true;
        rows -= w[least_first[k]].n ? (int)w[least_first[k]].n : 1;
    }
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        for (size_t k = 0; k < w[i].n && !gone[i]; k++)
            grid_put(g, margin, y + (int)k, g->w - margin, STYLE_HINT, welcome_line(a, lines[i], i) + w[i].lines[k].from, w[i].lines[k].to - w[i].lines[k].from);
        if (!gone[i]) y += w[i].n ? (int)w[i].n : 1;
        wrap_release(&w[i]);
    }
}

/* ---- below the transcript ---------------------------------------------------------------------------------------- */

#define BELOW_LIMIT 500

static void draw_rule(struct app *a, struct grid *g)
{
    int y = a->geo.rule_y, below = transcript_below(&a->t, BELOW_LIMIT);
    struct str s = STR_EMPTY;
    if (below) str_addf(&s, " ↓ %d%s more line%s · End ", below, below == BELOW_LIMIT ? "+" : "", below == 1 ? "" : "s");
    if (y < 0) { /* too low for a rule: the mark goes over the last row of the text */
        if (below && a->geo.view_h > 0 && g->w >= 4) screen_put(g, g->w - 1, a->geo.view_y + a->geo.view_h - 1, g->w, STYLE_NOTICE, "↓");
        str_release(&s);
        return;
    }
    for (int x = 0; x < g->w; x++) screen_put(g, x, y, x + 1, STYLE_RULE, "─");
    if (below) {
        int x = g->w - columns_of(&s) - 2;
        if (x < 0) x = 0;
        screen_put(g, x, y, g->w, STYLE_NOTICE, str_cstr(&s));
        screen_hit(a, HIT_BELOW, x, y, g->w - x, 1, 0);
    }
    str_release(&s);
}

static void draw_queue(struct app *a, struct grid *g)
{
    size_t n = a->port->queued(a->chat);
    for (int i = 0; i < a->geo.queue_h; i++) {
        size_t len = 0;
        const char *text = a->port->queued_text(a->chat, (size_t)i, &len);
        struct str s = STR_EMPTY;
        bool rest = i + 1 == a->geo.queue_h && n > (size_t)a->geo.queue_h;
        if (rest)
            str_addf(&s, "and %zu more queued", n - (size_t)i);
        else if (text)
            text_sanitize(&s, text, len < 4096 ? len : 4096, TEXT_ONE_LINE);
        int x = rest ? 0 : screen_put(g, 0, a->geo.queue_y + i, g->w, STYLE_QUEUED, "queued: ");
        screen_put(g, x, a->geo.queue_y + i, g->w, STYLE_QUEUED, str_cstr(&s));
        str_release(&s);
    }
}

static void draw_candidates(struct app *a, struct grid *g)
{
    size_t n;
    const char *const *c = line_candidates(a->line, &n);
    if (a->geo.say_y < 0) return;
    int x = 0;
    for (size_t i = 0; i < n && x < g->w; i++) {
        struct str s = STR_EMPTY;
        text_sanitize(&s, c[i], strlen(c[i]), TEXT_ONE_LINE);
        if (x + columns_of(&s) + 2 > g->w && i) {
            screen_put(g, g->w - 1, a->geo.say_y, g->w, STYLE_HINT, "…");
            str_release(&s);
            break;
        }
        x = screen_put(g, x, a->geo.say_y, g->w, STYLE_MENU, str_cstr(&s)) + 2;
        str_release(&s);
    }
}

/* The reasons for a rating, over as many rows as they need. */
static void draw_why(struct app *a, struct grid *g)
{
    struct wrap w = {0};
    if (a->geo.why_y < 0) return;
    wrap_text(&w, str_cstr(&a->why), a->why.len, g->w - 2 > 0 ? g->w - 2 : 1);
    for (int i = 0; i < a->geo.why_h && (size_t)i < w.n; i++)
        grid_put(g, 1, a->geo.why_y + i, g->w, STYLE_NOTICE, a->why.data + w.lines[i].from, w.lines[i].to - w.lines[i].from);
    wrap_release(&w);
}

/* ---- hints ------------------------------------------------------------------------------------------------------ */

struct hint {
    const char *key, *text;
};
static const struct hint hints_idle[] = {{"Enter", "send"}, {"Ctrl-O", "thought"}, {"Ctrl-T", "think"},
                                         {"F1", "help"},    {"Tab", "read"},       {"+ -", "budget"}};
static const struct hint hints_thinking[] = {{"+ -", "budget"},     {"F5", "answer now"}, {"Esc", "stop"}, {"F7", "pause"},
                                             {"Ctrl-O", "thought"}, {"F6", "think more"}, {"F8", "say"}};
static const struct hint hints_paused[] = {{"F7", "resume"}, {"F8", "say"}, {"F5", "answer now"}, {"+ -", "budget"}, {"Esc", "stop"}};
static const struct hint hints_answering[] = {{"Esc", "stop"}, {"Ctrl-O", "thought"}, {"F1", "help"}, {"Enter", "queue a prompt"}};
static const struct hint hints_reading[] = {{"+ -", "rate"}, {"[ ]", "rate thought"}, {"Space", "fold"}, {"j k", "move"}, {"y", "copy"},
                                            {"e", "edit"},   {"r", "again"},          {"/", "find"},     {"Esc", "back"}};
static const struct hint hints_review[] = {{"+ -", "rate"}, {"[ ]", "thought"}, {"s", "steps"}, {"Enter", "next"}, {"Backspace", "back"},
                                           {"u", "undo"},   {"e", "edit"},      {"T", "tags"},  {"C", "comment"},  {"Esc", "quit"}};
static const struct hint hints_say[] = {{"Enter", "say it"}, {"Esc", "back"}};
static const struct hint hints_edit[] = {{"Enter", "done"}, {"Esc", "cancel"}};
static const struct hint hints_typing[] = {{"Enter", "send"}, {"Alt-Enter", "new line"}, {"Ctrl-X Ctrl-E", "editor"}, {"F1", "help"}};
static const struct hint hints_typing_ahead[] = {{"Enter", "queue"}, {"F5", "answer now"}, {"Esc", "stop"}, {"Alt-Enter", "new line"}};

static int draw_hint_list(struct grid *g, int x, int y, int x_end, const struct hint *h, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int need = (int)strlen(h[i].key) + 1 + (int)strlen(h[i].text) + (i ? 3 : 0);
        if (x + need > x_end) break;
        if (i) x = screen_put(g, x, y, x_end, STYLE_STATUS, " · ");
        x = screen_put(g, x, y, x_end, STYLE_KEY, h[i].key);
        x = screen_put(g, x, y, x_end, STYLE_STATUS, " ");
        x = screen_put(g, x, y, x_end, STYLE_STATUS, h[i].text);
    }
    return x;
}

#define HINTS(list) draw_hint_list(g, x, y, x_end, list, ARRAY_LEN(list))

/* The line begins as a command: what it takes and does, once its name is there. */
static int draw_command_hint(struct grid *g, int x, int y, int x_end, const char *line, size_t n)
{
    static const struct hint unfinished[] = {{"Tab", "complete"}, {"F2", "all commands"}, {"Enter", "run"}};
    size_t name = 1;
    while (name < n && line[name] != ' ' && line[name] != '\n') name++;
    const struct command_def *c = command_find(line + 1, name - 1);
    if (!c) return HINTS(unfinished);
    struct str s = STR_EMPTY;
    if (c->args[0]) x = screen_put(g, screen_put(g, x, y, x_end, STYLE_KEY, c->args), y, x_end, STYLE_STATUS, " · ");
    str_add(&s, c->help);
    put_cut(g, x, y, x_end, STYLE_STATUS, &s);
    str_release(&s);
    return x_end;
}

static void draw_state_hints(struct app *a, struct grid *g, int y, int x_end)
{
    size_t n;
    const char *line = app_line(a, &n);
    const struct item *it = app_reply(a);
    int x = g->w >= 24 ? 1 : 0;
    /* The timer has to be seen, wherever the reader is. */
    if (it && it->phase == PHASE_THINKING && !a->header_seen) {
        struct str s = STR_EMPTY;
        thought_live_text(a, it, &s);
        x = screen_put(g, x, y, x_end, STYLE_THOUGHT_HEADER, str_cstr(&s)) + 2;
        str_release(&s);
    }
    if (a->focus == FOCUS_READING && a->why.len && a->geo.why_y < 0)
        put_cut(g, x, y, x_end, STYLE_NOTICE, &a->why);
    else if (a->focus == FOCUS_READING && a->review)
        HINTS(hints_review);
    else if (a->focus == FOCUS_READING)
        HINTS(hints_reading);
    else if (a->mode == INPUT_SAY)
        HINTS(hints_say);
    else if (a->mode != INPUT_PROMPT)
        HINTS(hints_edit);
    else if (command_is(line, n))
        draw_command_hint(g, x, y, x_end, line, n);
    else if (it && n)
        HINTS(hints_typing_ahead);
    else if (it && it->paused)
        HINTS(hints_paused);
    else if (it && it->phase == PHASE_THINKING)
        HINTS(hints_thinking);
    else if (it)
        HINTS(hints_answering);
    else if (n)
        HINTS(hints_typing);
    else
        HINTS(hints_idle);
}

/* On the right: the mode of vi keys, and what the next reply will be given. */
static int draw_budget_note(struct app *a, struct grid *g, int y)
{
    const char *mode = line_mode(a->line);
    bool idle = !app_running(a);
    size_t n;
    const char *line = app_line(a, &n);
    if (a->mode == INPUT_PROMPT && command_is(line, n)) return g->w; /* what it takes may be long */
    if (g->w < 60 || a->focus == FOCUS_READING || (!idle && !mode[0])) return g->w;
    struct str s = STR_EMPTY;
    char text[32];
    struct budget b = app_budget(a);
    budget_format(b, text);
    if (mode[0]) str_addf(&s, "vi %s  ", mode);
    if (!idle)
        str_truncate(&s, s.len - 1);
    else if (strcmp(a->set.think, "on") || b.kind == BUDGET_OFF)
        str_add(&s, "thinking off ");
    else
        str_addf(&s, "%sbudget %s%s ", a->has_next_budget ? "next " : "", text, b.kind == BUDGET_TOKENS ? " tok" : "");
    int x = g->w - columns_of(&s);
    screen_put(g, x, y, g->w, a->has_next_budget ? STYLE_KEY : STYLE_STATUS, str_cstr(&s));
    str_release(&s);
    return x - 3;
}

static void draw_hint(struct app *a, struct grid *g)
{
    int y = a->geo.hint_y;
    if (a->notice.len) {
        if (y < 0) y = g->h - 1; /* a line for the user is worth the only row */
        grid_fill(g, 0, y, g->w, 1, STYLE_TEXT);
        int end = screen_put(g, g->w >= 24 ? 1 : 0, y, g->w, a->notice_is_error ? STYLE_ERROR : STYLE_NOTICE, str_cstr(&a->notice));
        if (end >= g->w - 1 && utf8_columns(str_cstr(&a->notice), a->notice.len) > g->w - 1)
            screen_put(g, g->w - 1, y, g->w, STYLE_NOTICE, "…");
        return;
    }
    if (y < 0) return;
    const char *popup = popup_hint(a);
    if (!popup) popup = duel_hint(a);
    if (!popup) popup = walk_hint(a);
    if (popup)
        screen_put(g, g->w >= 24 ? 1 : 0, y, g->w, STYLE_STATUS, popup);
    else
        draw_state_hints(a, g, y, draw_budget_note(a, g, y));
}

void screen_draw(struct app *a, struct grid *g)
{
    if (!grid_resize(g, a->w, a->h) || g->w < 1) return;
    a->n_hits = 0;
    a->header_seen = false;
    screen_layout(a);
    transcript_trim(&a->t);
    if (a->t.n)
        draw_transcript(a, g);
    else
        draw_welcome(a, g);
    pane_draw(a, g);
    draw_title(a, g);
    if (a->geo.trouble_y >= 0) {
        grid_fill(g, 0, a->geo.trouble_y, g->w, 1, STYLE_ERROR);
        screen_put(g, g->w >= 24 ? 1 : 0, a->geo.trouble_y, g->w, STYLE_ERROR, str_cstr(&a->trouble));
    }
    draw_rule(a, g);
    draw_queue(a, g);
    draw_candidates(a, g);
    draw_why(a, g);
    input_draw(a, g);
    draw_hint(a, g);
    if (a->duel) duel_draw(a, g);
    if (a->walk) walk_draw(a, g);
    if (a->popup) popup_draw(a, g);
}
