/*
 * pool.c - fork and join, with a share of the items for each worker.
 *
 * A round's items are cut into one run of neighbours a worker, so that a worker reads its weights as one stream; who is
 * done takes items off the far ends of the others' runs. A share is one word: the round, where the run ends and the next item
 * of it. Items are claimed by exchanging the whole word, so a claim can only succeed in the round it was read in, and
 * pool_run cannot end a round while a claimed item is unfinished: the fields of the round (item, arg, base) are
 * therefore stable for whoever holds a claim. A worker that the kernel keeps off the processor is not waited for unless
 * it holds an item.
 *
 * Sleeping: `wake` counts rounds and is what idle workers watch, and sleep on; `done` counts finished items and is what the
 * caller sleeps on when a worker is late. Both sides announce themselves before their last look, so no wake-up is lost.
 */
#include "model/pool.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ITEMS_A_ROUND 65535
/* Pieces of one token lie a few microseconds apart, tokens of a reply a few hundred: spinning covers both without keeping a
 * core from the interface for long. */
#define WORKER_SPIN_US 300
#define CALLER_SPIN_US 100

/* round << 32 | end << 16 | next */
struct share {
    _Alignas(64) _Atomic uint64_t state;
};

struct worker {
    struct pool *pool;
    pthread_t thread;
    int index;
};

struct pool {
    _Alignas(64) _Atomic uint32_t done;
    _Atomic uint32_t caller_sleeps;
    _Alignas(64) _Atomic uint32_t wake;
    _Atomic uint32_t sleepers;
    _Atomic bool quit;
    pool_item item;
    void *arg;
    int base;
    uint32_t round;
    int n_threads, n_started;
    bool counts_waits;
    int64_t waited_us;
    struct worker workers[POOL_MAX_THREADS];
    struct share shares[POOL_MAX_THREADS];
};

static void futex_wait(_Atomic uint32_t *word, uint32_t expected)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

static void futex_wake_all(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* The item claimed from a share, or -1: its owner takes the first, others the last. */
static int claim(struct share *s, bool own)
{
    uint64_t state = atomic_load_explicit(&s->state, memory_order_acquire), after;
    uint32_t next, end;

    do {
        next = (uint32_t)(state & 0xffff);
        end = (uint32_t)(state >> 16 & 0xffff);
        if (next >= end) return -1;
        after = own ? state + 1 : state - (1 << 16);
    } while (!atomic_compare_exchange_weak_explicit(&s->state, &state, after, memory_order_acq_rel, memory_order_acquire));
    return (int)(own ? next : end - 1);
}

/* Runs one item if there is an unclaimed one. */
static bool take_item(struct pool *p, int worker)
{
    int item = -1;

    for (int i = 0; i < p->n_threads && item < 0; i++) item = claim(&p->shares[(worker + i) % p->n_threads], i == 0);
    if (item < 0) return false;
    p->item(p->arg, p->base + item, worker);
    atomic_fetch_add(&p->done, 1);
    if (atomic_load(&p->caller_sleeps)) futex_wake_all(&p->done);
    return true;
}

/* seen: the rounds that the worker has looked into. */
static void sleep_until_round(struct pool *p, uint32_t seen)
{
    atomic_fetch_add(&p->sleepers, 1);
    if (atomic_load(&p->wake) == seen && !atomic_load(&p->quit)) futex_wait(&p->wake, seen);
    atomic_fetch_sub(&p->sleepers, 1);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct pool *p = w->pool;
    int64_t idle_since = clock_mono_us();
    uint32_t seen = 0;

    for (unsigned spins = 0; !atomic_load_explicit(&p->quit, memory_order_relaxed);) {
        uint32_t rounds = atomic_load_explicit(&p->wake, memory_order_acquire);
        if (rounds != seen) {
            seen = rounds;
            while (take_item(p, w->index)) continue;
            idle_since = clock_mono_us();
            spins = 0;
        }
        cpu_relax();
        if (++spins % 64 == 0 && clock_mono_us() - idle_since > WORKER_SPIN_US) {
            sleep_until_round(p, seen);
            idle_since = clock_mono_us();
        }
    }
    return NULL;
}

/* Waits for the items that other workers hold. */
static void join_round(struct pool *p, uint32_t n_items)
{
    int64_t since = 0;

    for (unsigned spins = 0; atomic_load_explicit(&p->done, memory_order_acquire) != n_items;) {
        cpu_relax();
        if (++spins % 64) continue;
        int64_t now = clock_mono_us();
        if (!since) since = now;
        if (now - since < CALLER_SPIN_US) continue;
        atomic_store(&p->caller_sleeps, 1);
        uint32_t done = atomic_load(&p->done);
        if (done != n_items) futex_wait(&p->done, done);
        atomic_store(&p->caller_sleeps, 0);
    }
}

static void run_round(struct pool *p, uint32_t n_items)
{
    uint64_t round = ++p->round;

    atomic_store_explicit(&p->done, 0, memory_order_relaxed);
    for (uint64_t w = 0, n = (uint64_t)p->n_threads; w < n; w++)
        atomic_store_explicit(&p->shares[w].state, round << 32 | (w + 1) * n_items / n << 16 | w * n_items / n, memory_order_release);
    atomic_fetch_add(&p->wake, 1);
    if (atomic_load(&p->sleepers)) futex_wake_all(&p->wake);
    while (take_item(p, 0)) continue;
    int64_t since = p->counts_waits ? clock_mono_us() : 0;
    join_round(p, n_items);
    if (p->counts_waits) p->waited_us += clock_mono_us() - since;
}

void pool_run(struct pool *p, pool_item item, void *arg, int n_items)
{
    if (p->n_threads == 1 || n_items == 1) {
        for (int i = 0; i < n_items; i++) item(arg, i, 0);
        return;
    }
    p->item = item;
    p->arg = arg;
    for (int base = 0; base < n_items; base += ITEMS_A_ROUND) {
        p->base = base;
        run_round(p, (uint32_t)(n_items - base < ITEMS_A_ROUND ? n_items - base : ITEMS_A_ROUND));
    }
}

int pool_threads(const struct pool *p)
{
    return p->n_threads;
}

void pool_count_waits(struct pool *p, bool on)
{
    p->counts_waits = on;
}

int64_t pool_waited_us(const struct pool *p)
{
    return p->waited_us;
}

/* Signals are for the threads that wait for them: workers take none but those of their own faults. One of these that is blocked ends the
 * program without its handler, which would have told what happened (a model file cut short) and restored the terminal. Returns 0 or the error,
 * also in errno. */
static int start_workers(struct pool *p)
{
    static const int faults[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    sigset_t others, before;
    int rc = 0;

    sigfillset(&others);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) sigdelset(&others, faults[i]);
    pthread_sigmask(SIG_SETMASK, &others, &before);
    for (int i = 1; i < p->n_threads && !rc; i++) {
        struct worker *w = &p->workers[i];
        w->pool = p;
        w->index = i;
        rc = pthread_create(&w->thread, NULL, worker_main, w);
        if (!rc) p->n_started = i;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = rc;
    return rc;
}

int pool_new(struct pool **out, int n_threads, struct err *e)
{
    *out = NULL;
    if (n_threads < 1 || n_threads > POOL_MAX_THREADS)
        return err_set(e, ERR_INVALID, "%d threads: from 1 to %d are possible", n_threads, POOL_MAX_THREADS);
    struct pool *p = aligned_alloc(64, (sizeof(*p) + 63) / 64 * 64);
    if (!p) return err_set(e, ERR_NOMEM, "out of memory for %d threads", n_threads);
    memset(p, 0, sizeof(*p));
    p->n_threads = n_threads;
    int rc = start_workers(p);
    if (rc) {
        err_set_errno(e, ERR_FAILED, "cannot start thread %d of %d", p->n_started + 2, n_threads);
        pool_free(p);
        return ERR_FAILED;
    }
    *out = p;
    return 0;
}

void pool_free(struct pool *p)
{
    if (!p) return;
    atomic_store(&p->quit, true);
    atomic_fetch_add(&p->wake, 1);
    futex_wake_all(&p->wake);
    for (int i = 1; i <= p->n_started; i++) pthread_join(p->workers[i].thread, NULL);
    free(p);
}
