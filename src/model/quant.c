/*
 * quant.c - the storage formats of weights: what their bytes mean, in plain C.
 *
 * This is the definition that the fast kernels are tested against. A product d * q of any format fits 24 bits, so that
 * expanding rounds at most once, and every family can agree bit for bit. Nothing here checks sizes: gguf.c did.
 */
#include "model/kernels_impl.h"

static void unpack_q4_0(const uint8_t *row, int64_t i, struct unit *u)
{
    const struct block_q4_0 *b = (const struct block_q4_0 *)row + i;
    u->d[0] = u->d[1] = load_f16(b->d);
    u->m[0] = u->m[1] = 0;
    for (int j = 0; j < 16; j++) {
        u->q[j] = (int8_t)((b->qs[j] & 15) - 8);
        u->q[j + 16] = (int8_t)((b->qs[j] >> 4) - 8);
    }
}

static void unpack_q4_1(const uint8_t *row, int64_t i, struct unit *u)
{
    const struct block_q4_1 *b = (const struct block_q4_1 *)row + i;
    u->d[0] = u->d[1] = load_f16(b->d);
    u->m[0] = u->m[1] = load_f16(b->m);
    for (int j = 0; j < 16; j++) {
        u->q[j] = (int8_t)(b->qs[j] & 15);
        u->q[j + 16] = (int8_t)(b->qs[j] >> 4);
    }
}

/* Nibbles with a fifth bit each; offset is taken off. */
static void unpack_five_bits(const uint8_t qs[16], uint32_t qh, int offset, int8_t q[32])
{
    for (int j = 0; j < 16; j++) {
        q[j] = (int8_t)(((qs[j] & 15) | (int)(qh >> j & 1) << 4) - offset);
        q[j + 16] = (int8_t)((qs[j] >> 4 | (int)(qh >> (j + 16) & 1) << 4) - offset);
    }
}

static void unpack_q5_0(const uint8_t *row, int64_t i, struct unit *u)
{
    const struct block_q5_0 *b = (const struct block_q5_0 *)row + i;
    u->d[0] = u->d[1] = load_f16(b->d);
    u->m[0] = u->m[1] = 0;
    unpack_five_bits(b->qs, load_u32(b->qh), 16, u->q);
}

static void unpack_q5_1(const uint8_t *row, int64_t i, struct unit *u)
{
    const struct block_q5_1 *b = (const struct block_q5_1 *)row + i;
    u->d[0] = u->d[1] = load_f16(b->d);
    u->m[0] = u->m[1] = load_f16(b->m);
    unpack_five_bits(b->qs, load_u32(b->qh), 0, u->q);
}

static void unpack_q8_0(const uint8_t *row, int64_t i, struct unit *u)
{
    const struct block_q8_0 *b = (const struct block_q8_0 *)row + i;
    u->d[0] = u->d[1] = load_f16(b->d);
    u->m[0] = u->m[1] = 0;
    memcpy(u->q, b->qs, 32);
}

static void unpack_q4_k(const uint8_t *row, int64_t i, struct unit *u)
{
    const struct block_q4_k *b = (const struct block_q4_k *)row + i / 8;
    int s = (int)(i % 8), sc, m;
    k_scale_min(b->scales, s, &sc, &m);
    u->d[0] = u->d[1] = load_f16(b->d) * (float)sc;
    u->m[0] = u->m[1] = -(load_f16(b->dmin) * (float)m);
    const uint8_t *qs = b->qs + s / 2 * 32;
    for (int j = 0; j < 32; j++) u->q[j] = (int8_t)(qs[j] >> s % 2 * 4 & 15);
}

static void unpack_q5_k(const uint8_t *row, int64_t i, struct unit *u)
{
    const struct block_q5_k *b = (const struct block_q5_k *)row + i / 8;
    int s = (int)(i % 8), sc, m;
    k_scale_min(b->scales, s, &sc, &m);
    u->d[0] = u->d[1] = load_f16(b->d) * (float)sc;
    u->m[0] = u->m[1] = -(load_f16(b->dmin) * (float)m);
    const uint8_t *qs = b->qs + s / 2 * 32;
    for (int j = 0; j < 32; j++) u->q[j] = (int8_t)((qs[j] >> s % 2 * 4 & 15) | (b->qh[j] >> s & 1) << 4);
}

static void unpack_q6_k(const uint8_t *row, int64_t i, struct unit *u)
{
    const struct block_q6_k *b = (const struct block_q6_k *)row + i / 8;
    /* Half h of the block holds 4 units of 32: two in the low nibbles of its 64 bytes of ql, two in the high ones, unit p with bits
     * 2p and 2p + 1 of qh above them. */
    int s = (int)(i % 8), h = s / 4, p = s % 4;
    const uint8_t *ql = b->ql + h * 64 + p % 2 * 32, *qh = b->qh + h * 32;
    float d = load_f16(b->d);
    u->d[0] = d * (float)b->scales[2 * s];
    u->d[1] = d * (float)b->scales[2 * s + 1];
    u->m[0] = u->m[1] = 0;
    for (int j = 0; j < 32; j++) u->q[j] = (int8_t)(((ql[j] >> p / 2 * 4 & 15) | (qh[j] >> 2 * p & 3) << 4) - 32);
}

static void unpack_q2_k(const uint8_t *row, int64_t i, struct unit *u)
{
    const struct block_q2_k *b = (const struct block_q2_k *)row + i / 8;
    int s = (int)(i % 8);
    const uint8_t *qs = b->qs + s / 4 * 32;
    for (int k = 0; k < 2; k++) {
        u->d[k] = load_f16(b->d) * (float)(b->scales[2 * s + k] & 15);
        u->m[k] = -(load_f16(b->dmin) * (float)(b->scales[2 * s + k] >> 4));
    }
    for (int j = 0; j < 32; j++) u->q[j] = (int8_t)(qs[j] >> s % 4 * 2 & 3);
}

static void unpack_q3_k(const uint8_t *row, int64_t i, struct unit *u)
{
    const struct block_q3_k *b = (const struct block_q3_k *)row + i / 8;
    int s = (int)(i % 8);
    const uint8_t *qs = b->qs + s / 4 * 32;
    for (int k = 0; k < 2; k++) u->d[k] = load_f16(b->d) * (float)q3_k_scale(b->scales, 2 * s + k);
    u->m[0] = u->m[1] = 0;
    for (int j = 0; j < 32; j++) u->q[j] = (int8_t)((qs[j] >> s % 4 * 2 & 3) - (b->hmask[j] >> s & 1 ? 0 : 4));
}

const int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
const int8_t mxfp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* 16 bytes of nibbles, each the place of a value in a table. */
static void look_up(const uint8_t qs[16], const int8_t values[16], int8_t q[32])
{
    for (int j = 0; j < 16; j++) {
        q[j] = values[qs[j] & 15];
        q[j + 16] = values[qs[j] >> 4];
    }
}

static void unpack_iq4_nl(const uint8_t *row, int64_t i, struct unit *u)
{
    const struct block_iq4_nl *b = (const struct block_iq4_nl *)row + i;
    u->d[0] = u->d[1] = load_f16(b->d);
    u->m[0] = u->m[1] = 0;
    look_up(b->qs, iq4_values, u->q);
}

static void unpack_iq4_xs(const uint8_t *row, int64_t i, struct unit *u)
{
    const struct block_iq4_xs *b = (const struct block_iq4_xs *)row + i / 8;
    int s = (int)(i % 8);
    u->d[0] = u->d[1] = load_f16(b->d) * (float)iq4_xs_scale(b, s);
    u->m[0] = u->m[1] = 0;
    look_up(b->qs + 16 * s, iq4_values, u->q);
}

static void unpack_mxfp4(const uint8_t *row, int64_t i, struct unit *u)
{
    const struct block_mxfp4 *b = (const struct block_mxfp4 *)row + i;
    u->d[0] = u->d[1] = mxfp4_scale(b->e);
    u->m[0] = u->m[1] = 0;
    look_up(b->qs, mxfp4_values, u->q);
}

unpack_fn *quant_unpack(uint32_t type)
{
    switch (type) {
    case TENSOR_Q4_0: return unpack_q4_0;
    case TENSOR_Q4_1: return unpack_q4_1;
    case TENSOR_Q5_0: return unpack_q5_0;
    case TENSOR_Q5_1: return unpack_q5_1;
    case TENSOR_Q8_0: return unpack_q8_0;
    case TENSOR_Q4_K: return unpack_q4_k;
    case TENSOR_Q5_K: return unpack_q5_k;
    case TENSOR_Q6_K: return unpack_q6_k;
    case TENSOR_Q2_K: return unpack_q2_k;
    case TENSOR_Q3_K: return unpack_q3_k;
    case TENSOR_IQ4_NL: return unpack_iq4_nl;
    case TENSOR_IQ4_XS: return unpack_iq4_xs;
    case TENSOR_MXFP4: return unpack_mxfp4;
    default: return NULL;
    }
}

void quant_dequant(uint32_t type, const uint8_t *row, float *out, int64_t n)
{
    if (type == TENSOR_F32) {
        memcpy(out, row, (size_t)n * sizeof *out);
        return;
    }
    if (type == TENSOR_F16 || type == TENSOR_BF16) {
        for (int64_t i = 0; i < n; i++)
            out[i] = type == TENSOR_F16 ? load_f16(row + 2 * i) : f32_of_bits((uint32_t)load_u16(row + 2 * i) << 16);
        return;
    }
    unpack_fn *unpack = quant_unpack(type);
    if (!unpack) return;
    struct unit u;
    for (int64_t i = 0; i < n / 32; i++) {
        unpack(row, i, &u);
        for (int j = 0; j < 32; j++) out[32 * i + j] = u.d[j / 16] * (float)u.q[j] + u.m[j / 16];
    }
}

uint16_t f16_of_f32(float f)
{
    uint32_t u = f32_bits(f), sign = u >> 16 & 0x8000;
    u &= 0x7fffffff;
    if (u > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (u >> 13 & 0x1ff));
    if (u >= 0x47800000) return (uint16_t)(sign | 0x7c00);
    if (u < 0x38800000) {
        /* Subnormal: adding 0.5 lines the last bit of an f16 up with the last bit of an f32, and the adder rounds. */
        return (uint16_t)(sign | (f32_bits(f32_of_bits(u) + 0.5f) - f32_bits(0.5f)));
    }
    u += 0xfff + (u >> 13 & 1);    /* to nearest, ties to even; may carry into the exponent and on to infinity */
    return (uint16_t)(sign | (u - (112u << 23)) >> 13);
}
