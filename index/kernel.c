#include "index/kernel.h"

#include <math.h>
#include <string.h>

/* -std=c17 keeps GCC from contracting a*b+c into a fused multiply-add; Clang is told. */
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

/* The fixed tree: lane i and lane i + half are added until one is left. In registers, since rows are short and this is
 * done for each. */
typedef float lanes_4 __attribute__((vector_size(4 * sizeof(float))));
typedef float lanes_8 __attribute__((vector_size(8 * sizeof(float))));
#define FOLD_4(out, x) ((out) = ((x)[0] + (x)[2]) + ((x)[1] + (x)[3]))
#define FOLD_8(out, x)                                                                                                 \
    do {                                                                                                               \
        lanes_4 half4 = __builtin_shufflevector(x, x, 0, 1, 2, 3) + __builtin_shufflevector(x, x, 4, 5, 6, 7);         \
        FOLD_4(out, half4);                                                                                            \
    } while (0)
#define FOLD_16(out, x)                                                                                                \
    do {                                                                                                               \
        lanes_8 half8 = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7) +                                        \
                        __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);                                   \
        FOLD_8(out, half8);                                                                                            \
    } while (0)

/*
 * KERNEL_LANES running sums, held in registers of `width` floats each. A lane's value does not depend on how many lanes
 * one instruction handles, so that all versions agree to the bit. What is left past the last whole block is added as a
 * block filled up with zeroes.
 *
 * KERNEL(name, width, attributes, rows, term) defines name(a, b, dim, out): out[r] = sum over i of term(a[i], b[r][i]).
 */
#define KERNEL(name, width, attributes, rows, term)                                                                    \
    typedef float name##_lanes __attribute__((vector_size((width) * sizeof(float))));                                  \
    attributes static void name(const float *a, const float *const *b, size_t dim, float *out)                         \
    {                                                                                                                  \
        enum { REGISTERS = KERNEL_LANES / (width) };                                                                   \
        name##_lanes sum[rows][REGISTERS] = {{{0}}};                                                                   \
        float rest[(rows) + 1][KERNEL_LANES];                                                                          \
        size_t whole = dim - dim % KERNEL_LANES, end = dim > whole ? whole + KERNEL_LANES : whole;                     \
        const float *from = a, *to[rows];                                                                              \
        for (size_t r = 0; r < (rows); r++) {                                                                          \
            to[r] = b[r];                                                                                              \
        }                                                                                                              \
        for (size_t i = 0; i < end; i += KERNEL_LANES, from += KERNEL_LANES) {                                         \
            if (__builtin_expect(i == whole, 0)) {                                                                     \
                memset(rest, 0, sizeof(rest));                                                                         \
                memcpy(rest[rows], from, (dim - whole) * sizeof(float));                                               \
                from = rest[rows];                                                                                     \
                for (size_t r = 0; r < (rows); r++) {                                                                  \
                    memcpy(rest[r], to[r], (dim - whole) * sizeof(float));                                             \
                    to[r] = rest[r];                                                                                   \
                }                                                                                                      \
            }                                                                                                          \
            _Pragma("GCC unroll 8") for (size_t g = 0; g < REGISTERS; g++)                                             \
            {                                                                                                          \
                name##_lanes x, y;                                                                                     \
                memcpy(&x, from + g * (width), sizeof(x));                                                             \
                _Pragma("GCC unroll 4") for (size_t r = 0; r < (rows); r++)                                            \
                {                                                                                                      \
                    memcpy(&y, to[r] + g * (width), sizeof(y));                                                        \
                    sum[r][g] += term(x, y);                                                                           \
                }                                                                                                      \
            }                                                                                                          \
            _Pragma("GCC unroll 4") for (size_t r = 0; r < (rows); r++)                                                \
            {                                                                                                          \
                to[r] += KERNEL_LANES;                                                                                 \
            }                                                                                                          \
        }                                                                                                              \
        _Pragma("GCC unroll 4") for (size_t r = 0; r < (rows); r++)                                                    \
        {                                                                                                              \
            _Pragma("GCC unroll 8") for (size_t n = REGISTERS / 2; n > 0; n /= 2)                                      \
            {                                                                                                          \
                _Pragma("GCC unroll 8") for (size_t g = 0; g < n; g++)                                                 \
                {                                                                                                      \
                    sum[r][g] += sum[r][g + n];                                                                        \
                }                                                                                                      \
            }                                                                                                          \
            FOLD_##width(out[r], sum[r][0]);                                                                           \
        }                                                                                                              \
    }

#define PRODUCT(x, y) ((x) * (y))
#define SQUARE(x, y) (((x) - (y)) * ((x) - (y)))
#define KERNELS(version, width, attributes)                                                                            \
    KERNEL(dot_##version, width, attributes, 1, PRODUCT)                                                               \
    KERNEL(dot4_##version, width, attributes, KERNEL_ROWS, PRODUCT)                                                    \
    KERNEL(l2sqr_##version, width, attributes, 1, SQUARE)                                                              \
    KERNEL(l2sqr4_##version, width, attributes, KERNEL_ROWS, SQUARE)

KERNELS(baseline, 4, )
#ifdef __x86_64__
KERNELS(avx2, 8, __attribute__((target("avx2"))))
KERNELS(avx512, 16, __attribute__((target("avx512f"))))
#endif

typedef void (*kernel)(const float *a, const float *const *b, size_t dim, float *out);
struct kernels {
    const char *name;
    kernel dot, dot4, l2sqr, l2sqr4;
};
#define VERSION(version)                                                                                               \
    {                                                                                                                  \
#version, dot_##version, dot4_##version, l2sqr_##version, l2sqr4_##version                                     \
    }
static const struct kernels versions[] = {
    VERSION(baseline),
#ifdef __x86_64__
    VERSION(avx2),
    VERSION(avx512),
#endif
};

static unsigned best(void)
{
#ifdef __x86_64__
    return __builtin_cpu_supports("avx512f") ? 2 : __builtin_cpu_supports("avx2") ? 1 : 0;
#else
    return 0;
#endif
}

float kernel_dot(const float *a, const float *b, size_t dim)
{
    return kernel_dot_version(best(), a, b, dim);
}

void kernel_dot4(const float *a, const float *const b[KERNEL_ROWS], size_t dim, float out[KERNEL_ROWS])
{
    versions[best()].dot4(a, b, dim, out);
}

float kernel_l2sqr(const float *a, const float *b, size_t dim)
{
    float out;
    versions[best()].l2sqr(a, &b, dim, &out);
    return out;
}

void kernel_l2sqr4(const float *a, const float *const b[KERNEL_ROWS], size_t dim, float out[KERNEL_ROWS])
{
    versions[best()].l2sqr4(a, b, dim, out);
}

const char *kernel_version(unsigned i)
{
    return i <= best() ? versions[i].name : NULL;
}

float kernel_dot_version(unsigned i, const float *a, const float *b, size_t dim)
{
    float out;
    versions[i].dot(a, &b, dim, &out);
    return out;
}

void kernel_dot4_version(unsigned i, const float *a, const float *const b[KERNEL_ROWS], size_t dim,
                         float out[KERNEL_ROWS])
{
    versions[i].dot4(a, b, dim, out);
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
