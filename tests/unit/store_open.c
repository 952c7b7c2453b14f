/* Opening the record: what is made, what is refused, and that what is refused stays as it was. */
#include "unit/store_help.h"

#include <sys/resource.h>

static void test_made_private(void **state)
{
    char *path = path_in(*state, "deep/er/ponder.db");
    mode_t old = umask(0);
    struct store *s = open_store(path);
    prompt(s, conversation(s, ""), 0, "hello");
    int64_t c = conversation(s, "");
    end(s, begin(s, c, prompt(s, c, 0, "x")), "", "y", "none", "complete");
    umask(old);
    assert_int_equal(mode_of(path_in(*state, "deep")), 0700);
    assert_int_equal(mode_of(path_in(*state, "deep/er")), 0700);
    assert_int_equal(mode_of(path), 0600);
    assert_int_equal(mode_of(path_in(*state, "deep/er/ponder.db-wal")), 0600);
    assert_int_equal(mode_of(path_in(*state, "deep/er/ponder.db-shm")), 0600);
    assert_int_equal(mode_of(path_in(*state, "deep/er/ponder.db.writers")), 0600);
    assert_true(store_path(s)[0] == '/');
    store_close(s);
    assert_false(exists(path_in(*state, "deep/er/ponder.db-wal")));
}

static void test_rights_of_others_are_taken(void **state)
{
    char *path = path_in(*state, "p.db");
    store_close(open_store(path));
    assert_int_equal(chmod(path, 0664), 0);
    struct store *s = open_store(path);
    conversation(s, "");
    assert_int_equal(mode_of(path), 0600);
    assert_int_equal(mode_of(path_in(*state, "p.db-wal")), 0600);
    store_close(s);
}

static void test_settings(void **state)
{
    struct store *s = open_store(path_in(*state, "p.db"));
    assert_string_equal(one(s, "PRAGMA journal_mode"), "wal");
    assert_string_equal(one(s, "PRAGMA synchronous"), "2");
    assert_string_equal(one(s, "PRAGMA foreign_keys"), "1");
    assert_string_equal(one(s, "PRAGMA secure_delete"), "1");
    assert_string_equal(one(s, "PRAGMA trusted_schema"), "0");
    assert_string_equal(one(s, "PRAGMA application_id"), "1886350948");
    assert_string_equal(one(s, "PRAGMA user_version"), "3");
    assert_string_equal(one(s, "PRAGMA busy_timeout"), "5000");
    assert_string_equal(one(s, "PRAGMA temp_store"), "2");
    /* defensive: shadow tables of the index cannot be written */
    assert_int_not_equal(sqlite3_exec(s->db, "DELETE FROM message_index_data", NULL, NULL, NULL), SQLITE_OK);
    store_close(s);
}

static void test_in_memory(void **state)
{
    char here[4096];
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(*state), 0);
    struct store *s = open_store(NULL);
    int64_t c = conversation(s, "");
    reply(s, c, prompt(s, c, 0, "hello"), "think", "answer");
    assert_null(store_path(s));
    struct message_list l;
    assert_works(store_load_branch(s, c, &l, e));
    assert_int_equal(l.n, 2);
    assert_string_equal(l.items[1].text, "answer");
    message_list_release(&l);
    assert_works(store_delete(s, c, e));
    store_close(s);
    assert_int_equal(chdir(here), 0);
    assert_int_equal(rmdir(*state), 0); /* nothing was written */
    assert_int_equal(mkdir(*state, 0700), 0);
}

/* Opening fails with code, and every file of the folder stays as it was. */
static void refused(void *folder, const char *name, int code)
{
    static const char *const endings[] = {"", "-wal", "-shm", "-journal", ".writers"};
    struct str before[5];
    struct store *s = NULL;
    char file[64];

    for (size_t i = 0; i < 5; i++) {
        snprintf(file, sizeof file, "%s%s", name, endings[i]);
        before[i] = bytes_of(path_in(folder, file));
    }
    assert_fails(code, store_open(&s, path_in(folder, name), e));
    assert_null(s);
    for (size_t i = 0; i < 5; i++) {
        snprintf(file, sizeof file, "%s%s", name, endings[i]);
        struct str after = bytes_of(path_in(folder, file));
        /* but for the index of the log, which is made anew by whoever opens it */
        if (i != 2) {
            assert_int_equal(after.len, before[i].len);
            if (after.len) assert_memory_equal(after.data, before[i].data, after.len);
        }
        str_release(&after);
        str_release(&before[i]);
    }
}

static void test_newer_is_refused(void **state)
{
    struct store *s = open_store(path_in(*state, "p.db"));
    prompt(s, conversation(s, ""), 0, "from the future");
    sql(s, "PRAGMA user_version = 4");
    store_close(s);
    refused(*state, "p.db", ERR_NEWER);
    assert_false(exists(path_in(*state, "p.db-wal")));
    assert_false(exists(path_in(*state, "p.db-shm")));
    assert_false(exists(path_in(*state, "p.db.writers")));
}

/* The newer version is only in the log: its writer was killed before the log was brought into the file. */
static void test_newer_in_the_log_is_refused(void **state)
{
    char *path = path_in(*state, "p.db");
    struct store *s = open_store(path);
    prompt(s, conversation(s, ""), 0, "from the future");
    store_close(s);
    struct str old = bytes_of(path);
    s = open_store(path);
    sql(s, "PRAGMA wal_autocheckpoint = 0; PRAGMA user_version = 4");
    struct str log = bytes_of(path_in(*state, "p.db-wal"));
    assert_true(log.len > 4096);
    store_close(s);
    FILE *f = fopen(path, "wb");
    assert_int_equal(fwrite(old.data, 1, old.len, f), old.len);
    fclose(f);
    f = fopen(path_in(*state, "p.db-wal"), "wb");
    assert_int_equal(fwrite(log.data, 1, log.len, f), log.len);
    fclose(f);
    refused(*state, "p.db", ERR_NEWER);
    refused(*state, "p.db", ERR_NEWER);
    str_release(&old);
    str_release(&log);
}

static void test_foreign_is_refused(void **state)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path_in(*state, "other.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE t(x); INSERT INTO t VALUES(1)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    chmod(path_in(*state, "other.db"), 0600);
    refused(*state, "other.db", ERR_DB);

    assert_int_equal(sqlite3_open(path_in(*state, "id.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA application_id = 77; PRAGMA user_version = 1", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    chmod(path_in(*state, "id.db"), 0600);
    refused(*state, "id.db", ERR_DB);

    struct store *s = open_store(path_in(*state, "zero.db"));
    sql(s, "PRAGMA user_version = 0");
    store_close(s);
    refused(*state, "zero.db", ERR_DB);
}

static void write_file(const char *path, const char *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
}

static void test_no_database_is_refused(void **state)
{
    char noise[8192];
    for (size_t i = 0; i < sizeof noise; i++) noise[i] = (char)(i * 37 + i / 251);
    write_file(path_in(*state, "noise.db"), noise, sizeof noise);
    refused(*state, "noise.db", ERR_DB);
    write_file(path_in(*state, "text.db"), "hello\n", 6);
    refused(*state, "text.db", ERR_DB);
    write_file(path_in(*state, "header.db"), "SQLite format 3", 16);
    refused(*state, "header.db", ERR_DB);
}

static void test_empty_file_is_taken(void **state)
{
    write_file(path_in(*state, "p.db"), "", 0);
    struct store *s = open_store(path_in(*state, "p.db"));
    conversation(s, "");
    store_close(s);
}

/* A file cut or overwritten anywhere gives an error code, never a crash, and never a wrong yes to a check of everything. */
static void test_damaged(void **state)
{
    char *path = path_in(*state, "p.db");
    struct store *s = open_store(path);
    int64_t c = conversation(s, "");
    char text[3000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < 20; i++) reply(s, c, prompt(s, c, 0, text), text, text);
    store_close(s);
    struct str good = bytes_of(path);
    int failures = 0;
    for (size_t page = 0; page * 4096 < good.len; page += 3) {
        char *copy = mem_dup_text(good.data, good.len);
        memset(copy + page * 4096 + (page ? 0 : 100), 0xa5, page ? 4096 : 3996);
        write_file(path_in(*state, "d.db"), copy, good.len);
        free(copy);
        struct err e = {0};
        struct message_list l = {0};
        struct search_hits h = {0};
        int64_t id;
        int rc = store_open(&s, path_in(*state, "d.db"), &e);
        if (!rc) rc = store_load_branch(s, c, &l, &e);
        if (!rc) rc = store_search(s, "aaa", SEARCH_ALL, 0, &h, &e);
        if (!rc) rc = store_add_prompt(s, c, 0, text, strlen(text), &id, &e);
        if (!rc) rc = store_export(s, &(struct export_options){0}, NULL, NULL, &(struct export_counts){0}, &e);
        if (rc) {
            failures++;
            assert_int_equal(e.code, ERR_DB);
            assert_true(e.text[0] != '\0');
        }
        message_list_release(&l);
        search_hits_release(&h);
        if (s) store_close(s);
    }
    assert_true(failures > 3);
    write_file(path_in(*state, "short.db"), good.data, good.len / 2);
    struct err e = {0};
    int rc = store_open(&s, path_in(*state, "short.db"), &e);
    struct message_list l = {0};
    if (!rc) rc = store_load_branch(s, c, &l, &e);
    assert_int_equal(rc, ERR_DB);
    message_list_release(&l);
    store_close(s);
    str_release(&good);
}

static void test_links_and_folders(void **state)
{
    struct store *s = NULL;
    store_close(open_store(path_in(*state, "real/p.db")));
    assert_int_equal(symlink(path_in(*state, "real/p.db"), path_in(*state, "link.db")), 0);
    assert_fails(ERR_FILE, store_open(&s, path_in(*state, "link.db"), e));
    assert_int_equal(symlink("/nowhere/p.db", path_in(*state, "dangling.db")), 0);
    assert_fails(ERR_FILE, store_open(&s, path_in(*state, "dangling.db"), e));
    assert_fails(ERR_FILE, store_open(&s, path_in(*state, "real"), e));
    assert_fails(ERR_FILE, store_open(&s, path_in(*state, "real/"), e));
    assert_int_equal(mkfifo(path_in(*state, "fifo"), 0600), 0);
    assert_fails(ERR_FILE, store_open(&s, path_in(*state, "fifo"), e));
    /* a folder behind a link is resolved */
    assert_int_equal(symlink("real", path_in(*state, "folder")), 0);
    s = open_store(path_in(*state, "folder/p.db"));
    assert_string_equal(store_path(s), path_in(*state, "real/p.db"));
    store_close(s);
    assert_fails(ERR_FILE, store_open(&s, path_in(*state, "real/p.db/x.db"), e));
    /* characters that mean something in a URI */
    s = open_store(path_in(*state, "a b%20?mode=rw#é.db"));
    conversation(s, "");
    store_close(s);
    assert_true(exists(path_in(*state, "a b%20?mode=rw#é.db")));
    s = open_store(path_in(*state, "a b%20?mode=rw#é.db"));
    store_close(s);
}

/* Two stores on one file in one process: neither loses its locks when the other opens or closes. */
static void test_two_at_once(void **state)
{
    struct store *a = open_store(path_in(*state, "p.db")), *b = open_store(path_in(*state, "p.db"));
    int64_t c = conversation(a, "");
    sql(a, "BEGIN IMMEDIATE");
    sqlite3_busy_timeout(b->db, 50);
    int64_t id;
    assert_fails(ERR_BUSY, store_new_conversation(b, "", &id, e));
    struct store *third = open_store(path_in(*state, "p.db"));
    store_close(third);
    assert_fails(ERR_BUSY, store_new_conversation(b, "", &id, e));
    sql(a, "COMMIT");
    assert_int_equal(conversation(b, ""), c + 1);
    store_close(a);
    conversation(b, "");
    store_close(b);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        T(test_made_private),
        T(test_rights_of_others_are_taken),
        T(test_settings),
        T(test_in_memory),
        T(test_newer_is_refused),
        T(test_newer_in_the_log_is_refused),
        T(test_foreign_is_refused),
        T(test_no_database_is_refused),
        T(test_empty_file_is_taken),
        T(test_damaged),
        T(test_links_and_folders),
        T(test_two_at_once),
    };
    return cmocka_run_group_tests_name("store_open", tests, NULL, NULL);
}
