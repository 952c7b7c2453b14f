/*
 * record_rate.c - ponder rate: a reply's ratings, reasons, comments, tags, corrected texts and the steps of its thought; votes on two
 * replies; taking back.
 *
 * --reason, --comment and --edit belong to the part named last before them, the answer where none was. What is not given stays. One
 * command is one change: --undo takes all of it back.
 */
#include "cli/record.h"

#include <stdlib.h>
#include <string.h>

#define EDIT_MAX     (16u << 20)
#define REASON_BYTES 200

struct rating_wish {
    bool named, rated;
    int value;
    json_t *reasons;            /* NULL: not given */
    const char *comment, *file; /* NULL: not given; file: of the corrected text */
    struct str edit;
};
struct step_wish {
    int step, value;
};
struct wish {
    int64_t reply;
    struct rating_wish parts[2]; /* by enum part */
    struct vote vote;            /* b 0: none */
    bool undo;
    struct step_wish *steps;
    size_t n_steps, cap_steps;
    const char **tags; /* a '-' in front takes the tag away */
    bool *tag_on;
    size_t n_tags, cap_tags, cap_on;
};

static const char *const part_names[] = {[PART_ANSWER] = "answer", [PART_THOUGHT] = "thought"};

static bool parse_value(const char *text, int *out)
{
    static const struct {
        const char *name;
        int value;
    } values[] = {{"up", 1}, {"down", -1}, {"none", 0}, {"+1", 1}, {"1", 1}, {"-1", -1}, {"0", 0}};

    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        if (!strcmp(text, values[i].name)) {
            *out = values[i].value;
            return true;
        }
    return false;
}

static int add_tag(struct wish *w, const char *tag, bool on, struct err *e)
{
    if (!mem_grow(&w->tags, &w->cap_tags, w->n_tags + 1, sizeof *w->tags) ||
        !mem_grow(&w->tag_on, &w->cap_on, w->n_tags + 1, sizeof *w->tag_on))
        return err_set(e, ERR_NOMEM, "out of memory");
    w->tags[w->n_tags] = tag;
    w->tag_on[w->n_tags++] = on;
    return 0;
}

static int add_reason(struct rating_wish *p, const char *reason, struct err *e)
{
    size_t n = strlen(reason);

    if (n == 0 || n > REASON_BYTES || !utf8_is_valid(reason, n) || strpbrk(reason, "\n\r\t"))
        return err_set(e, ERR_USAGE, "rate: a reason is a line of 1 to %d bytes", REASON_BYTES);
    if (!p->reasons) p->reasons = json_array();
    return json_array_append_new(p->reasons, json_stringn(reason, n)) == 0 ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

/* N=good, N=neutral, N=bad or N=none. */
static int add_step(struct wish *w, const char *text, struct err *e)
{
    static const struct {
        const char *name;
        int value;
    } values[] = {{"good", 1}, {"neutral", 0}, {"bad", -1}, {"none", STEP_NOT_RATED}};
    char *end;
    long step = strtol(text, &end, 10);

    if (end == text || *end != '=' || step < 1 || step > 1000000) step = 0;
    for (size_t i = 0; step && i < ARRAY_LEN(values); i++)
        if (!strcmp(end + 1, values[i].name)) {
            if (!mem_grow(&w->steps, &w->cap_steps, w->n_steps + 1, sizeof *w->steps)) return err_set(e, ERR_NOMEM, "out of memory");
            w->steps[w->n_steps++] = (struct step_wish){(int)step, values[i].value};
            return 0;
        }
    return err_set(e, ERR_USAGE, "rate: --step takes N=good, N=neutral, N=bad or N=none, N counting from 1, not \"%s\"", text);
}

static const struct {
    const char *flag;
    enum verdict verdict;
} verdicts[] = {{"--over", VERDICT_A}, {"--tie", VERDICT_TIE}, {"--both-bad", VERDICT_BOTH_BAD}, {"--skip", VERDICT_SKIP}};

/* Takes the flag where it is one of a vote. 0 when it is not, 1 when it is, -1 with an error when its value is none. */
static int take_vote(struct args *a, struct wish *w, struct err *e)
{
    if (args_is(a, "--strength")) {
        if (!a->value[0] || a->value[1] || a->value[0] < '1' || a->value[0] > '3') {
            err_set(e, ERR_USAGE, "rate: --strength takes 1, 2 or 3, not \"%s\"", a->value);
            return -1;
        }
        w->vote.strength = a->value[0] - '0';
        return 1;
    }
    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
        if (!args_is(a, verdicts[i].flag)) continue;
        bool again = w->vote.b != 0;
        w->vote.verdict = verdicts[i].verdict;
        if (!again && cli_id(a->value, 'm', &w->vote.b)) return 1;
        err_set(e, ERR_USAGE, again ? "rate: one verdict at a time" : "rate: what is compared is a message's number (34 or m34)");
        return -1;
    }
    return 0;
}

static int take_flag(struct args *a, struct wish *w, enum part *part, struct err *e)
{
    int voted = take_vote(a, w, e);
    if (voted) return voted > 0 ? 0 : e->code;
    if (args_is(a, "--step")) return add_step(w, a->value, e);
    if (args_is(a, "--undo")) {
        w->undo = true;
        return 0;
    }

    struct rating_wish *p = &w->parts[*part];

    if (args_is(a, "--answer") || args_is(a, "--thought")) {
        *part = args_is(a, "--answer") ? PART_ANSWER : PART_THOUGHT;
        p = &w->parts[*part];
        if (!parse_value(a->value, &p->value))
            return err_set(e, ERR_USAGE, "rate: %s takes up, down or none, not \"%s\"", a->name, a->value);
        p->rated = true;
    } else if (args_is(a, "--tag") || args_is(a, "--untag")) {
        return add_tag(w, a->value, args_is(a, "--tag"), e);
    } else if (args_is(a, "--reason")) {
        int rc = add_reason(p, a->value, e);
        if (rc) return rc;
    } else if (args_is(a, "--comment")) {
        p->comment = a->value;
    } else {
        p->file = a->value;
    }
    p->named = true;
    return 0;
}

static int parse(struct args *a, struct wish *w)
{
    enum part part = PART_ANSWER;
    enum args_kind kind;

    while ((kind = args_next(a)) != ARGS_END) {
        if (kind == ARGS_BAD) return 2;
        if (kind == ARGS_FLAG) {
            if (take_flag(a, w, &part, &a->err)) return cli_fail(&a->err);
        } else if (w->reply) {
            return cli_usage(a->argv[0], "one message at a time");
        } else if (!cli_id(a->value, 'm', &w->reply)) {
            return cli_usage(a->argv[0], "\"%s\" is no message's number (34 or m34)", a->value);
        }
    }
    bool rates = w->n_tags || w->n_steps || w->parts[0].named || w->parts[1].named;
    if (w->undo && (rates || w->vote.b || w->vote.strength)) return cli_usage(a->argv[0], "--undo goes alone");
    if (w->undo) return 0;
    if (!w->reply) return cli_usage(a->argv[0], "name a message");
    if (w->vote.strength && w->vote.verdict != VERDICT_A) return cli_usage(a->argv[0], "--strength goes with --over");
    if (w->vote.strength && !w->vote.b) return cli_usage(a->argv[0], "--strength goes with --over");
    if (!rates && !w->vote.b) return cli_usage(a->argv[0], "say what to rate: --answer, --thought, --step, --tag, --over ...");
    w->vote.a = w->reply;
    w->vote.spent_ms = -1;
    return 0;
}

/* Reads the corrected text, without the newline that editors put at its end. */
static int read_edit(struct rating_wish *p, struct err *e)
{
    if (!p->file) return 0;
    int rc = file_read(&p->edit, p->file, EDIT_MAX, e);
    if (rc || !p->edit.len) return rc;
    str_truncate(&p->edit, text_normalise_newlines(p->edit.data, p->edit.len));
    if (p->edit.len && p->edit.data[p->edit.len - 1] == '\n') str_truncate(&p->edit, p->edit.len - 1);
    return 0;
}

static int rate_part(struct store *s, const struct wish *w, enum part part, const struct rating *old, struct err *e)
{
    const struct rating_wish *p = &w->parts[part];
    char *reasons = p->reasons ? json_write(p->reasons, JSON_COMPACT) : NULL;
    int rc = p->reasons && !reasons ? err_set(e, ERR_NOMEM, "out of memory") : 0;

    if (!rc && p->file) rc = store_edit(s, w->reply, part, str_cstr(&p->edit), p->edit.len, e);
    if (!rc && (p->rated || p->reasons || p->comment))
        rc = store_rate(s, w->reply, part, p->rated ? p->value : old->value, reasons, p->comment, e);
    free(reasons);
    return rc;
}

static void put_part(const char *name, const struct rating *r)
{
    static const char *const values[] = {"down", "none", "up"};

    printf("%s %s", name, values[r->value + 1]);
    if (strcmp(r->reasons, "[]") != 0) {
        putchar(' ');
        record_put_line(stdout, r->reasons);
    }
    if (r->edited) fputs(" corrected", stdout);
}

static void put_steps(const struct thought_steps *l)
{
    static const char *const names[] = {"bad", "neutral", "good"};
    const char *between = ", steps ";

    for (size_t i = 0; i < l->n; i++) {
        if (!l->items[i].rated) continue;
        printf("%s%zu %s", between, i + 1, names[l->items[i].value + 1]);
        between = ", ";
    }
}

static int rate(struct store *s, const struct wish *w, struct err *e)
{
    struct reply_ratings g = {0};
    struct thought_steps steps = {0};

    int rc = store_load_ratings(s, w->reply, &g, e);
    /* a message that is no reply gets the line that says so */
    if (rc == ERR_NOT_FOUND) rc = store_rate(s, w->reply, PART_ANSWER, 0, NULL, NULL, e);
    if (!rc) rc = rate_part(s, w, PART_ANSWER, &g.answer, e);
    if (!rc) rc = rate_part(s, w, PART_THOUGHT, &g.thought, e);
    for (size_t i = 0; i < w->n_tags && !rc; i++) rc = store_tag(s, w->reply, w->tags[i], w->tag_on[i], e);
    for (size_t i = 0; i < w->n_steps && !rc; i++) rc = store_rate_step(s, w->reply, w->steps[i].step, w->steps[i].value, e);
    reply_ratings_release(&g);
    if (!rc) rc = store_load_ratings(s, w->reply, &g, e);
    if (!rc) rc = store_load_steps(s, w->reply, &steps, e);
    if (!rc) {
        printf("m%lld: ", (long long)w->reply);
        put_part(part_names[PART_ANSWER], &g.answer);
        fputs(", ", stdout);
        put_part(part_names[PART_THOUGHT], &g.thought);
        if (strcmp(g.tags, "[]") != 0) {
            fputs(", tags ", stdout);
            record_put_line(stdout, g.tags);
        }
        put_steps(&steps);
        putchar('\n');
    }
    thought_steps_release(&steps);
    reply_ratings_release(&g);
    return rc;
}

static int vote(struct store *s, const struct vote *v, struct err *e)
{
    static const char *const verbs[] = {"over", "under", "ties with", "as bad as", "skipped with"};

    int rc = store_vote(s, v, NULL, e);
    if (rc) return rc;
    printf("m%lld %s m%lld", (long long)v->a, verbs[v->verdict], (long long)v->b);
    if (v->strength) printf(", strength %d", v->strength);
    putchar('\n');
    return 0;
}

static int undo(struct store *s, const struct wish *w, struct err *e)
{
    struct message_list l = {0};
    struct undone u;
    int64_t conversation = 0;

    int rc = w->reply ? store_load_message(s, w->reply, &l, e) : 0;
    if (!rc && w->reply) conversation = l.items[0].conversation;
    message_list_release(&l);
    if (!rc) rc = store_undo(s, conversation, &u, e);
    if (!rc) printf("m%lld: %s taken back\n", (long long)u.message, u.what);
    return rc;
}

static int run(struct store *s, const struct wish *w, struct err *e)
{
    if (w->undo) return undo(s, w, e);
    store_undo_group(s, true);
    bool rates = w->n_tags || w->n_steps || w->parts[0].named || w->parts[1].named;
    int rc = w->vote.b ? vote(s, &w->vote, e) : 0;
    if (!rc && rates) rc = rate(s, w, e);
    store_undo_group(s, false);
    return rc;
}

int cmd_rate(int argc, char **argv)
{
    struct store *s = NULL;
    struct wish w = {0};
    struct args a;

    int code =
        args_begin(&a, argc, argv,
                   "--answer --thought --reason --tag --untag --comment --edit --step --over --tie --both-bad --skip --strength", "--undo");
    if (code) return code;
    code = parse(&a, &w);
    if (!code) {
        /* files first: one that cannot be read leaves everything as it was */
        int rc = read_edit(&w.parts[PART_ANSWER], &a.err);
        if (!rc) rc = read_edit(&w.parts[PART_THOUGHT], &a.err);
        if (!rc) rc = record_open(&s, &a.set, &a.err);
        if (!rc) rc = run(s, &w, &a.err);
        code = cli_finish(rc ? cli_fail(&a.err) : 0);
    }
    for (size_t i = 0; i < 2; i++) {
        json_decref(w.parts[i].reasons);
        str_release(&w.parts[i].edit);
    }
    free(w.steps);
    free(w.tags);
    free(w.tag_on);
    store_close(s);
    args_end(&a);
    return code;
}
