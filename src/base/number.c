/*
 * number.c - numbers as text.
 *
 * The interface sets the user's locale, in which strtod and printf may expect and write a comma: numbers in flags, files and
 * variables must not change with it.
 */
#include "base/number.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static locale_t c_locale;

static void make_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* (locale_t)0 when memory ran out. Lives as long as the process. */
static locale_t get_locale(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_locale);
    return c_locale;
}

bool number_parse_real(const char *text, double *out)
{
    char *end;

    if (!text[0] || text[strspn(text, "0123456789.eE+-")] != '\0') return false;
    locale_t c = get_locale();
    double v = c ? strtod_l(text, &end, c) : strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(v)) return false;
    *out = v;
    return true;
}

bool number_parse_int(const char *text, int64_t *out)
{
    char *end;

    if (!text[0] || text[strspn(text, "0123456789+-")] != '\0') return false;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno == ERANGE) return false;
    *out = v;
    return true;
}

void number_format_real(double v, char out[32])
{
    locale_t c = get_locale(), old = c ? uselocale(c) : (locale_t)0;

    for (int digits = 1; digits <= 17; digits++) {
        double back;
        snprintf(out, 32, "%.*g", digits, v);
        if (number_parse_real(out, &back) && back == v) break;
    }
    if (c) uselocale(old);
}
