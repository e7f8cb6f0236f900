#include "handlers/handlers.h"
#include "server/router.h"
#include "store/keys.h"

/*
 * Every operation of the service. The operation is the operationId in openapi/openapi.yaml; tests compare both ways.
 * A literal pattern stands before one with a {name} in the same place.
 */

#define ROUTE(method_, pattern_, operation_, scope_, body_, run_, handler_, ...)                                       \
    {                                                                                                                  \
        .method = (method_), .pattern = (pattern_), .operation = (operation_), .scope = (scope_), .body = (body_),     \
        .run = (run_), .handler = (handler_), __VA_ARGS__                                                              \
    }
#define GET(pattern, operation, scope, handler)                                                                        \
    ROUTE("GET", pattern, operation, scope, BODY_NONE, RUN_WORKER, handler, .idempotent_key = false)
#define POST(pattern, operation, scope, handler)                                                                       \
    ROUTE("POST", pattern, operation, scope, BODY_JSON, RUN_WORKER, handler, .idempotent_key = true)

const struct route routes[] = {
    /* the hot path first */
    ROUTE("POST", "/search", "search", SCOPE_READ, BODY_JSON, RUN_INLINE, handle_search_post, .idempotent_key = false),
    ROUTE("GET", "/search", "searchByQuery", SCOPE_READ, BODY_NONE, RUN_INLINE, handle_search_get,
          .idempotent_key = false),

    /* many searches take a while, so they keep no HTTP thread */
    ROUTE("POST", "/search/batch", "searchBatch", SCOPE_READ, BODY_JSON, RUN_WORKER, handle_search_batch,
          .idempotent_key = false),

    /* open to all: probes, and figures that hold neither names of documents nor secrets */
    ROUTE("GET", "/healthz", "getHealth", 0, BODY_NONE, RUN_INLINE, handle_health_live, .idempotent_key = false),
    ROUTE("GET", "/readyz", "getReadiness", 0, BODY_NONE, RUN_INLINE, handle_health_ready, .idempotent_key = false),
    ROUTE("GET", "/metrics", "getMetrics", 0, BODY_NONE, RUN_INLINE, handle_metrics_get, .idempotent_key = false),
    ROUTE("GET", "/openapi.json", "getContract", 0, BODY_NONE, RUN_INLINE, handle_openapi_get, .idempotent_key = false),

    /* keys */
    GET("/keys", "listKeys", SCOPE_ADMIN, handle_keys_list),
    /* no Idempotency-Key: replaying would mean keeping the secret */
    ROUTE("POST", "/keys", "createKey", SCOPE_ADMIN, BODY_JSON, RUN_WORKER, handle_keys_create,
          .idempotent_key = false),
    ROUTE("DELETE", "/keys/{id}", "deleteKey", SCOPE_ADMIN, BODY_NONE, RUN_WORKER, handle_keys_delete,
          .idempotent_key = false),

    /* collections and pipelines */
    GET("/collections", "listCollections", SCOPE_READ, handle_collections_list),
    POST("/collections", "createCollection", SCOPE_ADMIN, handle_collections_create),
    GET("/collections/{name}", "getCollection", SCOPE_READ, handle_collections_get),
    ROUTE("PATCH", "/collections/{name}", "patchCollection", SCOPE_ADMIN, BODY_JSON, RUN_WORKER,
          handle_collections_patch, .idempotent_key = false),
    POST("/collections/{name}/embedder/revert", "revertEmbedder", SCOPE_ADMIN, handle_collections_revert),
    GET("/collections/{name}/generations", "listGenerations", SCOPE_READ, handle_generations_list),
    POST("/collections/{name}/generations", "createGeneration", SCOPE_ADMIN, handle_generations_create),
    GET("/collections/{name}/generations/{number}", "getGeneration", SCOPE_READ, handle_generations_get),
    ROUTE("DELETE", "/collections/{name}/generations/{number}", "deleteGeneration", SCOPE_ADMIN, BODY_NONE, RUN_WORKER,
          handle_generations_delete, .idempotent_key = false),
    POST("/collections/{name}/generations/{number}/pause", "pauseGeneration", SCOPE_ADMIN, handle_generations_pause),
    POST("/collections/{name}/generations/{number}/resume", "resumeGeneration", SCOPE_ADMIN, handle_generations_resume),
    POST("/collections/{name}/generations/{number}/cancel", "cancelGeneration", SCOPE_ADMIN, handle_generations_cancel),
    POST("/collections/{name}/generations/{number}/cutover", "cutOverGeneration", SCOPE_ADMIN,
         handle_generations_cutover),
    POST("/collections/{name}/generations/{number}/rollback", "rollBackGeneration", SCOPE_ADMIN,
         handle_generations_rollback),
    POST("/index/rebuild", "rebuildIndex", SCOPE_ADMIN, handle_index_rebuild),
    GET("/pipelines", "listPipelines", SCOPE_READ, handle_pipelines_list),
    GET("/pipelines/{id}", "getPipeline", SCOPE_READ, handle_pipelines_get),

    /* sources */
    GET("/sources", "listSources", SCOPE_READ, handle_sources_list),
    POST("/sources", "createSource", SCOPE_WRITE, handle_sources_create),
    GET("/sources/{name}", "getSource", SCOPE_READ, handle_sources_get),
    ROUTE("PATCH", "/sources/{name}", "patchSource", SCOPE_WRITE, BODY_JSON, RUN_WORKER, handle_sources_patch,
          .idempotent_key = false),
    POST("/sources/{name}/block", "blockSource", SCOPE_STEWARD, handle_sources_block),
    POST("/sources/{name}/unblock", "unblockSource", SCOPE_STEWARD, handle_sources_unblock),

    /* documents, versions, chunks */
    GET("/documents", "listDocuments", SCOPE_READ, handle_documents_list),
    ROUTE("POST", "/documents", "putDocuments", SCOPE_WRITE, BODY_JSON, RUN_WORKER, handle_documents_create,
          .idempotent_key = true, .stream_type = "application/x-ndjson", .stream_handler = handle_documents_bulk),
    GET("/documents/{id}", "getDocument", SCOPE_READ, handle_documents_get),
    ROUTE("DELETE", "/documents/{id}", "deleteDocument", SCOPE_WRITE, BODY_NONE, RUN_WORKER, handle_documents_delete,
          .idempotent_key = false),
    GET("/documents/{id}/versions", "listVersions", SCOPE_READ, handle_versions_list),
    GET("/documents/{id}/versions/{version}", "getVersion", SCOPE_READ, handle_versions_get),
    GET("/chunks/{id}", "getChunk", SCOPE_READ, handle_chunks_get),

    /* jobs */
    GET("/jobs/{id}", "getJob", SCOPE_READ, handle_jobs_get),
    GET("/jobs/{id}/events", "streamJobEvents", SCOPE_READ, handle_jobs_events),

    /* lineage; /api/v1/lineage is where OpenLineage clients and Marquez' users look */
    GET("/lineage", "getLineage", SCOPE_READ, handle_lineage_get),
    ROUTE("POST", "/lineage", "postLineage", SCOPE_WRITE, BODY_JSON, RUN_WORKER, handle_lineage_post,
          .idempotent_key = true, .encoded_body = true),
    GET("/lineage/receipts/{receipt}", "getReceipt", SCOPE_READ, handle_receipts_get),
    GET("/api/v1/lineage", "getLineageMarquez", SCOPE_READ, handle_lineage_get),
    ROUTE("POST", "/api/v1/lineage", "postLineageMarquez", SCOPE_WRITE, BODY_JSON, RUN_WORKER,
          handle_lineage_post_marquez, .encoded_body = true),

    /* quarantine */
    GET("/quarantine", "listQuarantine", SCOPE_STEWARD, handle_quarantine_list),
    POST("/quarantine", "addQuarantine", SCOPE_STEWARD, handle_quarantine_add),
    POST("/quarantine/sweep", "sweepQuarantine", SCOPE_STEWARD, handle_quarantine_sweep),
    GET("/quarantine/{id}", "getQuarantineEntry", SCOPE_STEWARD, handle_quarantine_get),
    POST("/quarantine/{id}/release", "releaseQuarantine", SCOPE_STEWARD, handle_quarantine_release),
    POST("/quarantine/{id}/retire", "retireQuarantine", SCOPE_STEWARD, handle_quarantine_retire),

    /* quality */
    GET("/quality", "getQuality", SCOPE_READ, handle_quality_get),
    {.method = NULL},
};
