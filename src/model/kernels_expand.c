/*
 * kernels_expand.c - products with rows of a format that has no kernel of its own: expand, then multiply as F32.
 *
 * A piece of a few rows is expanded into the first cache and meets all columns there. Pieces lie at fixed places of a row and are added
 * in order, and the kernel for F32 gives a row the same bits whatever rows stand beside it, so that those of the whole product depend
 * neither on the row range nor on the number of columns. It does not touch the fixed-point part of the activations.
 */
#include "model/kernels_impl.h"

/* Together 16 KB, half of a first cache. */
enum { ROWS = 8, PIECE = 512 };

static gemv_fn *float_kernel(const struct kernel_family *f)
{
    const struct format_kernels *k = f->formats;
    while (k->gemv && k->type != TENSOR_F32) k++;
    return k->gemv;
}

/* y of n_rows rows from w on, all columns. */
static void expanded_rows(const struct kernel_family *f, gemv_fn *gemv, uint32_t type, const uint8_t *w, size_t row_bytes, int n_rows,
                          const struct act *a, float *y, int64_t y_stride)
{
    _Alignas(64) float rows[ROWS * PIECE], part[KERNEL_MAX_M * ROWS];
    const size_t piece_bytes = (size_t)(PIECE / tensor_block_elements(type)) * (size_t)tensor_block_bytes(type);
    const int n = n_rows / GEMV_STREAMS, done = n * GEMV_STREAMS;
    dequant_fn *dequant = f->dequant(type);

    for (int64_t k = 0; k < a->n; k += PIECE, w += piece_bytes) {
        struct act piece = *a;
        piece.x += k;
        piece.n = a->n - k < PIECE ? a->n - k : PIECE;
        for (int r = 0; r < n_rows; r++) {
            const uint8_t *row = w + (size_t)r * row_bytes;
            if (dequant)
                dequant(row, rows + r * PIECE, piece.n);
            else
                quant_dequant(type, row, rows + r * PIECE, piece.n);
        }
        gemv((const uint8_t *)rows, PIECE * sizeof(float), &(struct gemv_span){0, n, n, GEMV_STREAMS}, &piece, part, ROWS);
        if (done < n_rows) gemv((const uint8_t *)rows, PIECE * sizeof(float), &(struct gemv_span){done, n_rows - done, 0, 1}, &piece, part, ROWS);
        for (int c = 0; c < a->m; c++)
            for (int r = 0; r < n_rows; r++) y[c * y_stride + r] = part[c * ROWS + r] + (k ? y[c * y_stride + r] : 0);
    }
}

void gemv_expanded(const struct kernel_family *f, uint32_t type, const uint8_t *w, size_t row_bytes, const struct gemv_span *g,
                   const struct act *a, float *y, int64_t y_stride)
{
    gemv_fn *gemv = float_kernel(f);

    for (int q = 0; gemv && q < g->streams; q++)
        for (int64_t r = g->r0 + q * g->apart, end = r + g->n; r < end; r += ROWS)
            expanded_rows(f, gemv, type, w + (size_t)r * row_bytes, row_bytes, end - r < ROWS ? (int)(end - r) : ROWS, a, y + r, y_stride);
}
