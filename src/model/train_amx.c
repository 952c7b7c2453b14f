/*
 * train_amx.c - one worker's part of products in bf16 with AMX tiles: operands into tiles, and tiles into sums.
 *
 * c [m][n] = a [m][k] b [k][n], operands rounded to bf16, sums in f32. The left operand lies in tiles of 16 rows x 32 elements, the right one in
 * tiles of 16 pairs of elements x 16 columns; both padded with zeros to whole pairs of tiles. A step is 2 x 2 tiles of c over up to
 * K_TILES tiles of k, so that a panel of the right operand stays in the first cache while the rows pass by.
 * A sum's order depends on its place in k alone.
 */
#include "model/gemm_impl.h"
#include "model/train_amx.h"

#ifdef KERNELS_X86

#include "model/amx.h"

#define K_TILES 16
#define TILE_HALVES (2 * TILE_FLOATS)

/* 32 floats from x, zeros from the n-th on, as bf16. */
ALWAYS_INLINE __m512i pairs_upto(const float *x, int n)
{
    if (n >= 32) return bf16_pairs(x);
    const __mmask16 low = n >= 16 ? 0xffff : (__mmask16)((1u << (n > 0 ? n : 0)) - 1), high = n > 16 ? (__mmask16)((1u << (n - 16)) - 1) : 0;
    __m512bh v = _mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps(high, x + 16), _mm512_maskz_loadu_ps(low, x));
    __m512i i;
    memcpy(&i, &v, sizeof i);
    return i;
}

void train_amx_left(const float *x, int stride, int rows, int k, int from, int lo, uint16_t *out)
{
    const int k_tiles = train_amx_tiles(k, 32);

    for (int r = lo; r < lo + 16; r++)
        for (int t = from / 32; t < k_tiles; t++) {
            uint16_t *to = out + ((size_t)(lo / 16) * (size_t)k_tiles + (size_t)t) * TILE_HALVES + (r - lo) * 32;
            _mm512_store_si512(to, r < rows ? pairs_upto(x + (size_t)r * (size_t)stride + 32 * t, k - 32 * t) : _mm512_setzero_si512());
        }
}

void train_amx_left_columns(const float *x, int stride, int m, int k, int lo, uint16_t *out)
{
    const int k_tiles = train_amx_tiles(k, 32), some = m - lo;
    const __mmask16 mask = some >= 16 ? 0xffff : (__mmask16)((1u << (some > 0 ? some : 0)) - 1);

    for (int t = 0; t < k_tiles; t++) {
        uint16_t *to = out + ((size_t)(lo / 16) * (size_t)k_tiles + (size_t)t) * TILE_HALVES;
        __m512i v[2][16];
        for (int half = 0; half < 2; half++) {
            for (int i = 0; i < 16; i++) {
                int r = 32 * t + 16 * half + i;
                v[half][i] = r < k ? _mm512_maskz_loadu_epi32(mask, x + (size_t)r * (size_t)stride + lo) : _mm512_setzero_si512();
            }
            transpose_16(v[half]);
        }
        for (int i = 0; i < 16; i++) {
            __m512bh both = _mm512_cvtne2ps_pbh(_mm512_castsi512_ps(v[1][i]), _mm512_castsi512_ps(v[0][i]));
            __m512i row;
            memcpy(&row, &both, sizeof row);
            _mm512_store_si512(to + 32 * i, row);
        }
    }
}

void train_amx_right_columns(const float *s, int rows, int k, int n0, uint16_t *out)
{
    const int k_tiles = train_amx_tiles(k, 32);

    for (int t = 0; t < k_tiles; t++) {
        uint16_t *to = out + ((size_t)(n0 / 16) * (size_t)k_tiles + (size_t)t) * TILE_HALVES;
        __m512i v[16];
        UNROLL for (int i = 0; i < 16; i++) v[i] = i < rows ? pairs_upto(s + (size_t)i * (size_t)k + 32 * t, k - 32 * t) : _mm512_setzero_si512();
        transpose_16(v);
        UNROLL for (int i = 0; i < 16; i++) _mm512_store_si512(to + 32 * i, v[i]);
    }
}

void train_amx_right_rows(const float *s, int stride, int rows, int n, int k0, int k, uint16_t *out)
{
    const int k_tiles = train_amx_tiles(k, 32), n_tiles = train_amx_tiles(n, 16);

    for (int c = 0; c < n_tiles; c++) {
        uint16_t *to = out + ((size_t)c * (size_t)k_tiles + (size_t)(k0 / 32)) * TILE_HALVES;
        const int some = n - 16 * c;
        const __mmask16 mask = some >= 16 ? 0xffff : (__mmask16)((1u << (some > 0 ? some : 0)) - 1);
        for (int p = 0; p < 16; p++) {
            const float *first = s + (size_t)(2 * p) * (size_t)stride + 16 * c, *second = first + stride;
            __m512 a = 2 * p < rows ? _mm512_maskz_loadu_ps(mask, first) : _mm512_setzero_ps();
            __m512 b = 2 * p + 1 < rows ? _mm512_maskz_loadu_ps(mask, second) : _mm512_setzero_ps();
            __m256bh low = _mm512_cvtneps_pbh(a), high = _mm512_cvtneps_pbh(b);
            __m256i l, h;
            memcpy(&l, &low, sizeof l);
            memcpy(&h, &high, sizeof h);
            _mm512_store_si512(to + 32 * p, _mm512_or_si512(_mm512_cvtepu16_epi32(l), _mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16)));
        }
    }
}

/* c [32][32] (+)= over n tiles of k; the second tiles of the operands lie a and b apart. */
static void step(const uint16_t *left, size_t a, const uint16_t *right, size_t b, int n, bool add, float *c, int ldc)
{
    const size_t stride = (size_t)ldc * sizeof(float);

    if (add) {
        TILE_LOAD(0, c, stride);
        TILE_LOAD(1, c + 16, stride);
        TILE_LOAD(2, c + 16 * (size_t)ldc, stride);
        TILE_LOAD(3, c + 16 * (size_t)ldc + 16, stride);
    } else {
        TILE_ZERO(0);
        TILE_ZERO(1);
        TILE_ZERO(2);
        TILE_ZERO(3);
    }
    for (int i = 0; i < n; i++, left += TILE_HALVES, right += TILE_HALVES) {
        TILE_LOAD(4, left, 64);
        TILE_LOAD(6, right, 64);
        TILE_LOAD(7, right + b, 64);
        TILE_DOT(0, 4, 6);
        UNROLL for (int line = 0; line < TILE_HALVES; line += 32) _mm_prefetch((const char *)(left + 2 * TILE_HALVES + line), _MM_HINT_T0);
        TILE_DOT(1, 4, 7);
        TILE_LOAD(5, left + a, 64);
        TILE_DOT(2, 5, 6);
        UNROLL for (int line = 0; line < TILE_HALVES; line += 32) _mm_prefetch((const char *)(left + a + 2 * TILE_HALVES + line), _MM_HINT_T0);
        TILE_DOT(3, 5, 7);
    }
    TILE_STORE(0, c, stride);
    TILE_STORE(1, c + 16, stride);
    TILE_STORE(2, c + 16 * (size_t)ldc, stride);
    TILE_STORE(3, c + 16 * (size_t)ldc + 16, stride);
}

/* The same for a corner of m x n of the 32 x 32. */
static void step_edge(const uint16_t *left, size_t a, const uint16_t *right, size_t b, int tiles, bool add, float *c, int ldc, int m, int n)
{
    _Alignas(64) float room[32 * 32];

    for (int r = 0; r < m && add; r++) memcpy(room + 32 * r, c + (size_t)r * (size_t)ldc, (size_t)n * sizeof *c);
    step(left, a, right, b, tiles, add, room, 32);
    for (int r = 0; r < m; r++) memcpy(c + (size_t)r * (size_t)ldc, room + 32 * r, (size_t)n * sizeof *c);
}

void train_amx_multiply(const uint16_t *left, const uint16_t *right, int k, int m0, int m1, int n0, int n1, float *c, int ldc, bool add)
{
    const int k_tiles = train_amx_tiles(k, 32);
    const size_t next = (size_t)k_tiles * TILE_HALVES;

    configure();
    /* equal pieces, so that the last one is not a crumb */
    const int pieces = (k_tiles + K_TILES - 1) / K_TILES, piece = (k_tiles + pieces - 1) / pieces;
    for (int k0 = 0; k0 < k_tiles; k0 += piece) {
        const int tiles = k_tiles - k0 < piece ? k_tiles - k0 : piece;
        for (int n = n0; n < n1; n += 32)
            for (int m = m0; m < m1; m += 32) {
                const uint16_t *l = left + (size_t)(m / 16) * next + (size_t)k0 * TILE_HALVES, *r = right + (size_t)(n / 16) * next + (size_t)k0 * TILE_HALVES;
                float *to = c + (size_t)m * (size_t)ldc + n;
                if (m1 - m >= 32 && n1 - n >= 32) step(l, next, r, next, tiles, add || k0, to, ldc);
                else step_edge(l, next, r, next, tiles, add || k0, to, ldc, m1 - m < 32 ? m1 - m : 32, n1 - n < 32 ? n1 - n : 32);
            }
    }
    TILE_RELEASE();
}

AMX_END

#else

void train_amx_left(const float *x, int stride, int rows, int k, int from, int lo, uint16_t *out)
{
    (void)x, (void)stride, (void)rows, (void)k, (void)from, (void)lo, (void)out;
}
void train_amx_left_columns(const float *x, int stride, int m, int k, int lo, uint16_t *out) { (void)x, (void)stride, (void)m, (void)k, (void)lo, (void)out; }
void train_amx_right_columns(const float *s, int rows, int k, int n0, uint16_t *out) { (void)s, (void)rows, (void)k, (void)n0, (void)out; }
void train_amx_right_rows(const float *s, int stride, int rows, int n, int k0, int k, uint16_t *out)
{
    (void)s, (void)stride, (void)rows, (void)n, (void)k0, (void)k, (void)out;
}
void train_amx_multiply(const uint16_t *left, const uint16_t *right, int k, int m0, int m1, int n0, int n1, float *c, int ldc, bool add)
{
    (void)left, (void)right, (void)k, (void)m0, (void)m1, (void)n0, (void)n1, (void)c, (void)ldc, (void)add;
}

#endif
