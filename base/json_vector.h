/*
 * The member "vector" of a JSON object, read without a JSON tree: for 384 numbers that is a tenth of the work. Pure.
 */
#ifndef ASSAY_BASE_JSON_VECTOR_H
#define ASSAY_BASE_JSON_VECTOR_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct json_vector {
    float *v; /* arena-owned; NULL: there is none */
    size_t n;
};

/* Looks for a member "vector" of the top object whose value is an array, reads its numbers, and gives in *rest the text
 * with an empty array in its place, which is valid JSON exactly when `body` is. Text without such a member, malformed
 * text included, comes back as it is. Numbers follow RFC 8259; each becomes the float32 nearest to it as double
 * arithmetic has it (off by one unit in the last place at worst, and only beyond 15 digits). ASSAY_INVALID at
 * "/vector/<i>" for what is no number or not finite as float32, and at "/vector" past `max` numbers. */
enum assay_code json_vector_cut(struct arena *a, struct str body, size_t max, struct str *rest, struct json_vector *out,
                                struct err *err) MUST_USE;
/* From a tree: a base64 string of little-endian float32, or an array of numbers. */
enum assay_code json_vector_read(struct arena *a, const json_t *json, size_t max, struct json_vector *out,
                                 struct err *err) MUST_USE;

#endif
