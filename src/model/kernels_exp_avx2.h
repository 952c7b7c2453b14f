/*
 * kernels_exp_avx2.h - the exponential of 8 floats, for the files of the AVX2 family. To be included after <immintrin.h> and the target
 * pragma of the file.
 */
#ifndef PONDER_KERNELS_EXP_AVX2_H
#define PONDER_KERNELS_EXP_AVX2_H

/* exp to about one unit in the last place: inf above 88.8, 0 below -87.3 (no subnormals), NaN stays. */
ALWAYS_INLINE __m256 exp_8(__m256 x)
{
    const __m256 lowest = _mm256_set1_ps(-87.3f);
    __m256 c = _mm256_max_ps(lowest, _mm256_min_ps(_mm256_set1_ps(89.0f), x));    /* the second operand is what comes out of a NaN */
    __m256 n = _mm256_round_ps(_mm256_mul_ps(c, _mm256_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), c);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
    __m256 p = _mm256_set1_ps(1.9875691500e-4f);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.3981999507e-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.3334519073e-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.1665795894e-2f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.6666665459e-1f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.0000001201e-1f));
    p = _mm256_fmadd_ps(p, _mm256_mul_ps(r, r), _mm256_add_ps(r, _mm256_set1_ps(1.0f)));
    /* 2^n in two factors, as n may be 128. */
    __m256i k = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(k, 1), bias = _mm256_set1_epi32(127);
    __m256 f0 = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    __m256 f1 = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(k, half), bias), 23));
    p = _mm256_mul_ps(_mm256_mul_ps(p, f0), f1);
    return _mm256_andnot_ps(_mm256_cmp_ps(x, lowest, _CMP_LT_OQ), p);
}

#endif
