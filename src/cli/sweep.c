/*
 * sweep.c - `ponder sweep`: questions with known answers, each asked with every budget and number of votes; how many came out right, and
 * what it took.
 *
 * The questions are the outer loop, so that whatever was done when it is stopped has every cell equally often, and a question's prompt is
 * evaluated once. Nothing is kept: the record is one in memory.
 */
#include "cli/cli.h"
#include "cli/sweep.h"

#include <errno.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUDGETS_MAX 16
#define VOTES_MAX   8

struct sweep {
    struct settings set;
    const char *file, *csv;
    enum answer_form form;
    size_t limit;
    struct budget budgets[BUDGETS_MAX];
    int votes[VOTES_MAX];
    size_t n_budgets, n_votes;
    struct questions questions;
    struct cell *cells; /* [budget][votes] */
    struct store *store;
    struct chat *chat;
    int64_t began;
    size_t done, total; /* replies, votes as one */
    bool bar, ascii, ready, failed;
    /* the reply under way */
    struct tally tally; /* of a vote */
    struct str text;
    bool ended;
    struct chat_stats stats;
    struct err error; /* why it failed; code 0 */
};

static volatile sig_atomic_t caught;

static void on_signal(int n)
{
    caught = n;
}

/* ---- the terminal ------------------------------------------------------------------------------------------------ */

static void show_progress(struct sweep *s)
{
    if (s->bar) sweep_show_progress(s->done, s->total, s->began, s->ascii);
}

static void hide_progress(const struct sweep *s)
{
    if (s->bar) fputs("\r\033[K", stderr);
}

static void warn(const struct sweep *s, const struct question *q, const char *text)
{
    struct err e = {0};
    hide_progress(s);
    if (q)
        err_set(&e, ERR_FAILED, "%s:%zu: %s", s->file, q->line, text);
    else
        err_set(&e, ERR_FAILED, "%s", text);
    cli_fail(&e);
}

/* ---- one reply --------------------------------------------------------------------------------------------------- */

static void on_event(struct sweep *s, const struct question *q, const struct chat_event *ev)
{
    if (s->tally.n) tally_take(&s->tally, ev);
    switch (ev->kind) {
    case CHAT_MODEL:
        s->ready = true;
        if (ev->len) warn(s, NULL, ev->text);
        break;
    case CHAT_MODEL_FAILED:
        err_set(&s->error, ERR_FILE, "%s", ev->text);
        s->failed = true;
        break;
    case CHAT_ANSWER:
        if (!ev->n_samples) str_add_bytes(&s->text, ev->text, ev->len);
        break;
    case CHAT_NOTICE:
        if (s->done == 0) warn(s, q, ev->text);
        break;
    case CHAT_ENDED:
        if (s->tally.n) {
            const struct tally_sample *won = &s->tally.items[ev->sample];
            str_add_bytes(&s->text, str_cstr(&won->text), won->text.len);
        }
        s->stats = ev->stats;
        s->ended = true;
        if (ev->len) err_set(&s->error, ERR_FAILED, "%s", ev->text);
        break;
    default: break;
    }
}

/* Takes events until *flag, a failure or a signal. */
static bool wait_for(struct sweep *s, const struct question *q, const bool *flag)
{
    while (!*flag && !s->failed && !caught) {
        struct pollfd p = {.fd = chat_event_fd(s->chat), .events = POLLIN};
        struct chat_event ev;
        if (poll(&p, 1, 1000) < 0 && errno != EINTR) return false;
        while (!*flag && chat_next_event(s->chat, &ev)) {
            on_event(s, q, &ev);
            chat_event_release(&ev);
        }
        show_progress(s);
    }
    return *flag;
}

static void add(struct cell *c, const struct chat_stats *st)
{
    c->thought_tokens += st->thought_tokens;
    c->answer_tokens += st->answer_tokens;
}

static bool by_budget(const struct chat_stats *st)
{
    return st->thought_ending == THOUGHT_BUDGET_SOFT || st->thought_ending == THOUGHT_BUDGET_HARD;
}

static void count(struct sweep *s, struct cell *c, const struct question *q, int64_t ms)
{
    struct str answer = STR_EMPTY;
    bool closed = by_budget(&s->stats);
    for (int i = 0; i < s->tally.n; i++) {
        add(c, &s->tally.items[i].stats);
        closed = closed || by_budget(&s->tally.items[i].stats);
    }
    if (!s->tally.n) add(c, &s->stats);
    answer_extract(&answer, q->form, str_cstr(&s->text), s->text.len);
    c->n++;
    c->right += question_is_right(q, s->form, str_cstr(&s->text), s->text.len);
    c->unanswered += !answer.len;
    c->closed += closed;
    c->ms += ms;
    str_release(&answer);
}

/* False when it was stopped or cannot go on. */
static bool ask(struct sweep *s, struct cell *c, const struct question *q, struct err *e)
{
    int64_t start = clock_mono_ms();
    size_t len = strlen(q->text);
    s->set.budget = c->budget;
    s->ended = false;
    s->error = (struct err){0};
    str_clear(&s->text);
    int rc = chat_set(s->chat, &s->set, NULL, e);
    if (!rc) rc = chat_select(s->chat, 0, e);
    if (!rc && c->votes > 1 && !tally_init(&s->tally, SAMPLES_VOTE, c->votes)) rc = err_set(e, ERR_NOMEM, "out of memory");
    if (!rc && c->votes > 1)
        rc = chat_sample(s->chat, &(struct chat_samples){.kind = SAMPLES_VOTE, .n = c->votes, .form = q->form}, q->text, len, e);
    else if (!rc)
        rc = chat_send(s->chat, q->text, len, e);
    bool over = !rc && wait_for(s, q, &s->ended);
    if (over && s->error.code) warn(s, q, s->error.text);
    if (over) count(s, c, q, clock_mono_ms() - start);
    if (!rc && s->failed) *e = s->error;
    tally_release(&s->tally);
    return over;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static void run(struct sweep *s, struct err *e)
{
    size_t n = s->n_budgets * s->n_votes;
    s->began = clock_mono_ms();
    s->total = s->questions.n * n;
    if (!wait_for(s, NULL, &s->ready)) {
        if (s->failed) *e = s->error;
        return;
    }
    s->began = clock_mono_ms();
    show_progress(s);
    for (size_t i = 0; i < s->questions.n; i++)
        for (size_t k = 0; k < n; k++) {
            if (caught || !ask(s, &s->cells[k], &s->questions.items[i], e)) return;
            s->done++;
            show_progress(s);
        }
}

static int report(struct sweep *s, struct err *e)
{
    size_t n = s->n_budgets * s->n_votes;
    struct str out = STR_EMPTY;
    int rc = 0;
    sweep_plot(s->cells, n, sweep_columns(1), s->ascii, &out);
    if (s->done < s->total) str_addf(&out, "stopped after %zu of %zu replies\n", s->done, s->total);
    cli_put(stdout, str_cstr(&out), out.len);
    str_clear(&out);
    sweep_csv(s->cells, n, &out);
    if (s->csv) rc = file_write_atomic(s->csv, str_cstr(&out), out.len, e);
    str_release(&out);
    return rc;
}

/* ---- arguments --------------------------------------------------------------------------------------------------- */

/* The parts of a list between commas, one a call; false at the end. */
static bool next_part(const char **list, char part[32])
{
    if (!**list) return false;
    size_t n = strcspn(*list, ",");
    snprintf(part, 32, "%.*s", (int)(n < 31 ? n : 31), *list);
    *list += n + ((*list)[n] == ',');
    return true;
}

static int parse_budgets(struct sweep *s, const char *list, struct err *e)
{
    return budgets_parse(s->budgets, BUDGETS_MAX, &s->n_budgets, "--budgets", list, e);
}

static int parse_votes(struct sweep *s, const char *list, struct err *e)
{
    char part[32], *end;
    s->n_votes = 0;
    while (next_part(&list, part)) {
        long n = strtol(part, &end, 10);
        if (s->n_votes == VOTES_MAX) return err_set(e, ERR_USAGE, "--votes: at most %d numbers", VOTES_MAX);
        if (end == part || *end || n < 1 || n > CHAT_SAMPLES_MAX)
            return err_set(e, ERR_USAGE, "--votes: \"%s\" is no number from 1 to %d", part, CHAT_SAMPLES_MAX);
        s->votes[s->n_votes++] = (int)n;
    }
    return s->n_votes ? 0 : err_set(e, ERR_USAGE, "--votes: name one or more, like 1,5");
}

static int parse_option(struct sweep *s, const char *name, const char *value, struct err *e)
{
    char *end;
    if (!strcmp(name, "--budgets")) return parse_budgets(s, value, e);
    if (!strcmp(name, "--votes")) return parse_votes(s, value, e);
    if (!strcmp(name, "-o")) {
        s->csv = value;
        return 0;
    }
    if (!strcmp(name, "--grader")) {
        if (answer_form_by_name(value, &s->form)) return 0;
        return err_set(e, ERR_USAGE, "--grader: \"%s\" is none of: auto, number, boxed, text", value);
    }
    long long n = strtoll(value, &end, 10);
    if (end == value || *end || n < 1) return err_set(e, ERR_USAGE, "--limit: \"%s\" is no number above 0", value);
    s->limit = (size_t)n;
    return 0;
}

static int parse(struct sweep *s, int argc, char **argv, struct err *e)
{
    static const char *const own[] = {"--budgets", "--votes", "--grader", "--limit", "-o"};
    int rc = parse_budgets(s, "0,64,256", e);
    if (!rc) rc = parse_votes(s, "1", e);
    for (int i = 1; !rc && i < argc; i++) {
        size_t k = 0;
        const struct setting *flag = settings_find_flag(argv[i]);
        while (k < ARRAY_LEN(own) && strcmp(own[k], argv[i])) k++;
        if (k < ARRAY_LEN(own)) {
            rc = i + 1 < argc ? parse_option(s, own[k], argv[i + 1], e) : err_set(e, ERR_USAGE, "sweep: %s needs a value", argv[i]);
            i++;
        } else if (flag && (flag->scope == SETTING_CHAT || !strcmp(flag->name, "budget"))) {
            rc = err_set(e, ERR_USAGE,
                         flag->scope == SETTING_CHAT ? "sweep: %s is an option of the full-screen program" : "sweep: %s: give --budgets",
                         argv[i]);
        } else if (flag) {
            int took = settings_take_flag(&s->set, argc, argv, &i, e);
            if (took < 0) rc = e->code;
            i--; /* settings_take_flag left i behind what it used */
        } else if (argv[i][0] == '-' && argv[i][1]) {
            rc = err_set(e, ERR_USAGE, "sweep: unknown option %s (see `ponder help sweep`)", argv[i]);
        } else if (s->file) {
            rc = err_set(e, ERR_USAGE, "sweep: one file of questions, not both %s and %s", s->file, argv[i]);
        } else {
            s->file = argv[i];
        }
    }
    if (!rc && !s->file) rc = err_set(e, ERR_USAGE, "sweep: name a file of questions (see `ponder help sweep`)");
    return rc;
}

static int start(struct sweep *s, struct err *e)
{
    struct str path = STR_EMPTY;
    size_t n = s->n_budgets * s->n_votes;
    s->cells = calloc(n, sizeof *s->cells);
    if (!s->cells) return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) s->cells[i] = (struct cell){.budget = s->budgets[i / s->n_votes], .votes = s->votes[i % s->n_votes]};
    if (s->set.seed < 0) s->set.seed = 1; /* a sweep run again gives the same */
    int rc = model_path_of(&path, s->set.model, e);
    if (!rc) rc = store_open(&s->store, NULL, e);
    if (!rc) rc = chat_new(&s->chat, &s->set, str_cstr(&path), s->store, e);
    str_release(&path);
    return rc;
}

int cmd_sweep(int argc, char **argv)
{
    struct sweep s = {.bar = isatty(2) && getenv("TERM") && strcmp(getenv("TERM"), "dumb"),
                      .ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0};
    struct err e = {0};
    int rc = cli_settings(&s.set, &e), code = 0;
    if (!rc) rc = parse(&s, argc, argv, &e);
    if (!rc) rc = questions_load(&s.questions, s.file, s.form, s.limit, &e);
    if (!rc) rc = start(&s, &e);
    if (!rc) {
        struct sigaction sa = {.sa_handler = on_signal};
        sigaction(SIGINT, &sa, NULL);
        sigaction(SIGTERM, &sa, NULL);
        sigaction(SIGHUP, &sa, NULL);
        e = (struct err){0}; /* what went well may have left a line */
        run(&s, &e);
        hide_progress(&s);
        rc = e.code;
        struct err bad = {0};
        if (s.ready && report(&s, &bad) && !rc) {
            rc = bad.code;
            e = bad;
        }
        if (caught) code = 128 + caught;
    }
    chat_free(s.chat);
    store_close(s.store);
    questions_release(&s.questions);
    str_release(&s.text);
    free(s.cells);
    settings_release(&s.set);
    return rc ? cli_fail(&e) : cli_finish(code);
}
