/* record_import.c - ponder import: conversations of other programs into the record. */
#include "cli/record.h"

#include <stdlib.h>
#include <string.h>

static void put_report(const char *path, const struct import_report *r, bool dry_run)
{
    record_put_line(stdout, path);
    printf(": %s%lld conversation%s of %s, %lld messages, %lld ratings", dry_run ? "would bring " : "", (long long)r->conversations,
           r->conversations == 1 ? "" : "s", r->format[0] ? r->format : "no kind", (long long)r->messages, (long long)r->ratings);
    if (r->votes) printf(", %lld votes", (long long)r->votes);
    if (r->known) printf("; %lld were here already", (long long)r->known);
    if (r->refused) printf("; %lld could not come in", (long long)r->refused);
    if (r->left_out) printf("; %lld messages without text were left out", (long long)r->left_out);
    putchar('\n');
    for (const char *p = str_cstr(&r->notes); *p;) {
        size_t n = strcspn(p, "\n");
        char *line = mem_dup_text(p, n);
        fputs("  ", stdout);
        if (line) record_put_line(stdout, line);
        putchar('\n');
        free(line);
        p += n + (p[n] == '\n');
    }
}

static int put_json(const char *path, const struct import_report *r)
{
    json_t *o = json_object();

    json_object_set_new(o, "file", record_json_text(path, strlen(path)));
    json_object_set_new(o, "format", json_string(r->format));
    json_object_set_new(o, "conversations", json_integer(r->conversations));
    json_object_set_new(o, "messages", json_integer(r->messages));
    json_object_set_new(o, "ratings", json_integer(r->ratings));
    json_object_set_new(o, "votes", json_integer(r->votes));
    json_object_set_new(o, "known", json_integer(r->known));
    json_object_set_new(o, "refused", json_integer(r->refused));
    json_object_set_new(o, "left_out", json_integer(r->left_out));
    json_object_set_new(o, "notes", record_json_text(str_cstr(&r->notes), r->notes.len));
    return record_put_json(o);
}

static int import_files(struct args *a, struct store *s, bool dry_run, bool json)
{
    enum args_kind kind;
    int code = 0;

    a->at = 1;
    a->only_words = false;
    while ((kind = args_next(a)) != ARGS_END && !code) {
        struct import_report r;
        if (kind != ARGS_WORD) continue;
        int rc = store_import(s, a->value, dry_run, &r, &a->err);
        if (rc) {
            code = cli_fail(&a->err);
        } else if (json) {
            code = put_json(a->value, &r);
        } else {
            put_report(a->value, &r, dry_run);
        }
        import_report_release(&r);
    }
    return code;
}

int cmd_import(int argc, char **argv)
{
    struct store *s = NULL;
    struct args a;
    bool dry_run = false, json = false;
    int files = 0;
    enum args_kind kind;

    int code = args_begin(&a, argc, argv, "", "--dry-run --json");
    if (code) return code;
    while (!code && (kind = args_next(&a)) != ARGS_END) {
        if (kind == ARGS_BAD) code = 2;
        if (kind == ARGS_WORD) files++;
        if (kind == ARGS_FLAG && args_is(&a, "--json")) json = true;
        if (kind == ARGS_FLAG && args_is(&a, "--dry-run")) dry_run = true;
    }
    if (!code && !files)
        code = cli_usage(argv[0],
                         "name a file: an export of ChatGPT or Claude, Open WebUI, llm's logs.db, ShareGPT, OpenAI messages or ponder");
    if (!code) {
        int rc = dry_run ? record_open(&s, &a.set, &a.err) : cli_store_open(&s, &a.set, &a.err);
        code = rc ? cli_fail(&a.err) : import_files(&a, s, dry_run, json);
        code = cli_finish(code);
    }
    store_close(s);
    args_end(&a);
    return code;
}
