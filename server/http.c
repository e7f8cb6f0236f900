/* Starting and stopping; what libmicrohttpd calls back. */
#include "server/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/config.h"
#include "server/http_internal.h"
#include "server/priority.h"

enum { PEM_MAX = 1 << 20, FLUSH_SECONDS = 2, OPTIONS_MAX = 24 };
static const char tls_priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

/* ---- callbacks ---- */

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *connection)
{
    struct http *h = cls;
    struct exchange *ex = exchange_new(h, connection, uri);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    ex->conn = info ? info->socket_context : NULL;
    if (ex->conn) {
        pthread_mutex_lock(&h->lock);
        ex->conn->current = ex;
        pthread_mutex_unlock(&h->lock);
    }
    return ex;
}

static enum MHD_Result on_access(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                                 const char *version, const char *data, size_t *data_size, void **context)
{
    (void)cls, (void)connection, (void)url;
    struct exchange *ex = *context;
    if (!ex || !ex->conn)
        return MHD_NO;
    if (!ex->begun)
        return exchange_begin(ex, method, version);
    if (*data_size > 0)
        return exchange_data(ex, data, data_size);
    return exchange_end(ex);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode why)
{
    (void)connection, (void)why;
    struct http *h = cls;
    struct exchange *ex = *context;
    *context = NULL;
    if (!ex)
        return;
    if (ex->conn) {
        pthread_mutex_lock(&h->lock);
        ex->conn->current = NULL;
        ex->conn->idle_since_us = clock_mono_us();
        pthread_mutex_unlock(&h->lock);
    }
    exchange_completed(ex);
}

static void conn_open(struct http *h, struct MHD_Connection *connection, void **context)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info)
        return;
    struct conn *c = mem_calloc(1, sizeof *c);
    c->fd = info->connect_fd;
    c->idle_since_us = clock_mono_us();
    pthread_mutex_lock(&h->lock);
    c->next = h->conns;
    if (c->next)
        c->next->prev = c;
    h->conns = c;
    pthread_mutex_unlock(&h->lock);
    *context = c;
}

/* Called before the descriptor is closed, so that the janitor never cuts somebody else's. */
static void conn_close(struct http *h, void **context)
{
    struct conn *c = *context;
    *context = NULL;
    if (!c)
        return;
    pthread_mutex_lock(&h->lock);
    if (c->prev)
        c->prev->next = c->next;
    else
        h->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    pthread_mutex_unlock(&h->lock);
    free(c);
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http *h = cls;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        conn_open(h, connection, context);
        return;
    }
    conn_close(h, context);
    atomic_fetch_sub(&h->connections, 1);
}

/* The library's own words, mostly about clients that went away. */
static void on_library_log(void *cls, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));
static void on_library_log(void *cls, const char *fmt, va_list args)
{
    (void)cls;
    char text[256];
    int n = vsnprintf(text, sizeof text, fmt, args);
    if (n <= 0)
        return;
    size_t len = strlen(text);
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
        text[--len] = '\0';
    log_debug("libmicrohttpd", "text=%s", log_quote(text).s);
}

/* ---- TLS ---- */

static enum assay_code read_pem(const char *setting, const char *path, char **out, struct err *err)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(err, ASSAY_INVALID, NULL, "%s: %.150s cannot be read: %s", setting, path, strerror(errno));
    char *text = mem_alloc(PEM_MAX + 1);
    size_t n = fread(text, 1, PEM_MAX, f);
    bool bad = ferror(f) != 0 || n == PEM_MAX;
    if (fclose(f) != 0 || bad || n == 0) {
        free(text);
        return err_set(err, ASSAY_INVALID, NULL, "%s: %.150s is empty, too long or cannot be read", setting, path);
    }
    text[n] = '\0';
    *out = text;
    return ASSAY_OK;
}

static enum assay_code load_tls(struct http *h, struct err *err)
{
    const struct config *c = h->server->config;
    if (c->tls_cert[0] == '\0')
        return ASSAY_OK;
    if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
        return err_set(err, ASSAY_INVALID, NULL, "tls_cert is set, but this libmicrohttpd was built without TLS");
    TRY(read_pem("tls_cert", c->tls_cert, &h->tls_cert, err));
    return read_pem("tls_key", c->tls_key, &h->tls_key, err);
}

/* ---- start ---- */

static struct MHD_Daemon *start_daemon(struct http *h)
{
    const struct config *c = h->server->config;
    struct MHD_OptionItem options[OPTIONS_MAX];
    size_t n = 0;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET |
                     MHD_USE_ERROR_LOG;
    /* The pool is the request's memory inside the library: headers both ways, and what is read of a body at a time. */
    int pool = c->header_max < 32768 ? 65536 : 2 * c->header_max;
    /* The acceptor keeps connection_max. The library is to be far from any limit of its own: version 0.9.75 leaves a
     * mutex locked when a connection that waits in a worker's queue meets it. */
    int connections = (c->connection_max + 1) * c->http_threads;
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_MEMORY_LIMIT, pool, NULL};
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_LIMIT, connections, NULL};
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_TIMEOUT, c->idle_timeout_s, NULL};
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL};
    if (c->connection_per_ip_max > 0)
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_PER_IP_CONNECTION_LIMIT, c->connection_per_ip_max, NULL};
    if (c->http_threads > 1)
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, c->http_threads, NULL};
    if (h->tls_cert) {
        flags |= MHD_USE_TLS;
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, h->tls_cert};
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, h->tls_key};
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, mem_strdup(tls_priorities)};
    }
    options[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    struct MHD_Daemon *d =
        MHD_start_daemon(flags, 0, NULL, NULL, on_access, h, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL,
                         MHD_OPTION_URI_LOG_CALLBACK, on_uri, h, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
                         MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (h->tls_cert)
        free(options[n - 1].ptr_value);
    return d;
}

static void http_free(struct http *h)
{
    if (h->listen_fd >= 0)
        close(h->listen_fd);
    sse_hub_free(h->sse);
    free(h->tls_cert);
    if (h->tls_key) {
        explicit_bzero(h->tls_key, strlen(h->tls_key));
        free(h->tls_key);
    }
    pthread_mutex_destroy(&h->lock);
    free(h);
}

enum assay_code http_start(struct server *server, struct http **out, struct err *err)
{
    struct http *h = mem_calloc(1, sizeof *h);
    h->server = server;
    h->listen_fd = -1;
    h->buffered_max = 8 * server->config->body_max;
    if (h->buffered_max < 256 << 20)
        h->buffered_max = 256 << 20;
    if (pthread_mutex_init(&h->lock, NULL) != 0) {
        free(h);
        return err_set(err, ASSAY_INTERNAL, NULL, "the HTTP server's lock cannot be made");
    }
    h->sse = sse_hub_new();
    enum assay_code code = load_tls(h, err);
    if (code == ASSAY_OK)
        code = http_listen(h, err);
    if (code == ASSAY_OK) {
        priority_slices(true); /* of the daemon's threads: searches run in them */
        h->daemon = start_daemon(h);
        priority_slices(false);
        if (!h->daemon)
            code = err_set(err, ASSAY_INVALID, NULL, "the HTTP server does not start%s",
                           h->tls_cert ? ": tls_cert and tls_key are not a certificate and its private key" : "");
    }
    if (code == ASSAY_OK) {
        h->acceptor_runs = pthread_create(&h->acceptor, NULL, http_acceptor_main, h) == 0;
        h->janitor_runs = pthread_create(&h->janitor, NULL, http_janitor_main, h) == 0;
        if (!h->acceptor_runs || !h->janitor_runs) {
            http_stop(h);
            return err_set(err, ASSAY_INTERNAL, NULL, "the HTTP server's threads cannot be started");
        }
        *out = h;
        return ASSAY_OK;
    }
    http_free(h);
    return code;
}

const char *http_address(const struct http *h)
{
    return h->address;
}

/* ---- stop ---- */

static void wait_for_quiet(struct http *h, int64_t deadline_us)
{
    while (atomic_load(&h->under_way) > 0 && clock_mono_us() < deadline_us) {
        struct timespec tick = {0, 10000000L};
        nanosleep(&tick, NULL);
    }
}

void http_drain(struct http *h, int64_t deadline_us)
{
    sse_hub_end(h->sse);
    wait_for_quiet(h, deadline_us);
    pthread_mutex_lock(&h->lock);
    h->closed = true;
    int broken = 0;
    for (struct conn *c = h->conns; c; c = c->next) {
        if (c->current && c->current->stream) {
            body_stream_abort(c->current->stream);
            broken++;
        }
    }
    pthread_mutex_unlock(&h->lock);
    if (broken > 0)
        log_warn("bodies were broken off by the stop", "count=%d", broken);
}

void http_stop(struct http *h)
{
    if (!h)
        return;
    wait_for_quiet(h, clock_mono_us() + FLUSH_SECONDS * CLOCK_SECOND);
    atomic_store(&h->stopping, true);
    if (h->acceptor_runs)
        pthread_join(h->acceptor, NULL);
    if (h->janitor_runs)
        pthread_join(h->janitor, NULL);
    sse_hub_stop(h->sse);
    MHD_stop_daemon(h->daemon);
    http_free(h);
}
