/* Internal to store/: the statements of each file, for stmts.c. A file that runs statements has one list here. */
#ifndef ASSAY_STORE_STMTS_H
#define ASSAY_STORE_STMTS_H

#include "store/pq.h"

extern const struct store_stmt *const store_changes_stmts[];
extern const struct store_stmt *const store_collections_stmts[];
extern const struct store_stmt *const store_documents_put_stmts[];
extern const struct store_stmt *const store_documents_read_stmts[];
extern const struct store_stmt *const store_documents_write_stmts[];
extern const struct store_stmt *const store_documents_delete_stmts[];
extern const struct store_stmt *const store_documents_plan_stmts[];
extern const struct store_stmt *const store_edges_stmts[];
extern const struct store_stmt *const store_generations_stmts[];
extern const struct store_stmt *const store_holds_stmts[];
extern const struct store_stmt *const store_idempotency_stmts[];
extern const struct store_stmt *const store_jobs_stmts[];
extern const struct store_stmt *const store_keys_stmts[];
extern const struct store_stmt *const store_lineage_access_stmts[];
extern const struct store_stmt *const store_lineage_data_stmts[];
extern const struct store_stmt *const store_lineage_event_stmts[];
extern const struct store_stmt *const store_lineage_walk_stmts[];
extern const struct store_stmt *const store_migrate_stmts[];
extern const struct store_stmt *const store_quality_stmts[];
extern const struct store_stmt *const store_quarantine_stmts[];
extern const struct store_stmt *const store_quarantine_decide_stmts[];
extern const struct store_stmt *const store_receipts_stmts[];
extern const struct store_stmt *const store_runs_stmts[];
extern const struct store_stmt *const store_source_change_stmts[];
extern const struct store_stmt *const store_sources_stmts[];
extern const struct store_stmt *const store_sweep_stmts[];
extern const struct store_stmt *const store_vectors_stmts[];
extern const struct store_stmt *const store_writer_stmts[];

#endif
