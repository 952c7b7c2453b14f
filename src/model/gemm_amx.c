/*
 * gemm_amx.c - the prompt's products with AMX tiles, in bf16.
 *
 * Why bf16 and not 8 bits: a scale for every 32 elements lets an 8-bit tile product run over 32 elements at a time only, which is as
 * many multiplications as the bf16 product makes in the same time, and the sums would leave the tiles for every block. With the
 * scales folded into bf16 weights they stay in the tiles for a whole slab, and the result is nearer to exact.
 *
 * A step is 32 tokens x 32 matrix rows x 32 elements: tiles 0 to 3 sum, 4 and 5 hold activations (16 tokens each), 6 and 7 weights
 * (16 matrix rows each, pairs of elements side by side). A sum's order depends on its own token and row alone. Reads of activations may go
 * up to GEMM_AMX_ROWS - 1 rows behind the last one: inputs have room for that.
 */
#include "model/gemm_impl.h"

#ifdef KERNELS_X86

#include <cpuid.h>
#include <errno.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("amx-tile,amx-bf16,avx512bf16,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("amx-tile,amx-bf16,avx512bf16,avx512f,avx512bw,avx512dq,avx512vl")
#endif

/* Elements of a slab, so that its weights take half of a second cache of 128 KB. */
#define SLAB 1024

struct amx_panel {
    uint32_t w[SLAB / 2][GEMM_PANEL];       /* [pair of elements][matrix row] */
    float row[16][SLAB];
    float sums[GEMM_AMX_ROWS][GEMM_PANEL];
};
_Static_assert(sizeof(struct amx_panel) <= GEMM_AMX_SCRATCH, "fits the scratch");

/* Palette 1: 8 tiles of 16 rows of 64 bytes. */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};
_Static_assert(sizeof(struct tile_config) == 64, "as ldtilecfg reads it");

#ifdef GEMM_AMX_EMULATE
/* The tile instructions in plain C, for tests on other machines: one thread, and bf16 products summed in f32. */
static float emulated[8][16][16];
#define TILE_CONFIG(c) ((void)(c))
#define TILE_RELEASE() ((void)0)
#define TILE_ZERO(t) memset(emulated[t], 0, sizeof emulated[t])
#define TILE_LOAD(t, p, stride) \
    for (size_t row_ = 0; row_ < 16; row_++) memcpy(emulated[t][row_], (const char *)(p) + row_ * (size_t)(stride), 64)
#define TILE_STORE(t, p, stride) \
    for (size_t row_ = 0; row_ < 16; row_++) memcpy((char *)(p) + row_ * (size_t)(stride), emulated[t][row_], 64)
#define TILE_DOT(c, a, b) emulated_dot(emulated[c], emulated[a], emulated[b])
static void emulated_dot(float c[16][16], float a[16][16], float b[16][16])
{
    for (int m = 0; m < 16; m++)
        for (int k = 0; k < 16; k++)
            for (int n = 0; n < 16; n++) {
                uint32_t x = f32_bits(a[m][k]), w = f32_bits(b[k][n]);
                c[m][n] += f32_of_bits(x << 16) * f32_of_bits(w << 16) + f32_of_bits(x & 0xffff0000) * f32_of_bits(w & 0xffff0000);
            }
}
#else
/* The compilers' tile intrinsics do not say that they touch memory. */
#define MEMORY() __asm__ volatile("" ::: "memory")
#define TILE_CONFIG(c) _tile_loadconfig(c)
#define TILE_RELEASE() _tile_release()
#define TILE_ZERO(t) _tile_zero(t)
#define TILE_LOAD(t, p, stride) \
    do { \
        MEMORY(); \
        _tile_loadd(t, p, stride); \
    } while (0)
#define TILE_STORE(t, p, stride) \
    do { \
        _tile_stored(t, p, stride); \
        MEMORY(); \
    } while (0)
#define TILE_DOT(c, a, b) _tile_dpbf16ps(c, a, b)
#endif

static void input_row(struct gemm_input *g, int row, const float *x)
{
    uint16_t *half = (uint16_t *)(void *)g->q + row * g->stride;
    for (int64_t i = 0; i < g->n; i += 32) {
        __m512bh v = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + i + 16), _mm512_loadu_ps(x + i));
        memcpy(half + i, &v, sizeof v);
    }
}

/* Column k of out: dword k of each of the 16 vectors. */
ALWAYS_INLINE void transpose_16(__m512i v[16])
{
    __m512i a[16];
    UNROLL for (int i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    UNROLL for (int i = 0; i < 16; i += 4) {
        v[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
        v[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
        v[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
        v[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    /* v[4g + j] has, in its 128-bit lane l, dword 4l + j of rows 4g to 4g + 3 */
    UNROLL for (int j = 0; j < 4; j++) {
        __m512i low = _mm512_shuffle_i32x4(v[j], v[4 + j], 0x44), high = _mm512_shuffle_i32x4(v[j], v[4 + j], 0xee);
        __m512i low2 = _mm512_shuffle_i32x4(v[8 + j], v[12 + j], 0x44), high2 = _mm512_shuffle_i32x4(v[8 + j], v[12 + j], 0xee);
        a[j] = _mm512_shuffle_i32x4(low, low2, 0x88);
        a[4 + j] = _mm512_shuffle_i32x4(low, low2, 0xdd);
        a[8 + j] = _mm512_shuffle_i32x4(high, high2, 0x88);
        a[12 + j] = _mm512_shuffle_i32x4(high, high2, 0xdd);
    }
    UNROLL for (int i = 0; i < 16; i++) v[i] = a[i];
}

/* n elements from w on of `rows` matrix rows; missing rows are zeros. */
static void expand(uint32_t type, const uint8_t *w, size_t row_bytes, int rows, int n, struct amx_panel *p)
{
    for (int r = 0; r < GEMM_PANEL; r += 16) {
        for (int i = 0; i < 16; i++) {
            if (r + i < rows) dequant_row(type, w + (size_t)(r + i) * row_bytes, p->row[i], n);
            else memset(p->row[i], 0, (size_t)n * sizeof(float));
        }
        for (int k = 0; k < n; k += 32) {
            __m512i v[16];
            UNROLL for (int i = 0; i < 16; i++) {
                __m512bh pairs = _mm512_cvtne2ps_pbh(_mm512_load_ps(p->row[i] + k + 16), _mm512_load_ps(p->row[i] + k));
                memcpy(&v[i], &pairs, sizeof pairs);
            }
            transpose_16(v);
            UNROLL for (int i = 0; i < 16; i++) _mm512_store_si512(&p->w[k / 2 + i][r], v[i]);
        }
    }
}

/* sums [32 tokens][stride] (+)= 32 activation rows times the panel, over n elements. */
static void tiles(const uint16_t *x, int64_t x_stride, const struct amx_panel *p, int n, bool first, float *sums, size_t stride)
{
    const size_t a_bytes = (size_t)x_stride * sizeof *x, b_bytes = sizeof p->w[0], c_bytes = stride * sizeof(float);

    if (first) {
        TILE_ZERO(0);
        TILE_ZERO(1);
        TILE_ZERO(2);
        TILE_ZERO(3);
    } else {
        TILE_LOAD(0, sums, c_bytes);
        TILE_LOAD(1, sums + 16, c_bytes);
        TILE_LOAD(2, sums + 16 * stride, c_bytes);
        TILE_LOAD(3, sums + 16 * stride + 16, c_bytes);
    }
    for (int k = 0; k < n; k += 32) {
        TILE_LOAD(4, x + k, a_bytes);
        TILE_LOAD(6, p->w[k / 2], b_bytes);
        TILE_LOAD(7, p->w[k / 2] + 16, b_bytes);
        TILE_DOT(0, 4, 6);
        TILE_DOT(1, 4, 7);
        TILE_LOAD(5, x + 16 * x_stride + k, a_bytes);
        TILE_DOT(2, 5, 6);
        TILE_DOT(3, 5, 7);
    }
    TILE_STORE(0, sums, c_bytes);
    TILE_STORE(1, sums + 16, c_bytes);
    TILE_STORE(2, sums + 16 * stride, c_bytes);
    TILE_STORE(3, sums + 16 * stride + 16, c_bytes);
}

/* As tiles, where fewer tokens or matrix rows than 32 are there: by way of the scratch. */
static void edge(const uint16_t *x, int64_t x_stride, struct amx_panel *p, int n, bool first, int tokens, int rows, float *y, int64_t y_stride)
{
    for (int c = 0; c < tokens && !first; c++) memcpy(p->sums[c], y + c * y_stride, (size_t)rows * sizeof *y);
    tiles(x, x_stride, p, n, first, p->sums[0], GEMM_PANEL);
    for (int c = 0; c < tokens; c++) memcpy(y + c * y_stride, p->sums[c], (size_t)rows * sizeof *y);
}

static void configure(void)
{
    struct tile_config c = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        c.row_bytes[i] = 64;
        c.rows[i] = 16;
    }
    TILE_CONFIG(&c);
}

static void rows(const struct gemm_input *g, int lo, int hi, const struct gemm_format *f, const uint8_t *w, size_t row_bytes, int64_t r0, int64_t r1,
                 float *y, int64_t y_stride, void *scratch)
{
    const int block = tensor_block_elements(f->type), block_bytes = tensor_block_bytes(f->type);
    struct amx_panel *p = scratch;

    configure();
    for (int64_t r = r0; r < r1; r += GEMM_PANEL) {
        const int n_rows = r1 - r < GEMM_PANEL ? (int)(r1 - r) : GEMM_PANEL;
        for (int64_t k = 0; k < g->n; k += SLAB) {
            const int n = g->n - k < SLAB ? (int)(g->n - k) : SLAB;
            expand(f->type, w + (size_t)r * row_bytes + (size_t)(k / block) * (size_t)block_bytes, row_bytes, n_rows, n, p);
            for (int c = lo; c < hi; c += GEMM_AMX_ROWS) {
                const uint16_t *x = (const uint16_t *)(const void *)g->q + c * g->stride + k;
                const int tokens = hi - c < GEMM_AMX_ROWS ? hi - c : GEMM_AMX_ROWS;
                float *to = y + (c - lo) * y_stride + (r - r0);
                if (tokens == GEMM_AMX_ROWS && n_rows == GEMM_PANEL) tiles(x, g->stride, p, n, k == 0, to, (size_t)y_stride);
                else edge(x, g->stride, p, n, k == 0, tokens, n_rows, to, y_stride);
            }
        }
    }
    TILE_RELEASE();
}

/* ---- may it be used ------------------------------------------------------------------------------------------------- */

/* A product of 32 tokens and 32 matrix rows whose sums bf16 and f32 hold exactly; in a child, because an instruction that the system
 * does not let through kills the process. */
static bool product_right(void)
{
    static _Alignas(64) struct amx_panel p;
    static _Alignas(64) uint16_t x[GEMM_AMX_ROWS][32];
    bool right = true;

    memset(&p, 0, sizeof p);
    for (int k = 0; k < 32; k++)
        for (int i = 0; i < 32; i++) {
            x[i][k] = (uint16_t)(f32_bits((float)(i * k % 15 - 7)) >> 16);
            p.w[k / 2][i] |= (f32_bits((float)((i + 3) * k % 13 - 6)) >> 16) << 16 * (k % 2);
        }
    configure();
    tiles(x[0], 32, &p, 32, true, p.sums[0], GEMM_PANEL);
    TILE_RELEASE();
    for (int c = 0; c < 32; c++)
        for (int r = 0; r < 32; r++) {
            int want = 0;
            for (int k = 0; k < 32; k++) want += (c * k % 15 - 7) * ((r + 3) * k % 13 - 6);
            right = right && p.sums[c][r] == (float)want;
        }
    return right;
}

const struct gemm_family gemm_amx = {.name = "amx", .element = sizeof(uint16_t), .input_row = input_row, .rows = rows};

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#ifdef GEMM_AMX_EMULATE
bool gemm_amx_usable(void) { return product_right(); }
#else
static bool cpu_has_amx(void)
{
    unsigned a, b, c, d, lo, hi;
    if (!cpu_has_avx512()) return false;    /* and so XGETBV is there */
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    if ((lo & 0x60000) != 0x60000) return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & 0x1400000) != 0x1400000) return false;    /* AMX-TILE, AMX-BF16 */
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 0x20);                                  /* AVX512-BF16 */
}

/* Asks Linux for the tiles' state, for the whole process. */
static bool permission_granted(void)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

bool gemm_amx_usable(void)
{
    int status;

    if (!cpu_has_amx() || !permission_granted()) return false;
    pid_t child = fork();
    if (child == 0) _exit(product_right() ? 0 : 1);
    if (child < 0) return false;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
#endif

#endif
