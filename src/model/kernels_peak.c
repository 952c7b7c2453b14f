/*
 * kernels_peak.c - the loops of kernels_peak.h: independent products as many as hide the instruction's latency, with nothing to load.
 *
 * An operand passes through an empty asm statement each turn, so that no compiler takes a product out of the loop.
 */
#include "model/kernels_peak.h"

#include "model/kernels_impl.h"

#ifdef KERNELS_X86

#include <immintrin.h>

#define CHAINS     12
#define EACH(X)    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define USED(i)    __asm__ volatile("" : : "v"(sum##i));
#define CHANGED(v) __asm__ volatile("" : "+v"(v))

__attribute__((target("avx2"))) static void madd_avx2(int64_t turns)
{
    __m256i a = _mm256_set1_epi8(1), b = _mm256_set1_epi8(2), ones = _mm256_set1_epi16(1);

#define ZERO(i) __m256i sum##i = _mm256_setzero_si256();
#define TURN(i) \
    CHANGED(a); \
    sum##i = _mm256_add_epi32(sum##i, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones));
    EACH(ZERO)
    while (turns-- > 0) {
        EACH(TURN)
    }
    EACH(USED)
#undef ZERO
#undef TURN
}

__attribute__((target("avx512f,avx512vnni"))) static void vnni_avx512(int64_t turns)
{
    __m512i a = _mm512_set1_epi8(1), b = _mm512_set1_epi8(2);

#define ZERO(i) __m512i sum##i = _mm512_setzero_si512();
#define TURN(i) \
    CHANGED(a); \
    sum##i = _mm512_dpbusd_epi32(sum##i, a, b);
    EACH(ZERO)
    while (turns-- > 0) {
        EACH(TURN)
    }
    EACH(USED)
#undef ZERO
#undef TURN
}

/* Palette 1: 8 tiles of 16 rows of 64 bytes. */
__attribute__((target("amx-tile,amx-bf16"))) static void tiles_amx(int64_t turns)
{
    _Alignas(64) uint8_t config[64] = {1};

    for (int i = 0; i < 8; i++) {
        config[16 + 2 * i] = 64;
        config[48 + i] = 16;
    }
    __asm__ volatile("" : : : "memory");
    _tile_loadconfig(config);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
    while (turns-- > 0) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
}

static const struct kernel_peak peaks[] = {
    {"avx2", "vpmaddubsw, vpmaddwd, vpaddd", CHAINS * 64, madd_avx2},
    {"avx512", "vpdpbusd", CHAINS * 128, vnni_avx512},
    {"amx", "tdpbf16ps", 4 * 16 * 16 * 32 * 2, tiles_amx},
};

const struct kernel_peak *kernel_peak_of(const char *family)
{
    for (size_t i = 0; i < ARRAY_LEN(peaks); i++)
        if (!strcmp(peaks[i].family, family)) return &peaks[i];
    return NULL;
}

#else

const struct kernel_peak *kernel_peak_of(const char *family)
{
    (void)family;
    return NULL;
}

#endif
