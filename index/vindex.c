#include "index/vindex.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "index/collection.h"

enum { TRIM_BYTES = 16 << 20 /* newly mapped: worth asking the allocator to give memory back */ };

const char *chunk_state_name(enum chunk_state s)
{
    static const char *const names[CHUNK_STATE_COUNT] = {
        [CHUNK_PENDING] = "pending",
        [CHUNK_ACTIVE] = "active",
        [CHUNK_QUARANTINED] = "quarantined",
        [CHUNK_RETIRED] = "retired",
    };
    return s < CHUNK_STATE_COUNT ? names[s] : "unknown";
}

/* ---- process ---- */

static enum assay_code make_dir(const char *path, struct err *err)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        log_error("index directory", "path=%s error=\"%s\"", path, strerror(errno));
        return err_set(err, ASSAY_UNAVAILABLE, NULL, "the index directory cannot be made");
    }
    return ASSAY_OK;
}

static char *joined(const char *dir, const char *name)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/%s", dir, name);
    return n > 0 && (size_t)n < sizeof(path) ? mem_strdup(path) : NULL;
}

/* Two processes on one directory would each remove the other's files. */
static enum assay_code lock_dir(struct vindex *v, struct err *err)
{
    char *path = joined(v->dir, "lock");
    v->lock_fd = path != NULL ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    free(path);
    if (v->lock_fd < 0 || flock(v->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        log_error("index directory is not ours", "path=%s error=\"%s\"", v->dir, strerror(errno));
        return err_set(err, ASSAY_UNAVAILABLE, NULL, "the index directory is in use by another process");
    }
    return ASSAY_OK;
}

enum assay_code vindex_open(const struct vindex_config *cfg, struct vindex **out, struct err *err)
{
    assert(cfg->build_threads >= 1);
    struct vindex *v = mem_calloc(1, sizeof(*v));
    v->cfg = *cfg;
    v->cfg.head_max = cfg->head_max > 0 ? cfg->head_max : HEAD_MAX;
    v->cfg.ef_search = cfg->ef_search > 0 ? cfg->ef_search : EF_SEARCH;
    v->cfg.write_bytes = cfg->write_bytes > 0 ? cfg->write_bytes : WRITE_BYTES;
    v->dir = mem_strdup(cfg->dir);
    v->cfg.dir = v->dir;
    v->lock_fd = -1;
    enum assay_code code = make_dir(v->dir, err);
    if (code == ASSAY_OK) {
        code = lock_dir(v, err);
    }
    if (code == ASSAY_OK && (v->builder = builder_new()) == NULL) {
        code = err_set(err, ASSAY_UNAVAILABLE, NULL, "the index builder's thread cannot be started");
    }
    if (code != ASSAY_OK) {
        vindex_close(v);
        return code;
    }
    *out = v;
    return ASSAY_OK;
}

void vindex_close(struct vindex *v)
{
    if (v == NULL) {
        return;
    }
    builder_free(v->builder);
    if (v->lock_fd >= 0) {
        close(v->lock_fd);
    }
    free(v->dir);
    free(v);
}

/* ---- collection ---- */

static enum assay_code in_range(const char *name, int v, int min, int max, struct err *err)
{
    if (v != 0 && (v < min || v > max)) {
        return err_set(err, ASSAY_INVALID, NULL, "%s must be from %d to %d", name, min, max);
    }
    return ASSAY_OK;
}

enum assay_code vindex_params_check(const struct vindex_params *p, struct err *err)
{
    TRY(in_range("m", p->m, VINDEX_M_MIN, VINDEX_M_MAX, err));
    TRY(in_range("ef_construction", p->ef_construction, VINDEX_EF_CONSTRUCTION_MIN, VINDEX_EF_CONSTRUCTION_MAX, err));
    TRY(in_range("ef_search", p->ef_search, VINDEX_EF_SEARCH_MIN, VINDEX_EF_SEARCH_MAX, err));
    if (p->precision != VINDEX_F32 && p->precision != VINDEX_I8) {
        return err_set(err, ASSAY_INVALID, NULL, "the index keeps vectors as float32 or int8");
    }
    return ASSAY_OK;
}

static struct vindex_params with_defaults(const struct vindex_params *p, const struct vindex_config *cfg)
{
    return (struct vindex_params){.m = p->m != 0 ? p->m : GRAPH_M,
                                  .ef_construction =
                                      p->ef_construction != 0 ? p->ef_construction : GRAPH_EF_CONSTRUCTION,
                                  .ef_search = p->ef_search != 0 ? p->ef_search : cfg->ef_search,
                                  .precision = p->precision};
}

void collection_empty(struct vindex_collection *c)
{
    bool *gone = mem_alloc((c->n + 1) * sizeof(*gone));
    memset(gone, true, c->n * sizeof(*gone));
    held_drop(c, gone);
    free(gone);
    sources_unref(c->sources);
    generation_clear(c);
    c->sources = sources_new();
    c->seq = 0;
    c->commit = (struct digest){{0}};
    c->failed_rows = 0;
    c->merge_failed = false;
    c->dirty = false;
}

static struct view *make_view(const struct vindex_collection *c)
{
    struct view_seg *segs = mem_calloc(c->n + 1, sizeof(*segs));
    for (size_t i = 0; i < c->n; i++) {
        segs[i] = c->segs[i].vs;
    }
    struct view *view = view_new(segs, c->n, c->sources, c->seq, &c->commit);
    view->lsa = lsa_ref(c->gen.lsa);
    view->generation = c->gen.switches;
    free(segs);
    return view;
}

void collection_publish(struct vindex_collection *c)
{
    views_publish(&c->views, make_view(c));
    pthread_mutex_lock(&c->wait_lock);
    c->waited_seq = c->seq;
    pthread_cond_broadcast(&c->wait_cond);
    pthread_mutex_unlock(&c->wait_lock);
}

static void init_waiting(struct vindex_collection *c)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->wait_cond, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&c->wait_lock, NULL);
    c->waited_seq = c->seq;
}

static char *generation_dir(const struct vindex *v, int32_t id, int32_t generation)
{
    char name[32];
    if (generation > 1) {
        snprintf(name, sizeof(name), "%d-%d", (int)id, (int)generation);
    } else {
        snprintf(name, sizeof(name), "%d", (int)id);
    }
    return joined(v->dir, name);
}

enum assay_code vindex_collection_open(struct vindex *v, const struct vindex_spec *spec, struct vindex_collection **out,
                                       int64_t *applied, struct err *err)
{
    if (spec->dim < 1 || spec->dim > VINDEX_DIM_MAX) {
        return err_set(err, ASSAY_INVALID, NULL, "the dimension must be from 1 to %d", VINDEX_DIM_MAX);
    }
    TRY(vindex_params_check(&spec->params, err));
    char *dir = generation_dir(v, spec->id, spec->generation);
    if (dir == NULL) {
        return err_set(err, ASSAY_UNAVAILABLE, NULL, "the index directory's path is too long");
    }
    enum assay_code code = make_dir(dir, err);
    if (code != ASSAY_OK) {
        free(dir);
        return code;
    }
    struct vindex_collection *c = mem_calloc(1, sizeof(*c));
    c->v = v;
    c->spec = *spec;
    c->spec.params = with_defaults(&spec->params, &v->cfg);
    c->dir = dir;
    c->sources = sources_new();
    c->words = words_new();
    c->embedder = embedder_new();
    c->next_file = 1;
    c->applied_us = clock_mono_us();
    files_load(c);
    init_waiting(c);
    views_init(&c->views, make_view(c));
    *applied = c->seq;
    *out = c;
    return ASSAY_OK;
}

void vindex_collection_close(struct vindex_collection *c)
{
    if (c == NULL) {
        return;
    }
    generation_cancel(c);
    collection_cancel_job(c);
    views_clear(&c->views);
    collection_empty(c);
    sources_unref(c->sources);
    words_free(c->words);
    embedder_free(c->embedder);
    pthread_cond_destroy(&c->wait_cond);
    pthread_mutex_destroy(&c->wait_lock);
    free(c->segs);
    free(c->dir);
    free(c);
}

static void remove_dir(const char *path)
{
    DIR *d = opendir(path);
    if (d == NULL) {
        return;
    }
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            (void)unlinkat(dirfd(d), e->d_name, 0); /* what stays makes rmdir fail, which is said */
        }
    }
    closedir(d);
    if (rmdir(path) != 0) {
        log_warn("index directory not removed", "path=%s error=\"%s\"", path, strerror(errno));
    }
}

void vindex_collection_remove(struct vindex_collection *c)
{
    char *dir = mem_strdup(c->dir);
    vindex_collection_close(c);
    remove_dir(dir);
    free(dir);
}

/* Reads "<id>" (generation 1) and "<id>-<n>". 0: another name. */
static int32_t generation_of(const char *name, int32_t id)
{
    char *end = NULL;
    errno = 0;
    long number = strtol(name, &end, 10);
    if (errno != 0 || end == name || number != id) {
        return 0;
    }
    if (*end == '\0') {
        return 1;
    }
    const char *rest = end + 1;
    long n = *end == '-' ? strtol(rest, &end, 10) : 0;
    return errno == 0 && n > 1 && n <= INT32_MAX && *end == '\0' ? (int32_t)n : 0;
}

void vindex_keep_generations(struct vindex *v, int32_t id, const int32_t *generations, size_t n)
{
    DIR *d = opendir(v->dir);
    if (d == NULL) {
        return;
    }
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        int32_t generation = generation_of(e->d_name, id);
        bool kept = generation == 0;
        for (size_t i = 0; i < n; i++) {
            kept |= generations[i] == generation;
        }
        char *path = kept ? NULL : generation_dir(v, id, generation);
        if (path != NULL) {
            remove_dir(path);
        }
        free(path);
    }
    closedir(d);
}

enum assay_code vindex_collection_reset(struct vindex_collection *c, struct err *err)
{
    generation_cancel(c);
    collection_cancel_job(c);
    collection_empty(c);
    collection_publish(c);
    return files_remove_all(c, err);
}

enum assay_code vindex_checkpoint(struct vindex_collection *c, struct err *err)
{
    if (!c->dirty) {
        return ASSAY_OK;
    }
    if (generation_busy(c)) {
        c->gen.unsaved = true;
        return ASSAY_OK;
    }
    size_t before = c->mapped;
    enum assay_code code = files_save(c, err);
    collection_publish(c);
    if (c->mapped > before + TRIM_BYTES) {
        (void)malloc_trim(0); /* what it replaced lay between other things */
    }
    TRY(code);
    c->dirty = false;
    atomic_fetch_add(&c->checkpoints, 1);
    return ASSAY_OK;
}

bool vindex_wait(struct vindex_collection *c, int64_t seq, int64_t deadline_us)
{
    struct timespec until = {.tv_sec = (time_t)(deadline_us / CLOCK_SECOND),
                             .tv_nsec = (long)(deadline_us % CLOCK_SECOND) * 1000};
    int rc = 0;
    pthread_mutex_lock(&c->wait_lock);
    while (c->waited_seq < seq && rc == 0) {
        rc = pthread_cond_timedwait(&c->wait_cond, &c->wait_lock, &until);
    }
    bool reached = c->waited_seq >= seq;
    pthread_mutex_unlock(&c->wait_lock);
    return reached;
}

/* The earliest deadline of an active row that has passed; CLOCK_NEVER when none has. */
static int64_t earliest_overdue(const struct view *view, int64_t now_us)
{
    int64_t earliest = CLOCK_NEVER;
    for (size_t i = 0; i < view->n; i++) {
        const struct seg_vis *vis = &view->segs[i].vis;
        for (size_t row = 0; row < vis->rows->n; row++) {
            int64_t deadline = vis->age->deadline[row];
            if (deadline <= now_us && deadline < earliest && vis->rows->state[row] == CHUNK_ACTIVE) {
                earliest = deadline;
            }
        }
    }
    return earliest;
}

size_t vindex_unsealed(struct vindex_collection *c)
{
    struct view_slot *slot = views_pin(&c->views);
    size_t rows = atomic_load_explicit(&slot->view, memory_order_relaxed)->flat_rows;
    views_unpin(slot);
    return rows;
}

void vindex_stats(struct vindex_collection *c, struct vindex_stats *out)
{
    struct view_slot *slot = views_pin(&c->views);
    const struct view *view = atomic_load_explicit(&slot->view, memory_order_relaxed);
    int64_t now = clock_now_us();
    *out = (struct vindex_stats){.seq = view->seq,
                                 .commit = view->commit,
                                 .slots = view->rows,
                                 .segments = view->n,
                                 .head_rows = view->flat_rows,
                                 .terms = view->terms,
                                 .disk_bytes = atomic_load(&c->disk_bytes),
                                 .builds = atomic_load(&c->builds),
                                 .merges = atomic_load(&c->merges),
                                 .checkpoints = atomic_load(&c->checkpoints),
                                 .generation = view->generation,
                                 .learning = atomic_load(&c->learning)};
    memcpy(out->chunks_by_state, view->by_state, sizeof(view->by_state));
    for (size_t i = 0; i < view->n; i++) {
        out->mapped_bytes += segment_mapped_bytes(view->segs[i].seg);
        out->memory_bytes += segment_heap_bytes(view->segs[i].seg) + vis_bytes(&view->segs[i].vis);
    }
    out->memory_bytes += out->mapped_bytes;
    if (view->lsa != NULL) {
        lsa_id(view->lsa, &out->embedder);
        out->memory_bytes += lsa_bytes(view->lsa);
    }
    int64_t earliest = earliest_overdue(view, now);
    if (earliest != CLOCK_NEVER) {
        out->oldest_overdue_seconds = ((double)now - (double)earliest) / (double)CLOCK_SECOND;
    }
    views_unpin(slot);
}

bool vindex_learning(struct vindex_collection *c, struct digest *learned)
{
    struct view_slot *slot = views_pin(&c->views);
    const struct view *view = atomic_load_explicit(&slot->view, memory_order_relaxed);
    *learned = (struct digest){{0}};
    if (view->lsa != NULL) {
        lsa_id(view->lsa, learned);
    }
    views_unpin(slot);
    return atomic_load(&c->learning);
}
