/*
 * HTTP: listening, connections, bodies, time limits, replies. The only module that knows libmicrohttpd (http*.c).
 *
 * One acceptor thread deals connections to a pool of epoll threads; a thread keeps the connections it was dealt.
 * Whatever may wait runs on server->workers while its connection is suspended. One janitor thread enforces what a
 * timeout on silence cannot: a request that dribbles in byte by byte.
 */
#ifndef ASSAY_SERVER_HTTP_H
#define ASSAY_SERVER_HTTP_H

#include <stdint.h>

#include "base/err.h"

struct http;
struct server;

/* Binds and serves. ASSAY_INVALID with one clear sentence when the address, the certificate or the key is no good. */
enum assay_code http_start(struct server *server, struct http **out, struct err *err) MUST_USE;
const char *http_address(const struct http *h); /* "http://127.0.0.1:8080", with the real port */
/* server->draining is set already. Waits until every request that began before has been answered, at most until
 * deadline_us (monotonic), then breaks off bodies that still arrive and takes no more work: after it, server->workers
 * may be stopped. Connections go on being answered (with 503) until http_stop. */
void http_drain(struct http *h, int64_t deadline_us);
/* server->workers must have been stopped, and not freed yet. Sends what is ready, closes, joins, frees. */
void http_stop(struct http *h);

#endif
