/* Deleting leaves nothing in the files; a full disk loses nothing that was said to be kept. */
#include "unit/store_help.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define SECRET   "zqxjkvqsecretqzqxjkv"
#define FRAGMENT "jkvqsecretqz"

static void no_traces(void *folder)
{
    static const char *const files[] = {"p.db", "p.db-wal", "p.db-shm", "p.db-journal", "p.db.writers"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        if (holds(path_in(folder, files[i]), FRAGMENT)) fail_msg("%s holds the secret", files[i]);
}

static void test_no_byte_is_left(void **state)
{
    struct store *s = open_store(path_in(*state, "p.db"));
    char text[9000];
    int64_t keep = conversation(s, "kept system"), c = conversation(s, "system " SECRET);
    /* large and small texts between each other, so that pages split and cells move */
    for (int i = 0; i < 40; i++) {
        int64_t k = reply(s, keep, prompt(s, keep, 0, "kept words"), "kept thought", "kept answer");
        assert_works(store_tag(s, k, "kept", true, e));
        size_t n = (size_t)(i * 211) % 8000;
        memset(text, 'a' + i % 26, n);
        memcpy(text + n, " " SECRET, sizeof SECRET + 1);
        int64_t p = prompt(s, c, 0, text), r = begin(s, c, p);
        for (int k2 = 0; k2 < 5; k2++) assert_works(store_append_reply(s, r, text, strlen(text), SECRET, strlen(SECRET), e));
        assert_works(store_add_event(s, r, 1, "say", SECRET, e));
        end(s, r, text, text, "natural", "complete");
        assert_works(store_rate(s, r, PART_ANSWER, 1, "[\"" SECRET "\"]", SECRET, e));
        assert_works(store_tag(s, r, SECRET, true, e));
        assert_works(store_edit(s, r, PART_THOUGHT, text, strlen(text), e));
    }
    assert_works(store_save_draft(s, c, SECRET, strlen(SECRET), e));
    assert_true(holds(path_in(*state, "p.db-wal"), FRAGMENT) || holds(path_in(*state, "p.db"), FRAGMENT));
    struct store *other = open_store(path_in(*state, "p.db"));
    assert_string_equal(one(other, "SELECT count(*) FROM turns"), "80");
    assert_works(store_delete(s, c, e));
    no_traces(*state);
    assert_fails(ERR_NOT_FOUND, store_delete(s, c, e));
    assert_string_equal(one(other, "SELECT count(*) FROM turns"), "40");
    struct message_list l;
    assert_works(store_load_branch(s, keep, &l, e));
    assert_int_equal(l.n, 2);
    message_list_release(&l);
    struct search_hits h;
    assert_works(store_search(s, "kept", SEARCH_ALL, 0, &h, e));
    assert_int_equal(h.n, 120);
    search_hits_release(&h);
    check_index(s);
    assert_false(store_wipe_pending(s));
    assert_string_equal(one(s, "PRAGMA freelist_count"), "0");
    store_close(other);
    store_close(s);
    no_traces(*state);
}

/* The wipe cannot be finished while somebody reads an old state: the next opening makes up for it. */
static void test_wipe_is_made_up_for(void **state)
{
    struct store *s = open_store(path_in(*state, "p.db")), *reader = open_store(path_in(*state, "p.db"));
    int64_t keep = conversation(s, ""), c = conversation(s, "");
    prompt(s, keep, 0, "kept");
    prompt(s, c, 0, SECRET);
    sql(reader, "BEGIN; SELECT * FROM messages");
    sqlite3_busy_timeout(s->db, 20);
    assert_fails(ERR_BUSY, store_delete(s, c, e));
    struct conversation_list l;
    assert_fails(ERR_NOT_FOUND, store_load_conversation(s, c, &l, e));
    assert_true(store_wipe_pending(s));
    sql(reader, "COMMIT");
    store_close(reader);
    struct store *later = open_store(path_in(*state, "p.db"));
    assert_false(store_wipe_pending(later));
    no_traces(*state);
    store_close(later);
    store_close(s);
}

static void test_delete_while_streaming_here(void **state)
{
    struct store *s = open_store(path_in(*state, "p.db"));
    int64_t c = conversation(s, ""), d = conversation(s, "");
    int64_t r = begin(s, c, prompt(s, c, 0, "q")), kept = begin(s, d, prompt(s, d, 0, "q"));
    assert_works(store_append_reply(s, r, SECRET, strlen(SECRET), NULL, 0, e));
    assert_works(store_delete(s, c, e));
    assert_fails(ERR_INVALID, store_append_reply(s, r, "x", 1, NULL, 0, e));
    assert_works(store_append_reply(s, kept, "x", 1, NULL, 0, e));
    end(s, kept, "", "y", "natural", "complete");
    no_traces(*state);
    store_close(s);
}

/* A reply deleted by another program is not found any more. */
static void test_deleted_elsewhere(void **state)
{
    struct store *s = open_store(path_in(*state, "p.db"));
    int64_t c = conversation(s, ""), r = begin(s, c, prompt(s, c, 0, "q"));
    sql(s, "DELETE FROM conversations");
    assert_fails(ERR_NOT_FOUND, store_append_reply(s, r, "x", 1, NULL, 0, e));
    assert_fails(ERR_NOT_FOUND, store_end_reply(s, r, "x", 1, NULL, 0, &(struct reply_end){.ended = "natural"}, e));
    store_close(s);
}

/* ---- a full disk -------------------------------------------------------------------------------------------- */

/* Writes until it is full; what was acknowledged stays readable, and writing works again afterwards. */
static void fill(struct store *s, const char *make_room)
{
    char text[20000];
    memset(text, 'x', sizeof text);
    int64_t c = conversation(s, ""), p = prompt(s, c, 0, "q"), r = begin(s, c, p);
    struct err err = {0};
    int64_t kept = 0, prompts = 0, id;
    int rc = 0;
    while (rc == 0 && kept < 1000) {
        rc = store_append_reply(s, r, text, sizeof text, text, sizeof text, &err);
        if (!rc) kept++;
    }
    assert_int_equal(rc, ERR_FULL);
    assert_int_equal(err.code, ERR_FULL);
    assert_non_null(strstr(err.text, "no space left"));
    while (store_add_prompt(s, c, 0, text, sizeof text, &id, NULL) == 0 && prompts < 1000) prompts++;
    assert_true(sqlite3_get_autocommit(s->db)); /* nothing is left half-way */
    assert_fails(ERR_FULL, store_end_reply(s, r, text, sizeof text, text, sizeof text, &(struct reply_end){.ended = "natural"}, e));
    struct message_list l;
    assert_works(store_load_message(s, r, &l, e));
    assert_int_equal(l.items[0].thought_len, kept * (int64_t)sizeof text);
    assert_true(l.items[0].streaming);
    message_list_release(&l);
    sql(s, make_room);
    end(s, r, "the end", "the end", "natural", "complete");
    assert_works(store_load_message(s, r, &l, e));
    assert_int_equal(l.items[0].thought_len, kept * (int64_t)sizeof text + 7);
    message_list_release(&l);
    check_index(s);
}

static void test_full_in_memory(void **state)
{
    struct store *s = open_store(NULL);
    sql(s, "PRAGMA max_page_count = 300");
    fill(s, "PRAGMA max_page_count = 100000");
    store_close(s);
    (void)state;
}

static void test_full_on_disk(void **state)
{
    struct store *s = open_store(path_in(*state, "p.db"));
    sql(s, "PRAGMA max_page_count = 300");
    fill(s, "PRAGMA max_page_count = 100000");
    store_close(s);
}

/* The file may not grow: as on a full disk, the write itself fails. */
static void test_file_size_limit(void **state)
{
    char *path = path_in(*state, "p.db");
    pid_t pid = fork();
    if (pid == 0) {
        struct store *s = NULL;
        char text[4000];
        int64_t c, p, r;
        signal(SIGXFSZ, SIG_IGN);
        memset(text, 'x', sizeof text);
        if (store_open(&s, path, NULL) || store_new_conversation(s, "", &c, NULL) || store_add_prompt(s, c, 0, "kept", 4, &p, NULL))
            _exit(1);
        if (store_begin_reply(s, &(struct reply_start){.conversation = c, .parent = p}, &r, NULL)) _exit(2);
        struct rlimit limit = {512 * 1024, 512 * 1024};
        if (setrlimit(RLIMIT_FSIZE, &limit)) _exit(3);
        struct err e = {0};
        int rc = 0, n = 0;
        while (!rc && n < 1000) {
            rc = store_append_reply(s, r, text, sizeof text, NULL, 0, &e);
            if (!rc) n++;
        }
        if (rc != ERR_FULL || n < 10) _exit(4);
        struct message_list l;
        if (store_load_message(s, r, &l, &e) || l.items[0].thought_len != (size_t)n * sizeof text) _exit(5);
        message_list_release(&l);
        if (!sqlite3_get_autocommit(s->db)) _exit(6);
        _exit(n % 200 + 10);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) < 10) fail_msg("child: %d %d", WIFEXITED(status), WEXITSTATUS(status));
    struct store *s = open_store(path);
    int kept = atoi(one(s, "SELECT length(thought) / 4000 FROM turns"));
    assert_int_equal(kept % 200 + 10, WEXITSTATUS(status));
    assert_string_equal(one(s, "SELECT ended || prompt FROM turns"), "interruptedkept");
    check_index(s);
    store_close(s);
}

static void test_read_only_folder(void **state)
{
    struct store *s = NULL;
    if (geteuid() == 0) {
        print_message("the superuser may write anywhere\n");
        skip();
    }
    assert_int_equal(chmod(*state, 0500), 0);
    assert_fails(ERR_FILE, store_open(&s, path_in(*state, "p.db"), e));
    chmod(*state, 0700);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        T(test_no_byte_is_left),   T(test_wipe_is_made_up_for), T(test_delete_while_streaming_here),
        T(test_deleted_elsewhere), T(test_full_in_memory),      T(test_full_on_disk),
        T(test_file_size_limit),   T(test_read_only_folder),
    };
    return cmocka_run_group_tests_name("store_delete", tests, NULL, NULL);
}
