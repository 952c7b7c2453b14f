/*
 * highlight.h - styles for the bytes of source code. Internal to src/ui.
 *
 * A highlighter sees a text from its beginning, line by line, and keeps what it must remember in a struct highlight_state; it never looks
 * back. A line may come in pieces; a word or string mark that is cut is then coloured as two. It is a set of tables (highlight_tables.c)
 * read by one state machine (highlight.c), a guess for the eye and no parser: code that is wrong, or of another language than was said, is
 * coloured oddly and never refused.
 */
#ifndef PONDER_HIGHLIGHT_H
#define PONDER_HIGHLIGHT_H

#include "ui/grid.h"

struct highlight; /* a language; static, never freed */

/* All-zero at the beginning of a text. */
struct highlight_state {
    uint8_t mode;   /* 0 plain code, 1 line comment, 2 block comment, 3 string */
    uint8_t quote;  /* which of the language's strings */
    uint8_t depth;  /* of nested block comments, at most 255 */
    uint8_t hashes; /* of a raw string of Rust */
    bool directive; /* after the # of a line of the C preprocessor */
};

/* The language called so in an info string (C, python, sh, ...; case does not matter), or NULL. */
const struct highlight *highlight_find(const char *name, size_t n);
/* Gives each byte of p its enum style. p holds no newline. */
void highlight_text(const struct highlight *h, struct highlight_state *s, const char *p, size_t n, uint8_t *styles);
/* A newline: ends what cannot go on over one. `escaped`: the line ended in a backslash. */
void highlight_newline(const struct highlight *h, struct highlight_state *s, bool escaped);

/* ---- the tables ----------------------------------------------------------------------------------------------- */

#define HIGHLIGHT_STRINGS 6

struct highlight_string {
    const char *open, *close;
    bool escapes; /* a backslash hides the byte behind it */
    bool lines;   /* goes on over newlines */
};

enum highlight_flags {
    HIGHLIGHT_ANY_CASE = 1,   /* keywords in any case */
    HIGHLIGHT_DIRECTIVES = 2, /* # at the start of a line */
    HIGHLIGHT_NESTED = 4,     /* block comments nest */
    HIGHLIGHT_RUST = 8,       /* 'a may be a lifetime; r#"raw"# */
    HIGHLIGHT_SHELL = 16,     /* # begins a comment only at the start of a word; $name */
    HIGHLIGHT_KEYS = 32,      /* a string followed by a colon is a key */
};

struct highlight {
    const char *names;           /* separated by blanks, lower case */
    const char *const *keywords; /* ascending, n_keywords */
    size_t n_keywords;
    const char *const *more; /* a second list, or NULL */
    size_t n_more;
    const char *line_comments[2];
    const char *block_open, *block_close;
    struct highlight_string strings[HIGHLIGHT_STRINGS]; /* the first that fits is taken; open NULL ends the list */
    unsigned flags;
};
extern const struct highlight highlight_table[];
extern const size_t highlight_count;

#endif
