#include "index/kernel.h"

#include <math.h>
#include <string.h>

/* -std=c17 keeps GCC from contracting a*b+c into a fused multiply-add; Clang is told. */
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

/* KERNEL_LANES running sums, held in registers of `width` floats each. A lane's value does not depend on how many lanes
 * one instruction handles, so that all versions agree to the bit. */
#define KERNEL_SUMS(name, width, attributes)                                                                           \
    typedef float name##_lanes __attribute__((vector_size((width) * sizeof(float))));                                  \
    attributes static size_t name(const float *a, const float *b, size_t dim, float s[KERNEL_LANES])                   \
    {                                                                                                                  \
        name##_lanes sum[KERNEL_LANES / (width)] = {{0}};                                                              \
        size_t i = 0;                                                                                                  \
        for (; i + KERNEL_LANES <= dim; i += KERNEL_LANES) {                                                           \
            _Pragma("GCC unroll 8") for (size_t r = 0; r < KERNEL_LANES / (width); r++)                                \
            {                                                                                                          \
                name##_lanes x, y;                                                                                     \
                memcpy(&x, a + i + r * (width), sizeof(x));                                                            \
                memcpy(&y, b + i + r * (width), sizeof(y));                                                            \
                sum[r] += x * y;                                                                                       \
            }                                                                                                          \
        }                                                                                                              \
        memcpy(s, sum, sizeof(sum));                                                                                   \
        return i;                                                                                                      \
    }

KERNEL_SUMS(sums_baseline, 4, )
#ifdef __x86_64__
KERNEL_SUMS(sums_avx2, 8, __attribute__((target("avx2"))))
KERNEL_SUMS(sums_avx512, 16, __attribute__((target("avx512f"))))
#endif

static size_t sums(const float *a, const float *b, size_t dim, float s[KERNEL_LANES])
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f")) {
        return sums_avx512(a, b, dim, s);
    }
    if (__builtin_cpu_supports("avx2")) {
        return sums_avx2(a, b, dim, s);
    }
#endif
    return sums_baseline(a, b, dim, s);
}

float kernel_dot(const float *a, const float *b, size_t dim)
{
    float s[KERNEL_LANES];
    size_t i = sums(a, b, dim, s);
    for (size_t lane = 0; i < dim; i++, lane++) {
        s[lane] += a[i] * b[i];
    }
    for (size_t half = KERNEL_LANES / 2; half > 0; half /= 2) {
        for (size_t lane = 0; lane < half; lane++) {
            s[lane] += s[lane + half];
        }
    }
    return s[0];
}

enum assay_code kernel_normalise(const float *in, size_t dim, float *out, struct err *err)
{
    double norm = 0;
    for (size_t i = 0; i < dim; i++) {
        if (!isfinite(in[i])) {
            return err_set(err, ASSAY_INVALID, NULL, "number %zu of the vector is not finite", i);
        }
        norm += (double)in[i] * (double)in[i];
    }
    norm = sqrt(norm);
    if (!(norm > 0)) {
        return err_set(err, ASSAY_INVALID, NULL, "the vector's length is zero, so it has no direction");
    }
    for (size_t i = 0; i < dim; i++) {
        out[i] = (float)((double)in[i] / norm);
    }
    return ASSAY_OK;
}
