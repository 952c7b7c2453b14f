/*
 * rate.c - ratings, tags and corrected texts of replies.
 *
 * Thought and answer are rated apart. A reply still being written has nothing to rate yet. A rating taken back leaves its comment, but
 * not the reasons, which were reasons for something.
 */
#include "store/internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define TAG_BYTES 200

static const char *const part_names[] = {[PART_ANSWER] = "answer", [PART_THOUGHT] = "thought"};

int check_reply(struct store *s, int64_t reply, struct err *e)
{
    enum message_role role = MESSAGE_USER;
    bool streaming = false;

    int rc = message_look(s, reply, &role, &streaming, e);
    if (rc) return rc;
    if (role != MESSAGE_REPLY) return err_set(e, ERR_INVALID, "message %lld is a prompt, not a reply", (long long)reply);
    if (streaming) return err_set(e, ERR_INVALID, "reply %lld is still being written", (long long)reply);
    return 0;
}

/* Reasons are a JSON array of texts; *out is it written anew, malloc'ed, the caller's. */
static int check_reasons(const char *reasons, char **out, struct err *e)
{
    json_error_t bad;
    json_t *list = json_loads(reasons, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &bad);
    bool good = json_is_array(list);

    for (size_t i = 0; good && i < json_array_size(list); i++) good = json_is_string(json_array_get(list, i));
    *out = good ? json_write(list, JSON_COMPACT) : NULL;
    json_decref(list);
    if (!good) return err_set(e, ERR_INVALID, "reasons are not a JSON array of texts");
    return *out ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static int put_rating(struct store *s, int64_t reply, enum part part, int value, const char *reasons, const char *comment, struct err *e)
{
    struct query q;

    query_init(
        &q, s,
        "INSERT INTO ratings(message, part, value, reasons, comment, rated_ms) VALUES(?1, ?2, ?3, coalesce(?4, '[]'), nullif(?5, ''), ?6)"
        " ON CONFLICT(message, part) DO UPDATE SET value = ?3, rated_ms = ?6,"
        " reasons = coalesce(?4, CASE ?3 WHEN 0 THEN '[]' ELSE reasons END),"
        " comment = CASE WHEN ?5 IS NULL THEN comment ELSE nullif(?5, '') END",
        e);
    query_int(&q, 1, reply);
    query_cstr(&q, 2, part_names[part]);
    query_int(&q, 3, value);
    query_cstr(&q, 4, reasons);
    query_cstr(&q, 5, comment);
    query_int(&q, 6, clock_wall_ms());
    return query_run(&q);
}

int store_rate(struct store *s, int64_t reply, enum part part, int value, const char *reasons, const char *comment, struct err *e)
{
    char *checked = NULL;

    if (value < -1 || value > 1) return err_set(e, ERR_INVALID, "a rating is -1, 0 or 1, not %d", value);
    int rc = reasons ? check_reasons(reasons, &checked, e) : 0;
    if (rc) return rc;
    store_lock(s);
    rc = db_begin(s, e);
    if (!rc) {
        rc = check_reply(s, reply, e);
        if (!rc) rc = undo_note_rating(s, reply, part, e);
        if (!rc) rc = put_rating(s, reply, part, value, checked, comment, e);
        rc = db_end(s, rc, e);
    }
    store_unlock(s);
    free(checked);
    return rc;
}

static int check_tag(const char *tag, struct err *e)
{
    if (!tag[0] || strlen(tag) > TAG_BYTES) return err_set(e, ERR_INVALID, "a tag has 1 to %d bytes", TAG_BYTES);
    for (const char *p = tag; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) return err_set(e, ERR_INVALID, "a tag holds no control characters");
    return 0;
}

/* Inside a transaction. */
static int put_tag(struct store *s, int64_t reply, const char *tag, bool on, struct err *e)
{
    struct query q;

    int rc = undo_note_tag(s, reply, tag, e);
    if (rc) return rc;
    query_init(&q, s,
               on ? "INSERT INTO tags(message, tag) VALUES(?1, ?2) ON CONFLICT DO NOTHING"
                  : "DELETE FROM tags WHERE message = ?1 AND tag = ?2",
               e);
    query_int(&q, 1, reply);
    query_cstr(&q, 2, tag);
    return query_run(&q);
}

int store_tag(struct store *s, int64_t reply, const char *tag, bool on, struct err *e)
{
    int rc = check_tag(tag, e);
    if (rc) return rc;
    store_lock(s);
    rc = db_begin(s, e);
    if (!rc) {
        rc = check_reply(s, reply, e);
        if (!rc) rc = put_tag(s, reply, tag, on, e);
        rc = db_end(s, rc, e);
    }
    store_unlock(s);
    return rc;
}

/* The next finished reply behind `after`, 0 none. */
static int next_reply(struct store *s, int64_t conversation, int64_t after, int64_t *reply, struct err *e)
{
    struct query q;

    *reply = 0;
    query_init(&q, s,
               "SELECT id FROM messages WHERE conversation = ?1 AND id > ?2 AND role = 'assistant' AND streaming = 0 ORDER BY id LIMIT 1", e);
    query_int(&q, 1, conversation);
    query_int(&q, 2, after);
    if (query_row(&q)) *reply = query_get_int(&q, 0);
    return query_end(&q);
}

int store_tag_conversation(struct store *s, int64_t conversation, const char *tag, bool on, struct err *e)
{
    int rc = check_tag(tag, e);
    int64_t reply = 0;
    int n = 0;
    if (rc) return rc;
    store_lock(s);
    bool grouped = s->undo_open;
    if (!grouped) s->undo_batch = 0;
    s->undo_open = true;
    rc = db_begin(s, e);
    if (!rc) {
        while (!(rc = next_reply(s, conversation, reply, &reply, e)) && reply && !(rc = put_tag(s, reply, tag, on, e))) n++;
        if (!rc && !n) rc = err_set(e, ERR_NOT_FOUND, "conversation %lld has no reply to tag", (long long)conversation);
        rc = db_end(s, rc, e);
    }
    if (!grouped) s->undo_batch = 0;
    s->undo_open = grouped;
    store_unlock(s);
    return rc;
}

static int put_edit(struct store *s, int64_t reply, enum part part, const char *text, size_t len, struct err *e)
{
    struct query q;

    int rc = check_reply(s, reply, e);
    if (!rc) rc = undo_note_edit(s, reply, part, e);
    if (!rc) rc = index_drop(s, reply, e);
    if (rc) return rc;
    query_init(&q, s,
               part == PART_ANSWER ? "UPDATE messages SET edited_text = ?2, edited_ms = ?3 WHERE id = ?1"
                                   : "UPDATE messages SET edited_thought = ?2, edited_ms = ?3 WHERE id = ?1",
               e);
    query_int(&q, 1, reply);
    query_int(&q, 3, clock_wall_ms());
    if (text) {
        query_text(&q, 2, text, len);
    } else {
        query_null(&q, 2);
    }
    rc = query_run(&q);
    return rc ? rc : index_add(s, reply, e);
}

int store_edit(struct store *s, int64_t reply, enum part part, const char *text, size_t len, struct err *e)
{
    store_lock(s);
    int rc = db_begin(s, e);
    if (!rc) rc = db_end(s, put_edit(s, reply, part, text, len, e), e);
    store_unlock(s);
    return rc;
}

/* ---- reading them back -------------------------------------------------------------------------------------- */

static void rating_release(struct rating *r)
{
    free(r->reasons);
    free(r->comment);
    free(r->edited);
}

void reply_ratings_release(struct reply_ratings *r)
{
    if (!r) return;
    rating_release(&r->answer);
    rating_release(&r->thought);
    free(r->tags);
    *r = (struct reply_ratings){0};
}

int store_load_ratings(struct store *s, int64_t reply, struct reply_ratings *out, struct err *e)
{
    struct query q;
    bool there = false;

    *out = (struct reply_ratings){0};
    store_lock(s);
    query_init(&q, s,
               "SELECT answer_rating, answer_reasons, answer_comment, edited_answer, thought_rating, thought_reasons, thought_comment,"
               " edited_thought, tags FROM turns WHERE message_id = ?1",
               e);
    query_int(&q, 1, reply);
    if (query_row(&q)) {
        struct rating *parts[] = {&out->answer, &out->thought};
        for (int i = 0; i < 2; i++) {
            parts[i]->value = (int)query_get_int(&q, 4 * i);
            parts[i]->reasons = query_get_text(&q, 4 * i + 1, NULL);
            parts[i]->comment = query_get_text(&q, 4 * i + 2, NULL);
            parts[i]->edited = query_get_text_or_null(&q, 4 * i + 3, &parts[i]->edited_len);
        }
        out->tags = query_get_text(&q, 8, NULL);
        there = true;
    }
    int rc = query_end(&q);
    store_unlock(s);
    if (!rc && !there) rc = err_set(e, ERR_NOT_FOUND, "there is no reply %lld", (long long)reply);
    if (rc) reply_ratings_release(out);
    return rc;
}
