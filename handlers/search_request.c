#include "handlers/search_request.h"

#include <string.h>

#include "base/json_vector.h"
#include "server/policy.h"

enum { K_DEFAULT = 10, PRINCIPALS_MAX = 256, PRINCIPAL_BYTES_MAX = 256, NAME_MAX_BYTES = 128 };

const char *const search_mode_names[] = {"hybrid", "vector", "lexical", NULL};

#define FIELD(member, kind, ...) JSON_FIELD(struct search_request, member, kind, __VA_ARGS__)
/* What the body and the query string have in common. */
#define COMMON_FIELDS                                                                                                  \
    FIELD(k, JSON_FIELD_INT, .min = 1, .max = VINDEX_K_MAX), FIELD(collection, JSON_FIELD_STR, .max = NAME_MAX_BYTES), \
        FIELD(mode, JSON_FIELD_ENUM, .names = search_mode_names,                                                       \
              .present_offset = offsetof(struct search_request, has_mode)),                                            \
        FIELD(filter, JSON_FIELD_OBJECT, .nullable = true),                                                            \
        FIELD(at, JSON_FIELD_STR, .min = 1, .max = NAME_MAX_BYTES),                                                    \
        FIELD(min_quality, JSON_FIELD_DOUBLE, .min = 0, .max = 1),                                                     \
        FIELD(principal, JSON_FIELD_STRS, .min = 1, .max = PRINCIPAL_BYTES_MAX, .max_items = PRINCIPALS_MAX,           \
              .present_offset = offsetof(struct search_request, has_principal)),                                       \
        FIELD(fusion, JSON_FIELD_OBJECT, .nullable = true),                                                            \
        FIELD(generation, JSON_FIELD_INT, .min = 1, .max = INT32_MAX),                                                 \
        FIELD(max_per_document, JSON_FIELD_INT, .min = 1, .max = VINDEX_K_MAX),                                        \
        FIELD(context, JSON_FIELD_INT, .min = 0, .max = VINDEX_CONTEXT_MAX), FIELD(exact, JSON_FIELD_BOOL),            \
        FIELD(include_quarantined, JSON_FIELD_BOOL), FIELD(explain, JSON_FIELD_BOOL), FIELD(rerank, JSON_FIELD_BOOL),  \
        FIELD(highlight, JSON_FIELD_BOOL)
#define QUERY_LIMITS .min = 1, .max = VINDEX_QUERY_MAX, .present_offset = offsetof(struct search_request, has_query)

static const struct json_field body_fields[] = {
    FIELD(query, JSON_FIELD_STR, QUERY_LIMITS),
    {.name = "vector",
     .type = JSON_FIELD_ANY,
     .offset = offsetof(struct search_request, vector_json),
     .present_offset = offsetof(struct search_request, has_vector),
     .nullable = true},
    COMMON_FIELDS,
    JSON_FIELDS_END,
};

static const struct json_field param_fields[] = {
    {.name = "q", .type = JSON_FIELD_STR, .offset = offsetof(struct search_request, query), QUERY_LIMITS},
    COMMON_FIELDS,
    JSON_FIELDS_END,
};

const char *search_request_pointer(const struct search_request *r, const char *name)
{
    static const struct {
        const char *name, *body, *param;
    } pointers[] = {{"query", "/query", "?q"},
                    {"vector", "/vector", "?vector"},
                    {"mode", "/mode", "?mode"},
                    {"filter", "/filter", "?filter"},
                    {"at", "/at", "?at"},
                    {"principal", "/principal", "?principal"},
                    {"fusion", "/fusion", "?fusion"},
                    {"context", "/context", "?context"},
                    {"rerank", "/rerank", "?rerank"},
                    {"generation", "/generation", "?generation"}};
    for (size_t i = 0; i < sizeof pointers / sizeof *pointers; i++) {
        if (strcmp(pointers[i].name, name) == 0)
            return r->in_body ? pointers[i].body : pointers[i].param;
    }
    return "";
}

static enum assay_code check_vector(const struct json_vector *v, struct err *err)
{
    if (v->n == 0)
        return err_add_field(err, "/vector", "must not be empty");
    for (size_t i = 0; i < v->n; i++) {
        if (v->v[i] != 0.0f)
            return ASSAY_OK;
    }
    return err_add_field(err, "/vector", "must not be all zeros: it has no direction");
}

/* What the tables cannot say: which of query and vector a mode needs, and what k allows. */
static enum assay_code check(struct search_request *r, struct err *err)
{
    if (r->has_query && str_trim(r->query).len == 0)
        return err_add_field(err, search_request_pointer(r, "query"), "must not be blank");
    if (r->vector && !r->has_query && !r->has_mode)
        r->mode = VINDEX_VECTOR;
    if (r->vector && r->mode == VINDEX_LEXICAL)
        return err_add_field(err, search_request_pointer(r, "vector"), "has no use in mode lexical");
    if (!r->has_query && !(r->vector && r->mode == VINDEX_VECTOR))
        return err_add_field(err, search_request_pointer(r, "query"), "is required%s",
                             r->vector ? " in mode hybrid" : "");
    if (r->context > 0 && r->k > VINDEX_CONTEXT_K_MAX)
        return err_add_field(err, search_request_pointer(r, "context"), "needs a k of at most %d",
                             VINDEX_CONTEXT_K_MAX);
    if (r->rerank && !r->has_query)
        return err_add_field(err, search_request_pointer(r, "rerank"), "needs the text of a query");
    if (r->rerank && r->k > RERANK_TOP_MAX)
        return err_add_field(err, search_request_pointer(r, "rerank"), "needs a k of at most %d", RERANK_TOP_MAX);
    return ASSAY_OK;
}

static void defaults(struct search_request *r, bool in_body)
{
    *r = (struct search_request){.in_body = in_body, .k = K_DEFAULT, .mode = VINDEX_HYBRID};
}

enum assay_code search_request_read(struct arena *a, struct str body, struct search_request *out, struct err *err)
{
    json_t *tree;
    struct str rest;
    struct json_vector vector;
    defaults(out, true);
    TRY(json_vector_cut(a, body, VINDEX_DIM_MAX, &rest, &vector, err));
    TRY(json_parse(a, rest, &tree, err));
    TRY(json_read(a, tree, "", body_fields, out, err));
    if (out->has_vector) {
        if (!vector.v)
            TRY(json_vector_read(a, out->vector_json, VINDEX_DIM_MAX, &vector, err));
        TRY(check_vector(&vector, err));
        out->vector = vector.v;
        out->dim = vector.n;
    }
    return check(out, err);
}

enum assay_code search_request_read_params(struct arena *a, const struct json_param *params, size_t n,
                                           struct search_request *out, struct err *err)
{
    defaults(out, false);
    TRY(json_read_params(a, params, n, param_fields, out, err));
    return check(out, err);
}
