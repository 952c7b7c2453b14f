/*
 * kernels_k_avx512.h - the scales of Q4_K and Q5_K, in vectors. Included where the target has been chosen.
 */
#ifndef PONDER_KERNELS_K_AVX512_H
#define PONDER_KERNELS_K_AVX512_H

/* [d * scale of 8 sub-blocks, dmin * minimum of 8 sub-blocks] from the 16 bytes before a block's weights. */
ALWAYS_INLINE __m512 k_scales(const uint8_t *p)
{
    /* Dwords of v: d and dmin, u0, u1, u2. Scales 0..3 are u0 & 63, minimums 0..3 u1 & 63; 4..7 have their low four bits in the low
     * (scales) and high (minimums) nibbles of u2 and their upper two in bits 6 and 7 of u0 and u1. */
    const __m128i v = _mm_loadu_si128((const __m128i *)p);
    const __m128i keep = _mm_set_epi32(0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f), upper = _mm_set_epi32(0x30303030, 0, 0x30303030, 0);
    __m128i six = _mm_srlv_epi32(_mm_shuffle_epi32(v, _MM_SHUFFLE(3, 2, 3, 1)), _mm_set_epi32(4, 0, 0, 0));
    __m128i top = _mm_and_si128(_mm_srli_epi32(_mm_shuffle_epi32(v, _MM_SHUFFLE(2, 2, 1, 1)), 2), upper);
    six = _mm_ternarylogic_epi32(six, keep, top, 0xea);
    __m512 d =
        _mm512_permutexvar_ps(_mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0), _mm512_castps128_ps512(_mm_cvtph_ps(v)));
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(six)), d);
}

#endif
