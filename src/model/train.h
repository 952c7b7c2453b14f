/*
 * train.h - the inside of a trainer: low-rank adapters' values, what a forward pass keeps of its tokens, and the parts of a layer forward
 * and backward. Internal to src/model; the public face is in model.h.
 *
 * Layout. A layer has four groups of matrices that share their input: Q K V, output, gate and up, down. The matrices of a group and the A
 * halves of their adapters lie under one another in one operand S of rows x n_in, expanded when it is needed and forgotten then:
 *     forward     [Y | U] = X S^T             Y = X W^T for each matrix, U = X A^T; then Y += scale * U B^T
 *     backward    dU = scale * dY B; dX = [dY | dU] S; dB += scale * dY^T U; dA += dU^T X
 * so that the small products ride on the large ones. A row of [Y | U] has the group's `rows` floats.
 *
 * Determinism. Every product is cut into pieces by its shape alone, every sum over tokens is made by one call in one order: results do not
 * depend on the number of threads.
 */
#ifndef PONDER_TRAIN_H
#define PONDER_TRAIN_H

#include "model/engine.h"
#include "model/lora.h"
#include "model/pool.h"

enum { GROUP_QKV, GROUP_OUT, GROUP_GATE_UP, GROUP_DOWN, TRAIN_GROUPS };
#define TRAIN_MATRICES 7    /* ADAPT_Q to ADAPT_DOWN */

struct train_part {
    enum adapted which;
    const struct matrix *w;
    int at;         /* column of its Y in a row of the group */
    int low_at;     /* column of its U; -1 where it is not adapted */
    size_t b;       /* place of its B, [n_out][rank], among the values */
};

struct train_group {
    int n_parts, n_in, n_out;       /* n_out: of all parts together */
    int n_low, rows;                /* columns of U; n_out + n_low */
    size_t a;                       /* place of the A halves, [n_low][n_in], among the values */
    struct train_part parts[3];
};

/* What the forward pass keeps of a layer; T is the tokens in hand. Where memory is short all layers but for x share one set. */
struct train_kept {
    float *x;           /* [T][n_embd] into the layer */
    float *qkv;         /* [T][rows of QKV]: turned q and k, v, U */
    float *raw;         /* [T][n_q + n_kv]: q and k before their norms; NULL where heads have none */
    float *attended;    /* [T][n_q] */
    float *lse;         /* [n_head][T]: log of the sum of exponentials of the scores */
    float *low_out;     /* [T][rank], of the output matrix */
    float *mid;         /* [T][n_embd] between the halves */
    float *gate_up;     /* [T][rows of GATE_UP] */
    float *low_down;    /* [T][rank] */
};

struct train_worker {
    float *scores, *deltas;     /* [ATTEND_ROWS][max_tokens] */
    float *row;                 /* n_embd */
};

struct train_bf16;

struct trainer {
    const struct engine *m;
    const struct weights *w;
    struct pool *pool;
    struct train_options o;
    float scale;                            /* alpha / rank */
    struct train_group (*groups)[TRAIN_GROUPS];     /* [n_layer] */
    int lowest;                             /* the first layer with an adapter */

    size_t n_values;
    float *values, *grads, *first, *second; /* values, their gradient, its moments */
    int64_t steps;                          /* of the optimiser */

    /* the sequences in hand */
    int n, n_sequences, cap_sequences;
    int *begins;                /* [n_sequences + 1] first token of each */
    int32_t *ids;               /* [max_tokens] */
    float *cos_sin;             /* [max_tokens][n_rot] */
    int n_labels;
    int *label_row;             /* the token that a learnt one follows */
    int32_t *label_id;
    int n_base;                 /* states of the model alone, the first rows of head */
    int *base_row;              /* [max_tokens] which of them a label is to be like; -1: none, the token itself is learnt */
    bool adapted, kept, ready;  /* of the last forward; ready: a backward may follow */

    bool recompute;             /* one set of what is kept for all layers */
    struct train_kept *layers;
    float *memory;              /* owns all of it */
    float *weights;             /* the operand in hand */
    float *in, *mid_in;         /* [T][widest n_in] */
    float *out;                 /* [T][n_embd + rank] */
    float *dx;                  /* [T][n_embd] */
    float *dy;                  /* [T][widest rows] */
    float *din;                 /* [T][widest n_in] */
    float *head;                /* [n_base + labels][n_embd] */
    float *unit;                /* [n_base + labels][n_embd]: gradient of a label's log-probability */
    float *logits;              /* [n_base + labels][HEAD_SLICE] */
    float *max, *sum;           /* [n_base + labels] */
    float *target;              /* [labels] */
    struct train_worker *workers;
    struct train_bf16 *bf16;    /* NULL: products in f32 */
};

/* Rows of head, which have their sums: those of the model alone in front, then a label each. */
static inline int train_head_rows(const struct trainer *t) { return t->n_base + t->n_labels; }

/* ---- train_gemm.c ---------------------------------------------------------------------------------------------------- */

/* c[m][n] = alpha * a b + beta * c; ta: a is [k][m], tb: b is [n][k]. */
struct train_product {
    bool ta, tb;
    int m, n, k;
    float alpha, beta;
    const float *a, *b;
    float *c;
    int lda, ldb, ldc;
};
void train_multiply(struct trainer *t, const struct train_product *list, int n);
/* Runs work on rows [0, n) by blocks over the pool. */
typedef void (*train_rows)(struct trainer *t, void *arg, int lo, int hi, int worker);
void train_by_rows(struct trainer *t, int n, train_rows rows, void *arg);
/* y [T][rows] = [Y | U] of x [T][n_in], with what the adapters add. */
void train_group_forward(struct trainer *t, int layer, int group, const float *x, float *y);
/* dy [T][rows] holds dY and gets dU; the gradients take their part; dx [T][n_in] where it is not NULL. u: [T] with u_stride, the U of the
 * forward pass, all of the group's. */
void train_group_backward(struct trainer *t, int layer, int group, const float *x, const float *u, int u_stride, float *dy, float *dx);
/* rows r0 to r0 + n of a matrix into out, over the pool. */
void train_expand(struct trainer *t, const struct matrix *w, int64_t r0, int n, float *out);

/* ---- train_bf16.c ---------------------------------------------------------------------------------------------------- */

int train_bf16_new(struct trainer *t, struct err *e);
void train_bf16_free(struct trainer *t);
/* As train_group_forward and train_group_backward, in bf16. */
void train_bf16_forward(struct trainer *t, const struct train_group *g, const float *x, float *y);
void train_bf16_backward(struct trainer *t, const struct train_group *g, const float *x, const float *u, int u_stride, float *dy, float *dx);
/* t->logits = scores of t->head for n tokens of the vocabulary from `first` on; and then t->unit += t->logits times these tokens' rows. */
void train_bf16_scores(struct trainer *t, int first, int n);
void train_bf16_sums(struct trainer *t, int n);

/* ---- train_layer.c ---------------------------------------------------------------------------------------------------- */

/* Fills what is kept of the layer from its x; next [T][n_embd] gets what goes into the layer above. */
void train_layer_forward(struct trainer *t, int layer, float *next);
/* t->dx: gradient behind the layer, becomes that before it. */
void train_layer_backward(struct trainer *t, int layer);

/* ---- train_attend.c --------------------------------------------------------------------------------------------------- */

#define ATTEND_ROWS 64
void train_attend_forward(struct trainer *t, int layer);
/* dout [T][n_q] to dqkv [T][rows of QKV], the first n_q + 2 n_kv columns. */
void train_attend_backward(struct trainer *t, int layer, const float *dout, float *dqkv);

/* ---- train_head.c ----------------------------------------------------------------------------------------------------- */

#define HEAD_SLICE 2048
/* The labels' states of x [T][n_embd], by the model alone, become the first rows of head. */
void train_head_base(struct trainer *t, const float *x);
/* Log-probabilities of the labels from x [T][n_embd], and with t->kept what a gradient takes. */
void train_head_forward(struct trainer *t, const float *x, float *logp);
/* dx [T][n_embd] from coefficients of the labels' log-probabilities. */
void train_head_backward(struct trainer *t, const float *x, const float *coef, float *dx);

/* ---- train_math.c ------------------------------------------------------------------------------------------------------ */

struct train_adam {
    float lr, beta1, beta2, eps, decay, scale, correct1, correct2;
};
struct train_math {
    float (*max)(const float *x, int n);
    float (*exp_sum)(float *x, int n, float max);               /* x = exp(x - max); the sum */
    double (*squares)(const float *x, int n);
    float (*dot)(const float *x, const float *y, int n);
    void (*silu_back)(const float *gate, const float *up, const float *d, float *dgate, float *dup, int n);
    /* dx += the gradient before a norm of x by its weight, from dy behind it */
    void (*norm_back)(const float *x, const float *weight, const float *dy, float *dx, int n, float eps);
    void (*attend_back)(const float *p, float *d, int n, float delta, float scale);    /* d = p * (d - delta) * scale */
    void (*adam)(const struct train_adam *a, float *value, const float *grad, float *first, float *second, int n);
};
/* Of the kernel family in use. */
const struct train_math *train_math(void);

/* ---- train_file.c --------------------------------------------------------------------------------------------------------- */

const char *train_target_name(enum adapted which);

#endif
