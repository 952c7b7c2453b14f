/* sweep.h - what the files of `ponder sweep` share: questions with known answers, and a cell of results for each budget and number of
 * votes. */
#ifndef PONDER_CLI_SWEEP_H
#define PONDER_CLI_SWEEP_H

#include "chat/chat.h"

struct question {
    char *text, *answer;
    enum answer_form form;
    size_t line; /* of the file */
};
struct questions {
    struct question *items;
    size_t n;
};
/* A file of JSON lines, each an object with "question" (a text) and "answer" (a text or a number); other keys are left alone. limit: take
 * the first so many, 0 all. ERR_FILE with "FILE:LINE: reason" for the first line that cannot be used. */
int questions_load(struct questions *out, const char *path, enum answer_form form, size_t limit, struct err *e);
void questions_release(struct questions *q);

/* Sums over the questions answered so far. */
struct cell {
    struct budget budget;
    int votes;
    int n, right, unanswered, closed;          /* closed: at least one thought was closed by its budget */
    int64_t thought_tokens, answer_tokens, ms; /* of all samples; of the clock */
};
/* A bar for each cell, with what it took. columns: of the terminal. */
void sweep_plot(const struct cell *cells, size_t n, int columns, bool ascii, struct str *out);
void sweep_csv(const struct cell *cells, size_t n, struct str *out);
/* One line of progress, without the carriage return. */
void sweep_progress(size_t done, size_t total, int64_t elapsed_ms, int columns, bool ascii, struct str *out);
/* 95 % interval (Wilson) of right out of n, as parts of 1. */
void sweep_interval(int right, int n, double *low, double *high);

#endif
