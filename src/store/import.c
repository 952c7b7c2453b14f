/*
 * import.c - conversations of other programs.
 *
 * One transaction a file. Each conversation is a savepoint inside it: where a row is refused, the whole conversation goes back and a note
 * says why. Where a conversation came from is kept (`origin`), so that the same file twice brings nothing twice.
 *
 * Nothing of the file is trusted: tables take only the columns named here, STRICT tables refuse wrong types, and ids are given anew.
 */
#include "store/import.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX  (1u << 30)
#define NOTES_MAX 20

void import_report_release(struct import_report *r)
{
    if (r) str_release(&r->notes);
}

void import_note(struct importer *im, const char *fmt, ...)
{
    char text[400];
    va_list args;
    int lines = 0;

    for (const char *p = str_cstr(&im->report->notes); (p = strchr(p, '\n')) != NULL; p++) lines++;
    if (lines >= NOTES_MAX) return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    str_addf(&im->report->notes, "%s\n", text);
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

/* An INSERT whose parameters are the object's members of the same names, from ?2 on; ?1 is the message. */
/* clang-format off */
struct table {
    const char *key, *sql, *columns; /* columns space separated, in the order of the parameters */
};
static const struct table reply_table = {"reply",
    "INSERT INTO replies(message, model, model_file, model_sha256, quant, family, adapter, engine_version, kernels, threads,"
     " system, seed, temp, top_k,"
    " top_p, min_p, repeat_penalty, budget, budget_final, think_min, answer_max, prompt_tokens, context, ended, answer_ended,"
     " thought_tokens,"
    " answer_tokens, escaped, extensions, thought_ms, answer_ms, prefill_ms, tokens_per_s, think, cot, keep_thoughts,"
    " loop_guard) VALUES(?1, coalesce(?2, ''), ?3, ?4,"
     " ?5, ?6, ?7, ?8, ?9, ?10,"
    " coalesce(?11, ''), ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33,"
    " ?34, ?35, ?36, ?37)",
    "model model_file model_sha256 quant family adapter engine_version kernels threads system seed temp top_k top_p min_p"
     " repeat_penalty budget"
    " budget_final think_min answer_max prompt_tokens context ended answer_ended thought_tokens answer_tokens escaped"
     " extensions thought_ms answer_ms"
    " prefill_ms tokens_per_s think cot keep_thoughts loop_guard"};
static const struct table list_tables[] = {
    {"ratings", "INSERT INTO ratings(message, part, value, reasons, comment, rated_ms) VALUES(?1, ?2, ?3, coalesce(?4, '[]'),"
     " ?5, coalesce(?6, 0))",
     "part value reasons comment rated_ms"},
    {"tags", "INSERT OR IGNORE INTO tags(message, tag) VALUES(?1, ?2)", "tag"},
    {"events", "INSERT INTO events(message, position, kind, value, created_ms) VALUES(?1, ?2, ?3, ?4, coalesce(?5, 0))",
        "position kind value created_ms"},
    {"spans", "INSERT INTO spans(message, position, byte_offset, byte_length, kind, author) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
     "position byte_offset byte_length kind author"},
    {"steps", "INSERT INTO steps(message, step, unit, byte_offset, byte_length, value, rated_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6,"
     " coalesce(?7, 0))",
     "step unit byte_offset byte_length value rated_ms"},
};
/* clang-format on */

static void bind_json(struct query *q, int at, const json_t *v)
{
    if (json_is_string(v)) {
        query_text(q, at, json_string_value(v), json_string_length(v));
    } else if (json_is_integer(v)) {
        query_int(q, at, json_integer_value(v));
    } else if (json_is_real(v)) {
        query_real(q, at, json_real_value(v));
    } else if (json_is_boolean(v)) {
        query_int(q, at, json_is_true(v));
    } else {
        query_null(q, at);
    }
}

static int insert_row(struct importer *im, const struct table *t, int64_t message, const json_t *o)
{
    struct query q;
    int at = 2;

    query_init(&q, im->store, t->sql, im->err);
    query_int(&q, 1, message);
    for (const char *p = t->columns; *p; at++) {
        char name[32];
        size_t n = strcspn(p, " ");
        snprintf(name, sizeof name, "%.*s", (int)n, p);
        bind_json(&q, at, json_object_get(o, name));
        p += n + (p[n] == ' ');
    }
    return query_run(&q);
}

/* Reasons are a JSON array of texts inside a text; anything else is none. */
static bool reasons_are_good(const json_t *rating)
{
    const json_t *text = json_object_get(rating, "reasons");
    json_t *list = json_is_string(text) ? json_loads(json_string_value(text), 0, NULL) : NULL;
    bool good = !text || json_is_null(text) || json_is_array(list);

    for (size_t i = 0; good && i < json_array_size(list); i++) good = json_is_string(json_array_get(list, i));
    json_decref(list);
    return good;
}

/* Marks on the thought lie inside it. */
static bool mark_is_inside(const json_t *row, const json_t *thought)
{
    json_int_t offset = json_integer_value(json_object_get(row, "byte_offset")),
               length = json_integer_value(json_object_get(row, "byte_length"));
    json_int_t size = json_is_string(thought) ? (json_int_t)json_string_length(thought) : 0;

    return offset >= 0 && length >= 0 && offset <= size && length <= size - offset;
}

static int insert_reply_rows(struct importer *im, int64_t id, const json_t *m)
{
    const json_t *reply = json_object_get(m, "reply");
    json_t *none = json_object();

    int rc = insert_row(im, &reply_table, id, json_is_object(reply) ? reply : none);
    json_decref(none);
    for (size_t i = 0; i < ARRAY_LEN(list_tables) && !rc; i++) {
        const json_t *list = json_object_get(m, list_tables[i].key);
        for (size_t k = 0; k < json_array_size(list) && !rc; k++) {
            const json_t *row = json_array_get(list, k);
            if (i == 0 && !reasons_are_good(row)) return err_set(im->err, ERR_INVALID, "reasons are no list of texts");
            if (json_object_get(row, "byte_offset") && !mark_is_inside(row, json_object_get(m, "thought")))
                return err_set(im->err, ERR_INVALID, "a mark lies outside its thought");
            rc = insert_row(im, &list_tables[i], id, row);
            if (i == 0) im->report->ratings++;
        }
    }
    return rc;
}

static int64_t new_id(const json_t *ids, const json_t *old)
{
    char key[32];
    if (!json_is_integer(old)) return 0;
    snprintf(key, sizeof key, "%lld", (long long)json_integer_value(old));
    return json_integer_value(json_object_get(ids, key));
}

static int note_id(json_t *ids, const json_t *old, int64_t id, struct err *e)
{
    char key[32];
    if (!json_is_integer(old)) return err_set(e, ERR_INVALID, "a message has no number");
    snprintf(key, sizeof key, "%lld", (long long)json_integer_value(old));
    if (json_object_get(ids, key)) return err_set(e, ERR_INVALID, "two messages have the number %s", key);
    return json_object_set_new(ids, key, json_integer(id)) == 0 ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

/* The reply whose thought this one was given has another number here. */
static int link_thought(struct importer *im, int64_t id, const json_t *old)
{
    struct query q;

    if (!new_id(im->ids, old)) return 0;
    query_init(&q, im->store, "UPDATE replies SET thought_of = ?2 WHERE message = ?1", im->err);
    query_int(&q, 1, id);
    query_int(&q, 2, new_id(im->ids, old));
    return query_run(&q);
}

static int insert_message(struct importer *im, int64_t conversation, int64_t created, const json_t *m, json_t *roles, int64_t *id)
{
    static const char *const texts[] = {"text", "thought", "edited_text", "edited_thought"};
    const json_t *role = json_object_get(m, "role"), *old_parent = json_object_get(m, "parent"), *when = json_object_get(m, "created_ms");
    bool reply = json_is_string(role) && !strcmp(json_string_value(role), "assistant");
    int64_t parent = new_id(im->ids, old_parent);
    char key[32];
    struct query q;

    snprintf(key, sizeof key, "%lld", (long long)parent);
    if (!reply && !(json_is_string(role) && !strcmp(json_string_value(role), "user")))
        return err_set(im->err, ERR_INVALID, "a message has no role");
    if (json_is_integer(old_parent) && !json_object_get(roles, key))
        return err_set(im->err, ERR_INVALID, "a message stands below one that is not there");
    if (reply && !json_is_false(json_object_get(roles, key))) return err_set(im->err, ERR_INVALID, "a reply answers no prompt");
    query_init(&q, im->store,
               "INSERT INTO messages(conversation, parent, role, created_ms, text, thought, edited_text, edited_thought, edited_ms, fold)"
               " VALUES(?1, ?2, ?3, ?4, coalesce(?5, ''), coalesce(?6, ''), ?7, ?8, ?9, ?10)",
               im->err);
    query_int(&q, 1, conversation);
    if (parent) {
        query_int(&q, 2, parent);
    } else {
        query_null(&q, 2);
    }
    query_cstr(&q, 3, reply ? "assistant" : "user");
    query_int(&q, 4, json_is_integer(when) ? json_integer_value(when) : created);
    for (int i = 0; i < 4; i++)
        if (i == 0 || reply) bind_json(&q, 5 + i, json_object_get(m, texts[i]));
    bind_json(&q, 9, json_object_get(m, "edited_ms"));
    bind_json(&q, 10, json_object_get(m, "fold"));
    int rc = query_run(&q);
    if (rc) return rc;
    *id = sqlite3_last_insert_rowid(im->store->db);
    rc = note_id(im->ids, json_object_get(m, "id"), *id, im->err);
    snprintf(key, sizeof key, "%lld", (long long)*id);
    if (!rc && json_object_set_new(roles, key, json_boolean(reply)) != 0) rc = err_set(im->err, ERR_NOMEM, "out of memory");
    if (!rc && reply) rc = insert_reply_rows(im, *id, m);
    if (!rc && reply) rc = link_thought(im, *id, json_object_get(json_object_get(m, "reply"), "thought_of"));
    if (!rc) rc = index_add(im->store, *id, im->err);
    const json_t *text = json_object_get(m, "text");
    if (!rc && !reply && !parent && json_is_string(text))
        rc = conversation_name(im->store, conversation, json_string_value(text), json_string_length(text), im->err);
    return rc;
}

/* ---- conversations --------------------------------------------------------------------------------------------- */

/* Where the conversation came from, or what tells it from others. malloc'ed, the caller's. */
static char *origin_of(const json_t *c)
{
    const json_t *origin = json_object_get(c, "origin");
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char text[64];

    if (json_is_string(origin)) return mem_dup_text(json_string_value(origin), json_string_length(origin));
    char *whole = json_write(c, JSON_COMPACT | JSON_SORT_KEYS);
    if (!whole) return NULL;
    bool hashed = SHA256((const unsigned char *)whole, strlen(whole), digest);
    free(whole);
    if (!hashed) return NULL;
    int n = snprintf(text, sizeof text, "ponder:");
    for (int i = 0; i < 12; i++) n += snprintf(text + n, sizeof text - (size_t)n, "%02x", digest[i]);
    return mem_dup_text(text, (size_t)n);
}

static int is_known(struct importer *im, const char *origin, bool *known)
{
    struct query q;

    *known = false;
    query_init(&q, im->store, "SELECT 1 FROM conversations WHERE origin = ?1", im->err);
    query_cstr(&q, 1, origin);
    while (query_row(&q)) *known = true;
    return query_end(&q);
}

static int insert_conversation(struct importer *im, const json_t *c, const char *origin, int64_t *messages)
{
    const json_t *list = json_object_get(c, "messages"), *created = json_object_get(c, "created_ms"),
                 *updated = json_object_get(c, "updated_ms");
    int64_t now = clock_wall_ms(), when = json_is_integer(created) ? json_integer_value(created) : now, id = 0, last = 0;
    json_t *roles = json_object();
    struct query q;

    query_init(
        &q, im->store,
        "INSERT INTO conversations(title, system, origin, created_ms, updated_ms) VALUES(coalesce(?1, ''), coalesce(?2, ''), ?3, ?4, ?4)",
        im->err);
    bind_json(&q, 1, json_object_get(c, "title"));
    bind_json(&q, 2, json_object_get(c, "system"));
    query_cstr(&q, 3, origin);
    query_int(&q, 4, when);
    int rc = query_run(&q);
    int64_t conversation = sqlite3_last_insert_rowid(im->store->db);
    for (size_t i = 0; i < json_array_size(list) && !rc; i++) {
        rc = insert_message(im, conversation, when, json_array_get(list, i), roles, &id);
        if (!rc) last = id;
        ++*messages;
    }
    json_decref(roles);
    if (rc) return rc;
    int64_t leaf = new_id(im->ids, json_object_get(c, "leaf"));
    if (leaf || last) rc = branch_set_leaf(im->store, conversation, leaf ? leaf : last, im->err);
    if (rc) return rc;
    query_init(
        &q, im->store,
        "UPDATE conversations SET updated_ms = coalesce(?2, (SELECT max(created_ms) FROM messages WHERE conversation = ?1), created_ms)"
     " WHERE id = ?1",
        im->err);
    query_int(&q, 1, conversation);
    bind_json(&q, 2, json_is_integer(updated) ? updated : NULL);
    return query_run(&q);
}

int import_conversation(struct importer *im, const json_t *c)
{
    bool known = false;
    int64_t messages = 0, ratings = im->report->ratings;
    struct err why = {0}, *outer = im->err;

    im->file_n++;
    char *origin = origin_of(c);
    if (!origin) return err_set(im->err, ERR_NOMEM, "out of memory");
    int rc = is_known(im, origin, &known);
    if (!rc && known) {
        im->report->known++;
        free(origin);
        return 0;
    }
    json_object_clear(im->ids);
    if (!rc) rc = db_exec(im->store, "SAVEPOINT conversation", im->err);
    if (rc) {
        free(origin);
        return rc;
    }
    im->err = &why;
    int refused = insert_conversation(im, c, origin, &messages);
    im->err = outer;
    free(origin);
    if (refused == ERR_INVALID) {
        import_note(im, "conversation %lld: %s", (long long)im->file_n, why.text);
        im->report->refused++;
        im->report->ratings = ratings;
        return db_exec(im->store, "ROLLBACK TO conversation; RELEASE conversation", im->err);
    }
    if (refused) return err_set(im->err, refused, "%s", why.text);
    if (im->all_ids && json_object_update(im->all_ids, im->ids) != 0) return err_set(im->err, ERR_NOMEM, "out of memory");
    im->report->conversations++;
    im->report->messages += messages;
    return db_exec(im->store, "RELEASE conversation", im->err);
}

/* ---- votes ----------------------------------------------------------------------------------------------------- */

static int import_votes(struct importer *im, const json_t *votes)
{
    static const char *const names[] = {"verdict", "strength", "shown_first", "blind", "spent_ms", "voted_ms"};
    int rc = 0;

    for (size_t i = 0; i < json_array_size(votes) && !rc; i++) {
        const json_t *v = json_array_get(votes, i);
        int64_t a = new_id(im->all_ids, json_object_get(v, "a")), b = new_id(im->all_ids, json_object_get(v, "b"));
        struct query q;
        if (!a || !b) continue;
        query_init(&q, im->store,
                   "INSERT INTO votes(a, b, verdict, strength, shown_first, blind, spent_ms, voted_ms)"
                   " VALUES(?1, ?2, ?3, ?4, ?5, coalesce(?6, 0), ?7, coalesce(?8, 0))",
                   im->err);
        query_int(&q, 1, a);
        query_int(&q, 2, b);
        for (size_t k = 0; k < ARRAY_LEN(names); k++) bind_json(&q, 3 + (int)k, json_object_get(v, names[k]));
        rc = query_run(&q);
        if (rc == ERR_INVALID) {
            import_note(im, "vote %zu: %s", i + 1, im->err ? im->err->text : "refused");
            rc = 0;
        } else if (!rc) {
            im->report->votes++;
        }
    }
    return rc;
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

static int import_one(struct importer *im, const json_t *c)
{
    const char *format = import_format_of(c);

    if (!format) {
        im->file_n++;
        im->report->refused++;
        import_note(im, "conversation %lld: of no kind that is known", (long long)im->file_n);
        return 0;
    }
    if (!im->report->format[0]) snprintf(im->report->format, sizeof im->report->format, "%s", format);
    json_t *own = import_translate(im, format, c);
    if (!own) {
        im->file_n++;
        return im->short_of_memory ? err_set(im->err, ERR_NOMEM, "out of memory") : 0;
    }
    int rc = import_conversation(im, own);
    json_decref(own);
    return rc;
}

/* A document: a list of conversations, an object that holds one, or one conversation. */
static int import_document(struct importer *im, const json_t *doc)
{
    const json_t *list = doc, *format = json_object_get(doc, "format");
    int rc = 0;

    if (json_is_string(format) && !strcmp(json_string_value(format), "ponder")) {
        snprintf(im->report->format, sizeof im->report->format, "ponder");
        list = json_object_get(doc, "conversations");
        if (!im->all_ids) im->all_ids = json_object();
        for (size_t i = 0; i < json_array_size(list) && !rc; i++) rc = import_conversation(im, json_array_get(list, i));
        return rc ? rc : import_votes(im, json_object_get(doc, "votes"));
    }
    if (json_is_object(doc)) {
        if (import_format_of(doc)) return import_one(im, doc);
        list = json_object_get(doc, "conversations");
    }
    for (size_t i = 0; i < json_array_size(list) && !rc; i++) rc = import_one(im, json_array_get(list, i));
    return rc;
}

/* JSON lines; or several documents one after the other, as those of an archive. */
static int import_documents(struct importer *im, const char *text, size_t n)
{
    size_t at = 0;
    int rc = 0;

    while (!rc) {
        json_error_t why;
        while (at < n && strchr(" \t\r\n", text[at]) && text[at]) at++;
        if (at >= n) break;
        json_t *doc = json_loadb(text + at, n - at, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &why);
        if (!doc) {
            const char *line = memchr(text + at, '\n', n - at);
            import_note(im, "at byte %zu: %s", at, why.text);
            im->report->refused++;
            if (!line) break;
            at = (size_t)(line - text) + 1;
            continue;
        }
        at += why.position > 0 ? (size_t)why.position : n - at;
        rc = import_document(im, doc);
        json_decref(doc);
    }
    return rc;
}

static int import_file(struct importer *im, const char *path)
{
    struct str file = STR_EMPTY, unpacked = STR_EMPTY;

    int rc = file_read(&file, path, FILE_MAX, im->err);
    bool zip = !rc && file.len > 4 && !memcmp(file.data, "PK\3\4", 4);
    if (!rc && file.len >= 16 && !memcmp(file.data, "SQLite format 3", 16)) {
        rc = import_llm(im, path);
    } else if (!rc) {
        if (zip) rc = import_unzip(&unpacked, file.data, file.len, im->err);
        const struct str *text = zip ? &unpacked : &file;
        if (!rc) rc = import_documents(im, str_cstr(text), text->len);
    }
    str_release(&file);
    str_release(&unpacked);
    const struct import_report *r = im->report;
    if (!rc && !r->conversations && !r->known && !r->format[0])
        rc = err_set(im->err, ERR_INVALID,
                     "%s: holds no conversations of a kind that is known (ChatGPT, Claude, Open WebUI, llm, ShareGPT, OpenAI, ponder)",
                     path);
    return rc;
}

int store_import(struct store *s, const char *path, bool only_look, struct import_report *out, struct err *e)
{
    struct importer im = {.store = s, .report = out, .ids = json_object(), .err = e};

    *out = (struct import_report){0};
    store_lock(s);
    int rc = db_begin(s, e);
    if (!rc) {
        rc = import_file(&im, path);
        if (!rc && !str_ok(&out->notes)) rc = err_set(e, ERR_NOMEM, "out of memory");
        int ended = db_end(s, rc ? rc : only_look ? ERR_STOPPED : 0, rc ? NULL : e);
        if (!rc && !(only_look && ended == ERR_STOPPED)) rc = ended;
    }
    store_unlock(s);
    json_decref(im.ids);
    json_decref(im.all_ids);
    return rc;
}
