/*
 * train_amx.h - products in bf16 on AMX, one worker's part: c [m][n] = a [m][k] b [k][n]. Internal to src/model. Only where the kernel family
 * is "amx"; elsewhere nothing is computed.
 */
#ifndef PONDER_TRAIN_AMX_H
#define PONDER_TRAIN_AMX_H

#include "base/base.h"

/* Tiles of so many, in pairs. */
static inline int train_amx_tiles(int n, int size)
{
    return size == 32 ? (n + 31) / 32 : (n + 31) / 32 * 2;
}
/* Halves of a packed operand: the left one of m rows, the right one of m columns. */
static inline size_t train_amx_size(int m, int k)
{
    return (size_t)train_amx_tiles(m, 16) * (size_t)train_amx_tiles(k, 32) * 512;
}

/* Rows lo to lo + 16 of a, of which `rows` exist; lo: a multiple of 16 below the padded number of rows. Only the tiles that hold elements
 * from `from` on. */
void train_amx_left(const float *x, int stride, int rows, int k, int from, int lo, uint16_t *out);
/* The same of the transposed of x [k][m]: rows lo to lo + 16 are its columns. */
void train_amx_left_columns(const float *x, int stride, int m, int k, int lo, uint16_t *out);
/* Columns n0 to n0 + 16 of b from as many rows of k elements, of which `rows` exist. */
void train_amx_right_columns(const float *s, int rows, int k, int n0, uint16_t *out);
/* Rows k0 to k0 + 32 of b from rows of n elements, of which `rows` exist. */
void train_amx_right_rows(const float *s, int stride, int rows, int n, int k0, int k, uint16_t *out);
/* c's rows m0 to m1 and columns n0 to n1; m0 and n0 multiples of 32. */
void train_amx_multiply(const uint16_t *left, const uint16_t *right, int k, int m0, int m1, int n0, int n1, float *c, int ldc, bool add);

#endif
