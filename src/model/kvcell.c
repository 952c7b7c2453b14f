/*
 * kvcell.c - how keys and values lie in the cache: f16, or Q8_0 as in a model file.
 *
 * Kernels read f32 and f16 alone: Q8_0 is widened where it is read, a piece of attention at a time. Its error is that of the 8 bits; that a
 * widened value is rounded to f16 once more adds an eighth of it.
 */
#include "model/forward.h"

#include <math.h>
#include <string.h>

struct q8_cell {
    uint16_t scale;
    int8_t q[32];
};
_Static_assert(sizeof(struct q8_cell) == 34, "as in a model file");

const char *kv_type_name(enum kv_type kv) { return kv == KV_Q8_0 ? "q8_0" : "f16"; }

bool kv_type_by_name(const char *name, enum kv_type *out)
{
    if (strcmp(name, "f16") && strcmp(name, "q8_0")) return false;
    *out = strcmp(name, "f16") ? KV_Q8_0 : KV_F16;
    return true;
}

bool kv_fits(enum kv_type type, const struct weights *w)
{
    return type == KV_F16 || (!w->conv && w->head_dim % 32 == 0);
}

size_t kv_row_bytes(enum kv_type type, int dim)
{
    return type == KV_F16 ? (size_t)dim * sizeof(uint16_t) : (size_t)dim / 32 * sizeof(struct q8_cell);
}

static void store_cell(const float *x, struct q8_cell *out)
{
    float max = 0, scale;

    for (int i = 0; i < 32; i++) max = fabsf(x[i]) > max || isnan(x[i]) ? fabsf(x[i]) : max;
    scale = max / 127.0f;
    f32_to_f16_row(&scale, &out->scale, 1);
    /* a block with inf or NaN says so by its scale; what is too small for one is zero */
    float inverse = isfinite(max) && scale > 0 ? 127.0f / max : 0;
    if (!isfinite(inverse)) inverse = 0;
    for (int i = 0; i < 32; i++) out->q[i] = inverse > 0 ? (int8_t)lrintf(x[i] * inverse) : 0;
    if (!isfinite(max)) out->scale = 0x7e00;
}

void kv_store(enum kv_type type, const float *x, void *out, int n)
{
    if (type == KV_F16) {
        f32_to_f16_row(x, out, n);
        return;
    }
    struct q8_cell *cell = out;
    for (int i = 0; i < n; i += 32) store_cell(x + i, cell++);
}

void kv_load(enum kv_type type, const void *cells, float *out, int64_t n)
{
    if (type == KV_F16) f16_to_f32_row(cells, out, n);
    else dequant_row(TENSOR_Q8_0, cells, out, n);
}

void kv_widen(enum kv_type type, const void *cells, uint16_t *out, int64_t n)
{
    if (type == KV_F16) memcpy(out, cells, (size_t)n * sizeof *out);
    else q8_0_to_f16_row(cells, out, n);
}
