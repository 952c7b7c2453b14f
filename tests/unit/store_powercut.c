/*
 * Power cuts, failing disks and kills against the record, beneath SQLite: a VFS around the system's own one notes every write and every sync, or lets chosen
 * ones fail.
 *
 * A power cut is played from the notes: the disk gets what was synced before a point, and of what was written after the last sync of a file nothing, all,
 * or a random part, with the last write perhaps torn. Whatever was acknowledged before that point has to be there when the record is opened.
 */
#include <sys/wait.h>

#include "unit/store_help.h"

/* ---- the disk --------------------------------------------------------------------------------------------------- */

enum op_kind { OP_WRITE, OP_TRUNCATE, OP_SYNC, OP_DELETE };
struct op {
    enum op_kind kind;
    int file; /* in names */
    size_t at, n;
    unsigned char *bytes;
};

static struct {
    char names[8][256];
    int n_names;
    struct op *ops;
    size_t n, cap;
    bool noting;
    /* which call fails, counted from 1; 0: none. for_ever: those after it too. */
    long write_fails, sync_fails, writes, syncs;
    int write_error;
    bool for_ever;
} disk;

struct shim_file {
    sqlite3_file base;
    int name;
    bool folder_too; /* the next sync is one of the folder as well: what was deleted there is gone for good */
    sqlite3_file *real;
};

static sqlite3_vfs *under;
static sqlite3_vfs shim;
static sqlite3_io_methods methods;

static int name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    for (int i = 0; i < disk.n_names; i++)
        if (!strcmp(disk.names[i], name)) return i;
    assert_true(disk.n_names < (int)ARRAY_LEN(disk.names));
    snprintf(disk.names[disk.n_names], sizeof disk.names[0], "%s", name);
    return disk.n_names++;
}

static void note(enum op_kind kind, int file, size_t at, const void *bytes, size_t n)
{
    if (!disk.noting || file < 0) return;
    assert_true(mem_grow(&disk.ops, &disk.cap, disk.n + 1, sizeof *disk.ops));
    disk.ops[disk.n++] = (struct op){kind, file, at, n, bytes ? memcpy(malloc(n ? n : 1), bytes, n) : NULL};
}

static void forget(void)
{
    for (size_t i = 0; i < disk.n; i++) free(disk.ops[i].bytes);
    free(disk.ops);
    memset(&disk, 0, sizeof disk);
}

static bool fails(long at, long *count)
{
    long n = ++*count;
    return at && (n == at || (n > at && disk.for_ever));
}

#define REAL(f) (((struct shim_file *)(f))->real)

static int shim_close(sqlite3_file *f)
{
    int rc = REAL(f)->pMethods ? REAL(f)->pMethods->xClose(REAL(f)) : SQLITE_OK;
    sqlite3_free(REAL(f));
    return rc;
}

static int shim_read(sqlite3_file *f, void *out, int n, sqlite3_int64 at)
{
    return REAL(f)->pMethods->xRead(REAL(f), out, n, at);
}

static int shim_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
    if (fails(disk.write_fails, &disk.writes)) return disk.write_error;
    int rc = REAL(f)->pMethods->xWrite(REAL(f), bytes, n, at);
    if (rc == SQLITE_OK) note(OP_WRITE, ((struct shim_file *)f)->name, (size_t)at, bytes, (size_t)n);
    return rc;
}

static int shim_truncate(sqlite3_file *f, sqlite3_int64 n)
{
    int rc = REAL(f)->pMethods->xTruncate(REAL(f), n);
    if (rc == SQLITE_OK) note(OP_TRUNCATE, ((struct shim_file *)f)->name, (size_t)n, NULL, 0);
    return rc;
}

static int shim_sync(sqlite3_file *f, int flags)
{
    if (fails(disk.sync_fails, &disk.syncs)) return SQLITE_IOERR_FSYNC;
    int rc = REAL(f)->pMethods->xSync(REAL(f), flags);
    struct shim_file *s = (struct shim_file *)f;
    if (rc == SQLITE_OK) note(OP_SYNC, s->name, 0, NULL, s->folder_too);
    s->folder_too = false;
    return rc;
}

static int shim_size(sqlite3_file *f, sqlite3_int64 *n)
{
    return REAL(f)->pMethods->xFileSize(REAL(f), n);
}

static int shim_lock(sqlite3_file *f, int level)
{
    return REAL(f)->pMethods->xLock(REAL(f), level);
}

static int shim_unlock(sqlite3_file *f, int level)
{
    return REAL(f)->pMethods->xUnlock(REAL(f), level);
}

static int shim_reserved(sqlite3_file *f, int *out)
{
    return REAL(f)->pMethods->xCheckReservedLock(REAL(f), out);
}

static int shim_control(sqlite3_file *f, int op, void *arg)
{
    return REAL(f)->pMethods->xFileControl(REAL(f), op, arg);
}

static int shim_sector(sqlite3_file *f)
{
    return REAL(f)->pMethods->xSectorSize(REAL(f));
}

static int shim_device(sqlite3_file *f)
{
    /* no promise that a power cut leaves what was not written alone */
    return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f)) & ~(SQLITE_IOCAP_POWERSAFE_OVERWRITE | SQLITE_IOCAP_BATCH_ATOMIC);
}

static int shim_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    return REAL(f)->pMethods->xShmMap(REAL(f), page, size, extend, out);
}

static int shim_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
    return REAL(f)->pMethods->xShmLock(REAL(f), at, n, flags);
}

static void shim_barrier(sqlite3_file *f)
{
    REAL(f)->pMethods->xShmBarrier(REAL(f));
}

static int shim_unmap(sqlite3_file *f, int delete)
{
    return REAL(f)->pMethods->xShmUnmap(REAL(f), delete);
}

static int shim_open(sqlite3_vfs *v, const char *path, sqlite3_file *f, int flags, int *out)
{
    (void)v;
    struct shim_file *s = (struct shim_file *)f;
    memset(s, 0, sizeof *s);
    s->real = sqlite3_malloc(under->szOsFile);
    if (!s->real) return SQLITE_NOMEM;
    memset(s->real, 0, (size_t)under->szOsFile);
    int rc = under->xOpen(under, path, s->real, flags, out);
    s->name = path && flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL) ? name_of(path) : -1;
    /* as unixOpen of SQLite does */
    s->folder_too = flags & SQLITE_OPEN_CREATE && flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL);
    if (rc != SQLITE_OK)
        sqlite3_free(s->real);
    else
        s->base.pMethods = &methods;
    return rc;
}

static int shim_delete(sqlite3_vfs *v, const char *path, int sync)
{
    (void)v;
    int rc = under->xDelete(under, path, sync);
    if (rc == SQLITE_OK) note(OP_DELETE, name_of(path), 0, NULL, (size_t)sync);
    return rc;
}

static int install(void **state)
{
    under = sqlite3_vfs_find(NULL);
    shim = *under;
    shim.zName = "shim";
    shim.szOsFile = sizeof(struct shim_file);
    shim.xOpen = shim_open;
    shim.xDelete = shim_delete;
    methods = (sqlite3_io_methods){3, shim_close, shim_read, shim_write, shim_truncate, shim_sync, shim_size, shim_lock, shim_unlock, shim_reserved, shim_control, shim_sector,
                                   shim_device, shim_map, shim_shm_lock, shim_barrier, shim_unmap, NULL, NULL};
    methods.iVersion = 2;
    int rc = sqlite3_vfs_register(&shim, 1);
    return rc != SQLITE_OK ? -1 : make_folder(state);
}

static int uninstall(void **state)
{
    sqlite3_vfs_unregister(&shim);
    sqlite3_vfs_register(under, 1);
    forget();
    return remove_folder(state);
}

/* ---- what a chat writes ---------------------------------------------------------------------------------------------- */

/* An acknowledgement: by the time that `ops` operations were done, the query gave "1". */
struct promise {
    size_t ops;
    char query[160];
};
static struct promise promises[512];
static size_t n_promises;

static PRINTF_LIKE(2, 3) void acknowledged(int to, const char *fmt, ...)
{
    struct promise *p = &promises[n_promises];
    assert_true(n_promises < ARRAY_LEN(promises));
    va_list args;
    va_start(args, fmt);
    vsnprintf(p->query, sizeof p->query, fmt, args);
    va_end(args);
    p->ops = disk.n;
    n_promises++;
    if (to >= 0 && write(to, p->query, sizeof p->query) != sizeof p->query) _exit(1);
}

/* Turn after turn; tells what the record acknowledged, to a pipe too where there is one. Stops at the first error, which comes back. */
static int chat(const char *db, int turns, int to)
{
    const struct reply_end ending = {.ended = "natural", .answer_ended = "complete", .budget_final = "9", .thought_tokens = 4, .answer_tokens = 3};
    struct store *s = NULL;
    int rc = store_open(&s, db, NULL);
    int64_t conv = 0, above = 0;
    if (!rc) rc = store_new_conversation(s, "Be brief.", &conv, NULL);
    for (int i = 0; !rc && i < turns; i++) {
        char text[64];
        int64_t asked = 0, id = 0;
        int n = snprintf(text, sizeof text, "question %d of c%lld", i, (long long)conv);
        rc = store_add_prompt(s, conv, above, text, (size_t)n, &asked, NULL);
        if (rc) break;
        acknowledged(to, "SELECT count(*) FROM messages WHERE id = %lld AND text = '%s'", (long long)asked, text);
        const struct reply_start start = {.conversation = conv, .parent = asked, .model = "Tiny", .model_file = "/m", .quant = "F32", .family = "chatml", .engine_version = "0",
                                          .kernels = "scalar", .system = "", .budget = "9", .repeat_penalty = 1};
        rc = store_begin_reply(s, &start, &id, NULL);
        for (int k = 0; !rc && k < 3; k++) {
            rc = store_append_reply(s, id, "so and so. ", 11, "", 0, NULL);
            if (!rc)
                acknowledged(to, "SELECT length(coalesce((SELECT group_concat(thought, '') FROM chunks WHERE message = %lld), '') || thought) >= %d FROM messages WHERE id = %lld",
                             (long long)id, 11 * (k + 1), (long long)id);
        }
        if (!rc) rc = store_end_reply(s, id, "", 0, "It is.", 6, &ending, NULL);
        if (rc) break;
        acknowledged(to, "SELECT count(*) FROM turns WHERE message_id = %lld AND answer = 'It is.' AND ended = 'natural'", (long long)id);
        rc = store_rate(s, id, i % 2 ? PART_ANSWER : PART_THOUGHT, 1, NULL, NULL, NULL);
        if (!rc) acknowledged(to, "SELECT %s_rating = 1 FROM turns WHERE message_id = %lld", i % 2 ? "answer" : "thought", (long long)id);
        if (!rc) rc = store_tag(s, id, "kept", true, NULL);
        if (!rc) acknowledged(to, "SELECT count(*) FROM tags WHERE message = %lld AND tag = 'kept'", (long long)id);
        n = snprintf(text, sizeof text, "draft %d", i);
        if (!rc) rc = store_save_draft(s, conv, text, (size_t)n, NULL);
        if (!rc) {
            acknowledged(to, "SELECT count(*) FROM drafts WHERE conversation = %lld AND CAST(substr(text, 7) AS INTEGER) >= %d", (long long)conv, i);
            /* drafts do not wait for the disk: they survive the program's end, not the power's */
            promises[n_promises - 1].ops = SIZE_MAX;
        }
        above = id;
    }
    store_close(s);
    return rc;
}

/* The first promise that is not kept, NULL when all are. */
static const char *broken(const char *path, size_t before)
{
    struct store *s = NULL;
    struct err e = {0};
    static char why[700];
    if (store_open(&s, path, &e)) {
        snprintf(why, sizeof why, "the record does not open: %s", e.text);
        return why;
    }
    const char *bad = NULL, *whole = one(s, "PRAGMA integrity_check");
    if (strcmp(whole, "ok")) bad = whole;
    for (size_t i = 0; !bad && i < n_promises; i++)
        if (promises[i].ops <= before && strcmp(one(s, promises[i].query), "1")) bad = promises[i].query;
    if (!bad) check_index(s);
    if (bad && bad != why) snprintf(why, sizeof why, "%s", bad);
    store_close(s);
    return bad ? why : NULL;
}

/* ---- a power cut --------------------------------------------------------------------------------------------------- */

static unsigned random_state = 1;
static unsigned draw(unsigned n)
{
    random_state = random_state * 1103515245u + 12345u;
    return (random_state >> 16) % n;
}

enum rest { REST_LOST, REST_THERE, REST_SOME };

/* One file as the disk has it when the power goes after `upto` operations. false: it was deleted, or never came to be. */
static bool image(struct str *out, int file, size_t upto, enum rest rest)
{
    size_t synced = 0, folder_synced = 0;
    bool there = false;
    for (size_t i = 0; i < upto; i++) {
        if (disk.ops[i].kind != OP_SYNC) continue;
        if (disk.ops[i].file == file) synced = i + 1;
        if (disk.ops[i].n) folder_synced = i + 1;
    }
    for (size_t i = 0; i < upto; i++) {
        const struct op *o = &disk.ops[i];
        if (o->file != file || o->kind == OP_SYNC) continue;
        bool sure = o->kind == OP_DELETE ? o->n || i < folder_synced : i < synced;
        bool lost = !sure && (rest == REST_LOST || (rest == REST_SOME && draw(2)));
        if (lost) continue;
        size_t n = o->n;
        if (!sure && rest == REST_SOME && o->kind == OP_WRITE && n && !draw(4)) n = draw((unsigned)n); /* torn */
        there = o->kind != OP_DELETE;
        if (o->kind == OP_DELETE) str_clear(out);
        if (o->kind == OP_TRUNCATE && o->at < out->len) str_truncate(out, o->at);
        if (o->kind != OP_WRITE) continue;
        while (out->len < o->at + n) str_add_char(out, '\0');
        if (n) memcpy(out->data + o->at, o->bytes, n);
    }
    return there;
}

/* How many of its steps a test may leave out: none in the long run. */
static size_t stride(size_t usual)
{
    return getenv("PONDER_LONG") ? 1 : getenv("PONDER_QUICK") ? 5 * usual : usual;
}

static void cut(void *state, const char *name, size_t upto, enum rest rest)
{
    const char *path = path_in(state, "after.db");
    for (int i = 0; i < disk.n_names; i++) {
        struct str bytes = STR_EMPTY, to = STR_EMPTY;
        str_addf(&to, "%s%s", path, disk.names[i] + strlen(name));
        unlink(str_cstr(&to));
        if (image(&bytes, i, upto, rest) || !strcmp(disk.names[i], name)) assert_int_equal(file_write_cache(str_cstr(&to), str_cstr(&bytes), bytes.len, NULL), 0);
        str_release(&bytes);
        str_release(&to);
    }
    unlink(path_in(state, "after.db-shm"));
    unlink(path_in(state, "after.db.writers"));
    disk.noting = false;
    const char *bad = broken(path, upto);
    if (bad) fail_msg("power cut after %zu of %zu operations, %s: %s", upto, disk.n, rest == REST_LOST ? "nothing unsynced" : rest == REST_THERE ? "all" : "some of it", bad);
}

static void what_was_acknowledged_survives_a_power_cut(void **state)
{
    n_promises = 0;
    disk.noting = true;
    assert_int_equal(chat(path_in(*state, "x.db"), 6, -1), 0);
    disk.noting = false;
    size_t done = disk.n, acknowledged_in_all = n_promises;
    assert_true(done > 100 && acknowledged_in_all > 30);
    size_t cuts = 0;
    for (size_t i = 0; i <= done; i += stride(9))
        for (int rest = REST_LOST; rest <= REST_SOME; rest++, cuts++) cut(*state, "x.db", i, (enum rest)rest);
    /* the very moment of it */
    for (size_t i = 0; i < acknowledged_in_all; i += stride(1)) {
        if (promises[i].ops > done) continue;
        cut(*state, "x.db", promises[i].ops, REST_LOST);
        cuts++;
    }
    print_message("# %zu power cuts among %zu operations, %zu acknowledgements\n", cuts, done, acknowledged_in_all);
}

/* A record that had been synced is not lost by being opened and closed: the log is brought in, and only then cut. */
static void closing_survives_a_power_cut(void **state)
{
    n_promises = 0;
    disk.noting = true;
    const char *db = path_in(*state, "y.db");
    for (int i = 0; i < 3; i++) assert_int_equal(chat(db, 1, -1), 0);
    disk.noting = false;
    for (size_t i = 0; i <= disk.n; i += stride(7)) cut(*state, "y.db", i, REST_SOME);
}

/* ---- disks that fail -------------------------------------------------------------------------------------------------- */

/* Every write in turn, and every sync, once and from there on: an error or a result, and nothing acknowledged is lost. */
static void failing_calls_lose_nothing(void **state)
{
    static const struct {
        const char *name;
        bool sync;
        int error;
    } kinds[] = {{"full", false, SQLITE_FULL}, {"write", false, SQLITE_IOERR_WRITE}, {"fsync", true, 0}};
    const char *db = path_in(*state, "f.db");
    assert_int_equal(chat(db, 1, -1), 0);
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        int refused = 0, runs = 0;
        for (int for_ever = 0; for_ever < 2; for_ever++) {
            for (long at = 1;; at += (long)stride(1) + at / 20) {
                n_promises = 0;
                disk.writes = disk.syncs = 0;
                disk.for_ever = for_ever;
                disk.write_error = kinds[k].error;
                *(kinds[k].sync ? &disk.sync_fails : &disk.write_fails) = at;
                int rc = chat(db, 2, -1);
                bool reached = (kinds[k].sync ? disk.syncs : disk.writes) >= at;
                disk.sync_fails = disk.write_fails = 0;
                refused += rc != 0;
                runs++;
                /* by kind of error: a full disk is told from a broken one */
                if (rc && !(rc == ERR_IO || rc == ERR_DB || (rc == ERR_FULL && kinds[k].error == SQLITE_FULL))) fail_msg("%s: error %d", kinds[k].name, rc);
                const char *bad = broken(db, SIZE_MAX);
                if (bad) fail_msg("%s fails at call %ld %s: %s", kinds[k].name, at, for_ever ? "for ever" : "once", bad);
                if (!reached) break;
            }
        }
        assert_true(refused > 5);
        print_message("# %s: %d runs, %d of them refused\n", kinds[k].name, runs, refused);
    }
}

/* ---- kills ------------------------------------------------------------------------------------------------------------ */

static bool next_told(int from)
{
    struct promise *p = &promises[n_promises];
    if (n_promises == ARRAY_LEN(promises) || read(from, p->query, sizeof p->query) != sizeof p->query) return false;
    p->ops = 0;
    n_promises++;
    return true;
}

/* A process that writes as fast as it can is killed at a random moment. What it told through a pipe is there. */
static void what_was_acknowledged_survives_a_kill(void **state)
{
    const char *db = path_in(*state, "k.db");
    size_t told = 0;
    for (int run = 0; run < (getenv("PONDER_LONG") ? 200 : 20); run++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t pid = fork();
        if (pid == 0) {
            close(ends[0]);
            _exit(chat(db, 40, ends[1]));
        }
        close(ends[1]);
        /* some way into what it writes, however fast that goes here, and a little further */
        n_promises = 0;
        for (unsigned wanted = draw(40); n_promises < wanted && next_told(ends[0]);) continue;
        usleep(draw(3000));
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        while (next_told(ends[0])) continue;
        close(ends[0]);
        told += n_promises;
        /* a later draft takes the place of an earlier one, so only what the newest says is asked: drafts ask for "at least" */
        const char *bad = broken(db, SIZE_MAX);
        if (bad) fail_msg("kill %d after %zu acknowledgements: %s", run, n_promises, bad);
    }
    assert_true(told > 100);
    print_message("# %zu acknowledgements before the kills\n", told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_acknowledged_survives_a_power_cut, install, uninstall),
        cmocka_unit_test_setup_teardown(closing_survives_a_power_cut, install, uninstall),
        cmocka_unit_test_setup_teardown(failing_calls_lose_nothing, install, uninstall),
        cmocka_unit_test_setup_teardown(what_was_acknowledged_survives_a_kill, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
