#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "index/kernel.h"

enum { DIM_MAX = 140 };

/* Numbers of very different sizes, so that any other order of addition shows. */
static void fill(uint64_t *seed, float *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        *seed = *seed * UINT64_C(6364136223846793005) + 1;
        v[i] = ldexpf((float)(int32_t)(*seed >> 32), (int)(*seed >> 20 & 15) - 38);
    }
}

/* The contract in the plainest way: 32 sums, then the tree. */
static float plain(const float *a, const float *b, size_t dim, bool squares)
{
    volatile float s[KERNEL_LANES] = {0}; /* volatile: no contraction, no wider type */
    for (size_t i = 0; i < dim; i++) {
        volatile float d = a[i] - b[i];
        volatile float term = squares ? d * d : a[i] * b[i];
        s[i % KERNEL_LANES] += term;
    }
    for (size_t half = KERNEL_LANES / 2; half > 0; half /= 2) {
        for (size_t i = 0; i < half; i++) {
            s[i] += s[i + half];
        }
    }
    return s[0];
}

static void test_kernel__every_version_gives_the_same_bits(void **state)
{
    (void)state;
    uint64_t seed = 7;
    for (size_t dim = 0; dim <= DIM_MAX; dim++) {
        /* One float off any alignment, and exactly as long as the data, so that a read past the end is seen by ASan. */
        float *block = calloc(5 * dim + 1, sizeof(*block));
        assert_non_null(block);
        float *a = block + 1, out[KERNEL_ROWS];
        const float *b[KERNEL_ROWS];
        fill(&seed, a, 5 * dim);
        for (size_t r = 0; r < KERNEL_ROWS; r++) {
            b[r] = a + (KERNEL_ROWS - r) * dim;
        }
        for (unsigned v = 0; kernel_version(v) != NULL; v++) {
            kernel_dot4_version(v, a, b, dim, out);
            for (size_t r = 0; r < KERNEL_ROWS; r++) {
                float want = plain(a, b[r], dim, false), one = kernel_dot_version(v, a, b[r], dim);
                assert_memory_equal(&one, &want, sizeof(one));
                assert_memory_equal(&out[r], &want, sizeof(out[r]));
            }
        }
        kernel_l2sqr4(a, b, dim, out);
        for (size_t r = 0; r < KERNEL_ROWS; r++) {
            float want = plain(a, b[r], dim, true), one = kernel_l2sqr(a, b[r], dim);
            assert_memory_equal(&one, &want, sizeof(one));
            assert_memory_equal(&out[r], &want, sizeof(out[r]));
        }
        free(block);
    }
}

static void test_kernel__the_plain_function_is_the_best_version(void **state)
{
    (void)state;
    float a[DIM_MAX], b[DIM_MAX];
    uint64_t seed = 3;
    unsigned last = 0;
    fill(&seed, a, DIM_MAX);
    fill(&seed, b, DIM_MAX);
    while (kernel_version(last + 1) != NULL) {
        last++;
    }
    float one = kernel_dot(a, b, DIM_MAX), best = kernel_dot_version(last, a, b, DIM_MAX);
    assert_memory_equal(&one, &best, sizeof(one));
    assert_string_equal(kernel_version(0), "baseline");
}

static void test_kernel__normalise_refuses_what_has_no_direction(void **state)
{
    (void)state;
    struct err err = {0};
    float v[3] = {3, 0, 4}, zero[3] = {0}, bad[3] = {1, NAN, 0}, endless[3] = {1, 0, INFINITY}, out[3];
    assert_int_equal(kernel_normalise(v, 3, v, &err), ASSAY_OK);
    assert_true(fabsf(v[0] - 0.6F) < 1e-7F && v[1] == 0 && fabsf(v[2] - 0.8F) < 1e-7F);
    assert_int_equal(kernel_normalise(zero, 3, out, &err), ASSAY_INVALID);
    err_clear(&err);
    assert_int_equal(kernel_normalise(bad, 3, out, &err), ASSAY_INVALID);
    assert_non_null(strstr(err.detail, "number 1"));
    err_clear(&err);
    assert_int_equal(kernel_normalise(endless, 3, out, &err), ASSAY_INVALID);
    err_clear(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernel__every_version_gives_the_same_bits),
        cmocka_unit_test(test_kernel__the_plain_function_is_the_best_version),
        cmocka_unit_test(test_kernel__normalise_refuses_what_has_no_direction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
