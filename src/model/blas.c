/* blas.c - see blas.h */
#include "model/blas.h"

#include <cblas.h>
#include <pthread.h>
#include <sys/mman.h>

/* Exported by OpenBLAS and in none of its headers; another library of the same interface may lack them, and is left alone. */
extern void *blas_memory_alloc(int position) __attribute__((weak));
extern void blas_memory_free(void *buffer) __attribute__((weak));

#define BUFFER_BYTES ((size_t)128 << 20) /* what it maps on x86-64, and as much as it maps anywhere */
#define CALLERS_MAX  64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int reserved;

static int reserve(int callers, struct err *e)
{
    void *buffers[CALLERS_MAX];
    size_t bytes = (size_t)(callers - reserved) * BUFFER_BYTES;
    void *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (room == MAP_FAILED) return err_set(e, ERR_NOMEM, "out of memory: OpenBLAS needs %zu MB of address space", bytes >> 20);
    munmap(room, bytes);
    for (int i = 0; i < callers; i++) buffers[i] = blas_memory_alloc(0);
    for (int i = 0; i < callers; i++) blas_memory_free(buffers[i]);
    reserved = callers;
    return 0;
}

int blas_prepare(int callers, struct err *e)
{
    int rc = 0;

    openblas_set_num_threads(1);
    if (!blas_memory_alloc || !blas_memory_free) return 0;
    callers += openblas_get_num_procs() - 1; /* each of its own threads takes one when it begins, which may be later */
    if (callers > CALLERS_MAX) callers = CALLERS_MAX;
    pthread_mutex_lock(&lock);
    if (callers > reserved) rc = reserve(callers, e);
    pthread_mutex_unlock(&lock);
    return rc;
}
