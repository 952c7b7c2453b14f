/* The thread pool: every item runs once, results are visible behind pool_run, sleeping workers wake up. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct tally {
    int n_threads;
    int *runs; /* by item; items write only their own */
    int *busy; /* by worker: set while it runs an item */
    bool overlap, bad_worker;
};

static void count_item(void *arg, int item, int worker)
{
    struct tally *t = arg;

    if (worker < 0 || worker >= t->n_threads) {
        t->bad_worker = true;
        return;
    }
    if (t->busy[worker]) t->overlap = true;
    t->busy[worker] = 1;
    t->runs[item]++;
    t->busy[worker] = 0;
}

static void run_and_check(struct pool *p, int n_items)
{
    struct tally t = {.n_threads = pool_threads(p)};

    t.runs = calloc((size_t)n_items + 1, sizeof(int));
    t.busy = calloc((size_t)t.n_threads, sizeof(int));
    pool_run(p, count_item, &t, n_items);
    for (int i = 0; i < n_items; i++) assert_int_equal(t.runs[i], 1);
    assert_false(t.overlap);
    assert_false(t.bad_worker);
    free(t.runs);
    free(t.busy);
}

static void every_item_runs_once(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3, 8};
    static const int items[] = {0, 1, 2, 7, 64, 1000, 65535, 65536, 140000};

    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        struct pool *p;
        assert_int_equal(pool_new(&p, threads[i], NULL), 0);
        assert_int_equal(pool_threads(p), threads[i]);
        for (size_t k = 0; k < ARRAY_LEN(items); k++) run_and_check(p, items[k]);
        pool_free(p);
    }
}

/* Rounds whose data changes in between: a worker that is late must never see a round that is over. */
static void rounds_follow_each_other(void **state)
{
    (void)state;
    struct pool *p;

    assert_int_equal(pool_new(&p, 4, NULL), 0);
    for (int round = 0; round < 20000; round++) {
        int runs[8] = {0}, busy[4] = {0}, n = 1 + round % 8;
        struct tally t = {.n_threads = 4, .runs = runs, .busy = busy};
        pool_run(p, count_item, &t, n);
        for (int i = 0; i < 8; i++) assert_int_equal(runs[i], i < n);
    }
    pool_free(p);
}

static void nap(int ms)
{
    struct timespec t = {.tv_nsec = ms * 1000000L};
    nanosleep(&t, NULL);
}

static void workers_wake_after_a_pause(void **state)
{
    (void)state;
    struct pool *p;

    assert_int_equal(pool_new(&p, 3, NULL), 0);
    for (int i = 0; i < 20; i++) {
        nap(i % 3 ? 2 : 0);
        run_and_check(p, 50);
    }
    pool_free(p);
}

static int64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void idle_workers_cost_nothing(void **state)
{
    (void)state;
    struct pool *p;

    assert_int_equal(pool_new(&p, 4, NULL), 0);
    run_and_check(p, 100);
    nap(50);
    int64_t before = cpu_us();
    nap(200);
    assert_true(cpu_us() - before < 20000);
    pool_free(p);
}

static void slow_item(void *arg, int item, int worker)
{
    (void)worker;
    if (item == 1) nap(20);
    ((int *)arg)[item] = 1;
}

/* The caller sleeps, rather than spins, on a worker that takes long, and still sees what it wrote. */
static void a_late_worker_is_waited_for(void **state)
{
    (void)state;
    struct pool *p;

    assert_int_equal(pool_new(&p, 2, NULL), 0);
    for (int i = 0; i < 10; i++) {
        int done[2] = {0};
        pool_run(p, slow_item, done, 2);
        assert_int_equal(done[0] + done[1], 2);
    }
    pool_free(p);
}

static void impossible_counts_are_refused(void **state)
{
    (void)state;
    static const int bad[] = {0, -1, POOL_MAX_THREADS + 1};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct pool *p;
        struct err e = {0};
        assert_int_equal(pool_new(&p, bad[i], &e), ERR_INVALID);
        assert_null(p);
        assert_non_null(strstr(e.text, "threads"));
    }
    pool_free(NULL);
}

struct held_round {
    _Atomic bool started;       /* another than the caller has an item */
};

static void held_item(void *arg, int item, int worker)
{
    struct held_round *r = arg;

    (void)item;
    if (worker) {
        r->started = true;
        nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
    } else {
        while (!r->started) nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
}

static void waits_are_counted_where_wanted(void **state)
{
    (void)state;
    struct pool *p;
    struct held_round r = {false};

    assert_int_equal(pool_new(&p, 2, NULL), 0);
    pool_run(p, held_item, &r, 2);
    assert_int_equal(pool_waited_us(p), 0);
    pool_count_waits(p, true);
    r.started = false;
    pool_run(p, held_item, &r, 2);
    assert_in_range(pool_waited_us(p), 10000, 10000000);
    pool_free(p);
}

struct masks {
    atomic_int begun;
    sigset_t of[2]; /* by worker */
};

/* Both items are held until both have begun, so that each worker has one. */
static void mask_item(void *arg, int item, int worker)
{
    struct masks *m = arg;

    (void)item;
    pthread_sigmask(SIG_BLOCK, NULL, &m->of[worker]);
    atomic_fetch_add(&m->begun, 1);
    while (atomic_load(&m->begun) < 2) nap(1);
}

/* A fault whose signal is blocked ends a program at once, past the handler that restores the terminal. */
static void workers_take_the_signals_of_their_own_faults_alone(void **state)
{
    (void)state;
    static const int theirs[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGABRT}, others[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP};
    struct masks m = {0};
    struct pool *p;

    assert_int_equal(pool_new(&p, 2, NULL), 0);
    pool_run(p, mask_item, &m, 2);
    for (size_t i = 0; i < ARRAY_LEN(theirs); i++) assert_int_equal(sigismember(&m.of[1], theirs[i]), 0);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        assert_int_equal(sigismember(&m.of[1], others[i]), 1);
        assert_int_equal(sigismember(&m.of[0], others[i]), 0);
    }
    pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_runs_once),        cmocka_unit_test(rounds_follow_each_other),
        cmocka_unit_test(workers_wake_after_a_pause),  cmocka_unit_test(idle_workers_cost_nothing),
        cmocka_unit_test(a_late_worker_is_waited_for), cmocka_unit_test(impossible_counts_are_refused),
        cmocka_unit_test(waits_are_counted_where_wanted), cmocka_unit_test(workers_take_the_signals_of_their_own_faults_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
