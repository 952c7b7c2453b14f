/*
 * write.c - conversations, prompts, and replies as they stream.
 *
 * A piece of a reply is one row of `chunks`, in a transaction of its own; the end of the reply joins the pieces into its row. Pieces hold
 * whole characters: bytes that do not end one yet wait in memory for the next piece (struct tail), so that where a stream is cut never
 * shows. Which replies this store streams is known here, in memory; the rows say it to other programs (writer.c).
 *
 * `active` marks the messages on the way from a conversation's root to its leaf. It follows from `leaf` and is kept beside it so that a
 * branch, and the column of `turns`, cost nothing to read.
 */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

#define TITLE_COLUMNS 60
#define TITLE_BYTES   400 /* combining marks take no columns */

/* ---- conversations ------------------------------------------------------------------------------------------ */

int store_new_conversation(struct store *s, const char *system, int64_t *id, struct err *e)
{
    struct query q;

    *id = 0;
    store_lock(s);
    query_init(&q, s, "INSERT INTO conversations(system, created_ms, updated_ms) VALUES(?1, ?2, ?2)", e);
    query_cstr(&q, 1, system ? system : "");
    query_int(&q, 2, clock_wall_ms());
    int rc = query_run(&q);
    if (!rc) *id = sqlite3_last_insert_rowid(s->db);
    store_unlock(s);
    return rc;
}

static int set_conversation_text(struct store *s, const char *sql, int64_t conversation, const char *text, struct err *e)
{
    struct query q;

    store_lock(s);
    query_init(&q, s, sql, e);
    query_int(&q, 1, conversation);
    query_cstr(&q, 2, text ? text : "");
    int rc = query_run(&q);
    if (!rc) rc = db_expect_change(s, "conversation", conversation, e);
    store_unlock(s);
    return rc;
}

int store_set_system(struct store *s, int64_t conversation, const char *system, struct err *e)
{
    static const char sql[] = "UPDATE conversations SET system = ?2 WHERE id = ?1";
    return set_conversation_text(s, sql, conversation, system, e);
}

int store_set_title(struct store *s, int64_t conversation, const char *title, struct err *e)
{
    static const char sql[] = "UPDATE conversations SET title = ?2 WHERE id = ?1";
    return set_conversation_text(s, sql, conversation, title, e);
}

/* The first line of a prompt's words, cut to what a list has room for. */
static void make_title(struct str *out, const char *text, size_t len)
{
    int columns = 0;
    bool gap = false;

    for (size_t i = 0; i < len;) {
        int wide = 0;
        size_t n = utf8_grapheme(text + i, len - i, &wide);
        if (strchr(" \t\r\n", text[i]) && text[i]) {
            gap = out->len > 0;
        } else {
            if (columns + wide + gap > TITLE_COLUMNS || out->len + n >= TITLE_BYTES) {
                str_add(out, "…");
                return;
            }
            if (gap) str_add_char(out, ' ');
            str_add_bytes(out, text + i, n);
            columns += wide + gap;
            gap = false;
        }
        i += n;
    }
}

int conversation_name(struct store *s, int64_t conversation, const char *text, size_t len, struct err *e)
{
    struct str title = STR_EMPTY;
    struct query q;

    make_title(&title, text, len);
    query_init(&q, s, "UPDATE conversations SET title = ?2 WHERE id = ?1 AND title = ''", e);
    query_int(&q, 1, conversation);
    query_text(&q, 2, str_cstr(&title), title.len);
    if (!str_ok(&title)) q.rc = err_set(e, ERR_NOMEM, "out of memory");
    int rc = query_run(&q);
    str_release(&title);
    return rc;
}

/* ---- the tree ----------------------------------------------------------------------------------------------- */

#define PATH_UP "WITH RECURSIVE up(id) AS (SELECT ?2 UNION SELECT parent FROM messages JOIN up USING(id) WHERE parent IS NOT NULL) "

int branch_set_leaf(struct store *s, int64_t conversation, int64_t leaf, struct err *e)
{
    struct query q;
    int64_t old_leaf = 0, parent = 0;

    query_init(&q, s, "SELECT coalesce(leaf, 0), coalesce((SELECT parent FROM messages WHERE id = ?2), 0) FROM conversations WHERE id = ?1",
               e);
    query_int(&q, 1, conversation);
    query_int(&q, 2, leaf);
    if (query_row(&q)) {
        old_leaf = query_get_int(&q, 0);
        parent = query_get_int(&q, 1);
    }
    int rc = query_end(&q);
    if (!rc && old_leaf != parent) {
        query_init(&q, s, PATH_UP "UPDATE messages SET active = 0 WHERE conversation = ?1 AND active = 1 AND id NOT IN (SELECT id FROM up)",
                   e);
        query_int(&q, 1, conversation);
        query_int(&q, 2, leaf);
        rc = query_run(&q);
    }
    if (!rc) {
        /* below the old leaf only the new one is not active yet */
        query_init(&q, s,
                   old_leaf == parent ? "UPDATE messages SET active = 1 WHERE id = ?2 AND conversation = ?1"
                                      : PATH_UP "UPDATE messages SET active = 1 WHERE id IN (SELECT id FROM up) AND conversation = ?1",
                   e);
        query_int(&q, 1, conversation);
        query_int(&q, 2, leaf);
        rc = query_run(&q);
    }
    if (rc) return rc;
    query_init(&q, s, "UPDATE conversations SET leaf = ?2, updated_ms = max(updated_ms, ?3) WHERE id = ?1", e);
    query_int(&q, 1, conversation);
    query_int(&q, 2, leaf);
    query_int(&q, 3, clock_wall_ms());
    return query_run(&q);
}

/* ERR_NOT_FOUND unless the message is in the conversation; ERR_INVALID when it must be a prompt and is none. */
static int check_parent(struct store *s, int64_t conversation, int64_t parent, bool prompt, struct err *e)
{
    struct query q;
    bool there = false, is_prompt = false;

    query_init(&q, s, "SELECT role = 'user' FROM messages WHERE id = ?1 AND conversation = ?2", e);
    query_int(&q, 1, parent);
    query_int(&q, 2, conversation);
    if (query_row(&q)) {
        there = true;
        is_prompt = query_get_int(&q, 0) != 0;
    }
    int rc = query_end(&q);
    if (rc) return rc;
    if (!there)
        return err_set(e, ERR_NOT_FOUND, "there is no message %lld in conversation %lld", (long long)parent, (long long)conversation);
    if (prompt && !is_prompt) return err_set(e, ERR_INVALID, "message %lld is no prompt", (long long)parent);
    return 0;
}

static int check_conversation(struct store *s, int64_t conversation, struct err *e)
{
    struct query q;
    bool there = false;

    query_init(&q, s, "SELECT 1 FROM conversations WHERE id = ?1", e);
    query_int(&q, 1, conversation);
    if (query_row(&q)) there = true;
    int rc = query_end(&q);
    if (!rc && !there) rc = err_set(e, ERR_NOT_FOUND, "there is no conversation %lld", (long long)conversation);
    return rc;
}

static int insert_message(struct store *s, int64_t conversation, int64_t parent, const char *role, bool streaming, const char *text,
                          size_t len, int64_t *id, struct err *e)
{
    struct query q;

    query_init(&q, s, "INSERT INTO messages(conversation, parent, role, streaming, created_ms, text) VALUES(?1, ?2, ?3, ?4, ?5, ?6)", e);
    query_int(&q, 1, conversation);
    if (parent) {
        query_int(&q, 2, parent);
    } else {
        query_null(&q, 2);
    }
    query_cstr(&q, 3, role);
    query_int(&q, 4, streaming);
    query_int(&q, 5, clock_wall_ms());
    query_text(&q, 6, text, len);
    int rc = query_run(&q);
    if (!rc) *id = sqlite3_last_insert_rowid(s->db);
    return rc;
}

static int add_prompt(struct store *s, int64_t conversation, int64_t parent, const char *text, size_t len, int64_t *id, struct err *e)
{
    int rc = parent ? check_parent(s, conversation, parent, false, e) : check_conversation(s, conversation, e);

    if (!rc) rc = insert_message(s, conversation, parent, "user", false, text, len, id, e);
    if (!rc) rc = index_add(s, *id, e);
    if (!rc) rc = branch_set_leaf(s, conversation, *id, e);
    if (!rc) rc = conversation_name(s, conversation, text, len, e);
    return rc;
}

int store_add_prompt(struct store *s, int64_t conversation, int64_t parent, const char *text, size_t len, int64_t *id, struct err *e)
{
    int64_t made = 0;

    store_lock(s);
    int rc = db_begin(s, e);
    if (!rc) rc = db_end(s, add_prompt(s, conversation, parent, text, len, &made, e), e);
    store_unlock(s);
    *id = rc ? 0 : made;
    return rc;
}

/* ---- replies ------------------------------------------------------------------------------------------------ */

static int insert_provenance(struct store *s, int64_t reply, const struct reply_start *r, struct err *e)
{
    struct query q;

    query_init(
        &q, s,
        "INSERT INTO replies(message, model, model_file, model_sha256, quant, family, adapter, engine_version, kernels, threads, system,"
        " seed, temp, top_k, top_p, min_p, repeat_penalty, budget, budget_final, think_min, answer_max, prompt_tokens, context,"
        " think, cot, keep_thoughts, loop_guard, thought_of)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25,"
        " ?26, nullif(?27, 0))",
        e);
    query_int(&q, 1, reply);
    query_cstr(&q, 2, r->model ? r->model : "");
    query_cstr(&q, 3, r->model_file);
    query_cstr(&q, 4, r->model_sha256);
    query_cstr(&q, 5, r->quant);
    query_cstr(&q, 6, r->family);
    query_cstr(&q, 7, r->adapter);
    query_cstr(&q, 8, r->engine_version);
    query_cstr(&q, 9, r->kernels);
    query_int(&q, 10, r->threads);
    query_cstr(&q, 11, r->system ? r->system : "");
    query_int(&q, 12, r->seed);
    query_real(&q, 13, r->temp);
    query_int(&q, 14, r->top_k);
    query_real(&q, 15, r->top_p);
    query_real(&q, 16, r->min_p);
    query_real(&q, 17, r->repeat_penalty);
    query_cstr(&q, 18, r->budget);
    query_int(&q, 19, r->think_min);
    query_int(&q, 20, r->answer_max);
    query_int(&q, 21, r->prompt_tokens);
    query_int(&q, 22, r->context);
    query_cstr(&q, 23, r->think);
    query_cstr(&q, 24, r->cot);
    query_int(&q, 25, r->keep_thoughts);
    query_int(&q, 26, r->loop_guard);
    query_int(&q, 27, r->thought_of);
    return query_run(&q);
}

/* What no sampler chose in a thought that is given is so in its copy too. The first words are put, and told, anew. */
static int copy_spans(struct store *s, int64_t reply, int64_t from, size_t len, struct err *e)
{
    struct query q;

    query_init(&q, s,
               "INSERT INTO spans(message, position, byte_offset, byte_length, kind, author)"
               " SELECT ?1, position, byte_offset, min(byte_length, ?3 - byte_offset), kind, author FROM spans"
               " WHERE message = ?2 AND kind <> 'close' AND byte_offset < ?3 ORDER BY id",
               e);
    query_int(&q, 1, reply);
    query_int(&q, 2, from);
    query_int(&q, 3, (int64_t)len);
    return query_run(&q);
}

static int begin_reply(struct store *s, const struct reply_start *r, int64_t *id, struct err *e)
{
    struct query q;

    int rc = check_parent(s, r->conversation, r->parent, true, e);
    if (!rc) rc = insert_message(s, r->conversation, r->parent, "assistant", true, "", 0, id, e);
    if (!rc) rc = insert_provenance(s, *id, r, e);
    if (!rc && r->given_from) rc = copy_spans(s, *id, r->given_from, r->given_len, e);
    if (rc) return rc;
    query_init(&q, s, "INSERT INTO streams(message, slot, writer) VALUES(?1, ?2, ?3)", e);
    query_int(&q, 1, *id);
    query_int(&q, 2, s->writer_slot);
    query_cstr(&q, 3, s->writer_id);
    rc = query_run(&q);
    return rc ? rc : branch_set_leaf(s, r->conversation, *id, e);
}

int store_begin_reply(struct store *s, const struct reply_start *r, int64_t *id, struct err *e)
{
    int64_t made = 0;

    *id = 0;
    store_lock(s);
    int rc = writer_claim(s, e);
    if (!rc && !mem_grow(&s->streams, &s->cap_streams, s->n_streams + 1, sizeof *s->streams)) rc = err_set(e, ERR_NOMEM, "out of memory");
    if (!rc) rc = db_begin(s, e);
    if (!rc) rc = db_end(s, begin_reply(s, r, &made, e), e);
    if (!rc) {
        s->streams[s->n_streams++] = (struct stream){.reply = made};
        *id = made;
    }
    store_unlock(s);
    return rc;
}

static struct stream *find_stream(struct store *s, int64_t reply, struct err *e)
{
    for (size_t i = 0; i < s->n_streams; i++)
        if (s->streams[i].reply == reply) return &s->streams[i];
    err_set(e, ERR_INVALID, "reply %lld is not being written here", (long long)reply);
    return NULL;
}

/* What waited and what came, as one text. Appended to out. */
static void join(struct str *out, const struct tail *held, const char *bytes, size_t n)
{
    str_add_bytes(out, held->bytes, held->n);
    if (n) str_add_bytes(out, bytes, n);
}

/* Cuts the bytes that do not end a character yet off text, into next. */
static void hold_back(struct str *text, struct tail *next)
{
    size_t whole = utf8_complete_prefix(str_cstr(text), text->len);

    *next = (struct tail){.n = text->len - whole};
    if (next->n > sizeof next->bytes) next->n = 0; /* never: a character has four bytes */
    if (next->n == 0) return;
    memcpy(next->bytes, text->data + whole, next->n);
    str_truncate(text, whole);
}

static int append_piece(struct store *s, int64_t reply, const struct str *thought, const struct str *answer, struct err *e)
{
    struct query q;

    if (thought->len == 0 && answer->len == 0) return 0;
    query_init(&q, s, "INSERT INTO chunks(message, thought, answer) SELECT message, ?2, ?3 FROM streams WHERE message = ?1 AND writer = ?4",
               e);
    query_int(&q, 1, reply);
    query_text(&q, 2, str_cstr(thought), thought->len);
    query_text(&q, 3, str_cstr(answer), answer->len);
    query_cstr(&q, 4, s->writer_id);
    int rc = query_run(&q);
    return rc ? rc : db_expect_change(s, "running reply", reply, e);
}

int store_append_reply(struct store *s, int64_t reply, const char *thought, size_t thought_len, const char *answer, size_t answer_len,
                       struct err *e)
{
    struct str t = STR_EMPTY, a = STR_EMPTY;
    struct tail next_t, next_a;
    int rc = ERR_INVALID;

    store_lock(s);
    struct stream *st = find_stream(s, reply, e);
    if (st) {
        join(&t, &st->thought, thought, thought_len);
        join(&a, &st->answer, answer, answer_len);
        if (str_ok(&t) && str_ok(&a)) {
            hold_back(&t, &next_t);
            hold_back(&a, &next_a);
            rc = append_piece(s, reply, &t, &a, e);
            if (!rc) {
                st->thought = next_t;
                st->answer = next_a;
            }
        } else {
            rc = err_set(e, ERR_NOMEM, "out of memory");
        }
    }
    store_unlock(s);
    str_release(&t);
    str_release(&a);
    return rc;
}

int store_add_event(struct store *s, int64_t reply, size_t position, const char *kind, const char *value, struct err *e)
{
    struct query q;

    store_lock(s);
    query_init(
        &q, s,
        "INSERT INTO events(message, position, kind, value, created_ms) SELECT message, ?2, ?3, ?4, ?5 FROM replies WHERE message = ?1", e);
    query_int(&q, 1, reply);
    query_int(&q, 2, (int64_t)position);
    query_cstr(&q, 3, kind);
    query_cstr(&q, 4, value);
    query_int(&q, 5, clock_wall_ms());
    int rc = query_run(&q);
    if (!rc) rc = db_expect_change(s, "reply", reply, e);
    store_unlock(s);
    return rc;
}

int store_add_span(struct store *s, int64_t reply, size_t position, size_t offset, size_t length, const char *kind, const char *author,
                   struct err *e)
{
    struct query q;

    store_lock(s);
    query_init(&q, s,
               "INSERT INTO spans(message, position, byte_offset, byte_length, kind, author)"
               " SELECT message, ?2, ?3, ?4, ?5, ?6 FROM replies WHERE message = ?1",
               e);
    query_int(&q, 1, reply);
    query_int(&q, 2, (int64_t)position);
    query_int(&q, 3, (int64_t)offset);
    query_int(&q, 4, (int64_t)length);
    query_cstr(&q, 5, kind);
    query_cstr(&q, 6, author);
    int rc = query_run(&q);
    if (!rc) rc = db_expect_change(s, "reply", reply, e);
    store_unlock(s);
    return rc;
}

/* clang-format off */
#define JOINED(column) \
    "coalesce((SELECT group_concat(" column ", '') FROM (SELECT " column " FROM chunks WHERE message = ?1 ORDER BY id)), '')"
#define JOIN_PIECES \
    "UPDATE messages SET streaming = 0, thought = " JOINED("thought") " || ?2, text = " JOINED("answer") " || ?3" \
    " WHERE id = ?1 AND streaming = 1"
/* clang-format on */

int reply_consolidate(struct store *s, int64_t reply, const char *thought, size_t thought_len, const char *answer, size_t answer_len,
                      struct err *e)
{
    struct query q;

    query_init(&q, s, JOIN_PIECES, e);
    query_int(&q, 1, reply);
    query_text(&q, 2, thought, thought_len);
    query_text(&q, 3, answer, answer_len);
    int rc = query_run(&q);
    if (!rc) rc = db_expect_change(s, "running reply", reply, e);
    if (rc) return rc;
    query_init(&q, s, "DELETE FROM chunks WHERE message = ?1", e);
    query_int(&q, 1, reply);
    rc = query_run(&q);
    if (rc) return rc;
    query_init(&q, s, "DELETE FROM streams WHERE message = ?1", e);
    query_int(&q, 1, reply);
    rc = query_run(&q);
    return rc ? rc : index_add(s, reply, e);
}

static int update_ending(struct store *s, int64_t reply, const struct reply_end *r, struct err *e)
{
    struct query q;

    query_init(&q, s,
               "UPDATE replies SET ended = ?2, answer_ended = ?3, budget_final = coalesce(?4, budget_final), thought_tokens = ?5,"
               " answer_tokens = ?6, escaped = ?7, extensions = ?8, thought_ms = ?9, answer_ms = ?10, prefill_ms = ?11, tokens_per_s = ?12"
               " WHERE message = ?1",
               e);
    query_int(&q, 1, reply);
    query_cstr(&q, 2, r->ended);
    query_cstr(&q, 3, r->answer_ended);
    query_cstr(&q, 4, r->budget_final);
    query_int(&q, 5, r->thought_tokens);
    query_int(&q, 6, r->answer_tokens);
    query_int(&q, 7, r->escaped);
    query_int(&q, 8, r->extensions);
    query_int(&q, 9, r->thought_ms);
    query_int(&q, 10, r->answer_ms);
    query_int(&q, 11, r->prefill_ms);
    query_real(&q, 12, r->tokens_per_s);
    int rc = query_run(&q);
    if (rc) return rc;
    query_init(&q, s,
               "UPDATE conversations SET updated_ms = max(updated_ms, ?2) WHERE id = (SELECT conversation FROM messages WHERE id = ?1)", e);
    query_int(&q, 1, reply);
    query_int(&q, 2, clock_wall_ms());
    return query_run(&q);
}

int store_end_reply(struct store *s, int64_t reply, const char *thought, size_t thought_len, const char *answer, size_t answer_len,
                    const struct reply_end *r, struct err *e)
{
    struct str t = STR_EMPTY, a = STR_EMPTY;
    int rc = ERR_INVALID;

    store_lock(s);
    struct stream *st = find_stream(s, reply, e);
    if (st) {
        join(&t, &st->thought, thought, thought_len);
        join(&a, &st->answer, answer, answer_len);
        rc = str_ok(&t) && str_ok(&a) ? db_begin(s, e) : err_set(e, ERR_NOMEM, "out of memory");
        if (!rc) {
            rc = reply_consolidate(s, reply, str_cstr(&t), t.len, str_cstr(&a), a.len, e);
            if (!rc) rc = update_ending(s, reply, r, e);
            rc = db_end(s, rc, e);
        }
        if (!rc) *st = s->streams[--s->n_streams];
    }
    store_unlock(s);
    str_release(&t);
    str_release(&a);
    return rc;
}

int store_set_model_hash(struct store *s, const char *model_file, const char *sha256, struct err *e)
{
    struct query q;

    store_lock(s);
    query_init(&q, s, "UPDATE replies SET model_sha256 = ?2 WHERE model_file = ?1 AND model_sha256 IS NULL", e);
    query_cstr(&q, 1, model_file);
    query_cstr(&q, 2, sha256);
    int rc = query_run(&q);
    store_unlock(s);
    return rc;
}

/* ---- drafts ------------------------------------------------------------------------------------------------- */

int store_save_draft(struct store *s, int64_t conversation, const char *text, size_t len, struct err *e)
{
    struct query q;

    store_lock(s);
    if (len) {
        query_init(&q, s,
                   "INSERT INTO drafts(conversation, text) VALUES(?1, ?2) ON CONFLICT(conversation) DO UPDATE SET text = excluded.text", e);
        query_text(&q, 2, text, len);
    } else {
        query_init(&q, s, "DELETE FROM drafts WHERE conversation = ?1", e);
    }
    query_int(&q, 1, conversation);
    /* Whoever types waits for this: it outlives the program, as all that is committed, but not a power cut at once. */
    s->hasty = true;
    int rc = db_exec(s, "PRAGMA synchronous = NORMAL", e);
    if (rc) query_end(&q);
    if (!rc) rc = query_run(&q);
    db_be_safe(s, NULL); /* tried again before whatever comes next */
    store_unlock(s);
    return rc;
}

int store_load_draft(struct store *s, int64_t conversation, struct str *out, struct err *e)
{
    struct query q;

    store_lock(s);
    query_init(&q, s, "SELECT text FROM drafts WHERE conversation = ?1", e);
    query_int(&q, 1, conversation);
    if (query_row(&q)) {
        size_t n = 0;
        char *text = query_get_text(&q, 0, &n);
        if (text) str_add_bytes(out, text, n);
        free(text);
    }
    int rc = query_end(&q);
    if (!rc && !str_ok(out)) rc = err_set(e, ERR_NOMEM, "out of memory");
    store_unlock(s);
    return rc;
}
