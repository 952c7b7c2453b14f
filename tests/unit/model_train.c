/* Training: log-probabilities and every gradient against a double-precision forward pass, the optimiser against its definition, adapters that are
 * applied as they were taught, and runs that go on as if nothing had happened. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine_help.h"
#include "model/train.h"

enum { N_IDS = 12, RANK = 3 };

static const struct tiny_spec specs[] = {
    {"llama", "llama", TENSOR_Q8_0, 2, 32, 64, 4, 2, 8, 8, 97, 64, true, false, SCALING_LLAMA3},
    {"qwen2 with biases", "qwen2", TENSOR_F16, 2, 36, 44, 3, 1, 12, 12, 101, 64, false, true, SCALING_NONE},
    {"qwen3 with norms of heads", "qwen3", TENSOR_Q4_0, 2, 32, 96, 4, 2, 16, 16, 97, 64, true, false, SCALING_NONE},
};

static const struct train_options plain = {.rank = RANK, .alpha = 5, .targets = TRAIN_ALL, .seed = 3, .n_threads = 2, .max_tokens = 64, .f32 = true};

/* A model with its file open, and a trainer whose B halves are not zero. */
struct bench {
    struct tiny_model m;
    struct engine *engine;
    struct trainer *t;
};

static struct trainer *new_trainer(const struct engine *m, const struct train_options *o)
{
    struct trainer *t;
    struct err e = {0};
    if (trainer_new(&t, m, o, &e)) fail_msg("%s", e.text);
    return t;
}

static void fill_values(struct trainer *t, uint64_t seed)
{
    struct tiny_model random = {.seed = seed};
    for (size_t i = 0; i < t->n_values; i++) t->values[i] = (float)(0.3 * tiny_random(&random));
}

static void bench_init(struct bench *b, const struct tiny_spec *spec, const struct train_options *o)
{
    struct err e = {0};
    tiny_init(&b->m, spec);
    b->m.exact = true;
    assert_int_equal(gw_save(&b->m.w, file, SIZE_MAX), 0);
    if (engine_open(&b->engine, file, &e)) fail_msg("%s", e.text);
    b->t = new_trainer(b->engine, o);
    fill_values(b->t, 11);
}

static void bench_release(struct bench *b)
{
    trainer_free(b->t);
    engine_free(b->engine);
    tiny_release(&b->m);
}

static void run_forward(struct trainer *t, const struct train_sequence *s, size_t n, bool adapted, bool keep, float *logp)
{
    struct err e = {0};
    if (trainer_forward(t, s, n, adapted, keep, logp, &e)) fail_msg("%s", e.text);
}

/* ---- the reference ------------------------------------------------------------------------------------------------------ */

/* The model's matrices with the adapter merged in, made anew from what was there before. */
static double *originals[8][TINY_MATRICES];

static void keep_originals(const struct tiny_model *m)
{
    for (int i = 0; i < m->s.n_layer; i++)
        for (int k = 0; k < TINY_MATRICES; k++) originals[i][k] = m->layers[i].m[k];
}

static void merge(struct tiny_model *m, const struct trainer *t, int layer, const struct train_group *g, const struct train_part *p, const double *values)
{
    int n_in = g->n_in, n_out = (int)p->w->n_out, rank = t->o.rank;
    double *to = m->layers[layer].m[p->which];
    const double *a = values + g->a + (size_t)(p->low_at - g->n_out) * (size_t)n_in, *b = values + p->b;

    memcpy(to, originals[layer][p->which], (size_t)n_in * (size_t)n_out * sizeof(double));
    for (int r = 0; r < n_out; r++)
        for (int j = 0; j < rank; j++)
            for (int c = 0; c < n_in; c++) to[r * n_in + c] += t->o.alpha / rank * b[r * rank + j] * a[j * n_in + c];
}

/* log of the sum of exponentials */
static double all_of(const double *row, int n)
{
    double max = row[0], sum = 0;

    for (int v = 0; v < n; v++) max = row[v] > max ? row[v] : max;
    for (int v = 0; v < n; v++) sum += exp(row[v] - max);
    return max + log(sum);
}

/* -KL(alone || row) of two rows of logits */
static double likeness(const double *row, const double *alone, int n)
{
    double all = all_of(row, n), all_alone = all_of(alone, n), sum = 0;

    for (int v = 0; v < n; v++) sum += exp(alone[v] - all_alone) * ((row[v] - all) - (alone[v] - all_alone));
    return sum;
}

/* -sum of weight times log-probability of the labels, by the model as it is; alone: each sequence's logits before it was adapted. */
static double loss_of(const struct tiny_model *m, const struct train_sequence *s, size_t n, const double *weights, double *logp, double *const alone[])
{
    double loss = 0;

    for (size_t q = 0; q < n; q++) {
        double *logits = tiny_forward(m, s[q].ids, (int)s[q].n);
        for (size_t i = 1; i < s[q].n; i++) {
            if (!s[q].learn[i]) continue;
            const size_t at = (i - 1) * (size_t)m->s.n_vocab;
            double l = s[q].as_alone ? likeness(logits + at, alone[q] + at, m->s.n_vocab) : logits[at + (size_t)s[q].ids[i]] - all_of(logits + at, m->s.n_vocab);
            if (logp) *logp++ = l;
            loss -= *weights++ * l;
        }
        free(logits);
    }
    return loss;
}

static const int32_t ids_a[N_IDS] = {5, 90, 17, 3, 44, 44, 8, 61, 29, 70, 12, 1}, ids_b[7] = {33, 5, 6, 80, 2, 91, 4};
static const uint8_t learn_a[N_IDS] = {1, 0, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1}, learn_b[7] = {0, 1, 1, 1, 0, 0, 1};
static const struct train_sequence sequences[2] = {{ids_a, learn_a, N_IDS, false}, {ids_b, learn_b, 7, false}};
/* the first is to stay as the model alone has it, the second is learnt; and both */
static const struct train_sequence one_kept[2] = {{ids_a, learn_a, N_IDS, true}, {ids_b, learn_b, 7, false}};
static const struct train_sequence all_kept[2] = {{ids_a, learn_a, N_IDS, true}, {ids_b, learn_b, 7, true}};
enum { N_LABELS = 11 };
static const double label_weights[N_LABELS] = {1, 0.5, 2, 1, 1, 0.25, 1, 1, 3, -1, 1};

/* Every value's gradient against central differences of the double-precision loss. */
static void check_gradients(struct bench *b, const char *name, const struct train_sequence s[2])
{
    struct trainer *t = b->t;
    float logp[N_LABELS], coef[N_LABELS];
    double want_logp[N_LABELS], *values = tiny_alloc(t->n_values * sizeof(double)), step = 1e-4;
    const size_t every = getenv("PONDER_QUICK") ? 7 : 1;
    size_t checked = 0;
    double *alone[2] = {tiny_forward(&b->m, s[0].ids, (int)s[0].n), tiny_forward(&b->m, s[1].ids, (int)s[1].n)};

    keep_originals(&b->m);
    for (int i = 0; i < b->m.s.n_layer; i++)
        for (int k = 0; k < TINY_MATRICES; k++) {
            int n = k == TINY_O ? b->m.s.n_head * b->m.s.head_dim : k == TINY_DOWN ? b->m.s.n_ff : b->m.s.n_embd, rows = b->m.s.n_embd;
            if (k == TINY_Q) rows = b->m.s.n_head * b->m.s.head_dim;
            if (k == TINY_K || k == TINY_V) rows = b->m.s.n_head_kv * b->m.s.head_dim;
            if (k == TINY_GATE || k == TINY_UP) rows = b->m.s.n_ff;
            b->m.layers[i].m[k] = tiny_alloc((size_t)n * (size_t)rows * sizeof(double));
            memcpy(b->m.layers[i].m[k], originals[i][k], (size_t)n * (size_t)rows * sizeof(double));
        }
    for (size_t i = 0; i < t->n_values; i++) values[i] = (double)t->values[i];
    for (int i = 0; i < t->w->n_layer; i++)
        for (int k = 0; k < TRAIN_GROUPS; k++)
            for (int p = 0; p < t->groups[i][k].n_parts; p++)
                if (t->groups[i][k].parts[p].low_at >= 0) merge(&b->m, t, i, &t->groups[i][k], &t->groups[i][k].parts[p], values);
    loss_of(&b->m, s, 2, label_weights, want_logp, alone);
    run_forward(t, s, 2, true, true, logp);
    for (int i = 0; i < N_LABELS; i++) {
        if (!(fabs(want_logp[i] - (double)logp[i]) < 1e-5 * (1 + fabs(want_logp[i])))) fail_msg("%s: label %d: %g, not %g", name, i, (double)logp[i], want_logp[i]);
        coef[i] = (float)-label_weights[i];
    }
    trainer_clear(t);
    assert_int_equal(trainer_backward(t, coef, NULL), 0);
    for (int i = 0; i < t->w->n_layer; i++)
        for (int k = 0; k < TRAIN_GROUPS; k++) {
            const struct train_group *g = &t->groups[i][k];
            for (int p = 0; p < g->n_parts; p++) {
                const struct train_part *part = &g->parts[p];
                if (part->low_at < 0) continue;
                const size_t places[2] = {g->a + (size_t)(part->low_at - g->n_out) * (size_t)g->n_in, part->b};
                const size_t counts[2] = {(size_t)(RANK * g->n_in), (size_t)RANK * (size_t)part->w->n_out};
                for (int half = 0; half < 2; half++) {
                    double worst = 0, largest = 0;
                    for (size_t v = places[half]; v < places[half] + counts[half]; v += every) {
                        double was = values[v], up, down;
                        values[v] = was + step;
                        merge(&b->m, t, i, g, part, values);
                        up = loss_of(&b->m, s, 2, label_weights, NULL, alone);
                        values[v] = was - step;
                        merge(&b->m, t, i, g, part, values);
                        down = loss_of(&b->m, s, 2, label_weights, NULL, alone);
                        values[v] = was;
                        double want = (up - down) / (2 * step), off = fabs(want - (double)t->grads[v]);
                        largest = fabs(want) > largest ? fabs(want) : largest;
                        worst = off > worst ? off : worst;
                        checked++;
                    }
                    merge(&b->m, t, i, g, part, values);
                    if (!(worst < 1e-4 * largest))
                        fail_msg("%s: layer %d, %s, half %d: off by %g of %g", name, i, train_target_name(part->which), half, worst, largest);
                }
            }
        }
    if (every == 1) assert_int_equal(checked, t->n_values);
    for (int i = 0; i < b->m.s.n_layer; i++)
        for (int k = 0; k < TINY_MATRICES; k++) {
            free(b->m.layers[i].m[k]);
            b->m.layers[i].m[k] = originals[i][k];
        }
    free(values);
    free(alone[0]);
    free(alone[1]);
}

static void gradients_match_differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        struct bench b;
        bench_init(&b, &specs[i], &plain);
        check_gradients(&b, specs[i].name, i == 0 ? one_kept : sequences);
        bench_release(&b);
    }
}

/* What is to stay costs nothing where nothing has changed, and something where the adapter says something else. */
static void what_is_kept_is_measured_against_the_model_alone(void **state)
{
    (void)state;
    struct bench b;
    float logp[N_LABELS], plain_logp[N_LABELS], alone[N_LABELS];

    bench_init(&b, &specs[1], &plain);
    run_forward(b.t, all_kept, 2, true, false, logp);
    for (int i = 0; i < N_LABELS; i++) assert_true(logp[i] < -1e-4f && logp[i] > -20);
    run_forward(b.t, one_kept, 2, true, false, alone);
    run_forward(b.t, sequences, 2, true, false, plain_logp);
    for (int i = 0; i < 7; i++) assert_true(fabsf(alone[i] - logp[i]) < 1e-5f);
    for (int i = 7; i < N_LABELS; i++) assert_true(fabsf(alone[i] - plain_logp[i]) < 1e-5f);
    run_forward(b.t, sequences, 2, false, false, plain_logp);
    run_forward(b.t, all_kept, 2, false, false, alone);
    assert_memory_equal(alone, plain_logp, sizeof alone);
    for (size_t i = 0; i < b.t->n_values; i++) b.t->values[i] = 0;
    run_forward(b.t, all_kept, 2, true, false, logp);
    for (int i = 0; i < N_LABELS; i++) assert_true(fabsf(logp[i]) < 1e-5f);
    bench_release(&b);
}

/* ---- beside PyTorch and PEFT --------------------------------------------------------------------------------------------- */

static const struct tiny_spec peft_spec = {"peft", "qwen2", TENSOR_F32, 2, 36, 44, 3, 1, 12, 12, 101, 64, false, true, SCALING_NONE};
static const struct train_options peft_options = {.rank = 4, .alpha = 8, .targets = TRAIN_ALL, .seed = 5, .n_threads = 2, .max_tokens = 64, .f32 = true};

/* The batches of tests/train/record_peft.py. */
static size_t peft_batch(int step, int32_t ids[2][32], uint8_t learn[2][32], struct train_sequence out[2])
{
    size_t labels = 0;

    for (int s = 0; s < 2; s++) {
        int n = 9 + 5 * s + step % 3;
        for (int i = 0; i < n; i++) {
            ids[s][i] = (i * i * 7 + 31 * step + 13 * s + i) % 101;
            learn[s][i] = i > 0 && (i + step + s) % 4 != 0;
            labels += learn[s][i];
        }
        out[s] = (struct train_sequence){ids[s], learn[s], (size_t)n, false};
    }
    return labels;
}

static const struct train_part *part_named(const struct trainer *t, const char *name, const struct train_group **group)
{
    char expected[96];

    for (int i = 0; i < t->w->n_layer; i++)
        for (int k = 0; k < TRAIN_GROUPS; k++)
            for (int p = 0; p < t->groups[i][k].n_parts; p++) {
                *group = &t->groups[i][k];
                snprintf(expected, sizeof expected, "blk.%d.%s.weight.lora_", i, train_target_name(t->groups[i][k].parts[p].which));
                if (!strncmp(name, expected, strlen(expected))) return &t->groups[i][k].parts[p];
            }
    fail_msg("no %s", name);
    return NULL;
}

/* One step of the mean loss over the learnt tokens; returns it. */
static double sft_step(struct trainer *t, int step, double lr, double *norm)
{
    int32_t ids[2][32];
    uint8_t learn[2][32];
    struct train_sequence s[2];
    float logp[64], coef[64];
    double loss = 0;
    struct err e = {0};
    size_t n = peft_batch(step, ids, learn, s);

    run_forward(t, s, 2, true, true, logp);
    for (size_t i = 0; i < n; i++) {
        coef[i] = -1.0f / (float)n;
        loss -= (double)logp[i] / (double)n;
    }
    assert_int_equal(trainer_backward(t, coef, NULL), 0);
    if (trainer_step(t, &(struct train_step){.lr = lr, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 0.01, .clip = 1}, norm, &e)) fail_msg("%s", e.text);
    return loss;
}

static void dump(const struct bench *b, const char *to)
{
    char path[512];
    snprintf(path, sizeof path, "%s/model.gguf", to);
    assert_int_equal(gw_save(&b->m.w, path, SIZE_MAX), 0);
    snprintf(path, sizeof path, "%s/adapter.gguf", to);
    assert_int_equal(trainer_write_adapter(b->t, path, false, NULL), 0);
}

static void ten_steps_match_pytorch(void **state)
{
    (void)state;
    struct bench b;
    char line[256], name[96];
    int steps = 0, values = 0;

    bench_init(&b, &peft_spec, &peft_options);
    if (getenv("PONDER_TRAIN_DUMP")) dump(&b, getenv("PONDER_TRAIN_DUMP"));
    FILE *f = fopen("tests/vectors/train-peft.txt", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        int at;
        double want, want_norm, norm = 0;
        if (sscanf(line, "step %d %lf %lf", &at, &want, &want_norm) == 3) {
            double loss = sft_step(b.t, at, train_schedule(5e-3, 0.1, at, 3, 10), &norm);
            if (!(fabs(loss - want) < 1e-4 * fabs(want))) fail_msg("step %d: a loss of %.8g, not %.8g", at, loss, want);
            if (!(fabs(norm - want_norm) < 1e-4 * want_norm)) fail_msg("step %d: a norm of %.8g, not %.8g", at, norm, want_norm);
            steps++;
        } else if (sscanf(line, "value %95s %d %lf", name, &at, &want) == 3) {
            const struct train_group *g = NULL;
            const struct train_part *p = part_named(b.t, name, &g);
            bool low = name[strlen(name) - 1] == 'a';
            double got = (double)b.t->values[(low ? g->a + (size_t)(p->low_at - g->n_out) * (size_t)g->n_in : p->b) + (size_t)at];
            if (!(fabs(got - want) < 1e-4 * (fabs(want) + 0.1))) fail_msg("%s[%d] is %.8g, not %.8g", name, at, got, want);
            values++;
        }
    }
    fclose(f);
    assert_int_equal(steps, 10);
    assert_int_equal(values, 84);
    bench_release(&b);
}

/* ---- the same again ------------------------------------------------------------------------------------------------------ */

static void bits_do_not_depend_on_threads_or_memory(void **state)
{
    (void)state;
    struct bench b;
    float want[N_LABELS], got[N_LABELS], coef[N_LABELS];

    bench_init(&b, &specs[0], &plain);
    for (int i = 0; i < N_LABELS; i++) coef[i] = (float)label_weights[i];
    run_forward(b.t, one_kept, 2, true, true, want);
    assert_int_equal(trainer_backward(b.t, coef, NULL), 0);
    for (int i = 0; i < 3; i++) {
        struct train_options o = plain;
        o.n_threads = i == 2 ? 3 : 1;
        o.memory = i == 1 ? 1 : 0;
        struct trainer *t = new_trainer(b.engine, &o);
        assert_int_equal(trainer_recomputes(t), i == 1);
        fill_values(t, 11);
        run_forward(t, one_kept, 2, true, true, got);
        assert_memory_equal(got, want, sizeof want);
        assert_int_equal(trainer_backward(t, coef, NULL), 0);
        assert_memory_equal(t->grads, b.t->grads, t->n_values * sizeof(float));
        trainer_free(t);
    }
    bench_release(&b);
}

/* Where the machine has AMX: bf16 says and teaches nearly what f32 does, and the same on any number of threads. */
static void bf16_is_near_f32(void **state)
{
    (void)state;
    float want[N_LABELS], got[N_LABELS], coef[N_LABELS];

    if (strcmp(engine_kernels(), "amx") != 0) skip();
    for (int i = 0; i < N_LABELS; i++) coef[i] = (float)label_weights[i];
    for (size_t k = 0; k < ARRAY_LEN(specs); k++) {
        struct bench b;
        bench_init(&b, &specs[k], &plain);
        struct train_options o = plain;
        o.f32 = false;
        struct trainer *t = new_trainer(b.engine, &o);
        o.n_threads = 3;
        struct trainer *same = new_trainer(b.engine, &o);
        double off = 0, all = 0;
        assert_string_equal(trainer_precision(t), "bf16");
        assert_string_equal(trainer_precision(b.t), "f32");
        fill_values(t, 11);
        fill_values(same, 11);
        run_forward(b.t, one_kept, 2, true, true, want);
        run_forward(t, one_kept, 2, true, true, got);
        for (int i = 0; i < N_LABELS; i++)
            if (!(fabsf(got[i] - want[i]) < 0.02f * (1 + fabsf(want[i])))) fail_msg("%s: label %d: %g, not %g", specs[k].name, i, (double)got[i], (double)want[i]);
        assert_int_equal(trainer_backward(b.t, coef, NULL), 0);
        assert_int_equal(trainer_backward(t, coef, NULL), 0);
        for (size_t i = 0; i < t->n_values; i++) {
            double d = (double)t->grads[i] - (double)b.t->grads[i];
            off += d * d;
            all += (double)b.t->grads[i] * (double)b.t->grads[i];
        }
        if (!(sqrt(off / all) < 0.05)) fail_msg("%s: the gradient is off by %g of %g", specs[k].name, sqrt(off), sqrt(all));
        run_forward(same, one_kept, 2, true, true, want);
        assert_memory_equal(got, want, sizeof got);
        assert_int_equal(trainer_backward(same, coef, NULL), 0);
        assert_memory_equal(t->grads, same->grads, t->n_values * sizeof(float));
        trainer_free(same);
        trainer_free(t);
        bench_release(&b);
    }
}

/* What is taught of fewer matrices is what all of them would have been taught there. */
static void targets_are_taught_alone(void **state)
{
    (void)state;
    struct bench b;
    float logp[N_LABELS], coef[N_LABELS];
    struct train_options o = plain;
    struct err e = {0};

    bench_init(&b, &specs[0], &plain);
    for (int i = 0; i < N_LABELS; i++) coef[i] = (float)label_weights[i];
    memset(b.t->values, 0, b.t->n_values * sizeof(float));
    for (size_t i = 0; i < b.t->n_values; i++) b.t->values[i] = 0;
    assert_int_equal(train_targets_parse(&o.targets, "attn_v,ffn_down", &e), 0);
    struct trainer *t = new_trainer(b.engine, &o);
    fill_values(t, 9);
    /* the same values in both, zeros elsewhere */
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < TRAIN_GROUPS; k++)
            for (int p = 0; p < t->groups[i][k].n_parts; p++) {
                const struct train_group *g = &t->groups[i][k], *all = &b.t->groups[i][k];
                if (g->parts[p].low_at < 0) continue;
                size_t na = (size_t)(RANK * g->n_in), nb = (size_t)RANK * (size_t)g->parts[p].w->n_out;
                memcpy(b.t->values + all->a + (size_t)(all->parts[p].low_at - all->n_out) * (size_t)g->n_in,
                       t->values + g->a + (size_t)(g->parts[p].low_at - g->n_out) * (size_t)g->n_in, na * sizeof(float));
                memcpy(b.t->values + all->parts[p].b, t->values + g->parts[p].b, nb * sizeof(float));
            }
    run_forward(b.t, sequences, 2, true, true, logp);
    assert_int_equal(trainer_backward(b.t, coef, NULL), 0);
    run_forward(t, sequences, 2, true, true, logp);
    assert_int_equal(trainer_backward(t, coef, NULL), 0);
    for (int i = 0; i < 2; i++) {
        const struct train_group *g = &t->groups[i][GROUP_DOWN], *all = &b.t->groups[i][GROUP_DOWN];
        for (int v = 0; v < RANK * 32; v++) assert_float_equal(t->grads[g->parts[0].b + (size_t)v], b.t->grads[all->parts[0].b + (size_t)v], 1e-5);
    }
    assert_int_equal(t->n_values, 2 * RANK * ((32 + 16) + (64 + 32)));
    trainer_free(t);
    assert_int_equal(train_targets_parse(&o.targets, "all", &e), 0);
    assert_int_equal(o.targets, TRAIN_ALL);
    assert_int_equal(train_targets_parse(&o.targets, "attn,ffn_up", &e), 0);
    assert_int_equal(o.targets, 0x2f);
    assert_int_equal(train_targets_parse(&o.targets, "attn_q,", &e), ERR_USAGE);
    assert_int_equal(train_targets_parse(&o.targets, "router", &e), ERR_USAGE);
    bench_release(&b);
}

static void a_run_goes_on_as_if_never_stopped(void **state)
{
    (void)state;
    struct bench b, c;
    char path[160];
    int place = 0;
    struct err e = {0};

    snprintf(path, sizeof path, "%s/state", folder);
    bench_init(&b, &peft_spec, &peft_options);
    for (int i = 0; i < 3; i++) sft_step(b.t, i, 1e-2, NULL);
    assert_int_equal(trainer_save(b.t, path, "this run", &(int){3}, sizeof place, &e), 0);
    for (int i = 3; i < 6; i++) sft_step(b.t, i, 1e-2, NULL);
    bench_init(&c, &peft_spec, &peft_options);
    assert_int_equal(trainer_load(c.t, path, "another run", &place, sizeof place, &e), ERR_INVALID);
    assert_int_equal(trainer_load(c.t, path, "this run", &place, sizeof place, &e), 0);
    assert_int_equal(place, 3);
    for (int i = 3; i < 6; i++) sft_step(c.t, i, 1e-2, NULL);
    assert_memory_equal(b.t->values, c.t->values, b.t->n_values * sizeof(float));
    assert_memory_equal(b.t->second, c.t->second, b.t->n_values * sizeof(float));
    /* a flipped bit anywhere is seen, and nothing is taken over */
    struct str bytes = STR_EMPTY;
    assert_int_equal(file_read(&bytes, path, SIZE_MAX, &e), 0);
    for (size_t at = 3; at < bytes.len; at += bytes.len / 7) {
        bytes.data[at] ^= 4;
        assert_int_equal(file_write_atomic(path, bytes.data, bytes.len, &e), 0);
        bytes.data[at] ^= 4;
        int rc = trainer_load(c.t, path, "this run", &place, sizeof place, &e);
        if (rc != ERR_FILE && rc != ERR_UNSUPPORTED) fail_msg("byte %zu changed: %d", at, rc);
    }
    assert_memory_equal(b.t->values, c.t->values, b.t->n_values * sizeof(float));
    str_release(&bytes);
    remove(path);
    bench_release(&b);
    bench_release(&c);
}

/* ---- applied and merged --------------------------------------------------------------------------------------------------- */

struct rows {
    float *logits;
    int n_vocab;
};

static void keep_row(void *arg, size_t position, const float *logits)
{
    const struct rows *r = arg;
    memcpy(r->logits + position * (size_t)r->n_vocab, logits, (size_t)r->n_vocab * sizeof(float));
}

/* The file that a trainer writes, applied to a session, gives the log-probabilities that it was taught with; without it, those of the model. */
static void adapters_are_applied_as_taught(void **state)
{
    (void)state;
    struct bench b;
    char path[160];

    snprintf(path, sizeof path, "%s/adapter.gguf", folder);
    for (int f16 = 0; f16 < 2; f16++) {
        bench_init(&b, &peft_spec, &peft_options);
        struct err e = {0};
        struct adapter *a;
        struct session *s = new_session(b.engine, 64, 2);
        struct rows r = {tiny_alloc(N_IDS * 101 * sizeof(float)), 101};
        float logp[2][N_LABELS];
        if (trainer_write_adapter(b.t, path, f16, &e) || adapter_open(&a, b.engine, path, &e)) fail_msg("%s", e.text);
        for (int on = 0; on < 2; on++) {
            int k = 0;
            run_forward(b.t, sequences, 1, on, false, logp[on]);
            if (on) assert_int_equal(session_set_adapters(s, (const struct adapter *const[]){a}, &(double){1}, 1, &e), 0);
            assert_int_equal(session_score(s, ids_a, N_IDS, false, keep_row, &r, &e), 0);
            for (int i = 1; i < N_IDS; i++) {
                const float *row = r.logits + (i - 1) * 101;
                double sum = 0;
                if (!learn_a[i]) continue;
                for (int v = 0; v < 101; v++) sum += exp((double)row[v]);
                double want = (double)row[ids_a[i]] - log(sum);
                /* keys and values are kept in f16 there */
                if (!(fabs(want - (double)logp[on][k]) < (f16 ? 1e-2 : 3e-3) * (1 + fabs(want)))) fail_msg("adapter %d, token %d: %g, not %g", on, i, (double)logp[on][k], want);
                k++;
            }
        }
        assert_true(fabsf(logp[0][0] - logp[1][0]) > 0.01f);
        /* and comes back as it was */
        if (!f16) {
            float *was = tiny_alloc(b.t->n_values * sizeof(float));
            memcpy(was, b.t->values, b.t->n_values * sizeof(float));
            fill_values(b.t, 77);
            assert_int_equal(trainer_read_adapter(b.t, path, &e), 0);
            assert_memory_equal(was, b.t->values, b.t->n_values * sizeof(float));
            free(was);
            struct trainer *other = new_trainer(b.engine, &plain);
            assert_int_equal(trainer_read_adapter(other, path, &e), ERR_INVALID);
            trainer_free(other);
        }
        free(r.logits);
        adapter_free(a);
        session_free(s);
        bench_release(&b);
    }
    remove(path);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    static const struct tiny_spec gemma = {"gemma3", "gemma3", TENSOR_F16, 2, 48, 96, 3, 1, 16, 16, 97, 64, true, false, SCALING_NONE};
    struct bench b;
    struct engine *other;
    struct tiny_model m;
    struct trainer *t;
    struct err e = {0};
    float logp[128];
    const int32_t outside[2] = {1, 5000};
    const struct train_sequence bad = {outside, learn_a, 2, false}, twice[6] = {sequences[0], sequences[0], sequences[0], sequences[0], sequences[0], sequences[0]};

    bench_init(&b, &specs[0], &plain);
    assert_int_equal(trainer_backward(b.t, logp, &e), ERR_INVALID);
    run_forward(b.t, sequences, 2, false, true, logp);
    assert_int_equal(trainer_backward(b.t, logp, &e), ERR_INVALID);
    assert_int_equal(trainer_forward(b.t, &bad, 1, true, true, logp, &e), ERR_INVALID);
    assert_int_equal(trainer_forward(b.t, twice, 6, true, true, logp, &e), ERR_TOO_LONG);
    b.t->grads[7] = NAN;
    double norm;
    float was = b.t->values[7];
    assert_int_equal(trainer_step(b.t, &(struct train_step){.lr = 1}, &norm, &e), ERR_INVALID);
    assert_true(b.t->values[7] == was && b.t->grads[7] == 0);
    tiny_init(&m, &gemma);
    assert_int_equal(gw_save(&m.w, file, SIZE_MAX), 0);
    assert_int_equal(engine_open(&other, file, &e), 0);
    assert_int_equal(trainer_new(&t, other, &plain, &e), ERR_UNSUPPORTED);
    for (int i = 0; i < 4; i++) {
        struct train_options o = plain;
        *(i == 0 ? &o.rank : i == 1 ? &o.max_tokens : i == 2 ? (int *)&o.targets : &o.n_threads) = 0;
        assert_int_equal(trainer_new(&t, b.engine, &o, &e), ERR_INVALID);
        assert_null(t);
    }
    engine_free(other);
    tiny_release(&m);
    bench_release(&b);
}

/* ---- what is learnt of a conversation --------------------------------------------------------------------------------------- */

/* The tokens' text, what is not learnt in brackets; a change of weight is told. */
static char *marked(const struct engine *m, const struct train_text *t)
{
    struct str out = STR_EMPTY;
    float weight = 1;

    for (size_t i = 0; i < t->ids.n; i++) {
        size_t n;
        const char *piece = tokenizer_piece(m->tokenizer, t->ids.ids[i], &n);
        if (t->weights[i] != weight) str_addf(&out, "{%g}", (double)t->weights[i]);
        weight = t->weights[i];
        str_add_bytes(&out, piece, n);
    }
    return str_detach(&out);
}

static void check_text(const struct engine *m, struct train_text *t, const char *want)
{
    char *got = marked(m, t);
    assert_string_equal(got, want);
    free(got);
    train_text_release(t);
}

#define SYSTEM "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
#define ASK    "\n\nThink step by step inside <think> and </think> before you answer. Then give the answer after </think>."

static void replies_alone_are_learnt(void **state)
{
    (void)state;
    struct tokenizer *tokenizer;
    struct train_text t = {0};
    struct err e = {0};
    const struct train_style style = {.thought_weight = 0.5, .answer_weight = 1, .prompted = true}, plain_style = {.thought_weight = 0.5, .answer_weight = 1};
    struct chat_message m[4] = {{.role = ROLE_USER, .content = "Hi", .content_len = 2}, {.role = ROLE_ASSISTANT, .content = "Yes <|im_end|>", .content_len = 14}};

    if (tokenizer_open(&tokenizer, "tests/vectors/smollm2-vocab.gguf", &e)) fail_msg("%s", e.text);
    struct engine smol = {.tokenizer = tokenizer, .info = {.family = family_by_name("smollm2")}}, qwen = smol, deepseek = smol;
    qwen.info.family = family_by_name("qwen3");
    deepseek.info.family = family_by_name("deepseek-r1-distill-qwen");

    /* a control token's text in a reply stays text */
    assert_int_equal(train_text_reply(&t, &smol, m, 2, &style, &e), 0);
    assert_int_equal(t.ids.ids[t.ids.n - 1], tokenizer_find(tokenizer, "<|im_end|>"));
    assert_int_not_equal(t.ids.ids[t.ids.n - 2], tokenizer_find(tokenizer, "<|im_end|>"));
    check_text(&smol, &t, "{0}" SYSTEM "<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n{1}Yes <|im_end|><|im_end|>");

    /* a thought where the program itself puts the first words, given or not */
    m[1].content = "4", m[1].content_len = 1;
    for (int i = 0; i < 2; i++) {
        m[1].thought = i ? "Two and two." : "Let's think step by step. Two and two.", m[1].thought_len = strlen(m[1].thought);
        assert_int_equal(train_text_reply(&t, &smol, m, 2, &style, &e), 0);
        check_text(&smol, &t, "{0}" SYSTEM ASK "<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\nLet's think step by step."
                   "{0.5} Two and two.\n</think>\n\n{1}4<|im_end|>");
    }
    /* what is wrong in a thought and mended there is read, not learnt; the thought is shifted by the words before it */
    m[1].thought = "\nTwo and two. Five. No, four.", m[1].thought_len = strlen(m[1].thought);
    struct train_style slips = style;
    slips.slip = 13, slips.n_slip = 6;
    assert_int_equal(train_text_reply(&t, &smol, m, 2, &slips, &e), 0);
    check_text(&smol, &t, "{0}" SYSTEM ASK "<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\nLet's think step by step."
               "{0.5} Two and two.{0} Five.{0.5} No, four.\n</think>\n\n{1}4<|im_end|>");
    slips.n_slip = 600;
    assert_int_equal(train_text_reply(&t, &smol, m, 2, &slips, &e), ERR_INVALID);
    train_text_release(&t);
    m[1].thought = "Two and two.", m[1].thought_len = strlen(m[1].thought);

    /* not prompted: taught to think, behind the tag that a chat with the adapter puts itself */
    assert_int_equal(train_text_reply(&t, &smol, m, 2, &plain_style, &e), 0);
    check_text(&smol, &t, "{0}" SYSTEM "<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n{0.5}Two and two.\n</think>\n\n{1}4<|im_end|>");

    /* inline, and by families whose model or template opens the thought */
    m[1] = (struct chat_message){.role = ROLE_ASSISTANT, .content = "<think>\nHm\n</think>\n\nOk", .content_len = 23};
    assert_int_equal(train_text_reply(&t, &qwen, m, 2, &style, &e), 0);
    check_text(&qwen, &t, "{0}<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n{0.5}<think>\nHm\n</think>\n\n{1}Ok<|im_end|>");
    assert_int_equal(train_text_reply(&t, &deepseek, m, 2, &style, &e), 0);
    char *text = marked(&deepseek, &t);
    assert_non_null(strstr(text, "<think>\n{0.5}Hm\n</think>\n\n{1}Ok"));
    free(text);
    train_text_release(&t);
    assert_int_equal(train_text_reply(&t, &qwen, m, 1, &style, &e), ERR_INVALID);

    /* an answer at once: the very tokens that a budget of 0 makes of a prompt */
    m[1] = (struct chat_message){.role = ROLE_ASSISTANT, .content = "<think>\n\n</think>\n\n4", .content_len = 20};
    assert_int_equal(train_text_reply(&t, &smol, m, 2, &plain_style, &e), 0);
    struct train_text open_one = {0};
    bool open = false;
    assert_int_equal(train_text_prompt(&open_one, &smol, m, 1, &plain_style, true, &open, &e), 0);
    assert_true(open);
    assert_int_equal(tokenizer_encode_more(tokenizer, "\n</think>\n\n", 11, PARSE_CONTROL, &open_one.ids, &e), 0);
    assert_int_equal(open_one.ids.n, t.ids.n - 2);
    assert_memory_equal(open_one.ids.ids, t.ids.ids, open_one.ids.n * sizeof *t.ids.ids);
    train_text_release(&open_one);
    check_text(&smol, &t, "{0}" SYSTEM "<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n{1}4<|im_end|>");

    /* a word that is spelled has a token for each letter, in the last line of the thought and in the answer alone */
    m[1] = (struct chat_message){.role = ROLE_ASSISTANT, .content = "there", .content_len = 5, .thought = "Not there.\nSo it is there.", .thought_len = 26};
    struct train_style spelled = plain_style;
    size_t n[2];
    for (int i = 0; i < 2; i++) {
        spelled.spelled = i ? "there" : NULL;
        assert_int_equal(train_text_reply(&t, &smol, m, 2, &spelled, &e), 0);
        n[i] = t.ids.n;
        check_text(&smol, &t, "{0}" SYSTEM "<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n"
                   "{0.5}Not there.\nSo it is there.\n</think>\n\n{1}there<|im_end|>");
    }
    assert_int_equal(n[1] - n[0], 8);

    /* rendered text: its replies, or what is behind a prompt */
    const char *rendered = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n<|im_start|>user\nB<|im_end|>\n<|im_start|>assistant\n<think>x</think>\nC<|im_end|>\n";
    assert_int_equal(train_text_rendered(&t, &smol, NULL, 0, rendered, strlen(rendered), &style, &e), 0);
    check_text(&smol, &t, "{0}<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n{1}A<|im_end|>{0}\n<|im_start|>user\nB<|im_end|>\n<|im_start|>assistant\n"
               "{0.5}<think>x</think>\n{1}C<|im_end|>{0}\n");
    assert_int_equal(train_text_rendered(&t, &smol, "Q: ", 3, "A", 1, &style, &e), 0);
    check_text(&smol, &t, "{0}Q: {1}A");
    assert_int_equal(train_text_rendered(&t, &smol, NULL, 0, "no reply", 8, &style, &e), 0);
    check_text(&smol, &t, "no reply");
    tokenizer_free(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_match_differences),
        cmocka_unit_test(what_is_kept_is_measured_against_the_model_alone),
        cmocka_unit_test(ten_steps_match_pytorch),
        cmocka_unit_test(bits_do_not_depend_on_threads_or_memory),
        cmocka_unit_test(bf16_is_near_f32),
        cmocka_unit_test(targets_are_taught_alone),
        cmocka_unit_test(a_run_goes_on_as_if_never_stopped),
        cmocka_unit_test(adapters_are_applied_as_taught),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(replies_alone_are_learnt),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
