/*
 * provenance.c - what a reply came from: all that is needed to write it again.
 */
#include "store/internal.h"

#include <stdlib.h>

void provenance_release(struct provenance *p)
{
    if (!p) return;
    char *texts[] = {p->model, p->model_file, p->model_sha256, p->family, p->adapter, p->engine_version, p->kernels, p->system, p->budget, p->think, p->cot};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) free(texts[i]);
    for (size_t i = 0; i < p->n_events; i++) {
        free(p->events[i].kind);
        free(p->events[i].value);
    }
    free(p->events);
    for (size_t i = 0; i < p->n_spans; i++) free(p->spans[i].kind);
    free(p->spans);
    *p = (struct provenance){0};
}

static int load_row(struct store *s, int64_t reply, struct provenance *p, struct err *e)
{
    struct query q;

    query_init(&q, s,
               "SELECT r.model, r.model_file, r.model_sha256, r.family, r.adapter, r.engine_version, r.system, r.budget, r.think, r.cot,"
               " r.seed, r.temp, r.top_k, r.top_p, r.min_p, r.repeat_penalty, r.think_min, r.answer_max, r.context,"
               " coalesce(r.keep_thoughts, 0), coalesce(r.loop_guard, 1), coalesce(r.thought_of, 0), m.created_ms, m.parent, r.kernels"
               " FROM replies r JOIN messages m ON m.id = r.message WHERE r.message = ?1",
               e);
    query_int(&q, 1, reply);
    if (query_row(&q)) {
        char **texts[] = {&p->model, &p->model_file, &p->model_sha256, &p->family, &p->adapter, &p->engine_version,
                          &p->system, &p->budget, &p->think, &p->cot};
        for (int i = 0; i < (int)ARRAY_LEN(texts); i++) *texts[i] = query_get_text(&q, i, NULL);
        p->seeded = sqlite3_column_type(q.stmt, 10) != SQLITE_NULL;
        p->seed = query_get_int(&q, 10);
        p->temp = query_get_real(&q, 11);
        p->top_k = (int)query_get_int(&q, 12);
        p->top_p = query_get_real(&q, 13);
        p->min_p = query_get_real(&q, 14);
        p->repeat_penalty = query_get_real(&q, 15);
        p->think_min = (int)query_get_int(&q, 16);
        p->answer_max = (int)query_get_int(&q, 17);
        p->context = (int)query_get_int(&q, 18);
        p->keep_thoughts = query_get_int(&q, 19) != 0;
        p->loop_guard = query_get_int(&q, 20) != 0;
        p->thought_of = query_get_int(&q, 21);
        p->created_ms = query_get_int(&q, 22);
        p->parent = query_get_int(&q, 23);
        p->kernels = query_get_text(&q, 24, NULL);
    }
    return query_end(&q);
}

static int load_events(struct store *s, int64_t reply, struct provenance *p, struct err *e)
{
    struct query q;
    size_t cap = 0;

    query_init(&q, s, "SELECT position, kind, value FROM events WHERE message = ?1 ORDER BY id", e);
    query_int(&q, 1, reply);
    while (query_row(&q)) {
        struct reply_event ev = {.position = (size_t)query_get_int(&q, 0), .kind = query_get_text(&q, 1, NULL), .value = query_get_text(&q, 2, NULL)};
        if (!q.rc && !mem_grow(&p->events, &cap, p->n_events + 1, sizeof *p->events)) q.rc = err_set(e, ERR_NOMEM, "out of memory");
        if (q.rc) {
            free(ev.kind);
            free(ev.value);
        } else {
            p->events[p->n_events++] = ev;
        }
    }
    return query_end(&q);
}

static int load_spans(struct store *s, int64_t reply, struct provenance *p, struct err *e)
{
    struct query q;
    size_t cap = 0;

    query_init(&q, s, "SELECT position, byte_offset, byte_length, kind FROM spans WHERE message = ?1 ORDER BY id", e);
    query_int(&q, 1, reply);
    while (query_row(&q)) {
        struct reply_span sp = {.position = (size_t)query_get_int(&q, 0), .offset = (size_t)query_get_int(&q, 1),
                                .length = (size_t)query_get_int(&q, 2), .kind = query_get_text(&q, 3, NULL)};
        if (!q.rc && !mem_grow(&p->spans, &cap, p->n_spans + 1, sizeof *p->spans)) q.rc = err_set(e, ERR_NOMEM, "out of memory");
        if (q.rc)
            free(sp.kind);
        else
            p->spans[p->n_spans++] = sp;
    }
    return query_end(&q);
}

int store_load_provenance(struct store *s, int64_t reply, struct provenance *out, struct err *e)
{
    *out = (struct provenance){0};
    store_lock(s);
    int rc = check_reply(s, reply, e);
    if (!rc) rc = load_row(s, reply, out, e);
    if (!rc) rc = load_events(s, reply, out, e);
    if (!rc) rc = load_spans(s, reply, out, e);
    store_unlock(s);
    if (rc) provenance_release(out);
    return rc;
}
