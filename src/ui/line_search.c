/*
 * line_search.c - searching the input history as one types (Ctrl-R), in the manner of readline.
 *
 * readline 8.2 has this too, but fed byte by byte its search can end in the middle of a key sequence without a context, and it keeps
 * pointers to history lines that undo replaces: both crash. Here the search only reads the history; what it found becomes the line through
 * readline's own command for moving in the history, so that Up and Down go on from there.
 *
 * Keys: the search keys again go on to the next entry, letters narrow, Backspace widens, Ctrl-G gives up, Esc and every other key end it.
 */
#include "ui/line_priv.h"

#include <string.h>
#include <readline/history.h>
#include <readline/readline.h>

enum { PATTERN_MAX = 1000 };

static struct line_search *current;

void line_search_init(struct line_search *s)
{
    *s = (struct line_search){.at = -1};
    current = s;
}

void line_search_release(struct line_search *s)
{
    str_release(&s->pattern);
    str_release(&s->last);
    str_release(&s->message);
    *s = (struct line_search){.at = -1};
    if (current == s) current = NULL;
}

static const char *entry_text(int index)
{
    HIST_ENTRY **list = history_list();
    return list && index >= 0 && index < history_length ? list[index]->line : NULL;
}

static void write_message(struct line_search *s)
{
    str_clear(&s->message);
    str_addf(&s->message, "(%s%si-search)`%s': ", s->failed ? "failed " : "", s->forward ? "" : "reverse-", str_cstr(&s->pattern));
}

/* Looks for the pattern from entry `from` on. What was found before stays when there is nothing. */
static void look(struct line_search *s, int from)
{
    int step = s->forward ? 1 : -1;
    s->failed = false;
    if (s->pattern.len > 0) {
        s->failed = true;
        for (int i = from; i >= 0 && i < history_length; i += step) {
            const char *hit = strstr(entry_text(i), str_cstr(&s->pattern));
            if (!hit) continue;
            s->at = i;
            s->cursor = (size_t)(hit - entry_text(i));
            s->failed = false;
            break;
        }
    }
    write_message(s);
}

static int first_entry(const struct line_search *s)
{
    if (s->at >= 0) return s->at;
    return s->forward ? 0 : history_length - 1;
}

static void look_further(struct line_search *s)
{
    if (s->pattern.len == 0) {
        str_add_bytes(&s->pattern, str_cstr(&s->last), s->last.len);
        look(s, first_entry(s));
        return;
    }
    /* An entry that looks the same would look like nothing having happened. */
    const char *now = entry_text(s->at);
    int from = s->at < 0 ? first_entry(s) : s->at + (s->forward ? 1 : -1);
    while (now && entry_text(from) && strcmp(now, entry_text(from)) == 0) from += s->forward ? 1 : -1;
    look(s, from);
}

static int begin(bool forward)
{
    struct line_search *s = current;
    if (!s) return 0;
    str_clear(&s->pattern);
    s->active = true;
    s->forward = forward;
    s->failed = false;
    s->at = -1;
    write_message(s);
    return 0;
}

void line_search_end(struct line_search *s, bool keep)
{
    if (!s->active) return;
    s->active = false;
    if (s->pattern.len > 0) {
        str_clear(&s->last);
        str_add_bytes(&s->last, str_cstr(&s->pattern), s->pattern.len);
    }
    if (!keep || !entry_text(s->at)) return;
    rl_free_undo_list(); /* see detach_undo_lists in line.c */
    rl_end_of_history(1, 0);
    rl_get_previous_history(history_length - s->at, 0);
    rl_point = (int)s->cursor <= rl_end ? (int)s->cursor : rl_end;
}

bool line_search_key(struct line_search *s, const char *bytes, size_t n)
{
    if (!s->active) return false;
    unsigned char c = (unsigned char)bytes[0];
    int type = ISFUNC;
    rl_command_func_t *f = n == 1 && c >= 0x20 && c != 0x7f ? NULL : rl_function_of_keyseq_len(bytes, n, NULL, &type);
    if (f && type == ISFUNC && (f == line_search_backward || f == line_search_forward)) {
        s->forward = f == line_search_forward;
        look_further(s);
    } else if (n == 1 && (c == 8 || c == 0x7f)) {
        size_t len = s->pattern.len;
        while (len > 0 && ((unsigned char)s->pattern.data[--len] & 0xc0) == 0x80) continue;
        str_truncate(&s->pattern, len);
        s->at = -1; /* from the start again: back to what was found before the last letter */
        look(s, first_entry(s));
    } else if (n == 1 && c == 7) {
        line_search_end(s, false);
    } else if (n == 1 && c == 27) {
        line_search_end(s, true);
    } else if (c >= 0x20 && c != 0x7f) {
        if (s->pattern.len + n < PATTERN_MAX) line_clean(&s->pattern, bytes, n);
        look(s, first_entry(s));
    } else {
        line_search_end(s, true);
        return false;
    }
    return true;
}

const char *line_search_text(const struct line_search *s, size_t *len, size_t *cursor)
{
    const char *text = s->active ? entry_text(s->at) : NULL;
    if (!text) return NULL;
    if (len) *len = strlen(text);
    if (cursor) *cursor = s->cursor;
    return text;
}

int line_search_backward(int count, int key)
{
    (void)count;
    (void)key;
    return begin(false);
}

int line_search_forward(int count, int key)
{
    (void)count;
    (void)key;
    return begin(true);
}

int line_search_vi(int count, int key)
{
    (void)count;
    return begin(key == '?');
}

/* The last pattern again, from the line of the history that is shown. */
static int again(bool forward)
{
    struct line_search *s = current;
    if (!s || s->last.len == 0) return 0;
    begin(forward);
    int at = where_history();
    str_add_bytes(&s->pattern, str_cstr(&s->last), s->last.len);
    s->at = -1;
    look(s, at < history_length ? at + (forward ? 1 : -1) : forward ? history_length : history_length - 1);
    line_search_end(s, true);
    return 0;
}

int line_search_vi_again(int count, int key)
{
    (void)count;
    return again(key == 'N');
}

int line_search_older(int count, int key)
{
    (void)count;
    (void)key;
    return again(false);
}

int line_search_newer(int count, int key)
{
    (void)count;
    (void)key;
    return again(true);
}
