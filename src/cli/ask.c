/*
 * ask.c - `ponder ask`: one question, the answer on stdout, the thought on stderr. With --json one flushed line for every piece of text. With --control live
 * commands come from a FIFO while the reply runs. With --vote there are several, a table of them on stderr and the answer of most on stdout.
 */
#include "cli/cli.h"
#include "chat/chat.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_MAX ((size_t)16 << 20)

/* How long the end of a reply may be put off for the sake of a next one. */
#define SETTLE_MS 2000

struct ask {
    struct settings set;
    struct store *store;
    struct chat *chat;
    struct str question;
    bool json, no_thoughts, resume_newest, tty_err;
    int64_t resume;
    const char *control;
    int control_fd;
    struct str control_line;
    bool ended, asked;
    int code;
    int64_t message;
    struct text_sanitizer out_clean, err_clean;
    bool thought_shown, answer_shown;
    char last_budget[CHAT_SAMPLES_MAX][32];      /* of each sample; the first one's where there is one reply */
    int stops;
    int vote;                   /* samples, 0: one reply */
    struct tally tally;
};

static volatile sig_atomic_t caught;

static void on_signal(int n)
{
    caught = n;
}

/* ---- output ----------------------------------------------------------------------------------------------------- */

static void put_json(json_t *o)
{
    char *s = o ? json_write(o, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    if (s) {
        puts(s);
        fflush(stdout);
    }
    free(s);
    json_decref(o);
}

/* With the number of the sample it is about, where there are several. */
static void put_json_of(json_t *o, const struct chat_event *ev)
{
    if (o && ev->n_samples) json_object_set_new(o, "sample", json_integer(ev->sample + 1));
    put_json(o);
}

static void put_text(struct ask *a, bool thought, const char *text, size_t n)
{
    if (thought && a->no_thoughts) return;
    FILE *f = thought ? stderr : stdout;
    struct str clean = STR_EMPTY;
    text_sanitizer_feed(thought ? &a->err_clean : &a->out_clean, text, n, &clean);
    if (thought && !a->thought_shown && a->tty_err) fputs("\033[2m", stderr);
    if (!thought && !a->answer_shown && a->thought_shown) fputs(a->tty_err ? "\033[0m\n\n" : "\n\n", stderr);
    if (thought)
        a->thought_shown = true;
    else
        a->answer_shown = true;
    fwrite(str_cstr(&clean), 1, clean.len, f);
    fflush(f);
    str_release(&clean);
}

static void put_piece(struct ask *a, const struct chat_event *ev)
{
    bool thought = ev->kind == CHAT_THOUGHT;
    if (!a->json && !a->vote)
        put_text(a, thought, ev->text, ev->len);
    else if (a->json && !(thought && a->no_thoughts))
        put_json_of(json_pack("{s:s, s:o}", "event", thought ? "thought" : "answer", "text", json_stringn(ev->text, ev->len)), ev);
}

static void put_budget(struct ask *a, const struct chat_event *ev)
{
    char text[32], *last = a->last_budget[ev->sample];
    struct budget b = ev->stats.budget;
    budget_format(b, text);
    if (!strcmp(text, last)) return;
    bool first = !last[0];
    memcpy(last, text, sizeof text);
    if (first || !a->json) return;
    json_t *o = json_pack("{s:s}", "event", "budget");
    if (o && b.kind == BUDGET_TOKENS)
        json_object_set_new(o, "tokens", json_integer((json_int_t)b.amount));
    else if (o && b.kind == BUDGET_SECONDS)
        json_object_set_new(o, "seconds", json_real(b.amount));
    else if (o)
        json_object_set_new(o, "tokens", json_null());
    put_json_of(o, ev);
}

static json_t *json_end(const char *name, const struct chat_stats *s, int64_t message)
{
    const char *answer = answer_ending_name(s->answer_ending);
    return json_pack("{s:s, s:s, s:s?, s:i, s:i, s:I, s:f, s:I, s:i, s:i, s:i, s:i}", "event", name, "ended", thought_ending_name(s->thought_ending), "answer_ended", answer,
                     "thought_tokens", s->thought_tokens, "answer_tokens", s->answer_tokens, "thought_ms", (json_int_t)s->thought_ms, "tokens_per_s",
                     s->tokens_per_s, "message_id", (json_int_t)message, "prompt_tokens", s->prompt_tokens, "prompt_evaluated", s->prompt_evaluated,
                     "drafted", s->drafted, "accepted", s->accepted);
}

static void put_end(struct ask *a, const struct chat_event *ev)
{
    if (a->json) {
        put_json_of(json_end("end", &ev->stats, a->message), ev);
        return;
    }
    struct str clean = STR_EMPTY;
    text_sanitizer_end(&a->out_clean, &clean);
    if (a->answer_shown) str_add_char(&clean, '\n');
    fwrite(str_cstr(&clean), 1, clean.len, stdout);
    fflush(stdout);
    str_release(&clean);
    if (a->thought_shown && !a->answer_shown) fputs(a->tty_err ? "\033[0m\n" : "\n", stderr);
}

/* ---- votes ------------------------------------------------------------------------------------------------------ */

static void put_sample_end(const struct ask *a, const struct chat_event *ev)
{
    if (!a->json) return;
    json_t *o = json_end("sample_end", &ev->stats, ev->message);
    if (o) json_object_set_new(o, "answer", json_stringn(ev->text, ev->len));
    put_json_of(o, ev);
}

/* What all said, and the answer of the one that speaks for most. */
static void put_vote(struct ask *a, const struct chat_event *ev)
{
    const struct tally_sample *s = &a->tally.items[ev->sample];
    if (a->json) {
        put_json(json_pack("{s:s, s:i, s:o, s:i, s:i}", "event", "vote", "sample", ev->sample + 1, "answer", json_stringn(str_cstr(&s->answer), s->answer.len),
                           "votes", s->votes, "of", ev->n_samples));
        return;
    }
    struct str table = STR_EMPTY;
    tally_table(&a->tally, &table);
    cli_put(stderr, str_cstr(&table), table.len);
    str_release(&table);
    put_text(a, false, str_cstr(&s->text), s->text.len);
}

static int ask_now(struct ask *a, struct err *e)
{
    if (!a->vote) return chat_send(a->chat, str_cstr(&a->question), a->question.len, e);
    if (!tally_init(&a->tally, SAMPLES_VOTE, a->vote)) return err_set(e, ERR_NOMEM, "out of memory");
    struct chat_samples samples = {.kind = SAMPLES_VOTE, .n = a->vote};
    return chat_sample(a->chat, &samples, str_cstr(&a->question), a->question.len, e);
}

/* ---- events ----------------------------------------------------------------------------------------------------- */

static void on_event(struct ask *a, const struct chat_event *ev)
{
    struct err e = {.code = ERR_FILE};
    tally_take(&a->tally, ev);
    switch (ev->kind) {
    case CHAT_MODEL:
        if (ev->len) fprintf(stderr, "ponder: "), cli_put(stderr, ev->text, ev->len), fputc('\n', stderr);
        if (!a->asked) {
            a->asked = true;
            struct err bad = {0};
            if (ask_now(a, &bad)) {
                a->code = cli_fail(&bad);
                a->ended = true;
            }
        }
        break;
    case CHAT_MODEL_FAILED:
        err_set(&e, ERR_FILE, "%s", ev->text);
        a->code = cli_fail(&e);
        a->ended = true;
        break;
    case CHAT_PREFILL: a->message = ev->message; break;
    case CHAT_SAVED: a->message = ev->message; break;
    case CHAT_THOUGHT:
    case CHAT_ANSWER: put_piece(a, ev); break;
    case CHAT_BUDGET: put_budget(a, ev); break;
    case CHAT_SAMPLE_ENDED: put_sample_end(a, ev); break;
    case CHAT_NOTICE:
    case CHAT_STORE_TROUBLE:
        if (ev->len) {
            err_set(&e, ERR_FAILED, "%s%s", ev->kind == CHAT_STORE_TROUBLE ? "not saved: " : "", ev->text);
            cli_fail(&e);
        }
        break;
    case CHAT_ENDED:
        if (ev->message > 0) a->message = ev->message;
        if (a->vote) put_vote(a, ev);
        put_end(a, ev);
        a->ended = true;
        if (ev->len) {
            err_set(&e, ERR_FAILED, "%s", ev->text);
            a->code = cli_fail(&e);
        }
        break;
    default: break;
    }
}

static void read_control(struct ask *a)
{
    char buf[4096];
    ssize_t n;
    while ((n = read(a->control_fd, buf, sizeof buf)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (buf[i] != '\n') {
                if (a->control_line.len < 65536) str_add_char(&a->control_line, buf[i]);
                continue;
            }
            struct err e = {0};
            if (a->control_line.len && chat_control(a->chat, str_cstr(&a->control_line), a->control_line.len, &e)) cli_fail(&e);
            str_clear(&a->control_line);
        }
    }
}

static void loop(struct ask *a)
{
    while (!a->ended) {
        struct pollfd p[2] = {{.fd = chat_event_fd(a->chat), .events = POLLIN}, {.fd = a->control_fd, .events = POLLIN}};
        /* what comes before the reply runs waits in the FIFO for it */
        bool obeys = a->control_fd >= 0 && chat_running(a->chat);
        int n = poll(p, obeys ? 2 : 1, 1000);
        if (n < 0 && errno != EINTR) break;
        if (caught) {
            a->code = 128 + caught;
            caught = 0;
            struct err e = {0};
            if (a->stops++ || chat_command(a->chat, &(struct think_command){.verb = THINK_STOP}, &e)) break;
        }
        if (obeys && n > 0 && (p[1].revents & (POLLIN | POLLHUP))) read_control(a);
        struct chat_event ev;
        while (!a->ended && chat_next_event(a->chat, &ev)) {
            on_event(a, &ev);
            chat_event_release(&ev);
        }
        if (ferror(stdout)) break;      /* the reader has gone */
    }
}

/* Gives the worker a moment to evaluate what a `--continue` will begin with, and to put it on disk. The answer is out already. */
static void settle(struct ask *a)
{
    int64_t until = clock_mono_ms() + SETTLE_MS;
    bool ready = !a->ended || a->code || !store_path(a->store) || !a->set.kv_disk;
    for (int64_t left = SETTLE_MS; !ready && !caught && left > 0; left = until - clock_mono_ms()) {
        struct pollfd p = {.fd = chat_event_fd(a->chat), .events = POLLIN};
        struct chat_event ev;
        poll(&p, 1, (int)left);
        while (!ready && chat_next_event(a->chat, &ev)) {
            ready = ev.kind == CHAT_READY;
            chat_event_release(&ev);
        }
    }
    if (caught) a->code = 128 + caught;
}

/* ---- arguments -------------------------------------------------------------------------------------------------- */

static int add_file(struct ask *a, const char *path, struct err *e)
{
    struct str text = STR_EMPTY;
    int rc = file_read(&text, path, INPUT_MAX, e);
    if (!rc) {
        if (a->question.len) str_add(&a->question, "\n\n");
        const char *name = strrchr(path, '/');
        if (strcmp(path, "-")) str_addf(&a->question, "%s:\n", name ? name + 1 : path);
        str_add_bytes(&a->question, text.data, text.len);
    }
    str_release(&text);
    return rc;
}

static int read_stdin(struct ask *a, struct err *e)
{
    struct stat st;
    if (isatty(0) || fstat(0, &st) || S_ISCHR(st.st_mode)) return 0;
    struct str text = STR_EMPTY;
    int rc = file_read(&text, "-", INPUT_MAX, e);
    while (text.len && text.data[text.len - 1] == '\n') str_truncate(&text, text.len - 1);
    if (!rc && text.len) {
        if (a->question.len) str_add(&a->question, "\n\n");
        str_add_bytes(&a->question, text.data, text.len);
    }
    str_release(&text);
    return rc;
}

static int parse_vote(struct ask *a, const char *text, struct err *e)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (end == text || *end || n < 1 || n > CHAT_SAMPLES_MAX) return err_set(e, ERR_USAGE, "--vote: \"%s\" is no number from 1 to %d", text, CHAT_SAMPLES_MAX);
    a->vote = n > 1 ? (int)n : 0;
    return 0;
}

static int parse(struct ask *a, int argc, char **argv, struct err *e)
{
    int rc = 0;
    bool literal = false;
    struct str files = STR_EMPTY;
    for (int i = 1; !rc && i < argc; i++) {
        const struct setting *flag = literal ? NULL : settings_find_flag(argv[i]);
        if (flag && flag->scope == SETTING_CHAT) {
            rc = err_set(e, ERR_USAGE, "ask: %s is an option of the full-screen program", argv[i]);
            break;
        }
        int took = literal ? 0 : settings_take_flag(&a->set, argc, argv, &i, e);
        if (took < 0) {
            rc = e->code;
        } else if (took) {
            i--;     /* settings_take_flag left i behind what it used */
        } else if (!literal && !strcmp(argv[i], "--")) {
            literal = true;
        } else if (!literal && !strcmp(argv[i], "--json")) {
            a->json = true;
        } else if (!literal && !strcmp(argv[i], "--no-thoughts")) {
            a->no_thoughts = true;
        } else if (!literal && !strcmp(argv[i], "--continue")) {
            a->resume_newest = true;
        } else if (!literal && !strcmp(argv[i], "--resume") && i + 1 < argc) {
            if (!cli_id(argv[++i], 'c', &a->resume)) rc = err_set(e, ERR_USAGE, "--resume: \"%s\" is no conversation's number", argv[i]);
        } else if (!literal && !strcmp(argv[i], "--vote") && i + 1 < argc) {
            rc = parse_vote(a, argv[++i], e);
        } else if (!literal && !strcmp(argv[i], "--control") && i + 1 < argc) {
            a->control = argv[++i];
        } else if (!literal && !strcmp(argv[i], "-f") && i + 1 < argc) {
            str_addf(&files, "%s%c", argv[++i], '\0');
        } else if (!literal && argv[i][0] == '-' && argv[i][1]) {
            rc = err_set(e, ERR_USAGE, "ask: unknown option %s, or its value is missing (see `ponder help ask`)", argv[i]);
        } else {
            str_addf(&a->question, "%s%s", a->question.len ? " " : "", argv[i]);
        }
    }
    for (size_t at = 0; !rc && at < files.len; at += strlen(files.data + at) + 1) rc = add_file(a, files.data + at, e);
    str_release(&files);
    if (!rc) rc = read_stdin(a, e);
    if (rc) return rc;
    a->question.len = a->question.data ? text_normalise_newlines(a->question.data, a->question.len) : 0;
    if (!a->question.len) return err_set(e, ERR_USAGE, "ask: there is no question (on the command line, with -f, or on stdin)");
    if (!utf8_is_valid(a->question.data, a->question.len)) return err_set(e, ERR_INVALID, "the question is not valid UTF-8");
    return 0;
}

static int open_control(struct ask *a, struct err *e)
{
    if (!a->control) return 0;
    /* Both ends are held open, so that a writer that goes away does not end the conversation with later ones. */
    a->control_fd = open(a->control, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    if (a->control_fd < 0) return err_set_errno(e, ERR_FILE, "%s: cannot open", a->control);
    if (fstat(a->control_fd, &st) || !S_ISFIFO(st.st_mode)) return err_set(e, ERR_FILE, "%s: is not a FIFO (make one with mkfifo)", a->control);
    return 0;
}

static int start(struct ask *a, struct err *e)
{
    struct str path = STR_EMPTY;
    int rc = model_path_of(&path, a->set.model, e);
    if (!rc) {
        rc = cli_store_open(&a->store, &a->set, e);
        if (rc) {
            struct err why = *e;
            rc = err_set(e, rc == ERR_NEWER ? rc : ERR_DB, "%s (--private goes on without keeping anything)", why.text);
        }
    }
    if (!rc && a->resume_newest && !a->resume) {
        rc = store_newest(a->store, &a->resume, e);
        if (rc == ERR_NOT_FOUND) rc = 0;
    }
    if (!rc) rc = open_control(a, e);
    if (!rc) cli_sandbox(&a->set, a->store);
    if (!rc) rc = chat_new(&a->chat, &a->set, str_cstr(&path), a->store, e);
    if (!rc && a->resume) rc = chat_select(a->chat, a->resume, e);
    str_release(&path);
    return rc;
}

int cmd_ask(int argc, char **argv)
{
    struct ask a = {.control_fd = -1, .tty_err = cli_styled(stderr)};
    struct err e = {0};
    int rc = cli_settings(&a.set, &e);
    if (!rc) rc = parse(&a, argc, argv, &e);
    if (!rc) {
        struct sigaction sa = {.sa_handler = on_signal};
        sigaction(SIGINT, &sa, NULL);
        sigaction(SIGTERM, &sa, NULL);
        sigaction(SIGHUP, &sa, NULL);
        text_sanitizer_init(&a.out_clean, isatty(1) ? TEXT_SCREEN : TEXT_PIPE);
        text_sanitizer_init(&a.err_clean, a.tty_err ? TEXT_SCREEN : TEXT_PIPE);
        rc = start(&a, &e);
    }
    if (!rc) loop(&a);
    if (!rc) settle(&a);
    chat_free(a.chat);
    store_close(a.store);
    if (a.control_fd >= 0) close(a.control_fd);
    str_release(&a.control_line);
    str_release(&a.question);
    tally_release(&a.tally);
    settings_release(&a.set);
    return rc ? cli_fail(&e) : cli_finish(a.code);
}
