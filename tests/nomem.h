/*
 * nomem.h - memory that runs out at a chosen call: replaces malloc for a test program and all its libraries. Included by one file of it.
 *
 * nomem_each runs an operation again and again. At first its first allocation fails, then its second, and so on until it goes through without one that
 * failed; once with a single failure, once with no memory from there on. Every run has to end with an error or a good result, and leave no block behind. In a
 * sanitizer's program, which has a malloc of its own, the tests say that they are skipped.
 */
#ifndef NOMEM_H
#define NOMEM_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NOMEM_WORKS 0
#else
#define NOMEM_WORKS 1
#endif

static atomic_long nomem_calls, nomem_at, nomem_failed, nomem_blocks;
static atomic_bool nomem_on, nomem_for_ever;

#if NOMEM_WORKS
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);
extern void __libc_free(void *p);

static bool nomem_refuses(void)
{
    if (!atomic_load(&nomem_on)) return false;
    long n = atomic_fetch_add(&nomem_calls, 1) + 1, at = atomic_load(&nomem_at);
    if (n < at || (n > at && !atomic_load(&nomem_for_ever))) return false;
    atomic_fetch_add(&nomem_failed, 1);
    errno = ENOMEM;
    return true;
}

static void *nomem_counted(void *p)
{
    if (p) atomic_fetch_add(&nomem_blocks, 1);
    return p;
}

void *malloc(size_t n)
{
    return nomem_refuses() ? NULL : nomem_counted(__libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
    return nomem_refuses() ? NULL : nomem_counted(__libc_calloc(n, size));
}

void *realloc(void *p, size_t n)
{
    if (nomem_refuses()) return NULL;
    void *grown = __libc_realloc(p, n);
    if (!p) return nomem_counted(grown);
    if (!grown && !n) atomic_fetch_sub(&nomem_blocks, 1);
    return grown;
}

void *memalign(size_t align, size_t n)
{
    return nomem_refuses() ? NULL : nomem_counted(__libc_memalign(align, n));
}

void *aligned_alloc(size_t align, size_t n)
{
    return memalign(align, n);
}

int posix_memalign(void **out, size_t align, size_t n)
{
    void *p = memalign(align, n);
    if (!p) return ENOMEM;
    *out = p;
    return 0;
}

void free(void *p)
{
    if (p) atomic_fetch_sub(&nomem_blocks, 1);
    __libc_free(p);
}
#endif

/* One operation: 0 or an error, everything it made released again. `good` (may be NULL), with memory back, tells whether what it left is in order: of a run
 * that worked and of one that did not. */
struct nomem_operation {
    const char *name;
    int (*run)(void *arg);
    bool (*good)(void *arg, bool worked);
    void *arg;
    long blocks_kept; /* that libraries keep for later, at the most */
};

static inline void nomem_each(const struct nomem_operation *o)
{
    if (!NOMEM_WORKS) skip();
    /* what is made once and kept by libraries, and that it works at all */
    for (int i = 0; i < 2; i++)
        if (o->run(o->arg)) fail_msg("%s fails with all the memory there is", o->name);
    /* Against the beginning, not the run before: that one may have dropped a library's cache, which this one filled again. */
    long before = atomic_load(&nomem_blocks);
    long most = getenv("PONDER_QUICK") ? 8 : 60; /* every allocation up to this one, then fewer and fewer */
    for (int for_ever = 0; for_ever < 2; for_ever++) {
        long n = 1, runs = 0, refused = 0;
        for (bool over = false; !over; n += 1 + n / most, runs++) {
            atomic_store(&nomem_at, n);
            atomic_store(&nomem_for_ever, for_ever);
            atomic_store(&nomem_calls, 0);
            atomic_store(&nomem_failed, 0);
            atomic_store(&nomem_on, true);
            int rc = o->run(o->arg);
            atomic_store(&nomem_on, false);
            long kept = atomic_load(&nomem_blocks) - before;
            over = atomic_load(&nomem_failed) == 0;
            refused += rc != 0;
            if (over && rc) fail_msg("%s: error %d without an allocation that failed", o->name, rc);
            if (kept > o->blocks_kept) fail_msg("%s: allocation %ld failed %s: %ld blocks are left behind", o->name, n, for_ever ? "for ever" : "once", kept);
            if (o->good && !o->good(o->arg, rc == 0))
                fail_msg("%s: allocation %ld failed %s: what it left (result %d) is not in order", o->name, n, for_ever ? "for ever" : "once", rc);
        }
        if (for_ever && !refused) fail_msg("%s: no run without memory was refused", o->name);
        print_message("# %s: %ld runs, %ld of them refused, %s\n", o->name, runs, refused, for_ever ? "for ever" : "once");
    }
}

#endif
