/*
 * line.h - the input line: GNU readline without its terminal. Internal to src/ui. One at a time (readline is global).
 *
 * Keys go in as byte sequences through the callback interface with rl_getc_function; nothing is ever printed by readline: redisplay, completion display, prep and deprep are
 * hooks of ours. inputrc, emacs and vi modes, kill ring and undo are readline's own; the search through the history (Ctrl-R, vi's / and n) is ours, as readline 8.2's own
 * crashes when it is fed like this.
 */
#ifndef PONDER_LINE_H
#define PONDER_LINE_H

#include "base/base.h"

struct line;
struct line_options {
    const char *history_path;        /* NULL: nothing is kept */
    const char *keys;                /* "emacs", "vi", "" */
    /* Completion: appends candidates for the word before the cursor, one a call; false at the end. *from is the byte where the word begins. A single one is inserted with a
     * space behind it, unless it ends with '/', '=' or a space. */
    bool (*complete)(void *arg, const char *text, size_t cursor, size_t i, struct str *candidate, size_t *from);
    void *arg;
};
int line_new(struct line **out, const struct line_options *o, struct err *e);
void line_free(struct line *l);      /* saves the history */
void line_set_keys(struct line *l, const char *keys);        /* as in line_options, from the next key on */
/* Feeds one whole key sequence (struct key's bytes; a sequence that readline has no use for does nothing, never types its letters). Returns true when Enter accepted the
 * text: take it with line_take. Up and Down move between the lines of a text that has several, and through the history from its first and last one; Home and End go to the
 * ends of a line. Ctrl-C is not to be fed. */
bool line_key(struct line *l, const char *bytes, size_t n);
void line_insert(struct line *l, const char *text, size_t n);        /* paste, newline keys: at the cursor, as one undo step */
const char *line_text(const struct line *l, size_t *len, size_t *cursor);    /* bytes; valid until the next call */
void line_set(struct line *l, const char *text, size_t n);           /* replaces the text, cursor at the end */
/* The accepted text, or what the line holds when nothing was accepted (malloc'ed, caller frees; NULL when memory runs out), and an empty line; added to the history unless
 * keep_out. */
char *line_take(struct line *l, bool keep_out, size_t *len);
/* Whether it has a history on disk. */
bool line_keeps_history(const struct line *l);
/* Reads the history anew, after its file was changed. The line stays. */
void line_reload_history(struct line *l);
/* What readline would show in place of the prompt: "(reverse-i-search)`abc': " while searching, "" otherwise; vi mode "ins"/"cmd" in mode. */
const char *line_message(const struct line *l);    /* valid until the next key */
const char *line_mode(const struct line *l);
/* Candidates of the last Tab that matched several, for showing; n 0 when none. Valid until the next key. */
const char *const *line_candidates(const struct line *l, size_t *n);

#endif
