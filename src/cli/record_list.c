/* record_list.c - ponder list, search and delete. */
#include "chat/chat.h"
#include "cli/record.h"
#include "ui/ui.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- list ------------------------------------------------------------------------------------------------------ */

static int put_conversation(const struct conversation *c, bool json)
{
    if (json) {
        json_t *o = json_object();
        json_object_set_new(o, "id", json_integer(c->id));
        json_object_set_new(o, "title", record_json_text(c->title, strlen(c->title)));
        json_object_set_new(o, "model", record_json_text(c->model, strlen(c->model)));
        json_object_set_new(o, "messages", json_integer(c->n_messages));
        json_object_set_new(o, "leaf", c->leaf ? json_integer(c->leaf) : json_null());
        json_object_set_new(o, "created_at", record_json_time(c->created_ms));
        json_object_set_new(o, "updated_at", record_json_time(c->updated_ms));
        return record_put_json(o);
    }
    char when[32], id[32];
    record_time(c->updated_ms, when);
    snprintf(id, sizeof id, "c%lld", (long long)c->id);
    printf("%-6s %s %4d  ", id, when, c->n_messages);
    record_put_line(stdout, c->title[0] ? c->title : "(no words)");
    putchar('\n');
    return 0;
}

static int list(const struct settings *set, int limit, bool json)
{
    struct conversation_list l = {0};
    struct store *s = NULL;
    struct err e = {0};

    int rc = record_open(&s, set, &e);
    if (!rc) rc = store_list(s, limit, 0, &l, &e);
    int code = rc ? cli_fail(&e) : 0;
    for (size_t i = 0; i < l.n && !code; i++) code = put_conversation(&l.items[i], json);
    if (!code && l.n == 0 && !json) fputs("no conversations yet\n", stderr);
    conversation_list_release(&l);
    store_close(s);
    return cli_finish(code);
}

/* A count from the command line: 1 to a million. */
static bool parse_count(const char *text, int *out)
{
    char *end;
    long v = strtol(text, &end, 10);

    if (!*text || *end || v < 1 || v > 1000000) return false;
    *out = (int)v;
    return true;
}

static int parse_list(struct args *a, int *limit, bool *json)
{
    enum args_kind kind;

    while ((kind = args_next(a)) != ARGS_END) {
        if (kind == ARGS_BAD) return 2;
        if (kind == ARGS_WORD) return cli_usage(a->argv[0], "unknown argument %s", a->value);
        if (args_is(a, "--json")) {
            *json = true;
        } else if (!parse_count(a->value, limit)) {
            return cli_usage(a->argv[0], "--limit takes a number from 1 up, not \"%s\"", a->value);
        }
    }
    return 0;
}

int cmd_list(int argc, char **argv)
{
    struct args a;
    bool json = false;
    int limit = 0;

    int code = args_begin(&a, argc, argv, "--limit", "--json");
    if (code) return code;
    code = parse_list(&a, &limit, &json);
    if (!code) code = list(&a.set, limit, json);
    args_end(&a);
    return code;
}

/* ---- search ---------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *label;
    enum search_in in;
} parts[] = {
    {"prompts", "prompt", SEARCH_PROMPTS},
    {"answers", "answer", SEARCH_ANSWERS},
    {"thoughts", "thought", SEARCH_THOUGHTS},
};

static const char *part_label(enum search_in in)
{
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (parts[i].in == in) return parts[i].label;
    return "";
}

/* The snippet on one line, the words found in bold where that can be shown. */
static void put_snippet(const char *text)
{
    bool bold = cli_styled(stdout);

    while (*text) {
        size_t n = strcspn(text, "\x02\x03");
        char *piece = mem_dup_text(text, n);
        if (piece) record_put_line(stdout, piece);
        free(piece);
        text += n;
        if (*text && bold) fputs(*text == '\x02' ? "\033[1m" : "\033[22m", stdout);
        if (*text) text++;
    }
}

static int put_hit(const struct search_hit *h, bool json)
{
    if (json) {
        struct str plain = STR_EMPTY;
        for (const char *p = h->snippet; *p; p++)
            if (*p != '\x02' && *p != '\x03') str_add_char(&plain, *p);
        json_t *o = json_object();
        json_object_set_new(o, "message", json_integer(h->message));
        json_object_set_new(o, "conversation", json_integer(h->conversation));
        json_object_set_new(o, "part", json_string(part_label(h->part)));
        json_object_set_new(o, "title", record_json_text(h->title, strlen(h->title)));
        json_object_set_new(o, "snippet", record_json_text(str_cstr(&plain), plain.len));
        json_object_set_new(o, "created_at", record_json_time(h->created_ms));
        str_release(&plain);
        return record_put_json(o);
    }
    char when[32];
    record_time(h->created_ms, when);
    printf("m%lld  %s  c%lld  %s  ", (long long)h->message, part_label(h->part), (long long)h->conversation, when);
    record_put_line(stdout, h->title);
    fputs("\n    ", stdout);
    put_snippet(h->snippet);
    putchar('\n');
    return 0;
}

struct search_wish {
    struct str words;
    enum search_in in;
    struct search_filter filter;
    int limit;
    bool json;
};

static int search(const struct settings *set, const struct search_wish *w)
{
    struct search_hits h = {0};
    struct store *s = NULL;
    struct err e = {0};

    int rc = record_open(&s, set, &e);
    if (!rc) rc = store_search_filtered(s, str_cstr(&w->words), w->in, &w->filter, w->limit, &h, &e);
    int code = rc ? cli_fail(&e) : 0;
    for (size_t i = 0; i < h.n && !code; i++) code = put_hit(&h.items[i], w->json);
    if (!code && h.n == 0 && !w->json) fputs("nothing found\n", stderr);
    search_hits_release(&h);
    store_close(s);
    return cli_finish(code);
}

static int take_search_flag(struct args *a, struct search_wish *w)
{
    bool last = args_is(a, "--until");

    if (args_is(a, "--json")) {
        w->json = true;
    } else if (args_is(a, "--limit")) {
        if (!parse_count(a->value, &w->limit)) return cli_usage(a->argv[0], "--limit takes a number from 1 up, not \"%s\"", a->value);
    } else if (last || args_is(a, "--since")) {
        if (!record_parse_time(a->value, last, last ? &w->filter.until_ms : &w->filter.since_ms))
            return cli_usage(a->argv[0], "%s takes a day like 2026-01-15, or 2026-01-15T09:30, in UTC, not \"%s\"", a->name, a->value);
    } else if (args_is(a, "--rating")) {
        if (!strcmp(a->value, "all") || !record_parse_rating(a->value, &w->filter.rating))
            return cli_usage(a->argv[0], "--rating takes up, none or down, not \"%s\"", a->value);
        w->filter.rated = true;
    } else if (args_is(a, "--model")) {
        w->filter.model = a->value;
    } else if (args_is(a, "--tag")) {
        w->filter.tag = a->value;
    } else if (args_is(a, "--ending")) {
        w->filter.ending = a->value;
    } else {
        w->in = SEARCH_ALL;
        for (size_t i = 0; i < ARRAY_LEN(parts); i++)
            if (!strcmp(a->value, parts[i].name)) w->in = parts[i].in;
        if (w->in == SEARCH_ALL) return cli_usage(a->argv[0], "--in takes answers, thoughts or prompts, not \"%s\"", a->value);
    }
    return 0;
}

static int parse_search(struct args *a, struct search_wish *w)
{
    enum args_kind kind;
    int code = 0;

    while (!code && (kind = args_next(a)) != ARGS_END) {
        if (kind == ARGS_BAD) return 2;
        if (kind == ARGS_WORD) {
            str_addf(&w->words, "%s%s", w->words.len ? " " : "", a->value);
        } else {
            code = take_search_flag(a, w);
        }
    }
    return code || w->words.len ? code : cli_usage(a->argv[0], "say which words to find");
}

int cmd_search(int argc, char **argv)
{
    struct search_wish w = {.in = SEARCH_ALL, .limit = 50};
    struct args a;

    int code = args_begin(&a, argc, argv, "--in --limit --since --until --rating --model --tag --ending", "--json");
    if (code) return code;
    code = parse_search(&a, &w);
    if (!code) code = search(&a.set, &w);
    str_release(&w.words);
    args_end(&a);
    return code;
}

/* ---- delete ---------------------------------------------------------------------------------------------------- */

static int delete (const struct settings *set, int64_t id, bool json)
{
    struct conversation_list l = {0};
    struct text_list typed = {0};
    struct store *s = NULL;
    struct err e = {0};

    int rc = record_open(&s, set, &e);
    if (!rc) rc = store_load_conversation(s, id, &l, &e);
    if (!rc) rc = chat_forget(s, id, &e);
    if (!rc) rc = store_load_typed(s, id, &typed, &e);
    if (!rc) rc = store_delete(s, id, &e);
    if (!rc) rc = ui_history_forget(&typed, &e);
    text_list_release(&typed);
    int code = rc ? cli_fail(&e) : 0;
    if (!code && json) {
        json_t *o = json_object();
        json_object_set_new(o, "deleted", json_integer(id));
        json_object_set_new(o, "messages", json_integer(l.items[0].n_messages));
        code = record_put_json(o);
    } else if (!code) {
        printf("deleted c%lld, %d messages: ", (long long)id, l.items[0].n_messages);
        record_put_line(stdout, l.items[0].title);
        putchar('\n');
    }
    conversation_list_release(&l);
    store_close(s);
    return cli_finish(code);
}

int cmd_delete(int argc, char **argv)
{
    const char *word = NULL;
    struct args a;
    int64_t id = 0;
    bool json = false;

    int code = args_begin(&a, argc, argv, "", "--json");
    if (code) return code;
    code = args_one_word(&a, "conversation", &word, &json);
    if (!code && !cli_id(word, 'c', &id)) code = cli_usage(argv[0], "\"%s\" is no conversation's number (12 or c12)", word);
    if (!code) code = delete (&a.set, id, json);
    args_end(&a);
    return code;
}
