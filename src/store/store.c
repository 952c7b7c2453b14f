/*
 * store.c - opening and closing the record.
 *
 * Order of an opening: the folder is resolved (links in it are followed, once) and made where missing; a link in the place of the
 * file itself is refused; the file is looked at read-only, so that one that is foreign or newer is left byte for byte as it was; only then
 * is it opened for writing, brought up to date, and the replies of dead writers are ended.
 *
 * Closing any descriptor of a database file drops the POSIX locks that SQLite holds on it in this process. So nothing here opens an
 * existing database except through SQLite; modes are looked at through O_PATH descriptors, which take no part in locking.
 */
#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Two threads that make the same new file: one would close its descriptor while the other's connection holds locks. */
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

void store_lock(struct store *s)
{
    pthread_mutex_lock(&s->lock);
}

void store_unlock(struct store *s)
{
    pthread_mutex_unlock(&s->lock);
}

const char *store_library_version(void)
{
    return sqlite3_libversion();
}

const char *store_path(const struct store *s)
{
    return s->path;
}

static int read_identity(struct store *s, char out[17], struct err *e)
{
    struct query q;
    char *text = NULL;

    query_init(&q, s, "SELECT value FROM notes WHERE name = 'identity'", e);
    if (query_row(&q)) text = query_get_text(&q, 0, NULL);
    int rc = query_end(&q);
    if (!rc && !text) rc = ERR_NOT_FOUND;
    /* it becomes the name of a folder */
    if (!rc && (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)) rc = err_set(e, ERR_DB, "%s: its identity is damaged", s->path);
    if (!rc) memcpy(out, text, 17);
    free(text);
    return rc;
}

int store_identity(struct store *s, char out[17], struct err *e)
{
    if (!s->path) return err_set(e, ERR_INVALID, "a record in memory has no identity");
    store_lock(s);
    int rc = read_identity(s, out, e);
    if (rc == ERR_NOT_FOUND) {
        /* another program may do the same at the same time: the first one counts */
        rc = db_exec(s, "INSERT OR IGNORE INTO notes(name, value) VALUES('identity', lower(hex(randomblob(8))))", e);
        if (!rc) rc = read_identity(s, out, e);
    }
    store_unlock(s);
    return rc;
}

/* ---- the file ----------------------------------------------------------------------------------------------- */

/* The path with its folder made and resolved, appended to out. */
static int resolve(struct str *out, const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    struct stat st;

    if (!base[0] || !strcmp(base, ".") || !strcmp(base, "..")) return err_set(e, ERR_FILE, "%s: is not the name of a file", path);
    char *folder = slash ? mem_dup_text(path, slash == path ? 1 : (size_t)(slash - path)) : mem_dup_text(".", 1);
    if (!folder) return err_set(e, ERR_NOMEM, "out of memory");
    int rc = stat(folder, &st) == 0 ? 0 : path_make_folder(folder, e);
    char *real = rc ? NULL : realpath(folder, NULL);
    if (!rc && !real) rc = err_set_errno(e, ERR_FILE, "%s", folder);
    if (!rc) {
        str_add(out, real);
        if (strcmp(real, "/") != 0) str_add_char(out, '/');
        str_add(out, base);
        if (!str_ok(out)) rc = err_set(e, ERR_NOMEM, "out of memory");
    }
    free(real);
    free(folder);
    return rc;
}

/* Takes the group's and others' bits from an existing file. ERR_NOT_FOUND when there is none. */
static int make_private(const char *path, struct err *e)
{
    struct stat st;
    char name[64];
    int rc = 0;
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0) return err_set_errno(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_FILE, "%s", path);
    if (fstat(fd, &st) != 0) {
        rc = err_set_errno(e, ERR_FILE, "%s", path);
    } else if (S_ISLNK(st.st_mode)) {
        rc = err_set(e, ERR_FILE, "%s: is a symbolic link, which is not followed", path);
    } else if (!S_ISREG(st.st_mode)) {
        rc = err_set(e, ERR_FILE, "%s: is not a regular file", path);
    } else if (st.st_uid == geteuid() && (st.st_mode & 077) != 0) {
        /* fchmod refuses O_PATH descriptors; the name under /proc stands for the very file that was looked at */
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        if (chmod(name, st.st_mode & 0700) != 0) rc = err_set_errno(e, ERR_FILE, "%s: cannot take the rights of others from it", path);
    }
    close(fd);
    return rc;
}

/* The files that may lie beside a database hold its text too. */
static int make_all_private(const char *path, struct err *e)
{
    static const char *const endings[] = {"-wal", "-shm", "-journal", ".writers"};
    int rc = make_private(path, e);

    for (size_t i = 0; i < ARRAY_LEN(endings) && !rc; i++) {
        struct str name = STR_EMPTY;
        str_addf(&name, "%s%s", path, endings[i]);
        if (!str_ok(&name)) {
            rc = err_set(e, ERR_NOMEM, "out of memory");
        } else {
            rc = make_private(str_cstr(&name), e);
            if (rc == ERR_NOT_FOUND) rc = 0;
        }
        str_release(&name);
    }
    return rc;
}

/* Makes the file 0600 before SQLite sees it: its side files get the same mode. */
static int make_file(const char *path, struct err *e)
{
    for (int tries = 0; tries < 8; tries++) {
        int rc = make_all_private(path, e);
        if (rc != ERR_NOT_FOUND) return rc;
        struct err own = {0};
        int fd = file_open_private(path, O_RDWR | O_CREAT | O_EXCL, &own);
        if (fd >= 0) {
            close(fd);
            return 0;
        }
        struct stat st;
        if (lstat(path, &st) != 0) return err_set(e, own.code, "%s", own.text);
    }
    return err_set(e, ERR_FILE, "%s: comes and goes", path);
}

/* ---- the connection ----------------------------------------------------------------------------------------- */

/* Settings that write nothing. The file may come from somebody else: what its schema can reach is kept small. */
static int set_up(struct store *s, struct err *e)
{
    static const struct {
        int option, value;
    } options[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_FKEY, 1},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 1},
        {SQLITE_DBCONFIG_DQS_DDL, 0},
        {SQLITE_DBCONFIG_DQS_DML, 0},
        {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
    };

    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, STORE_BUSY_MS);
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        int rc = sqlite3_db_config(s->db, options[i].option, options[i].value, NULL);
        if (rc != SQLITE_OK) return db_error(s, rc, e);
    }
    /* temp_store: what VACUUM and sorting spill must not lie in a temporary folder */
    return db_exec(s, "PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON;", e);
}

/* Settings for writing, after the file has been found to be ours. */
static int set_up_writing(struct store *s, struct err *e)
{
    sqlite3_stmt *stmt = NULL;

    int rc = sqlite3_prepare_v2(s->db, "PRAGMA journal_mode = WAL", -1, &stmt, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(stmt);
    const char *mode = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    int failed = 0;
    if (rc != SQLITE_ROW) {
        failed = db_error(s, rc, e);
    } else if (!mode || strcmp(mode, s->path ? "wal" : "memory") != 0) {
        failed = err_set(e, ERR_DB, "%s: the file system does not allow a write-ahead log", s->path ? s->path : "memory");
    }
    sqlite3_finalize(stmt);
    if (failed) return failed;
    return db_exec(
        s, "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 4194304;", e);
}

static int connect_to(struct store *s, const char *name, int flags, struct err *e)
{
    int rc = sqlite3_open_v2(name, &s->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);

    if (rc != SQLITE_OK) {
        if (s->db) sqlite3_extended_result_codes(s->db, 1);
        return db_error(s, rc, e);
    }
    return set_up(s, e);
}

static void disconnect(struct store *s)
{
    db_forget_statements(s);
    sqlite3_close(s->db);
    s->db = NULL;
}

/* The path as a URI that reads the bytes of the file alone, without locks and without touching what lies beside it. */
static int add_uri(struct str *out, const char *path, struct err *e)
{
    str_add(out, "file:");
    for (const char *p = path; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("/._-", *p);
        if (plain) {
            str_add_char(out, *p);
        } else {
            str_addf(out, "%%%02X", (unsigned)(unsigned char)*p);
        }
    }
    str_add(out, "?mode=ro&immutable=1");
    return str_ok(out) ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

/* Whether there is something in the write-ahead log. */
static bool has_log(const char *path)
{
    struct str name = STR_EMPTY;
    struct stat st;

    str_addf(&name, "%s-wal", path);
    bool found = str_ok(&name) && stat(str_cstr(&name), &st) == 0 && st.st_size > 0;
    str_release(&name);
    return found;
}

/* Whether the file is one to open for writing. Leaves no trace. A file with a log means nothing without it: it may be half of what the log is being brought
 * into, by another program or by one that died on the way. Then the look through the log, which changes neither, has to do. */
static int look_first(const char *path, struct err *e)
{
    struct store look = {.path = (char *)path};
    struct str uri = STR_EMPTY;
    int64_t version;

    if (has_log(path)) return 0;
    int rc = add_uri(&uri, path, e);
    if (!rc) rc = connect_to(&look, str_cstr(&uri), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOFOLLOW, e);
    if (!rc) rc = schema_check(&look, &version, e);
    disconnect(&look);
    str_release(&uri);
    return rc;
}

static int open_file(struct store *s, const char *path, struct err *e)
{
    struct str resolved = STR_EMPTY;
    int64_t version;

    int rc = resolve(&resolved, path, e);
    if (!rc) {
        s->path = str_detach(&resolved);
        rc = make_file(s->path, e);
    }
    str_release(&resolved);
    if (!rc) rc = look_first(s->path, e);
    if (!rc) rc = connect_to(s, s->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, e);
    if (rc) return rc;
    /* The log beside the file may say something newer than the file. Then the last connection must not bring it in by closing. */
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    rc = schema_check(s, &version, e);
    if (!rc) sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    return rc;
}

static int open_locked(struct store *s, const char *path, struct err *e)
{
    int rc = path ? open_file(s, path, e) : connect_to(s, ":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY, e);

    if (!rc) rc = set_up_writing(s, e);
    if (!rc) rc = schema_migrate(s, e);
    if (!rc && path) {
        /* A full or busy disk must not keep the user from reading; the next opening tries again. */
        rc = writer_recover(s, e);
        if (rc == ERR_FULL || rc == ERR_BUSY) rc = 0;
        if (!rc && store_wipe_pending(s)) store_wipe(s, NULL);
    }
    return rc;
}

int store_open(struct store **out, const char *path, struct err *e)
{
    struct store *s = calloc(1, sizeof *s);

    *out = NULL;
    if (!s) return err_set(e, ERR_NOMEM, "out of memory");
    s->writers_fd = s->writer_slot = -1;
    int rc = pthread_mutex_init(&s->lock, NULL) == 0 ? 0 : err_set(e, ERR_FAILED, "cannot make a lock");
    s->lock_made = !rc;
    if (!rc) {
        pthread_mutex_lock(&opening);
        rc = open_locked(s, path, e);
        pthread_mutex_unlock(&opening);
    }
    if (rc) {
        store_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s) return;
    disconnect(s);
    writer_release(s);
    if (s->lock_made) pthread_mutex_destroy(&s->lock);
    free(s->streams);
    free(s->path);
    free(s);
}
