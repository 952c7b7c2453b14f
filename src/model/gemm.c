/*
 * gemm.c - the public face of gemm.h: formats, inputs, and the walk over panels and slabs.
 *
 * Holds no state. Sizes are checked here; the families trust them.
 */
#include "model/gemm_impl.h"

#include <stdlib.h>

static const struct gemm_format formats[] = {
    {TENSOR_Q4_0, 4, 32, false, false, true},   {TENSOR_Q4_1, 4, 32, false, true, true},   {TENSOR_Q5_0, 5, 32, false, false, true},
    {TENSOR_Q5_1, 5, 32, false, true, true},    {TENSOR_Q8_0, 8, 32, false, false, true},  {TENSOR_Q4_K, 4, 256, false, true, false},
    {TENSOR_Q5_K, 5, 256, false, true, false},  {TENSOR_Q6_K, 6, 256, true, false, false},
};

static const struct gemm_family *const families[] = {
#ifdef KERNELS_X86
    &gemm_amx,
    &gemm_avx512,
    &gemm_avx2,
#endif
    &gemm_scalar,
};

const struct gemm_format *gemm_format_of(uint32_t type)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (formats[i].type == type) return &formats[i];
    return NULL;
}

bool gemm_supports(uint32_t type, int64_t n_in)
{
    const struct gemm_format *f = gemm_format_of(type);
    return f && n_in > 0 && n_in % f->unit == 0;
}

bool gemm_wants_mid(uint32_t type)
{
    const struct gemm_format *f = gemm_format_of(type);
    return f && f->wants_mid;
}

/* ---- inputs --------------------------------------------------------------------------------------------------------- */

static const struct gemm_family *family_now(void)
{
    const char *name = kernels_name();
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        if (!strcmp(families[i]->name, name)) return families[i];
    return &gemm_scalar;
}

static int64_t stride_of(int64_t n)
{
    return (n + 63) / 64 * 64 + 64;
}

/* Bytes of q for all rows; of AMX in whole tiles, and two tiles' elements that may be fetched behind them. */
static uint64_t q_bytes(const struct gemm_family *f, int rows, int64_t n_max)
{
    if (f->element == 1) return (uint64_t)rows * (uint64_t)stride_of(n_max);
    uint64_t tiles = ((uint64_t)rows + GEMM_AMX_ROWS - 1) / GEMM_AMX_ROWS * GEMM_AMX_ROWS + 16;
    return tiles * (uint64_t)n_max * f->element;
}

/* Of bf16 there are no scales. */
static uint64_t scales_bytes(const struct gemm_family *f, int rows, int64_t n_max)
{
    return f->element == 1 ? (uint64_t)rows * (uint64_t)(n_max / 32) * 3 * sizeof(float) : 0;
}

uint64_t gemm_input_bytes(int rows, int64_t n_max)
{
    return q_bytes(family_now(), rows, n_max) + scales_bytes(family_now(), rows, n_max);
}

static void *bytes_new(uint64_t n)
{
    void *p = aligned_alloc(64, (n + 63) / 64 * 64);
    if (p) memset(p, 0, (n + 63) / 64 * 64);
    return p;
}

int gemm_input_new(struct gemm_input **out, int rows, int64_t n_max, struct err *e)
{
    return gemm_input_new_for(out, family_now(), rows, n_max, e);
}

int gemm_input_new_for(struct gemm_input **out, const struct gemm_family *family, int rows, int64_t n_max, struct err *e)
{
    *out = NULL;
    if (rows < 1 || n_max < 32 || n_max > INT32_MAX) return err_set(e, ERR_INVALID, "activations of an impossible size");
    struct gemm_input *g = calloc(1, sizeof *g);
    if (!g) return err_set(e, ERR_NOMEM, "out of memory for activations");
    g->family = family;
    g->rows = rows;
    g->n_max = n_max;
    g->q = bytes_new(q_bytes(family, rows, n_max));
    if (family->element == 1) g->scales = bytes_new(scales_bytes(family, rows, n_max));
    if (!g->q || (!g->scales && family->element == 1)) {
        gemm_input_free(g);
        return err_set(e, ERR_NOMEM, "out of memory for activations");
    }
    *out = g;
    return ERR_OK;
}

void gemm_input_free(struct gemm_input *g)
{
    if (!g) return;
    free(g->q);
    free(g->scales);
    free(g);
}

void gemm_input_begin(struct gemm_input *g, int64_t n, bool mid)
{
    g->n = n > 0 && n <= g->n_max && n % 32 == 0 ? n : 0;
    g->mid = mid;
    g->stride = stride_of(g->n);
}

void gemm_input_put(struct gemm_input *g, int lo, int hi, int64_t k0, int64_t n, const float *x, int64_t x_stride)
{
    if (lo < 0 || hi > g->rows || k0 < 0 || n < 0 || k0 + n > g->n || (k0 | n) % 32) return;
    g->family->put(g, lo, hi, k0, n, x, x_stride);
}

/* ---- products ------------------------------------------------------------------------------------------------------- */

size_t gemm_scratch_bytes(void)
{
    size_t panel = (sizeof(struct gemm_panel) + 63) / 64 * 64;
    return panel > GEMM_AMX_SCRATCH ? panel : GEMM_AMX_SCRATCH;
}

/* Equal slabs, so that the last one is not a crumb. */
static int slab_of(int64_t n, int unit)
{
    int64_t slabs = (n + GEMM_SLAB - 1) / GEMM_SLAB, slab = (n + slabs - 1) / slabs;
    return (int)((slab + unit - 1) / unit * unit);
}

void gemm_rows(const struct gemm_input *g, int lo, int hi, uint32_t type, const void *w, size_t row_bytes, int64_t r0, int64_t r1, float *y,
               int64_t y_stride, void *scratch)
{
    const struct gemm_format *f = gemm_format_of(type);
    const struct gemm_family *family = g->family;

    if (!f || !g->n || g->n % f->unit || lo < 0 || hi > g->rows || lo >= hi) return;
    if (family->rows) {
        family->rows(g, lo, hi, f, w, row_bytes, r0, r1, y, y_stride, scratch);
        return;
    }
    const int slab = slab_of(g->n, f->unit);
    for (int64_t r = r0; r < r1; r += GEMM_PANEL) {
        int rows = r1 - r < GEMM_PANEL ? (int)(r1 - r) : GEMM_PANEL;
        for (int64_t k = 0; k < g->n; k += slab) {
            int n = g->n - k < slab ? (int)(g->n - k) : slab;
            struct gemm_slab s = {.g = g, .format = f, .panel = scratch, .b0 = k / 32, .blocks = n / 32, .rows = rows, .first = k == 0, .lo = lo,
                                  .y = y + (r - r0), .y_stride = y_stride};
            family->expand(f, (const uint8_t *)w + (size_t)r * row_bytes, row_bytes, rows, k, n, scratch);
            family->multiply(&s, lo, hi);
        }
    }
}
