/*
 * transcript.h - the messages of a conversation as rows of a screen. Internal to src/ui.
 *
 * A message is laid out when a row of it is asked for, and keeps its layout until its text, the width or its fold changes; a conversation
 * of ten thousand messages therefore costs what is on the screen. The place of the reader is a message and a byte of it, never a row number
 * counted from the top, so that a new width or a fold above does not move what is being read.
 *
 * Text in items is sanitised (TEXT_SCREEN); the exact bytes are in the record.
 */
#ifndef PONDER_TRANSCRIPT_H
#define PONDER_TRANSCRIPT_H

#include "chat/chat.h"
#include "ui/board.h"
#include "ui/grid.h"
#include "ui/markdown.h"

/* How a thought is shown. AUTO: the tail until the answer begins, then the header only. */
enum view { VIEW_AUTO, VIEW_FOLDED, VIEW_TAIL, VIEW_FULL };
const char *view_name(enum view v);       /* as kept in the record: "", "folded", "tail", "full" */
enum view view_by_name(const char *name); /* VIEW_AUTO for what is no name */

/* How far a reply is. */
enum phase { PHASE_DONE, PHASE_WAITING, PHASE_PREFILL, PHASE_THINKING, PHASE_ANSWERING };

/* A text that may still grow: sanitised bytes and their screen lines at one width. */
struct flow {
    char *raw; /* malloc'ed bytes from the record, sanitised into `clean` at the first layout; then NULL */
    size_t raw_len;
    struct str clean;
    struct text_sanitizer sanitizer;
    struct wrap wrap;
    int width;          /* of wrap; 0: none */
    size_t wrapped;     /* bytes of clean that wrap covers */
    size_t fed;         /* raw bytes that came in by flow_feed */
    bool skip_newlines; /* leave out newlines before the first text */
};
void flow_init(struct flow *f, bool skip_newlines);
void flow_release(struct flow *f);
void flow_adopt(struct flow *f, char *raw, size_t n); /* takes raw over */
void flow_feed(struct flow *f, const char *p, size_t n);
void flow_end(struct flow *f);
const struct str *flow_text(struct flow *f);             /* the sanitised text; valid until f changes */
const struct wrap *flow_wrap(struct flow *f, int width); /* the lines; valid until f changes */
bool flow_is_empty(const struct flow *f);
void flow_drop_layout(struct flow *f);
/* The line that holds byte `at` of the text (0 when there are none). */
size_t wrap_line_at(const struct wrap *w, size_t at);

/* Bytes [from, to) of the sanitised thought that the model did not write. */
struct injected_span {
    size_t from, to;
    bool by_user;
};
/* From this raw byte on, sanitised = raw + shift. */
struct flow_shift {
    size_t raw;
    ptrdiff_t shift;
};

struct item {
    int64_t id; /* of the record; below 0 not saved yet, 0 not known yet */
    enum message_role role;
    struct flow text, thought;
    struct board *board;       /* it was written together with others; NULL alone */
    struct markdown *markdown; /* a reply's text as lines; made at the first layout, NULL before */
    size_t markdown_fed;       /* bytes of the sanitised text that it has */
    enum phase phase;
    bool thought_opened; /* a thought began, even an empty one */
    enum view choice;    /* the user's own; AUTO: none */
    enum view pinned;    /* while the reader is scrolled up: what it was then; AUTO: not pinned */
    size_t pinned_tail;  /* first byte of the tail that is shown then */
    struct chat_stats stats;
    int64_t stats_at; /* app time of the newest stats */
    int64_t began_at; /* app time when the reply began to be waited for */
    size_t prefill_done, prefill_total;
    bool looping, paused, elsewhere; /* elsewhere: another process is writing it */
    char *failure;                   /* one line, NULL none */
    int answer_rating, thought_rating;
    int sibling, n_siblings;
    struct injected_span *injected;
    size_t n_injected, cap_injected;
    struct flow_shift *shifts;
    size_t n_shifts, cap_shifts;
    int rows, rows_width; /* height at a width, 0: not known */
    enum view rows_view;
};

enum row_kind { ROW_BLANK, ROW_YOU, ROW_PROMPT, ROW_BOARD, ROW_STATUS, ROW_HEADER, ROW_THOUGHT, ROW_ANSWER, ROW_FOOT };
struct row {
    enum row_kind kind;
    size_t item;
    const char *text; /* bytes of the line for PROMPT, THOUGHT and ANSWER; valid until the item changes */
    size_t n;
    const struct md_line *line; /* ANSWER: its pieces in their styles; NULL: plain text */
    size_t from;                /* its place in the sanitised text */
    int columns;
    size_t index;     /* line of the text it is; row of the board */
    bool first, last; /* of its kind in the message */
    bool cut_above;   /* THOUGHT: a tail with more above it */
};

/* What a row shows, in terms that a new layout keeps. */
struct place {
    size_t item;
    enum row_kind kind;
    size_t at;     /* byte of its text */
    size_t before; /* lines in front of the last one that begins at that byte: blank lines have no bytes */
};

struct transcript {
    struct item *items;
    size_t n, cap;
    size_t laid_out;        /* messages laid out since the last trim */
    int width;              /* columns of the text, margins included; at least 1 */
    int view_h;             /* rows of the window */
    enum view default_view; /* AUTO, or what the setting `thoughts` says */
    bool thoughts_beside;   /* thoughts are in a column of their own: headers only here */
    bool follow;
    size_t top_item; /* when not following: the first row of the window */
    int top_row;
    bool resized; /* nothing but sizes changed since this was the first row */
    struct place resized_place;
};
void transcript_init(struct transcript *t);
void transcript_release(struct transcript *t);
void transcript_clear(struct transcript *t);
/* A new message at the end; NULL when memory runs out. Valid until the next change of the list. */
struct item *transcript_add(struct transcript *t, enum message_role role);
/* Moves the texts of m into a new message. */
bool transcript_add_message(struct transcript *t, struct message *m);
void transcript_truncate(struct transcript *t, size_t n);
/* SIZE_MAX when there is none. */
size_t transcript_find(const struct transcript *t, int64_t id);
void item_feed_thought(struct item *it, const char *p, size_t n);
/* Bytes [offset, offset + n) of the exact thought came from elsewhere. */
void item_mark_injected(struct item *it, size_t offset, size_t n, bool by_user);
bool item_has_thought(const struct item *it);
void item_touched(struct item *it); /* its height may have changed */

/* A new size keeps the place of the reader. */
void transcript_resize(struct transcript *t, int width, int view_h);
enum view transcript_view(const struct transcript *t, const struct item *it);
/* The user's choice for one message; keeps the place of the reader. */
void transcript_choose(struct transcript *t, size_t i, enum view v);
/* After settings changed: keeps the place of the reader. */
void transcript_set_default_view(struct transcript *t, enum view v, bool beside);
int transcript_tail_rows(const struct transcript *t);
/* Columns of the last line of the text of a message, 0 when there is none. */
int transcript_last_columns(struct transcript *t, size_t i);
/* Frees the layouts of messages far from the window when there are many; heights stay known. */
void transcript_trim(struct transcript *t);
/* The text of a reply as Markdown; NULL when memory runs out. Belongs to the item. */
struct markdown *item_markdown(struct item *it);
int transcript_height(struct transcript *t, size_t i);
void transcript_row(struct transcript *t, size_t i, int row, struct row *out);
/* The first row of the window. */
void transcript_top(struct transcript *t, size_t *item, int *row);
void transcript_scroll(struct transcript *t, int rows); /* below 0: up, which releases following; down to the end follows again */
void transcript_follow(struct transcript *t);
void transcript_to_start(struct transcript *t);
/* Makes the message visible: its first row if it is above or below the window. */
void transcript_show(struct transcript *t, size_t i);
/* Rows below the window, counted up to limit. */
int transcript_below(struct transcript *t, int limit);
int transcript_text_columns(const struct transcript *t);
int transcript_thought_columns(const struct transcript *t);
int transcript_margin(const struct transcript *t);

#endif
