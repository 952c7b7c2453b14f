/* blas.h - OpenBLAS made ready for products by the threads of a pool. */
#ifndef PONDER_MODEL_BLAS_H
#define PONDER_MODEL_BLAS_H

#include "base/base.h"

/* Keeps OpenBLAS to the thread that calls it: our pool is the only one that splits work, and a second one inside would fight it for the
 * processors. And has it map the work buffers of `callers` products at once, which it keeps until the process ends and takes again for every later
 * product. A call of cblas_sgemm that has no buffer and cannot map one tries again for ever (blas_memory_alloc, OpenBLAS 0.3.21): whoever
 * has reserved never comes to that. Cheap once it is done; the buffers are address space until they are used. ERR_NOMEM. */
int blas_prepare(int callers, struct err *e);

#endif
