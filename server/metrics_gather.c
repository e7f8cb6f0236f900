/* Asking: PostgreSQL for what the cache holds, the kernel for the process. */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "quality/quality.h"
#include "server/metrics_internal.h"
#include "server/server.h"
#include "store/quality.h"

enum { REFRESH_SECONDS = 120 }; /* some 20 million chunks */

static void sum_sources(const struct collection *c, const struct quality_source_row *rows, size_t n,
                        struct metrics_collection *out)
{
    int64_t chunks = 0, bytes = 0, usable = 0, usable_bytes = 0, lineage = 0, valid = 0, fresh = 0, unique = 0;
    for (size_t i = 0; i < n; i++) {
        for (int s = 0; s < CHUNK_STATE_COUNT; s++) {
            if (s == CHUNK_RETIRED)
                continue;
            chunks += rows[i].chunks[s];
            bytes += rows[i].bytes[s];
        }
        usable += rows[i].usable_chunks;
        usable_bytes += rows[i].usable_bytes;
        lineage += rows[i].with_lineage;
        valid += rows[i].validated;
        fresh += rows[i].fresh;
        unique += rows[i].unique;
        out->documents += rows[i].documents;
    }
    struct quality_parts parts = {.v = {[QUALITY_LINEAGE] = quality_rate(lineage, chunks),
                                        [QUALITY_VALIDATION] = quality_rate(valid, chunks),
                                        [QUALITY_FRESHNESS] = quality_rate(fresh, chunks),
                                        [QUALITY_SAFETY] = (double)NAN,
                                        [QUALITY_UNIQUENESS] = quality_rate(unique, chunks)}};
    out->quality = quality_index(&parts, &c->rules.weights);
    out->usable_chunks = quality_usable_ratio(usable, chunks);
    out->usable_bytes = quality_usable_ratio(usable_bytes, bytes);
}

static bool gather_collection(struct server *s, const struct call *call, const struct collection *c,
                              struct metrics_collection *out)
{
    struct err err = {0};
    struct quality_source_row *rows = NULL;
    size_t n = 0;
    enum assay_code code = store_quality_sources(s->store, call, c->id, clock_now_us(), &rows, &n, &err);
    if (code == ASSAY_OK)
        code = store_quarantine_counts(s->store, call, c->id, out->quarantined, &err);
    if (code != ASSAY_OK)
        log_err(LOG_DEBUG, "figures could not be refreshed", &err);
    err_clear(&err);
    if (code != ASSAY_OK)
        return false;
    out->name = c->name.ptr;
    sum_sources(c, rows, n, out);
    return true;
}

void metrics_refresh(struct server *s)
{
    size_t n = 0;
    while (catalog_at(s->catalog, n))
        n++;
    struct metrics_collection *fresh = mem_calloc(n ? n : 1, sizeof *fresh);
    struct call call = {.arena = arena_new(16 << 10), .request_id = "metrics", .actor = "system:metrics"};
    size_t done = 0;
    for (; done < n; done++) {
        call.deadline_us = clock_mono_us() + REFRESH_SECONDS * CLOCK_SECOND;
        if (!gather_collection(s, &call, catalog_at(s->catalog, done), &fresh[done]))
            break;
        arena_reset(call.arena);
    }
    arena_free(call.arena);
    if (done == n) { /* all or nothing: figures of different moments do not add up */
        pthread_mutex_lock(&s->metrics->lock);
        struct metrics_collection *old = s->metrics->collections;
        s->metrics->collections = fresh;
        s->metrics->n_collections = n;
        s->metrics->refreshed_us = clock_now_us();
        pthread_mutex_unlock(&s->metrics->lock);
        fresh = old;
    }
    free(fresh);
}

/* ---- the process ---- */

static bool read_small(const char *path, char *out, size_t size)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    size_t n = fread(out, 1, size - 1, f);
    out[n] = '\0';
    return fclose(f) == 0 && n > 0;
}

static int64_t count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int64_t n = -3; /* ".", ".." and the directory itself */
    if (!d)
        return 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n < 0 ? 0 : n;
}

static double boot_time(void)
{
    char text[8192];
    if (!read_small("/proc/uptime", text, sizeof text))
        return 0;
    return (double)clock_now_us() / 1e6 - strtod(text, NULL);
}

bool metrics_process_read(struct metrics_process *out)
{
    char text[1024];
    unsigned long user = 0, system = 0, threads = 0, size = 0;
    unsigned long long start = 0;
    long resident = 0;
    struct rlimit limit;
    long hz = sysconf(_SC_CLK_TCK), page = sysconf(_SC_PAGESIZE);
    if (hz <= 0 || page <= 0 || !read_small("/proc/self/stat", text, sizeof text))
        return false;
    const char *after = strrchr(text, ')'); /* the command's name may hold anything */
    /* proc(5): fields 14 utime, 15 stime, 20 num_threads, 22 starttime, 23 vsize, 24 rss */
    if (!after ||
        sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %lu %*d %llu %lu %ld",
               &user, &system, &threads, &start, &size, &resident) != 6)
        return false;
    out->cpu_seconds = (double)(user + system) / (double)hz;
    out->start_time_seconds = boot_time() + (double)start / (double)hz;
    out->resident_bytes = (int64_t)resident * page;
    out->virtual_bytes = (int64_t)size;
    out->threads = (int64_t)threads;
    out->open_fds = count_fds();
    out->max_fds = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (int64_t)limit.rlim_cur : 0;
    return true;
}
