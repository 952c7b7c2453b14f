/* record_care.c - ponder backup, check and redact. */
#include "chat/chat.h"
#include "cli/record.h"

#include <stdlib.h>
#include <string.h>

int cmd_backup(int argc, char **argv)
{
    const char *word = NULL;
    struct store *s = NULL;
    struct args a;
    bool json = false;

    int code = args_begin(&a, argc, argv, "", "--json");
    if (code) return code;
    code = args_one_word(&a, "file to write", &word, &json);
    if (!code) {
        int rc = record_open(&s, &a.set, &a.err);
        if (!rc) rc = store_backup(s, word, &a.err);
        if (rc) {
            code = cli_fail(&a.err);
        } else if (json) {
            code = record_put_json(json_pack("{s:s}", "backup", word));
        } else {
            record_put_line(stdout, word);
            puts(": written");
        }
        code = cli_finish(code);
    }
    store_close(s);
    args_end(&a);
    return code;
}

static void put_findings(const struct str *findings)
{
    for (const char *p = str_cstr(findings); *p;) {
        size_t n = strcspn(p, "\n");
        char *line = mem_dup_text(p, n);
        if (line) record_put_line(stdout, line);
        putchar('\n');
        free(line);
        p += n + (p[n] == '\n');
    }
}

/* Sets a damaged record aside and saves what can be read of it. */
static int salvage(struct args *a, bool json)
{
    struct str path = STR_EMPTY;
    struct salvage_report r = {0};
    int rc = a->set.db[0] ? 0 : path_of(&path, PATH_DATA, "ponder.db", &a->err);
    if (a->set.db[0]) str_add(&path, a->set.db);
    if (!rc) rc = store_salvage(str_cstr(&path), &r, &a->err);
    if (r.aside && json) {
        record_put_json(json_pack("{s:s,s:I,s:s#}", "aside", r.aside, "rows", (json_int_t)r.rows, "tables", str_cstr(&r.text), (int)r.text.len));
    } else if (r.aside) {
        put_findings(&r.text);
        printf("%lld rows saved; the damaged file is ", (long long)r.rows);
        record_put_line(stdout, r.aside);
        putchar('\n');
    }
    int code = rc ? cli_fail(&a->err) : 0;
    salvage_report_release(&r);
    str_release(&path);
    return cli_finish(code);
}

int cmd_check(int argc, char **argv)
{
    struct str findings = STR_EMPTY;
    struct store *s = NULL;
    struct args a;
    enum args_kind kind;
    bool json = false, mend = false;

    int code = args_begin(&a, argc, argv, "", "--json --salvage");
    while (!code && (kind = args_next(&a)) != ARGS_END) {
        if (kind == ARGS_BAD) code = 2;
        if (kind == ARGS_WORD) code = cli_usage(argv[0], "unknown argument %s", a.value);
        if (kind == ARGS_FLAG) *(args_is(&a, "--json") ? &json : &mend) = true;
    }
    if (!code && mend) {
        code = salvage(&a, json);
    } else if (!code) {
        int rc = record_open(&s, &a.set, &a.err);
        if (!rc) rc = store_check(s, &findings, &a.err);
        if (rc) {
            code = cli_fail(&a.err);
        } else if (json) {
            code = record_put_json(json_pack("{s:b,s:s#}", "good", !findings.len, "findings", str_cstr(&findings), (int)findings.len));
        } else if (findings.len) {
            put_findings(&findings);
        } else {
            puts("the record is whole");
        }
        if (!code && findings.len) code = 1;
        code = cli_finish(code);
    }
    str_release(&findings);
    store_close(s);
    args_end(&a);
    return code;
}

/* A text as the regular expression that finds it. */
static void escape(struct str *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("\\^$.[]|()*+?{}", *text)) str_add_char(out, '\\');
        str_add_char(out, *text);
    }
}

struct redact_wish {
    const char *what, *with;
    bool regex, ignore_case, dry_run, json;
};

static int parse_redact(struct args *a, struct redact_wish *w)
{
    enum args_kind kind;

    w->with = "[redacted]";
    while ((kind = args_next(a)) != ARGS_END) {
        if (kind == ARGS_BAD) return 2;
        if (kind == ARGS_WORD && w->what) return cli_usage(a->argv[0], "one text or pattern at a time");
        if (kind == ARGS_WORD) w->what = a->value;
        if (kind == ARGS_WORD) continue;
        if (args_is(a, "--with")) w->with = a->value;
        if (args_is(a, "--regex")) w->regex = true;
        if (args_is(a, "-i")) w->ignore_case = true;
        if (args_is(a, "--dry-run")) w->dry_run = true;
        if (args_is(a, "--json")) w->json = true;
    }
    return w->what && w->what[0] ? 0 : cli_usage(a->argv[0], "say which text to take out, or with --regex which pattern");
}

int cmd_redact(int argc, char **argv)
{
    struct redact_wish w = {0};
    struct str pattern = STR_EMPTY;
    struct store *s = NULL;
    struct args a;
    int64_t texts = 0;

    int code = args_begin(&a, argc, argv, "--with", "--regex -i --dry-run --json");
    if (code) return code;
    code = parse_redact(&a, &w);
    if (!code) {
        if (w.regex)
            str_add(&pattern, w.what);
        else
            escape(&pattern, w.what);
        int rc = str_ok(&pattern) ? record_open(&s, &a.set, &a.err) : err_set(&a.err, ERR_NOMEM, "out of memory");
        if (!rc) rc = store_redact(s, str_cstr(&pattern), w.with, w.ignore_case, w.dry_run, &texts, &a.err);
        if (texts && !w.dry_run) {
            int forgotten = chat_forget(s, 0, rc ? NULL : &a.err);
            rc = rc ? rc : forgotten;
        }
        if (rc) {
            code = cli_fail(&a.err);
        } else if (w.json) {
            code = record_put_json(json_pack("{s:I,s:b}", "texts", (json_int_t)texts, "changed", !w.dry_run));
        } else {
            printf("%lld text%s %s\n", (long long)texts, texts == 1 ? "" : "s", w.dry_run ? "would change" : "changed");
        }
        code = cli_finish(code);
    }
    str_release(&pattern);
    store_close(s);
    args_end(&a);
    return code;
}
