/* Replies whose writer died, and those whose writer lives. */
#include "unit/store_help.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

struct child {
    pid_t pid;
    int from, to; /* pipes: a byte when the reply runs; a byte to go on */
};

/* A process that opens the record, begins a reply, writes these pieces, says so and waits. */
static struct child start(const char *path, const char *thought, const char *answer, void (*more)(struct store *s, int64_t reply))
{
    int up[2], down[2];
    struct child c;
    assert_int_equal(pipe(up), 0);
    assert_int_equal(pipe(down), 0);
    c.pid = fork();
    assert_true(c.pid >= 0);
    if (c.pid == 0) {
        struct store *s = NULL;
        int64_t conv, p, r;
        char byte = 'x';
        close(up[0]);
        close(down[1]);
        if (store_open(&s, path, NULL) || store_new_conversation(s, "", &conv, NULL) || store_add_prompt(s, conv, 0, "q", 1, &p, NULL))
            _exit(1);
        const struct reply_start start = {.conversation = conv, .parent = p, .model = "m", .budget = "400"};
        if (store_begin_reply(s, &start, &r, NULL)) _exit(2);
        if (store_append_reply(s, r, thought, strlen(thought), NULL, 0, NULL)) _exit(3);
        if (more) more(s, r);
        if (store_append_reply(s, r, NULL, 0, answer, strlen(answer), NULL)) _exit(4);
        if (write(up[1], &byte, 1) != 1 || read(down[0], &byte, 1) != 1) _exit(5);
        const struct reply_end end = {.ended = "natural", .answer_ended = "complete"};
        if (store_end_reply(s, r, NULL, 0, " end", 4, &end, NULL)) _exit(6);
        store_close(s);
        _exit(0);
    }
    close(up[1]);
    close(down[0]);
    c.from = up[0];
    c.to = down[1];
    char byte;
    assert_int_equal(read(c.from, &byte, 1), 1);
    return c;
}

static int finish(struct child *c, bool kill_it)
{
    int status;
    if (kill_it) {
        kill(c->pid, SIGKILL);
    } else {
        assert_int_equal(write(c->to, "x", 1), 1);
    }
    while (waitpid(c->pid, &status, 0) < 0) assert_int_equal(errno, EINTR);
    close(c->from);
    close(c->to);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void closed_by_user(struct store *s, int64_t r)
{
    store_add_event(s, r, 9, "closed", "answer_now", NULL);
}

static void closed_by_budget(struct store *s, int64_t r)
{
    store_add_span(s, r, 9, 0, 1, "wrap_up", "program", NULL);
    store_add_span(s, r, 9, 1, 1, "close", "program", NULL);
}

static void test_killed(void **state)
{
    static const struct {
        const char *thought, *answer, *ended, *answer_ended;
        void (*more)(struct store *s, int64_t r);
    } cases[] = {
        {"", "", "interrupted", "NULL", NULL},
        {"Let me see", "", "interrupted", "NULL", NULL},
        {"Let me see", "Ele", "natural", "interrupted", NULL},
        {"", "Ele", "none", "interrupted", NULL},
        {"Let me see", "Ele", "answer_now", "interrupted", closed_by_user},
        {"Let me see", "Ele", "budget_hard", "interrupted", closed_by_budget},
    };
    char *path = path_in(*state, "p.db");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct child c = start(path, cases[i].thought, cases[i].answer, cases[i].more);
        finish(&c, true);
        struct store *s = open_store(path);
        assert_string_equal(one(s, "SELECT ended FROM turns ORDER BY message_id DESC"), cases[i].ended);
        assert_string_equal(one(s, "SELECT answer_ended FROM turns ORDER BY message_id DESC"), cases[i].answer_ended);
        assert_string_equal(one(s, "SELECT thought FROM turns ORDER BY message_id DESC"), cases[i].thought);
        assert_string_equal(one(s, "SELECT answer FROM turns ORDER BY message_id DESC"), cases[i].answer);
        assert_string_equal(one(s, "SELECT (SELECT count(*) FROM chunks) + (SELECT count(*) FROM streams)"), "0");
        struct message_list l;
        assert_works(store_load_branch(s, (int64_t)i + 1, &l, e));
        assert_int_equal(l.n, 2);
        assert_false(l.items[1].streaming);
        message_list_release(&l);
        check_index(s);
        store_close(s);
    }
    struct store *s = open_store(path);
    struct search_hits h;
    assert_works(store_search(s, "ele", SEARCH_ANSWERS, 0, &h, e));
    assert_int_equal(h.n, 4);
    search_hits_release(&h);
    store_close(s);
}

static void test_living_is_left_alone(void **state)
{
    char *path = path_in(*state, "p.db");
    struct child c = start(path, "thinking", "", NULL);
    for (int i = 0; i < 3; i++) {
        struct store *s = open_store(path);
        struct message_list l;
        assert_works(store_load_message(s, 2, &l, e));
        assert_true(l.items[0].streaming);
        assert_string_equal(l.items[0].thought, "thinking");
        message_list_release(&l);
        /* this one streams too, from a slot of its own */
        int64_t conv = conversation(s, ""), r = begin(s, conv, prompt(s, conv, 0, "q"));
        assert_int_equal(s->writer_slot, 1);
        assert_fails(ERR_BUSY, store_delete(s, 1, e));
        if (i != 2) end(s, r, "", "done", "none", "complete");
        store_close(s);
    }
    assert_int_equal(finish(&c, false), 0);
    struct store *s = open_store(path);
    assert_string_equal(one(s, "SELECT answer || ended || answer_ended FROM turns WHERE message_id = 2"), " endnaturalcomplete");
    /* the last one above was closed without an end */
    assert_string_equal(one(s, "SELECT ended FROM turns ORDER BY message_id DESC"), "interrupted");
    assert_works(store_delete(s, 1, e));
    store_close(s);
}

/* A dead writer's slot is taken by another store before anybody looks: the dead one's reply is not kept alive by that. */
static void test_slot_taken_over(void **state)
{
    char *path = path_in(*state, "p.db");
    struct store *watcher = open_store(path);
    struct child a = start(path, "first", "", NULL);
    finish(&a, true);
    assert_string_equal(one(watcher, "SELECT count(*) FROM streams"), "1");
    struct store *s = watcher;
    int64_t conv = conversation(s, ""), r = begin(s, conv, prompt(s, conv, 0, "q"));
    assert_int_equal(s->writer_slot, 0);
    assert_string_equal(one(s, "SELECT count(DISTINCT slot) || count(DISTINCT writer) FROM streams"), "12");
    struct store *other = open_store(path);
    assert_string_equal(one(other, "SELECT ended FROM turns WHERE message_id = 2"), "interrupted");
    assert_string_equal(one(other, "SELECT ended FROM turns WHERE message_id = 4"), "NULL");
    struct message_list l;
    assert_works(store_load_message(other, r, &l, e));
    assert_true(l.items[0].streaming);
    message_list_release(&l);
    store_close(other);
    end(s, r, "", "fine", "none", "complete");
    store_close(s);
}

/* A writer that dies while another store is open is noticed when its reply is read. */
static void test_death_is_noticed_on_reading(void **state)
{
    char *path = path_in(*state, "p.db");
    struct store *s = open_store(path);
    struct child a = start(path, "thought", "answ", NULL);
    struct message_list l;
    assert_works(store_load_branch(s, 1, &l, e));
    assert_true(l.items[1].streaming);
    message_list_release(&l);
    finish(&a, true);
    assert_works(store_load_branch(s, 1, &l, e));
    assert_false(l.items[1].streaming);
    assert_string_equal(l.items[1].text, "answ");
    assert_string_equal(l.items[1].answer_ended, "interrupted");
    message_list_release(&l);
    store_close(s);
}

/* The file of locks is gone, or holds nonsense. */
static void test_lock_file_lost(void **state)
{
    char *path = path_in(*state, "p.db"), *locks = path_in(*state, "p.db.writers");
    struct child a = start(path, "thought", "", NULL);
    finish(&a, true);
    assert_int_equal(unlink(locks), 0);
    struct store *s = open_store(path);
    assert_string_equal(one(s, "SELECT ended FROM turns"), "interrupted");
    store_close(s);
    a = start(path, "thought", "", NULL);
    finish(&a, true);
    assert_int_equal(truncate(locks, 3), 0);
    s = open_store(path);
    assert_string_equal(one(s, "SELECT count(*) FROM turns WHERE ended = 'interrupted'"), "2");
    sql(s, "INSERT INTO streams(message, slot, writer) VALUES(1, -5, 'x')");
    store_close(s);
    s = NULL;
    struct err e = {0};
    store_open(&s, path, &e); /* hostile rows: an error or not, never a crash */
    store_close(s);
}

/* Twenty kills at odd moments: what was acknowledged is there. */
static void test_kill_loop(void **state)
{
    char *path = path_in(*state, "p.db");
    store_close(open_store(path));
    for (int round = 0; round < 20; round++) {
        int up[2];
        assert_int_equal(pipe(up), 0);
        pid_t pid = fork();
        if (pid == 0) {
            struct store *s;
            int64_t conv, p, r;
            close(up[0]);
            if (store_open(&s, path, NULL) || store_new_conversation(s, "", &conv, NULL) || store_add_prompt(s, conv, 0, "q", 1, &p, NULL))
                _exit(1);
            if (store_begin_reply(s, &(struct reply_start){.conversation = conv, .parent = p}, &r, NULL)) _exit(1);
            for (uint32_t i = 0;; i++) {
                if (store_append_reply(s, r, "x", 1, NULL, 0, NULL)) _exit(1);
                if (write(up[1], "x", 1) != 1) _exit(1);
            }
        }
        close(up[1]);
        usleep((useconds_t)(3000 + 1700 * round));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        long acknowledged = 0;
        char bytes[4096];
        for (ssize_t n; (n = read(up[0], bytes, sizeof bytes)) > 0;) acknowledged += n;
        close(up[0]);
        struct store *s = open_store(path);
        long kept = atol(one(s, "SELECT sum(length(thought)) FROM turns WHERE message_id = (SELECT max(message_id) FROM turns)"));
        assert_true(acknowledged == 0 || kept == acknowledged || kept == acknowledged + 1);
        assert_string_equal(one(s, "SELECT count(*) FROM turns WHERE ended IS NOT 'interrupted'"), "0");
        if (round % 5 == 0) check_index(s);
        store_close(s);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        T(test_killed),          T(test_living_is_left_alone),
        T(test_slot_taken_over), T(test_death_is_noticed_on_reading),
        T(test_lock_file_lost),  T(test_kill_loop),
    };
    return cmocka_run_group_tests_name("store_writer", tests, NULL, NULL);
}
