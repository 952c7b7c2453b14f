/* stats.c - counts of the record for the user's eyes. */
#include "store/internal.h"

#include <stdlib.h>

void stats_table_release(struct stats_table *t)
{
    if (!t) return;
    for (size_t i = 0; i < t->n; i++) free(t->items[i].name);
    free(t->items);
    *t = (struct stats_table){0};
}

/* clang-format off */
#define GROUPED(name, order) \
    "SELECT " name " AS name, count(*), sum(t.value > 0), sum(t.value < 0), sum(a.value > 0), sum(a.value < 0)," \
    " coalesce(avg(nullif(r.thought_tokens, 0)), 0), coalesce(avg(nullif(r.thought_ms, 0)), 0)" \
    " FROM messages m JOIN replies r ON r.message = m.id LEFT JOIN ratings t ON t.message = m.id AND t.part = 'thought'" \
    " LEFT JOIN ratings a ON a.message = m.id AND a.part = 'answer' WHERE m.streaming = 0 GROUP BY name ORDER BY " order
#define LENGTH \
    "CASE WHEN coalesce(r.thought_tokens, 0) = 0 THEN 'none' WHEN r.thought_tokens < 64 THEN '1-63' WHEN r.thought_tokens < 128" \
        " THEN '64-127'" \
    " WHEN r.thought_tokens < 256 THEN '128-255' WHEN r.thought_tokens < 512 THEN '256-511' WHEN r.thought_tokens < 1024 THEN '512-1023'" \
    " WHEN r.thought_tokens < 2048 THEN '1024-2047' ELSE '2048 and more' END"
static const char *const tables[] = {
    [STATS_ALL] = GROUPED("'all'", "1"),
    [STATS_MODEL] = GROUPED("r.model", "count(*) DESC, name"),
    [STATS_BUDGET] = GROUPED("coalesce(r.budget, '')", "count(*) DESC, name"),
    [STATS_ENDING] = GROUPED("coalesce(r.ended, '')", "count(*) DESC, name"),
    [STATS_LENGTH] = GROUPED(LENGTH, "min(coalesce(r.thought_tokens, 0))"),
    [STATS_MONTH] = GROUPED("strftime('%Y-%m', m.created_ms / 1000, 'unixepoch')", "name"),
};
/* clang-format on */

int store_stats(struct store *s, enum stats_by by, struct stats_table *out, struct err *e)
{
    struct query q;
    size_t cap = 0;

    *out = (struct stats_table){0};
    if ((size_t)by >= ARRAY_LEN(tables)) return err_set(e, ERR_INVALID, "there is no such table");
    store_lock(s);
    query_init(&q, s, tables[by], e);
    while (query_row(&q)) {
        struct stats_row r = {.name = query_get_text(&q, 0, NULL),
                              .replies = query_get_int(&q, 1),
                              .thought_up = query_get_int(&q, 2),
                              .thought_down = query_get_int(&q, 3),
                              .answer_up = query_get_int(&q, 4),
                              .answer_down = query_get_int(&q, 5),
                              .thought_tokens = query_get_real(&q, 6),
                              .thought_ms = query_get_real(&q, 7)};
        if (!q.rc && !mem_grow(&out->items, &cap, out->n + 1, sizeof *out->items)) q.rc = err_set(e, ERR_NOMEM, "out of memory");
        if (q.rc) {
            free(r.name);
        } else {
            out->items[out->n++] = r;
        }
    }
    int rc = query_end(&q);
    store_unlock(s);
    if (rc) stats_table_release(out);
    return rc;
}

int store_totals(struct store *s, struct stats_totals *out, struct err *e)
{
    struct query q;

    *out = (struct stats_totals){0};
    store_lock(s);
    query_init(
        &q, s,
        "SELECT (SELECT count(*) FROM conversations), (SELECT count(*) FROM messages WHERE role = 'user'), (SELECT count(*) FROM replies),"
        " (SELECT count(*) FROM votes), (SELECT count(*) FROM steps),"
        " (SELECT count(*) FROM messages WHERE edited_text IS NOT NULL OR edited_thought IS NOT NULL), (SELECT count(*) FROM tags),"
        " (SELECT coalesce(sum(thought_tokens), 0) FROM replies), (SELECT coalesce(sum(answer_tokens), 0) FROM replies),"
        " (SELECT coalesce(sum(thought_ms), 0) FROM replies)",
        e);
    int64_t *to[] = {&out->conversations, &out->prompts, &out->replies,        &out->votes,         &out->step_ratings,
                     &out->edits,         &out->tags,    &out->thought_tokens, &out->answer_tokens, &out->thought_ms};
    while (query_row(&q))
        for (size_t i = 0; i < ARRAY_LEN(to); i++) *to[i] = query_get_int(&q, (int)i);
    int rc = query_end(&q);
    store_unlock(s);
    return rc;
}
