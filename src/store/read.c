/*
 * read.c - conversations and messages as structs.
 *
 * A message that still streams shows the pieces that are there. Whether its writer lives is asked each time: the replies of one that died
 * while this store was open are ended here as at an opening, where that can be written; where it cannot, they are shown as what they are.
 */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- messages ----------------------------------------------------------------------------------------------- */

static void message_release(struct message *m)
{
    free(m->text);
    free(m->thought);
    free(m->model);
    free(m->ended);
    free(m->answer_ended);
    free(m->budget);
    free(m->budget_final);
    free(m->fold);
}

void message_list_release(struct message_list *l)
{
    if (!l) return;
    for (size_t i = 0; i < l->n; i++) message_release(&l->items[i]);
    free(l->items);
    *l = (struct message_list){0};
}

/* clang-format off */
#define PIECES(column) \
    "coalesce((SELECT group_concat(" column ", '') FROM (SELECT " column " FROM chunks WHERE message = m.id ORDER BY id)), '')"
#define MESSAGES_WITH(siblings) \
    "SELECT m.id, m.conversation, coalesce(m.parent, 0), m.role = 'assistant'," \
    " CASE m.streaming WHEN 0 THEN m.text ELSE " PIECES("answer") " END," \
    " CASE m.streaming WHEN 0 THEN m.thought ELSE " PIECES("thought") " END," \
    " m.created_ms, m.streaming, w.slot, w.writer," \
    " r.model, r.ended, r.answer_ended, r.budget, r.budget_final," \
    " r.thought_tokens, r.answer_tokens, r.thought_ms, r.answer_ms, r.tokens_per_s," \
    " coalesce(t.value, 0), coalesce(a.value, 0), m.fold, " siblings \
    " FROM messages m LEFT JOIN replies r ON r.message = m.id LEFT JOIN streams w ON w.message = m.id" \
    " LEFT JOIN ratings t ON t.message = m.id AND t.part = 'thought' LEFT JOIN ratings a ON a.message = m.id AND a.part = 'answer'"
#define MESSAGES \
    MESSAGES_WITH("(SELECT count(*) FROM messages b WHERE b.conversation = m.conversation AND b.parent IS m.parent)," \
                  " (SELECT count(*) FROM messages b WHERE b.conversation = m.conversation AND b.parent IS m.parent AND b.id < m.id)")
/* clang-format on */

/* Fills m from the row. False when memory ran out, which sticks in q. *dead: it still streams, and its writer is no more. */
static bool read_message(struct query *q, struct message *m, bool *dead)
{
    *m = (struct message){
        .id = query_get_int(q, 0),
        .conversation = query_get_int(q, 1),
        .parent = query_get_int(q, 2),
        .role = query_get_int(q, 3) ? MESSAGE_REPLY : MESSAGE_USER,
        .created_ms = query_get_int(q, 6),
        .streaming = query_get_int(q, 7) != 0,
        .thought_tokens = (int)query_get_int(q, 15),
        .answer_tokens = (int)query_get_int(q, 16),
        .thought_ms = query_get_int(q, 17),
        .answer_ms = query_get_int(q, 18),
        .tokens_per_s = query_get_real(q, 19),
        .thought_rating = (int)query_get_int(q, 20),
        .answer_rating = (int)query_get_int(q, 21),
        .n_siblings = (int)query_get_int(q, 23),
        .sibling = (int)query_get_int(q, 24),
    };
    m->text = query_get_text(q, 4, &m->text_len);
    m->thought = query_get_text(q, 5, &m->thought_len);
    m->model = query_get_text(q, 10, NULL);
    m->ended = query_get_text(q, 11, NULL);
    m->answer_ended = query_get_text(q, 12, NULL);
    m->budget = query_get_text(q, 13, NULL);
    m->budget_final = query_get_text(q, 14, NULL);
    m->fold = query_get_text(q, 22, NULL);
    if (m->streaming) {
        char *writer = query_get_text(q, 9, NULL);
        if (writer && !writer_alive(q->store, query_get_int(q, 8), writer)) {
            m->streaming = false;
            *dead = true;
        }
        free(writer);
    }
    return !q->rc;
}

static int load_once(struct store *s, const char *sql, int64_t id, struct message_list *out, bool *dead, struct err *e)
{
    struct query q;
    size_t cap = 0;

    *out = (struct message_list){0};
    *dead = false;
    query_init(&q, s, sql, e);
    query_int(&q, 1, id);
    while (query_row(&q)) {
        struct message m;
        if (!read_message(&q, &m, dead)) {
            message_release(&m);
        } else if (!mem_grow(&out->items, &cap, out->n + 1, sizeof *out->items)) {
            q.rc = err_set(e, ERR_NOMEM, "out of memory");
            message_release(&m);
        } else {
            out->items[out->n++] = m;
        }
    }
    int rc = query_end(&q);
    if (rc) message_list_release(out);
    return rc;
}

static int load(struct store *s, const char *sql, int64_t id, struct message_list *out, struct err *e)
{
    bool dead;

    int rc = load_once(s, sql, id, out, &dead, e);
    if (rc || !dead || writer_recover(s, NULL) != 0) return rc;
    message_list_release(out);
    return load_once(s, sql, id, out, &dead, e);
}

static int conversation_exists(struct store *s, int64_t id, struct err *e)
{
    struct query q;
    bool there = false;

    query_init(&q, s, "SELECT 1 FROM conversations WHERE id = ?1", e);
    query_int(&q, 1, id);
    if (query_row(&q)) there = true;
    int rc = query_end(&q);
    if (!rc && !there) rc = err_set(e, ERR_NOT_FOUND, "there is no conversation %lld", (long long)id);
    return rc;
}

int store_load_path(struct store *s, int64_t id, struct message_list *out, struct err *e)
{
    static const char sql[] =
        MESSAGES " WHERE m.id IN (WITH RECURSIVE up(id) AS (SELECT ?1 UNION SELECT n.parent FROM messages n JOIN up ON n.id = up.id"
                 " WHERE n.parent IS NOT NULL) SELECT id FROM up) ORDER BY m.id";

    *out = (struct message_list){0};
    store_lock(s);
    int rc = load(s, sql, id, out, e);
    store_unlock(s);
    if (!rc && !out->n) rc = err_set(e, ERR_NOT_FOUND, "there is no message %lld", (long long)id);
    return rc;
}

static struct message *child_of(struct message_list *l, int64_t parent)
{
    size_t lo = 0, hi = l->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (l->items[mid].parent < parent)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < l->n && l->items[lo].parent == parent ? &l->items[lo] : NULL;
}

/* What a branch has beside it, in one look at the index: asked for message by message, this is half of the time that a long branch takes. */
static int count_siblings(struct store *s, int64_t conversation, struct message_list *branch, struct err *e)
{
    struct query q;

    query_init(&q, s,
               "SELECT b.id, coalesce(b.parent, 0) FROM (SELECT parent FROM messages WHERE conversation = ?1 GROUP BY parent HAVING count(*) > 1) g"
               " JOIN messages b ON b.conversation = ?1 AND b.parent IS g.parent",
               e);
    query_int(&q, 1, conversation);
    for (size_t i = 0; i < branch->n; i++) branch->items[i].n_siblings = 1;
    while (query_row(&q)) {
        int64_t id = query_get_int(&q, 0);
        struct message *m = child_of(branch, query_get_int(&q, 1));
        if (!m || m->id == id) continue;
        m->n_siblings++;
        if (id < m->id) m->sibling++;
    }
    int rc = query_end(&q);
    if (rc) message_list_release(branch);
    return rc;
}

int store_load_branch(struct store *s, int64_t conversation, struct message_list *out, struct err *e)
{
    /* a message's parent has a smaller id: this is root first, and by parent too */
    static const char sql[] = MESSAGES_WITH("0, 0") " WHERE m.conversation = ?1 AND m.active = 1 ORDER BY m.id";

    *out = (struct message_list){0};
    store_lock(s);
    int rc = conversation_exists(s, conversation, e);
    if (!rc) rc = load(s, sql, conversation, out, e);
    if (!rc) rc = count_siblings(s, conversation, out, e);
    store_unlock(s);
    return rc;
}

int store_load_message(struct store *s, int64_t id, struct message_list *out, struct err *e)
{
    static const char sql[] = MESSAGES " WHERE m.id = ?1";

    store_lock(s);
    int rc = load(s, sql, id, out, e);
    if (!rc && out->n == 0) rc = err_set(e, ERR_NOT_FOUND, "there is no message %lld", (long long)id);
    store_unlock(s);
    return rc;
}

int messages_load_samples(struct store *s, int64_t reply, struct message_list *out, struct err *e)
{
    /* a note begins {"group":123, */
#define GROUP_OF(note) "substr(" note ".value, 1, instr(" note ".value, ','))"
#define IS_SAMPLE(note) note ".kind IN ('vote', 'compare')"
    static const char sql[] =
        MESSAGES " WHERE m.id IN (SELECT n.message FROM messages o JOIN messages b ON b.conversation = o.conversation AND b.parent IS o.parent"
                 " JOIN events n ON n.message = b.id WHERE o.id = ?1 AND " IS_SAMPLE("n") " AND " GROUP_OF("n") " ="
                 " (SELECT " GROUP_OF("x") " FROM events x WHERE x.message = ?1 AND " IS_SAMPLE("x") " ORDER BY x.id LIMIT 1)) ORDER BY m.id";

    return load(s, sql, reply, out, e);
}

int message_look(struct store *s, int64_t id, enum message_role *role, bool *streaming, struct err *e)
{
    struct query q;
    bool there = false;

    query_init(&q, s, "SELECT role = 'assistant', streaming FROM messages WHERE id = ?1", e);
    query_int(&q, 1, id);
    if (query_row(&q)) {
        there = true;
        *role = query_get_int(&q, 0) ? MESSAGE_REPLY : MESSAGE_USER;
        *streaming = query_get_int(&q, 1) != 0;
    }
    int rc = query_end(&q);
    if (!rc && !there) rc = err_set(e, ERR_NOT_FOUND, "there is no message %lld", (long long)id);
    return rc;
}

int branch_select(struct store *s, int64_t id, struct err *e)
{
    struct query q;
    int64_t conversation = 0, leaf = 0;

    query_init(&q, s,
               "WITH RECURSIVE down(id) AS (SELECT ?1 UNION SELECT m.id FROM messages m JOIN down ON m.parent = down.id)"
               " SELECT (SELECT conversation FROM messages WHERE id = ?1), max(id) FROM down",
               e);
    query_int(&q, 1, id);
    if (query_row(&q)) {
        conversation = query_get_int(&q, 0);
        leaf = query_get_int(&q, 1);
    }
    int rc = query_end(&q);
    if (rc) return rc;
    if (!conversation) return err_set(e, ERR_NOT_FOUND, "there is no message %lld", (long long)id);
    return branch_set_leaf(s, conversation, leaf, e);
}

int store_select_branch(struct store *s, int64_t id, struct err *e)
{
    store_lock(s);
    int rc = db_begin(s, e);
    if (!rc) rc = db_end(s, branch_select(s, id, e), e);
    store_unlock(s);
    return rc;
}

/* ---- trees -------------------------------------------------------------------------------------------------- */

void message_tree_release(struct message_tree *t)
{
    if (!t) return;
    for (size_t i = 0; i < t->n; i++) {
        free(t->items[i].start);
        free(t->items[i].ended);
    }
    free(t->items);
    *t = (struct message_tree){0};
}

/* clang-format off */
#define START_LENGTH "200"
#define NODES \
    "SELECT m.id, coalesce(m.parent, 0), m.role = 'assistant', m.active, m.created_ms," \
    " coalesce(nullif(substr(CASE m.streaming WHEN 0 THEN m.text ELSE " PIECES("answer") " END, 1, " START_LENGTH "), '')," \
    "  substr(CASE m.streaming WHEN 0 THEN m.thought ELSE " PIECES("thought") " END, 1, " START_LENGTH "))," \
    " r.ended, coalesce(a.value, 0), coalesce(t.value, 0)" \
    " FROM messages m LEFT JOIN replies r ON r.message = m.id" \
    " LEFT JOIN ratings t ON t.message = m.id AND t.part = 'thought' LEFT JOIN ratings a ON a.message = m.id AND a.part = 'answer'"
/* clang-format on */

static int load_nodes(struct query *q, struct message_tree *out)
{
    size_t cap = 0;

    while (query_row(q)) {
        struct tree_node n = {
            .id = query_get_int(q, 0),
            .parent = query_get_int(q, 1),
            .role = query_get_int(q, 2) ? MESSAGE_REPLY : MESSAGE_USER,
            .active = query_get_int(q, 3) != 0,
            .created_ms = query_get_int(q, 4),
            .start = query_get_text(q, 5, NULL),
            .ended = query_get_text(q, 6, NULL),
            .answer_rating = (int)query_get_int(q, 7),
            .thought_rating = (int)query_get_int(q, 8),
        };
        if (!q->rc && !mem_grow(&out->items, &cap, out->n + 1, sizeof *out->items)) q->rc = err_set(q->err, ERR_NOMEM, "out of memory");
        if (q->rc) {
            free(n.start);
            free(n.ended);
        } else {
            out->items[out->n++] = n;
        }
    }
    int rc = query_end(q);
    if (rc) message_tree_release(out);
    return rc;
}

int store_load_tree(struct store *s, int64_t conversation, struct message_tree *out, struct err *e)
{
    struct query q;

    *out = (struct message_tree){0};
    store_lock(s);
    int rc = conversation_exists(s, conversation, e);
    if (!rc) {
        query_init(&q, s, NODES " WHERE m.conversation = ?1 ORDER BY m.id", e);
        query_int(&q, 1, conversation);
        rc = load_nodes(&q, out);
    }
    store_unlock(s);
    return rc;
}

int store_load_siblings(struct store *s, int64_t id, struct message_tree *out, struct err *e)
{
    struct query q;

    *out = (struct message_tree){0};
    store_lock(s);
    query_init(&q, s,
               NODES " JOIN messages self ON self.id = ?1"
                     " WHERE m.conversation = self.conversation AND m.parent IS self.parent ORDER BY m.id",
               e);
    query_int(&q, 1, id);
    int rc = load_nodes(&q, out);
    if (!rc && out->n == 0) rc = err_set(e, ERR_NOT_FOUND, "there is no message %lld", (long long)id);
    store_unlock(s);
    return rc;
}

int store_set_fold(struct store *s, int64_t reply, const char *fold, struct err *e)
{
    struct query q;

    store_lock(s);
    query_init(&q, s, "UPDATE messages SET fold = nullif(?2, '') WHERE id = ?1", e);
    query_int(&q, 1, reply);
    query_cstr(&q, 2, fold);
    int rc = query_run(&q);
    if (!rc) rc = db_expect_change(s, "message", reply, e);
    store_unlock(s);
    return rc;
}

/* ---- conversations ------------------------------------------------------------------------------------------ */

static void conversation_release(struct conversation *c)
{
    free(c->title);
    free(c->system);
    free(c->model);
    free(c->tags);
}

void conversation_list_release(struct conversation_list *l)
{
    if (!l) return;
    for (size_t i = 0; i < l->n; i++) conversation_release(&l->items[i]);
    free(l->items);
    *l = (struct conversation_list){0};
}

/* clang-format off */
#define CONVERSATIONS \
    "SELECT c.id, coalesce(c.leaf, 0), c.created_ms, c.updated_ms, c.title, c.system," \
    " (SELECT r.model FROM messages m JOIN replies r ON r.message = m.id WHERE m.conversation = c.id ORDER BY m.id DESC LIMIT 1)," \
    " (SELECT count(*) FROM messages m WHERE m.conversation = c.id)," \
    " (SELECT group_concat(tag, ', ') FROM (SELECT DISTINCT t.tag AS tag FROM tags t JOIN messages m ON m.id = t.message" \
    "   WHERE m.conversation = c.id ORDER BY t.tag))" \
    " FROM conversations c"
/* clang-format on */

static int load_conversations(struct query *q, struct conversation_list *out)
{
    size_t cap = 0;

    while (query_row(q)) {
        struct conversation c = {
            .id = query_get_int(q, 0),
            .leaf = query_get_int(q, 1),
            .created_ms = query_get_int(q, 2),
            .updated_ms = query_get_int(q, 3),
            .title = query_get_text(q, 4, NULL),
            .system = query_get_text(q, 5, NULL),
            .model = query_get_text(q, 6, NULL),
            .n_messages = (int)query_get_int(q, 7),
            .tags = query_get_text(q, 8, NULL),
        };
        if (!q->rc && !mem_grow(&out->items, &cap, out->n + 1, sizeof *out->items)) q->rc = err_set(q->err, ERR_NOMEM, "out of memory");
        if (q->rc) {
            conversation_release(&c);
        } else {
            out->items[out->n++] = c;
        }
    }
    int rc = query_end(q);
    if (rc) conversation_list_release(out);
    return rc;
}

int store_list(struct store *s, int limit, int offset, struct conversation_list *out, struct err *e)
{
    struct query q;

    *out = (struct conversation_list){0};
    store_lock(s);
    query_init(&q, s, CONVERSATIONS " ORDER BY c.updated_ms DESC, c.id DESC LIMIT ?1 OFFSET ?2", e);
    query_int(&q, 1, limit > 0 ? limit : -1);
    query_int(&q, 2, offset);
    int rc = load_conversations(&q, out);
    store_unlock(s);
    return rc;
}

int store_load_conversation(struct store *s, int64_t id, struct conversation_list *out, struct err *e)
{
    struct query q;

    *out = (struct conversation_list){0};
    store_lock(s);
    query_init(&q, s, CONVERSATIONS " WHERE c.id = ?1", e);
    query_int(&q, 1, id);
    int rc = load_conversations(&q, out);
    if (!rc && out->n == 0) rc = err_set(e, ERR_NOT_FOUND, "there is no conversation %lld", (long long)id);
    store_unlock(s);
    return rc;
}

int store_load_system(struct store *s, int64_t conversation, char **out, struct err *e)
{
    struct query q;

    *out = NULL;
    store_lock(s);
    query_init(&q, s, "SELECT system FROM conversations WHERE id = ?1", e);
    query_int(&q, 1, conversation);
    if (query_row(&q)) *out = query_get_text(&q, 0, NULL);
    int rc = query_end(&q);
    if (!rc && !*out) rc = err_set(e, ERR_NOT_FOUND, "there is no conversation %lld", (long long)conversation);
    store_unlock(s);
    return rc;
}

int store_newest(struct store *s, int64_t *conversation, struct err *e)
{
    struct query q;

    *conversation = 0;
    store_lock(s);
    query_init(&q, s, "SELECT id FROM conversations ORDER BY updated_ms DESC, id DESC LIMIT 1", e);
    if (query_row(&q)) *conversation = query_get_int(&q, 0);
    int rc = query_end(&q);
    if (!rc && *conversation == 0) rc = err_set(e, ERR_NOT_FOUND, "there is no conversation yet");
    store_unlock(s);
    return rc;
}

/* ---- speeds ------------------------------------------------------------------------------------------------- */

void model_speeds_release(struct model_speeds *l)
{
    if (!l) return;
    for (size_t i = 0; i < l->n; i++) free(l->items[i].file);
    free(l->items);
    *l = (struct model_speeds){0};
}

int store_model_speeds(struct store *s, struct model_speeds *out, struct err *e)
{
    struct query q;
    size_t cap = 0;

    *out = (struct model_speeds){0};
    store_lock(s);
    query_init(&q, s,
               "SELECT model_file, avg(tokens_per_s), count(*) FROM"
               " (SELECT model_file, tokens_per_s FROM replies WHERE tokens_per_s > 0 AND model_file IS NOT NULL"
               "  AND coalesce(thought_tokens, 0) + coalesce(answer_tokens, 0) >= 8 ORDER BY message DESC LIMIT 200)"
               " GROUP BY model_file ORDER BY model_file",
               e);
    while (query_row(&q)) {
        struct model_speed m = {
            .file = query_get_text(&q, 0, NULL), .tokens_per_s = query_get_real(&q, 1), .replies = (int)query_get_int(&q, 2)};
        if (!q.rc && !mem_grow(&out->items, &cap, out->n + 1, sizeof *out->items)) q.rc = err_set(e, ERR_NOMEM, "out of memory");
        if (q.rc)
            free(m.file);
        else
            out->items[out->n++] = m;
    }
    int rc = query_end(&q);
    if (rc) model_speeds_release(out);
    store_unlock(s);
    return rc;
}
