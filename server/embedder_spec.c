/*
 * The `embedder` member of a collection: four kinds, each with a strict field table of its own.
 */
#include <string.h>

#include "base/json_write.h"
#include "index/embed.h"
#include "server/catalog.h"
#include "server/endpoint_spec.h"

enum { BUILTIN_DIM_DEFAULT = 384, BUILTIN_DIM_MIN = 64, BUILTIN_DIM_MAX = 2048 };

struct spec_in {
    int kind;
    int64_t dim, batch_size, timeout_ms, retries;
    struct str base_url, model, key_name, query_prefix, document_prefix, digest;
};

static const char *const kind_names[] = {"builtin", "client", "openai", "static",
                                         NULL}; /* in the order of enum embedder_kind */

#define KIND_FIELD JSON_FIELD(struct spec_in, kind, JSON_FIELD_ENUM, .required = true, .names = kind_names)

static const struct json_field builtin_fields[] = {
    KIND_FIELD,
    JSON_FIELD(struct spec_in, dim, JSON_FIELD_INT, .min = BUILTIN_DIM_MIN, .max = BUILTIN_DIM_MAX),
    JSON_FIELDS_END,
};
static const struct json_field client_fields[] = {
    KIND_FIELD,
    JSON_FIELD(struct spec_in, dim, JSON_FIELD_INT, .required = true, .min = 1, .max = VINDEX_DIM_MAX),
    JSON_FIELDS_END,
};
static const struct json_field openai_fields[] = {
    KIND_FIELD,
    JSON_FIELD(struct spec_in, dim, JSON_FIELD_INT, .required = true, .min = 1, .max = VINDEX_DIM_MAX),
    JSON_FIELD(struct spec_in, base_url, JSON_FIELD_STR, .required = true, .min = 8, .max = 1024),
    JSON_FIELD(struct spec_in, model, JSON_FIELD_STR, .required = true, .min = 1, .max = 256),
    JSON_FIELD(struct spec_in, key_name, JSON_FIELD_STR, .nullable = true, .max = 64),
    JSON_FIELD(struct spec_in, query_prefix, JSON_FIELD_STR, .nullable = true, .max = 1024),
    JSON_FIELD(struct spec_in, document_prefix, JSON_FIELD_STR, .nullable = true, .max = 1024),
    JSON_FIELD(struct spec_in, batch_size, JSON_FIELD_INT, .min = 1, .max = 256),
    JSON_FIELD(struct spec_in, timeout_ms, JSON_FIELD_INT, .min = 100, .max = 600000),
    JSON_FIELD(struct spec_in, retries, JSON_FIELD_INT, .min = 0, .max = 10),
    JSON_FIELDS_END,
};

/* Dimension and digest are the model's own: what is given pins them. */
static const struct json_field static_fields[] = {
    KIND_FIELD,
    JSON_FIELD(struct spec_in, model, JSON_FIELD_STR, .required = true, .min = 1, .max = STATIC_NAME_MAX),
    JSON_FIELD(struct spec_in, dim, JSON_FIELD_INT, .min = 1, .max = VINDEX_DIM_MAX),
    JSON_FIELD(struct spec_in, digest, JSON_FIELD_STR, .min = DIGEST_HEX, .max = DIGEST_HEX),
    JSON_FIELDS_END,
};

static enum assay_code field_problem(struct arena *a, struct err *err, const char *pointer, const char *name,
                                     const char *detail)
{
    return err_add_field(err, arena_printf(a, "%s/%s", pointer, name), "%s", detail);
}

static enum assay_code check_static(struct arena *a, const char *pointer, const struct spec_in *in,
                                    struct digest *digest, struct err *err)
{
    if (!static_models_name_valid(in->model))
        return field_problem(a, err, pointer, "model",
                             "It may hold letters, digits, '.', '_' and '-' only, and not begin with a dot.");
    if (in->digest.len > 0 && !digest_from_hex(in->digest, digest))
        return field_problem(a, err, pointer, "digest", "It must be 64 hexadecimal digits.");
    return ASSAY_OK;
}

/* Members in canonical order (sorted by name), so that equal specifications have equal text and one digest. */
static struct str write_canonical(struct arena *a, const struct spec_in *in)
{
    struct buf out = {0};
    struct jsonw w;
    bool openai = in->kind == EMBEDDER_OPENAI;
    jsonw_init(&w, &out);
    jsonw_object(&w);
    if (openai) {
        jsonw_kstr(&w, "base_url", in->base_url);
        jsonw_kint(&w, "batch_size", in->batch_size);
    }
    if (in->digest.len > 0)
        jsonw_kstr(&w, "digest", in->digest);
    if (in->dim > 0)
        jsonw_kint(&w, "dim", in->dim);
    if (openai)
        jsonw_kstr(&w, "document_prefix", in->document_prefix);
    if (openai && in->key_name.len > 0)
        jsonw_kstr(&w, "key_name", in->key_name);
    jsonw_kcstr(&w, "kind", kind_names[in->kind]);
    if (in->kind == EMBEDDER_STATIC)
        jsonw_kstr(&w, "model", in->model);
    if (openai) {
        jsonw_kstr(&w, "model", in->model);
        jsonw_kstr(&w, "query_prefix", in->query_prefix);
        jsonw_kint(&w, "retries", in->retries);
        jsonw_kint(&w, "timeout_ms", in->timeout_ms);
    }
    jsonw_object_end(&w);
    struct str text = str_dup(a, buf_str(&out));
    buf_free(&out);
    return text;
}

static struct str or_empty(struct str s)
{
    return s.ptr ? s : STR_LIT("");
}

enum assay_code embedder_spec_parse(struct arena *a, const json_t *json, const char *pointer, struct embedder_spec *out,
                                    struct str *canonical, struct err *err)
{
    static const struct json_field *const tables[] = {builtin_fields, client_fields, openai_fields, static_fields};
    struct spec_in in = {.dim = BUILTIN_DIM_DEFAULT, .batch_size = 32, .timeout_ms = 30000, .retries = 3};
    if (!json_is_object(json))
        return err_add_field(err, pointer, "It must be an object.");
    const char *kind = json_string_value(json_object_get(json, "kind"));
    for (int i = 0; kind && kind_names[i]; i++)
        if (strcmp(kind, kind_names[i]) == 0)
            in.kind = i; /* a missing or unknown kind is reported by the first table */
    if (in.kind == EMBEDDER_STATIC)
        in.dim = 0; /* the model's */
    TRY(json_read(a, json, pointer, tables[in.kind], &in, err));
    struct digest digest = {{0}};
    if (in.kind == EMBEDDER_STATIC)
        TRY(check_static(a, pointer, &in, &digest, err));
    if (in.kind == EMBEDDER_OPENAI)
        TRY(endpoint_spec_check(a, pointer, &in.base_url, in.key_name, err));
    in.query_prefix = or_empty(in.query_prefix);
    in.document_prefix = or_empty(in.document_prefix);
    *out = (struct embedder_spec){
        .kind = (enum embedder_kind)in.kind,
        .dim = (int)in.dim,
        .base_url = in.base_url,
        .model = in.model,
        .key_name = in.key_name,
        .query_prefix = in.query_prefix,
        .document_prefix = in.document_prefix,
        .batch_size = (int)in.batch_size,
        .timeout_ms = (int)in.timeout_ms,
        .retries = (int)in.retries,
        .has_digest = in.digest.len > 0,
        .digest = digest,
    };
    *canonical = write_canonical(a, &in);
    return ASSAY_OK;
}

/* What is wrong with a model is said of the member that names it. */
static enum assay_code model_problem(struct arena *a, const char *pointer, const char *name, const char *slug,
                                     const char *detail, struct err *err)
{
    const char *copy = arena_strndup(a, detail, strlen(detail)); /* `detail` may be err's own */
    (void)err_set(err, ASSAY_UNPROCESSABLE, slug, "The embedder's model cannot be used: %s.", copy);
    return field_problem(a, err, pointer, name, copy);
}

enum assay_code embedder_spec_resolve(struct arena *a, struct static_models *models, const char *pointer,
                                      struct embedder_spec *spec, struct str *canonical, struct err *err)
{
    char hex[DIGEST_HEX + 1];
    if (spec->kind != EMBEDDER_STATIC)
        return ASSAY_OK;
    enum assay_code code = static_models_get(models, spec->model, &spec->static_model, err);
    if (code == ASSAY_NOT_FOUND || code == ASSAY_INVALID)
        return model_problem(a, pointer, "model", err_slug(err), err->detail, err);
    TRY(code);
    int dim = (int)static_model_dim(spec->static_model);
    const struct digest *digest = static_model_digest(spec->static_model);
    if (spec->has_digest && !digest_eq(&spec->digest, digest))
        return model_problem(a, pointer, "digest", "model-changed", "the model's files have another digest", err);
    if (spec->dim != 0 && spec->dim != dim)
        return model_problem(a, pointer, "dim", "model-changed",
                             arena_printf(a, "the model's vectors have %d numbers", dim), err);
    spec->dim = dim;
    spec->digest = *digest;
    spec->has_digest = true;
    digest_hex(digest, hex);
    const struct spec_in in = {.kind = EMBEDDER_STATIC, .dim = dim, .model = spec->model, .digest = str_of(hex)};
    *canonical = write_canonical(a, &in);
    return ASSAY_OK;
}

static void static_digest(struct str declaration, struct digest *out)
{
    struct digest_ctx *ctx = digest_begin();
    digest_update_field(ctx, STR_LIT("assay static embedder 1"));
    digest_update_field(ctx, declaration);
    digest_end(ctx, out);
}

/* Raise the number when the same static model gives other vectors than before. */
void embedder_spec_id(const struct embedder_spec *spec, struct str canonical, struct digest *out)
{
    if (spec->kind == EMBEDDER_BUILTIN)
        embed_builtin_id(spec->dim, out);
    else if (spec->kind == EMBEDDER_STATIC)
        static_digest(canonical, out);
    else
        digest_sha256(canonical.ptr, canonical.len, out);
}
