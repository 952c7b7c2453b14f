/*
 * queue.c - pointers handed between threads, first in first out.
 *
 * Invariant, while the lock is free: the event descriptor is readable exactly when the queue holds an item. It is written
 * when the first item comes and read when the last one goes, both under the lock.
 */
#include "base/base.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    void **items; /* a ring of cap slots */
    size_t cap;
    size_t head, n; /* oldest item, number of items */
    int event;
    void (*drop)(void *item);
};

int queue_new(struct queue **out, void (*drop)(void *item), struct err *e)
{
    *out = NULL;
    struct queue *q = calloc(1, sizeof(*q));
    if (!q) return err_set(e, ERR_NOMEM, "out of memory");
    q->drop = drop;
    q->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (q->event < 0) {
        free(q);
        return err_set_errno(e, errno == ENOMEM ? ERR_NOMEM : ERR_FAILED, "cannot make an event descriptor");
    }
    pthread_condattr_t attr;
    int failed = pthread_condattr_init(&attr);
    if (!failed) {
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        failed = pthread_cond_init(&q->filled, &attr);
        pthread_condattr_destroy(&attr);
    }
    if (!failed) {
        failed = pthread_mutex_init(&q->lock, NULL);
        if (failed) pthread_cond_destroy(&q->filled);
    }
    if (failed) {
        close(q->event);
        free(q);
        errno = failed;
        return err_set_errno(e, failed == ENOMEM ? ERR_NOMEM : ERR_FAILED, "cannot make a queue");
    }
    *out = q;
    return 0;
}

void queue_free(struct queue *q)
{
    if (!q) return;
    for (; q->n > 0; q->n--) {
        if (q->drop) q->drop(q->items[q->head]);
        q->head = (q->head + 1) % q->cap;
    }
    free(q->items);
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->filled);
    close(q->event);
    free(q);
}

/* Doubles the ring. The items keep their order from slot 0 on. */
static bool grow(struct queue *q)
{
    size_t cap = q->cap ? q->cap * 2 : 16;
    void **items = calloc(cap, sizeof(*items));

    if (!items) return false;
    for (size_t i = 0; i < q->n; i++) items[i] = q->items[(q->head + i) % q->cap];
    free(q->items);
    q->items = items;
    q->cap = cap;
    q->head = 0;
    return true;
}

int queue_push(struct queue *q, void *item)
{
    if (!item) return ERR_INVALID; /* NULL is how pop says "empty" */
    pthread_mutex_lock(&q->lock);
    if (q->n == q->cap && !grow(q)) {
        pthread_mutex_unlock(&q->lock);
        return ERR_NOMEM;
    }
    q->items[(q->head + q->n) % q->cap] = item;
    if (q->n++ == 0) eventfd_write(q->event, 1); /* from 0 this cannot block */
    pthread_cond_signal(&q->filled);
    pthread_mutex_unlock(&q->lock);
    return 0;
}

/* Takes the oldest item; the lock is held. */
static void *take(struct queue *q)
{
    if (q->n == 0) return NULL;
    void *item = q->items[q->head];
    q->head = (q->head + 1) % q->cap;
    if (--q->n == 0) {
        eventfd_t count;
        eventfd_read(q->event, &count);
    }
    return item;
}

void *queue_pop(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    void *item = take(q);
    pthread_mutex_unlock(&q->lock);
    return item;
}

void *queue_wait(struct queue *q, int timeout_ms)
{
    struct timespec until;

    if (timeout_ms > 0) {
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += timeout_ms / 1000;
        until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
    }
    pthread_mutex_lock(&q->lock);
    while (q->n == 0 && timeout_ms != 0) {
        int r = timeout_ms < 0 ? pthread_cond_wait(&q->filled, &q->lock) : pthread_cond_timedwait(&q->filled, &q->lock, &until);
        if (r != 0) break;
    }
    void *item = take(q);
    pthread_mutex_unlock(&q->lock);
    return item;
}

size_t queue_count(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    size_t n = q->n;
    pthread_mutex_unlock(&q->lock);
    return n;
}

int queue_fd(const struct queue *q)
{
    return q->event;
}
