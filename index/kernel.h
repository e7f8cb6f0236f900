/*
 * The one place with vector arithmetic: the gate that every vector passes, and a dot product whose result is the same
 * bit for bit on any machine. Pure, thread-safe.
 */
#ifndef ASSAY_INDEX_KERNEL_H
#define ASSAY_INDEX_KERNEL_H

#include <stddef.h>

#include "base/err.h"

/* Sum of a[i] * b[i] in single precision, added in a fixed order (KERNEL_LANES running sums, then a fixed tree), with
 * no fused multiply-add: hits of an exact search are equal on every replica, whatever its CPU. */
enum { KERNEL_LANES = 32 };
float kernel_dot(const float *a, const float *b, size_t dim);

/* The gate: copies `dim` floats into `out` at length 1. ASSAY_INVALID when one is not finite or the norm is zero (or so
 * small that it cannot be divided by). `in` and `out` may be the same. */
enum assay_code kernel_normalise(const float *in, size_t dim, float *out, struct err *err) MUST_USE;

#endif
