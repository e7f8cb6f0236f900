#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "quality/quality.h"

static void near(double got, double want)
{
    assert_true(fabs(got - want) < 1e-12);
}

/* The paper's three corpora: U = 0.64, 0.40 and 0.22, of high, medium and low quality. */
static void test_quality_usable_ratio__gives_the_papers_values_and_tiers(void **state)
{
    (void)state;
    static const struct {
        int64_t usable, total;
        double ratio;
        const char *tier;
    } cases[] = {{64, 100, 0.64, "high"}, {40, 100, 0.40, "medium"}, {22, 100, 0.22, "low"}};
    for (size_t i = 0; i < 3; i++) {
        double u = quality_usable_ratio(cases[i].usable, cases[i].total);
        near(u, cases[i].ratio);
        assert_string_equal(quality_tier(u), cases[i].tier);
    }
}

static void test_quality_tier__bounds_belong_to_the_upper_tier(void **state)
{
    (void)state;
    assert_string_equal(quality_tier(0.60), "high");
    assert_string_equal(quality_tier(nextafter(0.60, 0)), "medium");
    assert_string_equal(quality_tier(0.25), "medium");
    assert_string_equal(quality_tier(nextafter(0.25, 0)), "low");
    assert_string_equal(quality_tier(0), "low");
    assert_string_equal(quality_tier(1), "high");
}

static void test_quality_usable_ratio__of_nothing_is_unmeasured(void **state)
{
    (void)state;
    assert_true(isnan(quality_usable_ratio(0, 0)));
    assert_true(isnan(quality_rate(0, 0)));
    assert_string_equal(quality_tier(quality_usable_ratio(0, 0)), "unmeasured");
    near(quality_rate(0, 7), 0);
    near(quality_rate(7, 7), 1);
}

static void test_quality_index__is_the_weighted_mean(void **state)
{
    (void)state;
    struct quality_weights w = quality_weights_default();
    struct quality_parts p = {{1, 0.5, 0.8, 0.9, 0.2}};
    near(quality_index(&p, &w), 0.225 * (1 + 0.5 + 0.8 + 0.9) + 0.1 * 0.2);
    struct quality_parts ones = {{1, 1, 1, 1, 1}}, zeros = {{0}};
    near(quality_index(&ones, &w), 1);
    assert_true(quality_index(&ones, &w) <= 1);
    near(quality_index(&zeros, &w), 0);
}

static void test_quality_index__leaves_out_what_was_not_measured(void **state)
{
    (void)state;
    struct quality_weights w = quality_weights_default();
    struct quality_parts p = {{1, 0.5, NAN, NAN, NAN}};
    near(quality_index(&p, &w), 0.75);
    struct quality_parts none = {{NAN, NAN, NAN, NAN, NAN}};
    assert_true(isnan(quality_index(&none, &w)));
    struct quality_weights zero = {{0}};
    assert_true(isnan(quality_index(&p, &zero)));
}

static void test_quality_index__rises_with_every_part(void **state)
{
    (void)state;
    struct quality_weights w = quality_weights_default();
    for (size_t i = 0; i < QUALITY_PART_COUNT; i++) {
        struct quality_parts low = {{0.5, 0.5, 0.5, 0.5, 0.5}}, high = low;
        high.v[i] = 0.6;
        assert_true(quality_index(&high, &w) > quality_index(&low, &w));
    }
}

static void test_quality_weights_default__first_four_weigh_the_same_and_sum_to_one(void **state)
{
    (void)state;
    struct quality_weights w = quality_weights_default();
    double sum = 0;
    for (size_t i = 0; i < QUALITY_PART_COUNT; i++)
        sum += w.w[i];
    near(sum, 1);
    for (size_t i = 1; i < 4; i++)
        near(w.w[i], w.w[0]);
}

static void test_quality_part_name__names_every_part(void **state)
{
    (void)state;
    static const char *const names[] = {"lineage_coverage", "validation_pass_rate", "freshness_rate", "bias_safety",
                                        "uniqueness"};
    for (int i = 0; i < QUALITY_PART_COUNT; i++)
        assert_string_equal(quality_part_name((enum quality_part)i), names[i]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quality_usable_ratio__gives_the_papers_values_and_tiers),
        cmocka_unit_test(test_quality_tier__bounds_belong_to_the_upper_tier),
        cmocka_unit_test(test_quality_usable_ratio__of_nothing_is_unmeasured),
        cmocka_unit_test(test_quality_index__is_the_weighted_mean),
        cmocka_unit_test(test_quality_index__leaves_out_what_was_not_measured),
        cmocka_unit_test(test_quality_index__rises_with_every_part),
        cmocka_unit_test(test_quality_weights_default__first_four_weigh_the_same_and_sum_to_one),
        cmocka_unit_test(test_quality_part_name__names_every_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
