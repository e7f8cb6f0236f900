#include "server/index_spec.h"

#include "base/json_read.h"

const char *const index_precision_names[] = {"float32", "float16", "int8", NULL};

static const struct json_field fields[] = {
    JSON_FIELD(struct index_spec, m, JSON_FIELD_INT, .min = 4, .max = 128),
    JSON_FIELD(struct index_spec, ef_construction, JSON_FIELD_INT, .min = 10, .max = 2000),
    JSON_FIELD(struct index_spec, ef_search, JSON_FIELD_INT, .min = 10, .max = 10000),
    JSON_FIELD(struct index_spec, precision, JSON_FIELD_ENUM, .names = index_precision_names),
    JSON_FIELDS_END,
};

enum assay_code index_spec_parse(struct arena *a, const json_t *json, const char *pointer, struct index_spec *out,
                                 struct str *canonical, struct err *err)
{
    struct buf text = {0};
    *out = (struct index_spec){0};
    *canonical = STR_LIT("{}");
    if (!json)
        return ASSAY_OK;
    TRY(json_read(a, json, pointer, fields, out, err));
    json_canonical(json, &text);
    *canonical = str_dup(a, buf_str(&text));
    buf_free(&text);
    return ASSAY_OK;
}
