/*
 * salvage.c - a damaged record is set aside, and what can be read of it becomes a new one.
 *
 * Table by table, forward by row number until a page cannot be read, backward from the other end, and what lies between number by number: a bad page
 * costs its own rows and no others. Rows go in without foreign keys; afterwards the tree is made whole again: what a row points to and is gone gets a stand-in
 * where texts hang on it, and goes with it where not. The old file is not written to, except that its name changes.
 */
#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define GAP_MAX 1000000
#define LOST "(lost: the record was damaged here)"

/* ---- setting aside --------------------------------------------------------------------------------------------- */

/* Every connection in WAL mode holds a read lock in the range that SQLite keeps for it, as long as it is open. */
static bool in_use(const char *path)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0x40000000, .l_len = 512};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool used = fd >= 0 && fcntl(fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK;
    if (fd >= 0) close(fd);
    return used;
}

/* Gives the file and what belongs to it new names; out becomes that of the file. */
static int set_aside(const char *path, struct str *out, struct err *e)
{
    static const char *const endings[] = {"-wal", "-shm", "-journal", ""};
    struct stat st;
    struct tm tm;
    char stamp[32];
    time_t now = time(NULL);

    if (lstat(path, &st) != 0) return err_set_errno(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_FILE, "%s", path);
    if (!S_ISREG(st.st_mode)) return err_set(e, ERR_FILE, "%s: is not a regular file", path);
    if (in_use(path)) return err_set(e, ERR_BUSY, "%s: another program is using it", path);
    gmtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &tm);
    str_addf(out, "%s.damaged-%s", path, stamp);
    if (!str_ok(out)) return err_set(e, ERR_NOMEM, "out of memory");
    if (lstat(str_cstr(out), &st) == 0) return err_set(e, ERR_BUSY, "%s: is there already", str_cstr(out));
    int rc = 0;
    for (size_t i = 0; i < ARRAY_LEN(endings) && !rc; i++) {
        struct str from = STR_EMPTY, to = STR_EMPTY;
        str_addf(&from, "%s%s", path, endings[i]);
        str_addf(&to, "%s%s", str_cstr(out), endings[i]);
        if (!str_ok(&from) || !str_ok(&to))
            rc = err_set(e, ERR_NOMEM, "out of memory");
        else if (rename(str_cstr(&from), str_cstr(&to)) != 0 && (errno != ENOENT || !endings[i][0]))
            rc = err_set_errno(e, ERR_FILE, "%s: cannot be set aside", str_cstr(&from));
        str_release(&from);
        str_release(&to);
    }
    return rc;
}

/* ---- copying --------------------------------------------------------------------------------------------------- */

struct copy {
    sqlite3 *from;
    struct store *to;
    struct str *report;
    const char *table;
    struct str columns, marks; /* those that both have: "a, b" and "?1, ?2" */
    bool by_rowid;
    int64_t rows, refused;
    bool broken; /* some of it could not be read */
    bool again;  /* rows come that may have come before */
    int rc;      /* why nothing more can be put into the new one: its disk, memory */
    struct err *e;
};

static void no_memory(struct copy *c)
{
    c->rc = err_set(c->e, ERR_NOMEM, "out of memory");
}

/* Whether the damaged file has what the statement names. */
static bool can_read(struct copy *c, const struct str *sql)
{
    sqlite3_stmt *p = NULL;

    if (!c->rc && !str_ok(sql)) no_memory(c);
    if (c->rc) return false;
    int rc = sqlite3_prepare_v2(c->from, str_cstr(sql), -1, &p, NULL);
    sqlite3_finalize(p);
    if (rc == SQLITE_NOMEM) no_memory(c);
    return rc == SQLITE_OK;
}

/* The columns of the new table that the old one has too. */
static bool columns_of(struct copy *c)
{
    sqlite3_stmt *q = NULL;
    int n = 0;

    int rc = sqlite3_prepare_v2(c->to->db, "SELECT name FROM pragma_table_info(?1)", -1, &q, NULL);
    if (rc != SQLITE_OK) c->rc = db_error(c->to, rc, c->e);
    sqlite3_bind_text(q, 1, c->table, -1, SQLITE_STATIC);
    while (!c->rc && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(q, 0);
        struct str sql = STR_EMPTY;
        str_addf(&sql, "SELECT \"%s\" FROM \"%s\"", name, c->table);
        bool there = can_read(c, &sql);
        str_release(&sql);
        if (!there) continue;
        n++;
        str_addf(&c->columns, "%s\"%s\"", n > 1 ? ", " : "", name);
        str_addf(&c->marks, "%s?%d", n > 1 ? ", " : "", n);
    }
    if (!c->rc && rc != SQLITE_DONE) c->rc = db_error(c->to, rc, c->e);
    sqlite3_finalize(q);
    struct str sql = STR_EMPTY;
    str_addf(&sql, "SELECT rowid FROM \"%s\"", c->table);
    c->by_rowid = can_read(c, &sql);
    str_release(&sql);
    return n > 0;
}

/* Puts what the statement reads, until its end or the first page that cannot be read. *last: the row number reached. True at the end. */
static bool put_rows(struct copy *c, sqlite3_stmt *in, sqlite3_stmt *out, int64_t *last)
{
    int rc = SQLITE_DONE;

    while (!c->rc && (rc = sqlite3_step(in)) == SQLITE_ROW) {
        int n = sqlite3_column_count(in) - 1;
        for (int i = 0; i < n; i++) sqlite3_bind_value(out, i + 1, sqlite3_column_value(in, i + 1));
        *last = sqlite3_column_int64(in, 0);
        int done = sqlite3_step(out);
        int taken = done == SQLITE_DONE ? sqlite3_changes(c->to->db) : 0;
        c->rows += taken;
        /* the first time a row is met, one that is not taken breaks a rule of the table; later it may be there already */
        if (done == SQLITE_DONE)
            c->refused += !taken && !c->again;
        else if ((done & 0xff) == SQLITE_CONSTRAINT || (done & 0xff) == SQLITE_MISMATCH)
            c->refused++;
        else
            c->rc = db_error(c->to, done, c->e);
        sqlite3_reset(out);
    }
    if (rc == SQLITE_NOMEM || rc == SQLITE_IOERR_NOMEM) no_memory(c);
    return rc == SQLITE_DONE;
}

/* The row numbers between two damaged places, one by one: whole pages may lie there. */
static void put_between(struct copy *c, sqlite3_stmt *out, int64_t from, int64_t to)
{
    sqlite3_stmt *in = NULL;
    struct str sql = STR_EMPTY;
    int64_t ignored;

    str_addf(&sql, "SELECT rowid, %s FROM \"%s\" WHERE rowid = ?1", str_cstr(&c->columns), c->table);
    if (sqlite3_prepare_v2(c->from, str_cstr(&sql), -1, &in, NULL) == SQLITE_OK) {
        for (int64_t id = from; !c->rc && id < to && id - from < GAP_MAX; id++) {
            sqlite3_bind_int64(in, 1, id);
            put_rows(c, in, out, &ignored);
            sqlite3_reset(in);
        }
    }
    sqlite3_finalize(in);
    str_release(&sql);
}

static void copy_rows(struct copy *c)
{
    sqlite3_stmt *in = NULL, *out = NULL;
    struct str sql = STR_EMPTY;
    int64_t last = 0, lowest = INT64_MAX;

    str_addf(&sql, "INSERT OR IGNORE INTO \"%s\"(%s) VALUES(%s)", c->table, str_cstr(&c->columns), str_cstr(&c->marks));
    int rc = sqlite3_prepare_v2(c->to->db, str_cstr(&sql), -1, &out, NULL);
    if (rc != SQLITE_OK) c->rc = db_error(c->to, rc, c->e);
    str_clear(&sql);
    str_addf(&sql, "SELECT %s, %s FROM \"%s\" NOT INDEXED%s", c->by_rowid ? "rowid" : "0", str_cstr(&c->columns), c->table,
             c->by_rowid ? " ORDER BY rowid" : "");
    bool whole = !c->rc && sqlite3_prepare_v2(c->from, str_cstr(&sql), -1, &in, NULL) == SQLITE_OK && put_rows(c, in, out, &last);
    sqlite3_finalize(in);
    in = NULL;
    if (!whole && c->by_rowid && !c->rc) {
        str_addf(&sql, " DESC");
        c->again = true;
        if (sqlite3_prepare_v2(c->from, str_cstr(&sql), -1, &in, NULL) == SQLITE_OK) put_rows(c, in, out, &lowest);
        sqlite3_finalize(in);
        put_between(c, out, last + 1, lowest);
    }
    c->broken = !whole;
    sqlite3_finalize(out);
    str_release(&sql);
}

static int copy_table(sqlite3 *from, struct store *to, const char *table, struct salvage_report *r, struct err *e)
{
    struct copy c = {.from = from, .to = to, .table = table, .e = e};

    bool known = columns_of(&c);
    if (!c.rc && !(str_ok(&c.columns) && str_ok(&c.marks))) no_memory(&c);
    if (known && !c.rc) copy_rows(&c);
    r->rows += c.rows;
    str_addf(&r->text, "%s: %lld rows%s", table, (long long)c.rows, known ? "" : ", the table cannot be read");
    if (c.broken) str_add(&r->text, ", some of it cannot be read");
    if (c.refused) str_addf(&r->text, ", %lld damaged rows left out", (long long)c.refused);
    str_add_char(&r->text, '\n');
    str_release(&c.columns);
    str_release(&c.marks);
    return c.rc;
}

/* Calls do_table for every table of the new record but the full-text index. */
static int for_tables(struct store *s, sqlite3 *from, struct salvage_report *r, struct err *e)
{
    struct query q;

    query_init(&q, s, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
                      " AND name NOT LIKE 'message!_index%' ESCAPE '!' ORDER BY rowid", e);
    while (query_row(&q)) {
        char *name = query_get_text(&q, 0, NULL);
        if (name) q.rc = copy_table(from, s, name, r, e);
        free(name);
    }
    return query_end(&q);
}

/* ---- making it whole again --------------------------------------------------------------------------------------- */

static const char mend_tree[] =
    "INSERT INTO conversations(id, title, created_ms, updated_ms)"
    " SELECT conversation, '" LOST "', min(created_ms), max(created_ms) FROM messages"
    " WHERE conversation NOT IN (SELECT id FROM conversations) GROUP BY conversation;"
    "INSERT INTO messages(id, conversation, role, created_ms, text)"
    " SELECT parent, min(conversation), CASE min(role) WHEN 'user' THEN 'assistant' ELSE 'user' END, min(created_ms), '" LOST "' FROM messages"
    " WHERE parent IS NOT NULL AND parent NOT IN (SELECT id FROM messages) GROUP BY parent;"
    /* a stand-in for a reply needs a prompt too: it becomes the prompt's place, which is the root */
    "UPDATE messages SET role = 'user' WHERE role = 'assistant' AND parent IS NULL AND text = '" LOST "';"
    "INSERT INTO replies(message, ended, answer_ended) SELECT id, 'error', 'error' FROM messages"
    " WHERE role = 'assistant' AND id NOT IN (SELECT message FROM replies);"
    "INSERT INTO streams(message, slot, writer) SELECT id, 0, 'salvaged' FROM messages"
    " WHERE streaming = 1 AND id NOT IN (SELECT message FROM streams);"
    "UPDATE conversations SET leaf = NULL WHERE leaf NOT IN (SELECT id FROM messages);"
    "UPDATE conversations SET leaf = (SELECT max(id) FROM messages m WHERE m.conversation = conversations.id) WHERE leaf IS NULL;"
    "WITH RECURSIVE up(id) AS (SELECT leaf FROM conversations WHERE leaf IS NOT NULL UNION SELECT m.parent FROM messages m JOIN up USING(id)"
    "  WHERE m.parent IS NOT NULL)"
    " UPDATE messages SET active = (id IN (SELECT id FROM up)) WHERE active <> (id IN (SELECT id FROM up));";

/* Rows that still point nowhere say something about a thing that is gone. */
static int drop_orphans(struct store *s, struct err *e)
{
    struct str sql = STR_EMPTY;
    struct query q;

    query_init(&q, s, "SELECT t.name, f.\"from\", f.\"table\", coalesce(f.\"to\", 'id') FROM sqlite_schema t, pragma_foreign_key_list(t.name) f"
                      " WHERE t.type = 'table'", e);
    while (query_row(&q)) {
        char *name[4];
        for (int i = 0; i < 4; i++) name[i] = query_get_text(&q, i, NULL);
        if (name[0] && name[1] && name[2] && name[3])
            str_addf(&sql, "DELETE FROM \"%s\" WHERE \"%s\" IS NOT NULL AND \"%s\" NOT IN (SELECT \"%s\" FROM \"%s\");", name[0], name[1], name[1],
                     name[3], name[2]);
        for (int i = 0; i < 4; i++) free(name[i]);
    }
    int rc = query_end(&q);
    if (!rc) rc = str_ok(&sql) ? db_exec(s, str_cstr(&sql), e) : err_set(e, ERR_NOMEM, "out of memory");
    str_release(&sql);
    return rc;
}

static int fill(struct store *s, sqlite3 *from, struct salvage_report *r, struct err *e)
{
    int rc = db_exec(s, "PRAGMA foreign_keys = OFF", e);
    if (!rc) rc = db_begin(s, e);
    if (rc) return rc;
    rc = for_tables(s, from, r, e);
    if (!rc) rc = db_exec(s, mend_tree, e);
    if (!rc) rc = drop_orphans(s, e);
    if (!rc) rc = db_exec(s, "INSERT INTO message_index(message_index) VALUES('rebuild')", e);
    rc = db_end(s, rc, e);
    return rc ? rc : db_exec(s, "PRAGMA foreign_keys = ON", e);
}

int store_salvage(const char *path, struct salvage_report *r, struct err *e)
{
    struct store *s = NULL;
    sqlite3 *from = NULL;
    struct str aside = STR_EMPTY;

    *r = (struct salvage_report){0};
    int rc = set_aside(path, &aside, e);
    if (!rc) {
        /* for writing, since only then is the log beside it read; but nothing is written */
        if (sqlite3_open_v2(str_cstr(&aside), &from, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL) == SQLITE_OK) {
            sqlite3_db_config(from, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
            sqlite3_db_config(from, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
            sqlite3_db_config(from, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
            sqlite3_exec(from, "PRAGMA query_only = ON", NULL, NULL, NULL);
        } else {
            rc = err_set(e, ERR_IO, "%s: %s", str_cstr(&aside), from ? sqlite3_errmsg(from) : "out of memory");
        }
        if (!rc) rc = store_open(&s, path, e);
    }
    if (!rc) {
        store_lock(s);
        rc = fill(s, from, r, e);
        store_unlock(s);
    }
    sqlite3_close(from);
    store_close(s);
    /* opened again: replies that were streaming are ended as those of a dead writer */
    s = NULL;
    if (!rc) rc = store_open(&s, path, e);
    store_close(s);
    r->aside = str_detach(&aside);
    return rc ? rc : str_ok(&r->text) ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

void salvage_report_release(struct salvage_report *r)
{
    free(r->aside);
    str_release(&r->text);
    *r = (struct salvage_report){0};
}
