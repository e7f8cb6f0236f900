/* Probes, figures and the contract: open to all, never blocking. */
#include <string.h>

#include "handlers/handlers.h"
#include "server/server.h"
#include "server/version.h"

HANDLER(handle_health_live)
{
    struct jsonw w;
    (void)req, (void)err;
    reply_json(reply, 200, &w);
    jsonw_object(&w);
    jsonw_kcstr(&w, "status", "ok");
    jsonw_kcstr(&w, "version", version_string());
    jsonw_object_end(&w);
    return ASSAY_OK;
}

/* Ready: PostgreSQL answers, the index has caught up once, and the server is not stopping. */
HANDLER(handle_health_ready)
{
    struct server *s = req->server;
    struct jsonw w;
    (void)err;
    bool postgresql = follower_healthy(s->follower);
    bool index = follower_caught_up(s->follower);
    bool draining = atomic_load(&s->draining);
    bool ready = postgresql && index && !draining;
    const char *status = "starting";
    if (draining)
        status = "draining";
    else if (ready)
        status = "ready";
    else if (!postgresql)
        status = "degraded";
    reply_json(reply, ready ? 200 : 503, &w);
    jsonw_object(&w);
    jsonw_kcstr(&w, "status", status);
    jsonw_kbool(&w, "postgresql", postgresql);
    jsonw_kbool(&w, "index", index);
    jsonw_kbool(&w, "draining", draining);
    jsonw_kdouble(&w, "lag_seconds", follower_lag_seconds(s->follower));
    jsonw_object_end(&w);
    if (!ready)
        reply_header(reply, "Retry-After", "1");
    return ASSAY_OK;
}

/* OpenMetrics only when it is asked for by name: every Prometheus reads the text format too. */
HANDLER(handle_metrics_get)
{
    (void)err;
    struct str accept = request_header(req, "accept");
    bool openmetrics = accept.len > 0 && memmem(accept.ptr, accept.len, "application/openmetrics-text", 28) != NULL;
    metrics_write(req->server, openmetrics, &reply->body);
    reply->status = 200;
    reply->content_type = openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                      : "text/plain; version=0.0.4; charset=utf-8";
    return ASSAY_OK;
}

HANDLER(handle_openapi_get)
{
    (void)err;
    reply->status = 200;
    reply->content_type = "application/json";
    buf_put(&reply->body, req->server->openapi_json.ptr, req->server->openapi_json.len);
    return ASSAY_OK;
}
