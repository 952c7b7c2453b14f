/*
 * query.c - prepared statements, transactions and the error codes of SQLite.
 *
 * A statement is prepared at its first use and kept; between two uses it is reset and holds no bindings, so that no statement left
 * half-way keeps a read transaction open. What SQLite reports becomes one enum ponder_err; nothing is retried here beyond SQLite's own
 * busy handler.
 */
#include "store/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int error_kind(sqlite3 *db, int rc)
{
    switch (rc & 0xff) {
    case SQLITE_NOMEM: return ERR_NOMEM;
    case SQLITE_FULL: return ERR_FULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL: return ERR_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_SCHEMA:
    case SQLITE_ERROR: return ERR_DB; /* our own SQL is right: tables or columns are not what they should be */
    case SQLITE_INTERRUPT: return ERR_STOPPED;
    case SQLITE_TOOBIG:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH: return ERR_INVALID;
    case SQLITE_IOERR: break;
    default: return ERR_FAILED;
    }
    if (rc == SQLITE_IOERR_NOMEM) return ERR_NOMEM;
    /* SQLite 3.40 keeps no error number for writes to the log; that of the system call is still there, as every call here begins with 0 */
    int reason = db ? sqlite3_system_errno(db) : 0;
    if (reason == 0) reason = errno;
    return reason == ENOSPC || reason == EDQUOT || reason == EFBIG ? ERR_FULL : ERR_IO;
}

int db_error(struct store *s, int sqlite_rc, struct err *e)
{
    int code = error_kind(s->db, sqlite_rc);
    const char *text = s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(sqlite_rc);
    const char *name = s->path ? s->path : "the conversations in memory";

    switch (code) {
    case ERR_NOMEM: return err_set(e, code, "out of memory");
    case ERR_FULL: return err_set(e, code, "%s: no space left on the disk", name);
    case ERR_BUSY: return err_set(e, code, "%s: another program is using it", name);
    default: break;
    }
    if ((sqlite_rc & 0xff) == SQLITE_CORRUPT || (sqlite_rc & 0xff) == SQLITE_NOTADB)
        return err_set(e, code, "%s: is damaged, or no record (%s); `ponder check --salvage` sets it aside and saves what can be read", name, text);
    return err_set(e, code, "%s: %s", name, text);
}

int db_exec(struct store *s, const char *sql, struct err *e)
{
    errno = 0;
    int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : db_error(s, rc, e);
}

int db_number(struct store *s, const char *sql, int64_t *out, struct err *e)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);
    int failed = 0;

    *out = 0;
    if (rc == SQLITE_OK) rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        *out = sqlite3_column_int64(stmt, 0);
    } else if (rc != SQLITE_DONE) {
        failed = db_error(s, rc, e);
    }
    sqlite3_finalize(stmt);
    return failed;
}

int db_be_safe(struct store *s, struct err *e)
{
    int rc = 0;

    if (s->stuck && !sqlite3_get_autocommit(s->db)) rc = db_exec(s, "ROLLBACK", e);
    if (rc) return rc;
    s->stuck = false;
    /* lets go of all tables; nothing is written */
    if (s->stale) rc = db_exec(s, "PRAGMA writable_schema = RESET", e);
    if (rc) return rc;
    s->stale = false;
    if (s->hasty) rc = db_exec(s, "PRAGMA synchronous = FULL", e);
    if (!rc) s->hasty = false;
    return rc;
}

static const char commit[] = "COMMIT", rollback[] = "ROLLBACK";

/* A transaction begins only when it can be ended: taking it back may be wanted because there is no memory left. */
static int begin(struct store *s, const char *sql, struct err *e)
{
    struct query q;

    query_init(&q, s, commit, e);
    if (!q.rc) query_init(&q, s, rollback, e);
    if (!q.rc) query_init(&q, s, sql, e);
    int rc = query_run(&q);
    return rc ? db_end(s, rc, e) : 0;
}

int db_begin(struct store *s, struct err *e)
{
    s->writing = true;
    return begin(s, "BEGIN IMMEDIATE", e);
}

int db_begin_read(struct store *s, struct err *e)
{
    s->writing = false;
    return begin(s, "BEGIN", e);
}

int db_end(struct store *s, int rc, struct err *e)
{
    struct query q;

    if (!rc) {
        query_init(&q, s, commit, e);
        rc = query_run(&q);
    }
    /* some errors have rolled back by themselves; a busy commit has not */
    if (rc && !sqlite3_get_autocommit(s->db)) {
        query_init(&q, s, rollback, NULL);
        s->stuck = query_run(&q) != 0;
    }
    s->stale |= rc == ERR_NOMEM && s->writing;
    return rc;
}

void db_forget_statements(struct store *s)
{
    for (size_t i = 0; i < s->n_cache; i++) sqlite3_finalize(s->cache[i].stmt);
    free(s->cache);
    s->cache = NULL;
    s->n_cache = s->cap_cache = 0;
}

void query_init(struct query *q, struct store *s, const char *sql, struct err *e)
{
    *q = (struct query){.store = s, .err = e};
    if ((s->hasty || s->stuck || s->stale) && (q->rc = db_be_safe(s, e))) return;
    for (size_t i = 0; i < s->n_cache && !q->stmt; i++)
        if (s->cache[i].sql == sql) q->stmt = s->cache[i].stmt;
    if (q->stmt) return;
    if (!mem_grow(&s->cache, &s->cap_cache, s->n_cache + 1, sizeof *s->cache)) {
        q->rc = err_set(e, ERR_NOMEM, "out of memory");
        return;
    }
    int rc = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &q->stmt, NULL);
    if (rc != SQLITE_OK) {
        q->rc = db_error(s, rc, e);
        return;
    }
    s->cache[s->n_cache++] = (struct cached){.sql = sql, .stmt = q->stmt};
}

static void check(struct query *q, int sqlite_rc)
{
    if (sqlite_rc != SQLITE_OK) q->rc = db_error(q->store, sqlite_rc, q->err);
}

void query_int(struct query *q, int at, int64_t value)
{
    if (!q->rc) check(q, sqlite3_bind_int64(q->stmt, at, value));
}

void query_real(struct query *q, int at, double value)
{
    if (!q->rc) check(q, sqlite3_bind_double(q->stmt, at, value));
}

void query_null(struct query *q, int at)
{
    if (!q->rc) check(q, sqlite3_bind_null(q->stmt, at));
}

void query_text(struct query *q, int at, const char *text, size_t len)
{
    if (q->rc) return;
    if (len == 0) text = "";
    if (utf8_is_valid(text, len)) {
        check(q, sqlite3_bind_text64(q->stmt, at, text, len, SQLITE_STATIC, SQLITE_UTF8));
        return;
    }
    struct str repaired = STR_EMPTY;
    str_add_text(&repaired, text, len);
    if (!str_ok(&repaired)) {
        q->rc = err_set(q->err, ERR_NOMEM, "out of memory");
    } else {
        check(q, sqlite3_bind_text64(q->stmt, at, str_cstr(&repaired), repaired.len, SQLITE_TRANSIENT, SQLITE_UTF8));
    }
    str_release(&repaired);
}

void query_cstr(struct query *q, int at, const char *text)
{
    if (text) {
        query_text(q, at, text, strlen(text));
    } else {
        query_null(q, at);
    }
}

bool query_row(struct query *q)
{
    if (q->rc) return false;
    errno = 0;
    int rc = sqlite3_step(q->stmt);
    if (rc == SQLITE_ROW) return true;
    if (rc != SQLITE_DONE) q->rc = db_error(q->store, rc, q->err);
    return false;
}

int query_end(struct query *q)
{
    if (q->stmt) {
        sqlite3_reset(q->stmt); /* its result repeats that of the step, which was looked at */
        sqlite3_clear_bindings(q->stmt);
    }
    return q->rc;
}

int query_run(struct query *q)
{
    while (query_row(q)) continue;
    return query_end(q);
}

int64_t query_get_int(struct query *q, int column)
{
    return q->rc ? 0 : sqlite3_column_int64(q->stmt, column);
}

double query_get_real(struct query *q, int column)
{
    return q->rc ? 0 : sqlite3_column_double(q->stmt, column);
}

char *query_get_text(struct query *q, int column, size_t *len)
{
    char *copy = NULL;

    if (len) *len = 0;
    if (q->rc) return NULL;
    const char *text = (const char *)sqlite3_column_text(q->stmt, column);
    if (text) {
        size_t n = (size_t)sqlite3_column_bytes(q->stmt, column);
        if (utf8_is_valid(text, n)) {
            copy = mem_dup_text(text, n);
        } else {
            /* a file that another program wrote */
            struct str repaired = STR_EMPTY;
            str_add_text(&repaired, text, n);
            n = repaired.len;
            copy = str_detach(&repaired);
        }
        if (len && copy) *len = n;
    } else if (sqlite3_column_type(q->stmt, column) == SQLITE_NULL && sqlite3_errcode(q->store->db) != SQLITE_NOMEM) {
        copy = mem_dup_text("", 0);
    }
    if (!copy) q->rc = err_set(q->err, ERR_NOMEM, "out of memory");
    return copy;
}

char *query_get_text_or_null(struct query *q, int column, size_t *len)
{
    if (len) *len = 0;
    if (q->rc || sqlite3_column_type(q->stmt, column) == SQLITE_NULL) return NULL;
    return query_get_text(q, column, len);
}

int db_expect_change(struct store *s, const char *what, int64_t id, struct err *e)
{
    if (sqlite3_changes64(s->db) > 0) return 0;
    return err_set(e, ERR_NOT_FOUND, "there is no %s %lld", what, (long long)id);
}
