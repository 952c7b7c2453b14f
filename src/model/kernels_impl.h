/*
 * kernels_impl.h - what the files of the kernels share: block layouts, the prepared activations, the table of a family.
 *
 * Only kernels*.c, quant.c and attend.c include this. Block structs hold bytes alone, so that any address may be cast to
 * one; numbers of more than a byte are read through load_*. GGUF is little-endian, and so must the machine be.
 */
#ifndef PONDER_KERNELS_IMPL_H
#define PONDER_KERNELS_IMPL_H

#include "model/kernels.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weights are read in place");

#if defined(__x86_64__)
#define KERNELS_X86 1
#endif

/* The kernels are templates: functions whose numbers of rows and columns, and often the format, are constants once they are inlined and
 * their loops unrolled. Sanitisers would make a hundred times more code of that than is good for anybody's patience, and check
 * as much without it. */
#if defined(__SANITIZE_ADDRESS__)
#define KERNELS_PLAIN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KERNELS_PLAIN 1
#endif
#endif
#if defined(KERNELS_PLAIN)
#define UNROLL
#define ALWAYS_INLINE static inline
#elif defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#else
#define UNROLL _Pragma("GCC unroll 16")
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#endif

/* ---- block layouts, as in the file -------------------------------------------------------------------------- */

struct block_q4_0 { uint8_t d[2], qs[16]; };                  /* d * (q - 8); low nibbles are elements 0..15, high ones 16..31 */
struct block_q4_1 { uint8_t d[2], m[2], qs[16]; };            /* d * q + m */
struct block_q5_0 { uint8_t d[2], qh[4], qs[16]; };           /* d * (q - 16); bit i of qh is the fifth bit of element i */
struct block_q5_1 { uint8_t d[2], m[2], qh[4], qs[16]; };     /* d * q + m */
struct block_q8_0 { uint8_t d[2]; int8_t qs[32]; };           /* d * q */
/* 256 elements, 8 sub-blocks of 32: d * sc * q - dmin * m, sc and m 6-bit, packed (see k_scale_min). Bytes 32i.. of qs hold
 * sub-block 2i in their low and 2i+1 in their high nibbles. */
struct block_q4_k { uint8_t d[2], dmin[2], scales[12], qs[128]; };
struct block_q5_k { uint8_t d[2], dmin[2], scales[12], qh[32], qs[128]; };   /* bit s of qh[l]: fifth bit of element 32s + l */
/* 256 elements, 16 sub-blocks of 16: d * sc * (q - 32). */
struct block_q6_k { uint8_t ql[128], qh[64]; int8_t scales[16]; uint8_t d[2]; };
/* 256 elements, 16 sub-blocks of 16: d * sc * q - dmin * m; sc the low, m the high nibble of a byte of scales. Half h of the block has 32
 * bytes of qs, bits 2p and 2p + 1 of byte l for element 128h + 32p + l. */
struct block_q2_k { uint8_t scales[16], qs[64], d[2], dmin[2]; };
/* The same places, d * sc * (q - 4): bit s of hmask[l] is the third bit of element 32s + l. sc: see q3_k_scale. */
struct block_q3_k { uint8_t hmask[32], qs[64], scales[12], d[2]; };
struct block_iq4_nl { uint8_t d[2], qs[16]; };                /* d * iq4_values[q]; nibbles as in q4_0 */
/* 256 elements, 8 sub-blocks of 32: d * sc * iq4_values[q], each with 16 bytes of qs as in q4_0. sc: see iq4_xs_scale. */
struct block_iq4_xs { uint8_t d[2], scales_h[2], scales_l[4], qs[128]; };
struct block_mxfp4 { uint8_t e, qs[16]; };                    /* mxfp4_scale(e) * mxfp4_values[q]; nibbles as in q4_0 */

_Static_assert(sizeof(struct block_q2_k) == 84 && sizeof(struct block_q3_k) == 110, "as in the file");
_Static_assert(sizeof(struct block_iq4_nl) == 18 && sizeof(struct block_iq4_xs) == 136 && sizeof(struct block_mxfp4) == 17, "as in the file");
_Static_assert(sizeof(struct block_q4_0) == 18 && sizeof(struct block_q4_1) == 20, "as in the file");
_Static_assert(sizeof(struct block_q5_0) == 22 && sizeof(struct block_q5_1) == 24, "as in the file");
_Static_assert(sizeof(struct block_q8_0) == 34 && sizeof(struct block_q4_k) == 144, "as in the file");
_Static_assert(sizeof(struct block_q5_k) == 176 && sizeof(struct block_q6_k) == 210, "as in the file");

static inline uint16_t load_u16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint32_t load_u32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint32_t f32_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static inline float f32_of_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* As the conversion instructions of the CPU do it: exact, and a signalling NaN becomes a quiet one. */
static inline float f16_value(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, mag = h & 0x7fff;
    if (mag >= 0x7c00) return f32_of_bits(sign | 0x7f800000 | (mag & 0x3ff) << 13 | (mag > 0x7c00 ? 0x400000 : 0));
    if (mag >= 0x0400) return f32_of_bits(sign | ((mag << 13) + (112u << 23)));
    float sub = (float)mag * 0x1p-24f;
    return sign ? -sub : sub;
}

static inline float load_f16(const void *p) { return f16_value(load_u16(p)); }

/* Scale and minimum of sub-block j (0..7) out of the 12 packed bytes: 6 bits each. */
static inline void k_scale_min(const uint8_t s[12], int j, int *sc, int *m)
{
    if (j < 4) {
        *sc = s[j] & 63;
        *m = s[j + 4] & 63;
    } else {
        *sc = (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
        *m = s[j + 4] >> 4 | s[j] >> 6 << 4;
    }
}

/* Scale of sub-block k (0..15) out of 12 bytes: the low four bits of all, then the high two; -32 to 31. */
static inline int q3_k_scale(const uint8_t s[12], int k)
{
    int low = k < 8 ? s[k] & 15 : s[k - 8] >> 4;
    return (low | (s[8 + k % 4] >> k / 4 * 2 & 3) << 4) - 32;
}

static inline int iq4_xs_scale(const struct block_iq4_xs *b, int s)
{
    int low = b->scales_l[s / 2] >> s % 2 * 4 & 15, high = b->scales_h[s / 4] >> s % 4 * 2 & 3;
    return (low | high << 4) - 32;
}

/* 2^(e - 128): half of what the exponent says, as the table holds the format's values doubled. The two smallest are subnormal. */
static inline float mxfp4_scale(uint8_t e)
{
    return f32_of_bits(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

/* The values that the nibbles of IQ4_NL and IQ4_XS, and those of MXFP4 (doubled), stand for. */
extern const int8_t iq4_values[16], mxfp4_values[16];

/* ---- prepared activations ----------------------------------------------------------------------------------- */

/* x[i] ~ s32[i / 32] * q[i], |q| <= ACT_Q_MAX, q = 256 * hi + lo with both planes in int8. A block whose maximum is below
 * ACT_TINY is zero; one that holds inf or NaN has q = 0 and a NaN as its scale, so that every sum it enters says so.
 *
 * The planes are kept in the orders in which the weight formats unpack. For AVX2 there is a unit of 64 hi bytes before the 64 lo bytes of the
 * same elements, two units a group of 128 elements x0 x1 x2 x3 (32 each):
 *   nat   unit 0 = x0 x1, unit 1 = x2 x3                                   Q4_K, Q5_K, Q6_K
 *   half  unit 0 = first 16 of x0 x1 x2 x3, unit 1 = last 16 of each       Q4_0, Q4_1, Q5_0, Q5_1
 * For AVX-512, 512 elements are turned against each other, 16 hi units and 16 lo units of 64 bytes. Lane 4 L + p of unit j (0 to 3) of a half
 * has elements 4 j .. 4 j + 3 of a piece of 16 of group p of 128:
 *   half  8 hi, 8 lo; piece 2 L, then in the other half 2 L + 1: a lane has a block of 32. The rest of a column, behind the last 512, is not
 *         turned: 2 hi, 2 lo a group, as for AVX2. Its s32, sum32 are in order too; before it they follow the lanes.
 *   pair  4 hi, 4 lo for each half; pieces 0 1 4 5, then 2 3 6 7           Q4_K, Q5_K
 *   nat   4 hi, 4 lo for each half; pieces 0 1 2 3, then 4 5 6 7           Q6_K
 * All arrays are padded with zeros to a multiple of ACT_PAD elements. */
#define ACT_PAD 512
#define ACT_Q_MAX 32639
#define ACT_TINY 1e-30f

struct act {
    int64_t n, stride;      /* elements of a column in use, and from column to column */
    int64_t n_max;
    int m, m_max;
    bool fixed;             /* the fixed-point part is there: n is a multiple of 32 */
    float *x;               /* [m][stride] */
    int16_t *q;             /* [m][stride]; scalar and AVX2 */
    int8_t *nat, *pair, *half;   /* [m][stride * 2]; not for scalar */
    float *s32, *sum32;     /* [m][stride / 32]: scale; scale times the sum of q */
    float *s16;             /* [m][stride / 16]: scale. AVX-512: 16 lanes of each half of `nat` */
    float *off16;           /* [m][stride / 16]: -32 times scale times the sum of q (Q6_K's offset); scalar and AVX2 */
    float *k5;              /* [m][stride / 16]: per 256 elements 8 scales, then 8 sums. AVX-512: scales of 16 lanes of each half of `pair` */
    float *k_sum;           /* [m][stride / 32]: as sum32, by lanes everywhere; AVX-512, as the following */
    int32_t *bias;          /* [m][stride / 8]: -128 times the sums of q (Q8_0 made unsigned by adding 128): per 512 elements 16 lanes of
                             * `half`, in the rest 16 a group */
    int32_t *bias16;        /* [m][stride / 16]: -32 times the sums of q, lanes as in s16 (Q6_K made unsigned by adding 32) */
};

/* ---- scalar definitions of the formats ----------------------------------------------------------------------- */

/* 32 elements of a row, unpacked: element i is d[i / 16] * q[i] + m[i / 16]. */
struct unit {
    float d[2], m[2];
    int8_t q[32];
};
/* Unpacks elements [32 * i, 32 * i + 32) of a row. */
typedef void unpack_fn(const uint8_t *row, int64_t i, struct unit *u);

unpack_fn *quant_unpack(uint32_t type);       /* NULL for F32, F16, BF16 and what is not supported */
/* The definition of dequant_row. */
void quant_dequant(uint32_t type, const uint8_t *row, float *out, int64_t n);
uint16_t f16_of_f32(float f);                 /* to nearest, ties to even */

/* ---- families ----------------------------------------------------------------------------------------------- */

/* As gemv_span; neither n nor streams is 0. */
typedef void gemv_fn(const uint8_t *w, size_t row_bytes, const struct gemv_span *g, const struct act *a, float *y, int64_t y_stride);
typedef void dequant_fn(const uint8_t *row, float *out, int64_t n);    /* bit for bit as quant_dequant */

/* Fetching ahead of a tile: its rows are of as many streams, each of neighbouring rows, and every stream fetches its own bytes some way
 * ahead. A core draws from memory by so many requests at a time; several streams in different pages keep more of them
 * under way than one does. Requests are spread over the arithmetic, as a burst of them holds up the loads behind it. Only the
 * first columns' pass fetches. */
struct stream {
    const uint8_t *p;
    bool on;
};
#define STREAM_AHEAD 2048

ALWAYS_INLINE struct stream stream_of(const uint8_t *row, int c0) { return (struct stream){row + STREAM_AHEAD, c0 == 0}; }

/* bytes is a constant, so that the loop is unrolled; step is what was really done with. */
ALWAYS_INLINE void stream_fetch(struct stream *s, int bytes, int step)
{
    if (s->on) {
        UNROLL for (int i = 0; i < bytes; i += 64) __builtin_prefetch(s->p + i, 0, 3);
    }
    s->p += step;
}

/* Makes gemv_NAME of a tile(type, R, M, w, row_step, a, c0, y, y_step, y_stride), which is inlined for each constant (R, M): R rows,
 * row_step bytes and y_step results apart, times the M columns from c0 on. One column goes by R1 rows, 2 to 4 go by 2, more by RN
 * in one pass, or by 2 in two passes while the rows are in the cache where a pass takes MOST = 4. The rows of a tile come one each from
 * as many streams. Streams that are left go row by row and column by column. */
#define GEMV_DRIVER(name, tile, type, R1, MOST, RN) \
    static void name##_pass(int M, const uint8_t *w, size_t row_step, const struct act *a, int c0, float *y, int64_t y_step, int64_t y_stride) \
    { \
        if (M == 2) tile(type, 2, 2, w, row_step, a, c0, y, y_step, y_stride); \
        else if (M == 3) tile(type, 2, 3, w, row_step, a, c0, y, y_step, y_stride); \
        else if (M == 4) tile(type, 2, 4, w, row_step, a, c0, y, y_step, y_stride); \
        else if (MOST == 8 && M == 5) tile(type, RN, 5, w, row_step, a, c0, y, y_step, y_stride); \
        else if (MOST == 8 && M == 6) tile(type, RN, 6, w, row_step, a, c0, y, y_step, y_stride); \
        else if (MOST == 8 && M == 7) tile(type, RN, 7, w, row_step, a, c0, y, y_step, y_stride); \
        else if (MOST == 8) tile(type, RN, 8, w, row_step, a, c0, y, y_step, y_stride); \
    } \
    static void name##_1(const uint8_t *w, size_t row_step, const struct act *a, int c0, float *y, int64_t y_stride) \
    { \
        tile(type, 1, 1, w, row_step, a, c0, y, 1, y_stride); \
    } \
    static void gemv_##name(const uint8_t *w, size_t row_bytes, const struct gemv_span *g, const struct act *a, float *y, int64_t y_stride) \
    { \
        const int m = a->m, first = m > MOST ? (m + 1) / 2 : m, rows = m == 1 ? R1 : m > 4 && MOST == 8 ? RN : 2; \
        const size_t step = (size_t)g->apart * row_bytes; \
        for (int64_t i = 0; i < g->n; i++) { \
            int64_t r = g->r0 + i; \
            int left = g->streams; \
            for (; left >= rows; left -= rows, r += rows * g->apart) { \
                const uint8_t *row = w + (size_t)r * row_bytes; \
                if (m == 1) { \
                    tile(type, R1, 1, row, step, a, 0, y + r, g->apart, y_stride); \
                    continue; \
                } \
                name##_pass(first, row, step, a, 0, y + r, g->apart, y_stride); \
                if (first < m) name##_pass(m - first, row, step, a, first, y + first * y_stride + r, g->apart, y_stride); \
            } \
            for (; left > 0; left--, r += g->apart) \
                for (int c = 0; c < m; c++) name##_1(w + (size_t)r * row_bytes, row_bytes, a, c, y + c * y_stride + r, y_stride); \
        } \
    }

struct kernel_family;
/* gemv of a format that a family has no kernel of its own for: rows are expanded and go through its kernel for F32, and so meet the
 * activations as they are, not in fixed point. */
void gemv_expanded(const struct kernel_family *f, uint32_t type, const uint8_t *w, size_t row_bytes, const struct gemv_span *g,
                   const struct act *a, float *y, int64_t y_stride);

struct format_kernels {
    uint32_t type;
    gemv_fn *gemv;
};

struct attend_args {
    const float *q;
    int n_group, dim;
    float scale;
    const uint16_t *k, *v;
    int64_t kv_stride, p0, p1;
    struct attend_part *part;
};

/* Fetches dim elements of the i-th of n rows, in an order that goes on in each quarter in turn: four pages draw more from memory than one.
 * An address as a number, since it may be past what there is. */
ALWAYS_INLINE void attend_fetch(const struct attend_args *t, uintptr_t rows, int i, int n, int dim)
{
    const uintptr_t row = rows + (uintptr_t)((i / 4 + i % 4 * ((n + 3) / 4)) * t->kv_stride) * sizeof *t->k;
    for (int d = 0; d < dim; d += 32) __builtin_prefetch((const void *)(row + (uintptr_t)d * sizeof *t->k), 0, 3);
}

struct panel_args {
    const float *a;
    int64_t a_row, a_step;
    int rows, k;
    const float *b;
    float *c;
    int columns;
    const float *keep;
};
typedef void panel_soften_fn(float *s, int n, int columns, float *max, float *sum, float *keep);

struct kernel_family {
    const char *name;
    bool (*cpu_has)(void);
    void (*prepare)(struct act *a, int col);    /* fills the fixed-point part of column col from a->x */
    const struct format_kernels *formats;       /* ends with gemv NULL */
    dequant_fn *(*dequant)(uint32_t type);      /* NULL where quant_dequant serves */
    void (*attend)(const struct attend_args *t);
    void (*panel_product)(const struct panel_args *p);
    panel_soften_fn *panel_soften;
    void (*f32_to_f16)(const float *x, uint16_t *out, int64_t n);
    void (*f16_to_f32)(const uint16_t *x, float *out, int64_t n);
    void (*q8_0_to_f16)(const struct block_q8_0 *x, uint16_t *out, int64_t n);
    void (*rms_norm)(const float *x, const float *weight, float *out, int64_t n, float eps);
    void (*add)(const float *x, float *y, int64_t n);
    void (*swiglu)(const float *gate, const float *up, float *out, int64_t n);
};

void attend_scalar(const struct attend_args *t);
void q8_0_to_f16_scalar(const struct block_q8_0 *x, uint16_t *out, int64_t n);
void panel_product_scalar(const struct panel_args *p);
panel_soften_fn panel_soften_scalar;

extern const struct kernel_family kernels_scalar;
#ifdef KERNELS_X86
extern const struct kernel_family kernels_avx2;
extern const struct kernel_family kernels_avx512;
extern const struct kernel_family kernels_amx;
void prepare_avx2(struct act *a, int col);
void prepare_avx512(struct act *a, int col);
dequant_fn *dequant_avx2(uint32_t type);
void f32_to_f16_avx2(const float *x, uint16_t *out, int64_t n);
void f16_to_f32_avx2(const uint16_t *x, float *out, int64_t n);
void rms_norm_avx2(const float *x, const float *weight, float *out, int64_t n, float eps);
void add_avx2(const float *x, float *y, int64_t n);
void swiglu_avx2(const float *gate, const float *up, float *out, int64_t n);
void attend_avx2(const struct attend_args *t);
void attend_avx512(const struct attend_args *t);
void q8_0_to_f16_avx2(const struct block_q8_0 *x, uint16_t *out, int64_t n);
void q8_0_to_f16_avx512(const struct block_q8_0 *x, uint16_t *out, int64_t n);
void panel_product_avx2(const struct panel_args *p);
void panel_product_avx512(const struct panel_args *p);
panel_soften_fn panel_soften_avx2, panel_soften_avx512;
bool cpu_has_avx2(void);          /* AVX2, FMA, F16C, and the system saves the registers */
bool cpu_has_avx512(void);        /* the above and AVX-512 F BW DQ VL VNNI */
#endif

#endif
