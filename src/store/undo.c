/*
 * undo.c - taking ratings back.
 *
 * Before a rating, tag, corrected text, step or vote changes, what was there goes into `undo` in the same transaction. Taking back puts it
 * there again and forgets the entry; there is no way forward again but to rate anew. Entries go with their message, so that deleting a
 * conversation leaves nothing of it here.
 */
#include "store/internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define UNDO_KEPT 2000

/* A query whose row becomes a JSON array: of texts, numbers and nulls. */
static json_t *row_json(struct query *q)
{
    json_t *row = json_array();
    int columns = sqlite3_column_count(q->stmt);

    for (int i = 0; i < columns && !q->rc; i++) {
        json_t *value;
        size_t n = 0;
        switch (sqlite3_column_type(q->stmt, i)) {
        case SQLITE_NULL: value = json_null(); break;
        case SQLITE_INTEGER: value = json_integer(query_get_int(q, i)); break;
        default: {
            char *text = query_get_text(q, i, &n);
            value = text ? json_stringn(text, n) : NULL;
            free(text);
        }
        }
        if (json_array_append_new(row, value) != 0 && !q->rc) q->rc = err_set(q->err, ERR_NOMEM, "out of memory");
    }
    return row;
}

static int add_entry(struct store *s, int64_t message, const char *kind, json_t *before, struct err *e)
{
    struct query q;
    char *text = before ? json_write(before, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    json_decref(before);
    if (!text) return err_set(e, ERR_NOMEM, "out of memory");
    if (!s->undo_open || !s->undo_batch) {
        int rc = db_number(s, "SELECT coalesce(max(batch), 0) + 1 FROM undo", &s->undo_batch, e);
        if (rc) {
            free(text);
            return rc;
        }
    }
    query_init(&q, s, "INSERT INTO undo(batch, message, kind, before, made_ms) VALUES(?1, ?2, ?3, ?4, ?5)", e);
    query_int(&q, 1, s->undo_batch);
    query_int(&q, 2, message);
    query_cstr(&q, 3, kind);
    query_cstr(&q, 4, text);
    query_int(&q, 5, clock_wall_ms());
    int rc = query_run(&q);
    free(text);
    if (rc) return rc;
    query_init(&q, s, "DELETE FROM undo WHERE id <= ?1", e);
    query_int(&q, 1, sqlite3_last_insert_rowid(s->db) - UNDO_KEPT);
    return query_run(&q);
}

/* Notes the rows that a query with one or two numbers and perhaps a text gives. */
static int note_rows(struct store *s, const char *sql, int64_t message, int64_t other, const char *text, const char *kind, struct err *e)
{
    struct query q;
    json_t *rows = json_array();

    query_init(&q, s, sql, e);
    query_int(&q, 1, message);
    if (other) query_int(&q, 2, other);
    if (text) query_cstr(&q, 2, text);
    while (query_row(&q)) {
        json_t *row = row_json(&q);
        if (json_array_append_new(rows, row) != 0 && !q.rc) q.rc = err_set(e, ERR_NOMEM, "out of memory");
    }
    int rc = query_end(&q);
    if (rc) {
        json_decref(rows);
        return rc;
    }
    return add_entry(s, message, kind, rows, e);
}

int undo_note_rating(struct store *s, int64_t reply, enum part part, struct err *e)
{
    static const char sql[] =
        "SELECT ?2, r.value, r.reasons, r.comment, r.rated_ms FROM (SELECT 1) LEFT JOIN ratings r ON r.message = ?1 AND r.part = ?2";
    return note_rows(s, sql, reply, 0, part == PART_ANSWER ? "answer" : "thought", "rating", e);
}

int undo_note_tag(struct store *s, int64_t reply, const char *tag, struct err *e)
{
    static const char sql[] = "SELECT ?2, EXISTS (SELECT 1 FROM tags WHERE message = ?1 AND tag = ?2)";
    return note_rows(s, sql, reply, 0, tag, "tag", e);
}

int undo_note_edit(struct store *s, int64_t reply, enum part part, struct err *e)
{
    static const char answer[] = "SELECT 'answer', edited_text, edited_ms FROM messages WHERE id = ?1";
    static const char thought[] = "SELECT 'thought', edited_thought, edited_ms FROM messages WHERE id = ?1";
    return note_rows(s, part == PART_ANSWER ? answer : thought, reply, 0, NULL, "edit", e);
}

int undo_note_steps(struct store *s, int64_t reply, struct err *e)
{
    static const char sql[] = "SELECT step, unit, byte_offset, byte_length, value, rated_ms FROM steps WHERE message = ?1 ORDER BY step";
    return note_rows(s, sql, reply, 0, NULL, "steps", e);
}

/* The row: the two, the leaf, then the vote that was there or nulls. */
int undo_note_vote(struct store *s, int64_t a, int64_t b, struct err *e)
{
    static const char sql[] = "SELECT ?1, ?2, c.leaf, v.a, v.b, v.verdict, v.strength, v.shown_first, v.blind, v.spent_ms, v.voted_ms"
                              " FROM messages m JOIN conversations c ON c.id = m.conversation"
                              " LEFT JOIN votes v ON min(v.a, v.b) = min(?1, ?2) AND max(v.a, v.b) = max(?1, ?2) WHERE m.id = ?1";
    return note_rows(s, sql, a, b, NULL, "vote", e);
}

void store_undo_group(struct store *s, bool begin)
{
    store_lock(s);
    s->undo_open = begin;
    s->undo_batch = 0;
    store_unlock(s);
}

/* ---- putting back -------------------------------------------------------------------------------------------- */

/* Binds the row's values from `first` on to the parameters from `at` on. */
static void bind_row(struct query *q, int at, const json_t *row, size_t first)
{
    for (size_t i = first; i < json_array_size(row); i++) {
        const json_t *value = json_array_get(row, i);
        if (json_is_string(value)) {
            query_text(q, at++, json_string_value(value), json_string_length(value));
        } else if (json_is_integer(value)) {
            query_int(q, at++, json_integer_value(value));
        } else {
            query_null(q, at++);
        }
    }
}

static int run_with(struct store *s, const char *sql, int64_t message, const json_t *row, size_t first, struct err *e)
{
    struct query q;

    query_init(&q, s, sql, e);
    if (message) query_int(&q, 1, message);
    bind_row(&q, message ? 2 : 1, row, first);
    return query_run(&q);
}

static int put_back_rating(struct store *s, int64_t message, const json_t *row, struct err *e)
{
    static const char put[] = "INSERT INTO ratings(message, part, value, reasons, comment, rated_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6)"
                              " ON CONFLICT(message, part) DO UPDATE SET value = ?3, reasons = ?4, comment = ?5, rated_ms = ?6";
    struct query q;

    if (!json_is_null(json_array_get(row, 1))) return run_with(s, put, message, row, 0, e);
    query_init(&q, s, "DELETE FROM ratings WHERE message = ?1 AND part = ?2", e);
    query_int(&q, 1, message);
    query_cstr(&q, 2, json_string_value(json_array_get(row, 0)));
    return query_run(&q);
}

static int put_back_tag(struct store *s, int64_t message, const json_t *row, struct err *e)
{
    struct query q;

    query_init(&q, s,
               json_integer_value(json_array_get(row, 1)) ? "INSERT INTO tags(message, tag) VALUES(?1, ?2) ON CONFLICT DO NOTHING"
                                                          : "DELETE FROM tags WHERE message = ?1 AND tag = ?2",
               e);
    query_int(&q, 1, message);
    query_cstr(&q, 2, json_string_value(json_array_get(row, 0)));
    return query_run(&q);
}

static int put_back_edit(struct store *s, int64_t message, const json_t *row, struct err *e)
{
    static const char answer[] = "UPDATE messages SET edited_text = ?2, edited_ms = ?3 WHERE id = ?1";
    static const char thought[] = "UPDATE messages SET edited_thought = ?2, edited_ms = ?3 WHERE id = ?1";
    const char *part = json_string_value(json_array_get(row, 0));

    int rc = index_drop(s, message, e);
    if (!rc) rc = run_with(s, part && !strcmp(part, "thought") ? thought : answer, message, row, 1, e);
    return rc ? rc : index_add(s, message, e);
}

static int put_back_steps(struct store *s, int64_t message, const json_t *rows, struct err *e)
{
    static const char put[] =
        "INSERT INTO steps(message, step, unit, byte_offset, byte_length, value, rated_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    struct query q;

    query_init(&q, s, "DELETE FROM steps WHERE message = ?1", e);
    query_int(&q, 1, message);
    int rc = query_run(&q);
    for (size_t i = 0; i < json_array_size(rows) && !rc; i++) rc = run_with(s, put, message, json_array_get(rows, i), 0, e);
    return rc;
}

static int put_back_vote(struct store *s, const json_t *row, struct err *e)
{
    /* one of the two may have been deleted since */
    static const char put[] = "INSERT INTO votes(a, b, verdict, strength, shown_first, blind, spent_ms, voted_ms)"
                              " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE (SELECT count(*) FROM messages WHERE id IN (?1, ?2)) = 2";
    int64_t a = json_integer_value(json_array_get(row, 0)), b = json_integer_value(json_array_get(row, 1));
    int64_t leaf = json_integer_value(json_array_get(row, 2)), conversation = 0;
    struct query q;

    query_init(&q, s, "DELETE FROM votes WHERE min(a, b) = min(?1, ?2) AND max(a, b) = max(?1, ?2)", e);
    query_int(&q, 1, a);
    query_int(&q, 2, b);
    int rc = query_run(&q);
    if (!rc && !json_is_null(json_array_get(row, 3))) rc = run_with(s, put, 0, row, 3, e);
    if (rc || !leaf) return rc;
    query_init(&q, s, "SELECT conversation FROM messages WHERE id = ?1", e);
    query_int(&q, 1, leaf);
    if (query_row(&q)) conversation = query_get_int(&q, 0);
    rc = query_end(&q);
    return rc || !conversation ? rc : branch_set_leaf(s, conversation, leaf, e);
}

static int put_back(struct store *s, int64_t message, const char *kind, const char *before, struct err *e)
{
    json_t *rows = json_loads(before, JSON_ALLOW_NUL, NULL);
    const json_t *row = json_array_get(rows, 0);
    int rc;

    if (!json_is_array(rows)) {
        rc = err_set(e, ERR_DB, "the note for taking back is damaged");
    } else if (!strcmp(kind, "steps")) {
        rc = put_back_steps(s, message, rows, e);
    } else if (!json_is_array(row)) {
        rc = err_set(e, ERR_DB, "the note for taking back is damaged");
    } else if (!strcmp(kind, "rating")) {
        rc = put_back_rating(s, message, row, e);
    } else if (!strcmp(kind, "tag")) {
        rc = put_back_tag(s, message, row, e);
    } else if (!strcmp(kind, "edit")) {
        rc = put_back_edit(s, message, row, e);
    } else {
        rc = put_back_vote(s, row, e);
    }
    json_decref(rows);
    return rc;
}

/* The newest entry of the batch, taken out. *id 0 when there is none. */
static int take_entry(struct store *s, int64_t batch, int64_t *id, struct undone *out, struct err *e)
{
    struct query q;
    char *kind = NULL, *before = NULL;

    *id = 0;
    query_init(&q, s, "SELECT id, message, kind, before FROM undo WHERE batch = ?1 ORDER BY id DESC LIMIT 1", e);
    query_int(&q, 1, batch);
    if (query_row(&q)) {
        *id = query_get_int(&q, 0);
        out->message = query_get_int(&q, 1);
        kind = query_get_text(&q, 2, NULL);
        before = query_get_text(&q, 3, NULL);
    }
    int rc = query_end(&q);
    if (!rc && kind && before) {
        snprintf(out->what, sizeof out->what, "%s", kind);
        rc = put_back(s, out->message, kind, before, e);
    }
    free(kind);
    free(before);
    if (rc || !*id) return rc;
    query_init(&q, s, "DELETE FROM undo WHERE id = ?1", e);
    query_int(&q, 1, *id);
    return query_run(&q);
}

static int undo(struct store *s, int64_t conversation, struct undone *out, struct err *e)
{
    struct query q;
    int64_t batch = 0, id = 1;

    query_init(
        &q, s,
        "SELECT u.batch FROM undo u JOIN messages m ON m.id = u.message WHERE ?1 = 0 OR m.conversation = ?1 ORDER BY u.id DESC LIMIT 1", e);
    query_int(&q, 1, conversation);
    if (query_row(&q)) batch = query_get_int(&q, 0);
    int rc = query_end(&q);
    if (!rc && !batch) return err_set(e, ERR_NOT_FOUND, "there is nothing to take back");
    while (!rc && id) rc = take_entry(s, batch, &id, out, e);
    return rc;
}

int store_undo(struct store *s, int64_t conversation, struct undone *out, struct err *e)
{
    struct undone done = {0};

    store_lock(s);
    int rc = db_begin(s, e);
    if (!rc) rc = db_end(s, undo(s, conversation, &done, e), e);
    store_unlock(s);
    if (rc) done = (struct undone){0};
    if (out) *out = done;
    return rc;
}
