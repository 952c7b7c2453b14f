/* blas.h - what OpenBLAS needs of memory, taken before it is needed. */
#ifndef PONDER_MODEL_BLAS_H
#define PONDER_MODEL_BLAS_H

#include "base/base.h"

/* Has OpenBLAS map the work buffers of `callers` products at once, which it keeps until the process ends and takes again for every later
 * product. A call of cblas_sgemm that has no buffer and cannot map one tries again for ever (blas_memory_alloc, OpenBLAS 0.3.21): whoever
 * has reserved never comes to that. Cheap once it is done; the buffers are address space until they are used. ERR_NOMEM. */
int blas_reserve(int callers, struct err *e);

#endif
