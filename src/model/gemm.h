/*
 * gemm.h - products of many activation rows with a quantised matrix: the prompt's core. Internal to src/model.
 *
 * One worker's arithmetic; nothing here knows threads. Rows of activations are prepared once (gemm_input) and met by any rows
 * of any matrices of their width. The bits of y[row][r] depend on activation row `row`, matrix row r and the kernel family
 * alone: not on which rows are asked for together, not on their number, not on alignment.
 *
 * What is rounded, beyond the f32 sums: activations, to 8 bits a block of 32 (scalar, AVX2 and AVX-512, which agree bit for bit), or
 * activations and expanded weights, to bf16 (AMX). Formats of floats are not served here: BLAS does them.
 */
#ifndef PONDER_GEMM_H
#define PONDER_GEMM_H

#include "model/gguf.h"

/* Matrix rows that an item of work should be a multiple of. */
#define GEMM_PANEL 32

struct gemm_input;

/* Whether gemm_rows can multiply with matrices of this type and row length. */
bool gemm_supports(uint32_t type, int64_t n_in);
/* Whether activations that meet a matrix of this type should keep a midpoint for each block (an input that meets several: if
 * any asks for it). Costs a tenth of the speed and takes half of the error; worth it where the weights themselves are stored
 * in blocks of 32 and nothing else is left to be better at. */
bool gemm_wants_mid(uint32_t type);

/* Room for `rows` rows of up to n_max elements. The kernel family in use now (kernels_name) stays this input's. ERR_INVALID, ERR_NOMEM.
 * Caller frees. */
int gemm_input_new(struct gemm_input **out, int rows, int64_t n_max, struct err *e);
void gemm_input_free(struct gemm_input *g);
uint64_t gemm_input_bytes(int rows, int64_t n_max);
/* The width (a multiple of 32, at most n_max, else nothing is computed) and form of the rows that follow. */
void gemm_input_begin(struct gemm_input *g, int64_t n, bool mid);
/* Prepares elements k0 to k0 + n (both multiples of 32, within the width) of rows lo to hi from rows of n floats, the first at x, x_stride
 * apart; fastest by multiples of 16 rows. Different pieces may be prepared by different threads. A block with inf or NaN makes the
 * products NaN. */
void gemm_input_put(struct gemm_input *g, int lo, int hi, int64_t k0, int64_t n, const float *x, int64_t x_stride);

/* Bytes of a worker's scratch, 64-byte aligned. */
size_t gemm_scratch_bytes(void);
/* y[(row - lo) * y_stride + (r - r0)] = matrix row r . activation row, for rows lo to hi and matrix rows r0 to r1. w is row 0 of the
 * matrix, whose rows are row_bytes apart. */
void gemm_rows(const struct gemm_input *g, int lo, int hi, uint32_t type, const void *w, size_t row_bytes, int64_t r0, int64_t r1, float *y,
               int64_t y_stride, void *scratch);

/* Whether this CPU has AMX with bf16, the system grants its state, and a product (in a child process) comes out right. Serves the
 * kernel family of the name "amx". */
bool gemm_amx_usable(void);

#endif
