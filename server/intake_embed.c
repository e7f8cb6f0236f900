/*
 * Embeddings from an endpoint: only texts whose vector the store does not have yet are sent.
 *
 * The text that is embedded for a chunk is title, line feed, heading path, blank line, chunk text; a part that is empty
 * is left out with what parts it off (docs/embedders.md). Its SHA-256 is what a stored vector is found by, so neither
 * another batch split nor a new version of a document makes a text be sent twice.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "outbound/embeddings.h"
#include "server/digest_map.h"
#include "server/endpoint_keys.h"
#include "server/intake_priv.h"
#include "server/server.h"

/* One text to embed and the chunk that wants it. */
struct want {
    struct chunk_put *chunk;
    size_t doc; /* into puts */
    struct str text;
};

struct str intake_embedded_text(struct arena *a, struct str title, struct str heading, struct str text)
{
    return str_of(arena_printf(a, "%.*s%s%.*s%s%.*s", STR_FMT(title), title.len > 0 ? "\n" : "", STR_FMT(heading),
                               heading.len > 0 ? "\n\n"
                               : title.len > 0 ? "\n"
                                               : "",
                               STR_FMT(text)));
}

static enum assay_code endpoint(struct intake *in, struct arena *a, const struct collection *c, struct str prefix,
                                struct embeddings_endpoint *out, struct err *err)
{
    const struct embedder_spec *s = &c->spec;
    *out = (struct embeddings_endpoint){
        .base_url = s->base_url,
        .model = s->model,
        .prefix = prefix,
        .dim = s->dim,
        .batch_size = s->batch_size,
        .timeout_ms = s->timeout_ms,
        .retries = s->retries,
    };
    if (s->key_name.len == 0)
        return ASSAY_OK;
    return endpoint_key_get(a, in->server->config->endpoint_keys_file, s->key_name, &out->key, err);
}

static enum assay_code call_endpoint(struct intake *in, const struct call *call, const struct collection *c,
                                     struct str prefix, const struct str *texts, size_t n, float *out, struct err *err)
{
    struct metrics *m = in->server->metrics;
    struct embeddings_endpoint ep;
    int calls = 0;
    enum assay_code code = endpoint(in, call->arena, c, prefix, &ep, err);
    if (code == ASSAY_OK)
        code = embeddings_get(in->server->outbound, call, &ep, texts, n, out, &calls, err);
    metrics_add(m, METRIC_EMBED_CALLS, calls);
    metrics_add(m, METRIC_EMBED_TEXTS, code == ASSAY_OK ? (int64_t)n : 0);
    if (code != ASSAY_OK) {
        metrics_add(m, METRIC_EMBED_FAILURES, 1);
        log_err(LOG_WARN, "embedding failed", err);
    }
    return code;
}

/* Sends what is wanted, each different text once, and gives every chunk its vector. */
static enum assay_code embed_wants(struct intake *in, const struct call *call, const struct collection *c,
                                   struct want *wants, size_t n, struct err *err)
{
    struct arena *a = call->arena;
    size_t dim = (size_t)c->spec.dim, unique = 0;
    struct digest_map seen;
    struct str *texts = ARENA_ARRAY(a, struct str, n);
    size_t *at = ARENA_ARRAY(a, size_t, n);
    digest_map_init(&seen, a, n);
    for (size_t i = 0; i < n; i++) {
        at[i] = digest_map_put(&seen, &wants[i].chunk->embed_hash, unique);
        if (at[i] == unique)
            texts[unique++] = wants[i].text;
    }
    float *vectors = ARENA_ARRAY(a, float, unique *dim);
    TRY(call_endpoint(in, call, c, c->spec.document_prefix, texts, unique, vectors, err));
    for (size_t i = 0; i < n; i++)
        wants[i].chunk->embedding = vectors + at[i] * dim;
    return ASSAY_OK;
}

static void fail(bool *failed, struct err *errs, size_t doc, const struct err *why)
{
    if (failed[doc])
        return;
    failed[doc] = true;
    err_set(&errs[doc], why->code, why->slug, "%s", why->detail);
}

/* All at once; when the endpoint refuses that (one text may be to blame), document by document. An endpoint that is
 * away is not asked again for each. */
static void embed_isolated(struct intake *in, const struct call *call, const struct collection *c, struct want *wants,
                           size_t n, bool *failed, struct err *errs)
{
    struct err why = {0};
    enum assay_code code = embed_wants(in, call, c, wants, n, &why);
    bool several = n > 0 && wants[0].doc != wants[n - 1].doc;
    for (size_t i = 0; code != ASSAY_OK && i < n;) {
        size_t end = i + 1;
        while (end < n && wants[end].doc == wants[i].doc)
            end++;
        if (code == ASSAY_UPSTREAM && several) {
            struct err own = {0};
            if (embed_wants(in, call, c, wants + i, end - i, &own) != ASSAY_OK)
                fail(failed, errs, wants[i].doc, &own);
            err_clear(&own);
        } else {
            fail(failed, errs, wants[i].doc, &why);
        }
        i = end;
    }
    err_clear(&why);
}

enum assay_code intake_embed(struct intake *in, const struct call *call, struct collection *c,
                             struct document_put *puts, size_t n, bool *failed, struct err *errs, struct err *err)
{
    struct arena *a = call->arena;
    size_t total = 0, at = 0, missing = 0;
    for (size_t i = 0; i < n; i++)
        total += puts[i].n_chunks;
    if (total == 0)
        return ASSAY_OK;
    struct want *wants = ARENA_ARRAY(a, struct want, total);
    struct digest *hashes = ARENA_ARRAY(a, struct digest, total);
    const float **found = ARENA_ARRAY(a, const float *, total);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < puts[i].n_chunks; j++, at++) {
            struct chunk_put *ch = &puts[i].chunks[j];
            wants[at] = (struct want){ch, i, intake_embedded_text(a, puts[i].title, ch->heading, ch->text)};
            digest_sha256(wants[at].text.ptr, wants[at].text.len, &ch->embed_hash);
            hashes[at] = ch->embed_hash;
        }
    TRY(store_embeddings_find(in->server->store, call, c->id, &c->embedder, c->spec.dim, hashes, total, found, err));
    for (size_t i = 0; i < total; i++) {
        wants[i].chunk->embedding = found[i];
        if (!found[i])
            wants[missing++] = wants[i];
    }
    if (missing > 0)
        embed_isolated(in, call, c, wants, missing, failed, errs);
    return ASSAY_OK;
}

enum assay_code intake_embed_queries(struct intake *in, const struct call *call, struct collection *c,
                                     const struct str *texts, size_t n, float *out, struct err *err)
{
    if (c->spec.kind != EMBEDDER_OPENAI)
        return err_set(err, ASSAY_UNPROCESSABLE, "vector-required", "This collection takes the client's vectors.");
    return call_endpoint(in, call, c, c->spec.query_prefix, texts, n, out, err);
}

enum assay_code intake_embed_passages(struct intake *in, const struct call *call, const struct collection *c,
                                      const struct str *texts, size_t n, float *out, struct err *err)
{
    return call_endpoint(in, call, c, c->spec.document_prefix, texts, n, out, err);
}
