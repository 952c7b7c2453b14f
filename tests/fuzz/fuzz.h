/* fuzz.h - what the fuzz targets share. A target is one function; a condition that must hold is a check. */
#ifndef PONDER_TESTS_FUZZ_H
#define PONDER_TESTS_FUZZ_H

#include "base/base.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void check(bool ok)
{
    if (!ok) abort();
}

/* The bytes as a file: its path, valid until the next call. */
static inline const char *fuzz_file(const void *bytes, size_t n)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        fd = memfd_create("ponder-fuzz", MFD_CLOEXEC);
        check(fd >= 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }
    check(ftruncate(fd, 0) == 0 && pwrite(fd, bytes, n, 0) == (ssize_t)n);
    return path;
}

#endif
