/* eval.h - what the files of `ponder eval` share: questions in groups, and what came of them with and without an adapter. */
#ifndef PONDER_CLI_EVAL_H
#define PONDER_CLI_EVAL_H

#include "cli/sweep.h"

#define EVAL_BUDGETS_MAX 8
#define EVAL_SETS_MAX    8
#define EVAL_VOTES_MAX   16
#define EVAL_GROUPS_MAX  128

enum eval_run { RUN_BASE, RUN_ADAPTER, RUNS };
extern const char *const eval_run_names[RUNS];

struct budget_list {
    struct budget items[EVAL_BUDGETS_MAX];
    size_t n;
};

/* What the file says. */
struct eval_config {
    char *model, *adapter, *text;       /* text: for perplexity; "" none */
    char *families;                     /* of `ponder tasks`, or "all" */
    int level_min, level_max, count;    /* questions of a family, over its levels */
    enum task_half half;                /* held out, or those of training, to sample from */
    long seed;
    double temp, single_temp;           /* of votes; of all other replies, 0 where budgets are compared */
    int votes[RUNS], answer_max;
    struct budget_list budgets[RUNS];
    bool has_base_budgets, has_base_votes;
    enum { THINKS_AS_TAUGHT, THINKS_PROMPTED, THINKS_TRAINED } thinks; /* with the adapter: as its file says; asked to, or taught to, whatever it says */
    struct {
        char *name, *file;
        int limit;
    } sets[EVAL_SETS_MAX];              /* more questions, from files */
    size_t n_sets;
};
/* Files named in it are relative to its folder. */
int eval_config_load(struct eval_config *c, const char *path, struct err *e);
void eval_config_release(struct eval_config *c);

/* A family, or a family of a set. */
struct eval_group {
    char name[64];
    bool own;                            /* of `ponder tasks`: counted in the means */
    int n;                               /* questions */
    int asked[RUNS][EVAL_BUDGETS_MAX];   /* replies so far: fewer than n where it was stopped */
    int right[RUNS][EVAL_BUDGETS_MAX];
    int voted[RUNS], vote_one[RUNS], vote_all[RUNS]; /* votes so far; right voices, right votes */
};
struct eval_question {
    struct question q;
    size_t group;
};
struct eval_questions {
    struct eval_question *items;
    size_t n;
    struct eval_group groups[EVAL_GROUPS_MAX];
    size_t n_groups;
};
/* Items of `ponder tasks`, dealt over the levels, and the files' questions. */
int eval_questions_load(struct eval_questions *out, const struct eval_config *c, struct err *e);
void eval_questions_release(struct eval_questions *q);
/* The prompt of a question as a chat has it (system "": none), in place of what out held. *open: it ends inside a thought. */
int eval_prompt(const struct engine *m, const struct family *f, const char *system, const char *question, bool think, bool examples, struct tokens *out,
                bool *open, struct err *e);
/* "2" or "1..3" as levels of exercises. ERR_USAGE. */
int levels_parse(const char *text, int *low, int *high, struct err *e);

struct eval_results {
    struct cell cells[RUNS][EVAL_BUDGETS_MAX + 2]; /* of own families: a cell for each budget, one voice, all voices */
    int replies[RUNS], one_thought[RUNS], by_itself[RUNS], with_budget[RUNS]; /* with_budget: replies at the largest budget */
    double perplexity[RUNS];                       /* 0 not measured */
    int64_t ms[RUNS];
    bool ran[RUNS];
};
void eval_table(const struct eval_config *c, const struct eval_questions *q, const struct eval_results *r, struct str *out);
void eval_summary(const struct eval_config *c, const struct eval_questions *q, const struct eval_results *r, struct str *out);
void eval_csv(const struct eval_config *c, const struct eval_questions *q, const struct eval_results *r, struct str *out);

#endif
