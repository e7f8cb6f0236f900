/*
 * The policy of a collection: {"weights":{"lineage_coverage":0.3,...}} says how the parts of the quality index weigh,
 * {"fusion":{...}} how its searches order what they find unless they say otherwise, {"reranker":{...}} which endpoint
 * orders it anew when they ask for that.
 */
#ifndef ASSAY_SERVER_POLICY_H
#define ASSAY_SERVER_POLICY_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "quality/quality.h"
#include "server/ranking.h"

enum { RERANK_TOP_MAX = 100 };

struct reranker_spec {
    bool present;
    struct str base_url, model, key_name; /* model empty: the endpoint serves one, in TEI's shape */
    int timeout_ms, top_n;
};
struct policy {
    struct quality_weights weights;
    struct vindex_ranking ranking;
    struct reranker_spec reranker; /* its strings are borrowed from the JSON */
};

/* Reads a policy; what is not named keeps its default, of which some depend on the kind of the collection's embedder.
 * Weights are 0..1000 and may not all be 0. json NULL is the empty policy. `canonical` receives canonical JSON: "{}" or
 * what was given. ASSAY_INVALID with the pointer. */
enum assay_code policy_parse(struct arena *a, const json_t *json, const char *pointer, enum embedder_kind kind,
                             struct policy *out, struct str *canonical, struct err *err) MUST_USE;

#endif
