#include "base/json_read.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { ITEMS_DEFAULT = 1000, POINTER_MAX = sizeof(((struct err_field *)0)->pointer) };

/* Where a value being read stands, for the problem report. */
struct place {
    struct arena *arena;
    struct err *err;
    char *target;
    const struct json_field *field;
    char pointer[POINTER_MAX];
    bool failed;
};

#define PROBLEM(p, ...)                                                                                                \
    do {                                                                                                               \
        (void)err_add_field((p)->err, (p)->pointer, __VA_ARGS__);                                                      \
        (p)->failed = true;                                                                                            \
    } while (0)

/* Appends "/<name>" with the escapes of RFC 6901; too long a pointer is cut at a code point. */
static void pointer_push(char pointer[POINTER_MAX], struct str name)
{
    size_t at = strlen(pointer);
    if (at + 2 > POINTER_MAX)
        return;
    pointer[at++] = '/';
    for (size_t i = 0; i < name.len && at + 3 < POINTER_MAX; i++) {
        if (name.ptr[i] == '~' || name.ptr[i] == '/') {
            pointer[at++] = '~';
            pointer[at++] = name.ptr[i] == '~' ? '0' : '1';
        } else {
            pointer[at++] = name.ptr[i];
        }
    }
    pointer[str_utf8_cut((struct str){pointer, at})] = '\0';
}

static bool check_range(struct place *p, double v)
{
    const struct json_field *f = p->field;
    bool unlimited = f->min == 0 && f->max == 0;
    bool no_top = f->max == 0 && f->min > 0;
    if (unlimited || (v >= f->min && (no_top || v <= f->max)))
        return true;
    if (no_top)
        PROBLEM(p, "must be at least %.15g", f->min);
    else
        PROBLEM(p, "must be between %.15g and %.15g", f->min, f->max);
    return false;
}

static bool check_str(struct place *p, struct str s)
{
    size_t max = p->field->max > 0 ? (size_t)p->field->max : JSON_STR_MAX;
    if (s.len < (size_t)p->field->min && s.len == 0) {
        PROBLEM(p, "must not be empty");
    } else if (s.len < (size_t)p->field->min) {
        PROBLEM(p, "must have at least %zu bytes", (size_t)p->field->min);
    } else if (s.len > max) {
        PROBLEM(p, "must have at most %zu bytes", max);
    } else {
        return true;
    }
    return false;
}

static void *slot(const struct place *p)
{
    return p->target + p->field->offset;
}

static void store_str(struct place *p, struct str s)
{
    if (check_str(p, s))
        *(struct str *)slot(p) = str_dup(p->arena, s);
}

static void store_int(struct place *p, int64_t v)
{
    if (check_range(p, (double)v))
        *(int64_t *)slot(p) = v;
}

static void store_double(struct place *p, double v)
{
    if (check_range(p, v))
        *(double *)slot(p) = v;
}

static void store_time(struct place *p, struct str s)
{
    if (!clock_parse(s, (int64_t *)slot(p)))
        PROBLEM(p, "must be an RFC 3339 time such as 2026-03-01T12:00:00Z");
}

static void store_duration(struct place *p, struct str s)
{
    if (!clock_parse_duration(s, (int64_t *)slot(p)))
        PROBLEM(p, "must be a positive ISO 8601 duration of at most 1000 years such as P90D");
}

static void store_enum(struct place *p, struct str s)
{
    struct buf names = {0};
    for (int i = 0; p->field->names[i]; i++) {
        if (str_eqc(s, p->field->names[i])) {
            *(int *)slot(p) = i;
            buf_free(&names);
            return;
        }
        buf_printf(&names, "%s%s", i ? ", " : "", p->field->names[i]);
    }
    PROBLEM(p, "must be one of: %s", buf_cstr(&names));
    buf_free(&names);
}

static size_t items_max(const struct json_field *f)
{
    return f->max_items ? f->max_items : ITEMS_DEFAULT;
}

static struct str json_str(const json_t *v)
{
    return (struct str){json_string_value(v), json_string_length(v)};
}

static void read_strs(struct place *p, const json_t *v)
{
    size_t n = json_array_size(v);
    if (!json_is_array(v)) {
        PROBLEM(p, "must be an array of strings");
        return;
    }
    if (n > items_max(p->field)) {
        PROBLEM(p, "must have at most %zu items", items_max(p->field));
        return;
    }
    struct str_list list = {ARENA_ARRAY(p->arena, struct str, n), n};
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(v, i);
        struct place at = *p;
        char index[24];
        (void)snprintf(index, sizeof index, "%zu", i);
        pointer_push(at.pointer, str_of(index));
        if (!json_is_string(item))
            PROBLEM(&at, "must be a string");
        else if (check_str(&at, json_str(item)))
            list.items[i] = str_dup(p->arena, json_str(item));
        p->failed |= at.failed;
    }
    *(struct str_list *)slot(p) = list;
}

static void read_int(struct place *p, const json_t *v)
{
    double real = json_is_real(v) ? json_real_value(v) : 0.5;
    if (json_is_integer(v))
        store_int(p, json_integer_value(v));
    else if (real == trunc(real) && fabs(real) <= 9007199254740992.0) /* 2^53: 10.0 and 1e3 are integers too */
        store_int(p, (int64_t)real);
    else
        PROBLEM(p, "must be an integer");
}

static void read_text(struct place *p, const json_t *v)
{
    if (!json_is_string(v)) {
        PROBLEM(p, "must be a string");
        return;
    }
    struct str s = json_str(v);
    if (p->field->type == JSON_FIELD_STR)
        store_str(p, s);
    else if (p->field->type == JSON_FIELD_TIME)
        store_time(p, s);
    else if (p->field->type == JSON_FIELD_DURATION)
        store_duration(p, s);
    else
        store_enum(p, s);
}

/* The target borrows v, which is only lent to us as const for symmetry with the rest. */
static void store_tree(struct place *p, json_t *v)
{
    if (p->field->type == JSON_FIELD_OBJECT && !json_is_object(v))
        PROBLEM(p, "must be an object");
    else if (p->field->type == JSON_FIELD_ARRAY && !json_is_array(v))
        PROBLEM(p, "must be an array");
    else if (p->field->type == JSON_FIELD_ARRAY && json_array_size(v) > items_max(p->field))
        PROBLEM(p, "must have at most %zu items", items_max(p->field));
    else
        *(json_t **)slot(p) = v;
}

static void read_value(struct place *p, json_t *v)
{
    switch (p->field->type) {
    case JSON_FIELD_STR:
    case JSON_FIELD_TIME:
    case JSON_FIELD_DURATION:
    case JSON_FIELD_ENUM:
        read_text(p, v);
        break;
    case JSON_FIELD_INT:
        read_int(p, v);
        break;
    case JSON_FIELD_DOUBLE:
        if (json_is_number(v))
            store_double(p, json_number_value(v));
        else
            PROBLEM(p, "must be a number");
        break;
    case JSON_FIELD_BOOL:
        if (json_is_boolean(v))
            *(bool *)slot(p) = json_is_true(v);
        else
            PROBLEM(p, "must be true or false");
        break;
    case JSON_FIELD_STRS:
        read_strs(p, v);
        break;
    case JSON_FIELD_OBJECT:
    case JSON_FIELD_ARRAY:
    case JSON_FIELD_ANY:
        store_tree(p, v);
        break;
    }
}

static const struct json_field *find_field(const struct json_field *fields, struct str name)
{
    for (const struct json_field *f = fields; f->name; f++) {
        if (str_eqc(name, f->name))
            return f;
    }
    return NULL;
}

static void mark_present(const struct place *p)
{
    if (p->field->present_offset)
        *(bool *)(p->target + p->field->present_offset) = true;
}

/* Reports the members that no field names; true when there was one. */
static bool report_unknown(const struct place *base, const json_t *obj, const struct json_field *fields)
{
    bool found = false;
    const char *name;
    json_t *v;
    /* The iterator asks for a mutable object but does not change it. */
    json_t *members = (json_t *)(uintptr_t)obj;
    json_object_foreach(members, name, v) {
        if (find_field(fields, str_of(name)))
            continue;
        struct place p = *base;
        pointer_push(p.pointer, str_of(name));
        PROBLEM(&p, "is not a known member");
        found = true;
    }
    return found;
}

enum assay_code json_read(struct arena *a, const json_t *obj, const char *prefix, const struct json_field *fields,
                          void *target, struct err *err)
{
    struct place base = {.arena = a, .err = err, .target = target};
    (void)snprintf(base.pointer, sizeof base.pointer, "%s", prefix);
    if (!json_is_object(obj)) {
        PROBLEM(&base, "must be an object");
        return ASSAY_INVALID;
    }
    bool failed = false;
    size_t known = 0;
    for (const struct json_field *f = fields; f->name; f++) {
        json_t *v = json_object_get(obj, f->name);
        known += v != NULL;
        struct place p = base;
        p.field = f;
        pointer_push(p.pointer, str_of(f->name));
        if (v && !(f->nullable && json_is_null(v))) {
            read_value(&p, v);
            mark_present(&p);
        } else if (f->required) {
            PROBLEM(&p, "is required");
        }
        failed |= p.failed;
    }
    if (known < json_object_size(obj))
        failed |= report_unknown(&base, obj, fields);
    return failed ? ASSAY_INVALID : ASSAY_OK;
}

/* Decimal only: strtod would take hexadecimal, "inf" and "nan" too. */
static bool parse_double(struct arena *a, struct str s, double *out)
{
    static const char allowed[] = "0123456789+-.eE";
    for (size_t i = 0; i < s.len; i++) {
        if (!memchr(allowed, s.ptr[i], sizeof allowed - 1))
            return false;
    }
    char *end;
    char *text = str_cstr(a, s);
    *out = strtod(text, &end);
    return s.len > 0 && *end == '\0' && isfinite(*out);
}

/* Appends the comma-separated parts of one value to what earlier values of the same name gave. */
static void param_strs(struct place *p, struct str value)
{
    struct str_list *list = slot(p);
    size_t parts = 1;
    for (size_t i = 0; i < value.len; i++)
        parts += value.ptr[i] == ',';
    if (list->n + parts > items_max(p->field)) {
        PROBLEM(p, "must have at most %zu items", items_max(p->field));
        return;
    }
    struct str *items = ARENA_ARRAY(p->arena, struct str, list->n + parts);
    if (list->n)
        memcpy(items, list->items, list->n * sizeof *items);
    size_t n = list->n, from = 0;
    for (size_t i = 0; i <= value.len && value.len > 0; i++) {
        if (i < value.len && value.ptr[i] != ',')
            continue;
        struct str part = {value.ptr + from, i - from};
        from = i + 1;
        if (check_str(p, part))
            items[n++] = str_dup(p->arena, part);
    }
    *list = (struct str_list){items, n};
}

static void param_tree(struct place *p, struct str value)
{
    json_t *v;
    struct err why = {0};
    if (json_parse(p->arena, value, &v, &why) == ASSAY_OK)
        store_tree(p, v);
    else
        PROBLEM(p, "%s", why.detail);
    err_clear(&why);
}

static void param_value(struct place *p, struct str value)
{
    int64_t i64;
    double real;
    switch (p->field->type) {
    case JSON_FIELD_STR:
        store_str(p, value);
        break;
    case JSON_FIELD_TIME:
        store_time(p, value);
        break;
    case JSON_FIELD_DURATION:
        store_duration(p, value);
        break;
    case JSON_FIELD_ENUM:
        store_enum(p, value);
        break;
    case JSON_FIELD_INT:
        if (str_to_i64(value, &i64))
            store_int(p, i64);
        else
            PROBLEM(p, "must be an integer");
        break;
    case JSON_FIELD_DOUBLE:
        if (parse_double(p->arena, value, &real))
            store_double(p, real);
        else
            PROBLEM(p, "must be a number");
        break;
    case JSON_FIELD_BOOL:
        if (str_eqc(value, "true") || str_eqc(value, "1"))
            *(bool *)slot(p) = true;
        else if (str_eqc(value, "false") || str_eqc(value, "0"))
            *(bool *)slot(p) = false;
        else
            PROBLEM(p, "must be true or false");
        break;
    case JSON_FIELD_STRS:
        param_strs(p, value);
        break;
    case JSON_FIELD_OBJECT:
    case JSON_FIELD_ARRAY:
    case JSON_FIELD_ANY:
        param_tree(p, value);
        break;
    }
}

static bool given_before(const struct json_param *params, size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (str_eq(params[j].name, params[i].name))
            return true;
    }
    return false;
}

enum assay_code json_read_params(struct arena *a, const struct json_param *params, size_t n,
                                 const struct json_field *fields, void *target, struct err *err)
{
    bool failed = false;
    for (size_t i = 0; i < n; i++) {
        struct place p = {.arena = a, .err = err, .target = target, .field = find_field(fields, params[i].name)};
        struct str name = params[i].name;
        size_t keep = name.len < POINTER_MAX - 2 ? name.len : POINTER_MAX - 2;
        (void)snprintf(p.pointer, sizeof p.pointer, "?%.*s",
                       (int)(str_utf8_valid(name) ? str_utf8_cut((struct str){name.ptr, keep}) : 0),
                       name.ptr ? name.ptr : "");
        bool repeated = given_before(params, i);
        if (!p.field) {
            PROBLEM(&p, "is not a known parameter");
        } else if (!str_utf8_valid(params[i].value)) {
            PROBLEM(&p, "must be UTF-8");
        } else if (repeated && p.field->type != JSON_FIELD_STRS) {
            PROBLEM(&p, "must be given once");
        } else {
            if (p.field->type == JSON_FIELD_STRS && !repeated)
                *(struct str_list *)slot(&p) = (struct str_list){0}; /* what was there is a default */
            param_value(&p, params[i].value);
            mark_present(&p);
        }
        failed |= p.failed;
    }
    for (const struct json_field *f = fields; f->name; f++) {
        bool given = false;
        for (size_t i = 0; i < n && f->required && !given; i++)
            given = str_eqc(params[i].name, f->name);
        if (f->required && !given) {
            struct place p = {.err = err};
            (void)snprintf(p.pointer, sizeof p.pointer, "?%s", f->name);
            PROBLEM(&p, "is required");
            failed = true;
        }
    }
    return failed ? ASSAY_INVALID : ASSAY_OK;
}
