/* record_export.c - ponder export: fine-tuning data into a file, a folder, or to standard output. */
#include "cli/export.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- arguments ------------------------------------------------------------------------------------------------- */

/* The place of value in the NULL-terminated list, or ERR_USAGE with the list. */
static int take_choice(struct args *a, const char *const *names, int *out, struct err *e)
{
    struct str list = STR_EMPTY;

    for (int i = 0; names[i]; i++) {
        if (!strcmp(a->value, names[i])) {
            *out = i;
            str_release(&list);
            return 0;
        }
        str_addf(&list, "%s%s", i ? ", " : "", names[i]);
    }
    err_set(e, ERR_USAGE, "export: %s takes one of %s; not \"%s\"", a->name, str_cstr(&list), a->value);
    str_release(&list);
    return ERR_USAGE;
}

static int take_format(struct args *a, struct export_wish *w, struct err *e)
{
    const char *names[EXPORT_FORMATS + 1] = {NULL};
    int i = 0;

    for (int f = 0; f < EXPORT_FORMATS; f++) names[f] = export_format_info((enum export_format)f)->name;
    int rc = take_choice(a, names, &i, e);
    w->options.format = (enum export_format)i;
    w->has_format = true;
    return rc;
}

static int take_number(struct args *a, int64_t low, int64_t high, int64_t *out, struct err *e)
{
    char *end;
    errno = 0;
    long long v = strtoll(a->value, &end, 10);

    if (!a->value[0] || *end || errno || v < low || v > high)
        return err_set(e, ERR_USAGE, "export: %s takes a number from %lld to %lld, not \"%s\"", a->name, (long long)low, (long long)high,
                       a->value);
    *out = v;
    return 0;
}

/* TRAIN,VALID,TEST: percentages or shares. */
static int take_split(struct args *a, struct export_wish *w, struct err *e)
{
    const char *p = a->value;
    double sum = 0;

    for (int i = 0; i < 3; i++) {
        char *end;
        double v = strtod(p, &end);
        if (end == p || !(v >= 0 && v <= 1e6) || *end != (i < 2 ? ',' : '\0')) sum = -1e9;
        w->split[i] = v;
        sum += v;
        p = *end ? end + 1 : end;
    }
    if (!(sum > 0 && w->split[0] > 0))
        return err_set(e, ERR_USAGE, "export: --split takes the shares of train, valid and test, like 90,5,5; not \"%s\"", a->value);
    for (int i = 0; i < 3; i++) w->split[i] /= sum;
    w->has_split = true;
    return 0;
}

/* up=2,none=1,edit=3: what is not named weighs 1. */
static int take_weights(struct args *a, struct export_wish *w, struct err *e)
{
    struct export_options *o = &w->options;

    o->weights = true;
    o->weight_up = o->weight_none = o->weight_edited = 1;
    for (const char *p = a->value; *p;) {
        double *to = !strncmp(p, "up=", 3)     ? &o->weight_up
                     : !strncmp(p, "none=", 5) ? &o->weight_none
                     : !strncmp(p, "edit=", 5) ? &o->weight_edited
                                               : NULL;
        const char *number = strchr(p, '=');
        char *end = NULL;
        if (to) *to = strtod(number + 1, &end);
        if (!to || end == number + 1 || (*end && *end != ',') || !(*to > 0 && *to <= 1000))
            return err_set(e, ERR_USAGE, "export: --weights takes weights above 0 like up=2,none=1,edit=3; not \"%s\"", a->value);
        p = *end ? end + 1 : end;
    }
    return 0;
}

static int take_pairs(struct args *a, struct export_wish *w, struct err *e)
{
    static const char *const names[] = {"votes", "edits", "ratings"};

    for (const char *p = a->value; *p;) {
        size_t len = strcspn(p, ",");
        unsigned bit = 0;
        for (unsigned i = 0; i < 3; i++)
            if (strlen(names[i]) == len && !memcmp(names[i], p, len)) bit = 1u << i;
        if (!bit) return err_set(e, ERR_USAGE, "export: --pairs takes a list of votes, edits and ratings, not \"%s\"", a->value);
        w->options.pairs |= bit;
        p += len + (p[len] == ',');
    }
    return w->options.pairs ? 0 : err_set(e, ERR_USAGE, "export: --pairs names none of votes, edits and ratings");
}

static int take_how(struct args *a, struct export_wish *w, struct err *e)
{
    static const char *const reasonings[] = {"", "field", "inline", "text", "strip", NULL};
    static const char *const injected[] = {"keep", "drop", "mask", NULL};
    static const char *const thoughts[] = {"strip", "drop", "keep", NULL};
    struct export_options *o = &w->options;
    int i = 0, rc;
    int64_t n = 0;

    if (args_is(a, "--reasoning")) {
        rc = take_choice(a, reasonings + 1, &i, e);
        o->reasoning = (enum export_reasoning)(i + 1);
    } else if (args_is(a, "--injected")) {
        rc = take_choice(a, injected, &i, e);
        o->injected = (enum export_injected)i;
    } else if (args_is(a, "--bad-thoughts")) {
        rc = take_choice(a, thoughts, &i, e);
        o->bad_thoughts = (enum export_bad_thoughts)i;
    } else if (args_is(a, "--pairs")) {
        rc = take_pairs(a, w, e);
    } else if (args_is(a, "--split")) {
        rc = take_split(a, w, e);
    } else if (args_is(a, "--weights")) {
        rc = take_weights(a, w, e);
    } else if (args_is(a, "--max-tokens")) {
        rc = take_number(a, 1, 100000000, &o->max_tokens, e);
    } else if (args_is(a, "--min-tokens")) {
        rc = take_number(a, 1, 100000000, &o->min_tokens, e);
    } else if (args_is(a, "--min-strength")) {
        rc = take_number(a, 1, 3, &n, e);
        o->min_strength = (int)n;
    } else {
        rc = take_number(a, 0, INT64_MAX, &w->seed, e);
    }
    return rc;
}

static int take_flag(struct args *a, struct export_wish *w, struct err *e)
{
    static const char *const how[] = {"--reasoning", "--injected",   "--bad-thoughts", "--pairs",        "--split",
                                      "--weights",   "--max-tokens", "--min-tokens",   "--min-strength", "--seed"};
    struct export_options *o = &w->options;
    const struct {
        const char *name;
        const char **to;
    } texts[] = {
        {"--tag", &o->tag}, {"--reason", &o->reason},          {"--model", &o->model}, {"--search", &o->search}, {"--endings", &o->endings},
        {"-m", &w->model},  {"--template", &w->template_name}, {"-o", &w->to}};
    const struct {
        const char *name;
        bool *to;
    } switches[] = {
        {"--dry-run", &w->dry_run}, {"--json", &w->json}, {"--with-say", &o->with_say}, {"--keep-duplicates", &o->keep_duplicates}};

    for (size_t i = 0; i < ARRAY_LEN(how); i++)
        if (args_is(a, how[i])) return take_how(a, w, e);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (args_is(a, texts[i].name)) *texts[i].to = a->value;
    for (size_t i = 0; i < ARRAY_LEN(switches); i++)
        if (args_is(a, switches[i].name)) *switches[i].to = true;
    if (args_is(a, "--format")) return take_format(a, w, e);
    if (args_is(a, "--rating") && !record_parse_rating(a->value, &o->min_rating))
        return err_set(e, ERR_USAGE, "export: --rating takes the lowest to take: up, none or down, not \"%s\"", a->value);
    bool last = args_is(a, "--until");
    if ((last || args_is(a, "--since")) && !record_parse_time(a->value, last, last ? &o->until_ms : &o->since_ms))
        return err_set(e, ERR_USAGE, "export: %s takes a day like 2026-01-15, or 2026-01-15T09:30, in UTC, not \"%s\"", a->name, a->value);
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
    if (!w->to && !w->dry_run) return cli_usage(a->argv[0], "say where to: -o FILE or -o FOLDER, -o - for standard output, or --dry-run");
    if (w->to && !w->to[0]) return cli_usage(a->argv[0], "-o wants a name");
    return 0;
}

/* ---- counts ---------------------------------------------------------------------------------------------------- */

static const struct {
    const char *key, *text;
    size_t at;
} left_counts[] = {
#define LEFT(name, text)                                                                                                                   \
    {                                                                                                                                      \
#name, text, offsetof(struct export_counts, left_##name)                                                                           \
    }
    LEFT(rating, "rated too low"),
    LEFT(unrated, "without a rating"),
    LEFT(ending, "ended otherwise"),
    LEFT(unfinished, "unfinished"),
    LEFT(filter, "not asked for"),
    LEFT(thought, "with a thought rated down"),
    LEFT(say, "with a line of yours in the thought (--with-say takes them)"),
    LEFT(length, "too long or too short"),
    LEFT(template, "refused by the template"),
    LEFT(strength, "votes too weak"),
    LEFT(verdict, "votes without a winner"),
    LEFT(same, "pairs that say the same"),
    LEFT(contrary, "pairs by rating that were voted on"),
#undef LEFT
};
static const struct {
    const char *key;
    size_t at;
} in_counts[] = {
#define IN(name)                                                                                                                           \
    {                                                                                                                                      \
#name, offsetof(struct export_counts, name)                                                                                        \
    }
    IN(from_votes), IN(from_edits), IN(from_ratings), IN(from_up), IN(from_none), IN(from_edited), IN(good), IN(bad),
#undef IN
};

static int64_t count_at(const struct export_counts *c, size_t at)
{
    int64_t n;
    memcpy(&n, (const char *)c + at, sizeof n);
    return n;
}

json_t *export_counts_json(const struct export_counts *c)
{
    json_t *o = json_object(), *in = json_object(), *out = json_object();

    json_object_set_new(o, "records", json_integer(c->records));
    json_object_set_new(o, "conversations", json_integer(c->conversations));
    json_object_set_new(o, "replies", json_integer(c->replies_seen));
    for (size_t i = 0; i < ARRAY_LEN(in_counts); i++) json_object_set_new(in, in_counts[i].key, json_integer(count_at(c, in_counts[i].at)));
    for (size_t i = 0; i < ARRAY_LEN(left_counts); i++)
        json_object_set_new(out, left_counts[i].key, json_integer(count_at(c, left_counts[i].at)));
    json_object_set_new(o, "included", in);
    json_object_set_new(o, "left_out", out);
    json_object_set_new(o, "duplicates", json_integer(c->duplicates));
    json_object_set_new(o, "with_thoughts", json_integer(c->thoughts));
    json_object_set_new(o, "thoughts_stripped", json_integer(c->thoughts_stripped));
    json_object_set_new(o, "thoughts_lost_by_template", json_integer(c->thoughts_lost));
    return o;
}

static void put_counts(FILE *f, const struct export_wish *w, const struct export_counts *c)
{
    bool document = export_format_info(w->options.format)->task == TASK_DOCUMENT;
    const char *between = "; left out: ";

    if (document) {
        fprintf(f, "%lld conversation%s", (long long)c->records, c->records == 1 ? "" : "s");
    } else {
        fprintf(f, "%lld record%s from %lld repl%s", (long long)c->records, c->records == 1 ? "" : "s", (long long)c->replies_seen,
                c->replies_seen == 1 ? "y" : "ies");
    }
    if (c->from_votes + c->from_edits + c->from_ratings)
        fprintf(f, " (%lld by vote, %lld by correction, %lld by opposite ratings)", (long long)c->from_votes, (long long)c->from_edits,
                (long long)c->from_ratings);
    if (c->good + c->bad) fprintf(f, " (%lld good, %lld bad)", (long long)c->good, (long long)c->bad);
    for (size_t i = 0; i < ARRAY_LEN(left_counts); i++) {
        int64_t n = count_at(c, left_counts[i].at);
        if (!n) continue;
        fprintf(f, "%s%lld %s", between, (long long)n, left_counts[i].text);
        between = ", ";
    }
    if (c->duplicates) fprintf(f, "; %lld said the same and were written once", (long long)c->duplicates);
    if (c->thoughts_stripped)
        fprintf(f, "; %lld thought%s rated down left out", (long long)c->thoughts_stripped, c->thoughts_stripped == 1 ? "" : "s");
    fputc('\n', f);
}

/* The forms that keep the thoughts which the chosen one would lose. */
static void warn_of_lost_thoughts(const struct export_wish *w, const struct export_counts *c)
{
    const struct export_format_info *f = export_format_info(w->options.format);
    struct str text = STR_EMPTY;

    if (!c->thoughts_lost) return;
    const struct export_renderer *r = w->options.arg;
    enum export_reasoning now = w->options.reasoning ? w->options.reasoning : f->initial;
    str_addf(&text, "the chat template of %s leaves thoughts given as %s out of what is trained: %lld of %lld records would lose theirs. ",
             r->family ? r->family->name : c->lost_family, export_reasoning_name(now), (long long)c->thoughts_lost, (long long)c->records);
    bool inline_keeps = now == REASONING_FIELD && (f->reasonings & (1u << REASONING_INLINE)) &&
                        w->options.keeps_thoughts(w->options.arg, c->lost_family, REASONING_INLINE);
    if (inline_keeps) str_add(&text, "--reasoning inline keeps them");
    if (f->reasonings & (1u << REASONING_TEXT))
        str_add(&text, inline_keeps ? ", and so does --reasoning text" : "--reasoning text keeps them");
    if (!inline_keeps && !(f->reasonings & (1u << REASONING_TEXT))) str_add(&text, "--format sft --reasoning text keeps them");
    fputs("ponder: warning: ", stderr);
    record_put_line(stderr, str_cstr(&text));
    fputc('\n', stderr);
    str_release(&text);
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

static int keep(void *arg, const struct export_record *r, struct err *e)
{
    struct str *out = arg;
    str_add_bytes(out, r->bytes, r->len);
    return str_ok(out) ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

/* JSON stays exact: the controls of the C1 block, which may stand in its strings as they are, are spelt out. */
static void put_json_bytes(const char *bytes, size_t n)
{
    size_t from = 0;

    for (size_t i = 0; i + 1 < n; i++) {
        unsigned char lead = (unsigned char)bytes[i], c = (unsigned char)bytes[i + 1];
        if (lead != 0xC2 || c < 0x80 || c > 0x9F) continue;
        fwrite(bytes + from, 1, i - from, stdout);
        printf("\\u%04x", c);
        from = i + 2;
    }
    fwrite(bytes + from, 1, n - from, stdout);
}

static int print(void *arg, const struct export_record *r, struct err *e)
{
    const bool *exact = arg;

    if (*exact) {
        put_json_bytes(r->bytes, r->len);
    } else {
        cli_put(stdout, r->bytes, r->len);
    }
    return ferror(stdout) ? err_set_errno(e, ERR_IO, "standard output") : 0;
}

static bool is_file_name(const char *name)
{
    static const char *const endings[] = {".jsonl", ".json", ".ndjson", ".md", ".markdown", ".html", ".htm", ".txt"};
    size_t n = strlen(name);
    struct stat st;

    if (name[n - 1] == '/') return false;
    if (stat(name, &st) == 0) return !S_ISDIR(st.st_mode);
    for (size_t i = 0; i < ARRAY_LEN(endings); i++)
        if (n > strlen(endings[i]) && !strcmp(name + n - strlen(endings[i]), endings[i])) return true;
    return false;
}

static int export_to_file(struct store *s, const struct export_wish *w, struct export_counts *counts, struct err *e)
{
    struct str out = STR_EMPTY;

    if (w->has_split) return err_set(e, ERR_USAGE, "export: --split wants a folder behind -o; %s is a file", w->to);
    int rc = store_export(s, &w->options, keep, &out, counts, e);
    if (!rc) rc = file_write_atomic(w->to, str_cstr(&out), out.len, e);
    str_release(&out);
    return rc;
}

static int put_dry_run(const struct export_wish *w, const struct export_counts *c)
{
    if (!w->json) {
        put_counts(stdout, w, c);
        return 0;
    }
    json_t *o = json_object();
    json_object_set_new(o, "options", export_options_json(w));
    json_object_set_new(o, "counts", export_counts_json(c));
    return record_put_json(o);
}

static int export_records(struct store *s, const struct export_wish *w, struct err *e)
{
    struct export_counts counts;
    bool json = !strncmp(export_format_info(w->options.format)->ending, ".json", 5);
    bool exact = json && !isatty(STDOUT_FILENO); /* a terminal, and what is for reading, get it sanitised */
    int rc;

    if (w->dry_run) {
        rc = store_export(s, &w->options, NULL, NULL, &counts, e);
        if (!rc && put_dry_run(w, &counts)) return err_set(e, ERR_NOMEM, "out of memory");
    } else if (!strcmp(w->to, "-")) {
        rc = store_export(s, &w->options, print, &exact, &counts, e);
    } else {
        rc = is_file_name(w->to) ? export_to_file(s, w, &counts, e) : export_to_folder(s, w, &counts, e);
    }
    if (rc) return rc;
    fflush(stdout);
    if (!w->dry_run) put_counts(stderr, w, &counts);
    warn_of_lost_thoughts(w, &counts);
    return 0;
}

int cmd_export(int argc, char **argv)
{
    struct export_wish w = {.split = {0.9, 0.05, 0.05}};
    struct export_renderer r = {0};
    struct store *s = NULL;
    struct args a;

    int code = args_begin(&a, argc, argv,
                          "--format --reasoning --rating --reason --tag --model --since --until --search --endings --min-strength --pairs"
                          " --injected --bad-thoughts --weights --max-tokens --min-tokens --template -m --split --seed -o",
                          "--dry-run --json --with-say --keep-duplicates");
    if (code) return code;
    code = parse(&a, &w);
    if (!code) {
        bool counts = w.options.max_tokens || w.options.min_tokens;
        int rc = renderer_init(&r, w.model, w.template_name, a.set.model, counts, &a.err);
        r.bar = isatty(STDERR_FILENO) && !w.json;
        renderer_connect(&r, &w.options);
        if (!rc) rc = record_open(&s, &a.set, &a.err);
        if (!rc) rc = export_records(s, &w, &a.err);
        code = cli_finish(rc ? cli_fail(&a.err) : 0);
    }
    renderer_release(&r);
    store_close(s);
    args_end(&a);
    return code;
}
