/*
 * OpenAI-compatible POST <base_url>/embeddings (OpenAI, TEI, Ollama, llama.cpp, vLLM).
 *
 * Batches, retries on 408, 409, 424, 429, 5xx and lost connections with exponential backoff and jitter (honouring
 * Retry-After within the deadline); answers are sorted by index and refused when count, dimension or finiteness are
 * wrong.
 */
#ifndef ASSAY_OUTBOUND_EMBEDDINGS_H
#define ASSAY_OUTBOUND_EMBEDDINGS_H

#include "outbound/http.h"

struct embeddings_endpoint {
    struct str base_url, model; /* base_url ends with /v1 or the like; "/embeddings" is appended */
    struct str key;             /* secret, may be absent */
    struct str prefix;          /* put before each text ("query: "), may be absent */
    int dim, batch_size, timeout_ms, retries;
};
/* out: n * dim floats, row-major. Either all texts or none: out is not to be used after an error.
 * ASSAY_UNAVAILABLE "embedder-unavailable" (it may pass later), ASSAY_UPSTREAM "embedder-refused" or "embedder-answer".
 * *calls is raised by the number of requests sent. Blocks; thread-safe. */
enum assay_code embeddings_get(struct outbound *o, const struct call *call, const struct embeddings_endpoint *ep,
                               const struct str *texts, size_t n, float *out, int *calls, struct err *err) MUST_USE;

#endif
