/*
 * markdown.h - a message in Markdown as styled lines of a screen, also while it is being written. Internal to src/ui.
 *
 * The source is kept as it came. It is read line by line into leaves (paragraph, heading, rule, code, table), each with the quotes and list
 * items around it; the inside of paragraphs, headings and table cells is read by md4c. A leaf is laid out by itself, and of a text that
 * grows only the last two leaves can still change, so that an append costs what its own paragraph costs. The lines depend on the source and
 * the columns alone, never on how the source was cut into appends.
 *
 * What is shown
 *   - Every character of the source but markup. HTML and formulas are text; a formula's stars, underscores and backslashes stay.
 *   - A link is its text and, behind it, its address in brackets: no terminal hyperlinks, the reader sees where it goes.
 *   - Newlines inside a paragraph stay (models do not wrap their prose; where they end a line they mean it).
 *   - What is unfinished is shown as the text it is; an open fence is code at once; a table begins with its delimiter row.
 *
 * Text must be sanitised (TEXT_SCREEN); other bytes do no harm here, but are drawn as grid_put draws them.
 */
#ifndef PONDER_MARKDOWN_H
#define PONDER_MARKDOWN_H

#include "ui/grid.h"

struct markdown;

/* A piece of a line in one style. The pieces of a line lie one behind another in its text. */
struct md_segment {
    const char *text;
    size_t n;
    int columns;
    enum style style;
};

enum md_kind { MD_TEXT, MD_HEADING, MD_RULE, MD_CODE_LABEL, MD_CODE, MD_TABLE, MD_GAP };

#define MD_NO_CODE SIZE_MAX

/* One line of the screen. */
struct md_line {
    const struct md_segment *segments;
    size_t n_segments;
    const char *text; /* all of them, for searching; not NUL-terminated */
    size_t n;
    int columns;     /* never above what was asked for, but for one wide cluster where that is 1 */
    size_t from, to; /* the source bytes it shows; from never goes down from line to line. An ornament has from == to */
    size_t code;     /* the code block it belongs to, MD_NO_CODE none */
    enum md_kind kind;
};

int markdown_new(struct markdown **out, struct err *e);
void markdown_free(struct markdown *m);
/* Replaces or extends the source. False when memory runs out: the source is then as it was. */
bool markdown_set(struct markdown *m, const char *text, size_t n);
bool markdown_append(struct markdown *m, const char *text, size_t n);
/* The source, NUL-terminated: what copying a message copies. Belongs to m, valid until it changes. */
const char *markdown_source(const struct markdown *m, size_t *n);
/* The lines at `columns` (at least 1). They belong to m and are valid until the source changes or other columns are asked for. NULL and 0 lines
 * when there are none, or memory ran out; the next call tries again. */
const struct md_line *markdown_lines(struct markdown *m, int columns, size_t *n);
/* The line, of those given last, that shows byte `at` of the source: the last one that begins at or before it. 0 when there are none. */
size_t markdown_line_at(const struct markdown *m, size_t at);
/* Code blocks, in the order of the source, also one that is still open. */
size_t markdown_code_count(struct markdown *m);
/* The exact text of one: without fences and without the indentation that belongs to lists and quotes, every line with its newline. Belongs
 * to m, valid until the next call of any function of m. NULL when there is no such block or memory ran out. */
const char *markdown_code(struct markdown *m, size_t i, size_t *n);
/* What stands behind its fence ("python"), "" for none, as markdown_code. */
const char *markdown_code_info(struct markdown *m, size_t i, size_t *n);
/* Frees the lines and keeps the source: for messages far from the screen. */
void markdown_drop_layout(struct markdown *m);

#endif
