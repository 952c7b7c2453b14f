/* Salvage refuses what it cannot do and leaves it as it was; damaged rows are left out and told; names that are none, and an identity that is damaged. */
#include "unit/store_help.h"

#include <sys/wait.h>
#include <time.h>

static char aside[320]; /* where the last one put the damaged file */

static int salvage(const char *path, struct str *text, struct err *e)
{
    struct salvage_report r;
    int rc = store_salvage(path, &r, e);
    if (text) str_add_bytes(text, str_cstr(&r.text), r.text.len);
    snprintf(aside, sizeof aside, "%s", r.aside ? r.aside : "");
    salvage_report_release(&r);
    return rc;
}

static void test_refused(void **state)
{
    const char *path = path_in(*state, "r.db"), *link_path = path_in(*state, "link.db");
    assert_fails(ERR_NOT_FOUND, salvage(path, NULL, e));
    assert_fails(ERR_FILE, salvage(*state, NULL, e));
    assert_int_equal(symlink(path, link_path), 0);
    assert_fails(ERR_FILE, salvage(link_path, NULL, e));
    struct store *s = open_store(path);
    prompt(s, conversation(s, ""), 0, "kept");
    pid_t pid = fork(); /* locks are those of a process: another one asks */
    if (pid == 0) {
        struct err e = {0};
        int rc = salvage(path, NULL, &e);
        _exit(rc == ERR_BUSY && strstr(e.text, "another program") ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_string_equal(one(s, "SELECT prompt FROM (SELECT text AS prompt FROM messages)"), "kept");
    store_close(s);
    /* what would be its new name is taken, in this second and those to come */
    for (int i = 0; i < 4; i++) {
        time_t at = time(NULL) + i;
        struct tm tm;
        char stamp[32], name[320];
        gmtime_r(&at, &tm);
        strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &tm);
        snprintf(name, sizeof name, "%s.damaged-%s", path, stamp);
        close(open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    }
    assert_fails(ERR_BUSY, salvage(path, NULL, e));
    s = open_store(path);
    assert_string_equal(one(s, "SELECT count(*) FROM messages"), "1");
    store_close(s);
}

/* Rows that no table takes any more are counted, and those that hang on nothing get something to hang on. */
static void test_damaged_rows(void **state)
{
    const char *path = path_in(*state, "r.db");
    struct store *s = open_store(path);
    struct str text = STR_EMPTY;
    int64_t c = conversation(s, "S"), p = prompt(s, c, 0, "q"), r = reply(s, c, p, "t", "a");
    assert_works(store_tag(s, r, "kept", true, e));
    assert_works(store_rate(s, r, PART_ANSWER, 1, NULL, NULL, e));
    sql(s, "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; UPDATE ratings SET value = 9; DELETE FROM conversations; DELETE FROM messages WHERE role = 'user';"
           "INSERT INTO votes(a, b, verdict, voted_ms) VALUES(77, 78, 'a', 1)");
    store_close(s);
    assert_works(salvage(path, &text, e));
    assert_non_null(strstr(str_cstr(&text), "ratings: 0 rows, 1 damaged rows left out"));
    assert_non_null(strstr(str_cstr(&text), "messages: 1 rows\n"));
    s = open_store(path);
    assert_string_equal(one(s, "SELECT answer || '|' || tags FROM turns"), "a|[\"kept\"]");
    assert_string_equal(one(s, "SELECT count(*) || (SELECT count(*) FROM votes) FROM conversations"), "10");
    check_index(s);
    store_close(s);
    str_release(&text);
}

static void test_names(void **state)
{
    struct store *s = NULL;
    char id[17];
    static const char *const none[] = {"", ".", "..", "/tmp/", "/tmp/.", "/tmp/.."};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) assert_fails(ERR_FILE, store_open(&s, none[i], e));
    assert_null(s);
    s = open_store(NULL);
    assert_fails(ERR_INVALID, store_identity(s, id, e));
    store_close(s);
    /* odd letters in a name, and a name without a folder */
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(chdir(*state), 0);
    s = open_store("my chats? 100% ü#.db");
    prompt(s, conversation(s, ""), 0, "q");
    assert_works(store_identity(s, id, e));
    assert_int_equal(strspn(id, "0123456789abcdef"), 16);
    sql(s, "UPDATE notes SET value = '../../etc' WHERE name = 'identity'");
    assert_fails(ERR_DB, store_identity(s, id, e));
    sql(s, "UPDATE notes SET value = '0123456789abcdeX' WHERE name = 'identity'");
    assert_fails(ERR_DB, store_identity(s, id, e));
    store_close(s);
    s = open_store("my chats? 100% ü#.db");
    assert_string_equal(one(s, "SELECT count(*) FROM messages"), "1");
    store_close(s);
    assert_int_equal(fchdir(here), 0);
    close(here);
}

/* Number in the file of the page that a table begins on, from 0. */
static size_t root_of(struct store *s, const char *table)
{
    char q[128];
    snprintf(q, sizeof q, "SELECT rootpage - 1 FROM sqlite_schema WHERE name = '%s'", table);
    return (size_t)atol(one(s, q));
}

static void test_damaged_pages(void **state)
{
    const char *path = path_in(*state, "r.db");
    struct str text = STR_EMPTY;
    int64_t c;
    struct store *s = two_replies(path, &c);
    int64_t p = 2;
    char words[3000];
    memset(words, 'w', sizeof words - 1);
    words[sizeof words - 1] = '\0';
    for (int i = 0; i < 120; i++) p = reply(s, c, prompt(s, c, p, words), "", words);
    assert_works(store_tag(s, p, "last", true, e));
    assert_string_equal(one(s, "PRAGMA page_size"), "4096");
    sql(s, "PRAGMA wal_checkpoint(TRUNCATE)");
    size_t tags = root_of(s, "tags"), names = root_of(s, "tags_by_name");
    size_t leaves = (size_t)atol(one(s, "SELECT count(*) FROM dbstat WHERE name = 'messages' AND pagetype = 'leaf'"));
    char middle[256];
    snprintf(middle, sizeof middle,
             "SELECT pageno - 1 FROM dbstat WHERE name = 'messages' AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET %zu", leaves / 2);
    size_t page = (size_t)atol(one(s, middle));
    assert_true(leaves > 20 && page > 0);
    store_close(s);
    spoil_pages(path, page, 1);
    spoil_pages(path, tags, 1);
    spoil_pages(path, names, 1); /* which has all that the table has */
    assert_works(salvage(path, &text, e));
    assert_non_null(strstr(str_cstr(&text), "rows, some of it cannot be read"));
    assert_non_null(strstr(str_cstr(&text), "tags: 0 rows, some of it cannot be read"));
    s = open_store(path);
    long kept = atol(one(s, "SELECT count(*) FROM messages WHERE text <> '(lost: the record was damaged here)'"));
    if (kept < 230 || kept >= 243) fail_msg("%ld of 243 messages", kept);
    assert_string_equal(one(s, "SELECT count(*) FROM pragma_foreign_key_check"), "0");
    assert_string_equal(one(s, "SELECT text FROM messages WHERE id = 3"), "that");
    check_index(s);
    store_close(s);
    str_release(&text);
}

/* Where tables or columns are missing the others are saved; a file that is no database at all is set aside whole. */
static void test_missing_parts(void **state)
{
    const char *path = path_in(*state, "r.db");
    struct str text = STR_EMPTY;
    int64_t c;
    struct store *s = two_replies(path, &c);
    sql(s,
        "PRAGMA foreign_keys = OFF; DROP TABLE tags; DROP VIEW IF EXISTS turns; ALTER TABLE conversations RENAME COLUMN title TO headline;"
        "ALTER TABLE ratings RENAME TO elsewhere; DELETE FROM replies WHERE message = 2");
    store_close(s);
    assert_works(salvage(path, &text, e));
    assert_non_null(strstr(str_cstr(&text), "tags: 0 rows, the table cannot be read"));
    s = open_store(path);
    assert_string_equal(one(s, "SELECT group_concat(text, '/') FROM messages"), "which?/this/that");
    assert_string_equal(one(s, "SELECT group_concat(ended) FROM replies ORDER BY message"), "error,natural");
    check_index(s);
    store_close(s);
    struct str old = bytes_of(aside);
    assert_true(old.len > 4096);
    str_release(&old);
    assert_int_equal(truncate(path, 0), 0);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(fd, "this is no database, but quite long enough to be one of the small ones that there are", 85), 85);
    close(fd);
    str_clear(&text);
    usleep(1100000); /* the name tells the second */
    assert_works(salvage(path, &text, e));
    s = open_store(path);
    assert_string_equal(one(s, "SELECT count(*) FROM messages"), "0");
    store_close(s);
    old = bytes_of(aside);
    assert_int_equal(old.len, 85);
    str_release(&old);
    str_release(&text);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {T(test_refused), T(test_damaged_rows), T(test_damaged_pages), T(test_missing_parts), T(test_names)};
    return cmocka_run_group_tests_name("store_salvage", tests, NULL, NULL);
}
