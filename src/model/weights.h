/*
 * weights.h - the tensors and numbers of a model, checked against each other. Internal to src/model.
 *
 * After weights_init every matrix has the shape its comment says and a storage type that the kernels know. Matrices point into
 * the mapped file; vectors and frequencies are copies in f32 and f64.
 */
#ifndef PONDER_WEIGHTS_H
#define PONDER_WEIGHTS_H

#include "model/gguf.h"
#include "model/rope.h"

/* n_out rows of n_in elements. data is NULL where a model has no such matrix. */
struct matrix {
    const uint8_t *data;
    size_t row_bytes;
    int64_t n_in, n_out;
    uint32_t type;
};

/* Biases and norms of heads are NULL where a model has none. n_q = n_head * head_dim, n_kv = n_head_kv * head_dim. */
struct layer {
    const float *attn_norm;                  /* n_embd */
    struct matrix wq, wk, wv;                /* n_embd -> n_q, n_kv, n_kv */
    const float *bq, *bk, *bv;
    const float *q_norm, *k_norm;            /* head_dim: each head by itself, before its position */
    bool rope;                               /* queries and keys know their position */
    struct matrix wo;                        /* n_q -> n_embd */
    const float *bo;                         /* n_embd */
    const float *attn_post_norm;             /* n_embd: of what the half adds to the stream; NULL where a model has none */
    int window;                              /* positions that attention sees, its own among them; 0: all */
    const float *ffn_norm;                   /* n_embd */
    struct matrix gate, up;                  /* n_embd -> n_ff */
    struct matrix down;                      /* n_ff -> n_embd */
    const float *ffn_post_norm;              /* as attn_post_norm */
};

struct weights {
    char arch[32];
    int n_vocab, n_layer, n_embd, n_ff, n_head, n_head_kv, head_dim, n_rot;
    int n_q, n_kv;
    int ctx_train;
    float norm_eps;
    enum rope_pairs pairs;
    double *rope_freq;                       /* n_rot / 2, scaling included */
    const double *rope_freq_long;            /* for contexts over rope_ctx; NULL where a model has only the above */
    int rope_ctx;
    const double *rope_freq_local;           /* n_rot / 2, of layers with a window; NULL: theirs are rope_freq */
    double rope_size;                        /* what turned queries and keys are multiplied by; 1 but for long contexts' models */
    float attend_scale;                      /* of the products of queries and keys */
    bool gelu;                               /* the gate's function is GELU in its tanh form; otherwise SiLU */
    float embed_scale;                       /* of embedded tokens; 1 but for gemma3 */
    struct matrix embed;                     /* n_vocab rows of n_embd */
    struct matrix output;                    /* n_embd -> n_vocab; the same as embed in tied models */
    const float *output_norm;                /* n_embd */
    struct layer *layers;
    uint64_t n_params;
    float *arena;                            /* owns the vectors */
    size_t arena_used, arena_cap;
};

/* g must outlive w. ERR_FILE, ERR_UNSUPPORTED or ERR_NOMEM with "FILE: reason"; w is then empty. */
int weights_init(struct weights *w, const struct gguf *g, struct err *e);
void weights_release(struct weights *w);

#endif
