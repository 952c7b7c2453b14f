/*
 * samples.c - replies that were written together to one prompt: the samples of a vote, or one for each budget of a comparison.
 *
 * They are siblings like any others. What makes them a group is an event on each, of kind "vote" or "compare", whose value is a JSON
 * object: group (the first sample's message), sample and of (from 1), answer (as it was counted, "" none), votes (samples with that
 * answer), won.
 */
#include "store/internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static int note_sample(struct store *s, const char *kind, const struct sample_note *n, int64_t group, size_t i, size_t of, bool won,
                       struct err *e)
{
    struct query q;
    json_t *o = json_pack("{s:I, s:i, s:i, s:s, s:i, s:b}", "group", (json_int_t)group, "sample", (int)i + 1, "of", (int)of, "answer",
                          n->answer, "votes", n->votes, "won", won);
    char *value = o ? json_write(o, JSON_COMPACT) : NULL;

    json_decref(o);
    if (!value) return err_set(e, ERR_NOMEM, "out of memory, or an answer that is not UTF-8");
    query_init(&q, s,
               "INSERT INTO events(message, position, kind, value, created_ms) SELECT message, coalesce(thought_tokens, 0) +"
               " coalesce(answer_tokens, 0), ?2, ?3, ?4 FROM replies WHERE message = ?1",
               e);
    query_int(&q, 1, n->reply);
    query_cstr(&q, 2, kind);
    query_cstr(&q, 3, value);
    query_int(&q, 4, clock_wall_ms());
    int rc = query_run(&q);
    if (!rc) rc = db_expect_change(s, "reply", n->reply, e);
    free(value);
    return rc;
}

int store_add_samples(struct store *s, const char *kind, const struct sample_note *notes, size_t n, size_t winner, struct err *e)
{
    store_lock(s);
    int rc = db_begin(s, e);
    if (!rc) {
        for (size_t i = 0; i < n && !rc; i++) rc = note_sample(s, kind, &notes[i], notes[0].reply, i, n, i == winner, e);
        if (!rc) rc = branch_select(s, notes[winner].reply, e);
        rc = db_end(s, rc, e);
    }
    store_unlock(s);
    return rc;
}

void sample_list_release(struct sample_list *l)
{
    if (!l) return;
    for (size_t i = 0; i < l->n; i++) free(l->items[i].answer);
    free(l->items);
    message_list_release(&l->messages);
    *l = (struct sample_list){0};
}

/* What is noted of a reply. ERR_NOT_FOUND when it is no sample, or the note cannot be read. */
static int read_note(struct store *s, int64_t reply, char kind[8], struct sample *out, struct err *e)
{
    struct query q;

    *out = (struct sample){0};
    query_init(&q, s, "SELECT kind, value FROM events WHERE message = ?1 AND kind IN ('vote', 'compare') ORDER BY id LIMIT 1", e);
    query_int(&q, 1, reply);
    while (query_row(&q)) {
        char *k = query_get_text(&q, 0, NULL), *value = query_get_text(&q, 1, NULL);
        json_t *o = value ? json_loads(value, 0, NULL) : NULL;
        const char *answer = json_string_value(json_object_get(o, "answer"));
        out->number = (int)json_integer_value(json_object_get(o, "sample"));
        out->of = (int)json_integer_value(json_object_get(o, "of"));
        out->votes = (int)json_integer_value(json_object_get(o, "votes"));
        out->won = json_is_true(json_object_get(o, "won"));
        out->answer = mem_dup_text(answer ? answer : "", answer ? strlen(answer) : 0);
        if (k) snprintf(kind, 8, "%s", k);
        if (!out->answer) q.rc = err_set(e, ERR_NOMEM, "out of memory");
        json_decref(o);
        free(k);
        free(value);
    }
    int rc = query_end(&q);
    if (!rc && out->number < 1) rc = err_set(e, ERR_NOT_FOUND, "message %lld is no sample", (long long)reply);
    return rc;
}

static int load_samples(struct store *s, int64_t reply, struct sample_list *out, struct err *e)
{
    struct sample own;
    int rc = read_note(s, reply, out->kind, &own, e);

    free(own.answer);
    if (!rc) rc = messages_load_samples(s, reply, &out->messages, e);
    if (rc) return rc;
    out->items = calloc(out->messages.n + 1, sizeof *out->items);
    if (!out->items) return err_set(e, ERR_NOMEM, "out of memory");
    for (; !rc && out->n < out->messages.n; out->n++) rc = read_note(s, out->messages.items[out->n].id, out->kind, &out->items[out->n], e);
    return rc;
}

int store_load_samples(struct store *s, int64_t reply, struct sample_list *out, struct err *e)
{
    *out = (struct sample_list){0};
    store_lock(s);
    int rc = load_samples(s, reply, out, e);
    store_unlock(s);
    if (rc) sample_list_release(out);
    return rc;
}
