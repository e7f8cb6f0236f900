#include "server/ranking.h"

#include "base/json_read.h"

enum { K_MAX = 10000, WEIGHT_MAX = 1000 };

const char *const ranking_method_names[] = {"rrf", "weighted", "adaptive", NULL};

struct ranking_in {
    int method;
    bool has_k;
    double k, vector, lexical, quality_weight;
    json_t *weights;
    int64_t freshness_half_life;
};
#define FIELD(member, kind, ...) JSON_FIELD(struct ranking_in, member, kind, __VA_ARGS__)

static const struct json_field ranking_fields[] = {
    FIELD(method, JSON_FIELD_ENUM, .names = ranking_method_names),
    FIELD(k, JSON_FIELD_DOUBLE, .min = 1, .max = K_MAX, .present_offset = offsetof(struct ranking_in, has_k)),
    FIELD(weights, JSON_FIELD_OBJECT, .nullable = true),
    FIELD(quality_weight, JSON_FIELD_DOUBLE, .min = 0, .max = 1),
    FIELD(freshness_half_life, JSON_FIELD_DURATION, .nullable = true),
    JSON_FIELDS_END,
};
static const struct json_field weight_fields[] = {
    FIELD(vector, JSON_FIELD_DOUBLE, .min = 0, .max = WEIGHT_MAX),
    FIELD(lexical, JSON_FIELD_DOUBLE, .min = 0, .max = WEIGHT_MAX),
    JSON_FIELDS_END,
};

enum assay_code ranking_parse(struct arena *a, const json_t *json, const char *pointer, struct vindex_ranking *out,
                              struct err *err)
{
    struct ranking_in in = {.method = (int)out->method,
                            .k = out->k,
                            .vector = out->vector_weight,
                            .lexical = out->lexical_weight,
                            .quality_weight = out->quality_weight,
                            .freshness_half_life = out->half_life_us};
    if (json_is_null(json_object_get(json, "freshness_half_life")))
        in.freshness_half_life = 0;
    TRY(json_read(a, json, pointer, ranking_fields, &in, err));
    if (in.weights) {
        const char *at = arena_printf(a, "%s/weights", pointer);
        TRY(json_read(a, in.weights, at, weight_fields, &in, err));
        if (in.vector <= 0 && in.lexical <= 0)
            return err_add_field(err, at, "must not all be 0");
    }
    if (in.has_k && in.method != FUSE_RRF)
        return err_add_field(err, arena_printf(a, "%s/k", pointer), "has no use in method %s",
                             ranking_method_names[in.method]);
    *out = (struct vindex_ranking){.method = (enum fuse_method)in.method,
                                   .k = in.k,
                                   .vector_weight = in.vector,
                                   .lexical_weight = in.lexical,
                                   .quality_weight = in.quality_weight,
                                   .half_life_us = in.freshness_half_life};
    return ASSAY_OK;
}
