/*
 * act.c - keys and mouse: which action they are in the present focus, and what actions do.
 *
 * Letters always type while the input line has the focus; what steers a reply without Alt or an F key does so on an empty line only.
 */
#include "ui/duel.h"
#include "ui/keymap.h"
#include "ui/review.h"
#include "ui/walk.h"

#include <stdlib.h>
#include <string.h>

#define QUIT_MS    2000
#define WHEEL_ROWS 3

/* ---- folding ----------------------------------------------------------------------------------------------------- */

void app_set_fold(struct app *a, size_t i, enum view v)
{
    struct item *it = &a->t.items[i];
    transcript_choose(&a->t, i, v);
    /* Of a reply that is not saved yet the choice is kept with CHAT_SAVED. */
    if (it->id > 0) store_set_fold(a->store, it->id, view_name(v), NULL);
    a->dirty = true;
}

void app_toggle_fold(struct app *a, size_t i)
{
    const struct item *it = &a->t.items[i];
    if (!item_has_thought(it)) {
        app_notice(a, "this reply has no thought");
        return;
    }
    switch (transcript_view(&a->t, it)) {
    case VIEW_FOLDED: app_set_fold(a, i, it->phase == PHASE_THINKING ? VIEW_TAIL : VIEW_FULL); break;
    case VIEW_TAIL: app_set_fold(a, i, VIEW_FULL); break;
    default: app_set_fold(a, i, VIEW_FOLDED); break;
    }
}

static void fold_target(struct app *a)
{
    size_t i = app_target_reply(a);
    if (app_beside(a)) { /* one thought is shown there, whichever: the column folds */
        a->pane_closed = !a->pane_closed;
        return;
    }
    if (i == SIZE_MAX) return;
    /* Without a thought of its own, the newest one is meant. */
    if (a->focus != FOCUS_READING)
        while (i != SIZE_MAX && !item_has_thought(&a->t.items[i])) i--;
    if (i == SIZE_MAX)
        app_notice(a, "there is no thought yet");
    else
        app_toggle_fold(a, i);
}

/* ---- live commands ------------------------------------------------------------------------------------------------- */

static void live(struct app *a, enum think_verb verb, const char *said)
{
    struct err e = {0};
    if (a->port->command(a->chat, &(struct think_command){.verb = verb}, &e)) {
        app_error(a, "%s", e.text);
        return;
    }
    struct item *it = app_reply(a);
    if (it) it->paused = false;
    app_notice(a, "%s", said);
}

static void toggle_pause(struct app *a)
{
    struct err e = {0};
    bool pause = !a->port->paused(a->chat);
    struct item *it = app_reply(a);
    if (a->port->pause(a->chat, pause, &e)) {
        app_error(a, "%s", e.text);
        return;
    }
    if (!it) return;
    if (it->phase == PHASE_THINKING) it->stats.thought_ms = thought_ms_now(a, it);
    it->stats_at = a->now;
    it->paused = pause;
}

static void toggle_think(struct app *a)
{
    struct err e = {0};
    bool on = strcmp(a->set.think, "on") != 0;
    if (app_set(a, "think", on ? "on" : "off", &e))
        app_error(a, "%s", e.text);
    else
        app_notice(a, on ? "thinking on, from the next reply" : "thinking off, from the next reply");
}

static void toggle_thoughts(struct app *a)
{
    struct err e = {0};
    bool hide = strcmp(a->set.thoughts, "hidden") != 0;
    if (app_set(a, "thoughts", hide ? "hidden" : "auto", &e))
        app_error(a, "%s", e.text);
    else
        app_notice(a, hide ? "thoughts hidden: headers only; the model thinks all the same" : "thoughts shown while they are written");
}

static void interrupt(struct app *a)
{
    size_t n;
    if (a->interrupted_at && a->now - a->interrupted_at < QUIT_MS) {
        app_quit(a, 0);
        return;
    }
    a->interrupted_at = a->now ? a->now : 1;
    if (app_running(a)) {
        app_stop(a);
        app_notice(a, "stopping; Ctrl-C again quits");
        return;
    }
    app_leave_mode(a);
    app_line(a, &n);
    if (n) {
        line_set(a->line, "", 0);
        app_line_changed(a);
    }
    app_notice(a, "Ctrl-C again quits");
}

/* False: nothing here to leave or stop, the key is the input line's. */
static bool escape(struct app *a)
{
    if (a->focus == FOCUS_READING && a->review) {
        app_quit(a, 0);
    } else if (a->focus == FOCUS_READING) {
        reading_leave(a);
    } else if (a->mode != INPUT_PROMPT) {
        app_leave_mode(a);
    } else if (app_running(a)) {
        app_stop(a);
    } else {
        return false;
    }
    return true;
}

/* ---- actions ------------------------------------------------------------------------------------------------------- */

static void page(struct app *a, int direction)
{
    int n = a->geo.view_h > 2 ? a->geo.view_h - 1 : 1;
    transcript_scroll(&a->t, direction * n);
}

static void act_input(struct app *a, enum action act)
{
    switch (act) {
    case ACT_SAY:
        if (app_running(a)) {
            app_set_mode(a, INPUT_SAY, 0, NULL, 0);
        } else {
            app_error(a, "nothing is being thought");
        }
        break;
    case ACT_EOF: app_quit(a, 0); break;
    case ACT_NEWLINE:
        line_insert(a->line, "\n", 1);
        app_line_changed(a);
        break;
    case ACT_EDITOR: a->want.editor = true; break;
    case ACT_READING:
        if (a->t.n)
            reading_enter(a, app_target_reply(a) != SIZE_MAX ? app_target_reply(a) : a->t.n - 1);
        else
            app_notice(a, "there is nothing to read yet");
        break;
    case ACT_REDRAW: a->want.redraw = true; break;
    case ACT_SUSPEND: a->want.suspend = true; break;
    default: break;
    }
}

static void act_reading(struct app *a, enum action act)
{
    switch (act) {
    case ACT_LEAVE_READING: reading_leave(a); break;
    case ACT_NEXT: reading_move(a, 1); break;
    case ACT_PREVIOUS: reading_move(a, -1); break;
    case ACT_FIRST: reading_move(a, -1000000); break;
    case ACT_LAST: reading_move(a, 1000000); break;
    case ACT_COPY: reading_copy(a); break;
    case ACT_RATE_UP: reading_rate(a, PART_ANSWER, 1); break;
    case ACT_RATE_DOWN: reading_rate(a, PART_ANSWER, -1); break;
    case ACT_THOUGHT_UP: reading_rate(a, PART_THOUGHT, 1); break;
    case ACT_THOUGHT_DOWN: reading_rate(a, PART_THOUGHT, -1); break;
    case ACT_REASON: reading_reason(a, a->digit); break;
    case ACT_COPY_CODE: reading_copy_code(a); break;
    case ACT_EDIT: reading_edit(a); break;
    case ACT_EDIT_THOUGHT: reading_edit_thought(a); break;
    case ACT_TAG: reading_tag(a); break;
    case ACT_COMMENT: reading_comment(a); break;
    case ACT_BRANCH: reading_branch(a); break;
    case ACT_REROLL: reading_reroll(a); break;
    case ACT_RETHINK: reading_rethink(a); break;
    case ACT_SIBLING_NEXT: reading_sibling(a, 1); break;
    case ACT_SIBLING_PREVIOUS: reading_sibling(a, -1); break;
    case ACT_UNDO: reading_undo(a); break;
    case ACT_FIND: app_set_mode(a, INPUT_FIND, 0, NULL, 0); break;
    case ACT_FIND_NEXT: reading_find(a, 1); break;
    case ACT_FIND_PREVIOUS: reading_find(a, -1); break;
    default: act_input(a, act); break;
    }
}

static void act_regenerate(struct app *a)
{
    size_t i = app_target_reply(a);
    app_regenerate(a, i < a->t.n ? a->t.items[i].id : 0);
}

/* While two replies are written to be compared: what steers one of them, or shows it, waits. */
static bool waits_for_duel(struct app *a, enum action act)
{
    static const enum action allowed[] = {ACT_HELP, ACT_STOP, ACT_EOF, ACT_NEWLINE, ACT_EDITOR, ACT_REDRAW, ACT_SUSPEND};
    if (!duel_writing(a)) return false;
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
        if (act == allowed[i]) return false;
    app_notice(a, "two replies are being compared first; Esc calls it off");
    return true;
}

void app_act(struct app *a, enum action act)
{
    a->dirty = true;
    if (waits_for_duel(a, act)) return;
    switch (act) {
    case ACT_HELP: popup_open_help(a); break;
    case ACT_PALETTE: popup_open_palette(a); break;
    case ACT_CONVERSATIONS: popup_open_conversations(a); break;
    case ACT_MODELS: popup_open_models(a); break;
    case ACT_THEMES: popup_open_themes(a); break;
    case ACT_SETTINGS: popup_open_settings(a); break;
    case ACT_TREE: popup_open_tree(a); break;
    case ACT_FOLD: fold_target(a); break;
    case ACT_THINK: toggle_think(a); break;
    case ACT_SHOW_THOUGHTS: toggle_thoughts(a); break;
    case ACT_ANSWER_NOW: live(a, THINK_ANSWER_NOW, "answer now"); break;
    case ACT_THINK_MORE: live(a, THINK_MORE, "think more"); break;
    case ACT_PAUSE: toggle_pause(a); break;
    case ACT_UNLIMITED: app_set_budget(a, (struct budget){.kind = BUDGET_UNLIMITED}); break;
    case ACT_BUDGET_MORE: app_set_budget(a, budget_step(app_budget(a), 1)); break;
    case ACT_BUDGET_LESS: app_set_budget(a, budget_step(app_budget(a), -1)); break;
    case ACT_STOP: interrupt(a); break;
    case ACT_PAGE_UP: page(a, -1); break;
    case ACT_PAGE_DOWN: page(a, 1); break;
    case ACT_PANE_UP: pane_scroll(a, -(a->geo.view_h / 2 + 1)); break;
    case ACT_PANE_DOWN: pane_scroll(a, a->geo.view_h / 2 + 1); break;
    case ACT_LINE_UP: transcript_scroll(&a->t, -1); break;
    case ACT_LINE_DOWN: transcript_scroll(&a->t, 1); break;
    case ACT_FOLLOW: transcript_follow(&a->t); break;
    case ACT_START: transcript_to_start(&a->t); break;
    case ACT_REGENERATE: act_regenerate(a); break;
    case ACT_COMPARE: duel_of_two(a); break;
    case ACT_STEPS: walk_start(a); break;
    default: act_reading(a, act); break;
    }
}

/* ---- keys ---------------------------------------------------------------------------------------------------------- */

static void feed_line(struct app *a, const char *bytes, size_t n)
{
    if (!n) return;
    bool accepted = line_key(a->line, bytes, n);
    app_line_changed(a);
    if (!accepted) return;
    size_t len = 0;
    char *text = line_take(a->line, a->set.private_chat || a->mode != INPUT_PROMPT, &len);
    if (text) app_submit(a, text, len);
    free(text);
}

static void paste(struct app *a, const struct key *k)
{
    if (a->review && a->focus == FOCUS_READING) return;
    if (a->focus == FOCUS_READING) reading_leave(a);
    line_insert(a->line, k->text, k->text_len);
    app_line_changed(a);
}

static void click(struct app *a, int x, int y)
{
    for (size_t i = a->n_hits; i-- > 0;) {
        const struct hit *h = &a->hits[i];
        if (x < h->x || x >= h->x + h->w || y < h->y || y >= h->y + h->h) continue;
        if (a->popup) {
            if (h->kind != HIT_POPUP_ROW) continue;
            popup_click(a, h->index);
            return;
        }
        switch (h->kind) {
        case HIT_HEADER:
            if (h->index < a->t.n) app_toggle_fold(a, h->index);
            return;
        case HIT_ITEM:
            if (h->index < a->t.n && a->mode == INPUT_PROMPT) {
                a->focus = FOCUS_READING;
                a->focus_item = h->index;
            }
            return;
        case HIT_INPUT:
            if (a->focus == FOCUS_READING) reading_leave(a);
            return;
        case HIT_LESS: app_act(a, ACT_BUDGET_LESS); return;
        case HIT_MORE: app_act(a, ACT_BUDGET_MORE); return;
        case HIT_ANSWER: app_act(a, ACT_ANSWER_NOW); return;
        case HIT_BELOW: app_act(a, ACT_FOLLOW); return;
        default: return;
        }
    }
    if (a->popup) popup_close(a);
}

static void mouse(struct app *a, const struct key *k)
{
    int rows = k->action == MOUSE_WHEEL_UP ? -WHEEL_ROWS : k->action == MOUSE_WHEEL_DOWN ? WHEEL_ROWS : 0;
    if (!rows) {
        if (k->action == MOUSE_PRESS) click(a, k->x, k->y);
    } else if (a->popup) {
        popup_key(a, &(struct key){.kind = KEY_NAMED_, .name = rows < 0 ? NAMED_UP : NAMED_DOWN});
    } else if (a->geo.pane_w && k->x >= a->geo.pane_x) {
        pane_scroll(a, rows);
    } else {
        transcript_scroll(&a->t, rows);
    }
}

/* Ctrl-X begins keys of two: Ctrl-X Ctrl-E is ours, the others are readline's. */
static bool after_prefix(struct app *a, const struct key *k)
{
    a->prefix_x = false;
    if (k->kind == KEY_TEXT_ && k->cp == 'e' && k->mods == MOD_CTRL) {
        app_act(a, ACT_EDITOR);
        return true;
    }
    if (!k->n_bytes) return false;
    char both[32] = "\x18";
    size_t n = k->n_bytes < sizeof both - 1 ? k->n_bytes : sizeof both - 1;
    memcpy(both + 1, k->bytes, n);
    feed_line(a, both, n + 1);
    return true;
}

static void input_key(struct app *a, const struct key *k)
{
    size_t n;
    app_line(a, &n);
    bool empty = !n && a->mode == INPUT_PROMPT && !line_message(a->line)[0];
    if (a->prefix_x && after_prefix(a, k)) return;
    if (k->kind == KEY_TEXT_ && k->cp == 'x' && k->mods == MOD_CTRL) {
        a->prefix_x = true;
        return;
    }
    enum action act = keymap_find(FOCUS_INPUT, k, empty, app_running(a) && !strcmp(a->set.live_keys, "plain"));
    if (act == ACT_ESCAPE && line_message(a->line)[0]) act = ACT_NONE; /* ends a history search */
    if (act == ACT_ESCAPE && escape(a)) return;
    if (act != ACT_NONE && act != ACT_ESCAPE)
        app_act(a, act);
    else if (k->bytes)
        feed_line(a, k->bytes, k->n_bytes);
}

void app_key(struct app *a, const struct key *k)
{
    a->dirty = true;
    if (k->kind == KEY_NAMED_ && (k->name == NAMED_FOCUS_IN || k->name == NAMED_FOCUS_OUT)) return;
    bool is_interrupt = k->kind == KEY_TEXT_ && k->cp == 'c' && k->mods == MOD_CTRL;
    if (k->kind != KEY_MOUSE_) {
        str_clear(&a->notice);
        if (!is_interrupt) a->interrupted_at = 0;
    }
    if (k->kind == KEY_MOUSE_) {
        mouse(a, k);
    } else if (is_interrupt && a->popup) {
        popup_close_all(a);
    } else if (a->popup) {
        popup_key(a, k);
    } else if (a->walk) {
        walk_key(a, k);
    } else if (duel_shown(a)) {
        duel_key(a, k);
    } else if (k->kind == KEY_PASTE_) {
        paste(a, k);
    } else if (a->focus == FOCUS_READING) {
        enum action act = keymap_find(FOCUS_READING, k, false, false);
        a->digit = k->kind == KEY_TEXT_ && k->cp >= '0' && k->cp <= '9' ? (int)(k->cp - '0') : 0;
        if (a->review && (act == ACT_LEAVE_READING || act == ACT_BRANCH)) act = act == ACT_BRANCH ? ACT_NONE : ACT_ESCAPE;
        if (a->review && k->kind == KEY_NAMED_ && (k->name == NAMED_ENTER || k->name == NAMED_BACKSPACE))
            review_move(a, k->name == NAMED_ENTER ? 1 : -1);
        else if (act == ACT_ESCAPE)
            escape(a);
        else if (act != ACT_NONE)
            app_act(a, act);
    } else {
        input_key(a, k);
    }
}
