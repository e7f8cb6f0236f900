#include "server/filler.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/digest_map.h"
#include "server/server.h"
#include "store/documents.h"
#include "store/generations.h"
#include "store/vectors.h"

enum {
    WINDOW = 20000, /* changes looked at in one step */
    LEASE_S = 10,
    STORE_S = 30, /* for the statements of one step */
    PRUNE_ROWS = 5000,
    BACKOFF_MIN_MS = 500, /* after a failure: doubled up to the most */
    BACKOFF_MAX_MS = 30000,
    NAP_MS = 1000,
    ARENA_FIRST = 1 << 20
};

struct filler {
    struct server *server;
    struct arena *arena;
    pthread_t thread;
    int wake_fd; /* eventfd */
    atomic_bool stopping, prune;
    char holder[UUID_TEXT + 1];
    int backoff_ms;
};

static struct call filler_call(struct filler *f, int64_t for_us)
{
    return (struct call){
        .arena = f->arena, .deadline_us = clock_mono_us() + for_us, .request_id = "filler", .actor = "system:filler"};
}

/* What one step works on. */
struct step {
    struct filler *f;
    struct collection *c;
    struct vectors_lease lease;
    struct vector_want *wants;
    struct str *texts;
    struct vector_put *puts;
    size_t n;
};

static enum assay_code save(struct step *s, size_t n, int64_t filled, struct err *err)
{
    struct call call = filler_call(s->f, STORE_S * CLOCK_SECOND);
    return store_vectors_put(s->f->server->store, &call, &s->lease, &s->c->embedder, s->c->spec.dim, s->puts, n, filled,
                             err);
}

/* Vectors of texts[0..n), each different one asked for once, into puts. */
static enum assay_code ask(struct step *s, size_t from, size_t n, struct err *err)
{
    const struct embedder_spec *spec = &s->c->spec;
    struct digest_map seen;
    struct str *texts = ARENA_ARRAY(s->f->arena, struct str, n);
    size_t *at = ARENA_ARRAY(s->f->arena, size_t, n);
    size_t unique = 0, dim = (size_t)spec->dim;
    struct call call = filler_call(s->f, (int64_t)spec->timeout_ms * 1000); /* so long a shutdown may have to wait */
    digest_map_init(&seen, s->f->arena, n);
    for (size_t i = 0; i < n; i++) {
        at[i] = digest_map_put(&seen, &s->puts[from + i].embed_hash, unique);
        if (at[i] == unique)
            texts[unique++] = s->texts[from + i];
    }
    float *vectors = ARENA_ARRAY(s->f->arena, float, unique *dim);
    TRY(intake_embed_passages(s->f->server->intake, &call, s->c, texts, unique, vectors, err));
    for (size_t i = 0; i < n; i++)
        s->puts[from + i].vector = vectors + at[i] * dim;
    return ASSAY_OK;
}

/* When the endpoint refuses the batch, one text may be to blame: each is asked for alone, and those before the one that
 * is refused are kept. */
static enum assay_code ask_isolated(struct step *s, size_t *got, struct err *err)
{
    enum assay_code code = ask(s, 0, s->n, err);
    *got = code == ASSAY_OK ? s->n : 0;
    if (code != ASSAY_UPSTREAM || s->n == 1)
        return code;
    for (*got = 0; *got < s->n && !atomic_load(&s->f->stopping); (*got)++) {
        err_clear(err);
        code = ask(s, *got, 1, err);
        if (code != ASSAY_OK)
            return code;
    }
    return ASSAY_OK;
}

/* Vectors that the store has for the same text are taken over; what is left comes to the front. */
static enum assay_code take_known(struct step *s, struct err *err)
{
    struct call call = filler_call(s->f, STORE_S * CLOCK_SECOND);
    struct digest *hashes = ARENA_ARRAY(s->f->arena, struct digest, s->n);
    const float **found = ARENA_ARRAY(s->f->arena, const float *, s->n);
    size_t known = 0, left = 0;
    struct vector_put *ready = ARENA_ARRAY(s->f->arena, struct vector_put, s->n);
    for (size_t i = 0; i < s->n; i++) {
        const struct vector_want *w = &s->wants[i];
        s->texts[i] = intake_embedded_text(s->f->arena, w->title, w->heading, w->text);
        digest_sha256(s->texts[i].ptr, s->texts[i].len, &hashes[i]);
        s->puts[i] = (struct vector_put){.chunk = w->chunk, .embed_hash = hashes[i]};
    }
    TRY(store_embeddings_find(s->f->server->store, &call, s->c->id, &s->c->embedder, s->c->spec.dim, hashes, s->n,
                              found, err));
    for (size_t i = 0; i < s->n; i++) {
        if (found[i]) {
            ready[known] = s->puts[i];
            ready[known++].vector = found[i];
            continue;
        }
        s->texts[left] = s->texts[i];
        s->puts[left++] = s->puts[i];
    }
    s->n = left;
    if (known == 0)
        return ASSAY_OK;
    return store_vectors_put(s->f->server->store, &call, &s->lease, &s->c->embedder, s->c->spec.dim, ready, known, 0,
                             err);
}

static enum assay_code fill(struct step *s, int64_t after, struct err *err)
{
    struct filler *f = s->f;
    size_t limit = (size_t)s->c->spec.batch_size, got = 0; /* one request */
    struct call call = filler_call(f, STORE_S * CLOCK_SECOND);
    int64_t upto;
    TRY(store_vectors_wanted(f->server->store, &call, s->c->id, &s->c->embedder, after, WINDOW, limit, &s->wants, &s->n,
                             &upto, err));
    s->texts = ARENA_ARRAY(f->arena, struct str, s->n + 1);
    s->puts = ARENA_ARRAY(f->arena, struct vector_put, s->n + 1);
    if (s->n > 0)
        TRY(take_known(s, err));
    enum assay_code code = s->n > 0 ? ask_isolated(s, &got, err) : ASSAY_OK;
    if (code == ASSAY_OK)
        return save(s, got, upto, err);
    struct err own = {0};
    if (got > 0 && save(s, got, 0, &own) != ASSAY_OK)
        log_err(LOG_WARN, "vectors not stored", &own);
    err_clear(&own);
    return code;
}

/* Said where it is looked for. What the endpoint refuses for good halts a generation that is being built, until
 * somebody has seen to it and resumes it; one that is served is tried again. */
static void tell(struct step *s, enum assay_code code, const struct err *why)
{
    struct err err = {0};
    struct generation_row row;
    struct call call = filler_call(s->f, STORE_S * CLOCK_SECOND);
    struct store *store = s->f->server->store;
    int state = atomic_load(&s->c->generation->state);
    log_err(LOG_WARN, "vectors of an index generation not fetched", why);
    struct str text = str_of(arena_printf(s->f->arena, "%s", why->detail));
    if (code == ASSAY_UPSTREAM && (state == GENERATION_BUILDING || state == GENERATION_READY)) {
        code = store_generation_move(store, &call, s->c->id, s->lease.generation, GENERATION_PAUSE, text, &row, &err);
        follower_notify(s->f->server->follower);
    } else {
        code = store_vectors_trouble(store, &call, &s->lease, text, &err);
    }
    if (code != ASSAY_OK && code != ASSAY_UNAVAILABLE)
        log_err(LOG_WARN, "trouble of a generation not noted", &err);
    err_clear(&err);
}

/* One batch for one generation. False after a failure. */
static bool feed(struct filler *f, struct collection *c, int64_t after, bool *worked)
{
    struct step s = {.f = f, .c = c, .lease = {c->id, c->generation->number, f->holder}};
    struct call call = filler_call(f, STORE_S * CLOCK_SECOND);
    struct err err = {0};
    int64_t filled = 0;
    bool granted = false;
    enum assay_code code = store_vectors_claim(f->server->store, &call, &s.lease, LEASE_S, &granted, &filled, &err);
    bool ours = code == ASSAY_OK && granted;
    if (ours)
        code = fill(&s, after > filled ? after : filled, &err);
    if (ours && code == ASSAY_OK) {
        *worked = true;
        follower_notify(f->server->follower);
    } else if (code == ASSAY_UNAVAILABLE || code == ASSAY_UPSTREAM || code == ASSAY_UNPROCESSABLE) {
        tell(&s, code, &err);
    } else if (code != ASSAY_OK) {
        log_err(LOG_ERROR, "vectors of an index generation not fetched", &err);
    }
    err_clear(&err);
    return code == ASSAY_OK;
}

static bool wants_vectors(const struct collection *c, int64_t *after)
{
    int state = atomic_load(&c->generation->state);
    *after = atomic_load(&c->generation->starved_after);
    return c->spec.kind == EMBEDDER_OPENAI && *after >= 0 && state != GENERATION_PAUSED &&
           generation_open((enum generation_state)state);
}

static bool feed_all(struct filler *f, bool *worked)
{
    bool well = true;
    for (size_t i = 0; catalog_at(f->server->catalog, i); i++) {
        for (size_t j = 0; j < CATALOG_GENERATIONS && !atomic_load(&f->stopping); j++) {
            struct collection *c = catalog_generation(f->server->catalog, i, j);
            int64_t after;
            if (!c || !wants_vectors(c, &after))
                continue;
            arena_reset(f->arena);
            well &= feed(f, c, after, worked);
        }
    }
    return well;
}

static void prune(struct filler *f)
{
    const struct collection *c;
    for (size_t i = 0; (c = catalog_at(f->server->catalog, i)) && !atomic_load(&f->stopping); i++) {
        size_t removed = PRUNE_ROWS;
        while (removed == PRUNE_ROWS && !atomic_load(&f->stopping)) {
            struct err err = {0};
            struct call call = filler_call(f, STORE_S * CLOCK_SECOND);
            arena_reset(f->arena);
            if (store_vectors_prune(f->server->store, &call, c->id, PRUNE_ROWS, &removed, &err) != ASSAY_OK) {
                removed = 0;
                atomic_store(&f->prune, true); /* the next time round */
            }
            err_clear(&err);
        }
    }
}

/* Until something is wanted; after a failure (whole) that does not cut it short. */
static void nap(struct filler *f, int ms, bool whole)
{
    int64_t until = clock_mono_us() + (int64_t)ms * 1000;
    struct pollfd p = {.fd = f->wake_fd, .events = POLLIN};
    uint64_t count;
    int64_t left;
    do {
        left = until - clock_mono_us();
        if (poll(&p, 1, left > 0 ? (int)(left / 1000) + 1 : 0) > 0 && read(f->wake_fd, &count, sizeof count) < 0 &&
            errno != EAGAIN)
            log_warn("filler wait failed", "errno=%d", errno);
    } while (whole && left > 0 && !atomic_load(&f->stopping));
}

static void *run(void *arg)
{
    struct filler *f = arg;
    while (!atomic_load(&f->stopping)) {
        bool worked = false;
        bool well = feed_all(f, &worked);
        if (atomic_exchange(&f->prune, false)) {
            catalog_bury(f->server->catalog);
            prune(f);
        }
        if (well)
            f->backoff_ms = BACKOFF_MIN_MS;
        if (!worked || !well)
            nap(f, well ? NAP_MS : f->backoff_ms, !well);
        if (!well)
            f->backoff_ms = f->backoff_ms * 2 < BACKOFF_MAX_MS ? f->backoff_ms * 2 : BACKOFF_MAX_MS;
    }
    return NULL;
}

struct filler *filler_start(struct server *server)
{
    struct filler *f = mem_calloc(1, sizeof *f);
    f->server = server;
    f->arena = arena_new(ARENA_FIRST);
    f->backoff_ms = BACKOFF_MIN_MS;
    uuid_new(f->holder);
    atomic_init(&f->stopping, false);
    atomic_init(&f->prune, true); /* what a process that was killed has left */
    f->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (f->wake_fd >= 0 && pthread_create(&f->thread, NULL, run, f) == 0)
        return f;
    log_error("filler cannot start", "errno=%d", errno);
    if (f->wake_fd >= 0)
        (void)close(f->wake_fd);
    arena_free(f->arena);
    free(f);
    return NULL;
}

void filler_notify(struct filler *f)
{
    uint64_t one = 1;
    /* EAGAIN means that the counter is full, so the thread is about to wake anyway. */
    if (write(f->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        log_warn("filler wake failed", "errno=%d", errno);
}

void filler_prune(struct filler *f)
{
    atomic_store(&f->prune, true);
    filler_notify(f);
}

void filler_stop(struct filler *f)
{
    if (!f)
        return;
    atomic_store(&f->stopping, true);
    filler_notify(f);
    (void)pthread_join(f->thread, NULL);
    (void)close(f->wake_fd);
    arena_free(f->arena);
    free(f);
}
