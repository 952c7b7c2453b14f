/*
 * err.c - filling the one-line error struct.
 *
 * Invariant: the text of a struct err is always NUL-terminated, well-formed UTF-8 without line breaks, cut between
 * characters. It is not sanitised otherwise: whoever shows it passes it through text_sanitize.
 *
 * Nothing here allocates, so that "out of memory" can be said.
 */
#include "base/base.h"

#include <errno.h>
#include <string.h>

/* clang-format off */
static const struct {
    int exit_code;
    const char *text;
} err_table[] = {
    [ERR_OK] = {0, "no error"},
#define X(name, code, text) [name] = {code, text},
    PONDER_ERRORS(X)
#undef X
};
/* clang-format on */

/* Copies the line from into to, size bytes with the NUL, keeping the invariant. An ill-formed sequence becomes U+FFFD. */
static void copy_line(char *to, size_t size, const char *from)
{
    size_t left = strlen(from), at = 0;

    while (left > 0) {
        uint32_t cp;
        size_t used = utf8_decode(from, left, &cp);
        char bytes[4];
        if (cp == '\n' || cp == '\r' || cp == 0x85 || cp == 0x2028 || cp == 0x2029) cp = ' ';
        size_t n = utf8_encode(cp, bytes);
        if (at + n >= size) break;
        memcpy(to + at, bytes, n);
        at += n;
        from += used;
        left -= used;
    }
    to[at] = '\0';
}

/* The formatting of both setters. The text may quote e's own old text: it is built apart first. */
PRINTF_LIKE(3, 0)
static void err_format(struct err *e, int code, const char *fmt, va_list args, const char *reason)
{
    char line[2 * sizeof(e->text)];

    int n = vsnprintf(line, sizeof(line), fmt, args);
    if (n < 0) snprintf(line, sizeof(line), "%s", err_name(code));
    if (reason) {
        size_t len = strlen(line);
        /* the reason is what helps: it is kept even behind a path that fills the line */
        size_t room = sizeof(e->text) - 1 - 2;
        size_t keep = strlen(reason) < room ? room - strlen(reason) : 0;
        if (len > keep) len = utf8_complete_prefix(line, keep);
        snprintf(line + len, sizeof(line) - len, ": %s", reason);
    }
    e->code = code;
    copy_line(e->text, sizeof(e->text), line);
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
    if (e) {
        va_list args;
        va_start(args, fmt);
        err_format(e, code, fmt, args, NULL);
        va_end(args);
    }
    return code;
}

int err_set_errno(struct err *e, int code, const char *fmt, ...)
{
    if (e) {
        int saved = errno;
        char buffer[128];
        va_list args;
        va_start(args, fmt);
        err_format(e, code, fmt, args, strerror_r(saved, buffer, sizeof(buffer)));
        va_end(args);
        errno = saved;
    }
    return code;
}

int err_exit_code(int code)
{
    return code >= 0 && (size_t)code < ARRAY_LEN(err_table) ? err_table[code].exit_code : 1;
}

const char *err_name(int code)
{
    return code >= 0 && (size_t)code < ARRAY_LEN(err_table) ? err_table[code].text : "unknown error";
}
