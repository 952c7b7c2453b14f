/*
 * Every function of the record, with something underneath failing at each place in its turn: SQLite's own work, an allocation, all allocations from one
 * on. It ends with an error and a line, the record is as it was, no transaction stays open, and the same call works when nothing fails any more.
 */
#include "nomem.h"

#include "unit/store_operations.h"

/* ---- what fails ----------------------------------------------------------------------------------------------------- */

/* Places where SQLite asks whether it shall go on: at least one in every statement and every turn of its loops. */
static long pause_at, pauses;
static bool committed, after_commit;
static bool on_new_connections; /* which are not made yet: the failure waits for them */

/* SQLite also asks when all is done: what it then says of a change that is on disk is true of no disk and no memory. */
static int pause_of_sqlite(void *arg)
{
    (void)arg;
    return ++pauses == pause_at && (!committed || after_commit);
}

static int note_commit(void *arg)
{
    (void)arg;
    committed = true;
    return 0;
}

static void arm_pause(struct store *s, long at)
{
    pause_at = at;
    pauses = 0;
    committed = false;
    after_commit = !s;
    if (s) sqlite3_commit_hook(s->db, note_commit, NULL);
    if (s) sqlite3_progress_handler(s->db, 1, pause_of_sqlite, NULL);
    on_new_connections = !s;
}

static bool disarm_pause(struct store *s)
{
    if (s) sqlite3_progress_handler(s->db, 0, NULL, NULL);
    on_new_connections = false;
    return pauses >= pause_at;
}

static void arm_memory(long at, bool for_ever)
{
    atomic_store(&nomem_at, at);
    atomic_store(&nomem_for_ever, for_ever);
    atomic_store(&nomem_calls, 0);
    atomic_store(&nomem_failed, 0);
    atomic_store(&nomem_on, true);
}

static void arm_allocation(struct store *s, long at)
{
    (void)s;
    arm_memory(at, false);
}

static void arm_allocations(struct store *s, long at)
{
    (void)s;
    arm_memory(at, true);
}

static bool disarm_memory(struct store *s)
{
    (void)s;
    atomic_store(&nomem_on, false);
    return atomic_load(&nomem_failed) > 0;
}

static const struct failure {
    const char *name;
    void (*arm)(struct store *s, long at);
    bool (*disarm)(struct store *s); /* whether the place was reached */
} pauses_fail = {"pause", arm_pause, disarm_pause}, one_allocation = {"allocation", arm_allocation, disarm_memory},
  all_allocations = {"no memory from allocation", arm_allocations, disarm_memory};

/* Every place up to this one, then fewer and fewer. */
static long density(void)
{
    return getenv("PONDER_LONG") ? 60 : getenv("PONDER_QUICK") ? 5 : 10;
}

/* ---- the operations --------------------------------------------------------------------------------------------------- */

/* Returns how often the call was refused. A place whose failure it can do without does not count. */
static long run(struct store *s, const struct operation *o, int i, const struct failure *f)
{
    const long most = density();
    long refused = 0;
    uint64_t before = record_digest(s);
    for (long at = 1;; at += 1 + at / most) {
        struct err e = {0};
        f->arm(s, at);
        after_commit = o->partly;
        int rc = o->run(s, i, &e);
        bool failed = f->disarm(s);
        assert_int_equal(store_review_place(s, &(int64_t){0}, NULL), 0); /* what could not be taken back for want of memory is so before the next statement */
        if (!sqlite3_get_autocommit(s->db)) fail_msg("%s %d, %s %ld: a transaction is left open", o->name, i, f->name, at);
        if (!failed && rc) fail_msg("%s %d: %s, and nothing failed", o->name, i, e.text);
        if (rc && (!e.text[0] || e.code != rc)) fail_msg("%s %d, %s %ld: error %d without a reason, or with that of %d (%s)", o->name, i, f->name, at, rc, e.code, e.text);
        uint64_t now = record_digest(s);
        if (rc && !o->partly && now != before) fail_msg("%s %d, %s %ld: failed (%s), and the record has changed", o->name, i, f->name, at, e.text);
        refused += rc != 0;
        if (!failed || now != before) return refused;
        before = now;
    }
}

static void each(void **state, const struct failure *f)
{
    struct store *s = open_store(path_in(*state, "failing.db"));
    record_fill(s, *state);
    for (size_t k = 0; k < ARRAY_LEN(operations); k++)
        for (int i = 0; i < operations[k].n; i++)
            if (!run(s, &operations[k], i, f) && f != &one_allocation && operations[k].run != operation_backup) fail_msg("%s %d, %s: it was never refused", operations[k].name, i, f->name);
    check_index(s);
    assert_string_equal(one(s, "PRAGMA synchronous"), "2");
    store_close(s);
}

static void sqlite_is_interrupted(void **state)
{
    each(state, &pauses_fail);
}

static void an_allocation_fails(void **state)
{
    if (!NOMEM_WORKS) skip();
    each(state, &one_allocation);
}

static void memory_runs_out(void **state)
{
    if (!NOMEM_WORKS) skip();
    each(state, &all_allocations);
}

/* ---- files ------------------------------------------------------------------------------------------------------------ */

static int arm_connection(sqlite3 *db, const char **why, const void *api)
{
    (void)why, (void)api;
    if (on_new_connections) sqlite3_progress_handler(db, 1, pause_of_sqlite, NULL);
    return SQLITE_OK;
}

static int salvage(const char *path, struct err *e)
{
    struct salvage_report r;
    int rc = store_salvage(path, &r, e);
    salvage_report_release(&r);
    return rc;
}

static int open_and_close(const char *path, struct err *e)
{
    struct store *s = NULL;
    int rc = store_open(&s, path, e);
    store_close(s);
    return rc;
}

/* Messages in whichever file of the folder has them: the record, or the one that was set aside. */
static int64_t messages_in(const char *folder)
{
    char command[300];
    snprintf(command, sizeof command, "for f in '%s'/r.db*; do case $f in *-wal|*-shm|*-journal|*.writers) ;; *) echo \"$f\" ;; esac; done", folder);
    FILE *list = popen(command, "r");
    char path[256];
    int64_t most = 0;
    while (fgets(path, sizeof path, list)) {
        sqlite3 *db = NULL;
        sqlite3_stmt *q = NULL;
        path[strcspn(path, "\n")] = '\0';
        if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK && sqlite3_prepare_v2(db, "SELECT count(*) FROM messages", -1, &q, NULL) == SQLITE_OK &&
            sqlite3_step(q) == SQLITE_ROW && sqlite3_column_int64(q, 0) > most)
            most = sqlite3_column_int64(q, 0);
        sqlite3_finalize(q);
        sqlite3_close(db);
    }
    pclose(list);
    return most;
}

static void put_file(const char *folder, const struct str *bytes)
{
    char command[300], path[256];
    snprintf(command, sizeof command, "rm -f '%s'/r.db*", folder);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/r.db", folder);
    assert_works(file_write_atomic(path, bytes->data, bytes->len, e));
}

/* What is opened or salvaged loses no message, wherever that ends. */
static void each_file(void **state, const char *name, const char *source, int (*run_it)(const char *path, struct err *e), const struct failure *f)
{
    struct str bytes = bytes_of(source);
    char path[256];
    long refused = 0;
    snprintf(path, sizeof path, "%s/r.db", (char *)*state);
    put_file(*state, &bytes);
    int64_t all = messages_in(*state);
    assert_true(all > 0);
    const long most = density();
    bool reached = true;
    for (long at = 1; reached; at += 1 + at / most) {
        struct err e = {0};
        put_file(*state, &bytes);
        f->arm(NULL, at);
        int rc = run_it(path, &e);
        reached = f->disarm(NULL);
        if (!reached && rc) fail_msg("%s, %s %ld: %s, and nothing failed", name, f->name, at, e.text);
        if (rc && !e.text[0]) fail_msg("%s, %s %ld: error %d without a reason", name, f->name, at, rc);
        if (messages_in(*state) != all) fail_msg("%s, %s %ld: result %d, and %lld of %lld messages are there", name, f->name, at, rc, (long long)messages_in(*state), (long long)all);
        if (!rc) {
            struct store *s = open_store(path);
            if (atoll(one(s, "SELECT count(*) FROM messages")) != all) fail_msg("%s, %s %ld: it worked, and not all is there", name, f->name, at);
            check_index(s);
            store_close(s);
        }
        refused += rc != 0;
    }
    if (!refused) fail_msg("%s, %s: it was never refused", name, f->name);
    str_release(&bytes);
}

static void files_with(void **state, const struct failure *f)
{
    struct store *s = open_store(path_in(*state, "source.db"));
    record_fill(s, *state);
    store_close(s);
    each_file(state, "an old record", "tests/vectors/record-v1.db", open_and_close, f);
    each_file(state, "salvage", path_in(*state, "source.db"), salvage, f);
}

static void opening_is_interrupted(void **state)
{
    sqlite3_auto_extension((void (*)(void))(uintptr_t)arm_connection);
    files_with(state, &pauses_fail);
    sqlite3_reset_auto_extension();
}

static void opening_without_memory(void **state)
{
    if (!NOMEM_WORKS) skip();
    files_with(state, &one_allocation);
    files_with(state, &all_allocations);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0); /* every allocation may fail, small ones too */
    const struct CMUnitTest tests[] = {T(sqlite_is_interrupted), T(an_allocation_fails), T(memory_runs_out), T(opening_is_interrupted), T(opening_without_memory)};
    return cmocka_run_group_tests_name("store_failing", tests, NULL, NULL);
}
