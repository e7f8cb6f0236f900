/*
 * POST <base_url>/rerank, as TEI, Jina, Cohere, vLLM and llama.cpp share it.
 *
 * With a model the request is {"model","query","documents","top_n"} and without one TEI's {"query","texts","truncate"};
 * the answer may be TEI's bare array of {"index","score"} or {"results":[{"index","relevance_score"}]}, whatever was
 * asked. One attempt: a search waits for it, and can do without.
 */
#ifndef ASSAY_OUTBOUND_RERANK_H
#define ASSAY_OUTBOUND_RERANK_H

#include "outbound/http.h"

struct rerank_endpoint {
    struct str base_url, model; /* "/rerank" is appended; model may be absent */
    struct str key;             /* secret, may be absent */
    int timeout_ms;
};
/* Scores n texts (n >= 1) against the query: scores[i] is of texts[i], higher is better, finite. What scores holds
 * after an error means nothing. ASSAY_UNAVAILABLE "reranker-unavailable" (no answer in time, or 408, 429, 5xx),
 * ASSAY_UPSTREAM "reranker-refused" or "reranker-answer" (not one finite score for each text). Blocks; thread-safe. */
enum assay_code rerank_get(struct outbound *o, const struct call *call, const struct rerank_endpoint *ep,
                           struct str query, const struct str *texts, size_t n, double *scores,
                           struct err *err) MUST_USE;

#endif
