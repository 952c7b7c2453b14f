/* record_export.c - ponder export: fine-tuning data into a file, or to standard output. */
#include "cli/record.h"
#include "model/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct export_wish {
    struct export_options options;
    const char *to; /* a file, "-" standard output, NULL none given */
    bool dry_run;
};

static const char *key_of_family(void *arg, const char *name)
{
    (void)arg;
    const struct family *f = family_by_name(name);
    return f ? f->thought_key : NULL;
}

/* ---- arguments ------------------------------------------------------------------------------------------------- */

/* YYYY-MM-DD, or with THH:MM[:SS] and an optional Z, in UTC. last: the first moment after what is named. */
static bool parse_time(const char *text, bool last, int64_t *out_ms)
{
    static const struct {
        const char *format;
        int64_t seconds;
    } forms[] = {{"%Y-%m-%d", 86400}, {"%Y-%m-%dT%H:%M", 60}, {"%Y-%m-%dT%H:%M:%S", 1}};

    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct tm tm = {0};
        const char *end = strptime(text, forms[i].format, &tm);
        if (end && *end == 'Z' && i > 0) end++;
        if (!end || *end) continue;
        struct tm same = tm;
        int64_t seconds = timegm(&same);
        if (same.tm_mday != tm.tm_mday || seconds <= 0) return false; /* 30 February */
        *out_ms = 1000 * (seconds + (last ? forms[i].seconds : 0));
        return true;
    }
    return false;
}

static int take_reasoning(struct export_wish *w, const char *value, struct err *e)
{
    static const char *const names[] = {[REASONING_FIELD] = "field", [REASONING_INLINE] = "inline", [REASONING_STRIP] = "strip"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (!strcmp(value, names[i])) {
            w->options.reasoning = (enum export_reasoning)i;
            return 0;
        }
    return err_set(e, ERR_USAGE, "export: --reasoning takes field, inline or strip, not \"%s\"", value);
}

static int take_rating(struct export_wish *w, const char *value, struct err *e)
{
    static const struct {
        const char *name;
        int value;
    } ratings[] = {{"up", 1}, {"+1", 1}, {"1", 1}, {"none", 0}, {"0", 0}, {"down", -1}, {"-1", -1}, {"all", -1}};

    for (size_t i = 0; i < ARRAY_LEN(ratings); i++)
        if (!strcmp(value, ratings[i].name)) {
            w->options.min_rating = ratings[i].value;
            return 0;
        }
    return err_set(e, ERR_USAGE, "export: --rating takes the lowest to take: up, none or down, not \"%s\"", value);
}

static int take_flag(struct args *a, struct export_wish *w, struct err *e)
{
    if (args_is(a, "--dry-run")) {
        w->dry_run = true;
    } else if (args_is(a, "--format")) {
        if (strcmp(a->value, "sft") != 0) return err_set(e, ERR_USAGE, "export: the formats are: sft; not \"%s\"", a->value);
        w->options.format = EXPORT_SFT;
    } else if (args_is(a, "--reasoning")) {
        return take_reasoning(w, a->value, e);
    } else if (args_is(a, "--rating")) {
        return take_rating(w, a->value, e);
    } else if (args_is(a, "--since") || args_is(a, "--until")) {
        bool last = args_is(a, "--until");
        if (!parse_time(a->value, last, last ? &w->options.until_ms : &w->options.since_ms))
            return err_set(e, ERR_USAGE, "export: %s takes a day like 2026-01-15, or 2026-01-15T09:30, in UTC, not \"%s\"", a->name,
                           a->value);
    } else if (args_is(a, "--tag")) {
        w->options.tag = a->value;
    } else if (args_is(a, "--model")) {
        w->options.model = a->value;
    } else if (args_is(a, "--search")) {
        w->options.search = a->value;
    } else if (args_is(a, "--endings")) {
        w->options.endings = a->value;
    } else {
        w->to = a->value;
    }
    return 0;
}

static int parse(struct args *a, struct export_wish *w)
{
    enum args_kind kind;

    while ((kind = args_next(a)) != ARGS_END) {
        if (kind == ARGS_BAD) return 2;
        if (kind == ARGS_WORD) return cli_usage(a->argv[0], "unknown argument %s (the file goes behind -o)", a->value);
        if (take_flag(a, w, &a->err)) return cli_fail(&a->err);
    }
    if (!w->to && !w->dry_run) return cli_usage(a->argv[0], "say where to: -o FILE, or -o - for standard output, or --dry-run");
    return 0;
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

static int keep(void *arg, const char *bytes, size_t n, struct err *e)
{
    struct str *out = arg;
    str_add_bytes(out, bytes, n);
    return str_ok(out) ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static int print(void *arg, const char *bytes, size_t n, struct err *e)
{
    const bool *terminal = arg;

    if (*terminal) {
        cli_put(stdout, bytes, n);
    } else {
        fwrite(bytes, 1, n, stdout);
    }
    return ferror(stdout) ? err_set_errno(e, ERR_IO, "standard output") : 0;
}

static void put_counts(FILE *f, const struct export_counts *c)
{
    const struct {
        const char *what;
        int64_t n;
    } left[] = {
        {"rated too low", c->left_rating},
        {"ended otherwise", c->left_ending},
        {"unfinished", c->left_unfinished},
        {"not asked for", c->left_filter},
    };
    const char *between = "; left out: ";

    fprintf(f, "%lld record%s from %lld repl%s", (long long)c->records, c->records == 1 ? "" : "s", (long long)c->replies_seen,
            c->replies_seen == 1 ? "y" : "ies");
    for (size_t i = 0; i < ARRAY_LEN(left); i++) {
        if (!left[i].n) continue;
        fprintf(f, "%s%lld %s", between, (long long)left[i].n, left[i].what);
        between = ", ";
    }
    if (c->duplicates) fprintf(f, "; %lld said the same and were written once", (long long)c->duplicates);
    fputc('\n', f);
}

static int export_records(struct store *s, const struct export_wish *w, struct err *e)
{
    struct export_counts counts;
    struct str out = STR_EMPTY;
    struct stat st;
    bool terminal = isatty(STDOUT_FILENO);
    bool to_stdout = w->to && !strcmp(w->to, "-");

    if (w->dry_run) {
        int rc = store_export(s, &w->options, NULL, NULL, &counts, e);
        if (!rc) put_counts(stdout, &counts);
        return rc;
    }
    if (!to_stdout && (!w->to[0] || w->to[strlen(w->to) - 1] == '/' || (stat(w->to, &st) == 0 && S_ISDIR(st.st_mode))))
        return err_set(e, ERR_USAGE, "export: -o wants the name of a file, and \"%s\" is a folder", w->to);
    int rc = to_stdout ? store_export(s, &w->options, print, &terminal, &counts, e) : store_export(s, &w->options, keep, &out, &counts, e);
    if (!rc && !to_stdout) rc = file_write_atomic(w->to, str_cstr(&out), out.len, e);
    str_release(&out);
    if (!rc) {
        fflush(stdout);
        put_counts(stderr, &counts);
    }
    return rc;
}

int cmd_export(int argc, char **argv)
{
    struct export_wish w = {.options.thought_key = key_of_family};
    struct store *s = NULL;
    struct args a;

    int code = args_begin(&a, argc, argv, "--format --reasoning --rating --tag --model --since --until --search --endings -o", "--dry-run");
    if (code) return code;
    code = parse(&a, &w);
    if (!code) {
        int rc = record_open(&s, &a.set, &a.err);
        if (!rc) rc = export_records(s, &w, &a.err);
        code = cli_finish(rc ? cli_fail(&a.err) : 0);
    }
    store_close(s);
    args_end(&a);
    return code;
}
