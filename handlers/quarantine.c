/*
 * Quarantine: what is held back, why, since when and by whom. Every decision is answered when this server's index obeys
 * it. All of it needs the scope steward: entries quote the text they hold back.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "handlers/handlers.h"
#include "handlers/page.h"
#include "handlers/settle.h"
#include "server/server.h"
#include "store/quarantine.h"

enum {
    NAME_BYTES_MAX = 128,
    DOCUMENT_BYTES_MAX = 1024,
    NOTE_MAX = 2000,
    CHUNKS_MAX = 10000,
    SAMPLE_MAX = 20,
    SWEEP_STEP = 500
};

/* ---- what they share ---- */

static void write_optional(struct jsonw *w, const char *key, struct str s)
{
    jsonw_kstr(w, key, s.len ? s : (struct str){0});
}

/* The members, without the braces. */
static void write_members(struct jsonw *w, const struct collection *c, const struct quarantine_row *r)
{
    jsonw_kstr(w, "id", r->id);
    jsonw_kstr(w, "collection", c->name);
    jsonw_kcstr(w, "target", r->target);
    jsonw_key(w, "chunk");
    if (r->has_chunk)
        jsonw_digest(w, &r->chunk);
    else
        jsonw_null(w);
    write_optional(w, "document", r->document);
    jsonw_kstr(w, "source", r->source);
    jsonw_kcstr(w, "reason", quarantine_reason_names[r->reason]);
    jsonw_kcstr(w, "state", quarantine_state_names[r->state]);
    write_optional(w, "note", r->note);
    jsonw_kraw(w, "evidence", r->evidence_json.len ? r->evidence_json : STR_LIT("{}"));
    write_optional(w, "excerpt", r->excerpt);
    jsonw_kint(w, "chunks", r->chunks);
    jsonw_ktime(w, "opened_at", r->opened_at_us);
    jsonw_kstr(w, "opened_by", r->opened_by);
    jsonw_ktime(w, "closed_at", r->closed_at_us);
    write_optional(w, "closed_by", r->closed_by);
    write_optional(w, "close_note", r->close_note);
}

static void write_entry(struct jsonw *w, const struct collection *c, const struct quarantine_row *r)
{
    jsonw_object(w);
    write_members(w, c, r);
    jsonw_object_end(w);
}

static enum assay_code read_chunk_id(struct str text, const char *pointer, struct digest *out, struct err *err)
{
    if (digest_from_hex(text, out))
        return ASSAY_OK;
    return err_add_field(err, pointer, "must be a chunk id: 64 hexadecimal digits");
}

/* The entry of the path and the collection it belongs to. */
static enum assay_code find_entry(struct request *req, struct collection **c, struct quarantine_row *row,
                                  struct err *err)
{
    int32_t collection;
    TRY(request_no_query(req, err));
    TRY(store_quarantine_get(req->server->store, &req->call, req->params[0], &collection, row, err));
    *c = settle_collection(req->server->catalog, collection);
    if (!*c) {
        (void)err_set(err, ASSAY_UNAVAILABLE, NULL, "the entry's collection is still being loaded");
        return ASSAY_UNAVAILABLE;
    }
    return ASSAY_OK;
}

/* ---- GET /quarantine, GET /quarantine/{id} ---- */

static const char *const state_names[] = {"open", "released", "retired", "all", NULL};
enum { STATE_ALL = ENTRY_STATE_COUNT };

struct list_query {
    struct str collection, source, document, chunk, cursor;
    int reason, state;
    int64_t limit;
};
static const struct json_field list_fields[] = {
    JSON_FIELD(struct list_query, collection, JSON_FIELD_STR, .max = NAME_BYTES_MAX),
    JSON_FIELD(struct list_query, reason, JSON_FIELD_ENUM, .names = quarantine_reason_names),
    JSON_FIELD(struct list_query, source, JSON_FIELD_STR, .min = 1, .max = NAME_BYTES_MAX),
    JSON_FIELD(struct list_query, document, JSON_FIELD_STR, .min = 1, .max = DOCUMENT_BYTES_MAX),
    JSON_FIELD(struct list_query, chunk, JSON_FIELD_STR, .min = 1, .max = DIGEST_HEX),
    JSON_FIELD(struct list_query, state, JSON_FIELD_ENUM, .names = state_names),
    PAGE_FIELDS(struct list_query),
    JSON_FIELDS_END,
};

static enum assay_code read_list(struct request *req, struct collection **c, struct quarantine_query *out,
                                 struct err *err)
{
    struct list_query q = {.reason = -1, .state = ENTRY_OPEN, .limit = PAGE_DEFAULT};
    struct str keyset;
    TRY(request_query(req, list_fields, &q, err));
    TRY(catalog_get(req->server->catalog, q.collection, false, c, err));
    TRY(request_cursor(req, q.cursor, &keyset, err));
    *out = (struct quarantine_query){.collection = (*c)->id,
                                     .reason = q.reason,
                                     .source = q.source.ptr ? q.source : STR_LIT(""),
                                     .document = q.document.ptr ? q.document : STR_LIT(""),
                                     .has_chunk = q.chunk.ptr != NULL,
                                     .state = q.state == STATE_ALL ? -1 : q.state,
                                     .before = INT64_MAX,
                                     .limit = (size_t)q.limit};
    if (out->has_chunk)
        TRY(read_chunk_id(q.chunk, "?chunk", &out->chunk, err));
    if (keyset.len && !str_to_i64(keyset, &out->before))
        return err_add_field(err, "?cursor", "not a cursor of this list");
    return ASSAY_OK;
}

enum assay_code handle_quarantine_list(struct request *req, struct reply *reply, struct err *err)
{
    struct collection *c = NULL;
    struct quarantine_query q;
    struct quarantine_row *rows;
    size_t n;
    TRY(read_list(req, &c, &q, err));
    int64_t limit = (int64_t)q.limit++;
    TRY(store_quarantine_list(req->server->store, &req->call, &q, &rows, &n, err));
    bool more = page_cut(&n, limit);
    struct jsonw w;
    reply_list(reply, &w);
    for (size_t i = 0; i < n; i++)
        write_entry(&w, c, &rows[i]);
    char last[24] = "";
    if (more)
        (void)snprintf(last, sizeof last, "%" PRId64, rows[n - 1].seq);
    reply_list_end(&w, more ? request_cursor_make(req, str_of(last)) : NULL);
    return ASSAY_OK;
}

enum assay_code handle_quarantine_get(struct request *req, struct reply *reply, struct err *err)
{
    struct collection *c = NULL;
    struct quarantine_row row = {0};
    struct jsonw w;
    TRY(find_entry(req, &c, &row, err));
    reply_json(reply, 200, &w);
    write_entry(&w, c, &row);
    return ASSAY_OK;
}

/* ---- POST /quarantine ---- */

struct add_body {
    struct str collection, document, source, note;
    struct str_list chunks;
    bool has_chunks;
    int reason;
};
static const struct json_field add_fields[] = {
    JSON_FIELD(struct add_body, collection, JSON_FIELD_STR, .max = NAME_BYTES_MAX),
    JSON_FIELD(struct add_body, chunks, JSON_FIELD_STRS, .max = DIGEST_HEX, .max_items = CHUNKS_MAX,
               .present_offset = offsetof(struct add_body, has_chunks)),
    JSON_FIELD(struct add_body, document, JSON_FIELD_STR, .min = 1, .max = DOCUMENT_BYTES_MAX),
    JSON_FIELD(struct add_body, source, JSON_FIELD_STR, .min = 1, .max = NAME_BYTES_MAX),
    JSON_FIELD(struct add_body, reason, JSON_FIELD_ENUM, .names = quarantine_reason_names),
    JSON_FIELD(struct add_body, note, JSON_FIELD_STR, .max = NOTE_MAX, .nullable = true),
    JSON_FIELDS_END,
};

static enum assay_code read_chunks(struct request *req, const struct str_list *list, struct quarantine_add *out,
                                   struct err *err)
{
    struct digest *chunks = ARENA_ARRAY(req->call.arena, struct digest, list->n);
    enum assay_code code = ASSAY_OK;
    for (size_t i = 0; i < list->n; i++) {
        char pointer[32];
        (void)snprintf(pointer, sizeof pointer, "/chunks/%zu", i);
        if (read_chunk_id(list->items[i], pointer, &chunks[i], err) != ASSAY_OK)
            code = ASSAY_INVALID;
    }
    if (list->n == 0)
        code = err_add_field(err, "/chunks", "must not be empty");
    out->chunks = chunks;
    out->n_chunks = list->n;
    return code;
}

static enum assay_code read_add(struct request *req, struct collection **c, struct quarantine_add *out, struct err *err)
{
    struct add_body in = {.reason = REASON_MANUAL, .note = STR_LIT("")};
    TRY(request_no_query(req, err));
    TRY(request_json(req, add_fields, &in, err));
    TRY(catalog_get(req->server->catalog, in.collection, true, c, err));
    if (in.has_chunks + (in.document.ptr != NULL) + (in.source.ptr != NULL) != 1)
        return err_set(err, ASSAY_INVALID, NULL, "give exactly one of chunks, document and source");
    if (in.reason == REASON_SOURCE_BLOCKED)
        return err_add_field(err, "/reason", "is recorded by blocking a source: POST /sources/{name}/block");
    *out = (struct quarantine_add){.collection = (*c)->id,
                                   .document = in.document,
                                   .source = in.source,
                                   .reason = (enum quarantine_reason)in.reason,
                                   .note = in.note,
                                   .sample_max = SAMPLE_MAX};
    return in.has_chunks ? read_chunks(req, &in.chunks, out, err) : ASSAY_OK;
}

enum assay_code handle_quarantine_add(struct request *req, struct reply *reply, struct err *err)
{
    struct collection *c = NULL;
    struct quarantine_add in;
    struct quarantine_row *sample;
    size_t held, n;
    struct store_commit commit = {0};
    TRY(read_add(req, &c, &in, err));
    TRY(store_quarantine_add(req->server->store, &req->call, &in, &held, &sample, &n, &commit, err));
    TRY(settle(req, c, &commit, err));
    struct jsonw w;
    reply_json(reply, 201, &w);
    jsonw_object(&w);
    jsonw_kint(&w, "held", (int64_t)held);
    jsonw_key(&w, "items");
    jsonw_array(&w);
    for (size_t i = 0; i < n; i++)
        write_entry(&w, c, &sample[i]);
    jsonw_array_end(&w);
    settle_write(&w, &commit);
    jsonw_object_end(&w);
    return ASSAY_OK;
}

/* ---- POST /quarantine/{id}/release, /retire ---- */

struct decide_body {
    struct str note;
};
static const struct json_field decide_fields[] = {
    JSON_FIELD(struct decide_body, note, JSON_FIELD_STR, .max = NOTE_MAX, .nullable = true),
    JSON_FIELDS_END,
};
typedef enum assay_code (*decision)(struct store *s, const struct call *call, struct str id, struct str note,
                                    struct quarantine_row *out, struct store_commit *commit, struct err *err);

static enum assay_code decide(struct request *req, struct reply *reply, decision how, struct err *err)
{
    struct decide_body in = {.note = STR_LIT("")};
    struct collection *c = NULL;
    struct quarantine_row row = {0};
    struct store_commit commit = {0};
    TRY(request_json(req, decide_fields, &in, err));
    TRY(find_entry(req, &c, &row, err));
    TRY(how(req->server->store, &req->call, req->params[0], in.note, &row, &commit, err));
    TRY(settle(req, c, &commit, err));
    struct jsonw w;
    reply_json(reply, 200, &w);
    jsonw_object(&w);
    write_members(&w, c, &row);
    settle_write(&w, &commit);
    jsonw_object_end(&w);
    return ASSAY_OK;
}

enum assay_code handle_quarantine_release(struct request *req, struct reply *reply, struct err *err)
{
    return decide(req, reply, store_quarantine_release, err);
}

enum assay_code handle_quarantine_retire(struct request *req, struct reply *reply, struct err *err)
{
    return decide(req, reply, store_quarantine_retire, err);
}

/* ---- POST /quarantine/sweep ---- */

struct sweep_body {
    struct str collection;
    bool dry_run;
};
static const struct json_field sweep_fields[] = {
    JSON_FIELD(struct sweep_body, collection, JSON_FIELD_STR, .max = NAME_BYTES_MAX),
    JSON_FIELD(struct sweep_body, dry_run, JSON_FIELD_BOOL),
    JSON_FIELDS_END,
};

struct swept {
    size_t documents, chunks;
    struct store_commit commit; /* the last one */
};

/* Step by step, so that other writers of the collection wait for one step at most. A dry run counts everything at once:
 * it takes no lock. */
static enum assay_code sweep(struct request *req, const struct collection *c, bool dry_run, struct swept *out,
                             struct err *err)
{
    int64_t now_us = clock_now_us();
    bool more = true;
    *out = (struct swept){0};
    while (more) {
        size_t documents, chunks;
        struct store_commit commit = {0};
        TRY(store_quarantine_sweep(req->server->store, &req->call, c->id, now_us, dry_run ? INT32_MAX : SWEEP_STEP,
                                   dry_run, &documents, &chunks, &more, &commit, err));
        out->documents += documents;
        out->chunks += chunks;
        if (commit.seq)
            out->commit = commit;
        more = more && documents > 0 && !dry_run;
        if (more && clock_mono_us() >= req->call.deadline_us)
            return err_set(err, ASSAY_UNAVAILABLE, "sweep-unfinished",
                           "%zu chunks are recorded as stale and more are left; ask again to go on", out->chunks);
    }
    return ASSAY_OK;
}

enum assay_code handle_quarantine_sweep(struct request *req, struct reply *reply, struct err *err)
{
    struct sweep_body in = {0};
    struct collection *c = NULL;
    struct swept swept;
    TRY(request_no_query(req, err));
    TRY(request_json(req, sweep_fields, &in, err));
    TRY(catalog_get(req->server->catalog, in.collection, true, &c, err));
    TRY(sweep(req, c, in.dry_run, &swept, err));
    if (swept.commit.seq)
        TRY(settle(req, c, &swept.commit, err));
    struct jsonw w;
    reply_json(reply, 200, &w);
    jsonw_object(&w);
    jsonw_kint(&w, "documents", (int64_t)swept.documents);
    jsonw_kint(&w, "chunks", (int64_t)swept.chunks);
    jsonw_kbool(&w, "dry_run", in.dry_run);
    settle_write(&w, &swept.commit);
    jsonw_object_end(&w);
    return ASSAY_OK;
}
