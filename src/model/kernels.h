/*
 * kernels.h - the arithmetic of one worker: quantised rows against activations, and attention. Internal to src/model.
 *
 * Nothing here knows threads: callers split rows, heads or positions. Every result depends only on its own operands: not on the
 * row range asked for, not on m (1 to KERNEL_MAX_M columns give the same bits as one at a time), not on alignment. Each
 * function has a scalar twin that is the definition; the fast ones agree with it to rounding, and exactly where the sums are integers.
 *
 * Activations of the quantised kernels are 16-bit fixed point a block of 32 (two 8-bit planes, so that VNNI's u8 x s8 products
 * apply twice): about 2^-15 of the block's maximum, far below the weights' own error, so that decode stays next to exact arithmetic.
 */
#ifndef PONDER_KERNELS_H
#define PONDER_KERNELS_H

#include "model/gguf.h"

#define KERNEL_MAX_M 8

/* Expands n elements (a multiple of the type's block) of a row into f32. Supported: F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K
 * Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4. */
void dequant_row(uint32_t type, const void *row, float *out, int64_t n);
bool kernel_supports(uint32_t type);

/* m activation vectors of n elements, prepared once and read by all rows of all matrices that they meet. */
struct act;
int act_new(struct act **out, int64_t n_max, int m_max, struct err *e);
void act_free(struct act *a);
/* Takes columns x[j * stride .. + n), j < m. n must be a multiple of 32 for quantised types (256 for K-quants: rows are whole blocks); any
 * n serves F32, F16 and BF16. Keeps a copy, in f32 and in fixed point. inf and NaN make NaN of every product of their column and leave
 * the other columns alone. Sizes beyond those of act_new leave nothing prepared: products then write nothing. */
void act_prepare(struct act *a, const float *x, int64_t stride, int64_t n, int m);

/* y[j * y_stride + r] = row r of w . column j, for r in [r0, r1), all m columns of a. w: rows of n elements, row_bytes apart. */
void gemv_rows(uint32_t type, const void *w, size_t row_bytes, int64_t r0, int64_t r1, const struct act *a, float *y, int64_t y_stride);
/* The same for rows r0 + q * apart + i, q < streams, i < n, in turns from each stream: a worker whose spans follow one another in all of
 * GEMV_STREAMS streams draws the most from memory. A row's bits do not depend on the span that it is in. */
#define GEMV_STREAMS 4
struct gemv_span {
    int64_t r0, n, apart;
    int streams;            /* 1 to GEMV_STREAMS */
};
void gemv_span(uint32_t type, const void *w, size_t row_bytes, const struct gemv_span *g, const struct act *a, float *y, int64_t y_stride);

/* Attention of one query position over cached keys and values, for one KV head and the n_group query heads that share it (GQA):
 * out[g] = softmax(scale * q[g] . K) V over positions [p0, p1), as partial results that attend_merge joins, so that a long context can be
 * split over threads at fixed places. q: n_group x dim, K and V: position rows of `dim` f16, kv_stride f16 apart, position 0 at k and v.
 * Partial: acc n_group x dim f32 (not normalised), max and sum n_group each. Online softmax over fixed tiles of ATTEND_TILE positions from
 * p0. A head's bits do not depend on n_group. No positions at all give zeros. */
#define ATTEND_TILE 128
struct attend_part {
    float *acc, *max, *sum;
};
void attend(const float *q, int n_group, int dim, float scale, const uint16_t *k, const uint16_t *v, int64_t kv_stride, int64_t p0,
            int64_t p1, struct attend_part *part);
/* Joins n parts in their order and normalises into out (n_group x dim). */
void attend_merge(const struct attend_part *parts, int n, int n_group, int dim, float *out);

/* Two steps of attention over a panel: up to PANEL_COLUMNS query vectors side by side (a multiple of 16), as a chunk of the prompt has them.
 * panel_product: c[i][0 .. columns) = sum over j < k of a[i * a_row + j * a_step] * b[j][0 .. columns), for i < rows; with `keep`, keep[column]
 * times what is there is where the sum begins. Rows of b and c are `columns` apart. A sum's order is that of j.
 * panel_soften: scores s[n][columns] become exp(s - max), column by column, with max and sum brought up to date as in attend; keep
 * (columns) = what earlier sums count for now. A score of -inf becomes 0. */
#define PANEL_COLUMNS 64
void panel_product(const float *a, int64_t a_row, int64_t a_step, int rows, int k, const float *b, float *c, int columns, const float *keep);
void panel_soften(float *s, int n, int columns, float *max, float *sum, float *keep);

void f32_to_f16_row(const float *x, uint16_t *out, int64_t n);
void f16_to_f32_row(const uint16_t *x, float *out, int64_t n);
/* n numbers (a multiple of 32) of a row in Q8_0, rounded to f16. */
void q8_0_to_f16_row(const void *row, uint16_t *out, int64_t n);
/* x * weight / rms(x): out may be x. */
void rms_norm(const float *x, const float *weight, float *out, int64_t n, float eps);
/* y += x */
void add_row(const float *x, float *y, int64_t n);
/* out[i] = silu(gate[i]) * up[i] */
void swiglu(const float *gate, const float *up, float *out, int64_t n);

/* Chooses a family once: the best that CPUID, XCR0 and a probe allow, or the one PONDER_KERNELS names (ERR_UNSUPPORTED where this CPU
 * lacks it, ERR_USAGE for an unknown name). Must be called before the others, which run the scalar family until then; safe to call again.
 * kernels_name() as in model.h's engine_kernels. */
int kernels_init(struct err *e);
/* Forces a family for a test; false where the CPU lacks it. */
bool kernels_force(const char *name);
const char *kernels_name(void);

#endif
