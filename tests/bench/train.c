/*
 * train.c - speed of training: passes over random tokens, half of each sequence learnt. Beside it: tests/bench/train_peft.py.
 *
 * usage: train MODEL [TOKENS [LENGTH [f32]]]
 */
#include "model/model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define ROUNDS 4

static int run(struct trainer *t, const struct train_sequence *s, size_t n, int tokens, struct err *e)
{
    const struct train_step step = {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .clip = 1};
    float *logp = calloc((size_t)tokens, sizeof *logp), *coef = calloc((size_t)tokens, sizeof *coef);
    int rc = logp && coef ? 0 : ERR_NOMEM;
    double best = 0;

    for (int i = 0; i < tokens && !rc; i++) coef[i] = -2.0f / (float)tokens;
    for (int round = 0; round < ROUNDS && !rc; round++) {
        int64_t since = clock_mono_us();
        rc = trainer_forward(t, s, n, true, true, logp, e);
        if (!rc) rc = trainer_backward(t, coef, e);
        if (!rc) rc = trainer_step(t, &step, NULL, e);
        double tps = tokens / ((double)(clock_mono_us() - since) * 1e-6);
        best = tps > best ? tps : best;
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    if (!rc) printf("ponder %s: %.0f tokens/s, best of %d, %ld MB\n", trainer_precision(t), best, ROUNDS, usage.ru_maxrss / 1024);
    free(logp);
    free(coef);
    return rc;
}

int main(int argc, char **argv)
{
    int tokens = argc > 2 ? atoi(argv[2]) : 1024, length = argc > 3 ? atoi(argv[3]) : 256, n = length > 1 ? tokens / length : 0;
    struct train_options o = {.rank = 16, .alpha = 32, .targets = TRAIN_ALL, .n_threads = engine_default_threads(), .max_tokens = tokens,
                              .f32 = argc > 4 && !strcmp(argv[4], "f32")};
    struct engine *m = NULL;
    struct trainer *t = NULL;
    struct err e = {0};

    if (argc < 2 || n < 1) return 2;
    int32_t *ids = calloc((size_t)tokens, sizeof *ids);
    uint8_t *learn = calloc((size_t)tokens, 1);
    struct train_sequence *s = calloc((size_t)n, sizeof *s);
    int rc = ids && learn && s ? engine_open(&m, argv[1], &e) : ERR_NOMEM;
    if (!rc) rc = trainer_new(&t, m, &o, &e);
    for (int i = 0; i < n * length && !rc; i++) {
        ids[i] = (int32_t)(((int64_t)i * 7919 + i / 7) % (engine_info(m)->n_vocab - 1000) + 100);
        learn[i] = i % length > length / 2;
    }
    for (int i = 0; i < n && !rc; i++) s[i] = (struct train_sequence){ids + i * length, learn + i * length, (size_t)length, false};
    if (!rc) rc = run(t, s, (size_t)n, n * length, &e);
    if (rc) fprintf(stderr, "%s\n", e.text);
    trainer_free(t);
    engine_free(m);
    free(ids);
    free(learn);
    free(s);
    return rc != 0;
}
