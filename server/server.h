/*
 * The process' one object: built in main, read-only once serving, except members that have their own lock.
 */
#ifndef ASSAY_SERVER_SERVER_H
#define ASSAY_SERVER_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "outbound/http.h"
#include "server/auth.h"
#include "server/catalog.h"
#include "server/config.h"
#include "server/follower.h"
#include "server/handover.h"
#include "server/intake.h"
#include "server/jobs.h"
#include "server/metrics.h"
#include "server/query_embed.h"
#include "server/receipts.h"
#include "server/workers.h"
#include "store/store.h"

struct server {
    const struct config *config;
    struct store *store;
    struct vindex *vindex;
    struct auth *auth;
    struct catalog *catalog;   /* collections in memory */
    struct handover *handover; /* ingest -> follower */
    struct follower *follower; /* change log -> index; clock; sweeper */
    struct outbound *outbound; /* calls to endpoints */
    struct intake *intake;
    struct query_embedder *query_embedder;
    struct receipts *receipts;
    struct jobs *jobs;
    struct metrics *metrics;
    struct workers *workers;
    struct str openapi_json; /* openapi.yaml as JSON, read at start */
    int64_t started_us;
    atomic_bool draining; /* SIGTERM came: new requests get 503 */
};

#endif
