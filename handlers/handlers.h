/*
 * One function per operation, one file per resource: parse -> call the domain -> reply. Named handle_<resource>_<verb>.
 * No SQL, no FAISS, no HTTP library here.
 */
#ifndef ASSAY_HANDLERS_HANDLERS_H
#define ASSAY_HANDLERS_HANDLERS_H

#include "server/reply.h"
#include "server/request.h"

#define HANDLER(name) enum assay_code name(struct request *req, struct reply *reply, struct err *err)

/* health.c */
HANDLER(handle_health_live);  /* GET /healthz */
HANDLER(handle_health_ready); /* GET /readyz */
HANDLER(handle_metrics_get);  /* GET /metrics */
HANDLER(handle_openapi_get);  /* GET /openapi.json */
/* keys.c */
HANDLER(handle_keys_list);   /* GET /keys */
HANDLER(handle_keys_create); /* POST /keys */
HANDLER(handle_keys_delete); /* DELETE /keys/{id} */
/* collections.c */
HANDLER(handle_collections_list);
HANDLER(handle_collections_create);
HANDLER(handle_collections_get);    /* GET /collections/{name} */
HANDLER(handle_collections_patch);  /* PATCH /collections/{name} */
HANDLER(handle_collections_revert); /* POST /collections/{name}/embedder/revert */
/* generations.c: /collections/{name}/generations */
HANDLER(handle_generations_list);
HANDLER(handle_generations_create);
HANDLER(handle_generations_get);
HANDLER(handle_generations_pause);
HANDLER(handle_generations_resume);
HANDLER(handle_generations_cancel);
HANDLER(handle_generations_cutover);
HANDLER(handle_generations_rollback);
HANDLER(handle_generations_delete);
HANDLER(handle_index_rebuild); /* POST /index/rebuild */
/* pipelines.c */
HANDLER(handle_pipelines_list);
HANDLER(handle_pipelines_get); /* GET /pipelines/{id} */
/* sources.c */
HANDLER(handle_sources_list);
HANDLER(handle_sources_create);
HANDLER(handle_sources_get);
HANDLER(handle_sources_patch);
HANDLER(handle_sources_block);
HANDLER(handle_sources_unblock);
/* documents.c */
HANDLER(handle_documents_list);
HANDLER(handle_documents_create); /* POST /documents, JSON */
HANDLER(handle_documents_bulk);   /* POST /documents, application/x-ndjson */
HANDLER(handle_documents_get);
HANDLER(handle_documents_delete);
HANDLER(handle_versions_list); /* GET /documents/{id}/versions */
HANDLER(handle_versions_get);  /* GET /documents/{id}/versions/{version} */
/* chunks.c */
HANDLER(handle_chunks_get); /* GET /chunks/{id} */
/* jobs.c */
HANDLER(handle_jobs_get);    /* GET /jobs/{id} */
HANDLER(handle_jobs_events); /* GET /jobs/{id}/events */
/* search.c */
HANDLER(handle_search_post);
HANDLER(handle_search_get);
HANDLER(handle_search_batch); /* POST /search/batch */
/* lineage.c */
HANDLER(handle_lineage_get);          /* GET /lineage and /api/v1/lineage */
HANDLER(handle_lineage_post);         /* POST /lineage: 200 */
HANDLER(handle_lineage_post_marquez); /* POST /api/v1/lineage: 201, empty body */
HANDLER(handle_receipts_get);         /* GET /lineage/receipts/{receipt} */
/* quarantine.c */
HANDLER(handle_quarantine_list);
HANDLER(handle_quarantine_add);
HANDLER(handle_quarantine_get); /* GET /quarantine/{id} */
HANDLER(handle_quarantine_release);
HANDLER(handle_quarantine_retire);
HANDLER(handle_quarantine_sweep);
/* quality.c */
HANDLER(handle_quality_get);

#endif
