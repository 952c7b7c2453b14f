/*
 * pool.h - a few threads that split one piece of work into numbered items, many times a second. Internal to src/model.
 *
 * The caller of pool_run is worker 0 and takes items too. A worker runs neighbouring items while it can, but which worker runs an item
 * is chance: an item's result must depend on its number alone. Idle workers spin for a moment, then sleep in the kernel.
 */
#ifndef PONDER_POOL_H
#define PONDER_POOL_H

#include "base/base.h"

#define POOL_MAX_THREADS 256

struct pool;
/* item: 0 to n_items - 1. worker: 0 to pool_threads - 1, no two at once the same, for scratch memory of a worker's own. */
typedef void (*pool_item)(void *arg, int item, int worker);

/* n_threads counts the caller (1 makes none). ERR_INVALID outside 1 to POOL_MAX_THREADS. Caller frees. */
int pool_new(struct pool **out, int n_threads, struct err *e);
void pool_free(struct pool *p);
int pool_threads(const struct pool *p);
/* Runs all items and returns when they are done; their writes are visible to the caller. One caller at a time; items must not call it. */
void pool_run(struct pool *p, pool_item item, void *arg, int n_items);
/* Microseconds that the caller has waited for items of others, as far as it was told to count them. */
void pool_count_waits(struct pool *p, bool on);
int64_t pool_waited_us(const struct pool *p);

#endif
