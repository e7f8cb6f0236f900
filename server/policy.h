/*
 * The policy of a collection: {"weights":{"lineage_coverage":0.3,...}} says how the parts of the quality index weigh,
 * {"fusion":{...}} how its searches order what they find unless they say otherwise.
 */
#ifndef ASSAY_SERVER_POLICY_H
#define ASSAY_SERVER_POLICY_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "quality/quality.h"
#include "server/ranking.h"

struct policy {
    struct quality_weights weights;
    struct vindex_ranking ranking;
};

/* Reads a policy; what is not named keeps its default, of which some depend on the kind of the collection's embedder.
 * Weights are 0..1000 and may not all be 0. json NULL is the empty policy. `canonical` receives canonical JSON: "{}" or
 * what was given. ASSAY_INVALID with the pointer. */
enum assay_code policy_parse(struct arena *a, const json_t *json, const char *pointer, enum embedder_kind kind,
                             struct policy *out, struct str *canonical, struct err *err) MUST_USE;

#endif
