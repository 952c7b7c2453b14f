/*
 * kernels_peak.h - what a processor's arithmetic can do at best, family by family. Internal to src/model.
 */
#ifndef PONDER_KERNELS_PEAK_H
#define PONDER_KERNELS_PEAK_H

#include "base/base.h"

/* The instructions that a kernel family's prompt products stand on, repeated out of registers. */
struct kernel_peak {
    const char *family;         /* as kernels_name() says it */
    const char *instructions;
    double ops;                 /* multiplications and additions of a turn, each counted */
    void (*run)(int64_t turns); /* on one thread */
};
/* NULL for a family without one. Valid for ever; may only be run where the family may. */
const struct kernel_peak *kernel_peak_of(const char *family);

#endif
