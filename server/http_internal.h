/* What the http*.c files share. */
#ifndef ASSAY_SERVER_HTTP_INTERNAL_H
#define ASSAY_SERVER_HTTP_INTERNAL_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "server/body_stream.h"
#include "server/dispatch.h"
#include "server/http.h"
#include "server/server.h"
#include "server/sse.h"

#if MHD_VERSION < 0x00097002
#error "libmicrohttpd 0.9.71 or later is needed"
#endif

enum {
    HTTP_DISCARD_MAX = 32 << 20, /* bytes of a refused body that are read to be polite, so that the refusal is heard */
    HTTP_DISCARD_SECONDS = 10,
    HTTP_SSE_MAX = 256 /* event streams at a time */
};

struct exchange;

/* One TCP connection. Guarded by http.lock, but for what is marked. */
struct conn {
    struct conn *prev, *next;
    int fd;                   /* constant */
    int64_t idle_since_us;    /* monotonic: accepted, or the last reply sent */
    struct exchange *current; /* NULL between requests */
};

struct sse_hub;
struct http {
    struct server *server;
    struct MHD_Daemon *daemon;
    struct sse_hub *sse;
    char *tls_cert, *tls_key; /* PEM; NULL without TLS */
    int listen_fd;
    char address[160];
    pthread_t acceptor, janitor;
    bool acceptor_runs, janitor_runs;
    atomic_bool stopping;
    atomic_int connections; /* open, or handed to libmicrohttpd to be opened */
    atomic_int under_way;   /* requests that began before draining and are not answered yet */
    atomic_llong buffered;  /* bytes of buffered bodies */
    long long buffered_max;
    pthread_mutex_t lock; /* conns and closed */
    struct conn *conns;
    bool closed; /* no more work for the workers */
};

/* Where a request stands. Every change is one compare-and-swap, so that the janitor, a worker and the HTTP thread
 * agree. */
enum exchange_phase {
    PHASE_RECEIVING, /* headers or a buffered body arrive */
    PHASE_WORKING,   /* a handler has it */
    PHASE_READY,     /* the reply is built */
    PHASE_QUEUED,    /* libmicrohttpd has the reply */
    PHASE_KILLED     /* the janitor cut the connection */
};

/* One request and its reply. Two may hold it: libmicrohttpd until the request is completed, a worker while it runs. */
struct exchange {
    struct request req;
    struct reply reply;
    struct dispatch dispatch;
    struct http *http;
    struct MHD_Connection *connection;
    struct conn *conn;
    struct str uri; /* raw, with the query */
    char request_id[65];
    atomic_int refs;
    atomic_int phase;
    bool begun;   /* headers were looked at */
    bool counted; /* in http.under_way */
    bool refused; /* the body is of no interest: read and dropped */
    int64_t discarded;
    struct buf body;
    struct body_stream *stream;
    pthread_mutex_t lock; /* waiting */
    bool waiting;         /* suspended until the reply is ready */
    atomic_bool body_done;
    int64_t begun_us, received_by_us, ready_us; /* monotonic; ready_us is written before phase becomes READY */
    int status;                                 /* as sent, 0 before */
    size_t sent_bytes;
    int64_t took_us;
};

/* http_exchange.c */
struct exchange *exchange_new(struct http *h, struct MHD_Connection *connection, const char *uri);
enum MHD_Result exchange_begin(struct exchange *ex, const char *method, const char *version);
enum MHD_Result exchange_data(struct exchange *ex, const char *data, size_t *n);
enum MHD_Result exchange_end(struct exchange *ex);
void exchange_completed(struct exchange *ex);
/* http_reply.c */
enum MHD_Result exchange_queue(struct exchange *ex);
/* Writes a reply past libmicrohttpd, which cannot answer while a body is still arriving, and cuts the connection. */
void exchange_cut(struct exchange *ex, const struct reply *reply);
/* http_janitor.c */
void *http_janitor_main(void *http);
/* http_listen.c */
enum assay_code http_listen(struct http *h, struct err *err) MUST_USE;
void *http_acceptor_main(void *http);
/* http_sse.c */
struct sse_hub *sse_hub_new(void);
/* NULL when there are too many. Takes over the source. */
struct MHD_Response *sse_response(struct sse_hub *hub, struct MHD_Connection *connection,
                                  const struct sse_source *from);
void sse_hub_end(struct sse_hub *hub);  /* ends every stream, now and later */
void sse_hub_stop(struct sse_hub *hub); /* the same, and waits until none is suspended any more */
void sse_hub_free(struct sse_hub *hub); /* after the daemon has stopped */

#endif
