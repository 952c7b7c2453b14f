/*
 * delete.c - deleting for good.
 *
 * Deleting rows leaves traces: words in the full-text index until its segments are merged, copies that moved between pages, frames in
 * the log. So the index is merged, the whole file is written anew and the log is emptied. That a wipe is due is noted in the same
 * transaction that deletes; a wipe that could not be finished is made up for at the next opening or deletion.
 *
 * What this cannot reach: blocks that the file system or the disk's own wear levelling keep elsewhere, and backups.
 */
#include "store/internal.h"

#include <stdlib.h>

bool store_wipe_pending(struct store *s)
{
    int64_t pending = 0;
    return db_number(s, "SELECT EXISTS (SELECT 1 FROM notes WHERE name = 'wipe')", &pending, NULL) == 0 && pending != 0;
}

int store_wipe(struct store *s, struct err *e)
{
    int rc = db_exec(s, "INSERT INTO message_index(message_index) VALUES('optimize')", e);

    if (!rc) rc = db_exec(s, "VACUUM", e);
    if (!rc && s->path) {
        int sqlite_rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        if (sqlite_rc != SQLITE_OK) rc = db_error(s, sqlite_rc, e);
    }
    return rc ? rc : db_exec(s, "DELETE FROM notes WHERE name = 'wipe'", e);
}

/* ERR_BUSY while another living program writes a reply in it. */
static int check_idle(struct store *s, int64_t conversation, struct err *e)
{
    struct query q;
    bool busy = false;

    query_init(&q, s, "SELECT w.slot, w.writer FROM streams w JOIN messages m ON m.id = w.message WHERE m.conversation = ?1", e);
    query_int(&q, 1, conversation);
    while (query_row(&q) && !busy) {
        char *writer = query_get_text(&q, 1, NULL);
        bool own = s->writer_slot >= 0 && query_get_int(&q, 0) == s->writer_slot;
        busy = writer && !own && writer_alive(s, query_get_int(&q, 0), writer);
        free(writer);
    }
    int rc = query_end(&q);
    if (!rc && busy) rc = err_set(e, ERR_BUSY, "conversation %lld: another program is writing a reply in it", (long long)conversation);
    return rc;
}

static int delete_rows(struct store *s, int64_t conversation, struct err *e)
{
    struct query q;

    int rc = check_idle(s, conversation, e);
    if (!rc) rc = index_drop_conversation(s, conversation, e);
    if (rc) return rc;
    query_init(&q, s, "DELETE FROM conversations WHERE id = ?1", e);
    query_int(&q, 1, conversation);
    rc = query_run(&q);
    if (!rc) rc = db_expect_change(s, "conversation", conversation, e);
    return rc ? rc : db_exec(s, "INSERT OR REPLACE INTO notes(name, value) VALUES('wipe', 'due')", e);
}

/* Forgets the replies that went with the conversation. */
static int drop_streams(struct store *s, struct err *e)
{
    int rc = 0;

    for (size_t i = s->n_streams; i-- > 0 && !rc;) {
        struct query q;
        bool there = false;
        query_init(&q, s, "SELECT 1 FROM streams WHERE message = ?1", e);
        query_int(&q, 1, s->streams[i].reply);
        if (query_row(&q)) there = true;
        rc = query_end(&q);
        if (!rc && !there) s->streams[i] = s->streams[--s->n_streams];
    }
    return rc;
}

int store_delete(struct store *s, int64_t conversation, struct err *e)
{
    struct err trouble = {0};

    store_lock(s);
    int rc = db_begin(s, e);
    if (!rc) rc = db_end(s, delete_rows(s, conversation, e), e);
    if (!rc) rc = drop_streams(s, e);
    if (!rc) {
        rc = store_wipe(s, &trouble);
        if (rc) err_set(e, rc, "deleted, but traces of it may be left in the file until the next deletion: %s", trouble.text);
    }
    store_unlock(s);
    return rc;
}

void text_list_release(struct text_list *l)
{
    if (!l) return;
    for (size_t i = 0; i < l->n; i++) free(l->texts[i]);
    free(l->texts);
    *l = (struct text_list){0};
}

int store_load_typed(struct store *s, int64_t conversation, struct text_list *out, struct err *e)
{
    struct query q;
    size_t cap = 0;

    *out = (struct text_list){0};
    store_lock(s);
    query_init(&q, s,
               "SELECT text FROM messages WHERE conversation = ?1 AND role = 'user'"
               " UNION ALL SELECT CAST(substr(CAST(m.thought AS BLOB), p.byte_offset + 1, p.byte_length) AS TEXT) FROM spans p"
               " JOIN messages m ON m.id = p.message WHERE m.conversation = ?1 AND p.author = 'user'"
               " UNION ALL SELECT title FROM conversations WHERE id = ?1 UNION ALL SELECT system FROM conversations WHERE id = ?1",
               e);
    query_int(&q, 1, conversation);
    while (query_row(&q)) {
        char *text = query_get_text(&q, 0, NULL);
        if (!q.rc && !mem_grow(&out->texts, &cap, out->n + 1, sizeof *out->texts)) q.rc = err_set(e, ERR_NOMEM, "out of memory");
        if (q.rc)
            free(text);
        else
            out->texts[out->n++] = text;
    }
    int rc = query_end(&q);
    store_unlock(s);
    if (rc) text_list_release(out);
    return rc;
}
