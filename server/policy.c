#include "server/policy.h"

#include "base/json_read.h"
#include "server/endpoint_spec.h"

struct policy_in {
    json_t *weights, *fusion, *reranker;
};
static const struct json_field policy_fields[] = {
    JSON_FIELD(struct policy_in, weights, JSON_FIELD_OBJECT, .nullable = true),
    JSON_FIELD(struct policy_in, fusion, JSON_FIELD_OBJECT, .nullable = true),
    JSON_FIELD(struct policy_in, reranker, JSON_FIELD_OBJECT, .nullable = true),
    JSON_FIELDS_END,
};

enum { WEIGHT_MAX = 1000 };

/* The members are named by quality_part_name, so the table is made of it. */
static enum assay_code read_weights(struct arena *a, const json_t *json, const char *pointer,
                                    struct quality_weights *out, struct err *err)
{
    struct json_field fields[QUALITY_PART_COUNT + 1] = {0};
    for (size_t i = 0; i < QUALITY_PART_COUNT; i++)
        fields[i] = (struct json_field){
            .name = quality_part_name((enum quality_part)i),
            .type = JSON_FIELD_DOUBLE,
            .offset = offsetof(struct quality_weights, w) + i * sizeof(double),
            .min = 0,
            .max = WEIGHT_MAX,
        };
    TRY(json_read(a, json, pointer, fields, out, err));
    double sum = 0;
    for (size_t i = 0; i < QUALITY_PART_COUNT; i++)
        sum += out->w[i];
    if (sum <= 0)
        return err_add_field(err, pointer, "At least one weight must be above 0.");
    return ASSAY_OK;
}

struct reranker_in {
    struct str base_url, model, key_name;
    int64_t timeout_ms, top_n;
};
static const struct json_field reranker_fields[] = {
    JSON_FIELD(struct reranker_in, base_url, JSON_FIELD_STR, .required = true, .min = 8, .max = 1024),
    JSON_FIELD(struct reranker_in, model, JSON_FIELD_STR, .nullable = true, .max = 256),
    JSON_FIELD(struct reranker_in, key_name, JSON_FIELD_STR, .nullable = true, .max = 64),
    JSON_FIELD(struct reranker_in, timeout_ms, JSON_FIELD_INT, .min = 10, .max = 60000),
    JSON_FIELD(struct reranker_in, top_n, JSON_FIELD_INT, .min = 1, .max = RERANK_TOP_MAX),
    JSON_FIELDS_END,
};
enum { RERANK_TIMEOUT_MS = 1000, RERANK_TOP = 50 };

static enum assay_code read_reranker(struct arena *a, const json_t *json, const char *pointer,
                                     struct reranker_spec *out, struct err *err)
{
    struct reranker_in in = {.timeout_ms = RERANK_TIMEOUT_MS, .top_n = RERANK_TOP};
    TRY(json_read(a, json, pointer, reranker_fields, &in, err));
    TRY(endpoint_spec_check(a, pointer, &in.base_url, in.key_name, err));
    *out = (struct reranker_spec){true, in.base_url, in.model, in.key_name, (int)in.timeout_ms, (int)in.top_n};
    return ASSAY_OK;
}

enum assay_code policy_parse(struct arena *a, const json_t *json, const char *pointer, enum embedder_kind kind,
                             struct policy *out, struct str *canonical, struct err *err)
{
    *out = (struct policy){.weights = quality_weights_default(), .ranking = vindex_ranking_default(kind)};
    *canonical = STR_LIT("{}");
    if (!json)
        return ASSAY_OK;
    struct policy_in in = {0};
    TRY(json_read(a, json, pointer, policy_fields, &in, err));
    if (in.weights)
        TRY(read_weights(a, in.weights, arena_printf(a, "%s/weights", pointer), &out->weights, err));
    if (in.fusion)
        TRY(ranking_parse(a, in.fusion, arena_printf(a, "%s/fusion", pointer), &out->ranking, err));
    if (in.reranker)
        TRY(read_reranker(a, in.reranker, arena_printf(a, "%s/reranker", pointer), &out->reranker, err));
    struct buf text = {0};
    json_canonical(json, &text);
    *canonical = str_dup(a, buf_str(&text));
    buf_free(&text);
    return ASSAY_OK;
}
