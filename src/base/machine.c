/*
 * machine.c - what this machine has to give.
 */
#include "base/base.h"

#include <stdlib.h>
#include <string.h>

uint64_t memory_available(void)
{
    static const char name[] = "MemAvailable:";
    char line[256];
    uint64_t kib = 0;
    FILE *f = fopen("/proc/meminfo", "re");

    if (!f) return 0;
    while (!kib && fgets(line, sizeof(line), f))
        if (strncmp(line, name, sizeof(name) - 1) == 0) kib = strtoull(line + sizeof(name) - 1, NULL, 10);
    fclose(f);
    return kib * 1024;
}
