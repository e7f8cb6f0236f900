/*
 * How a search orders what it found, as JSON: the member `fusion` of a policy and of a request.
 */
#ifndef ASSAY_SERVER_RANKING_H
#define ASSAY_SERVER_RANKING_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "index/vindex.h"

extern const char *const ranking_method_names[]; /* by enum fuse_method, NULL-terminated */

/* Reads
 * {"method":"rrf"|"weighted"|"adaptive","k":1..10000,"weights":{"vector":0..1000,"lexical":0..1000},"quality_weight":0..1,
 * "freshness_half_life":"P30D"|null} over what *out holds: a member that is not there changes nothing. Both weights 0
 * are refused, and k with a method that has none. ASSAY_INVALID with the pointers. Pure. */
enum assay_code ranking_parse(struct arena *a, const json_t *json, const char *pointer, struct vindex_ranking *out,
                              struct err *err) MUST_USE;

#endif
