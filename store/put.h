/*
 * Internal to store/: the working state of store_documents_put.
 *
 * A batch is put in rounds: a round takes documents in order up to the first key that it has already, so that the same
 * key twice works as two writes one after the other, under the one commit. Each round is put_classify (what each
 * document needs), put_plan (what becomes of each chunk) and put_write (set-based writes).
 */
#ifndef ASSAY_STORE_PUT_H
#define ASSAY_STORE_PUT_H

#include "store/documents.h"
#include "store/holds.h"
#include "store/map.h"
#include "store/writer.h"

enum put_action {
    PUT_NOTHING,
    PUT_REMEMBER, /* same version from other bytes: only the hashes are remembered, nothing changes for readers */
    PUT_TOUCH,    /* acl or modified_at */
    PUT_MOVE,     /* another source: the index gets the chunks again, with the new source */
    PUT_VERSION   /* a new version, or one that comes back */
};

/* A steward's hold on the whole document, carried over to its new version. */
struct put_carry {
    struct str entry; /* uuid */
    enum quarantine_reason reason;
    struct str note;
};

struct put_chunk {
    const struct chunk_put *in;
    int64_t id;
    bool exists;    /* cut before, from the same version by the same pipeline */
    bool repeated;  /* the same chunk id twice in one document: the first stands for both */
    bool barred;    /* retired by a steward: stays so */
    bool held;      /* has open entries that outlive the return (a steward's hold, a failed check) */
    bool dup_known; /* a steward released it as a duplicate before */
    bool duplicate; /* of duplicate_of */
    struct digest duplicate_of;
    enum chunk_state state;
};

struct put_doc {
    const struct document_put *in;
    struct put_result *out;
    enum put_action action;
    bool exists, deleted, version_exists;
    int64_t id;
    struct digest current; /* version before this write */
    int32_t source;
    int64_t modified_at_us, deadline_us;
    bool modified_given, stale, stale_recorded;
    const struct put_carry *carry;
    struct put_chunk *chunks; /* in->n_chunks of them, with PUT_VERSION */
};

/* A new chunk and its document. */
struct put_added {
    const struct put_doc *doc;
    const struct put_chunk *chunk;
};

struct put_source {
    int32_t id;
    bool active;
    int64_t max_age_us;
};

struct put {
    const struct documents_put *in;
    struct put_result *results;
    struct store_commit *commit;
    struct writer w;
    struct arena *arena;
    struct map sources; /* name -> index into source_rows */
    struct put_source *source_rows;
    struct put_doc *docs; /* of this round */
    size_t n;
    struct put_added *added; /* of all rounds, in the order of their changes */
    size_t n_added, cap_added;
    struct ids left; /* chunks that were retired in this round */
};

enum assay_code put_plan(struct put *p, struct err *err) MUST_USE;
enum assay_code put_write(struct put *p, struct err *err) MUST_USE;
void put_note_written(struct put *p, const struct put_doc *d, const struct put_chunk *c);
/* After the commit has been numbered: fills in->written. */
void put_tell_written(struct put *p);

#endif
