/* train_math.c - the loops of training over rows of floats, for each kernel family. */
#include "model/train.h"
#include "model/kernels_impl.h"

#include <math.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi" /* vectors are passed to inlined functions only, by address */
#pragma GCC optimize("O3")
#endif

typedef float v16 __attribute__((vector_size(64), aligned(64)));
typedef int32_t i16 __attribute__((vector_size(64), aligned(64)));
#define ALL(x) ((v16){0} + (x))
#define LOOP static inline

#define NAME(name) name##_plain
#include "model/train_math_impl.h"
#undef NAME

#ifdef KERNELS_X86

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define NAME(name) name##_avx2
#include "model/train_math_impl.h"
#undef NAME
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
#define NAME(name) name##_avx512
#include "model/train_math_impl.h"
#undef NAME
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif

const struct train_math *train_math(void)
{
#ifdef KERNELS_X86
    const char *name = kernels_name();
    if (!strcmp(name, "avx512") || !strcmp(name, "amx")) return &train_math_avx512;
    if (!strcmp(name, "avx2")) return &train_math_avx2;
#endif
    return &train_math_plain;
}
