/*
 * keys_priv.h - between keys.c (bytes to sequences) and keys_parse.c (one sequence to a key).
 */
#ifndef PONDER_KEYS_PRIV_H
#define PONDER_KEYS_PRIV_H

#include "ui/term.h"

#define KEY_BYTES_MAX 16

/* The key of a code point and modifiers, as the older forms of terminal input would give it (Ctrl-I is Tab, Shift-a is A). False for
 * what is no key. */
bool key_of_cp(struct key *out, uint32_t cp, unsigned mods);
/* p[0, n) is what follows ESC [, its last byte the final one. False for sequences that are not for us. A paste's begin comes as
 * KEY_PASTE_. */
bool key_of_csi(struct key *out, const char *p, size_t n);
/* The same for ESC O. */
bool key_of_ss3(struct key *out, const char *p, size_t n);
/* The three bytes behind ESC [ M. */
bool key_of_old_mouse(struct key *out, const char p[3]);
/* Writes what xterm sends for k; 0 bytes for what readline has no use for. */
size_t key_write_bytes(const struct key *k, char out[KEY_BYTES_MAX]);

#endif
