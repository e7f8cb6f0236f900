/*
 * The quality index and the usable ratio. Pure functions: no I/O, no clock, no globals; thread-safe.
 *
 * Source: "the paper" (shared seeds 000; sections on the data-quality index and usable ratio), as DESIGN states it:
 *   Q = sum(w_i p_i) / sum(w_i) over the parts that were measured; U = D_usable / D_total.
 */
#ifndef ASSAY_QUALITY_QUALITY_H
#define ASSAY_QUALITY_QUALITY_H

#include <stdbool.h>
#include <stdint.h>

enum quality_part {
    QUALITY_LINEAGE,
    QUALITY_VALIDATION,
    QUALITY_FRESHNESS,
    QUALITY_SAFETY,
    QUALITY_UNIQUENESS,
    QUALITY_PART_COUNT
};
const char *quality_part_name(
    enum quality_part p); /* "lineage_coverage" "validation_pass_rate" "freshness_rate" "bias_safety" "uniqueness" */

/* Each in [0,1], or NAN: not measured (it then takes no part in the mean, and is reported as unmeasured). */
struct quality_parts {
    double v[QUALITY_PART_COUNT];
};
struct quality_weights {
    double w[QUALITY_PART_COUNT]; /* >= 0 */
};
struct quality_weights quality_weights_default(void); /* the first four 0.225 each, uniqueness 0.1 */

/* In [0,1]; NAN when nothing was measured or the weights of what was measured sum to 0. */
double quality_index(const struct quality_parts *p, const struct quality_weights *w);
/* usable / total; NAN when total is 0. */
double quality_usable_ratio(int64_t usable, int64_t total);
/* "high" >= 0.60, "medium" >= 0.25, "low" below; "unmeasured" for NAN. */
const char *quality_tier(double usable_ratio);
/* part / whole in [0,1]; NAN when whole is 0. */
double quality_rate(int64_t part, int64_t whole);

#endif
