/* train.h - what the files of `ponder train` share: data (train_data.c), losses (train_loss.c), the run (train_run.c), the plot (train_plot.c). */
#ifndef PONDER_CLI_TRAIN_H
#define PONDER_CLI_TRAIN_H

#include "cli/record.h"
#include "model/model.h"
#include "tasks/tasks.h"

enum train_kind { TRAIN_SFT, TRAIN_DPO, TRAIN_KTO, TRAIN_GRPO, TRAIN_KINDS };

/* What one record teaches. */
struct train_item {
    struct train_text texts[2]; /* dpo: chosen and rejected; kto: the second is the prompt with the next record's completion */
    size_t n_prompt[2];         /* tokens before the first learnt one */
    double reference[2];        /* weighed log-probability of what is learnt, by the model as the run began; dpo and kto */
    double weight;
    bool good;                  /* kto */
    bool keep;                  /* sft: not the text is learnt, but to say there what the model alone says */
    char *answer;               /* grpo: the first text is a question's prompt */
    enum task_check check;
    bool thought_open;
};
struct train_data {
    struct train_item *items;
    size_t n, cap;
    size_t records, too_long, empty; /* left out: longer than allowed, nothing to learn */
    size_t tokens, learnt;
};

struct train_want {
    enum train_kind kind;
    const char *base, *data, *to, *init, *log, *valid;
    struct train_options options;
    struct train_style style;
    double lr, lowest, warmup, decay, clip; /* warmup: part of the steps, or steps from 1 on */
    double epochs, beta, sft, weight_good, weight_bad;
    int64_t steps;                          /* 0: as many as the epochs take */
    int batch, max_length;                  /* tokens */
    int prompts, group, reply_max;          /* grpo: questions of a step, replies to each, tokens of a reply */
    double temp, format, brevity;           /* grpo: of sampling; rewards beside 1 for a right answer */
    int save_every;                         /* seconds */
    uint64_t seed;
    bool resume, restart, f32_file, cot_given;
};

/* Reads PATH, a file of JSON lines or a folder with train.jsonl; part: "train" or "valid", of a folder. ERR_FILE with "FILE:LINE: reason". */
int train_data_load(struct train_data *out, const char *path, const char *part, const struct engine *m, const struct train_want *w, struct err *e);
void train_data_release(struct train_data *d);

/* What a step, or a pass without learning, came to. */
struct train_sums {
    double loss, of;            /* sum, and what it is divided by: learnt weight or items */
    double margin, right;       /* dpo: of the rewards; items where it is above 0. kto: the rewards of the good less those of the bad */
    size_t tokens, learnt, items;
    size_t groups, dropped;     /* grpo: questions, and those whose replies were all worth the same */
};
/* What a step of some length is watched by. */
struct train_watch {
    const volatile bool *stop;
    void (*replied)(void *arg, size_t done, size_t of); /* replies sampled; may be NULL */
    void *arg;
};
/* Passes the items through the trainer, as many at a time as fit. learn: adds to the gradient of the mean loss. stop is asked between passes;
 * ERR_STOPPED. */
int train_loss_run(struct trainer *t, const struct train_want *w, struct train_item *const *items, size_t n, bool learn, const volatile bool *stop,
                   struct train_sums *sums, struct err *e);
/* Fills the items' reference by the trainer's model as it is. */
int train_loss_reference(struct trainer *t, const struct train_want *w, struct train_data *d, const volatile bool *stop, struct err *e);

/* Replies to the questions by the model as it is, judged; the gradient of what made them better or worse than the others to the same question. Nothing is
 * added where the replies to every question are worth the same: *any false. round: what chance depends on beside the seed. */
int train_grpo_step(struct trainer *t, const struct engine *m, const struct train_want *w, struct train_item *const *items, size_t n, uint64_t round,
                    const struct train_watch *watch, bool *any, struct train_sums *sums, struct err *e);

/* Flags of supervised training that take a value, and those that take none, for args_begin. */
#define TRAIN_SFT_VALUES " -o --init --log --valid --rank --alpha --targets --lr --lowest --warmup --decay --clip --epochs --steps --batch --at-once --max-length" \
    " --thought-weight --answer-weight --save-every --memory --cot --seed --threads -t "
#define TRAIN_SWITCHES " --resume --restart --f32 --f32-file "
void train_defaults(struct train_want *w, enum train_kind kind);
/* Takes what the walk through the arguments stands at. */
int train_take_flag(const struct args *a, struct train_want *w, struct err *e);
/* What is missing is told, what follows from the rest is set. 0, or the exit code. */
int train_check(const char *command, struct train_want *w);
/* Trains, or goes on. The exit code. */
int train_run(const struct train_want *w);

/* Prints the losses of a log as a plot. */
int train_plot(const char *path);

#endif
