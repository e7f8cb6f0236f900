#include "quality/quality.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>

static const char *const part_names[QUALITY_PART_COUNT] = {
    [QUALITY_LINEAGE] = "lineage_coverage", [QUALITY_VALIDATION] = "validation_pass_rate",
    [QUALITY_FRESHNESS] = "freshness_rate", [QUALITY_SAFETY] = "bias_safety",
    [QUALITY_UNIQUENESS] = "uniqueness",
};

/* Lower bounds of the tiers of the usable ratio, from the paper. */
#define TIER_HIGH 0.60
#define TIER_MEDIUM 0.25

const char *quality_part_name(enum quality_part p)
{
    assert((unsigned)p < QUALITY_PART_COUNT);
    return part_names[p];
}

struct quality_weights quality_weights_default(void)
{
    return (struct quality_weights){.w = {0.225, 0.225, 0.225, 0.225, 0.1}};
}

double quality_index(const struct quality_parts *p, const struct quality_weights *w)
{
    double sum = 0, weights = 0;
    for (size_t i = 0; i < QUALITY_PART_COUNT; i++) {
        if (isnan(p->v[i]))
            continue;
        assert(p->v[i] >= 0 && p->v[i] <= 1 && w->w[i] >= 0);
        sum += w->w[i] * p->v[i];
        weights += w->w[i];
    }
    if (weights <= 0)
        return NAN;
    double q = sum / weights;
    return q > 1 ? 1 : q; /* rounding may leave a mean of ones a hair above 1 */
}

double quality_rate(int64_t part, int64_t whole)
{
    assert(part >= 0 && part <= whole);
    return whole > 0 ? (double)part / (double)whole : (double)NAN;
}

double quality_usable_ratio(int64_t usable, int64_t total)
{
    return quality_rate(usable, total);
}

const char *quality_tier(double usable_ratio)
{
    if (isnan(usable_ratio))
        return "unmeasured";
    return usable_ratio >= TIER_HIGH ? "high" : usable_ratio >= TIER_MEDIUM ? "medium" : "low";
}
