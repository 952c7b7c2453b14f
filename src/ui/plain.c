/*
 * plain.c - ui_plain: the chat as lines, for terminals that cannot address their cursor, for pipes, and for those who like it so.
 *
 * Thoughts come with "| " in front, answers as they are. A line read while a reply runs is a live command, or a prompt that waits. Where
 * output is no terminal not one escape sequence is written.
 */
#include "chat/chat.h"
#include "ui/sample.h"
#include "ui/term_priv.h"
#include "ui/ui.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES ((size_t)16 << 20)

struct plain {
    const struct ui_options *o;
    struct chat *chat;
    struct settings set;
    struct str in; /* bytes read, not yet a whole line */
    bool in_over, tty_in, tty_out, colour;
    bool quit;
    int code;
    bool prompted; /* "> " stands on the line */
    bool at_start; /* nothing stands on the line */
    bool in_thought, thought_any, answer_any;
    struct text_sanitizer clean;
    struct tally tally; /* of several replies at once; empty: there is one */
    int interrupts;
};

static volatile sig_atomic_t caught_int, caught_end;

static void on_signal(int n)
{
    if (n == SIGINT)
        caught_int = 1;
    else
        caught_end = n;
}

/* ---- output ------------------------------------------------------------------------------------------------------ */

static void put_bytes(struct plain *p, const char *s, size_t n)
{
    if (!n) return;
    if (fwrite(s, 1, n, stdout) != n) p->quit = true;
    p->at_start = s[n - 1] == '\n';
}

static void put(struct plain *p, const char *s)
{
    put_bytes(p, s, strlen(s));
}

static void fresh_line(struct plain *p)
{
    if (p->prompted && !p->at_start) put(p, "\n");
    p->prompted = false;
    if (!p->at_start) put(p, "\n");
}

static void prompt(struct plain *p)
{
    if (!p->tty_in || !p->tty_out || p->prompted || p->quit) return;
    fresh_line(p);
    put(p, "> ");
    p->prompted = true;
    fflush(stdout);
}

static void say(struct plain *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct plain *p, const char *fmt, ...)
{
    struct str s = STR_EMPTY, raw = STR_EMPTY;
    char text[700];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    text_sanitize(&s, text, utf8_complete_prefix(text, strlen(text)), TEXT_ONE_LINE);
    str_addf(&raw, "[%s]\n", str_cstr(&s));
    fresh_line(p);
    put_bytes(p, str_cstr(&raw), raw.len);
    str_release(&s);
    str_release(&raw);
}

/* Text of a thought: every line with a bar in front. */
static void put_thought(struct plain *p, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t k = i;
        while (k < n && s[k] != '\n') k++;
        if (p->at_start)
            put(p, p->colour ? "\x1b[2m| " : "| ");
        else if (p->colour)
            put(p, "\x1b[2m");
        put_bytes(p, s + i, k - i);
        if (p->colour) put(p, "\x1b[0m");
        p->at_start = false;
        if (k < n) put(p, "\n");
        i = k + 1;
    }
}

static void put_text(struct plain *p, bool thought, const char *text, size_t n)
{
    struct str s = STR_EMPTY;
    bool *any = thought ? &p->thought_any : &p->answer_any;
    text_sanitizer_feed(&p->clean, text, n, &s);
    size_t skip = 0;
    while (!*any && skip < s.len && s.data[skip] == '\n') skip++; /* templates put newlines in front */
    if (s.len > skip) {
        if (!*any) fresh_line(p);
        *any = true;
        if (thought)
            put_thought(p, s.data + skip, s.len - skip);
        else
            put_bytes(p, s.data + skip, s.len - skip);
    }
    str_release(&s);
}

static void end_text(struct plain *p)
{
    text_sanitizer_init(&p->clean, p->tty_out ? TEXT_SCREEN : TEXT_PIPE);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void thought_line(struct plain *p, const struct chat_stats *s)
{
    const char *how = thought_ending_name(s->thought_ending);
    bool natural = s->thought_ending == THOUGHT_NATURAL;
    if (!p->thought_any) return;
    say(p, "thought for %.1f s, %d tokens%s%s", (double)s->thought_ms / 1000, s->thought_tokens, natural ? "" : ", ", natural ? "" : how);
}

static void on_ended(struct plain *p, const struct chat_event *ev)
{
    const char *answer = answer_ending_name(ev->stats.answer_ending);
    end_text(p);
    if (ev->len) {
        say(p, "error: %s", ev->text);
        p->code = 1;
    } else if (!answer) {
        say(p, "no answer: %s", thought_ending_name(ev->stats.thought_ending));
    } else if (ev->stats.answer_ending != ANSWER_COMPLETE) {
        say(p, "answer ended: %s", answer);
    }
    fresh_line(p);
    p->thought_any = p->answer_any = p->in_thought = false;
    fflush(stdout);
}

/* Of several replies only their ends are told; then what all said, and the one that goes on. */
static void on_sample_event(struct plain *p, const struct chat_event *ev)
{
    tally_take(&p->tally, ev);
    if (ev->kind == CHAT_SAMPLE_ENDED) {
        struct str answer = STR_EMPTY;
        tally_answer(&p->tally.items[ev->sample], 40, &answer);
        say(p, "%d of %d: %s", tally_over(&p->tally), p->tally.n, str_cstr(&answer));
        str_release(&answer);
    }
    if (ev->kind != CHAT_ENDED) return;
    struct str table = STR_EMPTY;
    tally_table(&p->tally, &table);
    fresh_line(p);
    put_bytes(p, str_cstr(&table), table.len);
    const struct tally_sample *s = &p->tally.items[ev->sample];
    put_text(p, false, str_cstr(&s->text), s->text.len);
    on_ended(p, ev);
    tally_release(&p->tally);
}

static void on_event(struct plain *p, const struct chat_event *ev)
{
    if (ev->n_samples && ev->n_samples == p->tally.n && ev->kind != CHAT_NOTICE && ev->kind != CHAT_LOOP) {
        on_sample_event(p, ev);
        return;
    }
    switch (ev->kind) {
    case CHAT_MODEL:
        if (ev->len) say(p, "%s", ev->text);
        break;
    case CHAT_MODEL_FAILED:
        say(p, "error: %s", ev->text);
        p->code = 3;
        if (!p->tty_in) p->quit = true;
        break;
    case CHAT_THOUGHT: put_text(p, true, ev->text, ev->len); break;
    case CHAT_CLOSED:
        end_text(p);
        thought_line(p, &ev->stats);
        break;
    case CHAT_ANSWER: put_text(p, false, ev->text, ev->len); break;
    case CHAT_LOOP: say(p, !p->in_thought && p->answer_any ? "the answer repeats itself; /stop ends it" : "the thought repeats itself; /answer ends it"); break;
    case CHAT_NOTICE: say(p, "%s", ev->text); break;
    case CHAT_STORE_TROUBLE: say(p, ev->len ? "not saved, kept in memory: %s" : "everything is saved again%s", ev->text); break;
    case CHAT_ENDED: on_ended(p, ev); break;
    default: break;
    }
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

static void sample_command(struct plain *p, int (*parse)(const char *, struct chat_samples *, const char **, struct err *), const char *args)
{
    struct chat_samples samples;
    struct err e = {0};
    const char *prompt;
    int rc = parse(args, &samples, &prompt, &e);
    if (!rc && chat_running(p->chat)) rc = err_set(&e, ERR_BUSY, "a reply is still being written");
    if (!rc && !tally_init(&p->tally, samples.kind, samples.n)) rc = err_set(&e, ERR_NOMEM, "out of memory");
    if (!rc && (rc = chat_sample(p->chat, &samples, prompt, prompt ? strlen(prompt) : 0, &e))) tally_release(&p->tally);
    if (rc) say(p, "%s", e.text);
}

static const char plain_help[] = "  /new                 begin a new conversation\n"
                                 "  /open ID             go on with another one\n"
                                 "  /regen               write the newest reply again\n"
                                 "  /vote N [PROMPT]     N samples at once; what most of them answer becomes the reply\n"
                                 "  /compare B B [PROMPT] the same prompt with several budgets\n"
                                 "  /set [NAME VALUE]    show or change a setting; /budget, /think, /system and /model are short for it\n"
                                 "  /answer /more /pause /resume /stop /unlimited, /say TEXT, /budget N\n"
                                 "                       steer the reply that runs\n"
                                 "  /quit                leave; everything is kept\n"
                                 "  //text               send what begins with a slash\n";

static void set_one(struct plain *p, const char *name, const char *value)
{
    struct err e = {0};
    struct str path = STR_EMPTY;
    const struct setting *d = settings_find(name);
    bool model = d && !strcmp(d->name, "model");
    int rc = d ? 0 : err_set(&e, ERR_USAGE, "there is no setting \"%s\"", name);
    if (!rc && model) rc = p->o->model_path_of(&path, value, &e);
    if (!rc) rc = settings_set(&p->set, name, value, &e);
    if (!rc) rc = chat_set(p->chat, &p->set, model ? str_cstr(&path) : NULL, &e);
    if (!rc && !strcmp(d->name, "system") && chat_conversation(p->chat) > 0)
        rc = store_set_system(p->o->store, chat_conversation(p->chat), value, &e);
    if (rc)
        say(p, "%s", e.text);
    else
        say(p, "%s = %s", d->name, value);
    str_release(&path);
}

static void show_settings(struct plain *p)
{
    for (size_t i = 0; i < settings_count; i++) {
        struct str v = STR_EMPTY;
        settings_get(&p->set, &settings_table[i], &v);
        say(p, "%s = %s", settings_table[i].name, str_cstr(&v));
        str_release(&v);
    }
}

static void set_command(struct plain *p, char *args)
{
    size_t n = strcspn(args, " ");
    char *value = args + n + strspn(args + n, " ");
    if (args[n]) args[n] = '\0';
    if (!*args)
        show_settings(p);
    else if (!*value)
        say(p, "/set NAME VALUE");
    else
        set_one(p, args, value);
}

static void budget_command(struct plain *p, const char *args)
{
    struct err e = {0};
    struct budget b;
    struct think_command cmd = {.verb = THINK_SET_BUDGET};
    if (budget_parse(&b, args, &e)) {
        say(p, "%s", e.text);
        return;
    }
    set_one(p, "budget", args);
    cmd.budget = b.kind == BUDGET_OFF ? (struct budget){.kind = BUDGET_TOKENS} : b;
    if (chat_running(p->chat) && chat_command(p->chat, &cmd, &e)) say(p, "%s", e.text);
}

static void report(struct plain *p, int rc, const struct err *e)
{
    if (rc) say(p, "%s", e->text);
}

static void command(struct plain *p, char *line)
{
    static const char *const controls[] = {"answer", "more", "pause", "resume", "stop", "say"};
    static const char *const settings[] = {"model", "system", "think"};
    struct err e = {0};
    size_t n = strcspn(line, " ");
    char *args = line + n + strspn(line + n, " ");
    char whole[64];
    snprintf(whole, sizeof whole, "%.*s", (int)(n < 60 ? n : 60), line);
    for (size_t i = 0; i < ARRAY_LEN(controls); i++)
        if (!strcmp(whole, controls[i])) {
            report(p, chat_control(p->chat, line, strlen(line), &e), &e);
            return;
        }
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        if (!strcmp(whole, settings[i]) && *args) {
            set_one(p, whole, args);
            return;
        }
    if (!strcmp(whole, "quit") || !strcmp(whole, "exit") || !strcmp(whole, "q"))
        p->quit = true;
    else if (!strcmp(whole, "help") || !strcmp(whole, "?"))
        put(p, plain_help);
    else if (!strcmp(whole, "new"))
        report(p, chat_select(p->chat, 0, &e), &e);
    else if (!strcmp(whole, "open") && *args)
        report(p, chat_select(p->chat, strtoll(args + (*args == 'c'), NULL, 10), &e), &e);
    else if (!strcmp(whole, "regen"))
        report(p, chat_regenerate(p->chat, 0, &e), &e);
    else if (!strcmp(whole, "vote"))
        sample_command(p, sample_parse_vote, args);
    else if (!strcmp(whole, "compare"))
        sample_command(p, sample_parse_compare, args);
    else if (!strcmp(whole, "unlimited"))
        report(p, chat_control(p->chat, "budget unlimited", 16, &e), &e);
    else if (!strcmp(whole, "budget") && *args)
        budget_command(p, args);
    else if (!strcmp(whole, "set"))
        set_command(p, args);
    else
        say(p, "there is no command /%s here; /help lists them, //%s sends it to the model", whole, whole);
}

/* ---- input ------------------------------------------------------------------------------------------------------- */

static void take_line(struct plain *p, char *line, size_t n)
{
    struct err e = {0};
    p->prompted = false;
    p->at_start = p->at_start || p->tty_in; /* Enter was typed: the cursor is at the start of a line */
    p->interrupts = 0;
    while (n && (line[n - 1] == '\n' || line[n - 1] == '\r')) n--;
    line[n] = '\0';
    if (strspn(line, " \t") == n) return;
    if (line[0] == '/' && ((line[1] >= 'a' && line[1] <= 'z') || (line[1] >= 'A' && line[1] <= 'Z') || line[1] == '?')) {
        command(p, line + 1);
        return;
    }
    if ((line[0] == '/' || line[0] == ' ') && line[1] == '/') line++, n--;
    if (chat_send(p->chat, line, n, &e)) say(p, "%s", e.text);
}

static void take_lines(struct plain *p)
{
    char *nl;
    while (!p->quit && p->in.len && (nl = memchr(p->in.data, '\n', p->in.len))) {
        size_t n = (size_t)(nl - p->in.data);
        /* From a pipe the next prompt waits for the reply, so that commands between prompts come in order. */
        if (!p->tty_in && chat_running(p->chat)) return;
        char *line = mem_dup_text(p->in.data, n);
        str_erase(&p->in, 0, n + 1);
        if (line) take_line(p, line, n);
        free(line);
    }
    if (p->in_over && p->in.len && !p->quit && (p->tty_in || !chat_running(p->chat))) {
        char *line = mem_dup_text(p->in.data, p->in.len);
        size_t n = p->in.len;
        str_clear(&p->in);
        if (line) take_line(p, line, n);
        free(line);
    }
}

static void read_input(struct plain *p)
{
    char buf[65536];
    ssize_t n = read(0, buf, sizeof buf);
    if (n > 0 && p->in.len + (size_t)n <= LINE_MAX_BYTES)
        str_add_bytes(&p->in, buf, (size_t)n);
    else if (n == 0 || (n < 0 && errno != EINTR))
        p->in_over = true;
    else if (n > 0) {
        say(p, "a line longer than 16 MiB is left out");
        str_clear(&p->in);
    }
}

static void interrupt(struct plain *p)
{
    caught_int = 0;
    if (chat_running(p->chat) && p->interrupts == 0) {
        chat_command(p->chat, &(struct think_command){.verb = THINK_STOP}, NULL);
        p->interrupts = 1;
        return;
    }
    p->quit = true;
    p->code = 128 + SIGINT;
}

static void events(struct plain *p)
{
    struct chat_event ev;
    while (!p->quit && !caught_end && chat_next_event(p->chat, &ev)) {
        on_event(p, &ev);
        chat_event_release(&ev);
    }
    fflush(stdout);
}

static void run(struct plain *p)
{
    while (!p->quit && !caught_end) {
        take_lines(p);
        bool running = chat_running(p->chat);
        if (p->in_over && !running && !p->in.len) break;
        if (!running && !p->quit) prompt(p);
        /* What is piped in is read when it can be used: prompts of a pipe are not held in memory all at once. */
        bool want_input = !p->in_over && (p->tty_in || !running);
        struct pollfd f[2] = {{.fd = chat_event_fd(p->chat), .events = POLLIN}, {.fd = want_input ? 0 : -1, .events = POLLIN}};
        int n = p->quit ? 0 : poll(f, 2, 1000);
        if (caught_int) interrupt(p);
        if (n > 0 && f[1].revents) read_input(p);
        events(p);
    }
}

static void catch_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal};
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) sigaction(numbers[i], &sa, NULL);
    sa.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &sa, NULL);
}

int ui_plain(const struct ui_options *o)
{
    const char *no_colour = getenv("NO_COLOR");
    struct plain p = {.o = o, .tty_in = isatty(0), .tty_out = isatty(1), .at_start = true};
    struct err e = {0};
    p.colour = p.tty_out && !(no_colour && *no_colour) && !term_info_check(NULL, NULL);
    end_text(&p);
    catch_signals();
    int rc = settings_copy(&p.set, o->settings, &e);
    if (!rc) rc = chat_new(&p.chat, o->settings, o->model_path, o->store, &e);
    if (!rc && o->conversation) rc = chat_select(p.chat, o->conversation, &e);
    if (rc) {
        say(&p, "error: %s", e.text);
        p.code = err_exit_code(rc);
    } else {
        if (o->store_trouble) say(&p, "not saved: %s", o->store_trouble);
        run(&p);
        fresh_line(&p);
    }
    int64_t conversation = rc || o->settings->private_chat || o->store_trouble ? 0 : chat_conversation(p.chat);
    chat_free(p.chat);
    if (conversation > 0 && p.tty_out) say(&p, "to go on: ponder --resume %lld", (long long)conversation);
    fflush(stdout);
    settings_release(&p.set);
    tally_release(&p.tally);
    str_release(&p.in);
    return caught_end ? 128 + caught_end : p.code;
}
