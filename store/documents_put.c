/* store_documents_put: rounds, what each document needs, and what it came to. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "store/put.h"
#include "store/stmts.h"

static const struct store_stmt put_sources = {
    "put_sources",
    "SELECT name, id, active, max_age_us FROM sources WHERE collection_id = $1 AND name = ANY ($2::text[])", 2};

static enum assay_code read_sources(struct put *p, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    wire_i32(&args, p->in->collection);
    size_t mark = wire_array(&args, PG_TEXT, p->in->n);
    for (size_t i = 0; i < p->in->n; i++)
        wire_str(&args, p->in->docs[i].source);
    wire_array_end(&args, mark);
    TRY(tx_exec(p->w.tx, &put_sources, &args, &rows, err));
    map_init(&p->sources, p->arena, (size_t)rows.n);
    p->source_rows = ARENA_ARRAY(p->arena, struct put_source, (size_t)rows.n);
    for (int i = 0; i < rows.n; i++) {
        struct row r = rows_at(&rows, i, p->arena);
        struct put_source *s = &p->source_rows[i];
        map_put(&p->sources, row_str(&r), i);
        s->id = (int32_t)row_int(&r);
        s->active = row_bool(&r);
        bool ageless = row_null(&r);
        int64_t max_age_us = row_int(&r);
        s->max_age_us = ageless ? CLOCK_NEVER : max_age_us;
    }
    return ASSAY_OK;
}

static void reject(struct put_result *out, enum assay_code code, const char *slug, const char *detail)
{
    *out = (struct put_result){.outcome = PUT_REJECTED, .code = code, .slug = slug};
    (void)snprintf(out->detail, sizeof out->detail, "%s", detail);
}

static const struct store_stmt put_lookup = {
    "put_lookup",
    "SELECT d.* FROM unnest($2::text[]) AS k (key) CROSS JOIN LATERAL"
    " (SELECT key, id, source_id, version, bytes_hash, request_hash, modified_at, modified_given, stale_recorded,"
    "         acl IS NOT NULL, acl, deleted_at IS NOT NULL"
    "    FROM documents WHERE collection_id = $1 AND key = k.key OFFSET 0) d",
    2};

static bool same_acl(const struct document_put *in, bool has_acl, struct str_list acl)
{
    if (in->has_acl != has_acl || (has_acl && in->acl.n != acl.n))
        return false;
    for (size_t i = 0; has_acl && i < acl.n; i++)
        if (!str_eq(in->acl.items[i], acl.items[i]))
            return false;
    return true;
}

/* What a document that exists needs. Reads the columns of put_lookup after the key. */
static void classify_known(struct put_doc *d, struct row *r)
{
    d->exists = true;
    d->id = row_int(r);
    bool moved = (int32_t)row_int(r) != d->source;
    d->current = row_digest(r);
    struct digest bytes_hash = row_digest(r), request_hash = row_digest(r);
    int64_t modified_at_us = row_time(r);
    bool modified_given = row_bool(r);
    d->stale_recorded = row_bool(r);
    bool has_acl = row_bool(r);
    struct str_list acl = row_texts(r);
    d->deleted = row_bool(r);
    if (d->deleted || !digest_eq(&d->current, &d->in->version)) {
        d->action = PUT_VERSION;
        return;
    }
    /* The same content again says nothing about its age unless the client does. */
    bool touched =
        !same_acl(d->in, has_acl, acl) || (d->in->has_modified_at && d->in->modified_at_us != modified_at_us);
    bool same_request = digest_eq(&bytes_hash, &d->in->bytes_hash) && digest_eq(&request_hash, &d->in->request_hash);
    if (!d->in->has_modified_at) {
        d->modified_at_us = modified_at_us;
        d->modified_given = modified_given;
    }
    d->action = moved ? PUT_MOVE : touched ? PUT_TOUCH : same_request ? PUT_NOTHING : PUT_REMEMBER;
}

static int64_t deadline_of(int64_t modified_at_us, int64_t max_age_us)
{
    int64_t out;
    if (max_age_us == CLOCK_NEVER || __builtin_add_overflow(modified_at_us, max_age_us, &out))
        return CLOCK_NEVER;
    return out;
}

static enum assay_code classify(struct put *p, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    struct map known;
    wire_i32(&args, p->in->collection);
    size_t mark = wire_array(&args, PG_TEXT, p->n);
    for (size_t i = 0; i < p->n; i++)
        wire_str(&args, p->docs[i].in->key);
    wire_array_end(&args, mark);
    TRY(tx_exec(p->w.tx, &put_lookup, &args, &rows, err));
    map_init(&known, p->arena, (size_t)rows.n);
    for (int i = 0; i < rows.n; i++) {
        struct row r = rows_at(&rows, i, p->arena);
        map_put(&known, row_str(&r), i);
    }
    for (size_t i = 0; i < p->n; i++) {
        struct put_doc *d = &p->docs[i];
        const struct put_source *s = &p->source_rows[*map_get(&p->sources, d->in->source)];
        d->source = s->id;
        d->modified_given = d->in->has_modified_at;
        d->modified_at_us = d->in->has_modified_at ? d->in->modified_at_us : p->w.now_us;
        const int64_t *at = map_get(&known, d->in->key);
        if (at) {
            struct row r = rows_at(&rows, (int)*at, p->arena);
            r.col = 1;
            classify_known(d, &r);
        } else {
            d->action = PUT_VERSION;
            d->id = ++p->w.last_document;
        }
        if (d->in->touch_only && d->action == PUT_VERSION) {
            reject(d->out, ASSAY_CONFLICT, "version-moved", "The document has changed since it was looked at.");
            d->action = PUT_NOTHING;
            continue;
        }
        d->deadline_us = deadline_of(d->modified_at_us, s->max_age_us);
        d->stale = d->deadline_us <= p->w.now_us;
        d->out->outcome = d->action == PUT_VERSION ? (d->exists && !d->deleted ? PUT_UPDATED : PUT_CREATED)
                          : d->action >= PUT_TOUCH ? PUT_TOUCHED
                                                   : PUT_UNCHANGED;
    }
    return ASSAY_OK;
}

/* Takes the next round from docs[*at] on: stops before a key that the round has already. */
static void take_round(struct put *p, size_t *at)
{
    struct map keys;
    map_init(&keys, p->arena, p->in->n - *at);
    p->docs = ARENA_ARRAY(p->arena, struct put_doc, p->in->n - *at);
    p->n = 0;
    p->left = (struct ids){0};
    for (; *at < p->in->n; ++*at) {
        const struct document_put *d = &p->in->docs[*at];
        if (!map_get(&p->sources, d->source)) {
            reject(&p->results[*at], ASSAY_UNPROCESSABLE, "unknown-source",
                   "There is no such source in the collection.");
            continue;
        }
        if (map_get(&keys, d->key))
            return;
        map_put(&keys, d->key, 1);
        p->results[*at] = (struct put_result){0};
        p->docs[p->n++] = (struct put_doc){.in = d, .out = &p->results[*at]};
    }
}

static const struct store_stmt put_states = {
    "put_states",
    "SELECT d.key, c.state, count(*) FROM (SELECT DISTINCT key FROM unnest($2::text[]) AS k (key)) k"
    " CROSS JOIN LATERAL (SELECT key, version FROM documents WHERE collection_id = $1 AND key = k.key OFFSET 0) d"
    " CROSS JOIN LATERAL (SELECT state FROM chunks"
    "   WHERE collection_id = $1 AND version = d.version AND state <> 3 OFFSET 0) c"
    " GROUP BY d.key, c.state",
    2};

/* The states of every document's chunks as they are at the end of the transaction. */
static enum assay_code count_states(struct put *p, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    struct map at[3];
    wire_i32(&args, p->in->collection);
    size_t mark = wire_array(&args, PG_TEXT, p->in->n);
    for (size_t i = 0; i < p->in->n; i++)
        wire_str(&args, p->in->docs[i].key);
    wire_array_end(&args, mark);
    TRY(tx_exec(p->w.tx, &put_states, &args, &rows, err));
    for (size_t i = 0; i < 3; i++)
        map_init(&at[i], p->arena, p->in->n);
    for (int i = 0; i < rows.n; i++) {
        struct row r = rows_at(&rows, i, p->arena);
        struct str key = row_str(&r);
        int64_t state = row_int(&r);
        map_put(&at[state % 3], key, row_int(&r));
    }
    for (size_t i = 0; i < p->in->n; i++) {
        struct put_result *out = &p->results[i];
        if (out->outcome == PUT_REJECTED)
            continue;
        const int64_t *pending = map_get(&at[CHUNK_PENDING], p->in->docs[i].key);
        const int64_t *active = map_get(&at[CHUNK_ACTIVE], p->in->docs[i].key);
        const int64_t *held = map_get(&at[CHUNK_QUARANTINED], p->in->docs[i].key);
        out->pending = pending ? (size_t)*pending : 0;
        out->active = active ? (size_t)*active : 0;
        out->quarantined = held ? (size_t)*held : 0;
    }
    return ASSAY_OK;
}

/* For this transaction: foreign keys are checked by prepared statements of PostgreSQL's own, one for each row, which
 * the session's custom plans would have planned anew each time. */
static const struct store_stmt put_plans = {"put_plans", "SELECT set_config('plan_cache_mode', 'auto', true)", 0};

static enum assay_code put_body(struct tx *tx, void *ctx, struct err *err)
{
    struct put *p = ctx;
    *p->commit = (struct store_commit){0};
    p->arena = tx_arena(tx);
    p->added = NULL; /* an attempt before this one is gone, its arena with it */
    p->n_added = p->cap_added = 0;
    TRY(tx_exec(tx, &put_plans, NULL, NULL, err));
    TRY(writer_begin(tx, p->in->collection, &p->w, err));
    p->w.run = str_of(p->in->run);
    TRY(read_sources(p, err));
    for (size_t at = 0; at < p->in->n;) {
        take_round(p, &at);
        if (p->n == 0)
            continue;
        TRY(classify(p, err));
        TRY(put_plan(p, err));
        TRY(put_write(p, err));
        p->w.now_us++; /* versions of one document never share their moment */
    }
    TRY(count_states(p, err));
    TRY(writer_commit(&p->w, "documents.put", p->commit, err));
    put_tell_written(p);
    return ASSAY_OK;
}

enum assay_code store_documents_put(struct store *s, const struct call *call, const struct documents_put *in,
                                    struct put_result *results, struct store_commit *commit, struct err *err)
{
    struct put p = {.in = in, .results = results, .commit = commit};
    *commit = (struct store_commit){0};
    return in->n ? store_transact(s, call, "documents.put", put_body, &p, err) : ASSAY_OK;
}

const struct store_stmt *const store_documents_put_stmts[] = {&put_sources, &put_lookup, &put_states, &put_plans, NULL};
