/*
 * history.c - taking out of the input history what was taken out of the record.
 *
 * The history is a file of every line that was sent, so a deleted conversation's prompts stand there too. A line goes when it is one of the
 * texts, or a command with one of them behind it ("/say ...", "/ab ..."). The file is written anew; lines that other programs append in
 * that moment are lost.
 */
#include "ui/line_priv.h"
#include "ui/ui.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

static size_t trimmed(const char **text, size_t n)
{
    while (n && strchr(" \n\t", (*text)[n - 1])) n--;
    while (n && strchr(" \n\t", **text)) (*text)++, n--;
    return n;
}

static bool is_or_ends_with(const char *line, size_t n, const char *text)
{
    n = trimmed(&line, n);
    size_t len = trimmed(&text, strlen(text));
    if (!len || len > n || memcmp(line + n - len, text, len)) return false;
    return len == n || (line[0] == '/' && strchr(" \n\t", line[n - len - 1]));
}

static enum line_fate forget(void *arg, const char *line, size_t n, struct str *out)
{
    const struct text_list *l = arg;
    (void)out;
    for (size_t i = 0; i < l->n; i++)
        if (is_or_ends_with(line, n, l->texts[i])) return LINE_DROP;
    return LINE_KEEP;
}

struct redaction {
    regex_t regex;
    const char *with;
};

static enum line_fate redact(void *arg, const char *line, size_t n, struct str *out)
{
    const struct redaction *r = arg;
    size_t at = 0;
    bool changed = false;
    while (at < n) {
        regmatch_t m = {.rm_so = (regoff_t)at, .rm_eo = (regoff_t)n};
        if (regexec(&r->regex, line, 1, &m, REG_STARTEND | (at ? REG_NOTBOL : 0))) break;
        size_t from = (size_t)m.rm_so, to = (size_t)m.rm_eo;
        str_add_bytes(out, line + at, from - at);
        if (to == from) {
            str_add_bytes(out, line + from, from < n);
            at = from + 1;
            continue;
        }
        str_add(out, r->with);
        changed = true;
        at = to;
    }
    if (at < n) str_add_bytes(out, line + at, n - at);
    return changed ? LINE_CHANGE : LINE_KEEP;
}

static int history_path(struct str *out, struct err *e)
{
    int rc = path_of(out, PATH_STATE, "history", e);
    return rc || str_ok(out) ? rc : err_set(e, ERR_NOMEM, "out of memory");
}

int ui_history_forget(const struct text_list *texts, struct err *e)
{
    struct str path = STR_EMPTY;
    size_t changed = 0;
    int rc = history_path(&path, e);
    if (!rc) rc = line_history_rewrite(str_cstr(&path), false, forget, (void *)(uintptr_t)(const void *)texts, &changed, e);
    str_release(&path);
    return rc;
}

int ui_history_redact(const char *pattern, const char *with, bool ignore_case, bool only_look, int64_t *lines, struct err *e)
{
    struct redaction r = {.with = with};
    struct str path = STR_EMPTY;
    size_t changed = 0;
    *lines = 0;
    if (regcomp(&r.regex, pattern, REG_EXTENDED | (ignore_case ? REG_ICASE : 0))) return err_set(e, ERR_INVALID, "the pattern is no regular expression");
    int rc = history_path(&path, e);
    if (!rc) rc = line_history_rewrite(str_cstr(&path), only_look, redact, &r, &changed, e);
    *lines = (int64_t)changed;
    regfree(&r.regex);
    str_release(&path);
    return rc;
}
