/*
 * clock.c - the two clocks and the one way time is written.
 *
 * The monotonic clock measures, the wall clock stamps; neither stands in for the other.
 */
#include "base/base.h"

#include <time.h>

static int64_t read_clock(clockid_t id, int64_t per_second)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * per_second + (int64_t)t.tv_nsec / (1000000000 / per_second);
}

int64_t clock_mono_ms(void)
{
    return read_clock(CLOCK_MONOTONIC, 1000);
}

int64_t clock_mono_us(void)
{
    return read_clock(CLOCK_MONOTONIC, 1000000);
}

int64_t clock_wall_ms(void)
{
    return read_clock(CLOCK_REALTIME, 1000);
}

void clock_iso8601(int64_t wall_ms, char out[32])
{
    /* the years that four digits can hold: 0000-01-01 to 9999-12-31 */
    const int64_t first = -62167219200000, last = 253402300799999;
    struct tm t;

    if (wall_ms < first) wall_ms = first;
    if (wall_ms > last) wall_ms = last;
    int64_t ms = wall_ms % 1000;
    if (ms < 0) ms += 1000;
    time_t seconds = (time_t)((wall_ms - ms) / 1000);
    gmtime_r(&seconds, &t);
    snprintf(out, 32, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned)(t.tm_year + 1900) % 10000u, (unsigned)(t.tm_mon + 1) % 100u,
             (unsigned)t.tm_mday % 100u, (unsigned)t.tm_hour % 100u, (unsigned)t.tm_min % 100u, (unsigned)t.tm_sec % 100u,
             (unsigned)ms % 1000u);
}
