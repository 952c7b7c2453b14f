/*
 * line_history.c - the file of the input line's history.
 *
 * Format: that of readline with timestamps. An entry is a line `#seconds since 1970` and the text, which may have several lines.
 * A text line that looks like a timestamp itself, after any number of backslashes, gets one more backslash in front. Lines before the
 * first timestamp are entries of one line.
 *
 * Entries are appended as they are made, by any number of programs at once; the file is 0600.
 */
#include "ui/line_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <readline/history.h>

enum {
    FILE_BYTES_MAX = 64 << 20,
    ENTRY_BYTES_MAX = 16 << 10, /* pasted files are no history */
};

/* One entry in the file's bytes. */
struct entry {
    size_t from, to; /* with its timestamp line */
    size_t text;     /* where the text begins */
    bool timed;
};

struct entries {
    struct entry *items;
    size_t n, cap;
};

void line_clean(struct str *out, const char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t k = utf8_decode(p + i, n - i, &cp);
        if (cp == 0)
            str_add_codepoint(out, 0x2400);
        else if (cp == UTF8_INVALID)
            str_add_codepoint(out, 0xfffd);
        else
            str_add_bytes(out, p + i, k);
        i += k;
    }
}

static bool is_timestamp(const char *p, size_t n)
{
    return n >= 2 && p[0] == '#' && p[1] >= '0' && p[1] <= '9';
}

/* Backslashes before what looks like a timestamp; SIZE_MAX when the line does not. */
static size_t escapes(const char *p, size_t n)
{
    size_t k = 0;
    while (k < n && p[k] == '\\') k++;
    return is_timestamp(p + k, n - k) ? k : SIZE_MAX;
}

static bool find_entries(struct entries *out, const char *p, size_t n)
{
    struct entry *open = NULL;
    for (size_t i = 0; i < n;) {
        const char *newline = memchr(p + i, '\n', n - i);
        size_t end = newline ? (size_t)(newline - p) : n, next = newline ? end + 1 : n;
        bool stamp = is_timestamp(p + i, end - i);
        if (stamp || !open || !open->timed) {
            if (!mem_grow(&out->items, &out->cap, out->n + 1, sizeof(*out->items))) return false;
            open = &out->items[out->n++];
            *open = (struct entry){.from = i, .text = stamp ? next : i, .timed = stamp};
        }
        open->to = next;
        i = next;
    }
    return true;
}

/* The entry's text as it was typed. */
static void unescape(struct str *out, const char *p, size_t n)
{
    if (n > 0 && p[n - 1] == '\n') n--;
    struct str raw = STR_EMPTY;
    for (size_t i = 0; i < n;) {
        const char *newline = memchr(p + i, '\n', n - i);
        size_t next = newline ? (size_t)(newline - p) + 1 : n;
        size_t k = escapes(p + i, next - i);
        size_t skip = k != SIZE_MAX && k > 0 ? 1 : 0;
        str_add_bytes(&raw, p + i + skip, next - i - skip);
        i = next;
    }
    line_clean(out, str_cstr(&raw), raw.len);
    str_release(&raw);
}

void line_history_read(const char *path)
{
    struct str file = STR_EMPTY, text = STR_EMPTY;
    struct entries all = {0};
    if (file_read(&file, path, FILE_BYTES_MAX, NULL) == ERR_OK && find_entries(&all, str_cstr(&file), file.len)) {
        for (size_t i = all.n > LINE_HISTORY_MAX ? all.n - LINE_HISTORY_MAX : 0; i < all.n; i++) {
            const struct entry *en = &all.items[i];
            str_clear(&text);
            unescape(&text, str_cstr(&file) + en->text, en->to - en->text);
            if (text.len > 0 && str_ok(&text)) add_history(str_cstr(&text));
        }
    }
    free(all.items);
    str_release(&text);
    str_release(&file);
}

static int make_folder_of(const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) return ERR_OK;
    char *folder = mem_dup_text(path, (size_t)(slash - path));
    if (!folder) return err_set(e, ERR_NOMEM, "no memory for the history");
    int rc = path_make_folder(folder, e);
    free(folder);
    return rc;
}

/* An entry's text as it stands in the file. */
static void add_escaped(struct str *s, const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        const char *newline = memchr(text + i, '\n', n - i);
        size_t next = newline ? (size_t)(newline - text) + 1 : n;
        if (escapes(text + i, next - i) != SIZE_MAX) str_add_char(s, '\\');
        str_add_bytes(s, text + i, next - i);
        i = next;
    }
    str_add_char(s, '\n');
}

int line_history_append(const char *path, const char *text, size_t n, struct err *e)
{
    if (n == 0 || n > ENTRY_BYTES_MAX) return ERR_OK;
    struct str s = STR_EMPTY;
    str_addf(&s, "#%lld\n", (long long)(clock_wall_ms() / 1000));
    add_escaped(&s, text, n);
    int rc = str_ok(&s) ? make_folder_of(path, e) : err_set(e, ERR_NOMEM, "no memory for the history");
    int fd = rc ? -1 : file_open_private(path, O_WRONLY | O_CREAT | O_APPEND, e);
    if (!rc && fd < 0) rc = ERR_IO;
    if (fd >= 0) {
        /* One write, so that entries of two programs do not mix. */
        if (write(fd, s.data, s.len) != (ssize_t)s.len) rc = err_set_errno(e, ERR_IO, "%s cannot be written", path);
        close(fd);
    }
    str_release(&s);
    return rc;
}

int line_history_rewrite(const char *path, bool only_look, enum line_fate (*look)(void *arg, const char *line, size_t n, struct str *out), void *arg,
                         size_t *changed, struct err *e)
{
    struct str file = STR_EMPTY, text = STR_EMPTY, other = STR_EMPTY, out = STR_EMPTY;
    struct entries all = {0};
    *changed = 0;
    int rc = file_read(&file, path, FILE_BYTES_MAX, e);
    bool good = rc || find_entries(&all, str_cstr(&file), file.len);
    for (size_t i = 0; !rc && i < all.n; i++) {
        const struct entry *en = &all.items[i];
        str_clear(&text);
        str_clear(&other);
        unescape(&text, file.data + en->text, en->to - en->text);
        enum line_fate fate = look(arg, str_cstr(&text), text.len, &other);
        *changed += fate != LINE_KEEP;
        if (fate == LINE_KEEP) str_add_bytes(&out, file.data + en->from, en->to - en->from);
        if (fate != LINE_CHANGE) continue;
        str_add_bytes(&out, file.data + en->from, en->text - en->from);
        add_escaped(&out, str_cstr(&other), other.len);
    }
    good = good && str_ok(&text) && str_ok(&other) && str_ok(&out);
    if (!rc && !good) rc = err_set(e, ERR_NOMEM, "no memory for the history");
    if (!rc && *changed && !only_look) rc = file_write_atomic(path, str_cstr(&out), out.len, e);
    free(all.items);
    str_release(&file);
    str_release(&text);
    str_release(&other);
    str_release(&out);
    return rc == ERR_NOT_FOUND ? ERR_OK : rc;
}

int line_history_trim(const char *path, struct err *e)
{
    struct str file = STR_EMPTY;
    struct entries all = {0};
    int rc = file_read(&file, path, FILE_BYTES_MAX, e);
    if (rc == ERR_OK && find_entries(&all, str_cstr(&file), file.len) && all.n > LINE_HISTORY_MAX) {
        size_t from = all.items[all.n - LINE_HISTORY_MAX].from;
        rc = file_write_atomic(path, file.data + from, file.len - from, e);
    }
    free(all.items);
    str_release(&file);
    return rc == ERR_NOT_FOUND ? ERR_OK : rc;
}
