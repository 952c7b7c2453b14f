/*
 * json.c - JSON values as text.
 */
#include "base/base.h"

#include <jansson.h>

/* What once failed stays so: the library goes on behind a key that could not be written. */
static int append(const char *bytes, size_t n, void *arg)
{
    struct str *out = arg;
    str_add_bytes(out, bytes, n);
    return str_ok(out) ? 0 : -1;
}

char *json_write(const struct json_t *value, size_t flags)
{
    struct str out = STR_EMPTY;

    if (!value || json_dump_callback(value, append, &out, flags) != 0) out.failed = true;
    return str_detach(&out);
}
