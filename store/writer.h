/*
 * Internal to store/: a transaction that writes a collection.
 *
 * writer_begin takes the collection's advisory lock, which is the first lock of every such transaction (so writers
 * never deadlock with each other), and reads the counters. The body then does its work, noting changes in order.
 * writer_commit numbers them from the collection's head, stores them and the commit, and moves the head.
 */
#ifndef ASSAY_STORE_WRITER_H
#define ASSAY_STORE_WRITER_H

#include "index/vindex.h" /* types of changes and states only */
#include "store/tx.h"

struct change_note {
    enum vindex_change_kind kind;
    enum chunk_state state;
    int64_t chunk, document; /* 0: none */
    int32_t source;          /* 0: none */
    struct digest chunk_id;  /* ADD and STATE */
    struct str name;         /* TOUCH: the document's key; SOURCE: the source's name; for the commit's digest */
    bool has_acl;
    struct str_list acl;
    int64_t modified_at_us;
    bool source_active;
    int64_t max_age_us;
};

struct writer {
    struct tx *tx;
    int32_t collection;
    int64_t now_us; /* one moment for everything the transaction writes */
    int64_t last_document, last_chunk, last_entry;
    int32_t last_source;
    struct digest identity, head_commit;
    int64_t head_seq;
    struct str run; /* uuid text; absent when none */
    struct change_note *notes;
    size_t n_notes, cap_notes;
    bool counters_moved; /* an entry was numbered though nothing changed */
};

/* ASSAY_NOT_FOUND "unknown-collection". */
enum assay_code writer_begin(struct tx *tx, int32_t collection, struct writer *w, struct err *err) MUST_USE;
struct change_note *writer_note(struct writer *w, enum vindex_change_kind kind);
void writer_note_state(struct writer *w, int64_t chunk, const struct digest *id, enum chunk_state state);
/* `message` (static) names the operation. *out is zero when no change was noted. */
enum assay_code writer_commit(struct writer *w, const char *message, struct store_commit *out,
                              struct err *err) MUST_USE;
/* A row of the audit trail in the same transaction. */
enum assay_code tx_audit(struct tx *tx, int32_t collection, int64_t now_us, const char *action, struct str target,
                         struct str detail_json, struct err *err) MUST_USE;

#endif
