/* The queue, on one thread and between threads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"

static bool readable(const struct queue *q)
{
    struct pollfd p = {.fd = queue_fd(q), .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void *item(uintptr_t n)
{
    return (void *)n;
}

static void first_in_first_out(void **state)
{
    (void)state;
    struct queue *q;
    assert_int_equal(queue_new(&q, NULL, NULL), 0);
    assert_null(queue_pop(q));
    /* the ring's start moves round while it grows */
    uintptr_t in = 1, out = 1;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < round % 37 + 3; i++) assert_int_equal(queue_push(q, item(in++)), 0);
        for (int i = 0; i < round % 31 + 3; i++) {
            if (out < in) assert_ptr_equal(queue_pop(q), item(out++));
        }
    }
    while (out < in) assert_ptr_equal(queue_pop(q), item(out++));
    assert_null(queue_pop(q));
    queue_free(q);
    queue_free(NULL);
}

static void descriptor_shows_items(void **state)
{
    (void)state;
    struct queue *q;
    assert_int_equal(queue_new(&q, NULL, NULL), 0);
    assert_false(readable(q));
    for (uintptr_t n = 1; n < 50; n++) {
        for (uintptr_t i = 0; i < n; i++) {
            assert_int_equal(queue_push(q, item(i + 1)), 0);
            assert_true(readable(q));
        }
        for (uintptr_t i = 0; i < n; i++) {
            assert_true(readable(q));
            assert_non_null(i % 2 ? queue_pop(q) : queue_wait(q, 0));
        }
        assert_false(readable(q));
        assert_null(queue_pop(q));
        assert_false(readable(q));
    }
    assert_int_equal(queue_push(q, NULL), ERR_INVALID);
    assert_false(readable(q));
    queue_free(q);
}

static int dropped;

static void drop(void *p)
{
    *(int *)p += 1;
    dropped++;
}

static void leftovers_are_dropped(void **state)
{
    (void)state;
    struct queue *q;
    int things[40] = {0};
    assert_int_equal(queue_new(&q, drop, NULL), 0);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(queue_push(q, &things[i]), 0);
        if (i % 4 == 0) assert_non_null(queue_pop(q));
    }
    assert_int_equal(queue_count(q), 30);
    dropped = 0;
    queue_free(q);
    assert_int_equal(dropped, 30);
    for (int i = 0; i < 40; i++) assert_int_equal(things[i], i >= 10);
}

static void waiting_times_out(void **state)
{
    (void)state;
    struct queue *q;
    assert_int_equal(queue_new(&q, NULL, NULL), 0);
    int64_t start = clock_mono_ms();
    assert_null(queue_wait(q, 0));
    assert_true(clock_mono_ms() - start < 40);
    start = clock_mono_ms();
    assert_null(queue_wait(q, 50));
    assert_true(clock_mono_ms() - start >= 49);
    assert_int_equal(queue_push(q, item(9)), 0);
    assert_ptr_equal(queue_wait(q, 100000), item(9));
    queue_free(q);
}

enum { MANY = 100000 };

static void *produce(void *arg)
{
    for (uintptr_t i = 1; i <= MANY; i++) {
        if (queue_push(arg, item(i)) != 0) return arg;
        if (i % 5000 == 0) usleep(100);
    }
    return NULL;
}

static void *late(void *arg)
{
    usleep(30000);
    queue_push(arg, item(77));
    return NULL;
}

static void waiting_wakes_up(void **state)
{
    (void)state;
    struct queue *q;
    pthread_t thread;
    assert_int_equal(queue_new(&q, NULL, NULL), 0);
    for (int forever = 0; forever < 2; forever++) {
        assert_int_equal(pthread_create(&thread, NULL, late, q), 0);
        assert_ptr_equal(queue_wait(q, forever ? -1 : 20000), item(77));
        pthread_join(thread, NULL);
    }
    queue_free(q);
}

static void between_threads_by_wait(void **state)
{
    (void)state;
    struct queue *q;
    pthread_t thread;
    void *failed;
    assert_int_equal(queue_new(&q, NULL, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, produce, q), 0);
    for (uintptr_t i = 1; i <= MANY; i++) assert_ptr_equal(queue_wait(q, 20000), item(i));
    pthread_join(thread, &failed);
    assert_null(failed);
    assert_false(readable(q));
    queue_free(q);
}

/* As the interface reads it: poll, then pop all. No item may stay behind an unreadable descriptor. */
static void between_threads_by_poll(void **state)
{
    (void)state;
    struct queue *q;
    pthread_t thread;
    uintptr_t next = 1;
    assert_int_equal(queue_new(&q, NULL, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, produce, q), 0);
    while (next <= MANY) {
        struct pollfd p = {.fd = queue_fd(q), .events = POLLIN};
        assert_int_equal(poll(&p, 1, 20000), 1);
        void *got = queue_pop(q);
        assert_non_null(got); /* the only reader: readable means there is one */
        do {
            assert_ptr_equal(got, item(next));
            next++;
            got = queue_pop(q);
        } while (got);
    }
    pthread_join(thread, NULL);
    assert_false(readable(q));
    queue_free(q);
}

struct consumer {
    struct queue *q;
    uint64_t sum;
    uintptr_t n;
};

static void *consume(void *arg)
{
    struct consumer *c = arg;
    uintptr_t last = 0;
    for (void *p; (p = queue_wait(c->q, 2000)) != NULL && p != item(MANY + 1);) {
        if ((uintptr_t)p <= last) return arg; /* each reader sees rising numbers */
        last = (uintptr_t)p;
        c->sum += last;
        c->n++;
    }
    return NULL;
}

static void several_readers(void **state)
{
    (void)state;
    struct consumer c[3] = {0};
    pthread_t readers[3], writer;
    struct queue *q;
    void *failed;
    assert_int_equal(queue_new(&q, NULL, NULL), 0);
    for (size_t i = 0; i < 3; i++) {
        c[i].q = q;
        assert_int_equal(pthread_create(&readers[i], NULL, consume, &c[i]), 0);
    }
    assert_int_equal(pthread_create(&writer, NULL, produce, q), 0);
    pthread_join(writer, NULL);
    for (int i = 0; i < 3; i++) assert_int_equal(queue_push(q, item(MANY + 1)), 0);
    uint64_t sum = 0, n = 0;
    for (size_t i = 0; i < 3; i++) {
        pthread_join(readers[i], &failed);
        assert_null(failed);
        sum += c[i].sum;
        n += c[i].n;
    }
    assert_int_equal(n, MANY);
    assert_int_equal(sum, (uint64_t)MANY * (MANY + 1) / 2);
    queue_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_in_first_out),      cmocka_unit_test(descriptor_shows_items), cmocka_unit_test(leftovers_are_dropped),
        cmocka_unit_test(waiting_times_out),       cmocka_unit_test(waiting_wakes_up),       cmocka_unit_test(between_threads_by_wait),
        cmocka_unit_test(between_threads_by_poll), cmocka_unit_test(several_readers),
    };
    return cmocka_run_group_tests_name("base_queue", tests, NULL, NULL);
}
