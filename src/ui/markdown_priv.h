/*
 * markdown_priv.h - what the files of markdown share.
 *
 *   markdown.c         the document: source, resuming, the list of lines, code blocks
 *   markdown_scan.c    source lines -> leaves
 *   markdown_inline.c  the inside of a paragraph or cell -> text with styles (md4c)
 *   markdown_layout.c  a leaf -> lines
 *   markdown_table.c   a table -> lines
 */
#ifndef PONDER_MARKDOWN_PRIV_H
#define PONDER_MARKDOWN_PRIV_H

#include "ui/highlight.h"
#include "ui/markdown.h"

/* ---- limits ---------------------------------------------------------------------------------------------------- */

enum {
    MD_DEPTH = 12,          /* quotes and lists inside one another; what is deeper is text */
    MD_LEAF_BYTES = 8192,   /* a leaf that would be longer goes on in another one */
    MD_INLINE_BYTES = 4096, /* what md4c gets at once: some of its searches are quadratic */
    MD_TABLE_ROWS = 64,     /* rows of a leaf */
    MD_TABLE_COLUMNS = 64,  /* a wider table is text */
};

/* ---- leaves ---------------------------------------------------------------------------------------------------- */

enum box_type { BOX_QUOTE, BOX_BULLET, BOX_ORDERED };

/* A quote or list item around a leaf. */
struct box {
    uint8_t type;
    char mark;    /* bullet, or what follows the number */
    char task;    /* 'x' or ' ' of a task, 0 none */
    uint8_t need; /* columns of indentation that belong to the item */
    uint32_t number;
};

enum leaf_kind { LEAF_TEXT, LEAF_HEADING, LEAF_RULE, LEAF_FENCED, LEAF_INDENTED, LEAF_TABLE };

struct leaf {
    size_t from, to; /* source bytes, newlines included; from is the beginning of a line, or of a part of one that was too long */
    size_t content;  /* where the content of the first line begins */
    struct box path[MD_DEPTH];
    uint8_t depth;
    uint8_t begun; /* how many of the innermost boxes begin here */
    uint8_t kind;
    uint8_t level; /* heading 1 to 6 */
    bool setext;   /* a heading whose last line is its underline */
    bool gap;      /* a blank line before it */
    bool more;     /* goes on with the text, code or table of the leaf before */
    bool tail;     /* ends with a line that is not finished */
    bool closed;   /* fenced: the last line is the closing fence */
    uint8_t fence_indent;
    uint8_t columns;       /* of a table */
    size_t info, info_len; /* fenced: what stands behind the fence */
    size_t head, rows;     /* table: content of the header line and of the delimiter row */
    size_t code;           /* code block number */
};

/* Lines of one leaf. Segments and texts are places in `text` until they are final. */
struct layout {
    struct str text;
    struct md_segment *segments;
    size_t n_segments, cap_segments;
    struct md_line *lines;
    size_t n, cap;
    struct highlight_state highlight; /* behind the leaf */
    bool done;
};

/* ---- scanning -------------------------------------------------------------------------------------------------- */

enum open_kind { OPEN_NONE, OPEN_TEXT, OPEN_FENCED, OPEN_INDENTED, OPEN_TABLE };

/* All the scanner knows at the beginning of a line (or, `mid`, of the rest of one). */
struct scan_state {
    size_t at;
    struct box path[MD_DEPTH];
    uint8_t depth;
    uint8_t open; /* enum open_kind: of the last leaf */
    bool blank, mid;
    char math; /* inside a formula: the last character of its end */
    char fence;
    size_t fence_len;
    size_t codes; /* code blocks so far */
    size_t table_rows;
};

struct scan {
    const char *p;
    size_t n;
    struct leaf *leaves;
    size_t n_leaves, cap_leaves;
    struct scan_state s;
    /* Where the next scan may begin: the first leaf of the last two whose beginning more text cannot change. */
    struct scan_state resume, newest;
    size_t resume_leaf, newest_leaf;
    bool has_newest;
    bool failed;
};

/* Scans p[0, n) from the resuming place on, drops and rewrites the leaves behind it. False when memory ran out. */
bool scan_run(struct scan *s, const char *p, size_t n);

struct cursor {
    const char *p;
    size_t at, end; /* end: before the newline */
    size_t column;
};
/* Columns of blanks at the cursor; *after is the place behind them. */
size_t cursor_indent(const struct cursor *c, size_t *after);
/* Steps through lines of a leaf: sets *c to the content of the next one (paragraphs: as far as the boxes match). Begin with *line =
 * leaf->from. */
bool leaf_next_line(const struct leaf *l, const char *p, size_t *line, struct cursor *c);
/* Begins inside a line. */
bool leaf_is_part(const struct leaf *l, const char *p);
/* The same as leaf_next_line for code: also without the indentation of the fence. False at the closing fence. */
bool leaf_next_code(const struct leaf *l, const char *p, size_t *line, struct cursor *c);

/* Cells of a table row p[from, to): calls with the trimmed place of each one, at most max; what is beyond belongs to the last. Returns how
 * many. */
struct cell_place {
    size_t from, to;
};
size_t table_split(const char *p, size_t from, size_t to, struct cell_place *cells, size_t max);
/* Columns of a delimiter row (|---|:-:|), 0 when it is none. aligns (may be NULL) gets 'l', 'c', 'r' or 0. */
size_t table_delimiters(const char *p, size_t from, size_t to, char *aligns);

/* ---- text with styles ------------------------------------------------------------------------------------------ */

struct rich_span {
    size_t at;     /* place in the text */
    size_t source; /* of its first byte */
    bool exact;    /* byte i of it is byte source + i of the source; otherwise all of it stands for that place */
    uint8_t style;
};
struct rich {
    struct str text;
    struct rich_span *spans;
    size_t n, cap;
    bool failed;
};
void rich_release(struct rich *r);
void rich_clear(struct rich *r);
bool rich_ok(const struct rich *r);
void rich_add(struct rich *r, enum style style, const char *text, size_t n, size_t source, bool exact);
/* Appends the meaning of lines of source; newlines stand between them. */
struct inline_lines {
    struct cell_place *lines;
    size_t n;
};
void inline_add(struct rich *r, const char *p, struct inline_lines in, enum style base, bool tail, bool cell);
/* The span that holds place `at` of the text. */
size_t rich_span_at(const struct rich *r, size_t at);

/* ---- layout ---------------------------------------------------------------------------------------------------- */

struct lay {
    const char *p; /* the source */
    const struct leaf *leaf;
    struct layout *out;
    int columns;
    size_t first_box; /* boxes before it have no room */
    bool marked;      /* the list markers were written */
    size_t segment;   /* first of the line being written */
    size_t line_text;
    int used;
    bool failed;
    struct rich rich; /* scratch */
    struct wrap wrap;
    struct cell_place *places;
    size_t cap_places;
    uint8_t *styles;
    size_t cap_styles;
};

/* Lays l out into out (empty). before: the state behind the code that it continues. Scratch in lay is kept from leaf to leaf. False when
 * memory ran out. */
bool lay_leaf(struct lay *lay, const char *p, const struct leaf *l, struct layout *out, int columns, struct highlight_state before);
void lay_release(struct lay *lay);
void layout_release(struct layout *o);
void lay_table(struct lay *lay);

/* The columns left for content, at least 1. */
int lay_room(const struct lay *lay);
void lay_prefix(struct lay *lay);
void lay_segment(struct lay *lay, enum style style, const char *text, size_t n, int columns);
void lay_blanks(struct lay *lay, enum style style, int n);
void lay_repeat(struct lay *lay, enum style style, const char *glyph, int n);
/* A line of a wrapped rich text. */
void lay_rich(struct lay *lay, const struct rich *r, size_t from, size_t to);
void lay_source(const struct rich *r, size_t from, size_t to, size_t *source_from, size_t *source_to);
void lay_end(struct lay *lay, enum md_kind kind, size_t from, size_t to);
enum style lay_base(const struct lay *lay);
/* Wraps text[0, n) and writes it as lines of `kind`. */
void lay_paragraph(struct lay *lay, const struct rich *r, enum md_kind kind);
int text_columns(const char *p, size_t n);

#endif
