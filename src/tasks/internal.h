/* internal.h - what the files of tasks share: a maker writes one item. */
#ifndef PONDER_TASKS_INTERNAL_H
#define PONDER_TASKS_INTERNAL_H

#include "tasks/tasks.h"

struct maker {
    struct task_random random;
    struct task_item *it;
    int level;
    int slip_in;  /* results until one is written wrong and then right; below 0 never */
    bool checks;  /* the thought ends with a check where the family has one */
    bool bare;    /* the question asks for the answer alone */
};

/* ---- writing (write.c) --------------------------------------------------------------------------------------- */

int draw(struct maker *m, int low, int high);                                 /* low to high, both included */
bool chance(struct maker *m, int in_hundred);
#define PICK(m, list) ((list)[task_random_below(&(m)->random, (uint32_t)ARRAY_LEN(list))])
void shuffle(struct maker *m, int *items, int n);
void ask(struct maker *m, const char *fmt, ...) PRINTF_LIKE(2, 3);            /* appends to the question */
void line(struct maker *m);                                                   /* the thought goes on on a new line */
void say(struct maker *m, const char *fmt, ...) PRINTF_LIKE(2, 3);            /* a line of the thought */
void go_on(struct maker *m, const char *fmt, ...) PRINTF_LIKE(2, 3);          /* more of that line */
void key(struct maker *m, const char *fmt, ...) PRINTF_LIKE(2, 3);            /* appends to what is asked */
/* Writes "LEFT = VALUE" on the line; now and then a wrong value first, "Wait, that is wrong", and the right one. */
void result(struct maker *m, int64_t value, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The answer, the last line of the thought ("So the answer is 5.") and the reply. To be called once, at the end. */
void answer(struct maker *m, enum task_check check, const char *fmt, ...) PRINTF_LIKE(3, 4);
void answer_number(struct maker *m, int64_t value);
/* Puts a sentence in place of "The answer is ...", unless the answer alone is asked for. */
void reply(struct maker *m, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A request behind the question for the answer alone, in some of the items. what: "number". */
void perhaps_only(struct maker *m, const char *what);

/* ---- sums worked out on paper (work.c) ----------------------------------------------------------------------- */

/* Each writes its lines and returns the result. Numbers are split so that every step changes one digit and a carry. */
int64_t work_add(struct maker *m, int64_t a, int64_t b);
int64_t work_subtract(struct maker *m, int64_t a, int64_t b);
int64_t work_multiply(struct maker *m, int64_t a, int64_t b);
/* a and b above 0; the rest goes to *rest. */
int64_t work_divide(struct maker *m, int64_t a, int64_t b, int64_t *rest);
int64_t gcd_of(int64_t a, int64_t b);
/* Euclid's steps. */
int64_t work_gcd(struct maker *m, int64_t a, int64_t b);

/* ---- words (lexicon.c) --------------------------------------------------------------------------------------- */

extern const char *const lexicon_names[];
extern const size_t lexicon_names_count;
extern const char *const lexicon_words[];
extern const size_t lexicon_words_count;
const char *a_name(struct maker *m);
/* A word of the list with so many letters, or one that is made up of syllables. out holds 24 bytes. */
void a_word(struct maker *m, int min, int max, bool made_up, char out[24]);

/* ---- families ------------------------------------------------------------------------------------------------ */

#define TASK_FAMILIES(X)                                                                                                                   \
    X(sum, "sums and differences of several numbers")                                                                                      \
    X(arithmetic, "calculations with all four operations and brackets")                                                                    \
    X(product, "products of two or three numbers")                                                                                         \
    X(word, "word problems of one to four steps")                                                                                          \
    X(equation, "equations with one unknown")                                                                                              \
    X(compare, "the larger or smaller of two or three numbers")                                                                            \
    X(sort, "numbers put in order")                                                                                                        \
    X(fraction, "fractions in lowest terms")                                                                                               \
    X(gcd, "greatest common divisors")                                                                                                     \
    X(lcm, "least common multiples")                                                                                                       \
    X(base, "numbers in other bases")                                                                                                      \
    X(bits, "ones in the binary form of a number")                                                                                         \
    X(calendar, "days of the week, days between dates, leap years")                                                                        \
    X(clock, "times of the day")                                                                                                           \
    X(unit, "units of measure")                                                                                                            \
    X(letters, "how often a letter stands in a text")                                                                                      \
    X(backward, "words spelled backwards")                                                                                                 \
    X(boolean, "true and false, joined by and, or, not")                                                                                   \
    X(coin, "a coin that is turned or not")                                                                                                \
    X(path, "the shortest way through a few towns")                                                                                        \
    X(countdown, "a target made of given numbers")                                                                                         \
    X(legs, "the legs of many animals")                                                                                                    \
    X(sequence, "the next number of a sequence")                                                                                           \
    X(order, "who comes first or last of some people")                                                                                     \
    X(direct, "questions that need hardly a thought")
#define X(name, about) void make_##name(struct maker *m);
TASK_FAMILIES(X)
#undef X

#endif
