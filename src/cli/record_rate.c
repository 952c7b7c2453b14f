/*
 * record_rate.c - ponder rate: a reply's ratings, reasons, comments, tags and corrected texts.
 *
 * --reason, --comment and --edit belong to the part named last before them, the answer where none was. What is not given stays.
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
struct wish {
    int64_t reply;
    struct rating_wish parts[2]; /* by enum part */
    const char **tags;           /* a '-' in front takes the tag away */
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

static int take_flag(struct args *a, struct wish *w, enum part *part, struct err *e)
{
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
    if (!w->reply) return cli_usage(a->argv[0], "name a message");
    if (!w->n_tags && !w->parts[0].named && !w->parts[1].named)
        return cli_usage(a->argv[0], "say what to rate: --answer, --thought, --tag ...");
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
    char *reasons = p->reasons ? json_dumps(p->reasons, JSON_COMPACT) : NULL;
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

static int rate(struct store *s, const struct wish *w, struct err *e)
{
    struct reply_ratings g = {0};

    int rc = store_load_ratings(s, w->reply, &g, e);
    /* a message that is no reply gets the line that says so */
    if (rc == ERR_NOT_FOUND) rc = store_rate(s, w->reply, PART_ANSWER, 0, NULL, NULL, e);
    if (!rc) rc = rate_part(s, w, PART_ANSWER, &g.answer, e);
    if (!rc) rc = rate_part(s, w, PART_THOUGHT, &g.thought, e);
    for (size_t i = 0; i < w->n_tags && !rc; i++) rc = store_tag(s, w->reply, w->tags[i], w->tag_on[i], e);
    reply_ratings_release(&g);
    if (!rc) rc = store_load_ratings(s, w->reply, &g, e);
    if (!rc) {
        printf("m%lld: ", (long long)w->reply);
        put_part(part_names[PART_ANSWER], &g.answer);
        fputs(", ", stdout);
        put_part(part_names[PART_THOUGHT], &g.thought);
        if (strcmp(g.tags, "[]") != 0) {
            fputs(", tags ", stdout);
            record_put_line(stdout, g.tags);
        }
        putchar('\n');
    }
    reply_ratings_release(&g);
    return rc;
}

int cmd_rate(int argc, char **argv)
{
    struct store *s = NULL;
    struct wish w = {0};
    struct args a;

    int code = args_begin(&a, argc, argv, "--answer --thought --reason --tag --untag --comment --edit", "");
    if (code) return code;
    code = parse(&a, &w);
    if (!code) {
        /* files first: one that cannot be read leaves everything as it was */
        int rc = read_edit(&w.parts[PART_ANSWER], &a.err);
        if (!rc) rc = read_edit(&w.parts[PART_THOUGHT], &a.err);
        if (!rc) rc = record_open(&s, &a.set, &a.err);
        if (!rc) rc = rate(s, &w, &a.err);
        code = cli_finish(rc ? cli_fail(&a.err) : 0);
    }
    for (size_t i = 0; i < 2; i++) {
        json_decref(w.parts[i].reasons);
        str_release(&w.parts[i].edit);
    }
    free(w.tags);
    free(w.tag_on);
    store_close(s);
    args_end(&a);
    return code;
}
