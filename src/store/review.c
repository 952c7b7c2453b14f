/*
 * review.c - which replies wait for a rating, and how far the user has gone through them.
 */
#include "store/internal.h"

#include <stdlib.h>

/* Both parts that are there must lack a rating: a reply with one of them rated was seen. hits NULL: all. */
static int load_unrated(struct store *s, const struct search_filter *f, const struct search_hits *hits, struct id_list *out, struct err *e)
{
    struct query q;
    size_t cap = 0;

    query_init(&q, s,
               "SELECT m.id, m.parent FROM messages m JOIN replies r ON r.message = m.id WHERE m.streaming = 0 AND (m.text <> '' OR m.thought <> '')"
               " AND NOT EXISTS (SELECT 1 FROM ratings g WHERE g.message = m.id AND g.value <> 0)"
               " AND (?1 = 0 OR m.created_ms >= ?1) AND (?2 = 0 OR m.created_ms < ?2)"
               " AND (?3 IS NULL OR instr(lower(r.model), lower(?3)) > 0)"
               " AND (?4 IS NULL OR EXISTS (SELECT 1 FROM tags t WHERE t.message = m.id AND t.tag = ?4))"
               " AND (?5 IS NULL OR r.ended = ?5 OR r.answer_ended = ?5) ORDER BY m.id",
               e);
    query_int(&q, 1, f->since_ms);
    query_int(&q, 2, f->until_ms);
    query_cstr(&q, 3, f->model);
    query_cstr(&q, 4, f->tag);
    query_cstr(&q, 5, f->ending);
    while (query_row(&q)) {
        if (hits && !search_found(hits, query_get_int(&q, 0)) && !search_found(hits, query_get_int(&q, 1))) continue;
        if (!mem_grow(&out->ids, &cap, out->n + 1, sizeof *out->ids))
            q.rc = err_set(e, ERR_NOMEM, "out of memory");
        else
            out->ids[out->n++] = query_get_int(&q, 0);
    }
    int rc = query_end(&q);
    if (rc) id_list_release(out);
    return rc;
}

int store_unrated(struct store *s, const struct search_filter *f, const char *words, struct id_list *out, struct err *e)
{
    struct search_hits hits = {0};

    *out = (struct id_list){0};
    store_lock(s);
    int rc = words ? search_by_message(s, words, &hits, e) : 0;
    if (!rc) rc = load_unrated(s, f, words ? &hits : NULL, out, e);
    store_unlock(s);
    search_hits_release(&hits);
    return rc;
}

void id_list_release(struct id_list *l)
{
    if (!l) return;
    free(l->ids);
    *l = (struct id_list){0};
}

int store_review_place(struct store *s, int64_t *reply, struct err *e)
{
    struct query q;

    *reply = 0;
    store_lock(s);
    query_init(&q, s, "SELECT CAST(value AS INTEGER) FROM notes WHERE name = 'review'", e);
    if (query_row(&q)) *reply = query_get_int(&q, 0);
    int rc = query_end(&q);
    store_unlock(s);
    return rc;
}

int store_set_review_place(struct store *s, int64_t reply, struct err *e)
{
    struct query q;

    store_lock(s);
    query_init(&q, s, "INSERT OR REPLACE INTO notes(name, value) VALUES('review', CAST(?1 AS TEXT))", e);
    query_int(&q, 1, reply);
    int rc = query_run(&q);
    store_unlock(s);
    return rc;
}
