/*
 * distill.h - what the files of `ponder distill` share: replies of a teacher, kept in a file as they come (distill_replies.c), and which of them are
 * worth learning (distill_pick.c).
 */
#ifndef PONDER_CLI_DISTILL_H
#define PONDER_CLI_DISTILL_H

#include "cli/eval.h"

struct distill_reply {
    size_t question;            /* of the list it answers */
    int sample;                 /* which reply to it, from 0 */
    char *thought, *text;       /* without blanks around them */
    int tokens;                 /* of the thought */
    bool right;
    bool whole;                 /* one thought that the model closed itself, and an answer that it ended */
};
struct distill_replies {
    struct distill_reply *items;
    size_t n, cap;
};
void distill_replies_release(struct distill_replies *r);

/* ---- distill_replies.c ----------------------------------------------------------------------------------------- */

/* Opens the file of replies of a run for going on with it: an empty one gets the line that says which run it is, of another its replies are
 * appended to out. A last line that is half written is cut off. ERR_INVALID where it is of another run, ERR_FILE where it is none. */
int distill_replies_open(FILE **out, struct distill_replies *replies, const char *path, const char *run, struct err *e);
/* Writes a reply, and adds it. */
int distill_replies_put(FILE *f, struct distill_replies *all, const char *path, const struct eval_question *q, const struct distill_reply *r, struct err *e);
/* By question, then by sample. */
void distill_replies_sort(struct distill_replies *r);

/* ---- distill_pick.c -------------------------------------------------------------------------------------------- */

/* Right, whole, with a thought and an answer. */
bool distill_is_good(const struct distill_reply *r);
/* What makes two ways to an answer the same, appended: the numbers and signs of a thought; of one without numbers its words. */
void distill_way(const char *thought, struct str *out);
/* Of n replies to one question the good ones, each way once, shortest first, at most `most`: their places in out. Returns how many; -1 out of
 * memory. */
int distill_pick(const struct distill_reply *replies, size_t n, int most, size_t *out);
/* Of n replies to one question two to compare: the shortest good one and, of the others, the first wrong one, or where all are right the first good one
 * with a thought more than twice as long. False where there are none. */
bool distill_pair(const struct distill_reply *replies, size_t n, size_t *chosen, size_t *rejected);

struct distill_counts {
    size_t questions, answered; /* answered: with something kept */
    size_t replies, right, good, kept, pairs;
};
/* Writes what is kept as data for `ponder train sft`, and pairs for dpo (either path may be NULL), whole or not at all. The replies are sorted. */
int distill_write(const char *data, const char *pairs, const struct eval_questions *q, const struct distill_replies *r, int most, struct distill_counts *counts,
                  struct err *e);

#endif
