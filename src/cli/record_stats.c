/* record_stats.c - ponder stats: what is in the record, ratings by model, budget, ending and length of thought. */
#include "cli/record.h"

#include <string.h>

static const struct {
    enum stats_by by;
    const char *key, *heading;
} tables[] = {
    {STATS_MODEL, "models", "model"},           {STATS_BUDGET, "budgets", "budget"},
    {STATS_ENDING, "endings", "thought ended"}, {STATS_LENGTH, "lengths", "tokens of thought"},
    {STATS_MONTH, "months", "month"},
};

#define BAR_COLUMNS 20

/* The share of ratings up as a bar; dots where nothing was rated. */
static void put_bar(int64_t up, int64_t down)
{
    int filled = up + down ? (int)((BAR_COLUMNS * up + (up + down) / 2) / (up + down)) : 0;

    for (int i = 0; i < BAR_COLUMNS; i++) putchar(!(up + down) ? '.' : i < filled ? '#' : '-');
}

static void put_name(const char *name, int columns)
{
    struct str line = STR_EMPTY;
    text_sanitize(&line, name[0] ? name : "(unknown)", strlen(name[0] ? name : "(unknown)"), TEXT_ONE_LINE);
    size_t n = line.len;
    while (n && utf8_columns(str_cstr(&line), n) > columns) {
        n--;
        while (n && ((unsigned char)line.data[n] & 0xc0) == 0x80) n--;
    }
    fwrite(str_cstr(&line), 1, n, stdout);
    for (int i = utf8_columns(str_cstr(&line), n); i < columns; i++) putchar(' ');
    str_release(&line);
}

static void put_table(const char *heading, const struct stats_table *t)
{
    printf("\n%-24s %7s  %-20s %5s %5s  %8s %8s\n", heading, "replies", "answers rated up", "up", "down", "thought", "seconds");
    for (size_t i = 0; i < t->n; i++) {
        const struct stats_row *r = &t->items[i];
        put_name(r->name, 24);
        printf(" %7lld  ", (long long)r->replies);
        put_bar(r->answer_up, r->answer_down);
        printf(" %5lld %5lld  %8.0f %8.1f\n", (long long)r->answer_up, (long long)r->answer_down, r->thought_tokens, r->thought_ms / 1000);
    }
}

static json_t *table_json(const struct stats_table *t)
{
    json_t *list = json_array();

    for (size_t i = 0; i < t->n; i++) {
        const struct stats_row *r = &t->items[i];
        json_t *o = json_object();
        json_object_set_new(o, "name", record_json_text(r->name, strlen(r->name)));
        json_object_set_new(o, "replies", json_integer(r->replies));
        json_object_set_new(o, "answer_up", json_integer(r->answer_up));
        json_object_set_new(o, "answer_down", json_integer(r->answer_down));
        json_object_set_new(o, "thought_up", json_integer(r->thought_up));
        json_object_set_new(o, "thought_down", json_integer(r->thought_down));
        json_object_set_new(o, "mean_thought_tokens", json_real(r->thought_tokens));
        json_object_set_new(o, "mean_thought_ms", json_real(r->thought_ms));
        json_array_append_new(list, o);
    }
    return list;
}

static void put_count(int64_t n, const char *one, const char *more, const char *behind)
{
    printf("%lld %s%s", (long long)n, n == 1 ? one : more, behind);
}

static int stats(struct store *s, bool json, struct err *e)
{
    struct stats_totals t;
    json_t *o = json ? json_object() : NULL;

    int rc = store_totals(s, &t, e);
    if (!rc && json) {
        const struct {
            const char *key;
            int64_t n;
        } totals[] = {
            {"conversations", t.conversations}, {"prompts", t.prompts},      {"replies", t.replies}, {"votes", t.votes},
            {"step_ratings", t.step_ratings},   {"edits", t.edits},          {"tags", t.tags},       {"thought_tokens", t.thought_tokens},
            {"answer_tokens", t.answer_tokens}, {"thought_ms", t.thought_ms}};
        for (size_t i = 0; i < ARRAY_LEN(totals); i++) json_object_set_new(o, totals[i].key, json_integer(totals[i].n));
    } else if (!rc) {
        put_count(t.conversations, "conversation", "conversations", ", ");
        put_count(t.prompts, "prompt", "prompts", ", ");
        put_count(t.replies, "reply", "replies", "\n");
        put_count(t.thought_tokens, "token", "tokens", " of thought in ");
        printf("%.0f s, ", (double)t.thought_ms / 1000);
        put_count(t.answer_tokens, "token", "tokens", " of answers\n");
        put_count(t.votes, "vote", "votes", " on pairs, ");
        put_count(t.edits, "corrected reply", "corrected replies", ", ");
        put_count(t.step_ratings, "step", "steps", " rated, ");
        put_count(t.tags, "tag", "tags", "\n");
    }
    for (size_t i = 0; i < ARRAY_LEN(tables) && !rc; i++) {
        struct stats_table table;
        rc = store_stats(s, tables[i].by, &table, e);
        if (!rc && json) json_object_set_new(o, tables[i].key, table_json(&table));
        if (!rc && !json && table.n) put_table(tables[i].heading, &table);
        stats_table_release(&table);
    }
    if (!rc && json) return record_put_json(o) ? err_set(e, ERR_NOMEM, "out of memory") : 0;
    json_decref(o);
    return rc;
}

int cmd_stats(int argc, char **argv)
{
    struct store *s = NULL;
    struct args a;
    bool json = false;

    int code = args_only_json(&a, argc, argv, &json);
    if (!code) {
        int rc = record_open(&s, &a.set, &a.err);
        if (!rc) rc = stats(s, json, &a.err);
        code = cli_finish(rc ? cli_fail(&a.err) : 0);
    }
    store_close(s);
    args_end(&a);
    return code;
}
