/*
 * OpenAI-compatible embeddings. The wire shape: {"model","input":[...],"encoding_format":"float"} ->
 * {"data":[{"index","embedding":[...]}]}; servers that answer base64 (little-endian float32) are understood too.
 */
#include "outbound/embeddings.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/json_read.h"
#include "base/json_write.h"
#include "base/log.h"

enum {
    NUMBERS_MAX = 400000, /* of one answer: stays below JSON_VALUES_MAX */
    NUMBER_BYTES = 32,    /* of one number in JSON, generously */
    REPLY_EXTRA = 1 << 16,
    BACKOFF_FIRST_MS = 200,
    BACKOFF_MAX_MS = 10000
};

static bool may_pass_later(int status)
{
    return status == 408 || status == 409 || status == 424 || status == 429 || status >= 500;
}

/* Waits before try `attempt` + 1: exponential with full jitter, at least what the endpoint asked for. False when that
 * is past the deadline. */
static bool back_off(const struct call *call, int attempt, int64_t retry_after_s)
{
    int64_t cap_ms = BACKOFF_FIRST_MS;
    for (int i = 0; i < attempt && cap_ms < BACKOFF_MAX_MS; i++)
        cap_ms *= 2;
    uint32_t random;
    digest_random(&random, sizeof random);
    int64_t wait_us = (cap_ms / 2 + (int64_t)(random % (uint32_t)cap_ms) / 2) * 1000;
    if (retry_after_s > 86400)
        return false;
    if (wait_us < retry_after_s * CLOCK_SECOND)
        wait_us = retry_after_s * CLOCK_SECOND;
    if (clock_mono_us() + wait_us >= call->deadline_us)
        return false;
    struct timespec ts = {.tv_sec = wait_us / CLOCK_SECOND, .tv_nsec = wait_us % CLOCK_SECOND * 1000};
    while (nanosleep(&ts, &ts) != 0) /* the only failure is an interruption; ts then holds what is left */
        ;
    return true;
}

static void write_request(const struct embeddings_endpoint *ep, const struct str *texts, size_t n, struct buf *body)
{
    struct jsonw w;
    struct buf joined = {0};
    jsonw_init(&w, body);
    jsonw_object(&w);
    jsonw_kstr(&w, "model", ep->model);
    jsonw_key(&w, "input");
    jsonw_array(&w);
    for (size_t i = 0; i < n; i++) {
        joined.len = 0;
        buf_put(&joined, ep->prefix.ptr, ep->prefix.len);
        buf_put(&joined, texts[i].ptr, texts[i].len);
        jsonw_str(&w, (struct str){joined.data ? joined.data : "", joined.len});
    }
    jsonw_array_end(&w);
    jsonw_kcstr(&w, "encoding_format", "float");
    jsonw_object_end(&w);
    buf_free(&joined);
}

/* Asks until there is a 200, a refusal that stays, or no time left. */
static enum assay_code ask(struct outbound *o, const struct call *call, const struct embeddings_endpoint *ep,
                           const struct outbound_request *req, struct str *answer, int *calls, struct err *err)
{
    for (int attempt = 0;; attempt++) {
        struct outbound_reply reply = {0};
        (*calls)++;
        enum assay_code code = outbound_post(o, call, req, &reply, err);
        if (code == ASSAY_OK && reply.status == 200) {
            *answer = reply.body;
            return ASSAY_OK;
        }
        if (code != ASSAY_OK && code != ASSAY_UNAVAILABLE)
            return code;
        if (code == ASSAY_OK && !may_pass_later(reply.status))
            return err_set(err, ASSAY_UPSTREAM, "embedder-refused", "The embedding endpoint refused: HTTP status %d.",
                           reply.status);
        if (attempt >= ep->retries || !back_off(call, attempt, reply.retry_after_s)) {
            if (code == ASSAY_OK)
                return err_set(err, ASSAY_UNAVAILABLE, "embedder-unavailable",
                               "The embedding endpoint answered with HTTP status %d, %d times.", reply.status,
                               attempt + 1);
            return err_set(err, ASSAY_UNAVAILABLE, "embedder-unavailable",
                           "The embedding endpoint could not be reached in %d attempts.", attempt + 1);
        }
        log_info("embedding endpoint asked again", "status=%d attempt=%d", reply.status, attempt + 1);
    }
}

static enum assay_code bad_answer(struct err *err, const char *what)
{
    return err_set(err, ASSAY_UPSTREAM, "embedder-answer", "The embedding endpoint's answer cannot be used: %s.", what);
}

/* Little-endian float32, whatever this machine is. */
static float float_le(const unsigned char *p)
{
    uint32_t bits = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static enum assay_code read_vector(struct arena *a, const json_t *v, int dim, float *out, struct err *err)
{
    size_t n = (size_t)dim;
    if (json_is_string(v)) {
        struct str raw;
        if (!base64_decode(a, (struct str){json_string_value(v), json_string_length(v)}, &raw))
            return bad_answer(err, "an embedding is not base64");
        if (raw.len != n * sizeof(float))
            return bad_answer(err, "an embedding has another dimension than the collection");
        for (size_t i = 0; i < n; i++)
            out[i] = float_le((const unsigned char *)raw.ptr + i * sizeof(float));
    } else {
        if (!json_is_array(v) || json_array_size(v) != n)
            return bad_answer(err, "an embedding has another dimension than the collection");
        for (size_t i = 0; i < n; i++) {
            const json_t *x = json_array_get(v, i);
            if (!json_is_number(x))
                return bad_answer(err, "an embedding holds something that is not a number");
            out[i] = (float)json_number_value(x);
        }
    }
    double norm = 0;
    for (size_t i = 0; i < n; i++)
        norm += (double)out[i] * (double)out[i];
    if (!isfinite(norm) || norm <= 0)
        return bad_answer(err, "an embedding is zero or not finite");
    return ASSAY_OK;
}

static enum assay_code read_answer(struct arena *a, struct str text, size_t n, int dim, float *out, struct err *err)
{
    json_t *root = NULL;
    if (json_parse(a, text, &root, NULL) != ASSAY_OK)
        return bad_answer(err, "it is not JSON");
    const json_t *data = json_object_get(root, "data");
    if (!json_is_array(data) || json_array_size(data) != n)
        return bad_answer(err, "it has not one embedding for each text");
    bool *seen = ARENA_ARRAY(a, bool, n);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(data, i);
        const json_t *index = json_object_get(item, "index");
        json_int_t at = json_is_integer(index) ? json_integer_value(index) : -1;
        if (at < 0 || (size_t)at >= n || seen[at])
            return bad_answer(err, "its indexes are not 0 to n-1");
        seen[at] = true;
        TRY(read_vector(a, json_object_get(item, "embedding"), dim, out + (size_t)at * (size_t)dim, err));
    }
    return ASSAY_OK;
}

static enum assay_code get_batch(struct outbound *o, const struct call *call, const struct embeddings_endpoint *ep,
                                 const struct str *texts, size_t n, float *out, int *calls, struct err *err)
{
    struct buf body = {0};
    struct str answer = {0};
    write_request(ep, texts, n, &body);
    struct outbound_request req = {
        .url = arena_printf(call->arena, "%.*s/embeddings", STR_FMT(ep->base_url)),
        .bearer = ep->key,
        .body = buf_str(&body),
        .timeout_ms = ep->timeout_ms,
        .reply_max = n * (size_t)ep->dim * NUMBER_BYTES + REPLY_EXTRA,
    };
    enum assay_code code = ask(o, call, ep, &req, &answer, calls, err);
    buf_free(&body);
    return code == ASSAY_OK ? read_answer(call->arena, answer, n, ep->dim, out, err) : code;
}

enum assay_code embeddings_get(struct outbound *o, const struct call *call, const struct embeddings_endpoint *ep,
                               const struct str *texts, size_t n, float *out, int *calls, struct err *err)
{
    size_t batch = (size_t)ep->batch_size;
    size_t fits = NUMBERS_MAX / (size_t)ep->dim;
    if (batch > fits)
        batch = fits;
    enum assay_code code = ASSAY_OK;
    for (size_t at = 0; at < n && code == ASSAY_OK; at += batch) {
        size_t m = n - at < batch ? n - at : batch;
        struct arena_mark mark = arena_mark(call->arena); /* the JSON trees of one batch only */
        code = get_batch(o, call, ep, texts + at, m, out + at * (size_t)ep->dim, calls, err);
        arena_rollback(call->arena, mark);
    }
    return code;
}
