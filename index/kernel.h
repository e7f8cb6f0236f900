/*
 * The one place with vector arithmetic: the gate that every vector passes, and sums whose results are the same bit for
 * bit on any machine. Each has a version for any CPU and, on x86-64, ones for AVX2 and AVX-512, chosen when it is
 * called. Pure, thread-safe.
 */
#ifndef ASSAY_INDEX_KERNEL_H
#define ASSAY_INDEX_KERNEL_H

#include <stddef.h>

#include "base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sum of a[i] * b[i] in single precision, added in a fixed order (KERNEL_LANES running sums, then a fixed tree), with
 * no fused multiply-add: hits of an exact search are equal on every replica, whatever its CPU. */
enum { KERNEL_LANES = 32 };
float kernel_dot(const float *a, const float *b, size_t dim);
/* Sum of (a[i] - b[i]) squared, in the same order. */
float kernel_l2sqr(const float *a, const float *b, size_t dim);

/* The same of `a` and each of four, at once: out[i] has the bits that the plain function gives. */
enum { KERNEL_ROWS = 4 };
void kernel_dot4(const float *a, const float *const b[KERNEL_ROWS], size_t dim, float out[KERNEL_ROWS]);
void kernel_l2sqr4(const float *a, const float *const b[KERNEL_ROWS], size_t dim, float out[KERNEL_ROWS]);

/* The versions by name, so that tests can hold each to the others: "baseline", "avx2", "avx512"; NULL past the last one
 * that this CPU has. kernel_dot uses the last. */
const char *kernel_version(unsigned i);
float kernel_dot_version(unsigned i, const float *a, const float *b, size_t dim);
void kernel_dot4_version(unsigned i, const float *a, const float *const b[KERNEL_ROWS], size_t dim,
                         float out[KERNEL_ROWS]);

/* The gate: copies `dim` floats into `out` at length 1. ASSAY_INVALID when one is not finite or the norm is zero (or so
 * small that it cannot be divided by). `in` and `out` may be the same. */
enum assay_code kernel_normalise(const float *in, size_t dim, float *out, struct err *err) MUST_USE;

#ifdef __cplusplus
}
#endif

#endif
