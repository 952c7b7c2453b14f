/*
 * care.c - copying the record while it is in use, looking for damage, and taking text out of it for good.
 */
#include "store/internal.h"

#include <fcntl.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- backup -------------------------------------------------------------------------------------------------- */

static int copy_into(struct store *s, sqlite3 *to, struct err *e)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", s->db, "main");
    int rc = SQLITE_OK;

    if (!b) return err_set(e, ERR_DB, "%s", sqlite3_errmsg(to));
    do {
        rc = sqlite3_backup_step(b, 1024);
        if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED) sqlite3_sleep(20);
    } while (rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED);
    int ended = sqlite3_backup_finish(b);
    return rc == SQLITE_DONE && ended == SQLITE_OK ? 0 : db_error(s, rc == SQLITE_DONE ? ended : rc, e);
}

int store_backup(struct store *s, const char *path, struct err *e)
{
    sqlite3 *to = NULL;
    int fd = file_open_private(path, O_RDWR | O_CREAT | O_EXCL, e);

    if (fd < 0) return access(path, F_OK) == 0 ? err_set(e, ERR_INVALID, "%s: is there already", path) : e ? e->code : ERR_IO;
    close(fd);
    store_lock(s);
    int rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL) == SQLITE_OK
                 ? 0
                 : err_set(e, ERR_IO, "%s: %s", path, sqlite3_errmsg(to));
    if (!rc) rc = copy_into(s, to, e);
    /* the copy is one file, without a log beside it */
    if (!rc && sqlite3_exec(to, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL) != SQLITE_OK)
        rc = err_set(e, ERR_IO, "%s: %s", path, sqlite3_errmsg(to));
    if (sqlite3_close(to) != SQLITE_OK && !rc) rc = err_set(e, ERR_IO, "%s: cannot be closed", path);
    store_unlock(s);
    if (rc) unlink(path);
    return rc;
}

/* ---- check --------------------------------------------------------------------------------------------------- */

/* Appends what a query of texts finds, behind a heading. */
static int find(struct store *s, const char *heading, const char *sql, struct str *out, struct err *e)
{
    struct query q;

    query_init(&q, s, sql, e);
    while (query_row(&q)) {
        char *text = query_get_text(&q, 0, NULL);
        if (text && strcmp(text, "ok") != 0) str_addf(out, "%s: %s\n", heading, text);
        free(text);
    }
    return query_end(&q);
}

int store_check(struct store *s, struct str *findings, struct err *e)
{
    static const struct {
        const char *heading, *sql;
    } checks[] = {
        {"file", "PRAGMA integrity_check(20)"},
        {"row that points nowhere",
         "SELECT \"table\" || ' ' || coalesce(rowid, '') || ' -> ' || parent FROM pragma_foreign_key_check LIMIT 20"},
        {"message below one of another conversation",
         "SELECT m.id FROM messages m JOIN messages p ON p.id = m.parent WHERE p.conversation <> m.conversation LIMIT 20"},
        {"reply without its provenance",
         "SELECT m.id FROM messages m WHERE m.role = 'assistant' AND NOT EXISTS (SELECT 1 FROM replies r WHERE r.message = m.id) LIMIT 20"},
        {"provenance of a prompt", "SELECT m.id FROM messages m JOIN replies r ON r.message = m.id WHERE m.role = 'user' LIMIT 20"},
        {"reply that answers no prompt", "SELECT m.id FROM messages m LEFT JOIN messages p ON p.id = m.parent WHERE m.role = 'assistant' "
                                         "AND coalesce(p.role, '') <> 'user' LIMIT 20"},
        {"branch shown that is not the leaf's",
         "WITH RECURSIVE up(id) AS (SELECT leaf FROM conversations WHERE leaf IS NOT NULL UNION SELECT m.parent FROM messages m JOIN up "
         "USING(id) WHERE m.parent"
         " IS NOT NULL) SELECT id FROM messages WHERE active <> (id IN (SELECT id FROM up)) LIMIT 20"},
        {"reply that streams without a writer",
         "SELECT id FROM messages WHERE streaming = 1 AND NOT EXISTS (SELECT 1 FROM streams w WHERE w.message = messages.id) LIMIT 20"},
        {"span outside its thought", "SELECT s.message FROM spans s JOIN messages m ON m.id = s.message WHERE m.streaming = 0 AND "
                                     "s.byte_offset + s.byte_length > length(CAST(m.thought AS BLOB))"
                                     " LIMIT 20"},
        {"step outside its thought", "SELECT s.message FROM steps s JOIN messages m ON m.id = s.message WHERE s.byte_offset + "
                                     "s.byte_length > length(CAST(m.thought AS BLOB)) LIMIT 20"},
    };
    int rc = 0;

    store_lock(s);
    for (size_t i = 0; i < ARRAY_LEN(checks) && !rc; i++) rc = find(s, checks[i].heading, checks[i].sql, findings, e);
    if (!rc) {
        /* the index says by an error that it does not fit the texts */
        struct err why = {0};
        int index = db_exec(s, "INSERT INTO message_index(message_index, rank) VALUES('integrity-check', 1)", &why);
        if (index == ERR_DB) str_addf(findings, "full-text index: %s\n", why.text);
        if (index && index != ERR_DB) rc = err_set(e, index, "%s", why.text);
    }
    store_unlock(s);
    return rc ? rc : str_ok(findings) ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

/* ---- redact -------------------------------------------------------------------------------------------------- */

struct place {
    size_t at, len;
};
struct redaction {
    struct store *s;
    regex_t regex;
    const char *with;
    bool only_look;
    int64_t texts;
    struct place *places; /* found in the text at hand, ascending */
    size_t n, cap;
    struct err *err;
};

/* Looks through a text; false when memory ran out. */
static bool look(struct redaction *r, const char *text, size_t len)
{
    r->n = 0;
    for (size_t at = 0; at < len;) {
        regmatch_t m = {.rm_so = (regoff_t)at, .rm_eo = (regoff_t)len};
        if (regexec(&r->regex, text, 1, &m, REG_STARTEND | (at ? REG_NOTBOL : 0)) != 0) break;
        size_t from = (size_t)m.rm_so, to = (size_t)m.rm_eo;
        if (to == from) {
            at = from + 1;
            continue;
        }
        if (!mem_grow(&r->places, &r->cap, r->n + 1, sizeof *r->places)) return false;
        r->places[r->n++] = (struct place){from, to - from};
        at = to;
    }
    return true;
}

static void replace(const struct redaction *r, const char *text, size_t len, struct str *out)
{
    size_t at = 0;

    for (size_t i = 0; i < r->n; i++) {
        str_add_bytes(out, text + at, r->places[i].at - at);
        str_add(out, r->with);
        at = r->places[i].at + r->places[i].len;
    }
    str_add_bytes(out, text + at, len - at);
}

/* Where a byte of the old text is in the new one. */
static size_t moved(const struct redaction *r, size_t at)
{
    size_t with = strlen(r->with), out = at;

    for (size_t i = 0; i < r->n && r->places[i].at < at; i++) {
        const struct place *p = &r->places[i];
        size_t covered = at - p->at < p->len ? at - p->at : p->len;
        out = out - covered + with;
    }
    return out;
}

/* Marks on a thought that changed go where their text went. */
static int move_marks(struct redaction *r, const char *table_select, const char *table_update, int64_t message)
{
    struct query q;
    struct mark {
        int64_t id, offset, length;
    } *marks = NULL;
    size_t n = 0, cap = 0;

    query_init(&q, r->s, table_select, r->err);
    query_int(&q, 1, message);
    while (query_row(&q)) {
        if (!mem_grow(&marks, &cap, n + 1, sizeof *marks))
            q.rc = err_set(r->err, ERR_NOMEM, "out of memory");
        else
            marks[n++] = (struct mark){query_get_int(&q, 0), query_get_int(&q, 1), query_get_int(&q, 2)};
    }
    int rc = query_end(&q);
    for (size_t i = 0; i < n && !rc; i++) {
        if (marks[i].offset < 0 || marks[i].length < 0) continue;
        size_t from = moved(r, (size_t)marks[i].offset), to = moved(r, (size_t)(marks[i].offset + marks[i].length));
        query_init(&q, r->s, table_update, r->err);
        query_int(&q, 1, message);
        query_int(&q, 2, marks[i].id);
        query_int(&q, 3, (int64_t)from);
        query_int(&q, 4, (int64_t)(to - from));
        rc = query_run(&q);
    }
    free(marks);
    return rc;
}

static int forget_undo(struct redaction *r, int64_t message)
{
    struct query q;
    query_init(&q, r->s, "DELETE FROM undo WHERE message = ?1", r->err);
    query_int(&q, 1, message);
    return query_run(&q);
}

/* clang-format off */
static const struct column {
    const char *select, *update; /* id, text; ?1 id, ?2 text */
    bool of_message, indexed, thought;
} columns[] = {
#define COLUMN(table, id, column, where) \
    "SELECT " id ", " column " FROM " table " WHERE " id " > ?1 AND " column " IS NOT NULL" where " ORDER BY " id " LIMIT 1", \
    "UPDATE " table " SET " column " = ?2 WHERE " id " = ?1" where
    {COLUMN("messages", "id", "text", ""), true, true, false},
    {COLUMN("messages", "id", "thought", ""), true, true, true},
    {COLUMN("messages", "id", "edited_text", ""), true, true, false},
    {COLUMN("messages", "id", "edited_thought", ""), true, true, false},
    {COLUMN("replies", "message", "system", ""), true, false, false},
    {COLUMN("ratings", "message", "comment", " AND part = 'answer'"), true, false, false},
    {COLUMN("ratings", "message", "comment", " AND part = 'thought'"), true, false, false},
    {COLUMN("events", "id", "value", ""), false, false, false},
    {COLUMN("conversations", "id", "title", ""), false, false, false},
    {COLUMN("conversations", "id", "system", ""), false, false, false},
    {COLUMN("drafts", "conversation", "text", ""), false, false, false},
#undef COLUMN
};
/* clang-format on */

static int change(struct redaction *r, const struct column *c, int64_t id, const char *text, size_t len)
{
    static const char spans[] = "SELECT id, byte_offset, byte_length FROM spans WHERE message = ?1";
    static const char put_span[] = "UPDATE spans SET byte_offset = ?3, byte_length = ?4 WHERE message = ?1 AND id = ?2";
    static const char step_marks[] = "SELECT step, byte_offset, byte_length FROM steps WHERE message = ?1";
    static const char put_step[] = "UPDATE steps SET byte_offset = ?3, byte_length = ?4 WHERE message = ?1 AND step = ?2";
    struct str out = STR_EMPTY;
    struct query q;

    replace(r, text, len, &out);
    int rc = str_ok(&out) ? 0 : err_set(r->err, ERR_NOMEM, "out of memory");
    if (!rc && c->indexed) rc = index_drop(r->s, id, r->err);
    if (!rc) {
        query_init(&q, r->s, c->update, r->err);
        query_int(&q, 1, id);
        query_text(&q, 2, str_cstr(&out), out.len);
        rc = query_run(&q);
    }
    if (!rc && c->indexed) rc = index_add(r->s, id, r->err);
    if (!rc && c->thought) rc = move_marks(r, spans, put_span, id);
    if (!rc && c->thought) rc = move_marks(r, step_marks, put_step, id);
    if (!rc && c->of_message) rc = forget_undo(r, id);
    str_release(&out);
    return rc;
}

/* Row by row, each read to its end before it changes: a change during a walk could be met again. */
static int redact_column(struct redaction *r, const struct column *c)
{
    int64_t id = -1;
    int rc = 0;

    for (bool more = true; more && !rc;) {
        struct query q;
        char *text = NULL;
        size_t len = 0;
        more = false;
        query_init(&q, r->s, c->select, r->err);
        query_int(&q, 1, id);
        if (query_row(&q)) {
            more = true;
            id = query_get_int(&q, 0);
            text = query_get_text(&q, 1, &len);
        }
        rc = query_end(&q);
        if (!rc && text && !look(r, text, len)) rc = err_set(r->err, ERR_NOMEM, "out of memory");
        if (!rc && text && r->n) {
            r->texts++;
            if (!r->only_look) rc = change(r, c, id, text, len);
        }
        free(text);
    }
    return rc;
}

static int redact(struct redaction *r)
{
    int64_t streaming = 0;
    int rc = db_number(r->s, "SELECT count(*) FROM messages WHERE streaming = 1", &streaming, r->err);

    if (!rc && streaming) rc = err_set(r->err, ERR_BUSY, "a reply is being written; try again when it has ended");
    for (size_t i = 0; i < ARRAY_LEN(columns) && !rc; i++) rc = redact_column(r, &columns[i]);
    if (!rc && r->texts && !r->only_look) rc = db_exec(r->s, "INSERT OR REPLACE INTO notes(name, value) VALUES('wipe', 'due')", r->err);
    return rc;
}

int store_redact(struct store *s, const char *pattern, const char *with, bool ignore_case, bool only_look, int64_t *texts, struct err *e)
{
    struct redaction r = {.s = s, .with = with, .only_look = only_look, .err = e};
    char why[128];

    *texts = 0;
    if (!pattern[0]) return err_set(e, ERR_INVALID, "the pattern is empty");
    if (!utf8_is_valid(with, strlen(with))) return err_set(e, ERR_INVALID, "what is put in is not UTF-8");
    int bad = regcomp(&r.regex, pattern, REG_EXTENDED | (ignore_case ? REG_ICASE : 0));
    if (bad) {
        regerror(bad, &r.regex, why, sizeof why);
        return err_set(e, ERR_INVALID, "the pattern is no regular expression: %s", why);
    }
    store_lock(s);
    int rc = db_begin(s, e);
    if (!rc) rc = db_end(s, redact(&r), e);
    if (!rc && r.texts && !only_look) {
        struct err trouble = {0};
        rc = store_wipe(s, &trouble);
        if (rc) err_set(e, rc, "replaced, but traces may be left in the file until the next deletion: %s", trouble.text);
    }
    store_unlock(s);
    *texts = r.texts;
    regfree(&r.regex);
    free(r.places);
    return rc;
}
