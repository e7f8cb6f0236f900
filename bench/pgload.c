/*
 * Load generator for PostgreSQL: one thread, epoll, N connections, each with one prepared query under way at a time.
 *
 *   pgload CONNINFO CONNECTIONS SECONDS QUERIES DIM SQL [SETTING=VALUE ...]
 *
 * QUERIES holds vectors of DIM floats, sent in turn as $1 in pgvector's binary form; SQL gives int4 ids, read as
 * binary. With SECONDS 0 each query is asked once, with -N the first N are. Prints one JSON object: queries per second,
 * latencies in ms, the CPU time of this process for each query, and unless for seconds, the ids.
 */
#include <arpa/inet.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

enum { CONNECTIONS_MAX = 256, SAMPLES_MAX = 4000000, IDS_MAX = 100 };

struct connection {
    PGconn *pg;
    size_t query;
    uint64_t sent_ns;
};
struct answer {
    int n;
    int32_t ids[IDS_MAX];
};
struct load {
    char *params; /* one after the other, param_bytes each */
    size_t param_bytes, n_queries, next;
    bool once;
    struct answer *answers;
    uint32_t *ns;
    size_t n, done;
    uint64_t end_ns;
    int under_way;
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "pgload: %s: %s\n", what, why);
    exit(1);
}

static void *must(void *p)
{
    if (!p)
        fail("memory", "there is none");
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
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* pgvector's binary form: the dimension and a zero of 16 bits each, then floats, all big-endian. */
static void queries_read(struct load *l, const char *path, size_t dim)
{
    FILE *f = fopen(path, "r");
    if (!f)
        fail(path, "cannot be opened");
    uint32_t *row = must(malloc(dim * sizeof *row));
    l->param_bytes = 4 + dim * sizeof *row;
    while (fread(row, sizeof *row, dim, f) == dim) {
        l->params = must(realloc(l->params, (l->n_queries + 1) * l->param_bytes));
        char *out = l->params + l->n_queries++ * l->param_bytes;
        uint32_t head = htonl((uint32_t)dim << 16);
        memcpy(out, &head, 4);
        for (size_t i = 0; i < dim; i++)
            row[i] = htonl(row[i]);
        memcpy(out + 4, row, dim * sizeof *row);
    }
    free(row);
    fclose(f);
    if (l->n_queries == 0)
        fail(path, "no queries");
}

static void run_sql(PGconn *pg, const char *sql)
{
    PGresult *r = PQexec(pg, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        fail(sql, PQerrorMessage(pg));
    PQclear(r);
}

static void prepare(struct connection *c, int ep, char **argv, int argc)
{
    c->pg = PQconnectdb(argv[1]);
    if (PQstatus(c->pg) != CONNECTION_OK)
        fail("connect", PQerrorMessage(c->pg));
    for (int i = 7; i < argc; i++) {
        char sql[256];
        snprintf(sql, sizeof sql, "SET %s", argv[i]);
        run_sql(c->pg, sql);
    }
    PGresult *r = PQprepare(c->pg, "q", argv[6], 0, NULL);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        fail("prepare", PQerrorMessage(c->pg));
    PQclear(r);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    if (PQsetnonblocking(c->pg, 1) != 0 || epoll_ctl(ep, EPOLL_CTL_ADD, PQsocket(c->pg), &ev) != 0)
        fail("epoll", PQerrorMessage(c->pg));
}

static void send_next(struct load *l, struct connection *c)
{
    c->query = l->next++ % l->n_queries;
    const char *value = l->params + c->query * l->param_bytes;
    int length = (int)l->param_bytes, binary = 1, left;
    c->sent_ns = now_ns();
    if (!PQsendQueryPrepared(c->pg, "q", 1, &value, &length, &binary, 1))
        fail("send", PQerrorMessage(c->pg));
    while ((left = PQflush(c->pg)) > 0)
        continue;
    if (left < 0)
        fail("send", PQerrorMessage(c->pg));
}

static void keep(struct answer *a, const PGresult *r)
{
    a->n = PQntuples(r) < IDS_MAX ? PQntuples(r) : IDS_MAX;
    for (int i = 0; i < a->n; i++) {
        uint32_t id;
        memcpy(&id, PQgetvalue(r, i, 0), sizeof id);
        a->ids[i] = (int32_t)ntohl(id);
    }
}

/* Reads what is there; at an answer's end takes the sample and sends the next query while there is one. */
static void serve(struct load *l, struct connection *c)
{
    if (!PQconsumeInput(c->pg))
        fail("receive", PQerrorMessage(c->pg));
    while (!PQisBusy(c->pg)) {
        PGresult *r = PQgetResult(c->pg);
        if (r) {
            if (PQresultStatus(r) != PGRES_TUPLES_OK)
                fail("query", PQerrorMessage(c->pg));
            if (l->once)
                keep(&l->answers[c->query], r);
            PQclear(r);
            continue;
        }
        uint64_t now = now_ns();
        l->done++;
        if (l->n < SAMPLES_MAX)
            l->ns[l->n++] = now - c->sent_ns > UINT32_MAX ? UINT32_MAX : (uint32_t)(now - c->sent_ns);
        if (l->once ? l->next < l->n_queries : now < l->end_ns) {
            send_next(l, c);
        } else {
            l->under_way--;
            return;
        }
    }
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void report(struct load *l, double took, double cpu)
{
    qsort(l->ns, l->n, sizeof *l->ns, by_value);
    printf("{\"requests\":%zu,\"per_second\":%.1f,\"client_p50_ms\":%.4f,\"client_p99_ms\":%.4f,\"load_cpu_us\":%.2f",
           l->done, (double)l->done / took, (double)l->ns[l->n / 2] / 1e6, (double)l->ns[(l->n - 1) * 99 / 100] / 1e6,
           cpu * 1e6 / (double)l->done);
    for (size_t q = 0; l->once && q < l->n_queries; q++) {
        printf("%s[", q ? "," : ",\"ids\":[");
        for (int i = 0; i < l->answers[q].n; i++)
            printf("%s%d", i ? "," : "", l->answers[q].ids[i]);
        printf("]");
    }
    printf("%s}\n", l->once ? "]" : "");
}

int main(int argc, char **argv)
{
    if (argc < 7)
        fail("usage", "pgload CONNINFO CONNECTIONS SECONDS QUERIES DIM SQL [SETTING=VALUE ...]");
    int n = (int)strtol(argv[2], NULL, 10);
    double seconds = strtod(argv[3], NULL);
    if (n < 1 || n > CONNECTIONS_MAX)
        fail("usage", "bad number of connections");
    struct load l = {.once = seconds <= 0, .ns = must(malloc(SAMPLES_MAX * sizeof(uint32_t)))};
    queries_read(&l, argv[4], strtoull(argv[5], NULL, 10));
    if (seconds < 0 && -seconds < (double)l.n_queries)
        l.n_queries = (size_t)-seconds;
    l.answers = must(calloc(l.n_queries, sizeof *l.answers));
    struct connection *cs = must(calloc((size_t)n, sizeof *cs));
    int ep = epoll_create1(0);
    for (int i = 0; i < n; i++)
        prepare(&cs[i], ep, argv, argc);
    double cpu = cpu_s();
    uint64_t start = now_ns();
    l.end_ns = start + (uint64_t)(seconds * 1e9);
    for (int i = 0; i < n && (!l.once || l.next < l.n_queries); i++, l.under_way++)
        send_next(&l, &cs[i]);
    while (l.under_way > 0) {
        struct epoll_event evs[CONNECTIONS_MAX];
        int got = epoll_wait(ep, evs, CONNECTIONS_MAX, 60000);
        if (got == 0)
            fail("receive", "no answer for a minute");
        for (int i = 0; i < got; i++)
            serve(&l, evs[i].data.ptr);
    }
    double took = (double)(now_ns() - start) / 1e9;
    report(&l, took, cpu_s() - cpu);
    return 0;
}
