/*
 * OpenLineage events (spec 2-0-2): RunEvent, JobEvent and DatasetEvent, checked as far as the core schema goes. Facets
 * are anybody's and are kept as they are. Pure; what it gives lives in the arena or borrows from the tree.
 */
#ifndef ASSAY_HANDLERS_OPENLINEAGE_H
#define ASSAY_HANDLERS_OPENLINEAGE_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "store/lineage.h"

enum { OPENLINEAGE_NAME_MAX = 1024, OPENLINEAGE_URI_MAX = 2048, OPENLINEAGE_DATASETS_MAX = 1000 };

/* Which kind it is follows from what it has: `run` and `job`, `job` alone, or `dataset` alone. eventTime and producer
 * are required; schemaURL too in the spec, but events of spec 0.x lack it: taken, with schema_url "". ASSAY_INVALID
 * with the pointer of each problem. A dataset event has its dataset as output and no job. */
enum assay_code openlineage_read(struct arena *a, const json_t *json, struct lineage_event *out,
                                 struct err *err) MUST_USE;

#endif
