/*
 * term_priv.h - the parts of the terminal that only term.c and line.c use.
 */
#ifndef PONDER_TERM_PRIV_H
#define PONDER_TERM_PRIV_H

#include "base/base.h"

struct termios;

/* ---- terminfo (term_info.c: the only file with <term.h>, whose macros take words like `lines` and `columns`) --- */

/* Whether the terminal called type (NULL: $TERM) is known and can address its cursor. */
int term_info_check(const char *type, struct err *e);
/* A string capability of the current terminal without its delays, appended; nothing when it has none. */
void term_info_string(const char *capability, struct str *out);
/* Makes `entry` the current terminal description, and returns the one before: readline loads its own over that of curses. */
void *term_info_swap(void *entry);

/* ---- signals (term_signals.c) -------------------------------------------------------------------------------- */

/* Handlers for everything term_signal reports and for crashes; `modes` are what a crash restores on descriptor fd. */
int term_signals_install(int fd, const struct termios *modes, struct err *e);
void term_signals_remove(void);
int term_signals_fd(void);
int term_signals_next(void);
/* What a crash writes to the terminal; n 0: nothing to restore now. Cut at 512 bytes. */
void term_signals_arm(const char *text, size_t n);

/* ---- other character sets (term_ascii.c) ---------------------------------------------------------------------- */

/* The ASCII character that stands for a cluster. */
char term_ascii(const char *cluster);

#endif
