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
#define KEY_TILE 128
#define MAX_SHAPES 32
/* Output rows of an item of the quantised core. */
#define CORE_OUT GEMM_PANEL

/* Rows that a worker prepares at a time: what the core takes fastest. */
#define BLOCK_ROWS 16

/* What products read, of all rows of a chunk: prepared for the quantised core where one of the matrices that read it goes there, as f32
 * where one goes through BLAS or adapters read too. */
struct operand {
    struct gemm_input *core;
    float *rows;                    /* [row][n]; NULL where nobody ever reads them */
    int n;                          /* width of what is in hand */
    bool in_core, in_rows;          /* which form is read */
};

/* A worker's own. */
struct prefill_worker {
    float *weights;                 /* [SLICE_OUT][SLICE_IN]; NULL where no matrix goes through BLAS */
    float *block;                   /* [BLOCK_ROWS][n_embd] */
    float *out, *up;                /* [CHUNK_ROWS][SLICE_OUT or CORE_OUT] */
    float *panel;                   /* scratch of the quantised core */
    float *q, *acc;                 /* [panel][head_dim][column], PANEL_COLUMNS columns but for the last panel */
    float *scores;                  /* [KEY_TILE][PANEL_COLUMNS] */
    float *keys, *values;           /* [KEY_TILE][head_dim] */
    float *max, *sum;               /* [panel][column] */
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
    float *x;                       /* [row][n_embd]: the residual stream; behind the last layer, normed */
    struct operand in;              /* n_embd or n_q: the normed stream; attention's output */
    struct operand middle;          /* middle_width */
    float *q, *k, *v;               /* [row][n_q], [row][n_kv] */
    float *t;                       /* [row][n_embd]: what half a layer adds; NULL where it goes to x at once */
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

/* Leaves those of rows *lo to *hi that are tokens of the chunk: padding is nobody's. *lo >= *hi where there are none. */
static inline void prefill_wanted(const struct prefill *p, int *lo, int *hi)
{
    if (*lo < p->first) *lo = p->first;
    if (*hi > p->end) *hi = p->end;
}

/* prefill_gemm.c */
/* Whether the quantised core multiplies with w; else BLAS does. */
bool gemm_in_core(const struct matrix *w);
/* Finds out, once for each size, for which shapes of the model larger calls may be used. n: tokens to come. */
int gemm_probe(struct prefill *p, size_t n, struct err *e);
/* Begins an operand of n elements a row that meets `count` matrices. */
void operand_begin(struct prefill *p, struct operand *o, int n, const struct matrix *const *readers, int count);
/* Elements k0 to k0 + n of rows lo to hi, from rows of n floats x_stride apart. Workers may put different pieces. */
void operand_put(struct operand *o, int lo, int hi, int k0, int n, const float *x, int x_stride);
/* The same for whole rows that are among its own already, over the pool. */
void operand_put_rows(struct prefill *p, struct operand *o, int lo, int hi);
/* y[row][w->n_out] = w . x[row] for rows p->lo to p->hi. */
void gemm_run(struct prefill *p, const struct operand *x, const struct matrix *w, float *y);
/* y[row][w->n_out] += w . x[row] + bias (NULL for none), for the chunk's tokens among those rows. */
void gemm_run_add(struct prefill *p, const struct operand *x, const struct matrix *w, const float *bias, float *y);
/* q, k and v of all rows of the chunk from p->in. */
void gemm_run_qkv(struct prefill *p, const struct layer *y);
/* middle = act(gate . in) * (up . in), act the model's function, for rows p->lo to p->hi. p->middle was begun. */
void gemm_run_gate_up(struct prefill *p, const struct layer *y);

/* prefill_attend.c */
/* p->in, which was begun, = causal attention of q over the cache, within the layer's window, for the tokens among rows p->lo to p->hi; zero
 * for padding where f32 rows are read. */
void prefill_attend(struct prefill *p);

#endif
