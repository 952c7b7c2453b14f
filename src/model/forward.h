/*
 * forward.h - a session's inside: the timeline, the K/V cache and the two ways to run tokens through the model. Internal to
 * src/model.
 *
 * Numeric classes. A position is written either by prefill (prompt class: products of many rows, gemm.h or BLAS) or by decode (generated
 * class: fixed-point products, 1 to 8 tokens at a time). Inside a class the bits depend on the tokens before a position
 * alone: not on how they were cut into calls, nor on the number of threads.
 *
 * Cache layout: [layer][K, V][KV head][n_ctx][head_dim] of cells (see kvcell.c), so that a head's positions are one run. Memory is taken from
 * the system as positions are written. A layer with a convolution keeps its inputs in the same place, cut as if they were heads, and not
 * a running state: so every position can be gone back to.
 */
#ifndef PONDER_FORWARD_H
#define PONDER_FORWARD_H

#include "model/engine.h"
#include "model/kernels.h"
#include "model/pool.h"

/* Tokens that decode takes at once. */
#define DECODE_MAX KERNEL_MAX_M
/* Positions of one piece of decode attention; pieces are joined in order. A multiple of ATTEND_TILE. */
#define DECODE_SPLIT 256

/* The K/V of a continuation of the session's timeline: [layer][K, V][KV head][n_ctx][head_dim] of positions base, base + 1, ... base is a
 * multiple of DECODE_SPLIT, so that no piece of attention lies in two caches. */
struct tail {
    uint8_t *kv;
    size_t kv_bytes;
    int64_t base;
    int n_ctx;
};

/* Where a token of a call to decode stands. */
struct column {
    int64_t position;
    const struct tail *tail;        /* has the K/V from its base on; NULL: all of it is the session's */
};

/* Scratch of decode; m is the token's place in the call, 0 to DECODE_MAX - 1. */
struct decode {
    struct column at[DECODE_MAX];
    float *x, *norm;                /* [m][n_embd] */
    float *q, *attended;            /* [m][n_q]; attended also [m][n_embd] */
    float *k, *v;                   /* [m][n_kv] */
    float *ff, *up;                 /* [m][middle_width], [m][n_ff] */
    float *out;                     /* [m][n_embd] */
    float *cos_sin;                 /* [m][angles_width] */
    struct act *act;                /* of the width in hand */
    uint16_t *wide;                 /* [worker][K, V][DECODE_SPLIT][head_dim] where the cache has not f16, else NULL */
    struct attend_part *parts;      /* [m][KV head][split], into part_floats */
    float *part_floats;
};

struct prefill;
struct lora;

struct session {
    const struct engine *m;
    struct pool *pool;
    int n_ctx;
    int n_splits;                   /* pieces of DECODE_SPLIT positions in n_ctx */
    const double *rope_freq;        /* the model's, for this n_ctx */
    int32_t *tokens;                /* n_ctx */
    bool *generated;                /* n_ctx: written by decode */
    size_t n;                       /* positions in use */
    size_t ahead;                   /* tokens evaluated behind them, see session_decode_ahead */
    uint8_t *kv;
    size_t kv_bytes;
    enum kv_type kv_type;
    size_t kv_row;                  /* bytes of a head's keys or values of a position */
    float *logits;                  /* [DECODE_MAX][n_vocab] */
    size_t logits_row;              /* that of the last token */
    /* The normed state behind the last token of a prompt of hidden_n tokens that is still on the timeline; 0 for none. */
    float *hidden;
    size_t hidden_n;
    struct act *out_act;            /* of n_embd, for the output matrix */
    struct decode d;
    struct prefill *prefill;        /* made by the first prompt */
    struct lora *lora;              /* NULL for none */
    struct session_profile *profile; /* the caller's; NULL where nobody asks */
};

/* First position of a head's keys or values; positions are s->kv_row bytes apart. */
static inline uint8_t *kv_of(const struct session *s, int layer, bool value, int head)
{
    const struct weights *w = &s->m->w;
    size_t index = ((size_t)layer * 2 + value) * (size_t)w->n_cached + (size_t)head;
    return s->kv + index * (size_t)s->n_ctx * s->kv_row;
}

/* Charges the time since the last mark to a stage; STAGE_COUNT: to none. */
void profile_mark(struct session *s, enum session_stage stage);
static inline void mark(struct session *s, enum session_stage stage)
{
    if (s->profile) profile_mark(s, stage);
}

/* n floats, aligned for vector loads, not cleared; NULL when memory runs out or the size wraps. Caller frees. */
float *floats_new(size_t n);
/* First position of a head's keys or values in a continuation. */
static inline uint8_t *tail_kv_of(const struct session *s, const struct tail *t, int layer, bool value, int head)
{
    const struct weights *w = &s->m->w;
    size_t index = ((size_t)layer * 2 + value) * (size_t)w->n_head_kv + (size_t)head;
    return t->kv + index * (size_t)t->n_ctx * s->kv_row;
}

/* Bytes of a cache of n_ctx positions; false when they do not fit a size. */
bool kv_bytes_of(const struct weights *w, enum kv_type type, int n_ctx, size_t *bytes);
/* Takes address space only: a page of the cache costs memory once something is written to it. NULL: none left. Freed by munmap. */
uint8_t *kv_map(size_t bytes);

/* kvcell.c */
/* Whether a model's keys and values can be kept so: Q8_0 takes whole blocks of 32, and no convolution's inputs. */
bool kv_fits(enum kv_type type, const struct weights *w);
size_t kv_row_bytes(enum kv_type type, int dim);
/* n numbers into cells. n is a multiple of 32 for Q8_0. inf and NaN make a NaN of their block there. */
void kv_store(enum kv_type type, const float *x, void *out, int n);
/* Cells as f32, and as f16. */
void kv_load(enum kv_type type, const void *cells, float *out, int64_t n);
void kv_widen(enum kv_type type, const void *cells, uint16_t *out, int64_t n);

/* layer.c */
/* x (n_embd floats) = what goes into the first layer for a token. */
void embed_token(const struct session *s, int32_t id, float *x);
/* Floats of all the angles of a position. */
int angles_width(const struct weights *w);
void position_angles(const struct session *s, int64_t position, float *cos_sin);
/* Ends the products that attention begins with: biases, norms of heads and the turn by the position's angles, in place, and then k
 * and v into the cache that the column has for its own position. q: n_q floats, k and v: n_kv. */
void qkv_finish(struct session *s, int layer, const struct column *at, const float *cos_sin, float *q, float *k, float *v);
/* bcx: what mix_in gives for a token, 3 n_embd floats. conv_keep puts its b x into the cache; conv_apply makes the input of mix_out (n_embd
 * floats) of it and of what is kept of the positions before. */
void conv_keep(struct session *s, int layer, int64_t position, const float *bcx);
void conv_apply(const struct session *s, int layer, int64_t position, const float *bcx, float *out);
/* Floats of the widest product in the middle of half a layer: n_ff, or 3 n_embd where there are convolutions. */
static inline int middle_width(const struct weights *w)
{
    return w->conv && 3 * w->n_embd > w->n_ff ? 3 * w->n_embd : w->n_ff;
}
/* gate = what the function of the model makes of gate, times up. Leaves other numbers in up. */
void ff_activate(const struct weights *w, float *gate, float *up, int64_t n);
/* Ends half a layer: x, the residual stream, takes y, with a bias and normed where these are not NULL. Leaves other numbers in y. */
void residual_add(const struct weights *w, float *x, float *y, const float *bias, const float *norm);
/* The first position that the one at `position` sees in this layer. */
static inline int64_t first_seen(const struct layer *y, int64_t position)
{
    return y->window && position >= y->window ? position - y->window + 1 : 0;
}

/* decode.c */
int decode_init(struct session *s, struct err *e);
void decode_release(struct decode *d);
/* Runs n tokens at positions s->n .. s->n + n - 1 and leaves the normed state behind each in d.norm. Writes the cache; does not
 * change s->n. */
void decode_run(struct session *s, const int32_t *ids, int n);
/* The same for tokens that stand where d.at says, each once: m 1 to DECODE_MAX. A token's bits do not depend on the others. */
void decode_columns(struct session *s, const int32_t *ids, int m);
/* logits [m][n_vocab] of norm [m][n_embd], m 1 to DECODE_MAX; the same bits for any m. */
void output_run(struct session *s, const float *norm, int m, float *logits);
uint64_t decode_bytes(const struct weights *w, int n_ctx);

/* prefill.c */
typedef void (*prefill_rows)(void *arg, size_t position, int n, const float *norm);
/* Runs tokens at positions s->n .. s->n + n - 1 and puts them on the timeline, a chunk at a time: s->n grows with every chunk
 * that is complete. last: receives the normed state behind the last token. rows (may be NULL) is shown the states of all.
 * ERR_STOPPED where step says so, ERR_NOMEM. */
int prefill_run(struct session *s, const int32_t *ids, size_t n, session_step step, void *arg, float *last, prefill_rows rows,
                void *rows_arg, struct err *e);
uint64_t prefill_bytes(const struct weights *w, int n_ctx, int n_threads);
void prefill_free(struct prefill *p);

#endif
