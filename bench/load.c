/*
 * Load generator: one thread, epoll, N keep-alive connections, each with one request under way at a time.
 *
 *   load ADDRESS PORT PATH CONNECTIONS SECONDS BODIES
 *
 * BODIES is a file with one JSON body a line, sent in turn as POST (or "-": GET without a body). The key comes from
 * ASSAY_KEY. Prints one JSON object: requests per second, client latencies, and the server's own took_ms, in ms.
 * A reply other than 200 ends the run with exit code 1: a benchmark of errors measures nothing.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, REPLY_MAX = 1 << 20, SAMPLES_MAX = 4000000 };

struct connection {
    int fd;
    size_t got, want; /* want: whole reply's length once its head is known, else 0 */
    uint64_t sent_ns;
    char *reply;
};
struct samples {
    double *client_ms, *server_ms;
    size_t n, n_server;
};
struct requests {
    char **text;
    size_t *len;
    size_t n, next;
};

static void fail(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, errno ? strerror(errno) : "failed");
    exit(1);
}

static void *must(void *p)
{
    if (!p)
        fail("memory");
    return p;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void request_add(struct requests *rs, const char *path, const char *key, const char *body, size_t body_len)
{
    size_t cap = body_len + strlen(path) + strlen(key) + 256;
    char *text = must(malloc(cap));
    int head =
        body ? snprintf(text, cap,
                        "POST %s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n"
                        "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                        path, key, body_len)
             : snprintf(text, cap, "GET %s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n\r\n", path, key);
    if (head < 0 || (size_t)head + body_len >= cap)
        fail("request too large");
    if (body)
        memcpy(text + head, body, body_len);
    rs->text = must(realloc(rs->text, (rs->n + 1) * sizeof *rs->text));
    rs->len = must(realloc(rs->len, (rs->n + 1) * sizeof *rs->len));
    rs->text[rs->n] = text;
    rs->len[rs->n++] = (size_t)head + body_len;
}

static void requests_read(struct requests *rs, const char *path, const char *key, const char *file)
{
    if (strcmp(file, "-") == 0) {
        request_add(rs, path, key, NULL, 0);
        return;
    }
    FILE *f = fopen(file, "r");
    if (!f)
        fail(file);
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, f)) > 0) {
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            n--;
        if (n > 0)
            request_add(rs, path, key, line, (size_t)n);
    }
    free(line);
    fclose(f);
    if (rs->n == 0)
        fail("no requests in the file");
}

static void send_next(struct connection *c, struct requests *rs)
{
    size_t i = rs->next++ % rs->n, done = 0;
    c->got = c->want = 0;
    c->sent_ns = now_ns();
    while (done < rs->len[i]) {
        ssize_t n = send(c->fd, rs->text[i] + done, rs->len[i] - done, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            fail("send");
        done += (size_t)n;
    }
}

/* Learns the reply's length from its head; false while the head is incomplete. */
static bool head_read(struct connection *c)
{
    c->reply[c->got] = '\0';
    char *end = strstr(c->reply, "\r\n\r\n");
    if (!end)
        return false;
    if (strncmp(c->reply, "HTTP/1.1 200", 12) != 0) {
        fprintf(stderr, "load: the server answered: %.300s\n", c->reply);
        exit(1);
    }
    char *length = strcasestr(c->reply, "\r\ncontent-length:");
    if (!length || length > end)
        fail("no Content-Length in the reply");
    c->want = (size_t)(end + 4 - c->reply) + strtoul(length + 17, NULL, 10);
    if (c->want >= REPLY_MAX)
        fail("reply too large");
    return true;
}

static void sample_add(struct samples *s, struct connection *c)
{
    if (s->n == SAMPLES_MAX)
        return;
    s->client_ms[s->n++] = (double)(now_ns() - c->sent_ns) / 1e6;
    c->reply[c->got] = '\0';
    const char *took = strstr(c->reply, "\"took_ms\":");
    if (took)
        s->server_ms[s->n_server++] = strtod(took + 10, NULL);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(const double *sorted, size_t n, double p)
{
    return n ? sorted[(size_t)((double)(n - 1) * p)] : 0;
}

static void connect_all(struct connection *cs, int n, int ep, const char *address, const char *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
        fail("the address must be dotted IPv4");
    for (int i = 0; i < n; i++) {
        int one = 1;
        cs[i].reply = must(malloc(REPLY_MAX + 1));
        cs[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        if (cs[i].fd < 0 || connect(cs[i].fd, (struct sockaddr *)&to, sizeof to) != 0)
            fail("connect");
        setsockopt(cs[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &cs[i]};
        if (epoll_ctl(ep, EPOLL_CTL_ADD, cs[i].fd, &ev) != 0)
            fail("epoll");
    }
}

/* Reads what is there; at a reply's end takes the sample and sends the next request while the clock runs. */
static void serve(struct connection *c, struct requests *rs, struct samples *s, uint64_t end_ns, int *under_way)
{
    ssize_t n = recv(c->fd, c->reply + c->got, REPLY_MAX - c->got, 0);
    if (n < 0 && errno == EINTR)
        return;
    if (n <= 0)
        fail("the server closed the connection");
    c->got += (size_t)n;
    if ((c->want == 0 && !head_read(c)) || c->got < c->want)
        return;
    sample_add(s, c);
    if (now_ns() < end_ns)
        send_next(c, rs);
    else
        (*under_way)--;
}

int main(int argc, char **argv)
{
    const char *key = getenv("ASSAY_KEY");
    if (argc != 7 || !key) {
        fprintf(stderr, "usage: ASSAY_KEY=... load ADDRESS PORT PATH CONNECTIONS SECONDS BODIES|-\n");
        return 2;
    }
    int n = (int)strtol(argv[4], NULL, 10);
    double seconds = strtod(argv[5], NULL);
    if (n < 1 || n > CONNECTIONS_MAX || seconds <= 0)
        fail("bad number of connections or seconds");
    struct requests rs = {0};
    requests_read(&rs, argv[3], key, argv[6]);
    struct samples s = {must(malloc(SAMPLES_MAX * sizeof(double))), must(malloc(SAMPLES_MAX * sizeof(double))), 0, 0};
    struct connection *cs = must(calloc((size_t)n, sizeof *cs));
    int ep = epoll_create1(0), under_way = n;
    if (ep < 0)
        fail("epoll");
    connect_all(cs, n, ep, argv[1], argv[2]);
    uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9);
    for (int i = 0; i < n; i++)
        send_next(&cs[i], &rs);
    while (under_way > 0) {
        struct epoll_event evs[64];
        int got = epoll_wait(ep, evs, 64, 10000);
        if (got == 0)
            fail("no reply for ten seconds");
        for (int i = 0; i < got; i++)
            serve(evs[i].data.ptr, &rs, &s, end, &under_way);
    }
    double took = (double)(now_ns() - start) / 1e9;
    qsort(s.client_ms, s.n, sizeof(double), by_value);
    qsort(s.server_ms, s.n_server, sizeof(double), by_value);
    printf("{\"requests\":%zu,\"seconds\":%.3f,\"per_second\":%.1f,\"client_p50_ms\":%.4f,\"client_p99_ms\":%.4f,"
           "\"server_p50_ms\":%.4f,\"server_p99_ms\":%.4f}\n",
           s.n, took, (double)s.n / took, percentile(s.client_ms, s.n, 0.5), percentile(s.client_ms, s.n, 0.99),
           percentile(s.server_ms, s.n_server, 0.5), percentile(s.server_ms, s.n_server, 0.99));
    return 0;
}
