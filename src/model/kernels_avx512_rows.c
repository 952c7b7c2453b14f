/*
 * kernels_avx512_rows.c - activations into the fixed point that the AVX-512 kernels read.
 *
 * The numbers are those of prepare_block in kernels_scalar.c; here they are put where kernels_avx512.c multiplies them: 512 elements at a
 * time, turned against each other as the weights are. With pieces of 16 elements, e = 0 to 7 of each group p = 0 to 3 of 128, lane 4 L + p of
 * vector j has elements 4 j .. 4 j + 3 of a piece of group p. Which piece: see the three orders at struct act.
 */
#include "model/kernels_impl.h"

#ifdef KERNELS_X86

#include <immintrin.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")
#endif

#include "model/kernels_turn_avx512.h"

enum { CHUNK = 512, BLOCKS = CHUNK / 32 };

struct chunk {
    _Alignas(64) int8_t plane[2][CHUNK];      /* hi and lo, as the elements come */
    _Alignas(64) float scale[BLOCKS];
    _Alignas(64) float inverse[BLOCKS];
    __m512i turned[2][2][4];                  /* [plane][pieces 0 to 3, pieces 4 to 7][j] */
    __m512i sum16[2];                         /* of pieces 0 to 3 and 4 to 7, lanes as in turned */
};

/* Pieces out of eight, four for each 128-bit lane: even and odd ones; 0 1 4 5 and 2 3 6 7. */
ALWAYS_INLINE __m512i evens(__m512i a, __m512i b) { return _mm512_shuffle_i32x4(a, b, _MM_SHUFFLE(2, 0, 2, 0)); }
ALWAYS_INLINE __m512i odds(__m512i a, __m512i b) { return _mm512_shuffle_i32x4(a, b, _MM_SHUFFLE(3, 1, 3, 1)); }
ALWAYS_INLINE __m512i firsts(__m512i a, __m512i b) { return _mm512_shuffle_i32x4(a, b, _MM_SHUFFLE(1, 0, 1, 0)); }
ALWAYS_INLINE __m512i seconds(__m512i a, __m512i b) { return _mm512_shuffle_i32x4(a, b, _MM_SHUFFLE(3, 2, 3, 2)); }

/* The largest magnitude of 32 floats, as bits: beyond those of infinity where there is a NaN. */
ALWAYS_INLINE int32_t top_bits(const float *x)
{
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    const __m512i a = _mm512_and_si512(_mm512_loadu_si512(x), magnitude), b = _mm512_and_si512(_mm512_loadu_si512(x + 16), magnitude);
    const __m512i c = _mm512_max_epi32(a, b);
    const __m256i d = _mm256_max_epi32(_mm512_castsi512_si256(c), _mm512_extracti64x4_epi64(c, 1));
    __m128i t = _mm_max_epi32(_mm256_castsi256_si128(d), _mm256_extracti128_si256(d, 1));
    t = _mm_max_epi32(t, _mm_shuffle_epi32(t, _MM_SHUFFLE(1, 0, 3, 2)));
    return _mm_cvtsi128_si32(_mm_max_epi32(t, _mm_shuffle_epi32(t, _MM_SHUFFLE(2, 3, 0, 1))));
}

static void find_scales(const float *x, struct chunk *k)
{
    _Alignas(64) int32_t top[BLOCKS];
    for (int b = 0; b < BLOCKS; b++) top[b] = top_bits(x + 32 * b);
    const __m512i bits = _mm512_load_si512(top);
    const __m512 amax = _mm512_castsi512_ps(bits), most = _mm512_set1_ps((float)ACT_Q_MAX);
    const __mmask16 finite = _mm512_cmplt_epi32_mask(bits, _mm512_set1_epi32(0x7f800000));
    const __mmask16 some = finite & _mm512_cmp_ps_mask(amax, _mm512_set1_ps(ACT_TINY), _CMP_GE_OQ);
    const __m512 scale = _mm512_maskz_div_ps(some, amax, most);
    _mm512_store_ps(k->scale, _mm512_mask_mov_ps(_mm512_set1_ps(f32_of_bits(0x7fc00000)), finite, scale));
    _mm512_store_ps(k->inverse, _mm512_maskz_div_ps(some, most, amax));
}

/* inf and NaN times 0 become the integer 0x80000000, whose bytes are 0 in both planes. */
static void round_planes(const float *x, struct chunk *k)
{
    for (int i = 0; i < CHUNK; i += 16) {
        const __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), _mm512_set1_ps(k->inverse[i / 32])));
        const __m512i hi = _mm512_srai_epi32(_mm512_add_epi32(q, _mm512_set1_epi32(128)), 8);
        _mm_store_si128((__m128i *)(void *)(k->plane[0] + i), _mm512_cvtepi32_epi8(hi));
        _mm_store_si128((__m128i *)(void *)(k->plane[1] + i), _mm512_cvtepi32_epi8(q));
    }
}

static void turn_planes(struct chunk *k)
{
    for (int h = 0; h < 2; h++) {
        __m512i sum[2];
        for (int p = 0; p < 2; p++) {
            UNROLL for (int g = 0; g < 4; g++) k->turned[p][h][g] = _mm512_load_si512(k->plane[p] + 128 * g + 64 * h);
            turn_4(k->turned[p][h]);
            sum[p] = _mm512_setzero_si512();
            UNROLL for (int j = 0; j < 4; j++) sum[p] = _mm512_dpbusd_epi32(sum[p], _mm512_set1_epi8(1), k->turned[p][h][j]);
        }
        k->sum16[h] = _mm512_add_epi32(_mm512_slli_epi32(sum[0], 8), sum[1]);
    }
}

/* Blocks of 32, a whole chunk: a lane is a block. */
static void put_chunk(struct act *a, int64_t at, const struct chunk *k, __m512 scale, __m512i sum)
{
    int8_t *to = a->half + at * 2;
    UNROLL for (int p = 0; p < 2; p++)
        UNROLL for (int j = 0; j < 4; j++) {
            _mm512_storeu_si512(to + 512 * p + 64 * j, evens(k->turned[p][0][j], k->turned[p][1][j]));
            _mm512_storeu_si512(to + 512 * p + 64 * j + 256, odds(k->turned[p][0][j], k->turned[p][1][j]));
        }
    _mm512_storeu_ps(a->s32 + at / 32, scale);
    _mm512_storeu_ps(a->sum32 + at / 32, _mm512_mul_ps(scale, _mm512_cvtepi32_ps(sum)));
    _mm512_storeu_si512(a->bias + at / 8, _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(sum, 7)));
}

/* Blocks of 32, the last chunk of a column that is no whole one: by groups of 4 blocks, as they come. */
static void put_rest(struct act *a, int64_t at, const struct chunk *k)
{
    const __m512i one = _mm512_set1_epi8(1);
    for (int g = 0; g < 4; g++) {
        int8_t *to = a->half + at * 2 + 256 * g;
        __m512i sum[2];
        for (int p = 0; p < 2; p++) {
            const __m512i v0 = _mm512_load_si512(k->plane[p] + 128 * g), v1 = _mm512_load_si512(k->plane[p] + 128 * g + 64);
            _mm512_storeu_si512(to + 128 * p, evens(v0, v1));
            _mm512_storeu_si512(to + 128 * p + 64, odds(v0, v1));
            sum[p] = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(_mm512_setzero_si512(), one, evens(v0, v1)), one, odds(v0, v1));
        }
        int32_t lanes[16];
        _mm512_storeu_si512(lanes, _mm512_add_epi32(_mm512_slli_epi32(sum[0], 8), sum[1]));
        for (int i = 0; i < 16; i++) a->bias[at / 8 + 16 * g + i] = -128 * lanes[i];
        for (int b = 0; b < 4; b++) {
            const int32_t *l = lanes + 4 * b;
            a->s32[at / 32 + 4 * g + b] = k->scale[4 * g + b];
            a->sum32[at / 32 + 4 * g + b] = k->scale[4 * g + b] * (float)(l[0] + l[1] + l[2] + l[3]);
        }
    }
}

/* Two blocks of 256. */
static void put_pair(struct act *a, int64_t at, const struct chunk *k, __m512 scale, __m512i sum)
{
    int8_t *to4 = a->pair + at * 2, *to6 = a->nat + at * 2;
    UNROLL for (int p = 0; p < 2; p++)
        UNROLL for (int j = 0; j < 4; j++) {
            const __m512i x = k->turned[p][0][j], y = k->turned[p][1][j];
            _mm512_storeu_si512(to4 + 256 * p + 64 * j, firsts(x, y));
            _mm512_storeu_si512(to4 + 256 * p + 64 * j + 512, seconds(x, y));
            _mm512_storeu_si512(to6 + 256 * p + 64 * j, x);
            _mm512_storeu_si512(to6 + 256 * p + 64 * j + 512, y);
        }
    _mm512_storeu_ps(a->k5 + at / 16, _mm512_shuffle_f32x4(scale, scale, _MM_SHUFFLE(2, 2, 0, 0)));
    _mm512_storeu_ps(a->k5 + at / 16 + 16, _mm512_shuffle_f32x4(scale, scale, _MM_SHUFFLE(3, 3, 1, 1)));
    _mm512_storeu_ps(a->k_sum + at / 32, _mm512_mul_ps(scale, _mm512_cvtepi32_ps(sum)));
    _mm512_storeu_ps(a->s16 + at / 16, _mm512_shuffle_f32x4(scale, scale, _MM_SHUFFLE(1, 1, 0, 0)));
    _mm512_storeu_ps(a->s16 + at / 16 + 16, _mm512_shuffle_f32x4(scale, scale, _MM_SHUFFLE(3, 3, 2, 2)));
    UNROLL for (int h = 0; h < 2; h++)
        _mm512_storeu_si512(a->bias16 + at / 16 + 16 * h, _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(k->sum16[h], 5)));
}

void prepare_avx512(struct act *a, int col)
{
    const __m512i turn = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    const int64_t from = col * a->stride;
    struct chunk k;
    for (int64_t i = 0; i < a->n; i += CHUNK) {
        find_scales(a->x + from + i, &k);
        round_planes(a->x + from + i, &k);
        turn_planes(&k);
        const __m512 scale = _mm512_permutexvar_ps(turn, _mm512_load_ps(k.scale));
        const __m512i sum = _mm512_add_epi32(evens(k.sum16[0], k.sum16[1]), odds(k.sum16[0], k.sum16[1]));
        if (a->n - i >= CHUNK) put_chunk(a, from + i, &k, scale, sum);
        else put_rest(a, from + i, &k);
        if (a->n % 256 == 0) put_pair(a, from + i, &k, scale, sum);
    }
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
