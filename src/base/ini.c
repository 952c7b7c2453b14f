/*
 * ini.c - reading INI files through inih.
 *
 * inih takes lines of a fixed size and splits longer ones; here a line is handed over whole or is an error. Lines lose their
 * leading blanks, so that inih never takes one for a continuation: a value is one line. ` ;` begins a comment, also behind a
 * value; `#` does so only at the start of a line.
 */
#include "base/base.h"

#include <ini.h>
#include <string.h>

/* Some builds of inih take their limits from these variables, others fixed them when they were compiled. */
extern bool ini_allow_multiline;
extern bool ini_use_stack;
extern int ini_max_line;
#pragma weak ini_allow_multiline
#pragma weak ini_use_stack
#pragma weak ini_max_line

enum {
    INI_FILE_MAX = 1 << 20, /* bytes */
    INI_LINE_MAX = 8192,    /* bytes with the newline, as far as the library allows */
    INI_NAME_MAX = 49,      /* inih cuts longer section and setting names */
};

struct reading {
    const char *path;
    const char *at, *end;
    int line;   /* of the line handed over last */
    int failed; /* an error has been put into e: the rest of the file is not read */
    int (*on_value)(void *arg, const char *section, const char *name, const char *value, struct err *e);
    void *arg;
    struct err *e;
};

static void set_limits(void)
{
    if (&ini_allow_multiline) ini_allow_multiline = false;
    if (&ini_use_stack) ini_use_stack = true;
    if (&ini_max_line) ini_max_line = INI_LINE_MAX;
}

/* inih's reader: the next line into buffer of size bytes, NULL at the end. */
static char *next_line(char *buffer, int size, void *stream)
{
    struct reading *r = stream;

    if (r->failed || r->at == r->end) return NULL;
    const char *newline = memchr(r->at, '\n', (size_t)(r->end - r->at));
    const char *stop = newline ? newline : r->end;
    size_t blanks = 0, n = (size_t)(stop - r->at);
    r->line++;
    while (blanks < n && (r->at[blanks] == ' ' || r->at[blanks] == '\t')) blanks++;
    n -= blanks;
    if (size < 3 || n > (size_t)size - 2) {
        r->failed = err_set(r->e, ERR_FILE, "%s:%d: the line is longer than %d bytes", r->path, r->line, size > 2 ? size - 2 : 0);
        return NULL;
    }
    if (memchr(r->at, '\0', n + blanks)) {
        r->failed = err_set(r->e, ERR_FILE, "%s:%d: the line holds a NUL byte", r->path, r->line);
        return NULL;
    }
    memcpy(buffer, r->at + blanks, n);
    buffer[n] = '\n';
    buffer[n + 1] = '\0';
    r->at = newline ? newline + 1 : r->end;
    return buffer;
}

static int handle(void *user, const char *section, const char *name, const char *value)
{
    struct reading *r = user;
    struct err inner = {0};

    if (r->failed) return 1;
    if (strlen(section) >= INI_NAME_MAX || strlen(name) >= INI_NAME_MAX) {
        r->failed = err_set(r->e, ERR_FILE, "%s:%d: a name is longer than %d bytes", r->path, r->line, INI_NAME_MAX - 1);
        return 1;
    }
    int failed = r->on_value(r->arg, section, name, value ? value : "", &inner);
    if (failed) r->failed = err_set(r->e, failed, "%s:%d: %s", r->path, r->line, inner.text[0] ? inner.text : err_name(failed));
    return 1;
}

int ini_read(const char *path, int (*on_value)(void *arg, const char *section, const char *name, const char *value, struct err *e),
             void *arg, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct str text = STR_EMPTY;

    pthread_once(&once, set_limits);
    /* a file that is called "-" is not standard input here */
    int failed = file_read(&text, strcmp(path, "-") == 0 ? "./-" : path, INI_FILE_MAX, e);
    if (!failed) {
        struct reading r = {.path = path, .on_value = on_value, .arg = arg, .e = e};
        r.at = str_cstr(&text);
        r.end = r.at + text.len;
        if (text.len >= 3 && memcmp(r.at, "\xEF\xBB\xBF", 3) == 0) r.at += 3;
        int line = ini_parse_stream(next_line, &r, handle, &r);
        failed = r.failed;
        if (!failed && line > 0) failed = err_set(e, ERR_FILE, "%s:%d: neither [section] nor name = value", path, line);
        if (!failed && line < 0) failed = err_set(e, ERR_NOMEM, "out of memory");
    }
    str_release(&text);
    return failed;
}
