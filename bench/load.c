/*
 * Load generator: one thread, epoll, N keep-alive connections, each with one request under way at a time.
 *
 *   load ADDRESS PORT PATH CONNECTIONS SECONDS BODIES [WATCH]
 *
 * BODIES is a file with one JSON body a line, sent in turn as POST (or "-": GET without a body). The key comes from
 * ASSAY_KEY. Prints one JSON object: requests per second, client latencies in ms (from before the first byte is sent
 * until the last one is received), the server's own took_ms, and the CPU time that this process used for each request.
 * With WATCH replies that contain this string are looked for: how many, and when the last of them was asked for
 * (CLOCK_MONOTONIC, ns). SIGTERM ends the run early. A reply other than 200 ends the run with exit code 1: a benchmark
 * of errors measures nothing.
 *
 * It shares the cores with what it measures, so requests are made beforehand, and a reply is looked at only where its
 * length and the server's time stand.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, REPLY_MAX = 1 << 20, SAMPLES_MAX = 4000000, TAIL = 160 };

struct connection {
    int fd;
    size_t got, want; /* want: whole reply's length once its head is known, else 0 */
    uint64_t sent_ns;
    char *reply;
};
struct requests {
    char **text;
    size_t *len;
    size_t n, next;
};
struct load {
    struct requests requests;
    uint32_t *client_ns, *server_ns; /* samples */
    size_t n, n_server, done;
    uint64_t end_ns;
    int under_way;
    size_t length_at; /* where the last reply's head had its Content-Length */
    const char *watch;
    size_t seen;
    uint64_t seen_ns;
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
    (void)signal;
    stopped = 1;
}

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

static double cpu_s(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0)
        fail("getrusage");
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
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

static void send_next(struct load *l, struct connection *c, uint64_t now)
{
    size_t i = l->requests.next, done = 0;
    l->requests.next = i + 1 == l->requests.n ? 0 : i + 1;
    c->got = c->want = 0;
    c->sent_ns = now;
    while (done < l->requests.len[i]) {
        ssize_t n = send(c->fd, l->requests.text[i] + done, l->requests.len[i] - done, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            fail("send");
        done += (size_t)n;
    }
}

/* Learns the reply's length from its head, where the last one had it; false while the head is incomplete. */
static bool head_read(struct load *l, struct connection *c)
{
    static const char name[] = "\r\nContent-Length: ";
    c->reply[c->got] = '\0';
    char *end = memmem(c->reply, c->got, "\r\n\r\n", 4);
    if (!end)
        return false;
    if (strncmp(c->reply, "HTTP/1.1 200", 12) != 0) {
        fprintf(stderr, "load: the server answered: %.300s\n", c->reply);
        exit(1);
    }
    if (l->length_at + sizeof name > c->got || strncmp(c->reply + l->length_at, name, sizeof name - 1) != 0) {
        char *length = strcasestr(c->reply, "\r\ncontent-length: ");
        if (!length || length > end)
            fail("no Content-Length in the reply");
        l->length_at = (size_t)(length - c->reply);
    }
    c->want = (size_t)(end + 4 - c->reply) + strtoul(c->reply + l->length_at + sizeof name - 1, NULL, 10);
    if (c->want >= REPLY_MAX)
        fail("reply too large");
    return true;
}

static void sample_add(struct load *l, const struct connection *c, uint64_t now)
{
    static const char name[] = "\"took_ms\":";
    uint64_t ns = now - c->sent_ns;
    l->done++;
    if (l->watch && memmem(c->reply, c->got, l->watch, strlen(l->watch))) {
        l->seen++;
        if (c->sent_ns > l->seen_ns)
            l->seen_ns = c->sent_ns;
    }
    if (l->n == SAMPLES_MAX)
        return;
    l->client_ns[l->n++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
    c->reply[c->got] = '\0';
    size_t from = c->got > TAIL ? c->got - TAIL : 0; /* took_ms is among the last members */
    const char *took = memmem(c->reply + from, c->got - from, name, sizeof name - 1);
    if (took)
        l->server_ns[l->n_server++] = (uint32_t)(strtod(took + sizeof name - 1, NULL) * 1e6);
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(const uint32_t *sorted, size_t n, double p)
{
    return n ? (double)sorted[(size_t)((double)(n - 1) * p)] / 1e6 : 0;
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
static void serve(struct load *l, struct connection *c)
{
    ssize_t n = recv(c->fd, c->reply + c->got, REPLY_MAX - c->got, 0);
    if (n < 0 && errno == EINTR)
        return;
    if (n <= 0)
        fail("the server closed the connection");
    c->got += (size_t)n;
    if ((c->want == 0 && !head_read(l, c)) || c->got < c->want)
        return;
    uint64_t now = now_ns();
    sample_add(l, c, now);
    if (now < l->end_ns && !stopped)
        send_next(l, c, now_ns());
    else
        l->under_way--;
}

static void report(struct load *l, double took, double cpu)
{
    qsort(l->client_ns, l->n, sizeof *l->client_ns, by_value);
    qsort(l->server_ns, l->n_server, sizeof *l->server_ns, by_value);
    printf("{\"requests\":%zu,\"seconds\":%.3f,\"per_second\":%.1f,\"client_p50_ms\":%.4f,\"client_p99_ms\":%.4f,"
           "\"server_p50_ms\":%.4f,\"server_p99_ms\":%.4f,\"load_cpu_us\":%.2f,\"seen\":%zu,\"seen_sent_ns\":%llu}\n",
           l->done, took, (double)l->done / took, percentile_ms(l->client_ns, l->n, 0.5),
           percentile_ms(l->client_ns, l->n, 0.99), percentile_ms(l->server_ns, l->n_server, 0.5),
           percentile_ms(l->server_ns, l->n_server, 0.99), cpu * 1e6 / (double)l->done, l->seen,
           (unsigned long long)l->seen_ns);
}

int main(int argc, char **argv)
{
    const char *key = getenv("ASSAY_KEY");
    if (argc < 7 || argc > 8 || !key) {
        fprintf(stderr, "usage: ASSAY_KEY=... load ADDRESS PORT PATH CONNECTIONS SECONDS BODIES|- [WATCH]\n");
        return 2;
    }
    int n = (int)strtol(argv[4], NULL, 10);
    double seconds = strtod(argv[5], NULL);
    if (n < 1 || n > CONNECTIONS_MAX || seconds <= 0)
        fail("bad number of connections or seconds");
    struct load l = {.client_ns = must(malloc(SAMPLES_MAX * sizeof(uint32_t))),
                     .server_ns = must(malloc(SAMPLES_MAX * sizeof(uint32_t))),
                     .under_way = n,
                     .watch = argv[7]};
    requests_read(&l.requests, argv[3], key, argv[6]);
    struct connection *cs = must(calloc((size_t)n, sizeof *cs));
    int ep = epoll_create1(0);
    if (ep < 0)
        fail("epoll");
    connect_all(cs, n, ep, argv[1], argv[2]);
    signal(SIGTERM, stop);
    double cpu = cpu_s();
    uint64_t start = now_ns();
    l.end_ns = start + (uint64_t)(seconds * 1e9);
    for (int i = 0; i < n; i++)
        send_next(&l, &cs[i], now_ns());
    while (l.under_way > 0) {
        struct epoll_event evs[CONNECTIONS_MAX];
        int got = epoll_wait(ep, evs, CONNECTIONS_MAX, 10000);
        if (got == 0)
            fail("no reply for ten seconds");
        if (got < 0 && errno != EINTR)
            fail("epoll");
        for (int i = 0; i < got; i++)
            serve(&l, evs[i].data.ptr);
    }
    double took = (double)(now_ns() - start) / 1e9;
    report(&l, took, cpu_s() - cpu);
    return 0;
}
