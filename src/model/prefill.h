/*
 * prefill.h - what the files of the prompt pass share. Internal to src/model.
 *
 * A chunk of the prompt lives in rows of the buffers below; row r is the position `base` + r. `base` is a multiple of
 * TILE_ROWS, so a position's place inside its tile of TILE_ROWS rows is the same however the prompt is cut; rows in front of
 * the chunk's first token and behind its last one are padding of finite numbers that nobody reads.
 */
#ifndef PONDER_PREFILL_H
#define PONDER_PREFILL_H

#include "model/forward.h"
#include "model/gemm.h"

/* Rows of one BLAS call, and of the larger ones that are used where a probe shows that they give the same bits. */
#define TILE_ROWS 32
#define BULK_SIZES 3
#define BULK_ROWS {512, 256, 128}
#define BULK_ROWS_MAX 512
/* Rows of a chunk at most: each one reads and expands all weights once. */
#define CHUNK_ROWS 512
/* Output rows and inputs of the piece of a matrix that is expanded to f32 at a time: one megabyte. */
#define SLICE_OUT 256
#define SLICE_IN 1024
/* Positions of keys and values that attention takes at a time. */
#define KEY_TILE 256
#define MAX_SHAPES 32
/* Output rows of an item of the quantised core. */
#define CORE_OUT (2 * GEMM_PANEL)

/* A worker's own. */
struct prefill_worker {
    float *weights;                 /* [SLICE_OUT][SLICE_IN]; NULL where no matrix goes through BLAS */
    float *up;                      /* [CHUNK_ROWS][SLICE_OUT or CORE_OUT] */
    float *panel;                   /* scratch of the quantised core */
    float *q, *acc;                 /* [query_tile * n_group][head_dim] */
    float *scores;                  /* [query_tile * n_group][KEY_TILE] */
    float *keys, *values;           /* [KEY_TILE][head_dim] */
    float *max, *sum;               /* [query_tile * n_group] */
};

struct gemm_shape {
    int n, k;
    bool bulk[BULK_SIZES];          /* so many rows at once give the bits of TILE_ROWS at a time */
};

struct prefill {
    struct session *s;
    int rows_cap, n_workers;
    int query_tile;                 /* positions of one piece of attention */
    struct gemm_shape shapes[MAX_SHAPES];
    int n_shapes;
    bool probed[BULK_SIZES];
    bool blas;                      /* some matrix of the layers goes through BLAS */
    struct gemm_input *input;       /* the rows of the product in hand, as the quantised core takes them */
    float *x, *t;                   /* [row][n_embd]: residual stream; a half layer's result */
    float *in;                      /* [row][max(n_embd, n_q)]: normed input; attention's output */
    float *q, *k, *v;               /* [row][n_q], [row][n_kv] */
    float *ff;                      /* [row][n_ff] */
    float *up;                      /* [row][n_ff]; NULL until there are adapters, which part gate and up */
    float *cos_sin;                 /* [row][angles_width] */
    struct prefill_worker *workers;

    /* the chunk in hand */
    int64_t base;                   /* position of row 0 */
    int first, end;                 /* rows of its tokens */
    int lo, hi;                     /* rows that the layer's second part is needed for, tile-aligned */
    int layer;
    const int32_t *ids;             /* of row `first` */
};

/* prefill_gemm.c */
/* Whether the quantised core multiplies with w; else BLAS does. */
bool gemm_in_core(const struct matrix *w);
/* Finds out, once for each size, for which shapes of the model larger calls may be used. n: tokens to come. */
int gemm_probe(struct prefill *p, size_t n, struct err *e);
/* y[row][w->n_out] = w . x[row][w->n_in] for rows p->lo to p->hi. */
void gemm_run(struct prefill *p, const struct matrix *w, const float *x, float *y);
/* The same for three matrices of one input, over all rows of the chunk. */
void gemm_run_qkv(struct prefill *p, const struct layer *y);
/* ff = act(gate . in) * (up . in), act the model's function, for rows p->lo to p->hi. */
void gemm_run_gate_up(struct prefill *p, const struct layer *y);

/* prefill_attend.c */
/* in[row] = causal attention of q[row] over the cache, within the layer's window, for the tokens among rows p->lo to p->hi; zero for its padding. */
void prefill_attend(struct prefill *p);

#endif
