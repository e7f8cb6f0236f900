#include "outbound/rerank.h"

#include <math.h>
#include <string.h>

#include "base/json_read.h"
#include "base/json_write.h"

enum { REPLY_MAX = 4 << 20 /* bytes: some endpoints send the texts back */ };

static void write_request(const struct rerank_endpoint *ep, struct str query, const struct str *texts, size_t n,
                          struct buf *body)
{
    struct jsonw w;
    bool named = ep->model.len > 0;
    jsonw_init(&w, body);
    jsonw_object(&w);
    if (named)
        jsonw_kstr(&w, "model", ep->model);
    jsonw_kstr(&w, "query", query);
    jsonw_key(&w, named ? "documents" : "texts");
    jsonw_array(&w);
    for (size_t i = 0; i < n; i++)
        jsonw_str(&w, texts[i]);
    jsonw_array_end(&w);
    if (named)
        jsonw_kint(&w, "top_n", (int64_t)n);
    else
        jsonw_kbool(&w, "truncate", true);
    jsonw_object_end(&w);
}

static enum assay_code bad_answer(struct err *err, const char *what)
{
    return err_set(err, ASSAY_UPSTREAM, "reranker-answer", "The reranker's answer cannot be used: %s.", what);
}

static enum assay_code read_answer(struct arena *a, struct str text, size_t n, double *scores, struct err *err)
{
    json_t *root = NULL;
    if (json_parse(a, text, &root, NULL) != ASSAY_OK)
        return bad_answer(err, "it is not JSON");
    const json_t *items = json_is_array(root) ? root : json_object_get(root, "results");
    if (!json_is_array(items) || json_array_size(items) != n)
        return bad_answer(err, "it has not one score for each text");
    bool *seen = ARENA_ARRAY(a, bool, n);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(items, i), *index = json_object_get(item, "index");
        const json_t *score = json_object_get(item, "relevance_score");
        if (!score)
            score = json_object_get(item, "score");
        json_int_t at = json_is_integer(index) ? json_integer_value(index) : -1;
        if (at < 0 || (size_t)at >= n || seen[at])
            return bad_answer(err, "its indexes are not 0 to n-1");
        if (!json_is_number(score) || !isfinite(json_number_value(score)))
            return bad_answer(err, "a score is not a finite number");
        seen[at] = true;
        scores[at] = json_number_value(score);
    }
    return ASSAY_OK;
}

enum assay_code rerank_get(struct outbound *o, const struct call *call, const struct rerank_endpoint *ep,
                           struct str query, const struct str *texts, size_t n, double *scores, struct err *err)
{
    struct buf body = {0};
    struct outbound_reply reply = {0};
    write_request(ep, query, texts, n, &body);
    struct outbound_request req = {
        .url = arena_printf(call->arena, "%.*s/rerank", STR_FMT(ep->base_url)),
        .bearer = ep->key,
        .body = buf_str(&body),
        .timeout_ms = ep->timeout_ms,
        .reply_max = REPLY_MAX,
    };
    enum assay_code code = outbound_post(o, call, &req, &reply, err);
    buf_free(&body);
    if (code == ASSAY_UNAVAILABLE)
        return err_set(err, code, "reranker-unavailable", "The reranker did not answer in time.");
    TRY(code);
    if (reply.status == 408 || reply.status == 429 || reply.status >= 500)
        return err_set(err, ASSAY_UNAVAILABLE, "reranker-unavailable", "The reranker answered with HTTP status %d.",
                       reply.status);
    if (reply.status != 200)
        return err_set(err, ASSAY_UPSTREAM, "reranker-refused", "The reranker refused: HTTP status %d.", reply.status);
    return read_answer(call->arena, reply.body, n, scores, err);
}
