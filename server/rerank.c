#include "server/rerank.h"

#include <stdlib.h>
#include <string.h>

#include "outbound/rerank.h"
#include "server/endpoint_keys.h"
#include "server/server.h"

struct scored {
    struct vindex_hit hit;
    int place;
};

static int by_score(const void *pa, const void *pb)
{
    const struct scored *a = pa, *b = pb;
    if (a->hit.score != b->hit.score)
        return a->hit.score > b->hit.score ? -1 : 1;
    return memcmp(a->hit.chunk.b, b->hit.chunk.b, DIGEST_LEN);
}

/* The title lends a passage its context, as it does when it is embedded. */
static struct str passage(struct arena *a, const struct vindex_hit *h)
{
    return h->title.len ? str_of(arena_printf(a, "%.*s\n%.*s", STR_FMT(h->title), STR_FMT(h->text))) : h->text;
}

static enum assay_code ask(struct server *s, const struct call *call, const struct reranker_spec *spec,
                           struct str query, const struct vindex_result *r, double *scores, struct err *err)
{
    struct rerank_endpoint ep = {.base_url = spec->base_url, .model = spec->model, .timeout_ms = spec->timeout_ms};
    struct str *texts = ARENA_ARRAY(call->arena, struct str, r->n);
    if (spec->key_name.len > 0)
        TRY(endpoint_key_get(call->arena, s->config->endpoint_keys_file, spec->key_name, &ep.key, err));
    for (size_t i = 0; i < r->n; i++)
        texts[i] = passage(call->arena, &r->hits[i]);
    return rerank_get(s->outbound, call, &ep, query, texts, r->n, scores, err);
}

enum assay_code rerank_hits(struct server *s, const struct call *call, const struct collection *c, struct str query,
                            struct vindex_result *r, int *places, struct err *err)
{
    if (r->n == 0)
        return ASSAY_OK;
    double *scores = ARENA_ARRAY(call->arena, double, r->n);
    struct scored *items = ARENA_ARRAY(call->arena, struct scored, r->n);
    enum assay_code code = ask(s, call, &c->rules.reranker, query, r, scores, err);
    metrics_add(s->metrics, METRIC_RERANK_CALLS, 1);
    metrics_add(s->metrics, METRIC_RERANK_FAILURES, code != ASSAY_OK);
    TRY(code);
    for (size_t i = 0; i < r->n; i++) {
        items[i] = (struct scored){r->hits[i], (int)i + 1};
        items[i].hit.score = scores[i];
    }
    qsort(items, r->n, sizeof *items, by_score);
    for (size_t i = 0; i < r->n; i++) {
        r->hits[i] = items[i].hit;
        places[i] = items[i].place;
    }
    return ASSAY_OK;
}
