/*
 * kernels_scalar.c - every kernel in plain C: what the fast families are measured against, and what runs where there is none.
 *
 * Written to be read, not to be fast. Products of a block are summed as integers, blocks in double, in order.
 */
#include "model/kernels_impl.h"

#include <math.h>

/* One block of 32: the scale is the maximum's, the quotients are rounded to nearest even. */
static void prepare_block(struct act *a, int col, int64_t b)
{
    const float *x = a->x + col * a->stride + 32 * b;
    int64_t at = col * a->stride + 32 * b;
    uint32_t top = 0;
    for (int i = 0; i < 32; i++)
        if ((f32_bits(x[i]) & 0x7fffffff) > top) top = f32_bits(x[i]) & 0x7fffffff;
    float amax = f32_of_bits(top), scale = 0, inverse = 0;
    bool finite = top < 0x7f800000;
    if (!finite) {
        scale = f32_of_bits(0x7fc00000);
    } else if (amax >= ACT_TINY) {
        scale = amax / (float)ACT_Q_MAX;
        inverse = (float)ACT_Q_MAX / amax;
    }
    int32_t sum[2] = {0, 0};
    for (int i = 0; i < 32; i++) {
        int q = finite ? (int)rintf(x[i] * inverse) : 0;
        a->q[at + i] = (int16_t)q;
        sum[i / 16] += q;
    }
    a->s32[at / 32] = scale;
    for (int i = 0; i < 2; i++) a->off16[at / 16 + i] = -32.0f * (scale * (float)sum[i]);
}

static void prepare(struct act *a, int col)
{
    for (int64_t b = 0; b < a->n / 32; b++) prepare_block(a, col, b);
}

static float dot_units(unpack_fn *unpack, const uint8_t *row, const struct act *a, int col)
{
    const int16_t *q = a->q + col * a->stride;
    const float *s = a->s32 + col * a->stride / 32, *off = a->off16 + col * a->stride / 16;
    double total = 0;
    struct unit u;
    for (int64_t b = 0; b < a->n / 32; b++) {
        unpack(row, b, &u);
        int32_t sum[2] = {0, 0};
        for (int i = 0; i < 32; i++) sum[i / 16] += u.q[i] * q[32 * b + i];
        double scale = s[b];
        total += scale * (double)u.d[0] * sum[0] + scale * (double)u.d[1] * sum[1];
        /* off16 is the sum times -32 */
        total -= ((double)u.m[0] * (double)off[2 * b] + (double)u.m[1] * (double)off[2 * b + 1]) / 32;
    }
    return (float)total;
}

static void gemv_units(unpack_fn *unpack, const uint8_t *w, size_t row_bytes, const struct gemv_span *g, const struct act *a, float *y, int64_t y_stride)
{
    for (int q = 0; q < g->streams; q++)
        for (int64_t r = g->r0 + q * g->apart, end = r + g->n; r < end; r++)
            for (int c = 0; c < a->m; c++) y[c * y_stride + r] = dot_units(unpack, w + (size_t)r * row_bytes, a, c);
}

#define GEMV_OF(name, type) \
    static void gemv_##name(const uint8_t *w, size_t row_bytes, const struct gemv_span *g, const struct act *a, float *y, int64_t y_stride) \
    { \
        gemv_units(quant_unpack(type), w, row_bytes, g, a, y, y_stride); \
    }
GEMV_OF(q4_0, TENSOR_Q4_0)
GEMV_OF(q4_1, TENSOR_Q4_1)
GEMV_OF(q5_0, TENSOR_Q5_0)
GEMV_OF(q5_1, TENSOR_Q5_1)
GEMV_OF(q8_0, TENSOR_Q8_0)
GEMV_OF(q4_k, TENSOR_Q4_K)
GEMV_OF(q5_k, TENSOR_Q5_K)
GEMV_OF(q6_k, TENSOR_Q6_K)
GEMV_OF(q2_k, TENSOR_Q2_K)
GEMV_OF(q3_k, TENSOR_Q3_K)
GEMV_OF(iq4_nl, TENSOR_IQ4_NL)
GEMV_OF(iq4_xs, TENSOR_IQ4_XS)
GEMV_OF(mxfp4, TENSOR_MXFP4)

static float dot_floats(uint32_t type, const uint8_t *row, const struct act *a, int c)
{
    const float *x = a->x + c * a->stride;
    double sum = 0;
    for (int64_t i = 0; i < a->n; i++) {
        float v;
        quant_dequant(type, row + (type == TENSOR_F32 ? 4 : 2) * i, &v, 1);
        sum += (double)v * (double)x[i];
    }
    return (float)sum;
}

static void gemv_floats(uint32_t type, const uint8_t *w, size_t row_bytes, const struct gemv_span *g, const struct act *a, float *y, int64_t y_stride)
{
    for (int q = 0; q < g->streams; q++)
        for (int64_t r = g->r0 + q * g->apart, end = r + g->n; r < end; r++)
            for (int c = 0; c < a->m; c++) y[c * y_stride + r] = dot_floats(type, w + (size_t)r * row_bytes, a, c);
}

#define GEMV_FLOATS_OF(name, type) \
    static void gemv_##name(const uint8_t *w, size_t row_bytes, const struct gemv_span *g, const struct act *a, float *y, int64_t y_stride) \
    { \
        gemv_floats(type, w, row_bytes, g, a, y, y_stride); \
    }
GEMV_FLOATS_OF(f32, TENSOR_F32)
GEMV_FLOATS_OF(f16, TENSOR_F16)
GEMV_FLOATS_OF(bf16, TENSOR_BF16)

static const struct format_kernels formats[] = {
    {TENSOR_F32, gemv_f32}, {TENSOR_F16, gemv_f16}, {TENSOR_BF16, gemv_bf16}, {TENSOR_Q4_0, gemv_q4_0}, {TENSOR_Q4_1, gemv_q4_1},
    {TENSOR_Q5_0, gemv_q5_0}, {TENSOR_Q5_1, gemv_q5_1}, {TENSOR_Q8_0, gemv_q8_0}, {TENSOR_Q4_K, gemv_q4_k}, {TENSOR_Q5_K, gemv_q5_k},
    {TENSOR_Q6_K, gemv_q6_k}, {TENSOR_Q2_K, gemv_q2_k}, {TENSOR_Q3_K, gemv_q3_k}, {TENSOR_IQ4_NL, gemv_iq4_nl},
    {TENSOR_IQ4_XS, gemv_iq4_xs}, {TENSOR_MXFP4, gemv_mxfp4}, {0, NULL},
};

static void to_f16(const float *x, uint16_t *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++) out[i] = f16_of_f32(x[i]);
}

static void to_f32(const uint16_t *x, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++) out[i] = f16_value(x[i]);
}

static void norm(const float *x, const float *weight, float *out, int64_t n, float eps)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    float factor = (float)(1.0 / sqrt(sum / (double)n + (double)eps));
    for (int64_t i = 0; i < n; i++) out[i] = x[i] * factor * weight[i];
}

static void add(const float *x, float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

static void gate_up(const float *gate, const float *up, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++) out[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

static bool always(void) { return true; }

static dequant_fn *no_dequant(uint32_t type)
{
    (void)type;
    return NULL;
}

const struct kernel_family kernels_scalar = {
    .name = "scalar",
    .cpu_has = always,
    .prepare = prepare,
    .formats = formats,
    .dequant = no_dequant,
    .attend = attend_scalar,
    .q8_0_to_f16 = q8_0_to_f16_scalar,
    .panel_product = panel_product_scalar,
    .panel_soften = panel_soften_scalar,
    .f32_to_f16 = to_f16,
    .f16_to_f32 = to_f32,
    .rms_norm = norm,
    .add = add,
    .swiglu = gate_up,
};
