/* The listening socket and the thread that deals connections to libmicrohttpd's pool. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "server/config.h"
#include "server/http_internal.h"

enum { BACKLOG = 1024, POLL_MS = 250, HOST_MAX = 128 };

/* "127.0.0.1:8080", "[::1]:0", ":8080" (every address) -> host and port. */
static bool split_address(const char *listen_, char host[HOST_MAX], const char **port)
{
    const char *colon = strrchr(listen_, ':');
    if (!colon)
        return false;
    const char *from = listen_;
    size_t len = (size_t)(colon - listen_);
    if (len >= 2 && from[0] == '[' && from[len - 1] == ']') {
        from++;
        len -= 2;
    }
    if (len >= HOST_MAX)
        return false;
    memcpy(host, from, len);
    host[len] = '\0';
    *port = colon + 1;
    return true;
}

static int bind_one(const struct addrinfo *ai)
{
    int one = 1;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 && bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 &&
        listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* The address with the port that the system chose. */
static void name_address(struct http *h)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    char host[HOST_MAX], port[16];
    const char *scheme = h->tls_cert ? "https" : "http";
    memset(&at, 0, sizeof at);
    if (getsockname(h->listen_fd, (struct sockaddr *)&at, &len) != 0 ||
        getnameinfo((struct sockaddr *)&at, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(h->address, sizeof h->address, "%s://%s", scheme, h->server->config->listen);
    else
        snprintf(h->address, sizeof h->address, strchr(host, ':') ? "%s://[%s]:%s" : "%s://%s:%s", scheme, host, port);
}

enum assay_code http_listen(struct http *h, struct err *err)
{
    const char *where = h->server->config->listen;
    char host[HOST_MAX];
    const char *port = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
    if (!split_address(where, host, &port))
        return err_set(err, ASSAY_INVALID, NULL, "listen: \"%.80s\" is no address:port", where);
    int rc = getaddrinfo(host[0] ? host : NULL, port, &hints, &found);
    if (rc != 0)
        return err_set(err, ASSAY_INVALID, NULL, "listen: %.80s: %s", where, gai_strerror(rc));
    int fd = -1;
    errno = 0;
    for (struct addrinfo *ai = found; ai && fd < 0; ai = ai->ai_next)
        fd = bind_one(ai);
    int saved = errno;
    freeaddrinfo(found);
    if (fd < 0)
        return err_set(err, ASSAY_INVALID, NULL, "cannot listen on %.80s: %s", where, strerror(saved));
    h->listen_fd = fd;
    name_address(h);
    return ASSAY_OK;
}

/* Takes every connection that waits. */
static void accept_all(struct http *h)
{
    for (;;) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof peer;
        int one = 1;
        int fd = accept4(h->listen_fd, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                struct timespec pause = {0, 50000000L}; /* the backlog keeps them meanwhile */
                log_warn("a connection cannot be accepted", "errno=%d", errno);
                nanosleep(&pause, NULL);
            }
            if (errno != EINTR && errno != ECONNABORTED)
                return;
            continue;
        }
        if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0)
            log_debug("TCP_NODELAY was refused", "errno=%d", errno);
        if (atomic_fetch_add(&h->connections, 1) >= h->server->config->connection_max) {
            close(fd);
        } else if (MHD_add_connection(h->daemon, fd, (struct sockaddr *)&peer, len) ==
                   MHD_YES) { /* else fd is closed */
            continue;
        }
        atomic_fetch_sub(&h->connections, 1);
        log_debug("a connection was turned away", "%s", "");
    }
}

void *http_acceptor_main(void *arg)
{
    struct http *h = arg;
    while (!atomic_load(&h->stopping)) {
        struct pollfd p = {.fd = h->listen_fd, .events = POLLIN};
        if (poll(&p, 1, POLL_MS) > 0)
            accept_all(h);
    }
    return NULL;
}
