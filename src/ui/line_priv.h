/*
 * line_priv.h - the parts of the input line beside line.c: the history's file and the search through it.
 */
#ifndef PONDER_LINE_PRIV_H
#define PONDER_LINE_PRIV_H

#include "base/base.h"

enum { LINE_HISTORY_MAX = 2000 };

/* Valid UTF-8 without NUL, as readline's C strings need: NUL as its picture, ill-formed bytes as U+FFFD. */
void line_clean(struct str *out, const char *p, size_t n);
/* Puts the newest entries of the file into readline's history. A missing or unreadable file is an empty one. */
void line_history_read(const char *path);
/* Appends an entry with the time. What is very long is not kept. */
int line_history_append(const char *path, const char *text, size_t n, struct err *e);
/* Rewrites a file that has grown beyond LINE_HISTORY_MAX entries. */
int line_history_trim(const char *path, struct err *e);

enum line_fate { LINE_KEEP, LINE_DROP, LINE_CHANGE };
/* Looks at every entry of the file, and writes it anew where one is dropped or changed (to what is put into out) unless only_look. *changed: how
 * many. A file that is not there has none. */
int line_history_rewrite(const char *path, bool only_look, enum line_fate (*look)(void *arg, const char *line, size_t n, struct str *out), void *arg,
                         size_t *changed, struct err *e);

/* ---- search (line_search.c) ------------------------------------------------------------------------------------ */

/* An incremental search through readline's history. While it is active the line itself is untouched. */
struct line_search {
    bool active, failed, forward;
    struct str pattern, last; /* being typed; of the search before */
    struct str message;       /* what stands in place of the prompt */
    int at;                   /* index of the entry found, -1 none yet */
    size_t cursor;            /* where the pattern begins in it */
};

void line_search_init(struct line_search *s);
void line_search_release(struct line_search *s);
/* Takes a key while a search is active; false for keys that are not the search's, which has then ended with what it found. */
bool line_search_key(struct line_search *s, const char *bytes, size_t n);
/* Ends a search: with the entry it found as the line, or with the line as it was. */
void line_search_end(struct line_search *s, bool keep);
/* The entry found, borrowed from the history; NULL when there is none or no search is active. */
const char *line_search_text(const struct line_search *s, size_t *len, size_t *cursor);

/* As readline's commands of these names. */
int line_search_backward(int count, int key);
int line_search_forward(int count, int key);
int line_search_vi(int count, int key);
int line_search_vi_again(int count, int key);
int line_search_older(int count, int key);
int line_search_newer(int count, int key);

#endif
