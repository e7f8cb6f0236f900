#include "server/index_spec.h"

#include "base/json_read.h"

struct spec_in {
    int64_t m, ef_construction, ef_search;
    int precision;
};
static const char *const precision_names[] = {"float32", "float16", "int8", NULL}; /* as enum vindex_precision */

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
                                  .precision = (enum vindex_precision)in.precision};
    if (vindex_params_check(out, err) != ASSAY_OK) { /* the bounds are those above, so it is this */
        err_clear(err);
        return err_add_field(err, arena_printf(a, "%s/precision", pointer), "is not one that the index has");
    }
    json_canonical(json, &text);
    *canonical = str_dup(a, buf_str(&text));
    buf_free(&text);
    return ASSAY_OK;
}
