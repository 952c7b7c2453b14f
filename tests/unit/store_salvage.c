/* Salvage refuses what it cannot do and leaves it as it was; damaged rows are left out and told; names that are none, and an identity that is damaged. */
#include "unit/store_help.h"

#include <sys/wait.h>
#include <time.h>

static int salvage(const char *path, struct str *text, struct err *e)
{
    struct salvage_report r;
    int rc = store_salvage(path, &r, e);
    if (text) str_add_bytes(text, str_cstr(&r.text), r.text.len);
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

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {T(test_refused), T(test_damaged_rows), T(test_names)};
    return cmocka_run_group_tests_name("store_salvage", tests, NULL, NULL);
}
