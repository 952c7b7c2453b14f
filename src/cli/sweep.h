/* sweep.h - what the files of `ponder sweep` share: questions with known answers, and a cell of results for each budget and number of
 * votes. */
#ifndef PONDER_CLI_SWEEP_H
#define PONDER_CLI_SWEEP_H

#include "chat/chat.h"
#include "tasks/tasks.h"

struct question {
    char *text, *answer;
    enum answer_form form;
    char *family;            /* what it belongs to, as `ponder tasks` says; NULL not told */
    bool has_check;          /* the file says what counts as right */
    enum task_check check;
    size_t line; /* of the file */
};
struct questions {
    struct question *items;
    size_t n;
};
/* A file of JSON lines, each an object with "question" (a text) and "answer" (a text or a number), and if it likes "check" and "family" (as
 * `ponder tasks` writes them); other keys are left alone. limit: take
 * the first so many, 0 all. ERR_FILE with "FILE:LINE: reason" for the first line that cannot be used. */
int questions_load(struct questions *out, const char *path, enum answer_form form, size_t limit, struct err *e);
void questions_release(struct questions *q);
/* Whether a reply to it is right: by its check, where it has one and no other form is asked for. */
bool question_is_right(const struct question *q, enum answer_form asked, const char *reply, size_t n);
/* "0,64,off" as budgets, *n of them, at most max. ERR_USAGE with the option's or setting's name in front. */
int budgets_parse(struct budget *out, size_t max, size_t *n, const char *name, const char *list, struct err *e);

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
/* Columns of a terminal, 80 where it is none. */
int sweep_columns(int fd);
/* One line of progress, without the carriage return. */
void sweep_progress(size_t done, size_t total, int64_t elapsed_ms, int columns, bool ascii, struct str *out);
/* Draws it over the last line of standard error; began: clock_mono_ms at the start. */
void sweep_show_progress(size_t done, size_t total, int64_t began, bool ascii);
/* 95 % interval (Wilson) of right out of n, as parts of 1. */
void sweep_interval(int right, int n, double *low, double *high);

#endif
