/*
 * gemm_scalar.c - the prompt's products in plain C: the definition in gemm_impl.h, written to be read.
 */
#include "model/gemm_impl.h"

#include <math.h>

#define TINY 1e-30f

/* Scale and midpoint that carry the 32 numbers of a block on to |q| <= 127. */
static void input_block(const float *x, bool mid, uint8_t *q, float *scale, float *sum, float *middle)
{
    float lo = x[0], hi = x[0];
    uint32_t top = 0;
    int total = 0;

    for (int i = 0; i < 32; i++) {
        uint32_t magnitude = f32_bits(x[i]) & 0x7fffffff;
        top = magnitude > top ? magnitude : top;
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    float range = mid ? hi - lo : 2.0f * f32_of_bits(top);
    bool finite = top < 0x7f800000 && f32_bits(range) < 0x7f800000;
    float c = mid && finite ? 0.5f * lo + 0.5f * hi : 0, inverse = finite && range >= TINY ? 254.0f / range : 0;
    *scale = !finite ? f32_of_bits(0x7fc00000) : inverse > 0 ? range / 254.0f : 0;
    for (int i = 0; i < 32; i++) {
        float v = finite ? rintf((x[i] - c) * inverse) : 0;
        int k = v < -127 ? -127 : v > 127 ? 127 : (int)v;
        q[i] = (uint8_t)(k + 128);
        total += k;
    }
    *middle = c;
    *sum = *scale * (float)total + 32.0f * c;
}

static void put(struct gemm_input *g, int lo, int hi, int64_t k0, int64_t n, const float *x, int64_t x_stride)
{
    const int64_t blocks = g->n / 32;

    for (int row = lo; row < hi; row++, x += x_stride) {
        float *scales = gemm_scales(g, row);
        for (int64_t k = 0; k < n; k += 32) {
            int64_t b = (k0 + k) / 32;
            input_block(x + k, g->mid, g->q + row * g->stride + 32 * b, scales + b, scales + blocks + b, scales + 2 * blocks + b);
        }
    }
}

static float product(const struct gemm_input *g, const struct gemm_format *f, unpack_fn *unpack, const uint8_t *w, int row)
{
    const int64_t n = g->n / 32;
    const uint8_t *q = gemm_q(g, row);
    const float *scales = gemm_scales(g, row);
    float acc = 0;

    for (int64_t b = 0; b < n; b++) {
        struct unit u;
        int32_t dot[2] = {0, 0}, sum[2] = {0, 0};
        unpack(w, b, &u);
        for (int i = 0; i < 32; i++) {
            dot[i / 16] += u.q[i] * (q[32 * b + i] - 128);
            sum[i / 16] += u.q[i];
        }
        if (f->halves) {
            acc = fmaf((float)dot[0], u.d[0] * scales[b], acc);
            acc = fmaf((float)dot[1], u.d[1] * scales[b], acc);
        } else {
            acc = fmaf((float)(dot[0] + dot[1]), u.d[0] * scales[b], acc);
        }
        if (f->min) acc = fmaf(u.m[0], scales[n + b], acc);
        float dw = f->halves ? u.d[0] * (float)sum[0] + u.d[1] * (float)sum[1] : u.d[0] * (float)(sum[0] + sum[1]);
        if (g->mid) acc = fmaf(dw, scales[2 * n + b], acc);
    }
    return acc;
}

static void rows(const struct gemm_input *g, int lo, int hi, const struct gemm_format *f, const uint8_t *w, size_t row_bytes, int64_t r0, int64_t r1,
                 float *y, int64_t y_stride, void *scratch)
{
    unpack_fn *unpack = quant_unpack(f->type);

    (void)scratch;
    for (int64_t r = r0; r < r1; r++)
        for (int c = lo; c < hi; c++) y[(c - lo) * y_stride + (r - r0)] = product(g, f, unpack, w + (size_t)r * row_bytes, c);
}

const struct gemm_family gemm_scalar = {.name = "scalar", .element = 1, .put = put, .rows = rows};
