/*
 * What a collection's index is built with: {"m":32,"ef_construction":100,"ef_search":128,"precision":"float32"}; what
 * is not named is the index' own default.
 */
#ifndef ASSAY_SERVER_INDEX_SPEC_H
#define ASSAY_SERVER_INDEX_SPEC_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "index/vindex.h"

/* `canonical` receives canonical JSON, "{}" for json NULL. ASSAY_INVALID with the pointer. */
enum assay_code index_spec_parse(struct arena *a, const json_t *json, const char *pointer, struct vindex_params *out,
                                 struct str *canonical, struct err *err) MUST_USE;

#endif
