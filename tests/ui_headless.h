/*
 * ui_headless.h - the full-screen program without a terminal or a model: a chat that does what the test says, keys as the bytes a terminal
 * sends, the screen as text. Included by the tests of src/ui; the record is a real one, in memory.
 *
 * Time stands still but for headless_wait.
 */
#ifndef PONDER_TESTS_UI_HEADLESS_H
#define PONDER_TESTS_UI_HEADLESS_H

#include "ui/app.h"
#include "ui/keymap.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Stands in for struct chat behind the port. */
struct fake_chat {
    struct store *store;
    int64_t conversation, leaf, reply;
    bool running, paused, has_model, fail_send;
    struct model_info model;
    struct settings set;
    bool has_set;
    struct str queued[16];
    size_t n_queued;
    struct str log;    /* a line for every request */
    struct str prompt; /* a prompt that was sent and whose event is still to come */
    int64_t prompt_id;
    bool has_prompt;
    char model_path[256];
};

static inline struct fake_chat *fake_of(const struct chat *c)
{
    return (struct fake_chat *)(uintptr_t)(const void *)c;
}

static inline int fake_select(struct chat *c, int64_t id, const struct message_list *branch, struct err *e)
{
    struct fake_chat *f = fake_of(c);
    (void)e;
    f->conversation = id;
    f->leaf = branch->n ? branch->items[branch->n - 1].id : 0;
    return 0;
}

static inline int64_t fake_conversation(const struct chat *c)
{
    return fake_of(c)->conversation;
}

static inline int fake_send_now(struct fake_chat *f, int64_t parent, const char *text, size_t n, struct err *e)
{
    int rc = f->conversation ? 0 : store_new_conversation(f->store, "", &f->conversation, e);
    if (!rc) rc = store_add_prompt(f->store, f->conversation, parent, text, n, &f->prompt_id, e);
    if (rc) return rc;
    f->leaf = f->prompt_id;
    str_clear(&f->prompt);
    str_add_bytes(&f->prompt, text, n);
    f->has_prompt = f->running = true;
    f->paused = false;
    return 0;
}

static inline int fake_send(struct chat *c, const char *text, size_t n, struct err *e)
{
    struct fake_chat *f = fake_of(c);
    if (f->fail_send) return err_set(e, ERR_NOMEM, "out of memory");
    str_addf(&f->log, "send %.*s\n", (int)n, text);
    if (!f->running) return fake_send_now(f, f->leaf, text, n, e);
    if (f->n_queued == ARRAY_LEN(f->queued)) return err_set(e, ERR_NOMEM, "out of memory");
    str_clear(&f->queued[f->n_queued]);
    str_add_bytes(&f->queued[f->n_queued++], text, n);
    return 0;
}

static inline int fake_edit(struct chat *c, int64_t prompt, const char *text, size_t n, struct err *e)
{
    struct fake_chat *f = fake_of(c);
    struct message_list l = {0};
    str_addf(&f->log, "edit %.*s\n", (int)n, text);
    int rc = store_load_message(f->store, prompt, &l, e);
    int64_t parent = !rc && l.n ? l.items[0].parent : 0;
    message_list_release(&l);
    return rc ? rc : fake_send_now(f, parent, text, n, e);
}

static inline int fake_regenerate(struct chat *c, int64_t reply, struct err *e)
{
    struct fake_chat *f = fake_of(c);
    if (f->running) return err_set(e, ERR_BUSY, "a reply is still being written");
    if (!f->leaf) return err_set(e, ERR_NOT_FOUND, "there is no reply to write again");
    str_add(&f->log, "regenerate\n");
    struct message_list l = {0};
    if (!store_load_message(f->store, reply ? reply : f->leaf, &l, NULL) && l.n && l.items[0].role == MESSAGE_REPLY) f->leaf = l.items[0].parent;
    message_list_release(&l);
    f->running = true;
    return 0;
}

static inline int fake_rethink(struct chat *c, int64_t reply, size_t bytes, struct err *e)
{
    struct fake_chat *f = fake_of(c);
    int rc = fake_regenerate(c, reply, e);
    if (!rc) str_addf(&f->log, "rethink m%lld %zd\n", (long long)reply, (ssize_t)bytes);
    return rc;
}

static inline int fake_sample(struct chat *c, const struct chat_samples *samples, const char *text, size_t n, struct err *e)
{
    struct fake_chat *f = fake_of(c);
    if (f->running) return err_set(e, ERR_BUSY, "a reply is still being written");
    if (!text && !f->leaf) return err_set(e, ERR_NOT_FOUND, "there is no reply to write again");
    str_addf(&f->log, "%s %d %.*s\n", samples->kind == SAMPLES_VOTE ? "vote" : "compare", samples->n, (int)n, text ? text : "");
    if (text) return fake_send_now(f, f->leaf, text, n, e);
    struct message_list l = {0};
    if (!store_load_message(f->store, f->leaf, &l, NULL) && l.n && l.items[0].role == MESSAGE_REPLY) f->leaf = l.items[0].parent;
    message_list_release(&l);
    f->running = true;
    return 0;
}

static inline size_t fake_queued(const struct chat *c)
{
    return fake_of(c)->n_queued;
}

static inline const char *fake_queued_text(const struct chat *c, size_t i, size_t *n)
{
    *n = fake_of(c)->queued[i].len;
    return str_cstr(&fake_of(c)->queued[i]);
}

static inline void fake_drop_queued(struct chat *c, size_t i)
{
    struct fake_chat *f = fake_of(c);
    str_release(&f->queued[i]);
    memmove(&f->queued[i], &f->queued[i + 1], (f->n_queued - i - 1) * sizeof f->queued[0]);
    f->queued[--f->n_queued] = STR_EMPTY;
}

static inline int fake_command(struct chat *c, const struct think_command *cmd, struct err *e)
{
    static const char *const names[] = {
        [THINK_SET_BUDGET] = "budget", [THINK_ANSWER_NOW] = "answer", [THINK_MORE] = "more", [THINK_SAY] = "say", [THINK_STOP] = "stop"};
    struct fake_chat *f = fake_of(c);
    char text[32] = "";
    if (!f->running) return err_set(e, ERR_INVALID, "no reply is being written");
    if (cmd->verb == THINK_SET_BUDGET) budget_format(cmd->budget, text);
    str_addf(&f->log, "%s %s%.*s\n", names[cmd->verb], text, (int)cmd->text_len, cmd->text ? cmd->text : "");
    return 0;
}

static inline int fake_pause(struct chat *c, bool paused, struct err *e)
{
    struct fake_chat *f = fake_of(c);
    if (!f->running) return err_set(e, ERR_INVALID, "no reply is being written");
    f->paused = paused;
    str_add(&f->log, paused ? "pause\n" : "resume\n");
    return 0;
}

static inline bool fake_paused(const struct chat *c)
{
    return fake_of(c)->paused;
}

static inline bool fake_running(const struct chat *c)
{
    return fake_of(c)->running;
}

static inline int fake_set(struct chat *c, const struct settings *set, const char *path, struct err *e)
{
    struct fake_chat *f = fake_of(c);
    if (f->has_set) settings_release(&f->set);
    f->has_set = !settings_copy(&f->set, set, e);
    if (path) {
        snprintf(f->model_path, sizeof f->model_path, "%s", path);
        f->has_model = false;
    }
    return 0;
}

static inline const struct model_info *fake_model(const struct chat *c)
{
    return fake_of(c)->has_model ? &fake_of(c)->model : NULL;
}

static const struct chat_port fake_port = {
    .select = fake_select,
    .conversation = fake_conversation,
    .send = fake_send,
    .edit = fake_edit,
    .regenerate = fake_regenerate,
    .rethink = fake_rethink,
    .sample = fake_sample,
    .queued = fake_queued,
    .queued_text = fake_queued_text,
    .drop_queued = fake_drop_queued,
    .command = fake_command,
    .pause = fake_pause,
    .paused = fake_paused,
    .running = fake_running,
    .set = fake_set,
    .model = fake_model,
};

/* ---- the program ------------------------------------------------------------------------------------------------- */

struct headless {
    struct fake_chat chat;
    struct store *store;
    struct settings set;
    struct app *app;
    struct key_decoder *keys;
    struct grid grid;
    struct str screen;
    int64_t now;
    struct chat_stats stats;
};

static inline int headless_model_path(struct str *out, const char *name, struct err *e)
{
    if (strcmp(name, "big") && strcmp(name, "small")) return err_set(e, ERR_FILE, "%s: no such model", name);
    str_addf(out, "/models/%s.gguf", name);
    return 0;
}

static inline bool headless_model_name(size_t i, struct str *name, struct str *note)
{
    static const char *const names[] = {"small", "big"}, *const notes[] = {"98 MB, here", "1.1 GB"};
    if (i >= ARRAY_LEN(names)) return false;
    str_add(name, names[i]);
    str_add(note, notes[i]);
    return true;
}

/* Starts on an open record (headless_open makes one), in `conversation`. */
static inline void headless_start(struct headless *t, int w, int h, int64_t conversation)
{
    struct err e = {0};
    setenv("INPUTRC", "/dev/null", 1);
    struct ui_options o = {.settings = &t->set,
                           .store = t->store,
                           .conversation = conversation,
                           .model_path = "/models/small.gguf",
                           .model_path_of = headless_model_path,
                           .model_name_at = headless_model_name};
    t->chat.store = t->store;
    t->now = 1000;
    struct app_config c = {.options = &o, .port = &fake_port, .chat = (struct chat *)(void *)&t->chat, .w = w, .h = h, .now = t->now};
    if (app_new(&t->app, &c, &e) || key_decoder_new(&t->keys, &e)) {
        fprintf(stderr, "headless: %s\n", e.text);
        abort();
    }
    grid_init(&t->grid);
}

/* A configuration of the tests' own, made when a test first needs it, gone at the end. */
static char headless_config[64];

static inline void headless_remove_config(void)
{
    static const char *const parts[] = {"/ponder/ponder.ini", "/ponder", ""};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        char path[100];
        snprintf(path, sizeof path, "%s%s", headless_config, parts[i]);
        remove(path);
    }
}

static inline void headless_open(struct headless *t)
{
    struct err e = {0};
    *t = (struct headless){0};
    if (!headless_config[0]) {
        snprintf(headless_config, sizeof headless_config, "/tmp/ponder-config-%ld", (long)getpid());
        atexit(headless_remove_config);
    }
    headless_remove_config();
    setenv("XDG_CONFIG_HOME", headless_config, 1);
    if (store_open(&t->store, NULL, &e) || settings_init(&t->set, &e) || settings_set(&t->set, "theme", "default", &e)) {
        fprintf(stderr, "headless: %s\n", e.text);
        abort();
    }
}

static inline void headless_stop(struct headless *t)
{
    app_free(t->app);
    key_decoder_free(t->keys);
    grid_release(&t->grid);
    str_release(&t->screen);
    for (size_t i = 0; i < ARRAY_LEN(t->chat.queued); i++) str_release(&t->chat.queued[i]);
    str_release(&t->chat.log);
    str_release(&t->chat.prompt);
    if (t->chat.has_set) settings_release(&t->chat.set);
    t->chat = (struct fake_chat){0};
    t->app = NULL;
    t->keys = NULL;
    t->screen = STR_EMPTY;
}

static inline void headless_close(struct headless *t)
{
    if (t->app) headless_stop(t);
    store_close(t->store);
    settings_release(&t->set);
}

static inline void headless_wait(struct headless *t, int64_t ms)
{
    t->now += ms;
    app_tick(t->app, t->now);
}

static inline void headless_event(struct headless *t, struct chat_event ev, const char *text)
{
    char *copy = mem_dup_text(text ? text : "", text ? strlen(text) : 0);
    ev.text = copy;
    ev.len = strlen(copy);
    app_chat_event(t->app, &ev);
    free(copy);
}

/* What the chat would tell by itself after a request. */
static inline void headless_settle(struct headless *t)
{
    struct fake_chat *f = &t->chat;
    if (!f->has_prompt) return;
    f->has_prompt = false;
    f->reply = 0;
    headless_event(t, (struct chat_event){.kind = CHAT_PROMPT, .message = f->prompt_id}, str_cstr(&f->prompt));
}

/* Bytes as a terminal sends them; a lone escape at the end is the Esc key. */
static inline void headless_keys(struct headless *t, const char *bytes)
{
    struct key k;
    int wait;
    for (size_t i = 0; i < 2; i++) {
        if (i == 0) key_decoder_feed(t->keys, bytes, strlen(bytes));
        while (key_decoder_next(t->keys, i == 1, &k, &wait)) {
            app_key(t->app, &k);
            headless_settle(t);
        }
    }
}

static inline void headless_model(struct headless *t)
{
    t->chat.has_model = true;
    snprintf(t->chat.model.name, sizeof t->chat.model.name, "SmolLM2-135M-Instruct");
    snprintf(t->chat.model.quant, sizeof t->chat.model.quant, "Q4_1");
    headless_event(t, (struct chat_event){.kind = CHAT_MODEL}, NULL);
}

/* Begins the reply in the record and on the screen. */
static inline void headless_prefill(struct headless *t, size_t done, size_t total)
{
    struct fake_chat *f = &t->chat;
    if (!f->reply) {
        struct reply_start r = {.conversation = f->conversation,
                                .parent = f->leaf,
                                .model = "m",
                                .model_file = "m",
                                .quant = "q",
                                .family = "f",
                                .engine_version = "0",
                                .kernels = "k",
                                .system = "",
                                .budget = "400"};
        struct err e = {0};
        if (store_begin_reply(t->store, &r, &f->reply, &e)) {
            fprintf(stderr, "headless: %s\n", e.text);
            abort();
        }
        t->stats = (struct chat_stats){.budget = {.kind = BUDGET_TOKENS, .amount = 400}, .context = 8192};
        headless_event(t, (struct chat_event){.kind = CHAT_SAVED, .old = -1, .message = f->reply}, NULL);
    }
    headless_event(t, (struct chat_event){.kind = CHAT_PREFILL, .message = f->reply, .done = done, .total = total}, NULL);
}

static inline void headless_thinking(struct headless *t)
{
    t->stats.state = THINK_COUNTING;
    headless_event(t, (struct chat_event){.kind = CHAT_THINKING, .message = t->chat.reply}, NULL);
}

static inline void headless_thought(struct headless *t, const char *text)
{
    headless_event(t, (struct chat_event){.kind = CHAT_THOUGHT, .message = t->chat.reply}, text);
}

static inline void headless_answer(struct headless *t, const char *text)
{
    headless_event(t, (struct chat_event){.kind = CHAT_ANSWER, .message = t->chat.reply}, text);
}

static inline void headless_progress(struct headless *t, int64_t ms, int tokens)
{
    if (t->stats.state == THINK_ANSWER) {
        t->stats.answer_ms = ms;
        t->stats.answer_tokens = tokens;
    } else {
        t->stats.thought_ms = ms;
        t->stats.thought_tokens = tokens;
    }
    t->stats.context_used = 400 + t->stats.thought_tokens + t->stats.answer_tokens;
    t->stats.tokens_per_s = 61;
    headless_event(t, (struct chat_event){.kind = CHAT_PROGRESS, .message = t->chat.reply, .stats = t->stats}, NULL);
}

static inline void headless_closed(struct headless *t, enum thought_ending how)
{
    t->stats.state = THINK_ANSWER;
    t->stats.thought_ending = how;
    headless_event(t, (struct chat_event){.kind = CHAT_CLOSED, .message = t->chat.reply, .stats = t->stats}, NULL);
}

static inline void headless_ended(struct headless *t, enum thought_ending thought, enum answer_ending answer, const char *error)
{
    struct fake_chat *f = &t->chat;
    struct err e = {0};
    t->stats.state = THINK_DONE;
    t->stats.thought_ending = thought;
    t->stats.answer_ending = answer;
    struct reply_end end = {.ended = thought_ending_name(thought),
                            .answer_ended = answer_ending_name(answer),
                            .budget_final = "400",
                            .thought_tokens = t->stats.thought_tokens,
                            .thought_ms = t->stats.thought_ms};
    struct item *it = app_reply(t->app);
    const struct str *th = it ? flow_text(&it->thought) : NULL, *an = it ? flow_text(&it->text) : NULL;
    if (f->reply && it && store_end_reply(t->store, f->reply, str_cstr(th), th->len, str_cstr(an), an->len, &end, &e)) {
        fprintf(stderr, "headless: %s\n", e.text);
        abort();
    }
    if (f->reply) f->leaf = f->reply;
    f->running = false;
    if (f->n_queued) {
        struct str next = f->queued[0];
        f->queued[0] = STR_EMPTY;
        fake_drop_queued((struct chat *)(void *)f, 0);
        int64_t reply = f->reply;
        fake_send_now(f, f->leaf, str_cstr(&next), next.len, &e);
        str_release(&next);
        headless_event(t, (struct chat_event){.kind = CHAT_ENDED, .message = reply, .stats = t->stats}, error);
        headless_settle(t);
    } else {
        headless_event(t, (struct chat_event){.kind = CHAT_ENDED, .message = f->reply, .stats = t->stats}, error);
    }
    f->reply = 0;
}

/* A prompt and its whole reply. */
static inline void headless_exchange(struct headless *t, const char *prompt, const char *thought, const char *answer)
{
    headless_keys(t, prompt);
    headless_keys(t, "\r");
    headless_prefill(t, 10, 10);
    if (thought) {
        headless_thinking(t);
        headless_thought(t, thought);
        headless_progress(t, 12400, 212);
        headless_closed(t, THOUGHT_NATURAL);
    }
    headless_answer(t, answer);
    headless_ended(t, thought ? THOUGHT_NATURAL : THOUGHT_NONE, ANSWER_COMPLETE, NULL);
}

/* The screen as text; valid until the next call. */
static inline const char *headless_screen(struct headless *t, bool styles)
{
    str_clear(&t->screen);
    screen_draw(t->app, &t->grid);
    grid_dump(&t->grid, styles, &t->screen);
    return str_cstr(&t->screen);
}

static inline bool headless_shows(struct headless *t, const char *text)
{
    return strstr(headless_screen(t, false), text) != NULL;
}

static inline const char *headless_line(struct headless *t)
{
    size_t n;
    return app_line(t->app, &n);
}

static inline bool headless_logged(const struct headless *t, const char *line)
{
    return strstr(str_cstr(&t->chat.log), line) != NULL;
}

/* ---- for cmocka ---------------------------------------------------------------------------------------------------- */

#define ESC     "\033"
#define CTRL(c) ((char[]){(char)((c)&31), 0})

static inline int headless_setup(void **state)
{
    struct headless *t = malloc(sizeof *t);
    if (!t) return -1;
    headless_open(t);
    headless_start(t, 80, 24, 0);
    headless_model(t);
    *state = t;
    return 0;
}

static inline int headless_teardown(void **state)
{
    headless_close(*state);
    free(*state);
    return 0;
}

static inline void headless_think(struct headless *t)
{
    headless_keys(t, "question\r");
    headless_prefill(t, 5, 5);
    headless_thinking(t);
    headless_thought(t, "first thought line\nsecond thought line\n");
    headless_progress(t, 2000, 40);
}

static inline void headless_long_chat(struct headless *t, int n)
{
    for (int i = 0; i < n; i++) {
        char prompt[40], answer[80];
        snprintf(prompt, sizeof prompt, "prompt number %d", i);
        snprintf(answer, sizeof answer, "answer %d\n\nsecond line %d\nthird line %d", i, i, i);
        headless_exchange(t, prompt, NULL, answer);
    }
    headless_screen(t, false);
}

/* The rows of the transcript, without title, rule and what is below. */
static inline void headless_window(struct headless *t, struct str *out)
{
    const char *s = headless_screen(t, false);
    str_clear(out);
    for (int y = 0; *s; y++) {
        const char *end = strchr(s, '\n');
        if (y >= t->app->geo.view_y && y < t->app->geo.view_y + t->app->geo.view_h) str_add_bytes(out, s, (size_t)(end - s) + 1);
        s = end + 1;
    }
}

static inline void headless_click(struct headless *t, const char *text)
{
    const char *s = headless_screen(t, false), *at = strstr(s, text);
    if (!at) {
        fprintf(stderr, "headless: no %s on\n%s", text, s);
        abort();
    }
    int y = 0;
    const char *line = s;
    for (const char *p = s; p < at; p++)
        if (*p == '\n') {
            y++;
            line = p + 1;
        }
    char bytes[40];
    snprintf(bytes, sizeof bytes, ESC "[<0;%d;%dM", utf8_columns(line, (size_t)(at - line)) + 1, y + 1);
    headless_keys(t, bytes);
}

#endif
