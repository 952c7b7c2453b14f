/*
 * tasks.h - exercises with exact answers: made from a seed, each with a correct line of thought in plain English, and a judge of replies.
 *
 * The same family, level, seed and index give the same item on every machine: all chance comes from one generator (splitmix64, task_random),
 * and nothing depends on the clock, the locale or floating point.
 *
 * An item belongs to one of two halves by what it asks (a hash of its content, whatever its wording): one in ten is held out, and no
 * training item ever asks the same.
 *
 * Nothing here knows of models. Nothing prints or exits; allocation can fail, and says so.
 */
#ifndef PONDER_TASKS_H
#define PONDER_TASKS_H

#include "base/base.h"

/* ---- chance -------------------------------------------------------------------------------------------------- */

/* splitmix64 (Steele, Lea, Flood 2014): state += 0x9e3779b97f4a7c15; z = state; z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
 * z = (z ^ z >> 27) * 0x94d049bb133111eb; the number is z ^ z >> 31. */
struct task_random {
    uint64_t state;
};
uint64_t task_random_next(struct task_random *r);
/* 0 to n-1 (n > 0): the upper half of the 128-bit product of the next number and n. */
uint32_t task_random_below(struct task_random *r, uint32_t n);

/* ---- checks -------------------------------------------------------------------------------------------------- */

/* What counts as the same answer.
 *   number      a number by its value: 1,200.0 is 1200; the last one where the answer stands
 *   word        one of a few known words (a day, yes and no, true and false, heads and tails): that one and no other of its kind
 *   text        the text, without case, quotes and the full stop
 *   list        numbers in this order, whatever stands between them
 *   digits      a numeral of any base: the last word that is one, without zeros in front
 *   fraction    numerator and denominator as they are: not 2/4 for 1/2
 *   expression  a calculation with each number of the known one, once each, and the same value
 *   letters     a word, letter by letter, without case
 *   time        a time of the day, 16:05; the last one */
#define TASK_CHECKS(X) X(NUMBER, "number") X(WORD, "word") X(TEXT, "text") X(LIST, "list") X(DIGITS, "digits") X(FRACTION, "fraction") \
    X(EXPRESSION, "expression") X(LETTERS, "letters") X(TIME, "time")
#define X(n, s) TASK_##n,
enum task_check { TASK_CHECKS(X) TASK_CHECKS_COUNT };
#undef X
const char *task_check_name(enum task_check c);
bool task_check_by_name(const char *name, enum task_check *out);
/* What an answer without a known check most likely is. */
enum task_check task_check_of(const char *answer);
/* Whether the reply (its answer, without the thought) gives this answer. Also appends what was taken from it to got (may be NULL). */
bool task_reply_is_right(enum task_check c, const char *answer, const char *reply, size_t n, struct str *got);

/* ---- items --------------------------------------------------------------------------------------------------- */

#define TASK_LEVELS 5
/* A bit of a thought that is wrong and noticed: bytes of it from `from` on. A trainer may leave it out of the loss. */
struct task_slip {
    size_t from, len;
};
struct task_item {
    int family, level;
    enum task_check check;
    struct str question, thought, reply; /* the thought says nothing wrong but its slip */
    struct str answer, key;              /* key: what is asked, whatever the wording */
    struct task_slip slip;               /* len 0: none */
};
void task_item_release(struct task_item *it);

enum task_half { TASK_TRAINING, TASK_HELD_OUT, TASK_ANY };
/* The half that a content belongs to: held out when the 64-bit FNV-1a hash of the key is 0 modulo 10. */
bool task_is_held_out(const char *key, size_t n);

/* Families are numbered from 0. */
size_t task_families(void);
const char *task_family_name(size_t family);
const char *task_family_about(size_t family);           /* one line */
int task_family_by_name(const char *name);              /* -1: none */
/* Makes item `index` of a family, level (1 to TASK_LEVELS), seed and half. it is empty or was made before; the caller releases it.
 * Items with different indices may ask the same where a level has few questions. */
int task_make(struct task_item *it, size_t family, int level, uint64_t seed, uint64_t index, enum task_half half, struct err *e);

/* Whether a reply's answer is right: the reward of reinforcement, and what rejection sampling keeps. */
bool tasks_verify(const struct task_item *it, const char *reply, size_t n);

#endif
