/*
 * HTTP calls out: a pool of easy handles. A handle keeps its connections open between calls, so a thread that takes the
 * handle another has given back finds the endpoint's connection still warm.
 */
#include "outbound/http.h"

#include <assert.h>
#include <curl/curl.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

enum { POOL_MAX = 16, CONNECT_TIMEOUT_MS = 5000 };

struct outbound {
    pthread_mutex_t lock; /* guards idle and n_idle; held for a push or a pop only */
    CURL *idle[POOL_MAX];
    size_t n_idle;
};

/* What one transfer collects. */
struct transfer {
    struct buf body;
    size_t max;
    bool overflow;
};

struct outbound *outbound_new(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return NULL;
    struct outbound *o = mem_calloc(1, sizeof *o);
    int rc = pthread_mutex_init(&o->lock, NULL);
    assert(rc == 0);
    (void)rc;
    return o;
}

void outbound_free(struct outbound *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < o->n_idle; i++)
        curl_easy_cleanup(o->idle[i]);
    pthread_mutex_destroy(&o->lock);
    free(o);
    curl_global_cleanup();
}

static CURL *take(struct outbound *o)
{
    CURL *h = NULL;
    pthread_mutex_lock(&o->lock);
    if (o->n_idle > 0)
        h = o->idle[--o->n_idle];
    pthread_mutex_unlock(&o->lock);
    return h ? h : curl_easy_init();
}

static void give(struct outbound *o, CURL *h)
{
    curl_easy_reset(h); /* forgets options, keeps connections */
    pthread_mutex_lock(&o->lock);
    bool kept = o->n_idle < POOL_MAX;
    if (kept)
        o->idle[o->n_idle++] = h;
    pthread_mutex_unlock(&o->lock);
    if (!kept)
        curl_easy_cleanup(h);
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    size_t len = size * n; /* libcurl passes size 1 */
    if (len > t->max - t->body.len) {
        t->overflow = true;
        return 0;
    }
    buf_put(&t->body, data, len);
    return len;
}

/* The header lines; NULL when out of memory. The line with the key is wiped by wipe_headers. */
static struct curl_slist *make_headers(const struct outbound_request *req)
{
    struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");
    struct curl_slist *next = list ? curl_slist_append(list, "Expect:") : NULL;
    if (next && req->bearer.len > 0) {
        struct buf line = {0};
        buf_reserve(&line, req->bearer.len + sizeof "Authorization: Bearer "); /* one block: no stale copy by growth */
        buf_puts(&line, "Authorization: Bearer ");
        buf_put(&line, req->bearer.ptr, req->bearer.len);
        next = curl_slist_append(list, buf_cstr(&line));
        OPENSSL_cleanse(line.data, line.len);
        buf_free(&line);
    }
    if (next)
        return list;
    curl_slist_free_all(list);
    return NULL;
}

static void wipe_headers(struct curl_slist *list)
{
    for (struct curl_slist *l = list; l; l = l->next)
        OPENSSL_cleanse(l->data, strlen(l->data));
    curl_slist_free_all(list);
}

static bool set_options(CURL *h, const struct outbound_request *req, long timeout_ms, struct curl_slist *headers,
                        struct transfer *t)
{
    long connect_ms = timeout_ms < CONNECT_TIMEOUT_MS ? timeout_ms : CONNECT_TIMEOUT_MS;
    CURLcode rc = CURLE_OK;
    rc = rc ? rc : curl_easy_setopt(h, CURLOPT_URL, req->url);
    rc = rc ? rc : curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L); /* timeouts without SIGALRM: the process has threads */
    rc = rc ? rc : curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    rc = rc ? rc : curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    rc = rc ? rc : curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 1L);
    rc = rc ? rc : curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 2L);
    rc = rc ? rc : curl_easy_setopt(h, CURLOPT_USERAGENT, "assay");
    rc = rc ? rc : curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    rc = rc ? rc : curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body.len);
    rc = rc ? rc : curl_easy_setopt(h, CURLOPT_POSTFIELDS, req->body.ptr ? req->body.ptr : "");
    rc = rc ? rc : curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, timeout_ms);
    rc = rc ? rc : curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
    rc = rc ? rc : curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    rc = rc ? rc : curl_easy_setopt(h, CURLOPT_WRITEDATA, t);
    return rc == CURLE_OK;
}

static enum assay_code read_info(CURL *h, const struct call *call, const struct transfer *t,
                                 struct outbound_reply *reply, struct err *err)
{
    long status = 0;
    curl_off_t after = 0;
    if (curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK || status < 100 || status > 599)
        return err_set(err, ASSAY_UPSTREAM, NULL, "The endpoint did not answer with HTTP.");
    if (curl_easy_getinfo(h, CURLINFO_RETRY_AFTER, &after) != CURLE_OK || after < 0)
        after = 0;
    reply->status = (int)status;
    reply->retry_after_s = (int64_t)after;
    reply->body = str_dup(call->arena, buf_str(&t->body));
    return ASSAY_OK;
}

enum assay_code outbound_post(struct outbound *o, const struct call *call, const struct outbound_request *req,
                              struct outbound_reply *reply, struct err *err)
{
    int64_t left_ms = (call->deadline_us - clock_mono_us()) / 1000;
    if (left_ms <= 0)
        return err_set(err, ASSAY_UNAVAILABLE, NULL, "There was no time left to ask the endpoint.");
    long timeout_ms = left_ms < req->timeout_ms ? (long)left_ms : (long)req->timeout_ms;
    enum assay_code code = ASSAY_OK;
    struct transfer t = {.max = req->reply_max};
    CURL *h = take(o);
    struct curl_slist *headers = make_headers(req);
    if (!h || !headers || !set_options(h, req, timeout_ms, headers, &t)) {
        code = err_set(err, ASSAY_INTERNAL, NULL, "A call out could not be prepared.");
        goto cleanup;
    }
    CURLcode rc = curl_easy_perform(h);
    if (t.overflow) {
        code = err_set(err, ASSAY_UPSTREAM, NULL, "The endpoint's answer is larger than %zu bytes.", req->reply_max);
    } else if (rc != CURLE_OK) {
        log_warn("call out failed", "curl=%d reason=%s", (int)rc, log_quote(curl_easy_strerror(rc)).s);
        code = err_set(err, ASSAY_UNAVAILABLE, NULL, "The endpoint did not answer in time or could not be reached.");
    } else {
        code = read_info(h, call, &t, reply, err);
    }
cleanup:
    if (h)
        give(o, h);
    wipe_headers(headers);
    buf_free(&t.body);
    return code;
}
