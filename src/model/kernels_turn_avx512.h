/*
 * kernels_turn_avx512.h - four vectors turned against each other. Included where the target has been chosen.
 */
#ifndef PONDER_KERNELS_TURN_AVX512_H
#define PONDER_KERNELS_TURN_AVX512_H

/* Within each 128 bits: dword p of v[j] comes from dword j of v[p]. */
ALWAYS_INLINE void turn_4(__m512i v[4])
{
    const __m512i a = _mm512_unpacklo_epi32(v[0], v[1]), b = _mm512_unpackhi_epi32(v[0], v[1]);
    const __m512i c = _mm512_unpacklo_epi32(v[2], v[3]), d = _mm512_unpackhi_epi32(v[2], v[3]);
    v[0] = _mm512_unpacklo_epi64(a, c);
    v[1] = _mm512_unpackhi_epi64(a, c);
    v[2] = _mm512_unpacklo_epi64(b, d);
    v[3] = _mm512_unpackhi_epi64(b, d);
}

#endif
