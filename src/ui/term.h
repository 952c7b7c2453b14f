/*
 * term.h - the terminal: ncurses for output, own decoding of input. Internal to src/ui. One at a time.
 *
 * Output: term_present compares the grid with what is on the screen and writes only changed cells, in one go. Input: raw bytes from the descriptor, decoded by keys.h; curses
 * never reads. Signal handlers only write a byte to a pipe; a crash handler restores the terminal with fixed strings, without stdio.
 */
#ifndef PONDER_TERM_H
#define PONDER_TERM_H

#include "ui/grid.h"

/* ---- keys ---------------------------------------------------------------------------------------------------- */

enum key_kind { KEY_TEXT_, KEY_NAMED_, KEY_PASTE_, KEY_MOUSE_ };
#define KEY_NAMES(X) X(ENTER, "Enter") X(TAB, "Tab") X(BACKTAB, "Shift-Tab") X(BACKSPACE, "Backspace") X(ESC, "Esc") X(UP, "Up") X(DOWN, "Down") X(LEFT, "Left") X(RIGHT, "Right") \
    X(HOME, "Home") X(END, "End") X(PGUP, "PageUp") X(PGDN, "PageDown") X(INSERT, "Insert") X(DELETE, "Delete") X(F1, "F1") X(F2, "F2") X(F3, "F3") X(F4, "F4") X(F5, "F5") \
    X(F6, "F6") X(F7, "F7") X(F8, "F8") X(F9, "F9") X(F10, "F10") X(F11, "F11") X(F12, "F12") X(FOCUS_IN, "FocusIn") X(FOCUS_OUT, "FocusOut")
#define X(n, s) NAMED_##n,
enum key_name { NAMED_NONE, KEY_NAMES(X) };
#undef X
enum key_mods { MOD_SHIFT = 1, MOD_ALT = 2, MOD_CTRL = 4 };
enum mouse_action { MOUSE_PRESS, MOUSE_RELEASE, MOUSE_WHEEL_UP, MOUSE_WHEEL_DOWN };

struct key {
    enum key_kind kind;
    enum key_name name;       /* KEY_NAMED_ */
    uint32_t cp;              /* KEY_TEXT_: the character; Ctrl-A..Z come as 'a'..'z' with MOD_CTRL */
    unsigned mods;
    const char *text;         /* KEY_PASTE_: the pasted bytes, newlines normalised; valid until the next decode */
    size_t text_len;
    enum mouse_action action; /* KEY_MOUSE_ */
    int x, y;                 /* 0-based cell */
    const char *bytes;        /* for readline: the key as xterm sends it, whatever this terminal sends (n_bytes 0: it has none); valid until the next decode */
    size_t n_bytes;
};

struct key_decoder;
int key_decoder_new(struct key_decoder **out, struct err *e);
void key_decoder_free(struct key_decoder *d);
void key_decoder_feed(struct key_decoder *d, const char *bytes, size_t n);
/* Takes the next whole key. False when more bytes are needed; then *wait_ms says how long to wait before calling with timed_out = true, which turns a lone Esc into a key and
 * drops a sequence that was cut off: 25 ms after an Esc, longer inside a sequence, -1 when nothing is held. Enter is CR; LF is Ctrl-J; both DEL and BS are Backspace.
 * A bracketed paste is one key, however long (capped at 16 MiB); one whose end does not come is handed over in pieces. Text keys are valid code points and never a control
 * without MOD_CTRL. Between time-outs the keys do not depend on how the bytes were cut. */
bool key_decoder_next(struct key_decoder *d, bool timed_out, struct key *out, int *wait_ms);
/* "Ctrl-O", "Alt-Enter", "F5", "j": as printed in help. */
void key_format(const struct key *k, struct str *out);

/* ---- theme --------------------------------------------------------------------------------------------------- */

struct colour {
    int16_t index;            /* -1 the terminal's own, 0..255 palette, 256: rgb */
    uint8_t r, g, b;
};
struct style_def {
    struct colour fg, bg;
    unsigned attrs;           /* ATTR_ bits */
};
enum { ATTR_BOLD = 1, ATTR_DIM = 2, ATTR_UNDERLINE = 4, ATTR_REVERSE = 8, ATTR_ITALIC = 16 };
struct theme {
    char name[64];
    struct style_def styles[STYLE_COUNT];
};
/* The built-in theme, which is also what a theme file starts from. */
void theme_default(struct theme *t);
/* Reads NAME.ini from the config folder's themes/, then from the installed themes, or NAME itself if it has a '/'; "default" or "" is theme_default. Keys are slot names,
 * values "fg [on bg] [bold] [dim] [underline] [reverse] [italic]"; colours: default (the terminal's own), the 16 names, 0-255, #rrggbb, or a name from the file's [palette].
 * A colour that is not given is the one of `text`; a ground, in menus, that of `menu`. A bad line names file and line, *t stays usable (the default). */
int theme_load(struct theme *t, const char *name, struct err *e);
/* Appends the i-th name that theme_load finds, "default" first; false at the end. */
bool theme_name_at(size_t i, struct str *name);
/* What is shown of a style where there are no colours: ATTR_ bits. */
unsigned theme_plain_attrs(const struct theme *t, enum style s);
/* The nearest colour of a terminal with 256 colours (above 15, whose look is not the user's) or 16: -1 the terminal's own. */
int colour_to_256(struct colour c);
int colour_to_16(struct colour c);
/* The number ncurses knows it by on a terminal with direct colour: below 8 the palette, else 0xrrggbb. */
int colour_to_direct(struct colour c);
/* Foreground and background for 256, 16 or 8 colours, different from each other unless the theme itself says so. Adds the attributes that stand in for what was lost. */
void style_degrade(const struct style_def *d, int colours, int *fg, int *bg, unsigned *attrs);

/* ---- the terminal -------------------------------------------------------------------------------------------- */

struct term;
/* Takes over stdin/stdout: alternate screen, raw mode, bracketed paste, mouse if asked. ERR_UNSUPPORTED where the terminal cannot address its cursor or is
 * unknown (use plain mode). Colours as the terminal has them: none with NO_COLOR, 16, 256, direct. */
int term_open(struct term **out, const struct theme *theme, bool mouse, struct err *e);
void term_close(struct term *t);          /* restores everything; also through atexit and the crash handler */
void term_size(const struct term *t, int *w, int *h);   /* 0x0 reports become 80x24 */
/* Read it after poll, and leave it blocking: it is the same open file as the output's, which must not lose a part of a frame. */
int term_input_fd(const struct term *t);
/* Descriptor readable after a signal; term_signal takes the next number (SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGCONT, ...), 0 when none. */
int term_signal_fd(const struct term *t);
int term_signal(struct term *t);
void term_resized(struct term *t);        /* after SIGWINCH: reads the size, forgets what is on the screen if it changed */
void term_set_theme(struct term *t, const struct theme *theme);
void term_set_mouse(struct term *t, bool on);
/* Draws. Returns false when the terminal is gone. */
bool term_present(struct term *t, const struct grid *g);
void term_redraw(struct term *t);         /* Ctrl-L: the next present writes everything */
void term_suspend(struct term *t);        /* before $EDITOR: normal screen and modes */
void term_resume(struct term *t);         /* shows the last frame again; also after a SIGCONT that nobody announced */
void term_stop(struct term *t);           /* Ctrl-Z: suspends, stops the process group as the terminal would, and resumes when continued */
/* False where the locale's character set is not UTF-8: the screen is then ASCII. May be asked without a terminal. Sets LC_CTYPE, to a UTF-8 one if there is any. */
bool term_locale_is_utf8(void);
void term_bell(struct term *t);
/* Puts text, sanitised, on the terminal's clipboard (OSC 52, wrapped for tmux). Only on the user's demand. False when it is too long (about 1 MB) for any terminal. */
bool term_copy(struct term *t, const char *text, size_t n);

#endif
