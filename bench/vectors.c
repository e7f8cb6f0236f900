/*
 * The vectors of `make bench`, and what FAISS does with them in process.
 *
 *   vectors make DIR N QUERIES SEED     base.f32, documents.ndjson, and for each filter requests and exact answers
 *   vectors faiss DIR THREADS SECONDS   the same graph in FAISS, searched by FAISS, as one JSON object
 *
 * Vectors are 384 floats, clustered (about a thousand around each centre) and of unit length; queries come from the
 * same clusters. A document holds one vector, and metadata that keeps 50 %, 10 %, 1 %, 0.1 % and 0.01 %, independent of
 * the vectors. One document in twenty comes from the source "held", so that it can be quarantined.
 */
#include <faiss/c_api/AutoTune_c.h>
#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/index_factory_c.h>
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "index/faiss_index.h"
#include "index/kernel.h"

enum { DIM = 384, PER_CLUSTER = 1000, K = 10, HELD_PART = 20, FILTERS = 7, EFS = 9, SAMPLES_MAX = 2000000 };

/* Keeps one row in `part`; the last is "not held". */
static const struct filter {
    const char *name, *json;
    unsigned part;
} filters[FILTERS] = {
    {"all", NULL, 1},
    {"half", "{\"half\":\"y\"}", 2},
    {"tenth", "{\"tenth\":\"y\"}", 10},
    {"percent", "{\"percent\":\"y\"}", 100},
    {"permille", "{\"permille\":\"y\"}", 1000},
    {"myriad", "{\"myriad\":\"y\"}", 10000},
    {"held", NULL, 0},
};

static void fail(const char *what)
{
    fprintf(stderr, "vectors: %s\n", what);
    exit(1);
}

static void *must(void *p)
{
    if (!p)
        fail("no memory");
    return p;
}

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static double uniform(uint64_t *seed)
{
    return ((double)(mix((*seed)++) >> 11) + 0.5) / 9007199254740992.0;
}

/* DIM normal numbers of variance 1/DIM (Box and Muller): about a unit vector. */
static void gauss(uint64_t seed, float *v)
{
    uint64_t at = mix(seed) ^ UINT64_C(0x5851F42D4C957F2D);
    for (size_t i = 0; i < DIM; i++)
        v[i] = (float)(sqrt(-2 * log(uniform(&at)) / DIM) * cos(6.283185307179586 * uniform(&at)));
}

/* The i-th vector of a set: a centre, and as much noise as most of its length. */
static void vector(uint64_t seed, uint64_t set, uint64_t i, size_t n, float *v)
{
    float centre[DIM];
    struct err err = {0};
    uint64_t clusters = n / PER_CLUSTER + 1;
    gauss(mix(seed) + mix(mix(set) + i) % clusters, centre);
    gauss(mix(seed + 1) ^ mix(mix(set + 7) + i), v);
    for (size_t d = 0; d < DIM; d++)
        v[d] = centre[d] + 0.8f * v[d];
    if (kernel_normalise(v, DIM, v, &err) != ASSAY_OK)
        fail("a vector of no length");
}

static bool keeps(size_t filter, uint64_t i)
{
    const struct filter *f = &filters[filter];
    return f->part == 0 ? mix(i ^ 0xABCD) % HELD_PART != 0 : mix(i * 8 + filter) % f->part == 0;
}

static FILE *create(const char *dir, const char *name, const char *suffix)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s%s", dir, name, suffix);
    return must(fopen(path, "w"));
}

static void *load(const char *dir, const char *name, const char *suffix, size_t *bytes)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s%s", dir, name, suffix);
    FILE *f = must(fopen(path, "r"));
    fseek(f, 0, SEEK_END);
    *bytes = (size_t)ftell(f);
    rewind(f);
    void *data = must(malloc(*bytes + 1));
    if (fread(data, 1, *bytes, f) != *bytes)
        fail("a file cannot be read");
    fclose(f);
    return data;
}

/* ---- make ---- */

/* A sentence of plain English, another for each document, as the checks want it. */
static void write_text(FILE *f, size_t i)
{
    static const char *const who[] = {"The farmer",       "A teacher", "The old captain", "Our neighbour",
                                      "The young doctor", "A painter", "The judge",       "The gardener"};
    static const char *const did[] = {"found",    "carried", "described", "repaired",
                                      "measured", "sold",    "kept",      "painted"};
    static const char *const what[] = {"a wooden boat",      "the broken clock",  "seven green bottles",
                                       "a letter from home", "the northern gate", "two heavy stones",
                                       "an empty basket",    "the silver spoon"};
    static const char *const where[] = {"behind the church",   "near the river", "at the railway station",
                                        "under the tall oak",  "on the hill",    "in the market hall",
                                        "beside the mountain", "along the coast"};
    uint64_t x = mix(i);
    fprintf(f, "%s %s %s %s, and on day number %zu everybody in the village talked about it.", who[x & 7],
            did[x >> 3 & 7], what[x >> 6 & 7], where[x >> 9 & 7], i);
}

static void write_documents(const char *dir, const float *base, size_t n)
{
    FILE *f = create(dir, "documents", ".ndjson");
    for (size_t i = 0; i < n; i++) {
        fprintf(f, "{\"collection\":\"vectors\",\"source\":\"%s\",\"id\":\"%zu\",\"text\":\"",
                keeps(FILTERS - 1, i) ? "kept" : "held", i);
        write_text(f, i);
        fputs("\",\"metadata\":{", f);
        const char *comma = "";
        for (size_t k = 1; k < FILTERS - 1; k++) {
            fprintf(f, "%s\"%s\":\"%s\"", comma, filters[k].name, keeps(k, i) ? "y" : "n");
            comma = ",";
        }
        fputs("},\"vector\":[", f);
        for (size_t d = 0; d < DIM; d++)
            fprintf(f, "%s%.9g", d ? "," : "", (double)base[i * DIM + d]);
        fputs("]}\n", f);
    }
    fclose(f);
}

static void write_base64(FILE *f, const void *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *b = bytes;
    for (size_t i = 0; i + 3 <= n; i += 3) { /* DIM * 4 is a multiple of three */
        uint32_t x = (uint32_t)b[i] << 16 | (uint32_t)b[i + 1] << 8 | b[i + 2];
        fprintf(f, "%c%c%c%c", digits[x >> 18], digits[x >> 12 & 63], digits[x >> 6 & 63], digits[x & 63]);
    }
}

static void write_requests(const char *dir, size_t filter, const float *queries, size_t n)
{
    FILE *f = create(dir, filters[filter].name, ".requests");
    for (size_t i = 0; i < n; i++) {
        fprintf(f, "{\"collection\":\"vectors\",\"mode\":\"vector\",\"k\":%d,", K);
        if (filters[filter].json)
            fprintf(f, "\"filter\":%s,", filters[filter].json);
        fputs("\"vector\":\"", f);
        write_base64(f, queries + i * DIM, DIM * sizeof(float));
        fputs("\"}\n", f);
    }
    fclose(f);
}

struct near {
    float score;
    int32_t row;
};

/* The K nearest of the rows that the filter keeps, -1 where there are fewer: one line of numbers for each query. */
static void write_truth(const char *dir, size_t filter, const float *base, size_t n, const float *queries,
                        size_t n_queries)
{
    int32_t *truth = must(malloc(n_queries * K * sizeof *truth));
#pragma omp parallel for schedule(dynamic)
    for (size_t q = 0; q < n_queries; q++) {
        struct near top[K + 1];
        size_t found = 0;
        for (size_t i = 0; i < n; i++) {
            if (!keeps(filter, i))
                continue;
            float score = kernel_dot(queries + q * DIM, base + i * DIM, DIM);
            size_t at = found;
            for (; at > 0 && top[at - 1].score < score; at--)
                top[at] = top[at - 1];
            top[at] = (struct near){score, (int32_t)i};
            found += found < K;
        }
        for (size_t i = 0; i < K; i++)
            truth[q * K + i] = i < found ? top[i].row : -1;
    }
    FILE *f = create(dir, filters[filter].name, ".truth");
    fwrite(truth, sizeof *truth * K, n_queries, f);
    fclose(f);
    free(truth);
}

static void make(const char *dir, size_t n, size_t n_queries, uint64_t seed)
{
    float *base = must(malloc(n * DIM * sizeof *base)), *queries = must(malloc(n_queries * DIM * sizeof *queries));
#pragma omp parallel for
    for (size_t i = 0; i < n; i++)
        vector(seed, 0, i, n, base + i * DIM);
    for (size_t i = 0; i < n_queries; i++)
        vector(seed, 1, i, n, queries + i * DIM);
    FILE *f = create(dir, "base", ".f32");
    fwrite(base, sizeof *base * DIM, n, f);
    fclose(f);
    f = create(dir, "queries", ".f32");
    fwrite(queries, sizeof *queries * DIM, n_queries, f);
    fclose(f);
    write_documents(dir, base, n);
    for (size_t k = 0; k < FILTERS; k++) {
        write_requests(dir, k, queries, n_queries);
        write_truth(dir, k, base, n, queries, n_queries);
    }
    free(base);
    free(queries);
}

/* ---- faiss ---- */

struct run {
    FaissIndex *index;
    const struct graph *graph; /* when not NULL: searched by the server's own code */
    size_t ef;
    const float *queries;
    size_t n_queries;
    double until;
    double *ms;
    size_t n;
    size_t first;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void find(const struct run *r, struct arena *a, size_t q, idx_t rows[K], float scores[K])
{
    if (r->graph)
        (void)graph_search(r->graph, r->queries + q * DIM, K, r->ef, NULL, a, rows, scores);
    else if (faiss_Index_search(r->index, 1, r->queries + q * DIM, K, scores, rows) != 0)
        fail("FAISS does not search");
}

static void *run_main(void *arg)
{
    struct run *r = arg;
    struct arena *a = arena_new(1 << 20);
    omp_set_num_threads(1);
    r->n = 0;
    for (size_t q = r->first; now_s() < r->until && r->n < SAMPLES_MAX; q++) {
        idx_t rows[K];
        float scores[K];
        double from = now_s();
        find(r, a, q % r->n_queries, rows, scores);
        r->ms[r->n++] = (now_s() - from) * 1e3;
    }
    arena_free(a);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Searches per second by `threads`, and the median and 99th percentile of one search, in ms. */
static void measure(const struct run *like, size_t threads, double seconds, double *per_second, double *p50,
                    double *p99)
{
    struct run *runs = must(calloc(threads, sizeof *runs));
    pthread_t *ids = must(calloc(threads, sizeof *ids));
    double start = now_s();
    for (size_t t = 0; t < threads; t++) {
        runs[t] = *like;
        runs[t].until = start + seconds;
        runs[t].first = t * like->n_queries / threads;
        runs[t].ms = must(malloc(SAMPLES_MAX * sizeof(double)));
        if (pthread_create(&ids[t], NULL, run_main, &runs[t]) != 0)
            fail("no thread");
    }
    size_t n = 0;
    for (size_t t = 0; t < threads; t++) {
        pthread_join(ids[t], NULL);
        n += runs[t].n;
    }
    qsort(runs[0].ms, runs[0].n, sizeof(double), by_value);
    *per_second = (double)n / (now_s() - start);
    *p50 = runs[0].ms[runs[0].n / 2];
    *p99 = runs[0].ms[runs[0].n * 99 / 100];
    for (size_t t = 0; t < threads; t++)
        free(runs[t].ms);
    free(runs);
    free(ids);
}

static double recall(const struct run *r, const int32_t *truth)
{
    struct arena *a = arena_new(1 << 20);
    size_t hits = 0;
    for (size_t q = 0; q < r->n_queries; q++) {
        idx_t rows[K];
        float scores[K];
        find(r, a, q, rows, scores);
        for (size_t i = 0; i < K; i++) {
            for (size_t k = 0; k < K; k++)
                hits += rows[i] == truth[q * K + k];
        }
    }
    arena_free(a);
    return (double)hits / (double)(r->n_queries * K);
}

static void report(struct run *r, const char *name, const int32_t *truth, size_t threads, double seconds)
{
    static const size_t efs[EFS] = {16, 32, 48, 64, 96, 128, 192, 256, 512};
    FaissParameterSpace *space = NULL;
    if (faiss_ParameterSpace_new(&space) != 0)
        fail("FAISS has no parameters");
    printf("\"%s\":[", name);
    for (size_t i = 0; i < EFS; i++) {
        double per_second, p50, p99, one, one_p99, ignored;
        r->ef = efs[i];
        if (faiss_ParameterSpace_set_index_parameter(space, r->index, "efSearch", (double)r->ef) != 0)
            fail("FAISS does not take efSearch");
        double share = recall(r, truth);
        measure(r, 1, seconds, &one, &p50, &one_p99);
        measure(r, threads, seconds, &per_second, &ignored, &p99);
        printf("%s\n  {\"ef\":%zu,\"recall\":%.4f,\"p50_ms\":%.4f,\"one\":%.0f,\"per_second\":%.0f,\"p99_ms\":%.4f}",
               i ? "," : "", r->ef, share, p50, one, per_second, p99);
    }
    printf("]");
    faiss_ParameterSpace_free(space);
}

static void reference(const char *dir, size_t threads, double seconds)
{
    size_t bytes = 0;
    char how[32];
    float *base = load(dir, "base", ".f32", &bytes);
    size_t n = bytes / (DIM * sizeof(float));
    struct run r = {.queries = load(dir, "queries", ".f32", &bytes)};
    r.n_queries = bytes / (DIM * sizeof(float));
    int32_t *truth = load(dir, "all", ".truth", &bytes);
    FaissParameterSpace *space = NULL;
    snprintf(how, sizeof how, "HNSW%d,Flat", GRAPH_M);
    double start = now_s();
    if (faiss_index_factory(&r.index, DIM, how, METRIC_INNER_PRODUCT) != 0 || faiss_ParameterSpace_new(&space) != 0 ||
        faiss_ParameterSpace_set_index_parameter(space, r.index, "efConstruction", GRAPH_EF_CONSTRUCTION) != 0 ||
        faiss_Index_add(r.index, (idx_t)n, base) != 0)
        fail("FAISS does not build");
    printf("{\"rows\":%zu,\"threads\":%zu,\"kernel\":\"%s\",\"build_s\":%.1f,\n", n, threads,
           kernel_version(2)   ? "avx512"
           : kernel_version(1) ? "avx2"
                               : "baseline",
           now_s() - start);
    report(&r, "faiss", truth, threads, seconds);
    if (getenv("BENCH_VECTORS_GRAPH")) {
        atomic_bool cancel = false;
        struct err err = {0};
        struct graph *graph = NULL;
        start = now_s();
        if (graph_build(base, n, DIM, NULL, omp_get_max_threads(), &cancel, &graph, &err) != ASSAY_OK)
            fail("no graph");
        r.graph = graph;
        printf(",\n");
        report(&r, "graph", truth, threads, seconds);
        graph_free(graph);
    }
    printf("}\n");
    faiss_ParameterSpace_free(space);
    faiss_Index_free(r.index);
    free(base);
    free(truth);
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "make") == 0)
        make(argv[2], strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10));
    else if (argc == 5 && strcmp(argv[1], "faiss") == 0)
        reference(argv[2], strtoull(argv[3], NULL, 10), strtod(argv[4], NULL));
    else
        fail("usage: vectors make DIR N QUERIES SEED | vectors faiss DIR THREADS SECONDS");
    return 0;
}
