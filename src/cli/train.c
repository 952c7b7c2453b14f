/* train.c - ponder train: arguments, and the plot of a log. */
#include "cli/train.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char with_value[] = " --base --data --beta --sft --good-weight --bad-weight --plot --prompts --group --reply-max --temp --format-reward --brevity" TRAIN_SFT_VALUES;

static const struct number {
    const char *flag;
    size_t at;
    bool whole;
    double low, high;
} numbers[] = {
#define REAL(flag, field, low, high) {flag, offsetof(struct train_want, field), false, low, high}
    REAL("--alpha", options.alpha, -1e4, 1e4), REAL("--lr", lr, 0, 10), REAL("--lowest", lowest, 0, 1), REAL("--warmup", warmup, 0, 1e6),
    REAL("--decay", decay, 0, 10), REAL("--clip", clip, 0, 1e6), REAL("--epochs", epochs, 0.001, 1e4), REAL("--beta", beta, 0.0001, 100),
    REAL("--sft", sft, 0, 100), REAL("--good-weight", weight_good, 0, 1000), REAL("--bad-weight", weight_bad, 0, 1000),
    REAL("--thought-weight", style.thought_weight, 0, 100), REAL("--answer-weight", style.answer_weight, 0, 100),
    REAL("--temp", temp, 0.01, 10), REAL("--format-reward", format, 0, 10), REAL("--brevity", brevity, 0, 10),
#undef REAL
#define WHOLE(flag, field, low, high) {flag, offsetof(struct train_want, field), true, low, high}
    WHOLE("--rank", options.rank, 1, 256), WHOLE("--batch", batch, 1, 1e7), WHOLE("--at-once", options.max_tokens, 1, 65536),
    WHOLE("--max-length", max_length, 2, 65536), WHOLE("--save-every", save_every, 1, 1e6), WHOLE("--threads", options.n_threads, 1, 256),
    WHOLE("-t", options.n_threads, 1, 256), WHOLE("--prompts", prompts, 1, 1024), WHOLE("--group", group, 2, 64), WHOLE("--reply-max", reply_max, 1, 32768),
#undef WHOLE
};

static int take_number(const struct args *a, const struct number *n, struct train_want *w, struct err *e)
{
    char *end;
    double v = strtod(a->value, &end);
    int whole = (int)v;

    if (end == a->value || *end || !(v >= n->low && v <= n->high) || (n->whole && v != floor(v)))
        return err_set(e, ERR_USAGE, "train: %s takes a %snumber from %g to %g, not \"%s\"", a->name, n->whole ? "whole " : "", n->low, n->high, a->value);
    memcpy((char *)w + n->at, n->whole ? (void *)&whole : (void *)&v, n->whole ? sizeof whole : sizeof v);
    return 0;
}

static int take_large(const struct args *a, uint64_t most, uint64_t *out, struct err *e)
{
    char *end;

    errno = 0;
    unsigned long long v = strtoull(a->value, &end, 10);
    if (!a->value[0] || a->value[0] == '-' || *end || errno || v > most) return err_set(e, ERR_USAGE, "train: %s takes a whole number, not \"%s\"", a->name, a->value);
    *out = v;
    return 0;
}

int train_take_flag(const struct args *a, struct train_want *w, struct err *e)
{
    const struct {
        const char *flag;
        const char **to;
    } texts[] = {{"--base", &w->base}, {"--data", &w->data}, {"-o", &w->to}, {"--init", &w->init}, {"--log", &w->log}, {"--valid", &w->valid}};
    const struct {
        const char *flag;
        bool *to;
    } switches[] = {{"--resume", &w->resume}, {"--restart", &w->restart}, {"--f32", &w->options.f32}, {"--f32-file", &w->f32_file}};
    uint64_t v = 0;
    int rc = 0;

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (args_is(a, numbers[i].flag)) return take_number(a, &numbers[i], w, e);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (args_is(a, texts[i].flag)) *texts[i].to = a->value;
    for (size_t i = 0; i < ARRAY_LEN(switches); i++)
        if (args_is(a, switches[i].flag)) *switches[i].to = true;
    if (args_is(a, "--targets")) return train_targets_parse(&w->options.targets, a->value, e);
    if (args_is(a, "--seed")) rc = take_large(a, UINT64_MAX, &w->seed, e);
    if (args_is(a, "--steps") && !(rc = take_large(a, 1000000000, &v, e))) w->steps = (int64_t)v;
    if (args_is(a, "--memory") && !(rc = take_large(a, 1 << 20, &v, e))) w->options.memory = v << 20;
    if (args_is(a, "--cot")) {
        w->cot_given = true;
        w->style.prompted = strcmp(a->value, "off") != 0;
        w->style.examples = !strcmp(a->value, "few");
        if (w->style.prompted && !w->style.examples && strcmp(a->value, "step") != 0)
            return err_set(e, ERR_USAGE, "train: --cot takes step, few or off, not \"%s\"", a->value);
    }
    return rc;
}

/* What differs between the kinds. */
void train_defaults(struct train_want *w, enum train_kind kind)
{
    static const double rates[TRAIN_KINDS] = {2e-4, 1e-5, 2e-5, 5e-5};

    *w = (struct train_want){.kind = kind, .lr = rates[kind], .lowest = 0.1, .warmup = 0.05, .clip = 1, .epochs = 1, .beta = 0.1, .weight_good = 1,
                             .weight_bad = 1, .prompts = 8, .group = 8, .reply_max = 256, .temp = 1, .format = 0.1, .brevity = 0.05, .batch = 4096, .max_length = 1024, .save_every = 120, .seed = 1};
    w->options = (struct train_options){.rank = 16, .targets = TRAIN_ALL, .max_tokens = 0, .n_threads = engine_default_threads()};
    w->style = (struct train_style){.thought_weight = 1, .answer_weight = 1, .prompted = true};
}

int train_check(const char *name, struct train_want *w)
{
    if (!w->data) return cli_usage(name, "--data PATH is missing");
    if (!w->to || !w->to[0]) return cli_usage(name, "-o ADAPTER.gguf is missing");
    if (w->options.alpha == 0) w->options.alpha = 2 * w->options.rank;
    if (!w->options.max_tokens) w->options.max_tokens = w->batch < 1024 ? w->batch : 1024;
    /* the longest record passes alone: a pair, or a pair of texts that are not compared */
    int longest = w->max_length * (w->kind == TRAIN_SFT || w->kind == TRAIN_GRPO ? 1 : 2);
    if (w->options.max_tokens < longest) w->options.max_tokens = longest;
    w->options.seed = w->seed;
    return 0;
}

int cmd_train(int argc, char **argv)
{
    static const char *const kinds[TRAIN_KINDS] = {"sft", "dpo", "kto", "grpo"};
    struct train_want w = {0};
    const char *plot = NULL;
    struct args a;
    enum args_kind kind;
    bool named = false;
    int rc;

    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return cli_command_help("train");
    if ((rc = args_begin(&a, argc, argv, with_value, TRAIN_SWITCHES))) return rc;
    for (int i = 0; i < TRAIN_KINDS && argc > 1; i++)
        if (!strcmp(argv[1], kinds[i])) {
            w.kind = (enum train_kind)i;
            named = true;
        }
    train_defaults(&w, w.kind);
    a.at = named ? 2 : 1;
    while (!rc && (kind = args_next(&a)) != ARGS_END) {
        if (kind == ARGS_BAD) rc = 2;
        else if (kind == ARGS_WORD) rc = cli_usage("train", "%s is none of sft, dpo, kto and grpo", a.value);
        else if (args_is(&a, "--plot")) plot = a.value;
        else if (train_take_flag(&a, &w, &a.err)) rc = cli_fail(&a.err);
    }
    if (!rc && plot) {
        rc = train_plot(plot);
    } else if (!rc) {
        if (!w.base) w.base = a.set.model;
        rc = named ? train_check("train", &w) : cli_usage("train", "say what to do: sft, dpo, kto, grpo, or --plot LOG");
        if (!rc) rc = train_run(&w);
    }
    args_end(&a);
    return rc;
}
