/*
 * The first half of intake: what is known already, extraction, checks, embeddings, quality. No write.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "outbound/pdf.h"
#include "server/digest_map.h"
#include "server/intake_priv.h"
#include "server/server.h"

enum { PDF_TIMEOUT_S = 20 }; /* a slow PDF must not use up the time of the batch that it came in */

static void reject(struct intake_result *r)
{
    assert(r->err.code != ASSAY_OK);
    r->put = (struct put_result){.outcome = PUT_REJECTED, .code = r->err.code, .slug = r->err.slug};
}

/* What does not depend on the content. */
static void fill_put(const struct intake_document *d, const struct received *r, struct document_put *put)
{
    put->key = r->key;
    put->uri = d->uri;
    put->media_type = str_of(media_name(r->media));
    put->metadata_json = r->metadata_json;
    put->group = d->group;
    put->request_hash = r->request_hash;
    put->bytes = r->bytes.len;
    put->source = d->source;
    put->has_modified_at = d->has_modified_at;
    put->modified_at_us = d->modified_at_us;
    put->has_acl = d->has_acl;
    put->acl = d->acl;
}

/* The document's text: for PDF what pdftotext prints, else the bytes themselves. */
static enum assay_code readable(const struct call *call, const struct received *r, struct str *out, struct err *err)
{
    *out = r->bytes;
    if (r->media != MEDIA_PDF)
        return ASSAY_OK;
    struct call own = *call;
    struct buf text = {0};
    int64_t limit = clock_mono_us() + PDF_TIMEOUT_S * CLOCK_SECOND;
    if (own.deadline_us > limit)
        own.deadline_us = limit;
    enum assay_code code = pdf_to_text(&own, r->bytes, &text, err);
    if (code == ASSAY_OK)
        *out = str_dup(call->arena, buf_str(&text));
    buf_free(&text);
    return code;
}

/* A client's vector is part of what a version is: the same text with another vector is another version. */
static void fold_vector(const struct received *r, const struct pipeline *p, struct ingest_draft *draft)
{
    struct digest_ctx *ctx = digest_begin();
    digest_update(ctx, draft->version.b, DIGEST_LEN);
    digest_update(ctx, r->vector_hash.b, DIGEST_LEN);
    digest_end(ctx, &draft->version);
    for (size_t i = 0; i < draft->n_chunks; i++) {
        struct ingest_chunk *ch = &draft->chunks[i];
        char from[24], to[24];
        snprintf(from, sizeof from, "%zu", ch->from);
        snprintf(to, sizeof to, "%zu", ch->to);
        ctx = digest_begin();
        digest_update_field(ctx, (struct str){(const char *)draft->version.b, DIGEST_LEN});
        digest_update_field(ctx, str_of(from));
        digest_update_field(ctx, str_of(to));
        digest_update_field(ctx, (struct str){(const char *)p->id.b, DIGEST_LEN});
        digest_end(ctx, &ch->id);
    }
}

/* Parts of a chunk's quality that are known at ingest. Freshness is 1 here: what is past its deadline is held back, and
 * /quality counts it by the clock. Safety is not measured. */
static double chunk_quality(const struct collection *c, const struct intake_document *d, const struct chunk_put *ch,
                            bool repeated)
{
    int known = 3 + (d->uri.len > 0) + d->has_modified_at; /* source, run and pipeline always are */
    int64_t passed = 0;
    for (size_t i = 0; i < ch->n_checks; i++)
        passed += ch->checks[i].outcome != CHECK_FAIL;
    struct quality_parts parts;
    parts.v[QUALITY_LINEAGE] = quality_rate(known, 5);
    parts.v[QUALITY_VALIDATION] = ch->n_checks > 0 ? quality_rate(passed, (int64_t)ch->n_checks) : 0;
    parts.v[QUALITY_FRESHNESS] = 1;
    parts.v[QUALITY_SAFETY] = NAN;
    parts.v[QUALITY_UNIQUENESS] = repeated ? 0 : 1;
    double q = quality_index(&parts, &c->rules.weights);
    return isnan(q) ? 0 : q;
}

static void fill_chunk(struct arena *a, const struct ingest_chunk *from, struct chunk_put *to)
{
    struct check_put *checks = ARENA_ARRAY(a, struct check_put, from->n_checks);
    for (size_t i = 0; i < from->n_checks; i++) {
        const struct check_result *r = &from->checks[i];
        checks[i] = (struct check_put){.check = str_of(r->check),
                                       .outcome = (int)r->outcome,
                                       .expected = r->expected,
                                       .actual = r->actual,
                                       .from = r->from,
                                       .to = r->to};
        to->failed |= r->outcome == CHECK_FAIL;
    }
    to->id = from->id;
    to->text_hash = from->text_hash;
    to->embed_hash = from->text_hash;
    to->from = from->from;
    to->to = from->to;
    to->page = from->page;
    to->text = from->text;
    to->heading = from->heading;
    to->tokens = from->tokens;
    to->checks = checks;
    to->n_checks = from->n_checks;
}

static void fill_chunks(struct arena *a, const struct collection *c, const struct intake_document *d,
                        const struct received *r, const struct ingest_draft *draft, struct document_put *put)
{
    struct digest_map seen;
    digest_map_init(&seen, a, draft->n_chunks);
    put->n_chunks = draft->n_chunks;
    put->chunks = ARENA_ARRAY(a, struct chunk_put, draft->n_chunks);
    for (size_t i = 0; i < draft->n_chunks; i++) {
        struct chunk_put *ch = &put->chunks[i];
        fill_chunk(a, &draft->chunks[i], ch);
        ch->quality = chunk_quality(c, d, ch, digest_map_put(&seen, &ch->text_hash, i) != i);
        if (r->vector) {
            ch->embedding = r->vector;
            ch->embed_hash = r->vector_hash;
        }
    }
}

static enum assay_code extract_one(const struct call *call, const struct collection *c, const struct intake_document *d,
                                   const struct received *r, struct document_put *put, struct err *err)
{
    struct ingest_draft draft = {0};
    struct ingest_input input = {
        .key = r->key,
        .uri = d->uri,
        .title = d->title,
        .media = r->media,
        .media_name = str_of(media_name(r->media)),
        .metadata_json = r->metadata_json,
        .group = d->group,
        .language = d->language,
        .single_chunk = r->vector != NULL,
    };
    TRY(readable(call, r, &input.bytes, err));
    TRY(ingest_document(call->arena, &c->pipeline, &input, &draft, err));
    if (draft.n_chunks == 0)
        return err_set(err, ASSAY_UNPROCESSABLE, "empty-document", "The document has no text.");
    if (r->media == MEDIA_PDF)
        digest_sha256(r->bytes.ptr, r->bytes.len, &draft.bytes_hash); /* of the PDF, not of its text */
    if (r->vector)
        fold_vector(r, &c->pipeline, &draft);
    put->title = draft.title;
    put->canonical = draft.canonical;
    put->language = draft.language;
    put->version = draft.version;
    put->bytes_hash = draft.bytes_hash;
    fill_chunks(call->arena, c, d, r, &draft, put);
    return ASSAY_OK;
}

/* Asks the store what it has of the documents that can be used at all. */
static enum assay_code probe(struct intake *in, const struct call *call, const struct collection *c,
                             const struct received *received, size_t n, struct document_probe *probes, struct err *err)
{
    size_t used = 0;
    struct document_probe *some = ARENA_ARRAY(call->arena, struct document_probe, n);
    for (size_t i = 0; i < n; i++)
        if (received[i].usable)
            some[used++].key = received[i].key;
    if (used > 0)
        TRY(store_documents_probe(in->server->store, call, c->id, some, used, err));
    for (size_t i = 0, at = 0; i < n; i++)
        if (received[i].usable)
            probes[i] = some[at++];
    return ASSAY_OK;
}

static bool is_repeat(const struct document_probe *p, const struct received *r)
{
    return p->exists && !p->deleted && digest_eq(&p->request_hash, &r->request_hash);
}

/* Marks the documents whose key comes again later or came before in the batch: what the store says about them now does
 * not hold any more when their turn comes. */
static void mark_repeated_keys(struct arena *a, const struct received *received, size_t n, bool *repeated)
{
    struct digest_map seen;
    struct digest *hashes = ARENA_ARRAY(a, struct digest, n);
    digest_map_init(&seen, a, n);
    for (size_t i = 0; i < n; i++) {
        if (!received[i].usable)
            continue;
        digest_sha256(received[i].key.ptr, received[i].key.len, &hashes[i]);
        repeated[i] = digest_map_put(&seen, &hashes[i], i) != i;
    }
}

static enum assay_code embed_all(struct intake *in, const struct call *call, struct collection *c, struct prepared *out,
                                 struct err *err)
{
    if (c->spec.kind != EMBEDDER_OPENAI || out->n_puts == 0)
        return ASSAY_OK;
    bool *failed = ARENA_ARRAY(call->arena, bool, out->n_puts);
    struct err *errs = ARENA_ARRAY(call->arena, struct err, out->n_puts);
    TRY(intake_embed(in, call, c, out->puts, out->n_puts, failed, errs, err));
    size_t kept = 0;
    for (size_t i = 0; i < out->n_puts; i++) {
        struct intake_result *r = &out->results[out->doc_of[i]];
        if (failed[i]) {
            r->err = errs[i];
            reject(r);
            continue;
        }
        out->puts[kept] = out->puts[i];
        out->doc_of[kept++] = out->doc_of[i];
    }
    out->n_puts = kept;
    return ASSAY_OK;
}

enum assay_code intake_prepare(struct intake *in, const struct call *call, struct collection *c,
                               const struct intake_document *docs, size_t n, bool force, struct intake_result *results,
                               struct prepared *out, struct err *err)
{
    struct arena *a = call->arena;
    struct received *received = ARENA_ARRAY(a, struct received, n);
    struct document_probe *probes = ARENA_ARRAY(a, struct document_probe, n);
    bool *repeated = ARENA_ARRAY(a, bool, n);
    c = collection_for_writing(c);
    *out = (struct prepared){.under = c, .docs = docs, .results = results, .n = n};
    out->puts = ARENA_ARRAY(a, struct document_put, n);
    out->doc_of = ARENA_ARRAY(a, size_t, n);
    for (size_t i = 0; i < n; i++) {
        if (intake_receive(call, c, &docs[i], &received[i], &results[i].err) != ASSAY_OK)
            reject(&results[i]);
        results[i].id = intake_document_key(a, &docs[i]);
    }
    if (!force) {
        TRY(probe(in, call, c, received, n, probes, err));
        mark_repeated_keys(a, received, n, repeated);
    }
    for (size_t i = 0; i < n; i++) {
        if (!received[i].usable)
            continue;
        struct document_put *put = &out->puts[out->n_puts];
        *put = (struct document_put){0};
        fill_put(&docs[i], &received[i], put);
        if (!force && !repeated[i] && is_repeat(&probes[i], &received[i])) {
            put->touch_only = true;
            put->version = probes[i].version;
            put->bytes_hash = probes[i].bytes_hash;
        } else if (extract_one(call, c, &docs[i], &received[i], put, &results[i].err) != ASSAY_OK) {
            reject(&results[i]);
            continue;
        }
        out->doc_of[out->n_puts++] = i;
    }
    return embed_all(in, call, c, out, err);
}
