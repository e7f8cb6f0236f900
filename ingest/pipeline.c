#include "ingest/pipeline.h"

#include <string.h>

#include "base/json_read.h"
#include "base/json_write.h"

enum op { OP_EXTRACT, OP_NORMALISE, OP_CHUNK, OP_CHECKS, OP_EMBED };
enum check { CHECK_NOT_EMPTY, CHECK_UTF8, CHECK_LENGTH, CHECK_LANGUAGE, CHECK_SYMBOLS, CHECK_DUPLICATE };

static const char *const op_names[] = {"extract", "normalise", "chunk", "checks", "embed", NULL};
static const char *const check_names[] = {"not_empty", "utf8", "length", "language", "symbols", "duplicate", NULL};
static const char *const form_names[] = {"NFC", NULL};

/* One operator, with room for the parameters of any. */
struct op_in {
    int op, form;
    struct chunk_params chunk;
    json_t *checks;
};

struct check_in {
    int check;
    int64_t min_tokens, max_tokens;
    double min_alpha_ratio;
};

#define OP_FIELD JSON_FIELD(struct op_in, op, JSON_FIELD_ENUM, .names = op_names, .required = true)
#define CHUNK_FIELD(member, lo, hi)                                                                                    \
    {                                                                                                                  \
        .name = #member, .type = JSON_FIELD_INT, .offset = offsetof(struct op_in, chunk.member), .min = (lo),          \
        .max = (hi)                                                                                                    \
    }
#define CHECK_FIELD JSON_FIELD(struct check_in, check, JSON_FIELD_ENUM, .names = check_names, .required = true)

static const struct json_field plain_fields[] = {OP_FIELD, JSON_FIELDS_END};
static const struct json_field normalise_fields[] = {
    OP_FIELD, JSON_FIELD(struct op_in, form, JSON_FIELD_ENUM, .names = form_names), JSON_FIELDS_END};
static const struct json_field chunk_fields[] = {OP_FIELD,
                                                 CHUNK_FIELD(target_tokens, 16, 4000),
                                                 CHUNK_FIELD(max_tokens, 16, 8000),
                                                 CHUNK_FIELD(overlap_tokens, 0, 2000),
                                                 CHUNK_FIELD(split_level, 1, 6),
                                                 JSON_FIELDS_END};
static const struct json_field checks_fields[] = {
    OP_FIELD, JSON_FIELD(struct op_in, checks, JSON_FIELD_ARRAY, .max_items = 16), JSON_FIELDS_END};
static const struct json_field *const op_fields[] = {plain_fields, normalise_fields, chunk_fields, checks_fields,
                                                     plain_fields};

static const struct json_field check_plain_fields[] = {CHECK_FIELD, JSON_FIELDS_END};
static const struct json_field check_length_fields[] = {
    CHECK_FIELD, JSON_FIELD(struct check_in, min_tokens, JSON_FIELD_INT, .min = 0, .max = 100000),
    JSON_FIELD(struct check_in, max_tokens, JSON_FIELD_INT, .min = 1, .max = 100000), JSON_FIELDS_END};
static const struct json_field check_symbols_fields[] = {
    CHECK_FIELD, JSON_FIELD(struct check_in, min_alpha_ratio, JSON_FIELD_DOUBLE, .min = 0, .max = 1), JSON_FIELDS_END};

static const struct json_field top_fields[] = {
    {.name = "operators", .type = JSON_FIELD_ARRAY, .required = true, .max_items = 5}, JSON_FIELDS_END};

static void set_defaults(struct pipeline *p)
{
    p->chunk = (struct chunk_params){.target_tokens = 220, .max_tokens = 400, .overlap_tokens = 30, .split_level = 6};
    p->checks = (struct check_params){.not_empty = true,
                                      .utf8 = true,
                                      .length = true,
                                      .language_known = true,
                                      .symbols = true,
                                      .duplicate = true,
                                      .min_tokens = 3,
                                      .max_tokens = 2000,
                                      .min_alpha_ratio = 0.25};
}

static void write_check(struct jsonw *w, bool on, enum check check, const struct check_params *p)
{
    if (!on)
        return;
    jsonw_object(w);
    jsonw_kcstr(w, "check", check_names[check]);
    if (check == CHECK_LENGTH) {
        jsonw_kint(w, "max_tokens", p->max_tokens);
        jsonw_kint(w, "min_tokens", p->min_tokens);
    }
    if (check == CHECK_SYMBOLS)
        jsonw_kdouble(w, "min_alpha_ratio", p->min_alpha_ratio);
    jsonw_object_end(w);
}

static void write_checks(struct jsonw *w, const struct check_params *p)
{
    jsonw_key(w, "checks");
    jsonw_array(w);
    write_check(w, p->not_empty, CHECK_NOT_EMPTY, p);
    write_check(w, p->utf8, CHECK_UTF8, p);
    write_check(w, p->length, CHECK_LENGTH, p);
    write_check(w, p->language_known, CHECK_LANGUAGE, p);
    write_check(w, p->symbols, CHECK_SYMBOLS, p);
    write_check(w, p->duplicate, CHECK_DUPLICATE, p);
    jsonw_array_end(w);
}

/* Canonical JSON (members sorted) of what the pipeline does, all defaults spelled out: what says the same has the same
 * id, and a changed default changes the id. */
static void seal(struct arena *a, struct pipeline *p)
{
    struct buf out = {0};
    struct jsonw w;
    jsonw_init(&w, &out);
    jsonw_object(&w);
    jsonw_key(&w, "operators");
    jsonw_array(&w);
    for (int op = OP_EXTRACT; op <= OP_EMBED; op++) {
        jsonw_object(&w);
        if (op == OP_NORMALISE)
            jsonw_kcstr(&w, "form", form_names[0]);
        if (op == OP_CHECKS)
            write_checks(&w, &p->checks);
        if (op == OP_CHUNK)
            jsonw_kint(&w, "max_tokens", p->chunk.max_tokens);
        jsonw_kcstr(&w, "op", op_names[op]);
        if (op == OP_CHUNK) {
            jsonw_kint(&w, "overlap_tokens", p->chunk.overlap_tokens);
            jsonw_kint(&w, "split_level", p->chunk.split_level);
            jsonw_kint(&w, "target_tokens", p->chunk.target_tokens);
        }
        jsonw_object_end(&w);
    }
    jsonw_array_end(&w);
    jsonw_object_end(&w);
    p->json = str_dup(a, buf_str(&out));
    buf_free(&out);
    digest_sha256(p->json.ptr, p->json.len, &p->id);
}

void pipeline_default(struct arena *a, struct pipeline *out)
{
    set_defaults(out);
    seal(a, out);
}

/* Which of `names` the member is; the end of the list when it is none (the field table then reports the problem). */
static int name_index(const json_t *obj, const char *member, const char *const *names)
{
    const char *s = json_string_value(json_object_get(obj, member));
    int i = 0;
    while (names[i] && (!s || strcmp(names[i], s) != 0))
        i++;
    return i;
}

static enum assay_code read_check(struct arena *a, const json_t *json, const char *at, struct check_params *p,
                                  struct err *err)
{
    struct check_in in = {
        .min_tokens = p->min_tokens, .max_tokens = p->max_tokens, .min_alpha_ratio = p->min_alpha_ratio};
    int which = name_index(json, "check", check_names);
    const struct json_field *fields = which == CHECK_LENGTH    ? check_length_fields
                                      : which == CHECK_SYMBOLS ? check_symbols_fields
                                                               : check_plain_fields;
    TRY(json_read(a, json, at, fields, &in, err));
    bool *const flags[] = {&p->not_empty, &p->utf8, &p->length, &p->language_known, &p->symbols, &p->duplicate};
    if (*flags[in.check])
        return err_add_field(err, at, "the check stands here twice");
    *flags[in.check] = true;
    if (in.min_tokens > in.max_tokens)
        return err_add_field(err, at, "min_tokens must not be more than max_tokens");
    p->min_tokens = in.min_tokens;
    p->max_tokens = in.max_tokens;
    p->min_alpha_ratio = in.min_alpha_ratio;
    return ASSAY_OK;
}

static enum assay_code read_checks(struct arena *a, const json_t *list, const char *at, struct check_params *p,
                                   struct err *err)
{
    p->not_empty = p->utf8 = p->length = p->language_known = p->symbols = p->duplicate = false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *pointer = arena_printf(a, "%s/checks/%zu", at, i);
        const json_t *check = json_array_get(list, i);
        if (!json_is_object(check))
            return err_add_field(err, pointer, "must be an object");
        TRY(read_check(a, check, pointer, p, err));
    }
    return ASSAY_OK;
}

static enum assay_code check_chunk_params(const struct chunk_params *c, const char *at, struct err *err)
{
    if (c->max_tokens < c->target_tokens)
        return err_add_field(err, at, "max_tokens must be at least target_tokens");
    if (c->overlap_tokens * 2 > c->target_tokens)
        return err_add_field(err, at, "overlap_tokens must be at most a half of target_tokens");
    return ASSAY_OK;
}

/* Reads one operator; *last is the one before it. */
static enum assay_code read_op(struct arena *a, const json_t *json, const char *at, int *last, struct pipeline *out,
                               struct err *err)
{
    if (!json_is_object(json))
        return err_add_field(err, at, "must be an object");
    struct op_in in = {.chunk = out->chunk};
    int op = name_index(json, "op", op_names);
    TRY(json_read(a, json, at, op <= OP_EMBED ? op_fields[op] : plain_fields, &in, err));
    if (in.op <= *last)
        return err_add_field(err, at, "operators stand in the order extract, normalise, chunk, checks, embed");
    *last = in.op;
    if (in.op == OP_CHUNK) {
        out->chunk = in.chunk;
        return check_chunk_params(&in.chunk, at, err);
    }
    return in.op == OP_CHECKS && in.checks ? read_checks(a, in.checks, at, &out->checks, err) : ASSAY_OK;
}

enum assay_code pipeline_parse(struct arena *a, const json_t *json, const char *pointer, struct pipeline *out,
                               struct err *err)
{
    json_t *operators = NULL;
    int last = -1;
    set_defaults(out);
    if (!json_is_object(json))
        return err_add_field(err, pointer, "must be an object");
    TRY(json_read(a, json, pointer, top_fields, &operators, err));
    for (size_t i = 0; i < json_array_size(operators); i++) {
        const char *at = arena_printf(a, "%s/operators/%zu", pointer, i);
        TRY(read_op(a, json_array_get(operators, i), at, &last, out, err));
    }
    seal(a, out);
    return ASSAY_OK;
}
