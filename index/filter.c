#include "index/filter.h"

#include <string.h>

#include "base/clock.h"
#include "index/attrs.h"
#include "index/filter_tree.h"

static const char *const op_names[OP_COUNT] = {
    [OP_EQ] = "$eq",   [OP_NE] = "$ne", [OP_GT] = "$gt",   [OP_GTE] = "$gte",       [OP_LT] = "$lt",
    [OP_LTE] = "$lte", [OP_IN] = "$in", [OP_NIN] = "$nin", [OP_EXISTS] = "$exists", [OP_NOT] = "$not",
};

/* Built-in keys that lie in the dictionary, and those that are columns. */
static const struct {
    const char *name, *path;
    enum filter_kind kind;
} builtins[] = {
    {"source", NULL, FILTER_SOURCE},          {"document", ATTR_DOCUMENT, FILTER_KEYS},
    {"uri", ATTR_URI, FILTER_KEYS},           {"media_type", ATTR_MEDIA_TYPE, FILTER_KEYS},
    {"language", ATTR_LANGUAGE, FILTER_KEYS}, {"modified_at", NULL, FILTER_MODIFIED},
    {"quality", NULL, FILTER_QUALITY},
};

struct field {
    enum filter_kind kind; /* FILTER_KEYS: `path` in the dictionary */
    struct str path;
    bool builtin;
};

struct parser {
    struct arena *a;
    struct err *err;
    size_t nodes;
};

static enum assay_code parse_clause(struct parser *p, const json_t *json, const char *pointer, int depth,
                                    const struct filter **out);

#define REFUSE(p, pointer, ...) (err_add_field((p)->err, (pointer), __VA_ARGS__), ASSAY_INVALID)

static const char *member_pointer(struct parser *p, const char *pointer, const char *name)
{
    struct buf b = {0};
    for (const char *c = name; *c != '\0'; c++) {
        if (*c == '~' || *c == '/') {
            buf_puts(&b, *c == '~' ? "~0" : "~1");
        } else {
            buf_putc(&b, *c);
        }
    }
    const char *joined = arena_printf(p->a, "%s/%s", pointer, buf_cstr(&b));
    buf_free(&b);
    return joined;
}

static enum assay_code node_new(struct parser *p, const char *pointer, enum filter_kind kind, size_t n,
                                struct filter **out)
{
    if (++p->nodes > FILTER_NODES_MAX) {
        return REFUSE(p, pointer, "the filter has more than %d conditions", FILTER_NODES_MAX);
    }
    struct filter *f = ARENA_NEW(p->a, struct filter);
    f->kind = kind;
    f->n = n;
    switch (kind) {
    case FILTER_AND:
    case FILTER_OR:
    case FILTER_NOT:
        f->kids = ARENA_ARRAY(p->a, const struct filter *, n + 1);
        break;
    case FILTER_KEYS:
    case FILTER_RANGE:
    case FILTER_SOURCE:
        f->keys = ARENA_ARRAY(p->a, struct str, n + 1);
        break;
    case FILTER_QUALITY:
        f->numbers = ARENA_ARRAY(p->a, double, n + 1);
        break;
    case FILTER_MODIFIED:
        f->times = ARENA_ARRAY(p->a, int64_t, n + 1);
        break;
    case FILTER_ALL:
    default:
        break;
    }
    *out = f;
    return ASSAY_OK;
}

static enum assay_code negated(struct parser *p, const char *pointer, const struct filter *f, const struct filter **out)
{
    struct filter *not = NULL;
    TRY(node_new(p, pointer, FILTER_NOT, 1, &not ));
    not ->kids[0] = f;
    *out = not ;
    return ASSAY_OK;
}

static struct str keep(struct parser *p, struct buf *b)
{
    struct str s = str_dup(p->a, buf_str(b));
    buf_free(b);
    return s;
}

static struct field field_of(struct parser *p, const char *name)
{
    for (size_t i = 0; i < sizeof(builtins) / sizeof(builtins[0]); i++) {
        if (strcmp(name, builtins[i].name) == 0) {
            return (struct field){builtins[i].kind, str_of(builtins[i].path), true};
        }
    }
    return (struct field){FILTER_KEYS, str_dup(p->a, str_of(name)), false};
}

/* ---- operands ---- */

static struct str json_str(const json_t *v)
{
    return (struct str){json_string_value(v), json_string_length(v)};
}

/* Stores operand number i; `ordered`: it is to be compared by order, so neither a boolean nor null will do. */
static enum assay_code operand(struct parser *p, const struct field *field, const json_t *v, const char *pointer,
                               bool ordered, struct filter *f, size_t i)
{
    if (field->kind == FILTER_QUALITY) {
        if (!json_is_number(v)) {
            return REFUSE(p, pointer, "must be a number");
        }
        f->numbers[i] = json_number_value(v);
        return ASSAY_OK;
    }
    if (field->kind == FILTER_MODIFIED) {
        if (!json_is_string(v) || !clock_parse(json_str(v), &f->times[i])) {
            return REFUSE(p, pointer, "must be an RFC 3339 time");
        }
        return ASSAY_OK;
    }
    if (field->builtin && !json_is_string(v)) {
        return REFUSE(p, pointer, "must be a string");
    }
    if (field->kind == FILTER_SOURCE) {
        f->keys[i] = str_dup(p->a, json_str(v));
        return ASSAY_OK;
    }
    struct buf key = {0};
    if (json_is_string(v)) {
        attr_key_string(&key, field->path, json_str(v));
    } else if (json_is_number(v)) {
        attr_key_number(&key, field->path, json_number_value(v));
    } else if (json_is_boolean(v) && !ordered) {
        attr_key_bool(&key, field->path, json_is_true(v));
    } else if (json_is_null(v) && !ordered) {
        attr_key_prefix(&key, field->path, ATTR_NULL);
    } else {
        return REFUSE(p, pointer,
                      ordered ? "must be a number or a string" : "must be a string, number, boolean or null");
    }
    f->keys[i] = keep(p, &key);
    return ASSAY_OK;
}

/* The keys from path, NUL, `first` up to but not path, NUL, `last`: whole types of values. */
static struct str type_bound(struct parser *p, struct str path, int type)
{
    struct buf key = {0};
    attr_key_prefix(&key, path, (enum attr_type)type);
    return keep(p, &key);
}

static enum assay_code parse_exists(struct parser *p, const struct field *field, const json_t *v, const char *pointer,
                                    const struct filter **out)
{
    struct filter *f = NULL;
    if (!json_is_boolean(v)) {
        return REFUSE(p, pointer, "must be true or false");
    }
    if (field->kind == FILTER_KEYS) {
        TRY(node_new(p, pointer, FILTER_RANGE, 2, &f));
        f->keys[0] = type_bound(p, field->path, 0);
        f->keys[1] = type_bound(p, field->path, 0xff);
    } else {
        TRY(node_new(p, pointer, FILTER_ALL, 0, &f));
    }
    *out = f;
    return json_is_true(v) ? ASSAY_OK : negated(p, pointer, f, out);
}

/* null matches what is absent as well as what is null. */
static enum assay_code or_absent(struct parser *p, const struct field *field, const char *pointer,
                                 const struct filter **inout)
{
    struct filter *either = NULL;
    TRY(node_new(p, pointer, FILTER_OR, 2, &either));
    either->kids[0] = *inout;
    TRY(parse_exists(p, field, json_false(), pointer, &either->kids[1]));
    *inout = either;
    return ASSAY_OK;
}

static enum assay_code parse_equal(struct parser *p, const struct field *field, const json_t *const *values, size_t n,
                                   const char *pointer, bool list, const struct filter **out)
{
    struct filter *f = NULL;
    bool null = false;
    TRY(node_new(p, pointer, field->kind, n, &f));
    f->op = OP_EQ;
    for (size_t i = 0; i < n; i++) {
        const char *at = list ? arena_printf(p->a, "%s/%zu", pointer, i) : pointer;
        TRY(operand(p, field, values[i], at, false, f, i));
        null = null || json_is_null(values[i]);
    }
    *out = f;
    return null ? or_absent(p, field, pointer, out) : ASSAY_OK;
}

static enum assay_code parse_list(struct parser *p, const struct field *field, const json_t *v, const char *pointer,
                                  const struct filter **out)
{
    if (!json_is_array(v) || json_array_size(v) == 0 || json_array_size(v) > FILTER_IN_MAX) {
        return REFUSE(p, pointer, "must be an array of 1 to %d values", FILTER_IN_MAX);
    }
    size_t n = json_array_size(v);
    const json_t **values = ARENA_ARRAY(p->a, const json_t *, n);
    for (size_t i = 0; i < n; i++) {
        values[i] = json_array_get(v, i);
    }
    return parse_equal(p, field, values, n, pointer, true, out);
}

static enum assay_code parse_order(struct parser *p, const struct field *field, enum filter_op op, const json_t *v,
                                   const char *pointer, const struct filter **out)
{
    struct filter *f = NULL;
    if (field->kind != FILTER_KEYS) {
        TRY(node_new(p, pointer, field->kind, 1, &f));
        f->op = op;
        *out = f;
        return operand(p, field, v, pointer, true, f, 0);
    }
    TRY(node_new(p, pointer, FILTER_RANGE, 2, &f));
    TRY(operand(p, field, v, pointer, true, f, 0));
    int type = json_is_string(v) ? ATTR_STRING : ATTR_NUMBER;
    struct str bound = f->keys[0];
    if (op == OP_GT || op == OP_LTE) { /* the key that follows the operand's at once */
        bound = (struct str){arena_strndup(p->a, bound.ptr, bound.len), bound.len + 1};
    }
    bool below = op == OP_LT || op == OP_LTE;
    f->keys[0] = below ? type_bound(p, field->path, type) : bound;
    f->keys[1] = below ? bound : type_bound(p, field->path, type + 1);
    *out = f;
    return ASSAY_OK;
}

/* ---- conditions on one field ---- */

static enum assay_code parse_operators(struct parser *p, const struct field *field, const json_t *ops,
                                       const char *pointer, int depth, const struct filter **out);

static enum assay_code parse_operator(struct parser *p, const struct field *field, enum filter_op op, const json_t *v,
                                      const char *pointer, int depth, const struct filter **out)
{
    const struct filter *inner = NULL;
    switch (op) {
    case OP_EQ:
        return parse_equal(p, field, &v, 1, pointer, false, out);
    case OP_NE:
        TRY(parse_equal(p, field, &v, 1, pointer, false, &inner));
        return negated(p, pointer, inner, out);
    case OP_IN:
        return parse_list(p, field, v, pointer, out);
    case OP_NIN:
        TRY(parse_list(p, field, v, pointer, &inner));
        return negated(p, pointer, inner, out);
    case OP_EXISTS:
        return parse_exists(p, field, v, pointer, out);
    case OP_NOT:
        if (!json_is_object(v)) {
            return REFUSE(p, pointer, "must be an object of operators");
        }
        TRY(parse_operators(p, field, v, pointer, depth + 1, &inner));
        return negated(p, pointer, inner, out);
    case OP_GT:
    case OP_GTE:
    case OP_LT:
    case OP_LTE:
    case OP_COUNT:
    default:
        return parse_order(p, field, op, v, pointer, out);
    }
}

static enum assay_code parse_operators(struct parser *p, const struct field *field, const json_t *ops,
                                       const char *pointer, int depth, const struct filter **out)
{
    struct filter *all = NULL;
    const char *name = NULL;
    json_t *v = NULL;
    size_t i = 0;
    if (depth > FILTER_DEPTH_MAX) {
        return REFUSE(p, pointer, "the filter is nested more than %d deep", FILTER_DEPTH_MAX);
    }
    if (json_object_size(ops) == 0) {
        return REFUSE(p, pointer, "must name at least one operator");
    }
    TRY(node_new(p, pointer, FILTER_AND, json_object_size(ops), &all));
    json_t *open = (json_t *)(uintptr_t)ops; /* Jansson's iteration takes no const object though it changes nothing */
    json_object_foreach(open, name, v) {
        const char *at = member_pointer(p, pointer, name);
        enum filter_op op = OP_EQ;
        while (op < OP_COUNT && strcmp(name, op_names[op]) != 0) {
            op++;
        }
        if (op == OP_COUNT) {
            return REFUSE(p, at, "is not an operator: use $eq $ne $gt $gte $lt $lte $in $nin $exists $not");
        }
        TRY(parse_operator(p, field, op, v, at, depth, &all->kids[i++]));
    }
    *out = all;
    return ASSAY_OK;
}

static enum assay_code parse_field(struct parser *p, const char *name, const json_t *v, const char *pointer, int depth,
                                   const struct filter **out)
{
    if (name[0] == '$') {
        return REFUSE(p, pointer, "is not an operator here: use $and $or $not, or the name of a key");
    }
    if ((unsigned char)name[0] < 0x20 || strlen(name) > ATTR_PATH_MAX) {
        return REFUSE(p, pointer, "is not a key: 1 to %d bytes of text", ATTR_PATH_MAX);
    }
    struct field field = field_of(p, name);
    if (json_is_object(v)) {
        return parse_operators(p, &field, v, pointer, depth, out);
    }
    if (json_is_array(v)) {
        return REFUSE(p, pointer, "must not be an array: use $in");
    }
    return parse_equal(p, &field, &v, 1, pointer, false, out);
}

/* ---- clauses ---- */

static enum assay_code parse_clauses(struct parser *p, enum filter_kind kind, const json_t *list, const char *pointer,
                                     int depth, const struct filter **out)
{
    struct filter *f = NULL;
    if (!json_is_array(list) || json_array_size(list) == 0) {
        return REFUSE(p, pointer, "must be an array of at least one condition");
    }
    TRY(node_new(p, pointer, kind, json_array_size(list), &f));
    for (size_t i = 0; i < f->n; i++) {
        const char *at = arena_printf(p->a, "%s/%zu", pointer, i);
        const json_t *clause = json_array_get(list, i);
        if (json_is_object(clause) && json_object_size(clause) == 0) {
            return REFUSE(p, at, "must not be empty");
        }
        TRY(parse_clause(p, clause, at, depth + 1, &f->kids[i]));
    }
    *out = f;
    return ASSAY_OK;
}

static enum assay_code parse_member(struct parser *p, const char *name, const json_t *v, const char *pointer, int depth,
                                    const struct filter **out)
{
    if (strcmp(name, "$and") == 0 || strcmp(name, "$or") == 0) {
        return parse_clauses(p, name[1] == 'a' ? FILTER_AND : FILTER_OR, v, pointer, depth, out);
    }
    if (strcmp(name, "$not") == 0) {
        const struct filter *inner = NULL;
        if (!json_is_object(v) || json_object_size(v) == 0) {
            return REFUSE(p, pointer, "must be an object with a condition");
        }
        TRY(parse_clause(p, v, pointer, depth + 1, &inner));
        return negated(p, pointer, inner, out);
    }
    return parse_field(p, name, v, pointer, depth + 1, out);
}

static enum assay_code parse_clause(struct parser *p, const json_t *json, const char *pointer, int depth,
                                    const struct filter **out)
{
    struct filter *all = NULL;
    const char *name = NULL;
    json_t *v = NULL;
    size_t i = 0;
    if (depth > FILTER_DEPTH_MAX) {
        return REFUSE(p, pointer, "the filter is nested more than %d deep", FILTER_DEPTH_MAX);
    }
    if (!json_is_object(json)) {
        return REFUSE(p, pointer, "must be an object");
    }
    TRY(node_new(p, pointer, FILTER_AND, json_object_size(json), &all));
    json_t *open = (json_t *)(uintptr_t)json; /* as above */
    json_object_foreach(open, name, v) {
        TRY(parse_member(p, name, v, member_pointer(p, pointer, name), depth, &all->kids[i++]));
    }
    *out = all;
    return ASSAY_OK;
}

enum assay_code filter_parse(struct arena *a, const json_t *json, const char *pointer, const struct filter **out,
                             struct err *err)
{
    struct parser p = {.a = a, .err = err};
    return parse_clause(&p, json, pointer, 1, out);
}
