#include "server/index_spec.h"

#include "base/json_read.h"

struct spec_in {
    int64_t m, ef_construction, ef_search;
    int precision;
};
static const char *const precision_names[] = {"int8", "float32", NULL};
static const enum vindex_precision precisions[] = {VINDEX_I8, VINDEX_F32};

static const struct json_field fields[] = {
    JSON_FIELD(struct spec_in, m, JSON_FIELD_INT, .min = VINDEX_M_MIN, .max = VINDEX_M_MAX),
    JSON_FIELD(struct spec_in, ef_construction, JSON_FIELD_INT, .min = VINDEX_EF_CONSTRUCTION_MIN,
               .max = VINDEX_EF_CONSTRUCTION_MAX),
    JSON_FIELD(struct spec_in, ef_search, JSON_FIELD_INT, .min = VINDEX_EF_SEARCH_MIN, .max = VINDEX_EF_SEARCH_MAX),
    JSON_FIELD(struct spec_in, precision, JSON_FIELD_ENUM, .names = precision_names),
    JSON_FIELDS_END,
};

enum assay_code index_spec_parse(struct arena *a, const json_t *json, const char *pointer, struct vindex_params *out,
                                 struct str *canonical, struct err *err)
{
    struct spec_in in = {0};
    struct buf text = {0};
    *out = (struct vindex_params){0};
    *canonical = STR_LIT("{}");
    if (!json)
        return ASSAY_OK;
    TRY(json_read(a, json, pointer, fields, &in, err));
    *out = (struct vindex_params){.m = (int)in.m,
                                  .ef_construction = (int)in.ef_construction,
                                  .ef_search = (int)in.ef_search,
                                  .precision = precisions[in.precision]};
    json_canonical(json, &text);
    *canonical = str_dup(a, buf_str(&text));
    buf_free(&text);
    return ASSAY_OK;
}
