/*
 * Declarative reading of JSON objects (and query parameters) into C structs.
 *
 * A `static const struct json_field[]` names each member, its type, range and target offset. json_read walks the
 * object once, reports every problem with its JSON Pointer (up to ERR_FIELDS_MAX), refuses unknown members, NUL in
 * strings, and numbers out of range. Everything it stores is arena-owned; json_t targets are borrowed from the parsed
 * tree, which json_parse ties to the arena. Tables are const and thread-safe.
 */
#ifndef ASSAY_BASE_JSON_READ_H
#define ASSAY_BASE_JSON_READ_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum {
    JSON_DEPTH_MAX = 64,
    JSON_VALUES_MAX = 500000 /* values and member names in one text: bounds the tree at some tens of megabytes */
};

enum json_type {
    JSON_FIELD_STR,      /* struct str; min/max are bytes */
    JSON_FIELD_INT,      /* int64_t; min/max */
    JSON_FIELD_DOUBLE,   /* double; min/max as doubles; integers accepted */
    JSON_FIELD_BOOL,     /* bool */
    JSON_FIELD_TIME,     /* int64_t microseconds, RFC 3339 text */
    JSON_FIELD_DURATION, /* int64_t microseconds, ISO 8601 text */
    JSON_FIELD_ENUM,     /* int: index into `names` */
    JSON_FIELD_STRS,     /* struct str_list; min/max are bytes of each, max_items */
    JSON_FIELD_OBJECT,   /* json_t *, borrowed, any object */
    JSON_FIELD_ARRAY,    /* json_t *, borrowed, any array, at most max_items */
    JSON_FIELD_ANY       /* json_t *, borrowed */
};

struct str_list {
    struct str *items;
    size_t n;
};

struct json_field {
    const char *name;
    enum json_type type;
    size_t offset;         /* of the target */
    size_t present_offset; /* of a bool set when the member was there; 0: none (never place one at offset 0) */
    bool required;
    bool nullable;            /* null is as if absent */
    double min, max;          /* both 0: no limit on numbers, JSON_STR_MAX bytes on strings; max 0: no upper limit */
    size_t max_items;         /* 0: 1000 */
    const char *const *names; /* NULL-terminated, for ENUM */
};
enum { JSON_STR_MAX = 65536 };

/* clang-format off */
#define JSON_FIELD(st, member, kind, ...) {.name = #member, .type = (kind), .offset = offsetof(st, member), __VA_ARGS__}
#define JSON_FIELDS_END {.name = NULL}
/* clang-format on */

/* Parses UTF-8 text strictly: one value, no duplicate members, at most JSON_DEPTH_MAX deep and JSON_VALUES_MAX large
 * (both checked before the tree is built), no NUL, no number out of range. The tree is freed with the arena.
 * ASSAY_INVALID with line and column otherwise; the message never repeats the text. */
enum assay_code json_parse(struct arena *a, struct str text, json_t **out, struct err *err) MUST_USE;
/* The same with another limit on values, for files of the operator's own (a vocabulary), never for what a client sends.
 */
enum assay_code json_parse_large(struct arena *a, struct str text, size_t values_max, json_t **out,
                                 struct err *err) MUST_USE;

/* Reads `obj` into `target` (which the caller has set to the defaults). prefix is the pointer of obj itself ("" at
 * top). ASSAY_INVALID with every problem in err->fields; the target is then half filled and not to be used. */
enum assay_code json_read(struct arena *a, const json_t *obj, const char *prefix, const struct json_field *fields,
                          void *target, struct err *err) MUST_USE;

/* The same table over decoded name/value pairs of a query string: numbers, booleans, times parsed from text;
 * STRS from repeated or comma-separated values, OBJECT, ARRAY and ANY from JSON text. Unknown names, and scalars given
 * twice, are refused ("?name"). */
struct json_param {
    struct str name, value;
};
enum assay_code json_read_params(struct arena *a, const struct json_param *params, size_t n,
                                 const struct json_field *fields, void *target, struct err *err) MUST_USE;

/* Canonical JSON (RFC 8785 spirit: members sorted by code point, no white space, integers plain, doubles shortest). */
void json_canonical(const json_t *v, struct buf *out);

#endif
