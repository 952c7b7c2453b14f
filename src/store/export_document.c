/*
 * export_document.c - whole conversations: Markdown and HTML to read, JSON to keep.
 *
 * A conversation is taken when one of its replies was asked for, or none was. Markdown and HTML show the active branch; JSON has every
 * branch, and of every row all columns but the program's own, so that an import gives the same record again.
 */
#include "store/export.h"

#include <stdlib.h>
#include <string.h>

/* ---- JSON ---------------------------------------------------------------------------------------------------- */

/* The row as an object, its columns in order. NULL when memory ran out, which sticks in q. */
static json_t *row_object(struct query *q)
{
    json_t *o = json_object();

    for (int i = 0; i < sqlite3_column_count(q->stmt) && o; i++) {
        json_t *value;
        size_t n = 0;
        switch (sqlite3_column_type(q->stmt, i)) {
        case SQLITE_NULL: continue;
        case SQLITE_INTEGER: value = json_integer(query_get_int(q, i)); break;
        case SQLITE_FLOAT: value = json_real(query_get_real(q, i)); break;
        default: {
            char *text = query_get_text(q, i, &n);
            value = text ? json_stringn(text, n) : NULL;
            free(text);
        }
        }
        if (json_object_set_new(o, sqlite3_column_name(q->stmt, i), value) != 0) {
            json_decref(o);
            o = NULL;
        }
    }
    if (!o && !q->rc) q->rc = err_set(q->err, ERR_NOMEM, "out of memory");
    return o;
}

/* All rows of a query with one number. */
static json_t *rows(struct exporter *x, const char *sql, int64_t id, int *rc)
{
    json_t *list = json_array();
    struct query q;

    if (*rc) return list;
    query_init(&q, x->store, sql, x->err);
    if (id) query_int(&q, 1, id);
    while (query_row(&q)) {
        json_t *row = row_object(&q);
        if (json_array_append_new(list, row) != 0 && !q.rc) q.rc = err_set(x->err, ERR_NOMEM, "out of memory");
    }
    *rc = query_end(&q);
    return list;
}

/* clang-format off */
static const struct {
    const char *key, *sql;
} parts_of_message[] = {
    {"ratings", "SELECT part, value, reasons, comment, rated_ms FROM ratings WHERE message = ?1 ORDER BY part"},
    {"tags", "SELECT tag FROM tags WHERE message = ?1 ORDER BY tag"},
    {"events", "SELECT position, kind, value, created_ms FROM events WHERE message = ?1 ORDER BY id"},
    {"spans", "SELECT position, byte_offset, byte_length, kind, author FROM spans WHERE message = ?1 ORDER BY id"},
    {"steps", "SELECT step, unit, byte_offset, byte_length, value, rated_ms FROM steps WHERE message = ?1 ORDER BY step"},
};
static const char messages_sql[] =
    "SELECT m.id, m.parent, m.role, m.created_ms, m.thought, m.text, m.edited_thought, m.edited_text, m.edited_ms, m.fold FROM messages m"
    " WHERE m.conversation = ?1 AND m.streaming = 0 AND (m.role = 'user' OR EXISTS (SELECT 1 FROM replies r WHERE r.message ="
        " m.id)) ORDER BY m.id";
static const char reply_sql[] =
    "SELECT model, model_file, model_sha256, quant, family, adapter, engine_version, kernels, threads, system, seed, temp,"
        " top_k, top_p, min_p,"
    " repeat_penalty, budget, budget_final, think_min, answer_max, prompt_tokens, context, ended, answer_ended, thought_tokens,"
        " answer_tokens,"
    " escaped, extensions, thought_ms, answer_ms, prefill_ms, tokens_per_s, think, cot, keep_thoughts, loop_guard, thought_of FROM replies WHERE message = ?1";
static const char conversation_sql[] = "SELECT id, title, system, leaf, created_ms, updated_ms, origin FROM conversations WHERE id = ?1";
static const char votes_sql[] = "SELECT a, b, verdict, strength, shown_first, blind, spent_ms, voted_ms FROM votes ORDER BY id";
/* clang-format on */

static int add_reply(struct exporter *x, json_t *message)
{
    int64_t id = json_integer_value(json_object_get(message, "id"));
    int rc = 0;
    json_t *reply = rows(x, reply_sql, id, &rc);

    bool good = !json_array_size(reply) || json_object_set(message, "reply", json_array_get(reply, 0)) == 0;
    json_decref(reply);
    for (size_t i = 0; i < ARRAY_LEN(parts_of_message) && !rc && good; i++) {
        json_t *list = rows(x, parts_of_message[i].sql, id, &rc);
        good = !json_array_size(list) || json_object_set(message, parts_of_message[i].key, list) == 0;
        json_decref(list);
    }
    return rc || good ? rc : err_set(x->err, ERR_NOMEM, "out of memory");
}

static int conversation_json(struct exporter *x, const struct tree *t, struct str *out)
{
    int rc = 0;
    json_t *found = rows(x, conversation_sql, t->conversation, &rc);
    json_t *conversation = json_incref(json_array_get(found, 0));
    json_t *messages = rows(x, messages_sql, t->conversation, &rc);

    json_decref(found);
    for (size_t i = 0; i < json_array_size(messages) && !rc; i++) {
        json_t *m = json_array_get(messages, i);
        if (!strcmp(json_string_value(json_object_get(m, "role")), "assistant")) rc = add_reply(x, m);
    }
    if (!rc && json_object_set(conversation, "messages", messages) != 0) rc = err_set(x->err, ERR_NOMEM, "out of memory");
    json_decref(messages);
    if (rc) {
        json_decref(conversation);
        return rc;
    }
    rc = json_append_line(out, conversation, x->err);
    if (out->len) str_truncate(out, out->len - 1);
    return rc;
}

/* ---- Markdown and HTML ----------------------------------------------------------------------------------------- */

static void add_html(struct str *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        switch (c) {
        case '&': str_add(out, "&amp;"); break;
        case '<': str_add(out, "&lt;"); break;
        case '>': str_add(out, "&gt;"); break;
        case '"': str_add(out, "&quot;"); break;
        default:
            if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f) {
                str_add(out, "\xef\xbf\xbd"); /* HTML has no place for these */
            } else {
                str_add_char(out, text[i]);
            }
        }
    }
}

static void add_time(struct str *out, int64_t ms)
{
    char text[32];
    clock_iso8601(ms, text);
    str_add_bytes(out, text, 19);
    str_add_char(out, 'Z');
}

/* As a Markdown quotation. */
static void add_quoted(struct str *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        const char *end = memchr(text + i, '\n', n - i);
        size_t len = end ? (size_t)(end - text) - i : n - i;
        str_add(out, len ? "> " : ">");
        str_add_bytes(out, text + i, len);
        str_add_char(out, '\n');
        i += len + (end != NULL);
    }
}

static void add_line(struct str *out, const char *text, bool html)
{
    struct str line = STR_EMPTY;
    text_sanitize(&line, text, strlen(text), TEXT_ONE_LINE);
    if (html) {
        add_html(out, str_cstr(&line), line.len);
    } else {
        str_add_bytes(out, str_cstr(&line), line.len);
    }
    str_release(&line);
}

static const char *sign(int rating)
{
    return rating > 0 ? ", rated up" : rating < 0 ? ", rated down" : "";
}

static void markdown_message(struct exporter *x, struct str *out, const struct node *n)
{
    struct export_turn t = node_turn(x, n, false);

    if (!n->reply) {
        str_add(out, "**You**\n\n");
        str_add_bytes(out, t.prompt, t.prompt_len);
        str_add(out, "\n\n");
        return;
    }
    str_add(out, "**");
    add_line(out, n->model[0] ? n->model : "Reply", false);
    str_addf(out, "**%s%s\n\n", sign(n->rating), n->corrected_answer ? ", corrected" : "");
    if (t.thought_len && x->reasoning != REASONING_STRIP) {
        add_quoted(out, t.thought, t.thought_len);
        str_add_char(out, '\n');
    }
    str_add_bytes(out, t.answer, t.answer_len);
    str_add(out, "\n\n");
}

static void html_message(struct exporter *x, struct str *out, const struct node *n)
{
    struct export_turn t = node_turn(x, n, false);

    if (!n->reply) {
        str_add(out, "<section class=\"you\"><h3>You</h3><pre>");
        add_html(out, t.prompt, t.prompt_len);
        str_add(out, "</pre></section>\n");
        return;
    }
    str_add(out, "<section class=\"reply\"><h3>");
    add_line(out, n->model[0] ? n->model : "Reply", true);
    str_addf(out, "<small>%s%s</small></h3>", sign(n->rating), n->corrected_answer ? ", corrected" : "");
    if (t.thought_len && x->reasoning != REASONING_STRIP) {
        str_add(out, "<details><summary>Thought</summary><pre>");
        add_html(out, t.thought, t.thought_len);
        str_add(out, "</pre></details>");
    }
    str_add(out, "<pre>");
    add_html(out, t.answer, t.answer_len);
    str_add(out, "</pre></section>\n");
}

static int head_of(struct exporter *x, int64_t id, char **title, int64_t *created, int64_t *leaf)
{
    struct query q;

    query_init(&q, x->store, "SELECT title, created_ms, coalesce(leaf, 0) FROM conversations WHERE id = ?1", x->err);
    query_int(&q, 1, id);
    while (query_row(&q)) {
        free(*title);
        *title = query_get_text(&q, 0, NULL);
        *created = query_get_int(&q, 1);
        *leaf = query_get_int(&q, 2);
    }
    return query_end(&q);
}

static int conversation_text(struct exporter *x, const struct tree *t, struct str *out)
{
    bool html = x->options->format == EXPORT_HTML;
    char *title = NULL;
    int64_t created = 0, leaf = 0;
    size_t n = 0;

    int rc = head_of(x, t->conversation, &title, &created, &leaf);
    str_add(out, html ? "<article>\n<h2>" : "# ");
    if (!rc) add_line(out, title && title[0] ? title : "Conversation", html);
    str_addf(out, html ? "</h2>\n<p>c%lld, " : "\n\nc%lld, ", (long long)t->conversation);
    add_time(out, created);
    str_add(out, html ? "</p>\n" : "\n\n");
    free(title);
    size_t at = leaf ? tree_find(t, leaf) : 0;
    for (size_t i = at; i; i = t->items[i - 1].parent) n++;
    size_t *way = calloc(n ? n : 1, sizeof *way);
    if (!way) return err_set(x->err, ERR_NOMEM, "out of memory");
    for (size_t i = at, k = n; i; i = t->items[i - 1].parent) way[--k] = i - 1;
    for (size_t i = 0; i < n; i++) (html ? html_message : markdown_message)(x, out, &t->items[way[i]]);
    free(way);
    if (html) str_add(out, "</article>\n");
    return rc ? rc : str_ok(out) ? 0 : err_set(x->err, ERR_NOMEM, "out of memory");
}

/* ---- documents ----------------------------------------------------------------------------------------------- */

static const char *frame(const struct exporter *x, bool begin)
{
    switch (x->options->format) {
    case EXPORT_HTML:
        return begin ? "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Conversations</title>\n"
                       "<style>body{max-width:48rem;margin:2rem auto;padding:0 1rem;font-family:sans-serif;line-height:1.45}"
                       "pre{white-space:pre-wrap;font:inherit}details{color:#555;border-left:3px solid #ccc;padding-left:.8rem}"
                       ".you{background:#f3f3f3;padding:.1rem .8rem}</style></head><body>\n"
                     : "</body></html>\n";
    case EXPORT_JSON: return "{\"format\":\"ponder\",\"version\":1,\"conversations\":[\n";
    default: return "";
    }
}

static int put(struct exporter *x, const char *text)
{
    struct str s = STR_EMPTY;
    str_add(&s, text);
    int rc = s.len ? export_bytes(x, &s, 0, NULL) : 0;
    str_release(&s);
    return rc;
}

/* The end of a JSON document: the votes, whose two messages may be in different conversations. */
static int put_end(struct exporter *x)
{
    struct str s = STR_EMPTY;
    int rc = 0;

    if (x->options->format != EXPORT_JSON) return put(x, frame(x, false));
    str_add(&s, "\n],\"votes\":");
    json_t *votes = rows(x, votes_sql, 0, &rc);
    if (rc) {
        json_decref(votes);
    } else {
        rc = json_append_line(&s, votes, x->err);
    }
    if (!rc) str_truncate(&s, s.len - 1);
    str_add(&s, "}\n");
    if (!rc) rc = export_bytes(x, &s, 0, NULL);
    str_release(&s);
    return rc;
}

/* Whether a reply of the conversation was asked for, where anything was. */
static bool is_wanted(const struct exporter *x, const struct tree *t)
{
    const struct export_options *o = x->options;

    if (!o->model && !o->tag && !o->reason && !o->search && !o->since_ms && !o->until_ms && o->min_rating <= 0) return true;
    for (size_t i = 0; i < t->n; i++) {
        const struct node *n = &t->items[i];
        if (n->reply && n->rating >= o->min_rating && reply_in_scope(x, n) && reply_is_marked(x, t, n)) return true;
    }
    return false;
}

static int put_conversation(struct exporter *x, const struct tree *t)
{
    struct str out = STR_EMPTY;
    const struct node *last = NULL;

    for (size_t i = 0; i < t->n; i++)
        if (t->items[i].reply) last = &t->items[i];
    x->counts.conversations++;
    for (size_t i = 0; i < t->n; i++) x->counts.replies_seen += t->items[i].reply;
    if (!is_wanted(x, t)) {
        x->counts.left_filter++;
        return 0;
    }
    bool json = x->options->format == EXPORT_JSON;
    if (json && x->counts.records) str_add(&out, ",\n");
    int rc = json ? conversation_json(x, t, &out) : conversation_text(x, t, &out);
    if (!rc) rc = export_bytes(x, &out, t->conversation, last);
    x->counts.records++;
    str_release(&out);
    return rc;
}

int export_documents(struct exporter *x)
{
    struct tree t = {0};
    struct query q;

    int rc = put(x, frame(x, true));
    query_init(&q, x->store, "SELECT id FROM conversations ORDER BY id", x->err);
    if (rc) q.rc = rc;
    while (query_row(&q)) {
        q.rc = tree_load(x, query_get_int(&q, 0), &t);
        if (!q.rc) q.rc = put_conversation(x, &t);
    }
    tree_release(&t);
    rc = query_end(&q);
    return rc ? rc : put_end(x);
}
