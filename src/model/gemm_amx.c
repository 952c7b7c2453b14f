/*
 * gemm_amx.c - the prompt's products with AMX tiles, in bf16.
 *
 * Why bf16 and not 8 bits: a scale for every 32 elements lets an 8-bit tile product run over 32 elements at a time only, which is as
 * many multiplications as the bf16 product makes in the same time, and the sums would leave the tiles for every block. With the
 * scales folded into bf16 weights they stay in the tiles for a whole slab, and the result is nearer to exact.
 *
 * A step is 32 matrix rows x 32 tokens x 32 elements: tiles 0 to 3 sum, 4 and 5 hold weights (16 matrix rows each, as they lie in a
 * row), 6 and 7 activations (16 tokens each, pairs of elements side by side). Weights are the left operand because rows expand into
 * its layout without a transposition; activations are turned once, when they are prepared.
 *
 * What is where: a slab of a panel's weights stays in the first cache while the tokens pass by; the tokens' slab stays in the second
 * while the panels of a block pass by. Sums of a block wait in the scratch from slab to slab, a tile in a run of 1 KB.
 * A sum's order depends on its own token and row alone.
 */
#include "model/gemm_impl.h"

#ifdef KERNELS_X86

#include <cpuid.h>
#include <errno.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model/amx.h"

/* Elements of a slab, matrix rows of a block, tokens of a block. */
#define SLAB GEMM_AMX_SLAB
#define BLOCK_ROWS 128
#define BLOCK_TOKENS 512

struct amx_scratch {
    uint16_t w[2][SLAB / 32][16][32];       /* [half of the panel][32 elements][matrix row][element] */
    float sums[BLOCK_ROWS / 32][BLOCK_TOKENS / 32][4][TILE_FLOATS];   /* [panel][32 tokens][tile as in tiles()] */
};
_Static_assert(sizeof(struct amx_scratch) <= GEMM_AMX_SCRATCH, "fits the scratch");

/* ---- activations ---------------------------------------------------------------------------------------------------- */

/* Layout of an input: [16 tokens][32 elements], each such tile 16 pairs of elements of 16 tokens. */
static uint32_t *tile_of(const struct gemm_input *g, int row, int64_t k)
{
    return (uint32_t *)(void *)g->q + ((int64_t)(row / 16) * (g->n / 32) + k / 32) * TILE_FLOATS;
}

static void put_row(struct gemm_input *g, int row, int64_t k0, int64_t n, const float *x)
{
    const __m512i every_16 = _mm512_mullo_epi32(_mm512_set1_epi32(16), _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
    for (int64_t k = 0; k < n; k += 32) _mm512_i32scatter_epi32(tile_of(g, row, k0 + k) + row % 16, every_16, bf16_pairs(x + k), 4);
}

static void put_tile_rows(struct gemm_input *g, int row, int64_t k0, int64_t n, const float *x, int64_t x_stride)
{
    for (int64_t k = 0; k < n; k += 32) {
        uint32_t *tile = tile_of(g, row, k0 + k);
        __m512i v[16];
        UNROLL for (int i = 0; i < 16; i++) v[i] = bf16_pairs(x + i * x_stride + k);
        transpose_16(v);
        UNROLL for (int i = 0; i < 16; i++) _mm512_store_si512(tile + 16 * i, v[i]);
    }
}

static void put(struct gemm_input *g, int lo, int hi, int64_t k0, int64_t n, const float *x, int64_t x_stride)
{
    for (int row = lo; row < hi;) {
        if (row % 16 == 0 && row + 16 <= hi) {
            put_tile_rows(g, row, k0, n, x + (row - lo) * x_stride, x_stride);
            row += 16;
        } else {
            put_row(g, row, k0, n, x + (row - lo) * x_stride);
            row++;
        }
    }
}

/* ---- products ------------------------------------------------------------------------------------------------------- */

/* sums [4] (+)= 32 matrix rows (two halves, w_half apart) times 32 tokens (two tiles, x_half apart), over `blocks` times 32 elements. Tile
 * 2h + t of the sums: half h of the rows, tile t of the tokens. */
static void tiles(const uint16_t *w, size_t w_half, const uint32_t *x, size_t x_half, int blocks, bool first, float *sums)
{
    if (first) {
        TILE_ZERO(0);
        TILE_ZERO(1);
        TILE_ZERO(2);
        TILE_ZERO(3);
    } else {
        TILE_LOAD(0, sums, 64);
        TILE_LOAD(1, sums + TILE_FLOATS, 64);
        TILE_LOAD(2, sums + 2 * TILE_FLOATS, 64);
        TILE_LOAD(3, sums + 3 * TILE_FLOATS, 64);
    }
    for (int b = 0; b < blocks; b++, w += 2 * TILE_FLOATS, x += TILE_FLOATS) {
        TILE_LOAD(4, w, 64);
        TILE_LOAD(6, x, 64);
        TILE_LOAD(7, x + x_half, 64);
        TILE_DOT(0, 4, 6);
        UNROLL for (int i = 0; i < TILE_FLOATS; i += 16) _mm_prefetch((const char *)(x + 2 * TILE_FLOATS + i), _MM_HINT_T0);
        TILE_DOT(1, 4, 7);
        TILE_LOAD(5, w + w_half, 64);
        TILE_DOT(2, 5, 6);
        UNROLL for (int i = 0; i < TILE_FLOATS; i += 16) _mm_prefetch((const char *)(x + x_half + 2 * TILE_FLOATS + i), _MM_HINT_T0);
        TILE_DOT(3, 5, 7);
    }
    TILE_STORE(0, sums, 64);
    TILE_STORE(1, sums + TILE_FLOATS, 64);
    TILE_STORE(2, sums + 2 * TILE_FLOATS, 64);
    TILE_STORE(3, sums + 3 * TILE_FLOATS, 64);
}

/* y[token][row] from a tile of sums [row][token], for tokens lo to hi of the tile and the first `rows` matrix rows. */
static void hand_out(const float *sums, int lo, int hi, int rows, float *y, int64_t y_stride)
{
    const __mmask16 some = rows >= 16 ? 0xffff : (__mmask16)((1 << rows) - 1);
    __m512i v[16];

    UNROLL for (int i = 0; i < 16; i++) v[i] = _mm512_load_si512(sums + 16 * i);
    transpose_16(v);
    if (hi - lo == 16) {
        UNROLL for (int i = 0; i < 16; i++) _mm512_mask_storeu_epi32(y + i * y_stride, some, v[i]);
        return;
    }
    _Alignas(64) float out[16][16];
    UNROLL for (int i = 0; i < 16; i++) _mm512_store_si512(out[i], v[i]);
    for (int i = lo; i < hi; i++) _mm512_mask_storeu_ps(y + (i - lo) * y_stride, some, _mm512_load_ps(out[i]));
}

/* A block: matrix rows r0 to r1 (at most BLOCK_ROWS) and tokens lo to hi of the tiles from token t0 (a multiple of 16) on. */
struct block {
    const struct gemm_input *g;
    const struct gemm_format *format;
    const uint8_t *w;           /* of row r0 */
    size_t row_bytes;
    int rows, t0, lo, hi;
    float *y;                   /* of token lo, row r0 */
    int64_t y_stride;
    struct amx_scratch *scratch;
};

/* Expands elements [k, k + n) of a panel's rows. The same elements of the next panel are fetched meanwhile. */
static void expand_panel(const struct block *b, int panel, int64_t k, int n)
{
    const int unit = tensor_block_elements(b->format->type), bytes = tensor_block_bytes(b->format->type), piece = n / unit * bytes;
    const uint8_t *w = b->w + (size_t)(32 * panel) * b->row_bytes + (size_t)(k / unit) * (size_t)bytes;
    const int rows = b->rows - 32 * panel;

    for (int r = 0; r < 32; r++, w += b->row_bytes) {
        uint16_t *to = b->scratch->w[r / 16][0][r % 16];
        if (r >= rows) {
            for (int i = 0; i < n / 32; i++) memset(to + i * 512, 0, 64);
            continue;
        }
        if (r + 32 < rows)
            for (int i = 0; i < piece; i += 64) _mm_prefetch((const char *)(w + 32 * b->row_bytes + i), _MM_HINT_T1);
        gemm_expand_bf16(b->format->type, w, n, to);
    }
}

static void multiply_panel(const struct block *b, int panel, int64_t k, int n)
{
    struct amx_scratch *s = b->scratch;
    const int64_t x_half = b->g->n / 32 * TILE_FLOATS;
    const int rows = b->rows - 32 * panel;
    const bool last = k + n == b->g->n;

    for (int t = b->t0, i = 0; t < b->hi; t += 32, i++) {
        float *sums = s->sums[panel][i][0];
        tiles(s->w[0][0][0], sizeof s->w[0] / sizeof(uint16_t), tile_of(b->g, t, k), (size_t)x_half, n / 32, k == 0, sums);
        if (!last) continue;
        for (int half = 0; half < 2; half++)
            for (int r = 0; r < 32 && r < rows; r += 16) {
                int from = t + 16 * half, to = from + 16 < b->hi ? from + 16 : b->hi, lo = from > b->lo ? from : b->lo;
                if (lo < to)
                    hand_out(sums + (r / 8 + half) * TILE_FLOATS, lo - from, to - from, rows - r, b->y + (lo - b->lo) * b->y_stride + 32 * panel + r,
                             b->y_stride);
            }
    }
}

/* Equal slabs, so that the last one is not a crumb. */
static int slab_of(int64_t n, int unit)
{
    int64_t slabs = (n + SLAB - 1) / SLAB, slab = (n + slabs - 1) / slabs;
    return (int)((slab + unit - 1) / unit * unit);
}

static void run_block(const struct block *b)
{
    const int slab = slab_of(b->g->n, b->format->unit);

    for (int64_t k = 0; k < b->g->n; k += slab) {
        const int n = b->g->n - k < slab ? (int)(b->g->n - k) : slab;
        for (int panel = 0; 32 * panel < b->rows; panel++) {
            expand_panel(b, panel, k, n);
            multiply_panel(b, panel, k, n);
        }
    }
}

static void rows(const struct gemm_input *g, int lo, int hi, const struct gemm_format *f, const uint8_t *w, size_t row_bytes, int64_t r0, int64_t r1,
                 float *y, int64_t y_stride, void *scratch)
{
    configure();
    for (int64_t r = r0; r < r1; r += BLOCK_ROWS)
        for (int t = lo / 16 * 16; t < hi; t += BLOCK_TOKENS) {
            struct block b = {.g = g, .format = f, .w = w + (size_t)r * row_bytes, .row_bytes = row_bytes, .t0 = t, .y_stride = y_stride, .scratch = scratch};
            b.rows = r1 - r < BLOCK_ROWS ? (int)(r1 - r) : BLOCK_ROWS;
            b.lo = t > lo ? t : lo;
            b.hi = t + BLOCK_TOKENS < hi ? t + BLOCK_TOKENS : hi;
            b.y = y + (b.lo - lo) * y_stride + (r - r0);
            run_block(&b);
        }
    TILE_RELEASE();
}

/* ---- may it be used ------------------------------------------------------------------------------------------------- */

/* A product of 32 matrix rows and 32 tokens whose sums bf16 and f32 hold exactly; in a child, because an instruction that the system
 * does not let through kills the process. */
static bool product_right(void)
{
    static _Alignas(64) uint16_t w[2][16][32];
    static _Alignas(64) uint32_t x[4][TILE_FLOATS]; /* what is fetched ahead is there too */
    static _Alignas(64) float sums[4][16][16];
    bool right = true;

    memset(x, 0, sizeof x);
    for (int k = 0; k < 32; k++)
        for (int i = 0; i < 32; i++) {
            w[i / 16][i % 16][k] = (uint16_t)(f32_bits((float)(i * k % 15 - 7)) >> 16);
            x[i / 16][k / 2 * 16 + i % 16] |= (f32_bits((float)((i + 3) * k % 13 - 6)) >> 16) << 16 * (k % 2);
        }
    configure();
    tiles(w[0][0], 512, x[0], TILE_FLOATS, 1, true, sums[0][0]);
    TILE_RELEASE();
    for (int r = 0; r < 32; r++)
        for (int t = 0; t < 32; t++) {
            int want = 0;
            for (int k = 0; k < 32; k++) want += (r * k % 15 - 7) * ((t + 3) * k % 13 - 6);
            right = right && sums[r / 16 * 2 + t / 16][r % 16][t % 16] == (float)want;
        }
    return right;
}

const struct gemm_family gemm_amx = {.name = "amx", .element = sizeof(uint16_t), .put = put, .rows = rows};

AMX_END

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
