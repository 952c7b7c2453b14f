/*
 * kernels_exp_avx512.h - the exponential of 16 floats, for the files of the AVX-512 family. To be included after <immintrin.h> and the
 * target pragma of the file.
 */
#ifndef PONDER_KERNELS_EXP_AVX512_H
#define PONDER_KERNELS_EXP_AVX512_H

/* exp of what is at most 120 (inf above 88.8), to about one unit in the last place; NaN stays. */
ALWAYS_INLINE __m512 exp_16(__m512 x)
{
    x = _mm512_max_ps(_mm512_set1_ps(-120.0f), x);    /* the second operand is what comes out of a NaN */
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 p = _mm512_set1_ps(1.9875691500e-4f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
    p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
    return _mm512_scalef_ps(p, n);
}

#endif
