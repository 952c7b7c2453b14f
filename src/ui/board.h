/*
 * board.h - replies that are written together, as rows over the one that became the active reply: the table of a vote, the columns of a
 * comparison. Internal to src/ui.
 *
 * A vote is a row for each sample. A comparison is a column for each budget where they are at least BOARD_COLUMN wide, else a block for
 * each. While they are written the rows show how far each is and the end of what it says.
 */
#ifndef PONDER_BOARD_H
#define PONDER_BOARD_H

#include "chat/chat.h"
#include "ui/grid.h"

#define BOARD_COLUMN 26

struct board_cell {
    int row, x, w;
    enum style style;
    size_t from, n; /* of board.text */
};
/* A part of a sample's thought that its model did not write. */
struct board_span {
    int sample;
    size_t offset, n;
    bool by_user;
};

struct board {
    struct tally tally;
    bool running;
    size_t prefill_done, prefill_total;
    int64_t began_at, decode_at; /* app time; decode_at 0: the prompt is read */
    struct board_span *spans;
    size_t n_spans, cap_spans;
    /* the layout, for one state, width and time */
    struct str text;
    struct board_cell *cells;
    size_t n_cells, cap_cells;
    int rows, columns;
    int64_t shown_at;
    bool laid_out;
};
/* NULL when memory runs out. Caller frees. */
struct board *board_new(enum samples_kind kind, int n, int64_t now);
/* Of a reply in the record; NULL when it was written alone. Caller frees. */
struct board *board_load(struct store *s, int64_t reply);
void board_free(struct board *b);
void board_take(struct board *b, const struct chat_event *ev, int64_t now);
int board_rows(struct board *b, int columns);
/* The cells of all rows, valid until the board changes. Row 0 is the heading. */
const struct board_cell *board_cells(struct board *b, int columns, int64_t now, size_t *n);
/* The sample that stands for all while they run: the first that is not over. */
const struct tally_sample *board_front(const struct board *b);

#endif
