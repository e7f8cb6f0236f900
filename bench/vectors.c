/*
 * The vectors of `make bench`, and what FAISS does with them in process.
 *
 *   vectors make DIR N QUERIES SEED            base.f32, queries.f32, and queries.b64: a query a line
 *   vectors documents DIR COLLECTION FROM TO [acl]
 *                                              documents FROM to TO-1 as NDJSON; acl: each with an access list
 *   vectors truth DIR NAME [CONDITION...]      NAME.truth: the exact answers among the rows that every condition keeps:
 *                                              held, old, mass (those sources are hidden), percent, tenth, kind (that
 *                                              keyword is "y"), below=M (m < M), group=NAME (what that group may see)
 *   vectors copy DIR                           id, percent, tenth and the vector of each document, in PostgreSQL's
 * binary COPY format, the vector as pgvector takes it vectors faiss DIR NAME                     an HNSW graph in
 * FAISS, which answers commands a line on stdin: "recall EF" (against NAME.truth), "run EF THREADS SECONDS"
 *
 * Vectors are 384 floats, clustered (about a thousand around each centre) and of unit length; queries come from the
 * same clusters. A document holds one vector, and properties that are independent of the vectors and of each other.
 */
#include <faiss/c_api/AutoTune_c.h>
#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/index_factory_c.h>
#include <inttypes.h>
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

enum { DIM = 384, PER_CLUSTER = 1000, K = 10, BATCH = 32, SAMPLES_MAX = 2000000 };
_Static_assert(BATCH % KERNEL_ROWS == 0, "queries are scored four at a time");

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

/* ---- what a document is beside its vector ---- */

static uint64_t draw(uint64_t i, uint64_t property, uint64_t range)
{
    return mix(i * 16 + property) % range;
}

/* A tenth of the documents is "mass"; of the others one in eighteen each is "held" and "old". */
static const char *source_of(uint64_t i)
{
    uint64_t x = draw(i, 0, 18);
    return i % 10 == 7 ? "mass" : x == 0 ? "held" : x == 1 ? "old" : "kept";
}

/* Who may see a document: 2 % are for everyone, 70 % "wide", 20 % "narrow", 8 % "few". */
static const char *group_of(uint64_t i)
{
    uint64_t x = draw(i, 1, 100);
    return x < 2 ? NULL : x < 72 ? "wide" : x < 92 ? "narrow" : "few";
}

static const struct keyword {
    const char *name;
    unsigned yes, of;
} keywords[] = {{"percent", 1, 100}, {"tenth", 1, 10}, {"kind", 9, 10}};
enum { KEYWORDS = sizeof keywords / sizeof keywords[0], M_RANGE = 10000 };

static bool keyword_of(uint64_t i, size_t k)
{
    return draw(i, 2 + k, keywords[k].of) < keywords[k].yes;
}

static uint64_t m_of(uint64_t i)
{
    return draw(i, 2 + KEYWORDS, M_RANGE);
}

static bool keeps(const char *condition, uint64_t i)
{
    if (strncmp(condition, "below=", 6) == 0)
        return m_of(i) < strtoull(condition + 6, NULL, 10);
    if (strncmp(condition, "group=", 6) == 0)
        return !group_of(i) || strcmp(group_of(i), condition + 6) == 0;
    for (size_t k = 0; k < KEYWORDS; k++) {
        if (strcmp(condition, keywords[k].name) == 0)
            return keyword_of(i, k);
    }
    return strcmp(source_of(i), condition) != 0;
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

/* A number of a unit vector with nine digits after the point: as exact as a float of such size is. */
static char *put_number(char *out, float x)
{
    int64_t n = llrint((double)x * 1e9);
    if (n < 0)
        *out++ = '-';
    n = n < 0 ? -n : n;
    *out++ = (char)('0' + n / 1000000000);
    *out++ = '.';
    for (int i = 8; i >= 0; i--, n /= 10)
        out[i] = (char)('0' + n % 10);
    return out + 9;
}

static void write_document(FILE *f, const char *collection, const float *v, uint64_t i, bool acl, const char *then)
{
    char numbers[DIM * 13], *out = numbers;
    const char *source = source_of(i);
    fprintf(f, "{\"collection\":\"%s\",\"source\":\"%s\",\"id\":\"%" PRIu64 "\",\"text\":\"", collection, source, i);
    write_text(f, i);
    fprintf(f, "\",\"metadata\":{\"m\":%" PRIu64, m_of(i));
    for (size_t k = 0; k < KEYWORDS; k++)
        fprintf(f, ",\"%s\":\"%s\"", keywords[k].name, keyword_of(i, k) ? "y" : "n");
    fputc('}', f);
    if (acl && group_of(i))
        fprintf(f, ",\"acl\":[\"group:%s\"]", group_of(i));
    if (strcmp(source, "old") == 0)
        fprintf(f, ",\"modified_at\":\"%s\"", then);
    for (size_t d = 0; d < DIM; d++) {
        *out++ = ',';
        out = put_number(out, v[d]);
    }
    fprintf(f, ",\"vector\":[%.*s]}\n", (int)(out - numbers - 1), numbers + 1);
}

static void documents(const char *dir, const char *collection, uint64_t from, uint64_t to, bool acl)
{
    size_t bytes = 0;
    float *base = load(dir, "base", ".f32", &bytes);
    char then[32];
    time_t when = time(NULL) - 400 * 24 * 3600;
    struct tm tm;
    strftime(then, sizeof then, "%Y-%m-%dT%H:%M:%SZ", must(gmtime_r(&when, &tm)));
    if (to > bytes / (DIM * sizeof(float)))
        fail("there are not so many vectors");
    for (uint64_t i = from; i < to; i++)
        write_document(stdout, collection, base + i * DIM, i, acl, then);
    free(base);
}

static void put_be(FILE *f, uint32_t x, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        fputc((int)(x >> 8 * i & 255), f);
}

static void write_copy(const char *dir)
{
    static const char head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0"; /* and the literal's own zero: 19 bytes */
    size_t bytes = 0;
    float *base = load(dir, "base", ".f32", &bytes);
    fwrite(head, 1, sizeof head, stdout);
    for (uint32_t i = 0; i < bytes / (DIM * sizeof(float)); i++) {
        put_be(stdout, 4, 2);
        put_be(stdout, 4, 4);
        put_be(stdout, i, 4);
        for (size_t k = 0; k < 2; k++) {
            put_be(stdout, 1, 4);
            fputc(keyword_of(i, k) ? 'y' : 'n', stdout);
        }
        put_be(stdout, 4 + DIM * sizeof(float), 4);
        put_be(stdout, DIM << 16, 4);
        for (size_t d = 0; d < DIM; d++) {
            uint32_t bits;
            memcpy(&bits, &base[i * DIM + d], sizeof bits);
            put_be(stdout, bits, 4);
        }
    }
    put_be(stdout, 0xFFFF, 2);
    free(base);
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

struct near {
    float score;
    int32_t row;
};

static void insert(struct near top[K + 1], float score, size_t row)
{
    size_t at = K;
    for (; at > 0 && top[at - 1].score < score; at--)
        top[at] = top[at - 1];
    top[at] = (struct near){score, (int32_t)row};
}

/* The nearest to each of BATCH queries. */
static void nearest(const float *base, size_t n, const bool *kept, const float *queries, int32_t *truth)
{
    struct near top[BATCH][K + 1];
    for (size_t q = 0; q < BATCH; q++) {
        for (size_t i = 0; i <= K; i++)
            top[q][i] = (struct near){-2, -1};
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t q = 0; kept[i] && q < BATCH; q += KERNEL_ROWS) {
            const float *four[KERNEL_ROWS];
            float scores[KERNEL_ROWS];
            for (size_t k = 0; k < KERNEL_ROWS; k++)
                four[k] = queries + (q + k) * DIM;
            kernel_dot4(base + i * DIM, four, DIM, scores);
            for (size_t k = 0; k < KERNEL_ROWS; k++) {
                if (scores[k] > top[q + k][K - 1].score)
                    insert(top[q + k], scores[k], i);
            }
        }
    }
    for (size_t i = 0; i < BATCH * K; i++)
        truth[i] = top[i / K][i % K].row;
}

/* The K nearest of the rows that are kept, -1 where there are fewer: int32 after int32. */
static void truth(const char *dir, const char *name, char *const *conditions, int n_conditions)
{
    size_t bytes = 0;
    float *base = load(dir, "base", ".f32", &bytes);
    size_t n = bytes / (DIM * sizeof(float)), matches = 0;
    float *queries = load(dir, "queries", ".f32", &bytes);
    size_t n_queries = bytes / (DIM * sizeof(float)), batches = (n_queries + BATCH - 1) / BATCH;
    int32_t *rows = must(malloc(batches * BATCH * K * sizeof *rows));
    bool *kept = must(malloc(n * sizeof *kept));
    queries = must(realloc(queries, batches * BATCH * DIM * sizeof *queries));
    memset(queries + n_queries * DIM, 0, (batches * BATCH - n_queries) * DIM * sizeof *queries);
    for (size_t i = 0; i < n; i++) {
        kept[i] = true;
        for (int c = 0; c < n_conditions; c++)
            kept[i] = kept[i] && keeps(conditions[c], i);
        matches += kept[i];
    }
#pragma omp parallel for schedule(dynamic)
    for (size_t b = 0; b < batches; b++)
        nearest(base, n, kept, queries + b * BATCH * DIM, rows + b * BATCH * K);
    FILE *f = create(dir, name, ".truth");
    fwrite(rows, sizeof *rows * K, n_queries, f);
    fclose(f);
    printf("%zu\n", matches);
    free(base);
    free(queries);
    free(rows);
    free(kept);
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
    f = create(dir, "queries", ".b64");
    for (size_t i = 0; i < n_queries; i++) {
        write_base64(f, queries + i * DIM, DIM * sizeof(float));
        fputc('\n', f);
    }
    fclose(f);
    free(base);
    free(queries);
}

/* ---- faiss ---- */

struct run {
    const FaissIndex *index;
    const float *queries;
    size_t n_queries, first, n;
    double until;
    double *ms;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void find(const struct run *r, size_t q, idx_t rows[K])
{
    float scores[K];
    if (faiss_Index_search(r->index, 1, r->queries + q * DIM, K, scores, rows) != 0)
        fail("FAISS does not search");
}

static void *run_main(void *arg)
{
    struct run *r = arg;
    omp_set_num_threads(1);
    r->n = 0;
    for (size_t q = r->first; now_s() < r->until && r->n < SAMPLES_MAX; q++) {
        idx_t rows[K];
        double from = now_s();
        find(r, q % r->n_queries, rows);
        r->ms[r->n++] = (now_s() - from) * 1e3;
    }
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Searches per second by `threads`, and the median and 99th percentile of one search, in ms. */
static void measure(const struct run *like, size_t threads, double seconds)
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
    double took = now_s() - start;
    qsort(runs[0].ms, runs[0].n, sizeof(double), by_value);
    printf("{\"per_second\":%.1f,\"p50_ms\":%.5f,\"p99_ms\":%.5f}\n", (double)n / took, runs[0].ms[runs[0].n / 2],
           runs[0].ms[runs[0].n * 99 / 100]);
    for (size_t t = 0; t < threads; t++)
        free(runs[t].ms);
    free(runs);
    free(ids);
}

static double recall(const struct run *r, const int32_t *truth_rows)
{
    size_t hits = 0;
#pragma omp parallel for schedule(dynamic, 16) reduction(+ : hits)
    for (size_t q = 0; q < r->n_queries; q++) {
        idx_t rows[K];
        find(r, q, rows);
        for (size_t i = 0; i < K; i++) {
            for (size_t k = 0; k < K; k++)
                hits += rows[i] >= 0 && rows[i] == truth_rows[q * K + k];
        }
    }
    return (double)hits / (double)(r->n_queries * K);
}

static FaissIndex *build(FaissParameterSpace *space, const float *base, size_t n)
{
    char how[32];
    FaissIndex *index = NULL;
    snprintf(how, sizeof how, "HNSW%d,Flat", GRAPH_M);
    double start = now_s();
    if (faiss_index_factory(&index, DIM, how, METRIC_INNER_PRODUCT) != 0 ||
        faiss_ParameterSpace_set_index_parameter(space, index, "efConstruction", GRAPH_EF_CONSTRUCTION) != 0 ||
        faiss_Index_add(index, (idx_t)n, base) != 0)
        fail("FAISS does not build");
    printf("{\"rows\":%zu,\"kernel\":\"%s\",\"graph\":\"%s, efConstruction %d\",\"build_s\":%.2f,\"threads\":%d}\n", n,
           kernel_version(2)   ? "AVX-512"
           : kernel_version(1) ? "AVX2"
                               : "baseline",
           how, GRAPH_EF_CONSTRUCTION, now_s() - start, omp_get_max_threads());
    return index;
}

static void reference(const char *dir, const char *name)
{
    size_t bytes = 0;
    float *base = load(dir, "base", ".f32", &bytes);
    size_t n = bytes / (DIM * sizeof(float));
    struct run r = {.queries = load(dir, "queries", ".f32", &bytes)};
    r.n_queries = bytes / (DIM * sizeof(float));
    int32_t *rows = load(dir, name, ".truth", &bytes);
    if (bytes != r.n_queries * K * sizeof *rows)
        fail("the answers are not those of the queries");
    FaissParameterSpace *space = NULL;
    if (faiss_ParameterSpace_new(&space) != 0)
        fail("FAISS has no parameters");
    FaissIndex *index = build(space, base, n);
    free(base);
    r.index = index;
    char line[128];
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        char *at = strchr(line, ' ');
        size_t ef = at ? strtoull(at, &at, 10) : 0;
        if (ef == 0 || faiss_ParameterSpace_set_index_parameter(space, index, "efSearch", (double)ef) != 0)
            fail("FAISS does not take efSearch");
        if (strncmp(line, "recall ", 7) == 0) {
            printf("{\"recall\":%.6f}\n", recall(&r, rows));
        } else {
            size_t threads = strtoull(at, &at, 10);
            measure(&r, threads ? threads : 1, strtod(at, NULL));
        }
        fflush(stdout);
    }
    faiss_ParameterSpace_free(space);
    faiss_Index_free(index);
    free(rows);
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    if (argc == 6 && strcmp(what, "make") == 0)
        make(argv[2], strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10));
    else if ((argc == 6 || argc == 7) && strcmp(what, "documents") == 0)
        documents(argv[2], argv[3], strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10), argc == 7);
    else if (argc == 3 && strcmp(what, "copy") == 0)
        write_copy(argv[2]);
    else if (argc > 3 && strcmp(what, "truth") == 0)
        truth(argv[2], argv[3], argv + 4, argc - 4);
    else if (argc == 4 && strcmp(what, "faiss") == 0)
        reference(argv[2], argv[3]);
    else
        fail("usage: vectors make|documents|truth|copy|faiss DIR ... (see the head of bench/vectors.c)");
    return 0;
}
