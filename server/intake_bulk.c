/*
 * Bulk ingest: NDJSON in, batches out. While one batch is in its store transaction on the writer thread, the next is
 * read, parsed and extracted on the caller's: two batches exist, never more.
 *
 * A batch belongs to the caller until it is handed over, and again after settle(); between the two the writer alone
 * touches it (and the run it goes to).
 */
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/intake_priv.h"
#include "server/ndjson.h"
#include "server/priority.h"
#include "server/problem.h"
#include "server/server.h"

enum {
    BATCH_TIMEOUT_S = 120,
    BATCH_ARENA = 1 << 20,
    PACE_ROWS = 12288, /* rows without a graph that searches are not to scan more of for the sake of a bulk */
    PACE_US = 120,     /* what a batch waits at most, for each of its chunks */
    PACE_TICK_US = 2000,
    SEARCHED_US = 1000000 /* searches are going on when one was answered this long ago or later */
};

struct batch {
    struct call call; /* its own arena and deadline */
    struct bulk_run *to;
    size_t n, bytes;
    struct intake_document docs[BULK_BATCH_DOCS];
    int64_t lines[BULK_BATCH_DOCS];
    struct intake_result results[BULK_BATCH_DOCS];
    struct prepared prepared;
    struct store_commit commit;
    enum assay_code code; /* how the transaction ended */
    struct err err;
};

struct rejection {
    int64_t line;
    struct str json; /* malloc'd */
};

struct bulk {
    struct intake *in;
    const struct call *call;
    struct collection *fallback; /* where documents go that name no collection */
    struct bulk_report *out;
    void (*progress)(void *ctx, int64_t lines, int64_t errors);
    void *progress_ctx;
    struct ndjson lines;
    struct batch batches[2];
    struct batch *filling;         /* the caller's */
    struct batch *handed;          /* the writer's, or NULL; caller's view */
    int64_t searches, searched_us; /* how many there were, and when that was seen to grow (monotonic) */
    struct rejection *rejections;  /* BULK_REJECTED_MAX */
    size_t n_rejections;
    /* The writer. The lock guards todo, busy and stop. */
    pthread_t thread;
    bool threaded;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct batch *todo;
    bool busy, stop;
};

/* ---- the writer thread ---- */

static void commit_batch(struct bulk *b, struct batch *batch)
{
    batch->call.deadline_us = clock_mono_us() + BATCH_TIMEOUT_S * CLOCK_SECOND;
    batch->code = intake_commit(b->in, &batch->call, &batch->to->run, &batch->prepared, &batch->commit, &batch->err);
    const struct documents_written *written = &batch->prepared.written;
    struct server *server = b->in->server;
    if (batch->code == ASSAY_OK && written->n > 0) {
        /* What settle() asks of the batch from here on does not lie in its arena. */
        handover_give(server->handover, batch->to->run.collection->id, written, batch->call.arena);
        batch->call.arena = arena_new(BATCH_ARENA);
    }
    if (batch->commit.seq > 0)
        follower_notify(server->follower);
}

static void *writer_main(void *ctx)
{
    struct bulk *b = ctx;
    (void)pthread_setname_np(pthread_self(), "store");
    priority_lower(PRIORITY_INTAKE);
    log_bind(b->call->request_id);
    pthread_mutex_lock(&b->lock);
    while (!b->stop || b->todo) {
        if (!b->todo) {
            pthread_cond_wait(&b->changed, &b->lock);
            continue;
        }
        struct batch *batch = b->todo;
        b->todo = NULL;
        pthread_mutex_unlock(&b->lock);
        commit_batch(b, batch);
        pthread_mutex_lock(&b->lock);
        b->busy = false;
        pthread_cond_broadcast(&b->changed);
    }
    pthread_mutex_unlock(&b->lock);
    log_bind(NULL);
    return NULL;
}

/* Starts the writer when there is work for it; without one (the system refuses a thread) batches are stored inline. */
static void hand_over(struct bulk *b, struct batch *batch)
{
    if (!b->threaded)
        b->threaded = pthread_create(&b->thread, NULL, writer_main, b) == 0;
    b->handed = batch;
    if (!b->threaded) {
        commit_batch(b, batch);
        return;
    }
    pthread_mutex_lock(&b->lock);
    b->todo = batch;
    b->busy = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

static void wait_idle(struct bulk *b)
{
    pthread_mutex_lock(&b->lock);
    while (b->busy)
        pthread_cond_wait(&b->changed, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

static void stop_writer(struct bulk *b)
{
    if (!b->threaded)
        return;
    pthread_mutex_lock(&b->lock);
    b->stop = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    int rc = pthread_join(b->thread, NULL);
    assert(rc == 0);
    (void)rc;
}

/* ---- the report ---- */

static void reject_line(struct bulk *b, int64_t line, const struct err *why)
{
    struct buf text = {0};
    struct jsonw w;
    b->out->rejected++;
    if (b->n_rejections == BULK_REJECTED_MAX)
        return;
    jsonw_init(&w, &text);
    jsonw_object(&w);
    jsonw_kint(&w, "line", line);
    jsonw_key(&w, "problem");
    problem_write(&w, why);
    jsonw_object_end(&w);
    b->rejections[b->n_rejections++] = (struct rejection){line, buf_str(&text)};
}

static int by_line(const void *a, const void *b)
{
    const struct rejection *x = a, *y = b;
    return (x->line > y->line) - (x->line < y->line);
}

static void write_rejections(struct bulk *b)
{
    qsort(b->rejections, b->n_rejections, sizeof *b->rejections, by_line);
    for (size_t i = 0; i < b->n_rejections; i++) {
        if (i > 0)
            buf_putc(&b->out->rejected_json, ',');
        buf_put(&b->out->rejected_json, b->rejections[i].json.ptr, b->rejections[i].json.len);
        free((void *)(uintptr_t)b->rejections[i].json.ptr);
    }
}

static void clear_batch(struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++)
        err_clear(&batch->results[i].err);
    err_clear(&batch->err);
    memset(batch->results, 0, batch->n * sizeof *batch->results);
    batch->n = 0;
    batch->bytes = 0;
    batch->to = NULL;
    arena_reset(batch->call.arena);
}

/* Waits for the batch that was handed over, if any, and takes its results into the report. */
static enum assay_code settle(struct bulk *b, struct err *err)
{
    struct batch *batch = b->handed;
    if (!batch)
        return ASSAY_OK;
    wait_idle(b);
    b->handed = NULL;
    enum assay_code code = batch->code;
    if (code != ASSAY_OK) {
        err_set(err, code, batch->err.slug, "%s", batch->err.detail);
    } else {
        for (size_t i = 0; i < batch->n; i++) {
            const struct intake_result *r = &batch->results[i];
            if (r->put.outcome == PUT_REJECTED)
                reject_line(b, batch->lines[i], &r->err);
            b->out->accepted += r->put.outcome != PUT_REJECTED && r->put.outcome != PUT_UNCHANGED;
            b->out->unchanged += r->put.outcome == PUT_UNCHANGED;
        }
        if (batch->commit.seq > 0)
            batch->to->commit = batch->commit;
        if (b->progress)
            b->progress(b->progress_ctx, batch->lines[batch->n - 1], b->out->rejected);
    }
    clear_batch(batch);
    return code;
}

/* ---- batches ---- */

/* The run for a collection, made when it is first needed, moved to the front. */
static struct bulk_run *run_for(struct bulk *b, struct collection *c)
{
    struct bulk_run **at = &b->out->runs;
    while (*at && (*at)->run.collection != c)
        at = &(*at)->next;
    struct bulk_run *r = *at;
    if (r) {
        *at = r->next;
    } else {
        r = ARENA_NEW(b->call->arena, struct bulk_run);
        intake_run_init(&r->run, c);
    }
    r->next = b->out->runs;
    b->out->runs = r;
    return r;
}

static bool searched_lately(struct bulk *b)
{
    int64_t searches = metrics_searches(b->in->server->metrics), now_us = clock_mono_us();
    if (searches != b->searches) {
        b->searches = searches;
        b->searched_us = now_us;
    }
    return b->searched_us > 0 && now_us - b->searched_us < SEARCHED_US;
}

/* While searches go on, a bulk leaves the cores to the index when that has fallen behind: what has no graph yet is
 * scanned by every one of them. */
static void pace(struct bulk *b, const struct prepared *batch, struct vindex_collection *index)
{
    const struct timespec tick = {0, PACE_TICK_US * 1000};
    int64_t until_us = clock_mono_us();
    for (size_t i = 0; i < batch->n_puts; i++)
        until_us += PACE_US * (int64_t)batch->puts[i].n_chunks;
    while (searched_lately(b) && vindex_unsealed(index) > PACE_ROWS && clock_mono_us() < until_us)
        (void)nanosleep(&tick, NULL);
}

static enum assay_code flush(struct bulk *b, struct err *err)
{
    struct batch *batch = b->filling;
    if (batch->n == 0)
        return ASSAY_OK;
    batch->call.deadline_us = clock_mono_us() + BATCH_TIMEOUT_S * CLOCK_SECOND;
    enum assay_code code = intake_prepare(b->in, &batch->call, batch->to->run.collection, batch->docs, batch->n, false,
                                          batch->results, &batch->prepared, err);
    if (code != ASSAY_OK)
        return code;
    code = settle(b, err);
    if (code != ASSAY_OK)
        return code;
    pace(b, &batch->prepared, batch->to->run.collection->index);
    hand_over(b, batch);
    b->filling = batch == &b->batches[0] ? &b->batches[1] : &b->batches[0];
    return ASSAY_OK;
}

/* Reads the line as a document of `filling`, or says in *why what is wrong with it and leaves nothing behind. */
static bool take_line(struct bulk *b, struct str line, struct intake_document *d, struct collection **c,
                      struct err *why)
{
    struct batch *batch = b->filling;
    struct arena_mark mark = arena_mark(batch->call.arena);
    enum assay_code code = intake_document_parse(batch->call.arena, line, d, why);
    *c = b->fallback;
    if (code == ASSAY_OK && d->collection.len > 0)
        code = catalog_get(b->in->server->catalog, d->collection, true, c, why);
    if (code != ASSAY_OK)
        arena_rollback(batch->call.arena, mark);
    return code == ASSAY_OK;
}

static enum assay_code add_line(struct bulk *b, struct str line, struct err *err)
{
    struct intake_document d;
    struct collection *c = NULL;
    struct err why = {0};
    if (!take_line(b, line, &d, &c, &why)) {
        reject_line(b, b->lines.number, &why);
        metrics_add(b->in->server->metrics, METRIC_INGEST_REJECTED, 1);
        err_clear(&why);
        return ASSAY_OK;
    }
    if (b->filling->n > 0 && b->filling->to->run.collection != c) {
        TRY(flush(b, err));
        if (!take_line(b, line, &d, &c, &why)) /* once more, into the other batch's arena: it was read well just now */
            return err_set(err, ASSAY_INTERNAL, NULL, "A line could not be read a second time.");
    }
    struct batch *batch = b->filling;
    batch->to = run_for(b, c);
    batch->lines[batch->n] = b->lines.number;
    batch->docs[batch->n++] = d;
    batch->bytes += line.len;
    if (batch->n == BULK_BATCH_DOCS || batch->bytes >= BULK_BATCH_BYTES)
        return flush(b, err);
    return ASSAY_OK;
}

static enum assay_code read_all(struct bulk *b, struct err *err)
{
    for (;;) {
        enum ndjson_event event;
        struct str line;
        TRY(ndjson_next(&b->lines, &event, &line, err));
        if (event == NDJSON_END)
            break;
        b->out->lines = b->lines.number;
        if (event == NDJSON_TOO_LONG) {
            struct err why = {0};
            err_set(&why, ASSAY_TOO_LARGE, "line-too-long", "The line is longer than %zu bytes.", b->lines.line_max);
            reject_line(b, b->lines.number, &why);
            metrics_add(b->in->server->metrics, METRIC_INGEST_REJECTED, 1);
            err_clear(&why);
        } else {
            TRY(add_line(b, line, err));
        }
    }
    TRY(flush(b, err));
    return settle(b, err);
}

/* The reading half on a thread of its own, since its priority could not be raised again. */
struct reading {
    struct bulk *bulk;
    struct err *err;
    enum assay_code code;
};

static void *reader_main(void *ctx)
{
    struct reading *r = ctx;
    (void)pthread_setname_np(pthread_self(), "intake");
    priority_lower(PRIORITY_INTAKE);
    log_bind(r->bulk->call->request_id);
    r->code = read_all(r->bulk, r->err);
    log_bind(NULL);
    return NULL;
}

static enum assay_code read_low(struct bulk *b, struct err *err)
{
    struct reading r = {b, err, ASSAY_OK};
    pthread_t thread;
    if (pthread_create(&thread, NULL, reader_main, &r) != 0)
        return read_all(b, err);
    int rc = pthread_join(thread, NULL);
    assert(rc == 0);
    (void)rc;
    return r.code;
}

/* ---- from outside ---- */

static void bulk_init(struct bulk *b, struct intake *in, const struct call *call, const struct bulk_source *from)
{
    const struct config *cfg = in->server->config;
    b->in = in;
    b->call = call;
    b->rejections = mem_calloc(BULK_REJECTED_MAX, sizeof *b->rejections);
    b->filling = &b->batches[0];
    b->searches = metrics_searches(in->server->metrics);
    ndjson_init(&b->lines, from, (size_t)cfg->bulk_line_max, cfg->bulk_body_max);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    for (size_t i = 0; i < 2; i++) {
        b->batches[i].call = *call;
        b->batches[i].call.arena = arena_new(BATCH_ARENA);
    }
}

static void bulk_free(struct bulk *b)
{
    for (size_t i = 0; i < 2; i++) {
        clear_batch(&b->batches[i]);
        arena_free(b->batches[i].call.arena);
    }
    ndjson_free(&b->lines);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->changed);
    free(b->rejections);
    free(b);
}

/* The error as it was, with how far the stream came before it. */
static void add_counts(const struct bulk_report *r, struct err *err)
{
    char detail[sizeof err->detail];
    size_t len = strlen(err->detail), room = sizeof detail - 120; /* for the counts */
    len = str_utf8_cut((struct str){err->detail, len < room ? len : room});
    while (len > 0 && err->detail[len - 1] == '.')
        len--;
    memcpy(detail, err->detail, len);
    detail[len] = '\0';
    err_set(err, err->code, err->slug, "%s (before that, of %lld lines: %lld accepted, %lld unchanged, %lld rejected).",
            detail, (long long)r->lines, (long long)r->accepted, (long long)r->unchanged, (long long)r->rejected);
}

enum assay_code intake_bulk(struct intake *in, const struct call *call, const struct bulk_source *from,
                            struct str default_collection, void (*progress)(void *ctx, int64_t lines, int64_t errors),
                            void *progress_ctx, struct bulk_report *out, struct err *err)
{
    struct collection *fallback = NULL;
    *out = (struct bulk_report){0};
    TRY(catalog_get(in->server->catalog, default_collection, false, &fallback, err));
    struct bulk *b = mem_calloc(1, sizeof *b);
    bulk_init(b, in, call, from);
    b->fallback = fallback;
    b->out = out;
    b->progress = progress;
    b->progress_ctx = progress_ctx;
    enum assay_code code = read_low(b, err);
    if (code != ASSAY_OK) {
        struct err later = {0};
        (void)settle(b, &later); /* what was under way counts; the first error is the one to tell */
        err_clear(&later);
        add_counts(out, err);
    }
    stop_writer(b);
    struct call closing = *call;
    closing.deadline_us = clock_mono_us() + 5 * CLOCK_SECOND;
    for (struct bulk_run *r = out->runs; r; r = r->next)
        intake_run_finish(in, &closing, &r->run, code == ASSAY_OK);
    write_rejections(b);
    bulk_free(b);
    return code;
}

void intake_bulk_write(struct jsonw *w, const struct bulk_report *r)
{
    const struct bulk_run *last = r->runs;
    while (last && last->commit.seq == 0)
        last = last->next;
    jsonw_object(w);
    jsonw_kint(w, "accepted", r->accepted);
    jsonw_kint(w, "unchanged", r->unchanged);
    jsonw_key(w, "rejected");
    jsonw_array(w);
    if (r->rejected_json.len > 0)
        jsonw_raw(w, buf_str(&r->rejected_json));
    jsonw_array_end(w);
    jsonw_kint(w, "rejected_count", r->rejected);
    if (last)
        jsonw_kdigest(w, "commit", &last->commit.id);
    else
        jsonw_kcstr(w, "commit", NULL);
    jsonw_kcstr(w, "run", last && last->run.started ? last->run.id : NULL);
    jsonw_object_end(w);
}
