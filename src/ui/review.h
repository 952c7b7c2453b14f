/*
 * review.h - going through replies that wait for a rating (review.c). Internal to src/ui.
 */
#ifndef PONDER_REVIEW_H
#define PONDER_REVIEW_H

#include "ui/app.h"

/* Stands in for a chat where there is no model: reads conversations, writes nothing. */
extern const struct chat_port review_port;
/* What review_port takes for its chat. */
struct review_chat {
    int64_t conversation;
};

/* Begins with the first reply behind the one that was shown last. ids: borrowed, n > 0. */
int review_start(struct app *a, const int64_t *ids, size_t n, struct err *e);
void review_close(struct app *a);
/* The next or an earlier one; behind the last the program ends. */
void review_move(struct app *a, int by);
/* "review 3/120 · 2 rated" */
void review_title(const struct app *a, struct str *out);

#endif
