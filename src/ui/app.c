/*
 * app.c - the app's life: settings, opening conversations, the input line's modes, what is sent.
 *
 * Invariants
 *   - transcript items are the active branch of port->conversation, in order, the running reply last.
 *   - The settings the chat has are `set`, but for the budget of the next reply alone (next_budget).
 */
#include "ui/app.h"
#include "ui/duel.h"
#include "ui/keymap.h"
#include "ui/review.h"
#include "ui/walk.h"

#include <stdlib.h>
#include <string.h>

#define NOTICE_MS 8000
#define DRAFT_MS  700
#define TICK_MS   100

const struct chat_port chat_port_real = {
    .select = chat_select_loaded,
    .conversation = chat_conversation,
    .send = chat_send,
    .edit = chat_edit,
    .regenerate = chat_regenerate,
    .rethink = chat_rethink,
    .sample = chat_sample,
    .queued = chat_queued,
    .queued_text = chat_queued_text,
    .drop_queued = chat_drop_queued,
    .command = chat_command,
    .pause = chat_pause,
    .paused = chat_paused,
    .running = chat_running,
    .set = chat_set,
    .model = chat_model,
};

/* ---- notices ----------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 0))) static void set_notice(struct app *a, bool is_error, const char *fmt, va_list ap)
{
    char text[600];
    vsnprintf(text, sizeof text, fmt, ap);
    str_clear(&a->notice);
    text_sanitize(&a->notice, text, utf8_complete_prefix(text, strlen(text)), TEXT_ONE_LINE);
    a->notice_is_error = is_error;
    a->notice_until = is_error ? 0 : a->now + NOTICE_MS;
    a->dirty = true;
}

void app_notice(struct app *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_notice(a, false, fmt, ap);
    va_end(ap);
}

void app_error(struct app *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_notice(a, true, fmt, ap);
    va_end(ap);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void name_from_path(struct app *a)
{
    const char *slash = strrchr(str_cstr(&a->model_path), '/'), *name = slash ? slash + 1 : str_cstr(&a->model_path);
    size_t n = strlen(name);
    if (n > 5 && !strcmp(name + n - 5, ".gguf")) n -= 5;
    str_clear(&a->model_name);
    text_sanitize(&a->model_name, name, n, TEXT_ONE_LINE);
}

static void load_theme(struct app *a)
{
    struct err e = {0};
    /* A program copied without its themes has its built-in colours; only a theme that was asked for is missed. */
    if (theme_load(&a->theme, a->set.theme, &e) && strcmp(a->set.theme, settings_find("theme")->initial)) app_error(a, "%s", e.text);
    a->want.theme = true;
}

static void load_reasons(struct app *a)
{
    struct err e = {0};
    struct str path = STR_EMPTY;
    bool there = !path_of(&path, PATH_CONFIG, "reasons.ini", NULL);
    if (reason_lists_load(&a->reasons, there ? str_cstr(&path) : NULL, &e)) app_error(a, "%s", e.text);
    str_release(&path);
}

void app_apply_view(struct app *a)
{
    const char *v = a->set.thoughts;
    enum view view = !strcmp(v, "hidden") ? VIEW_FOLDED : view_by_name(v);
    transcript_set_default_view(&a->t, view, app_beside(a));
    a->dirty = true;
}

int app_new(struct app **out, const struct app_config *c, struct err *e)
{
    *out = NULL;
    struct app *a = calloc(1, sizeof *a);
    if (!a) return err_set(e, ERR_NOMEM, "out of memory");
    const struct ui_options *o = c->options;
    a->port = c->port;
    a->chat = c->chat;
    a->store = o->store;
    a->model_path_of = o->model_path_of;
    a->model_name_at = o->model_name_at;
    a->now = a->loading_since = c->now;
    a->w = c->w;
    a->h = c->h;
    a->reply = SIZE_MAX;
    a->dirty = true;
    transcript_init(&a->t);
    str_add(&a->model_path, o->model_path);
    name_from_path(a);
    int rc = settings_copy(&a->set, o->settings, e);
    if (!rc) {
        struct line_options lo = {.history_path = c->history_path, .keys = a->set.keys, .complete = app_complete, .arg = a};
        rc = line_new(&a->line, &lo, e);
    }
    if (rc) {
        app_free(a);
        return rc;
    }
    load_theme(a);
    load_reasons(a);
    app_apply_view(a);
    if (o->store_trouble) text_sanitize(&a->trouble, o->store_trouble, strlen(o->store_trouble), TEXT_ONE_LINE);
    struct err oe = {0};
    if (app_open(a, o->conversation, &oe)) app_error(a, "%s", oe.text);
    screen_layout(a);
    *out = a;
    return 0;
}

void app_free(struct app *a)
{
    if (!a) return;
    app_erase_deleted(a);
    free(a->deleted);
    popup_close_all(a);
    duel_close(a);
    walk_close(a);
    review_close(a);
    line_free(a->line);
    transcript_release(&a->t);
    settings_release(&a->set);
    reason_lists_release(&a->reasons);
    free(a->good_model);
    struct str *strings[] = {&a->why,    &a->model_path, &a->good_path, &a->stashed, &a->model_name,
                             &a->notice, &a->trouble,    &a->find,      &a->draft,   &a->want.copy};
    for (size_t i = 0; i < ARRAY_LEN(strings); i++) str_release(strings[i]);
    free(a);
}

/* ---- state asked for everywhere ----------------------------------------------------------------------------------- */

bool app_running(const struct app *a)
{
    return a->port->running(a->chat);
}

struct item *app_reply(struct app *a)
{
    return a->reply < a->t.n ? &a->t.items[a->reply] : NULL;
}

size_t app_target_reply(const struct app *a)
{
    size_t i = a->focus == FOCUS_READING && a->focus_item < a->t.n ? a->focus_item : a->t.n - 1;
    if (!a->t.n) return SIZE_MAX;
    if (a->t.items[i].role == MESSAGE_USER && i + 1 < a->t.n && a->focus == FOCUS_READING) i++;
    for (; i != SIZE_MAX; i--)
        if (a->t.items[i].role == MESSAGE_REPLY) return i;
    return SIZE_MAX;
}

const char *app_line(const struct app *a, size_t *n)
{
    size_t cursor;
    return line_text(a->line, n, &cursor);
}

void app_line_changed(struct app *a)
{
    if (a->mode == INPUT_PROMPT) a->draft_at = a->now;
    a->dirty = true;
}

/* ---- drafts ------------------------------------------------------------------------------------------------------ */

void app_save_draft(struct app *a)
{
    a->draft_at = 0;
    size_t n = a->stashed.len;
    const char *text = a->mode == INPUT_PROMPT ? app_line(a, &n) : str_cstr(&a->stashed);
    if (a->set.private_chat || (n == a->draft.len && !memcmp(text, str_cstr(&a->draft), n))) return;
    /* A draft that cannot be kept is no reason to disturb the one who writes it: the record's own trouble is told elsewhere. */
    if (store_save_draft(a->store, a->port->conversation(a->chat), text, n, NULL)) return;
    str_clear(&a->draft);
    str_add_bytes(&a->draft, text, n);
}

static void load_draft(struct app *a)
{
    str_clear(&a->draft);
    if (!a->set.private_chat && store_load_draft(a->store, a->port->conversation(a->chat), &a->draft, NULL)) str_clear(&a->draft);
    line_set(a->line, str_cstr(&a->draft), a->draft.len);
}

/* ---- conversations ------------------------------------------------------------------------------------------------ */

/* Moves the messages into the transcript. */
static int show_messages(struct app *a, struct message_list *l, struct err *e)
{
    for (size_t i = 0; i < l->n; i++) {
        int64_t id = l->items[i].id;
        bool alone = l->items[i].role == MESSAGE_USER || l->items[i].n_siblings < 2;
        if (!transcript_add_message(&a->t, &l->items[i])) return err_set(e, ERR_NOMEM, "out of memory for the conversation");
        if (!alone) a->t.items[a->t.n - 1].board = board_load(a->store, id);
    }
    return 0;
}

static void take_system(struct app *a, int64_t conversation)
{
    char *system;
    if (!store_load_system(a->store, conversation, &system, NULL) && strcmp(system, a->set.system)) {
        if (!settings_set(&a->set, "system", system, NULL)) a->port->set(a->chat, &a->set, NULL, NULL);
    }
    free(system);
}

int app_open(struct app *a, int64_t conversation, struct err *e)
{
    if (app_running(a)) return err_set(e, ERR_BUSY, "a reply is still being written: Esc stops it");
    app_leave_mode(a);
    app_save_draft(a);
    struct message_list l = {0};
    int rc = conversation ? store_load_branch(a->store, conversation, &l, e) : 0;
    if (!rc) rc = a->port->select(a->chat, conversation, &l, e);
    if (rc) {
        message_list_release(&l);
        return rc;
    }
    app_keep_conversation(a, conversation);
    a->reply = SIZE_MAX;
    a->focus = FOCUS_INPUT;
    rating_forget(a);
    a->last.context_used = 0;
    transcript_clear(&a->t);
    rc = show_messages(a, &l, e);
    message_list_release(&l);
    if (conversation) take_system(a, conversation);
    load_draft(a);
    transcript_follow(&a->t);
    a->dirty = true;
    return rc;
}

int app_delete_conversation(struct app *a, int64_t conversation, struct err *e)
{
    struct text_list typed = {0};
    int rc = store_load_typed(a->store, conversation, &typed, e);
    if (!rc) rc = chat_forget(a->store, conversation, e);
    if (!rc) rc = store_delete(a->store, conversation, e);
    if (!rc && line_keeps_history(a->line)) {
        rc = ui_history_forget(&typed, e);
        line_reload_history(a->line);
    }
    text_list_release(&typed);
    return rc;
}

/* ---- settings ----------------------------------------------------------------------------------------------------- */

static int push_settings(struct app *a, const char *model_path, struct err *e)
{
    struct budget own = a->set.budget;
    if (a->has_next_budget) a->set.budget = a->next_budget;
    int rc = a->port->set(a->chat, &a->set, model_path, e);
    a->set.budget = own;
    return rc;
}

static int set_system(struct app *a, struct err *e)
{
    int64_t id = a->port->conversation(a->chat);
    return id > 0 ? store_set_system(a->store, id, a->set.system, e) : 0;
}

int app_set(struct app *a, const char *name, const char *value, struct err *e)
{
    const struct setting *d = settings_find(name);
    if (!d) return err_set(e, ERR_USAGE, "there is no setting \"%s\": /set lists them", name);
    if (!strcmp(d->name, "model")) return app_load_model(a, value, e);
    if (setting_is_of_start(d))
        return err_set(e, ERR_USAGE, "%s is chosen at the start: ponder --%s ...", d->name, d->name);
    if (!strcmp(d->name, "theme")) {
        struct theme t;
        int rc = theme_load(&t, value, e);
        if (rc) return rc;
        a->theme = t;
        a->want.theme = true;
    }
    int rc = settings_set(&a->set, name, value, e);
    if (rc) return rc;
    if (!strcmp(d->name, "budget")) a->has_next_budget = false;
    if (!strcmp(d->name, "mouse")) a->want.mouse = true;
    if (!strcmp(d->name, "keys")) line_set_keys(a->line, a->set.keys);
    app_apply_view(a);
    rc = push_settings(a, NULL, e);
    if (!rc && !strcmp(d->name, "system")) rc = set_system(a, e);
    return rc;
}

int app_load_model(struct app *a, const char *name, struct err *e)
{
    struct str path = STR_EMPTY;
    int rc = a->model_path_of ? a->model_path_of(&path, name, e) : err_set(e, ERR_NOT_FOUND, "no model \"%s\"", name);
    if (!rc && !str_ok(&path)) rc = err_set(e, ERR_NOMEM, "out of memory");
    if (!rc) rc = settings_set(&a->set, "model", name, e);
    if (!rc) rc = push_settings(a, str_cstr(&path), e);
    if (!rc) {
        bool same = !strcmp(str_cstr(&path), str_cstr(&a->model_path)) && a->port->model(a->chat);
        str_clear(&a->model_path);
        str_add(&a->model_path, str_cstr(&path));
        if (same) {
            app_notice(a, "%s is loaded already", str_cstr(&a->model_name));
        } else {
            name_from_path(a);
            a->model_failed = false;
            a->loading_since = a->now;
        }
    }
    str_release(&path);
    a->dirty = true;
    return rc;
}

void app_model_ready(struct app *a)
{
    char *name = mem_dup_text(a->set.model, strlen(a->set.model));
    a->model_failed = false;
    str_clear(&a->good_path);
    str_add(&a->good_path, str_cstr(&a->model_path));
    free(a->good_model);
    a->good_model = name;
}

void app_model_failed(struct app *a)
{
    a->model_failed = true;
    if (!a->good_model || !a->good_path.len || !strcmp(str_cstr(&a->good_path), str_cstr(&a->model_path))) return;
    if (settings_set(&a->set, "model", a->good_model, NULL) || push_settings(a, str_cstr(&a->good_path), NULL)) return;
    str_clear(&a->model_path);
    str_add(&a->model_path, str_cstr(&a->good_path));
    name_from_path(a);
    a->model_failed = false;
    a->loading_since = a->now;
}

/* ---- budgets ------------------------------------------------------------------------------------------------------ */

struct budget app_budget(const struct app *a)
{
    if (app_running(a)) {
        if (a->has_wanted_budget) return a->wanted_budget;
        if (a->reply < a->t.n) return a->t.items[a->reply].stats.budget;
    }
    return a->has_next_budget ? a->next_budget : a->set.budget;
}

void app_set_budget(struct app *a, struct budget b)
{
    struct err e = {0};
    char text[32];
    budget_format(b, text);
    if (app_running(a)) {
        if (a->port->command(a->chat, &(struct think_command){.verb = THINK_SET_BUDGET, .budget = b}, &e)) {
            app_error(a, "%s", e.text);
            return;
        }
        a->wanted_budget = b;
        a->has_wanted_budget = true;
        app_notice(a, "budget of this reply: %s%s", text, b.kind == BUDGET_TOKENS ? " tok" : "");
        return;
    }
    a->next_budget = b;
    a->has_next_budget = true;
    if (push_settings(a, NULL, &e))
        app_error(a, "%s", e.text);
    else
        app_notice(a, "budget of the next reply: %s%s · /budget sets it for all", text, b.kind == BUDGET_TOKENS ? " tok" : "");
}

/* ---- sending ------------------------------------------------------------------------------------------------------ */

/* A reply was asked for: what was meant for it alone is used up. */
static void reply_asked(struct app *a)
{
    a->has_wanted_budget = false;
    if (!a->has_next_budget) return;
    a->has_next_budget = false;
    push_settings(a, NULL, NULL);
}

static bool blank(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] != ' ' && text[i] != '\n' && text[i] != '\t' && text[i] != '\r') return false;
    return true;
}

/* The text goes back where it came from, so that nothing typed is lost. */
static void give_back(struct app *a, const char *text, size_t n, const struct err *e)
{
    line_set(a->line, text, n);
    app_line_changed(a);
    app_error(a, "%s", e->text);
}

void app_send(struct app *a, const char *text, size_t n)
{
    struct err e = {0};
    if (a->model_failed && !a->port->model(a->chat)) err_set(&e, ERR_FILE, "no model is loaded: /model NAME, or F4");
    bool was_running = app_running(a);
    char *copy = e.code ? NULL : mem_dup_text(text, n);
    size_t len = copy ? text_normalise_newlines(copy, n) : 0;
    if (!e.code && !copy) err_set(&e, ERR_NOMEM, "out of memory");
    if (e.code || a->port->send(a->chat, copy, len, &e)) {
        give_back(a, text, n, &e);
    } else {
        transcript_follow(&a->t);
        if (!was_running) reply_asked(a);
    }
    free(copy);
    a->dirty = true;
}

/* The item of a reply that was asked for in place of the one at i (SIZE_MAX: of none). */
static void reply_in_place(struct app *a, size_t i)
{
    int n = i < a->t.n ? a->t.items[i].n_siblings : 0;
    if (i < a->t.n) transcript_truncate(&a->t, i);
    struct item *it = transcript_add(&a->t, MESSAGE_REPLY);
    if (it) {
        it->phase = PHASE_WAITING;
        it->began_at = a->now;
        it->sibling = n;
        it->n_siblings = n + 1;
        it->stats.budget = a->has_next_budget ? a->next_budget : a->set.budget;
        a->reply = a->t.n - 1;
    }
    if (a->focus == FOCUS_READING) reading_leave(a);
    transcript_follow(&a->t);
    reply_asked(a);
    a->dirty = true;
}

void app_regenerate(struct app *a, int64_t reply)
{
    struct err e = {0};
    size_t i = reply ? transcript_find(&a->t, reply) : app_target_reply(a);
    if (a->port->regenerate(a->chat, i < a->t.n ? a->t.items[i].id : 0, &e))
        app_error(a, "%s", e.text);
    else
        reply_in_place(a, i);
}

void app_rethink(struct app *a, int64_t reply, size_t bytes)
{
    struct err e = {0};
    if (a->port->rethink(a->chat, reply, bytes, &e)) {
        app_error(a, "%s", e.text);
        return;
    }
    reply_in_place(a, transcript_find(&a->t, reply));
    app_notice(a, bytes == SIZE_MAX ? "the thought stays, the answer is written again" : "the thought goes on from there");
}

void app_sample(struct app *a, const struct chat_samples *samples, const char *text, size_t n)
{
    struct err e = {0};
    if (a->model_failed && !a->port->model(a->chat)) err_set(&e, ERR_FILE, "no model is loaded: /model NAME, or F4");
    if (e.code || a->port->sample(a->chat, samples, text, n, &e)) {
        app_error(a, "%s", e.text);
        return;
    }
    if (text) {
        a->samples = *samples; /* the prompt's event makes the item */
        transcript_follow(&a->t);
        reply_asked(a);
        return;
    }
    size_t i = a->t.n;
    while (i && a->t.items[i - 1].role != MESSAGE_REPLY) i--;
    reply_in_place(a, i ? i - 1 : SIZE_MAX);
    struct item *it = app_reply(a);
    if (it) sample_begin(a, it, samples);
}

static void send_edited(struct app *a, int64_t prompt, const char *text, size_t n)
{
    struct err e = {0};
    size_t i = transcript_find(&a->t, prompt);
    char *copy = mem_dup_text(text, n);
    size_t len = copy ? text_normalise_newlines(copy, n) : 0;
    int rc = copy ? a->port->edit(a->chat, prompt, copy, len, &e) : err_set(&e, ERR_NOMEM, "out of memory");
    free(copy);
    if (rc) {
        app_set_mode(a, INPUT_EDIT_PROMPT, prompt, text, n);
        app_error(a, "%s", e.text);
        return;
    }
    if (i < a->t.n) transcript_truncate(&a->t, i);
    transcript_follow(&a->t);
    reply_asked(a);
}

static void correct(struct app *a, int64_t reply, enum part part, const char *text, size_t n)
{
    struct err e = {0};
    if (store_edit(a->store, reply, part, n ? text : NULL, n, &e))
        app_error(a, "%s", e.text);
    else
        app_notice(a, n ? "correction kept with the reply, for the export" : "correction taken back");
}

static void submit_prompt(struct app *a, const char *text, size_t n)
{
    if (blank(text, n)) return;
    if (duel_writing(a) && !command_is(text, n)) {
        line_set(a->line, text, n);
        app_line_changed(a);
        app_error(a, "two replies are being compared first; Esc calls it off");
        return;
    }
    if (command_is(text, n)) {
        command_run(a, text, n);
        return;
    }
    /* "//x" and " /x" are the ways to say "/x" to the model */
    if (n >= 2 && (text[0] == '/' || text[0] == ' ') && text[1] == '/') text++, n--;
    app_send(a, text, n);
}

void app_submit(struct app *a, const char *text, size_t n)
{
    enum input_mode mode = a->mode;
    int64_t id = a->mode_id;
    struct err e = {0};
    if (mode != INPUT_PROMPT) app_leave_mode(a);
    switch (mode) {
    case INPUT_PROMPT: submit_prompt(a, text, n); break;
    case INPUT_SAY:
        if (blank(text, n)) break;
        if (a->port->command(a->chat, &(struct think_command){.verb = THINK_SAY, .text = text, .text_len = n}, &e)) {
            app_set_mode(a, INPUT_SAY, 0, text, n);
            app_error(a, "%s", e.text);
        }
        break;
    case INPUT_EDIT_PROMPT:
    case INPUT_BRANCH:
        if (!blank(text, n)) send_edited(a, id, text, n);
        break;
    case INPUT_EDIT_ANSWER: correct(a, id, PART_ANSWER, text, n); break;
    case INPUT_EDIT_THOUGHT: correct(a, id, PART_THOUGHT, text, n); break;
    case INPUT_TAG: rating_take_tags(a, id, text, n); break;
    case INPUT_COMMENT: rating_take_comment(a, id, text, n); break;
    case INPUT_FIND:
        str_clear(&a->find);
        text_sanitize(&a->find, text, n, TEXT_ONE_LINE);
        reading_enter(a, a->focus_item);
        reading_find(a, -1);
        break;
    }
    if (mode == INPUT_PROMPT) app_save_draft(a);
    if (a->review) a->focus = FOCUS_READING;
    a->dirty = true;
}

/* ---- modes of the input line --------------------------------------------------------------------------------------- */

void app_set_mode(struct app *a, enum input_mode mode, int64_t id, const char *text, size_t n)
{
    if (a->mode == INPUT_PROMPT) {
        size_t len;
        const char *old = app_line(a, &len);
        str_clear(&a->stashed);
        str_add_bytes(&a->stashed, old, len);
    }
    a->mode = mode;
    a->mode_id = id;
    a->focus = FOCUS_INPUT;
    line_set(a->line, text ? text : "", n);
    a->dirty = true;
}

void app_leave_mode(struct app *a)
{
    if (a->mode == INPUT_PROMPT) return;
    a->mode = INPUT_PROMPT;
    line_set(a->line, str_cstr(&a->stashed), a->stashed.len);
    str_clear(&a->stashed);
    if (a->review) a->focus = FOCUS_READING;
    a->dirty = true;
}

void app_editor_done(struct app *a, const char *text, size_t n)
{
    while (n && text[n - 1] == '\n') n--;
    line_set(a->line, text, n);
    app_line_changed(a);
}

/* ---- leaving, copying --------------------------------------------------------------------------------------------- */

void app_stop(struct app *a)
{
    struct err e = {0};
    if (a->port->command(a->chat, &(struct think_command){.verb = THINK_STOP}, &e)) app_error(a, "%s", e.text);
}

void app_quit(struct app *a, int code)
{
    app_save_draft(a);
    a->want.quit = true;
    a->want.exit_code = code;
}

void app_copy(struct app *a, const char *text, size_t n)
{
    str_clear(&a->want.copy);
    str_add_bytes(&a->want.copy, text, n);
    app_notice(a, "copied");
}

/* ---- time and size -------------------------------------------------------------------------------------------------- */

static bool waits(const struct app *a)
{
    return app_running(a) || (!a->model_failed && !a->port->model(a->chat));
}

void app_tick(struct app *a, int64_t now_ms)
{
    a->now = now_ms;
    if (a->notice.len && a->notice_until && now_ms >= a->notice_until) {
        str_clear(&a->notice);
        a->dirty = true;
    }
    if (a->draft_at && now_ms - a->draft_at >= DRAFT_MS) app_save_draft(a);
    if (a->erase_at && now_ms >= a->erase_at) app_erase_deleted(a);
    if (waits(a)) a->dirty = true;
}

int app_next_tick(const struct app *a)
{
    int64_t next = -1;
    if (waits(a)) next = TICK_MS;
    if (a->notice.len && a->notice_until && (next < 0 || a->notice_until - a->now < next)) next = a->notice_until - a->now;
    if (a->draft_at && (next < 0 || a->draft_at + DRAFT_MS - a->now < next)) next = a->draft_at + DRAFT_MS - a->now;
    if (a->erase_at && (next < 0 || a->erase_at - a->now < next)) next = a->erase_at - a->now;
    return next < 0 ? -1 : next > 60000 ? 60000 : (int)(next > 0 ? next : 0);
}

void app_resize(struct app *a, int w, int h)
{
    a->w = w > 0 ? w : 1;
    a->h = h > 0 ? h : 1;
    app_apply_view(a);
    screen_layout(a);
    a->dirty = true;
}
