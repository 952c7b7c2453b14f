/*
 * gemm_impl.h - what the files of the prompt's products share. Only gemm*.c include this.
 *
 * The definition, which every 8-bit family computes to the same bits. Activations of block b are mid + scale * q with |q| <= 127
 * (mid 0 in the form without), weights d * w + m with signed w; for each block in order
 *     acc = fma(sum of w * q, d * scale, acc)       once, or for Q6_K twice with the d of each half
 *     acc = fma(m, sum, acc)                        formats with a minimum; sum = scale * (sum of q) + 32 * mid
 *     acc = fma(dw, mid, acc)                       form with midpoints; dw = d * (sum of w), of two halves added
 */
#ifndef PONDER_GEMM_IMPL_H
#define PONDER_GEMM_IMPL_H

#include "model/gemm.h"
#include "model/kernels_impl.h"

/* Elements of a row that are expanded at a time: with their scales a panel of them stays in the first cache. */
#define GEMM_SLAB 512

/* AMX: elements of a row that are expanded at a time; tokens are kept in whole tiles of 16, taken by twos; scratch. */
#define GEMM_AMX_SLAB 1024
#define GEMM_AMX_ROWS 32
#define GEMM_AMX_SCRATCH (328 << 10)

struct gemm_input {
    const struct gemm_family *family;
    int rows;
    int64_t n_max;
    int64_t n;              /* 0: nothing was begun */
    bool mid;
    int64_t stride;         /* from row to row of q; not a power of two, so that rows fall into different cache sets */
    uint8_t *q;             /* [rows][stride], q + 128; of AMX bf16 in tiles, see gemm_amx.c */
    float *scales;          /* [rows][3][n / 32]: scale, sum, mid; NULL of AMX */
};

/* GEMM_PANEL matrix rows of up to GEMM_SLAB elements; rows that are missing are zeros. Blocks are of 32 but in `init` and `d` of
 * Q6_K, which go by 16. */
struct gemm_panel {
    int8_t w[GEMM_SLAB / 4][GEMM_PANEL][4];
    int32_t init[GEMM_SLAB / 16][GEMM_PANEL];   /* -128 * sum of w: what meeting q + 128 instead of q adds */
    float d[GEMM_SLAB / 16][GEMM_PANEL];
    float m[GEMM_SLAB / 32][GEMM_PANEL];
    float dw[GEMM_SLAB / 32][GEMM_PANEL];
};

struct gemm_format {
    uint32_t type;
    int bits;               /* of a weight */
    int unit;               /* elements that cannot be cut */
    bool halves, min;
    bool wants_mid;
};

/* A slab of a panel against columns (activation rows) c0 to c1. */
struct gemm_slab {
    const struct gemm_input *g;
    const struct gemm_format *format;
    const struct gemm_panel *panel;
    int64_t b0;             /* first block */
    int blocks;
    int rows;               /* of the panel that exist */
    bool first;             /* y is written, not added to */
    int lo;
    float *y;               /* [column - lo][y_stride] */
    int64_t y_stride;
};

struct gemm_family {
    const char *name;
    size_t element;         /* bytes of a prepared activation */
    void (*put)(struct gemm_input *g, int lo, int hi, int64_t k0, int64_t n, const float *x, int64_t x_stride);
    /* either: the whole of gemm_rows but for checks */
    void (*rows)(const struct gemm_input *g, int lo, int hi, const struct gemm_format *f, const uint8_t *w, size_t row_bytes, int64_t r0, int64_t r1,
                 float *y, int64_t y_stride, void *scratch);
    /* or, by slabs: expands `rows` rows of n elements */
    void (*expand)(const struct gemm_format *f, const uint8_t *w, size_t row_bytes, int rows, int64_t k0, int n, struct gemm_panel *p);
    void (*multiply)(const struct gemm_slab *s, int c0, int c1);
};

const struct gemm_format *gemm_format_of(uint32_t type);
static inline const uint8_t *gemm_q(const struct gemm_input *g, int row) { return g->q + row * g->stride; }
static inline float *gemm_scales(const struct gemm_input *g, int row) { return g->scales + row * (g->n / 32 * 3); }

/* gemm_input_new for a family that is not the one in use. */
int gemm_input_new_for(struct gemm_input **out, const struct gemm_family *family, int rows, int64_t n_max, struct err *e);

extern const struct gemm_family gemm_scalar;
#ifdef KERNELS_X86
extern const struct gemm_family gemm_avx2;
extern const struct gemm_family gemm_avx512;
extern const struct gemm_family gemm_amx;
/* n elements of a row from w on, in bf16: 32 of them in a run, and 512 to the next. n is a multiple of the format's unit. */
void gemm_expand_bf16(uint32_t type, const uint8_t *w, int n, uint16_t *out);
void gemm_put_avx2(struct gemm_input *g, int lo, int hi, int64_t k0, int64_t n, const float *x, int64_t x_stride);
void gemm_expand_avx2(const struct gemm_format *f, const uint8_t *w, size_t row_bytes, int rows, int64_t k0, int n, struct gemm_panel *p);
#endif

#endif
