/*
 * Internal to store/: what holds chunks back and what lets them go, as set operations within a writer's transaction.
 * Each keeps chunk states, entries and the change log in step: a chunk is quarantined while it has an open entry.
 */
#ifndef ASSAY_STORE_HOLDS_H
#define ASSAY_STORE_HOLDS_H

#include "store/quarantine.h"
#include "store/writer.h"

enum hold_scope { SCOPE_OF_CHUNK, SCOPE_OF_DOCUMENT, SCOPE_OF_SOURCE };

struct ids {
    int64_t *v;
    size_t n;
};
void wire_ids(struct buf *b, const struct ids *ids);
/* The column `col` of every row. */
struct ids rows_ids(const struct rows *rows, int col, struct arena *a);

struct hold {
    enum quarantine_reason reason;
    enum hold_scope scope;
    struct str note, evidence_json; /* evidence of `stale` is made from the document */
};
/* Opens an entry on each chunk that is not retired and has none open of the same reason; active ones become
 * quarantined. *seqs: numbers of the new entries. */
enum assay_code holds_open(struct writer *w, const struct ids *chunks, const struct hold *hold, struct ids *seqs,
                           struct err *err) MUST_USE;
/* Quarantined chunks without an open entry become active. One that is left with nothing but a duplicate's entry is
 * released from it when no active chunk has its text any more. */
enum assay_code holds_settle(struct writer *w, const struct ids *chunks, struct err *err) MUST_USE;
/* After chunks left: for each of their texts that no active chunk has, one held duplicate is released. */
enum assay_code holds_promote(struct writer *w, const struct ids *left, struct err *err) MUST_USE;
/* Retires the chunks of these versions, their open entries become dormant, duplicates of theirs are NOT promoted yet
 * (the caller does, once what replaces them is there). *retired: the chunks that left. */
enum assay_code holds_retire_versions(struct writer *w, const struct digest *versions, size_t n, struct ids *retired,
                                      struct err *err) MUST_USE;
/* Closes stale entries of documents that are fresh again: of one source (source != 0) or of these documents. */
enum assay_code holds_fresh(struct writer *w, int32_t source, const struct ids *documents, struct err *err) MUST_USE;
/* Opens stale entries on the current chunks of these documents and marks them as recorded. *held: entries opened. */
enum assay_code holds_stale(struct writer *w, const struct ids *documents, size_t *held, struct err *err) MUST_USE;

#endif
