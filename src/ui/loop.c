/*
 * loop.c - ui_run: one poll for terminal, signals, chat and time; keys before chat events, at most one picture a turn.
 *
 * Chat events are taken in batches, so that a fast model cannot keep a key waiting; pictures without a key behind them are spaced, so that
 * drawing costs the model nothing.
 */
#include "ui/app.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVENTS_A_TURN 256
#define FRAME_MS      16
#define READ_BYTES    65536
#define EDITOR_MAX    ((size_t)16 << 20)

struct loop {
    struct term *term;
    struct chat *chat;
    struct app *app;
    struct key_decoder *keys;
    struct grid grid;
    int64_t key_deadline; /* when what the decoder holds becomes a key, -1 nothing held */
    int64_t drawn_at;
    bool pressed; /* a key came since the last picture */
    bool gone;    /* the terminal is */
};

/* ---- outside the screen ------------------------------------------------------------------------------------------ */

static void suspend(struct loop *l)
{
    term_suspend(l->term);
    /* SIGSTOP to the whole group, as a terminal would; nothing of ours has to run before it. */
    kill(0, SIGSTOP);
    term_resume(l->term);
    int w, h;
    term_resized(l->term);
    term_size(l->term, &w, &h);
    app_resize(l->app, w, h);
}

static void edit(struct loop *l)
{
    struct err e = {0};
    struct str path = STR_EMPTY, name = STR_EMPTY, text = STR_EMPTY;
    size_t n;
    const char *line = app_line(l->app, &n);
    str_addf(&name, "prompt-%ld.md", (long)getpid());
    int rc = path_of(&path, PATH_STATE, NULL, &e);
    if (!rc) rc = path_make_folder(str_cstr(&path), &e);
    str_addf(&path, "/%s", str_cstr(&name));
    if (!rc) rc = file_write_atomic(str_cstr(&path), line, n, &e);
    if (!rc) {
        term_suspend(l->term);
        int code = outside_edit(str_cstr(&path));
        term_resume(l->term);
        if (code)
            rc = err_set(&e, ERR_FAILED,
                         code == 127 ? "the editor cannot be started: see EDITOR" : "the editor ended with %d; the prompt is as it was",
                         code);
        else
            rc = file_read(&text, str_cstr(&path), EDITOR_MAX, &e);
        unlink(str_cstr(&path));
        int w, h;
        term_resized(l->term);
        term_size(l->term, &w, &h);
        app_resize(l->app, w, h);
    }
    if (rc)
        app_error(l->app, "%s", e.text);
    else
        app_editor_done(l->app, str_cstr(&text), text.len ? text_normalise_newlines(text.data, text.len) : 0);
    str_release(&path);
    str_release(&name);
    str_release(&text);
}

static void do_requests(struct loop *l)
{
    struct requests *r = &l->app->want;
    if (r->theme) term_set_theme(l->term, &l->app->theme);
    if (r->mouse) term_set_mouse(l->term, l->app->set.mouse);
    if (r->redraw) term_redraw(l->term);
    if (r->bell) term_bell(l->term);
    if (r->copy.len) term_copy(l->term, r->copy.data, r->copy.len);
    bool do_suspend = r->suspend, do_edit = r->editor;
    r->theme = r->mouse = r->redraw = r->bell = r->suspend = r->editor = false;
    str_clear(&r->copy);
    if (do_suspend) suspend(l);
    if (do_edit) edit(l);
}

/* ---- input ------------------------------------------------------------------------------------------------------- */

static void take_keys(struct loop *l, bool timed_out)
{
    struct key k;
    int wait = -1;
    while (!l->app->want.quit && key_decoder_next(l->keys, timed_out, &k, &wait)) {
        app_key(l->app, &k);
        l->pressed = true;
        timed_out = false;
        do_requests(l);
    }
    l->key_deadline = wait < 0 ? -1 : clock_mono_ms() + wait;
}

static void read_keys(struct loop *l)
{
    char buf[READ_BYTES];
    ssize_t n = read(term_input_fd(l->term), buf, sizeof buf);
    if (n > 0) {
        key_decoder_feed(l->keys, buf, (size_t)n);
        take_keys(l, false);
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        l->gone = true;
    }
}

static void take_signals(struct loop *l)
{
    int n;
    while ((n = term_signal(l->term))) {
        switch (n) {
        case SIGWINCH:
        case SIGCONT: {
            int w, h;
            term_resized(l->term);
            term_size(l->term, &w, &h);
            app_resize(l->app, w, h);
            break;
        }
        case SIGINT: app_key(l->app, &(struct key){.kind = KEY_TEXT_, .cp = 'c', .mods = MOD_CTRL}); break;
        case SIGTSTP: l->app->want.suspend = true; break;
        case SIGTERM:
        case SIGHUP:
        case SIGQUIT: app_quit(l->app, 128 + n); break;
        default: break;
        }
    }
}

/* Returns whether more events wait. */
static bool take_events(struct loop *l)
{
    struct chat_event ev;
    for (int i = 0; i < EVENTS_A_TURN; i++) {
        if (!chat_next_event(l->chat, &ev)) return false;
        app_chat_event(l->app, &ev);
        chat_event_release(&ev);
    }
    return true;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void draw(struct loop *l)
{
    screen_draw(l->app, &l->grid);
    if (!term_present(l->term, &l->grid)) l->gone = true;
    l->app->dirty = false;
    l->pressed = false;
    l->drawn_at = clock_mono_ms();
}

static int soonest(int a, int64_t b)
{
    if (b < 0) return a;
    if (b > 60000) b = 60000;
    return a < 0 || b < a ? (int)b : a;
}

static int timeout(const struct loop *l, bool more)
{
    int64_t now = clock_mono_ms();
    int t = app_next_tick(l->app);
    if (l->key_deadline >= 0) t = soonest(t, l->key_deadline > now ? l->key_deadline - now : 0);
    if (l->app->dirty) t = soonest(t, l->drawn_at + FRAME_MS > now ? l->drawn_at + FRAME_MS - now : 0);
    return more ? 0 : t;
}

static void turn(struct loop *l, bool *more)
{
    struct pollfd p[3] = {
        {.fd = term_input_fd(l->term), .events = POLLIN},
        {.fd = term_signal_fd(l->term), .events = POLLIN},
        {.fd = chat_event_fd(l->chat), .events = POLLIN},
    };
    int ready = poll(p, ARRAY_LEN(p), timeout(l, *more));
    if (ready < 0 && errno != EINTR) l->gone = true;
    app_tick(l->app, clock_mono_ms());
    if (ready > 0 && p[1].revents) take_signals(l);
    if (ready > 0 && p[0].revents) read_keys(l);
    if (l->key_deadline >= 0 && clock_mono_ms() >= l->key_deadline) take_keys(l, true);
    *more = take_events(l);
    do_requests(l);
    bool due = clock_mono_ms() - l->drawn_at >= FRAME_MS;
    if (l->app->dirty && !l->app->want.quit && (l->pressed || due)) draw(l);
}

static void run(struct loop *l)
{
    bool more = false;
    while (!l->app->want.quit && !l->gone) {
        turn(l, &more);
        if (l->gone) app_quit(l->app, 128 + SIGHUP);
    }
}

static int open_all(struct loop *l, const struct ui_options *o, struct err *e)
{
    struct theme theme;
    struct str history = STR_EMPTY;
    theme_default(&theme);
    int rc = term_open(&l->term, &theme, o->settings->mouse, e);
    if (!rc) rc = key_decoder_new(&l->keys, e);
    if (!rc) rc = chat_new(&l->chat, o->settings, o->model_path, o->store, e);
    if (!rc) {
        struct app_config c = {.options = o, .port = &chat_port_real, .chat = l->chat, .now = clock_mono_ms()};
        /* Without a place for it the history lasts as long as the program. */
        if (!o->settings->private_chat && !path_of(&history, PATH_STATE, NULL, NULL) && !path_make_folder(str_cstr(&history), NULL)) {
            str_add(&history, "/history");
            if (str_ok(&history)) c.history_path = str_cstr(&history);
        }
        term_size(l->term, &c.w, &c.h);
        rc = app_new(&l->app, &c, e);
    }
    str_release(&history);
    return rc;
}

int ui_run(const struct ui_options *o)
{
    struct loop l = {.key_deadline = -1};
    struct err e = {0};
    grid_init(&l.grid);
    int rc = open_all(&l, o, &e);
    bool plain = rc == ERR_UNSUPPORTED && !l.term;
    int code = err_exit_code(rc);
    int64_t conversation = 0;
    if (!rc) {
        do_requests(&l);
        run(&l);
        code = l.app->want.exit_code;
        conversation = o->settings->private_chat || o->store_trouble ? 0 : chat_conversation(l.chat);
    }
    term_close(l.term);
    app_free(l.app);
    chat_free(l.chat);
    key_decoder_free(l.keys);
    grid_release(&l.grid);
    if (plain) return ui_plain(o);
    if (rc) {
        struct str s = STR_EMPTY;
        text_sanitize(&s, e.text, strlen(e.text), TEXT_ONE_LINE);
        fprintf(stderr, "ponder: %s\n", str_cstr(&s));
        str_release(&s);
    } else if (conversation > 0) {
        printf("To go on with this conversation: ponder --resume %lld\n", (long long)conversation);
        fflush(stdout);
    }
    return code;
}
