/*
 * Metadata filters, Mongo-style: {"lang":"en","year":{"$gte":2020},"$or":[...]} with $eq $ne $gt $gte $lt $lte $in $nin
 * $exists $and $or $not. Built-in keys: source, document, uri, media_type, language, modified_at, quality; any other
 * key is metadata (dots descend into objects; an array matches when any element does).
 *
 * Parsing is strict: unknown operators, empty lists of clauses, and operands of the wrong type are ASSAY_INVALID with
 * the JSON Pointer. Depth at most FILTER_DEPTH_MAX, nodes at most FILTER_NODES_MAX.
 */
#ifndef ASSAY_INDEX_FILTER_H
#define ASSAY_INDEX_FILTER_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"

enum { FILTER_DEPTH_MAX = 16, FILTER_NODES_MAX = 256, FILTER_IN_MAX = 1024 };
struct filter; /* immutable; lives in the arena it was parsed into */
enum assay_code filter_parse(struct arena *a, const json_t *json, const char *pointer, const struct filter **out,
                             struct err *err) MUST_USE;

#endif
