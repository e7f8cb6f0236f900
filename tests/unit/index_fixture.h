/*
 * What the index tests share: a collection in a temporary directory, generated chunks, and a seeded generator.
 */
#ifndef ASSAY_TESTS_INDEX_FIXTURE_H
#define ASSAY_TESTS_INDEX_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "index/vindex.h"

#define NOW INT64_C(1800000000000000)

struct fixture {
    char dir[64];
    struct vindex *v;
    struct vindex_collection *c;
    struct vindex_spec spec;
    struct arena *a;
    int64_t seq, applied;
};

static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline double random_unit(uint64_t *state)
{
    return (double)(next_random(state) >> 11) / 9007199254740992.0;
}

static inline int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    return remove(path);
}

static inline void fixture_reopen(struct fixture *f)
{
    struct err err = {0};
    assert_int_equal(vindex_collection_open(f->v, &f->spec, &f->c, &f->applied, &err), ASSAY_OK);
    f->seq = f->applied;
}

static inline void fixture_open(struct fixture *f, enum embedder_kind kind, int dim, size_t head_max)
{
    struct err err = {0};
    *f = (struct fixture){.spec = {.id = 7, .kind = kind, .dim = dim}};
    log_init(LOG_ERROR, false);
    snprintf(f->dir, sizeof(f->dir), "/tmp/assay-index-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    struct vindex_config cfg = {.dir = f->dir, .build_threads = 1, .head_max = head_max};
    assert_int_equal(vindex_open(&cfg, &f->v, &err), ASSAY_OK);
    f->a = arena_new(1 << 20);
    fixture_reopen(f);
}

static inline void fixture_close(struct fixture *f)
{
    vindex_collection_close(f->c);
    vindex_close(f->v);
    arena_free(f->a);
    nftw(f->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Ticks until nothing is learned and no move to another embedder is under way. */
static inline void settle(struct fixture *f)
{
    struct vindex_stats stats = {.learning = true};
    for (int i = 0; i < 60000 && stats.learning; i++) {
        int64_t next = 0;
        struct err err = {0};
        assert_int_equal(vindex_tick(f->c, NOW, &next, &err), ASSAY_OK);
        vindex_stats(f->c, &stats);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_false(stats.learning);
}

static inline struct digest commit_of(int64_t seq)
{
    struct digest d = {{0}};
    memcpy(d.b, &seq, sizeof(seq));
    return d;
}

/* Numbers the changes and applies them as one run. */
static inline void apply(struct fixture *f, struct vindex_change *ch, size_t n)
{
    struct err err = {0};
    for (size_t i = 0; i < n; i++) {
        ch[i].seq = ++f->seq;
    }
    struct digest commit = commit_of(f->seq);
    enum assay_code code = vindex_apply(f->c, ch, n, f->seq, &commit, &err);
    assert_string_equal(err.detail, "");
    assert_int_equal(code, ASSAY_OK);
}

static inline struct vindex_change source_change(int32_t id, const char *name, bool active, int64_t max_age_us)
{
    return (struct vindex_change){.kind = VINDEX_SOURCE,
                                  .source = id,
                                  .source_name = str_of(name),
                                  .source_active = active,
                                  .max_age_us = max_age_us};
}

static inline struct vindex_change add_change(int64_t chunk, const char *text)
{
    struct vindex_change c = {.kind = VINDEX_ADD,
                              .state = CHUNK_ACTIVE,
                              .chunk = chunk,
                              .document = chunk,
                              .source = 1,
                              .key = str_of("doc"),
                              .text = str_of(text),
                              .language = STR_LIT("en"),
                              .quality = 1,
                              .modified_at_us = NOW};
    digest_sha256(&chunk, sizeof(chunk), &c.chunk_id);
    return c;
}

static inline struct vindex_change state_change(int64_t chunk, enum chunk_state state)
{
    return (struct vindex_change){.kind = VINDEX_STATE, .chunk = chunk, .state = state};
}

static inline struct vindex_query text_query(enum vindex_mode mode, const char *text, size_t k)
{
    return (struct vindex_query){.mode = mode, .text = str_of(text), .k = k, .now_us = NOW};
}

static inline struct vindex_result search(struct fixture *f, const struct vindex_query *q)
{
    struct err err = {0};
    struct vindex_result r;
    enum assay_code code = vindex_search(f->c, q, f->a, &r, &err);
    assert_string_equal(err.detail, "");
    assert_int_equal(code, ASSAY_OK);
    return r;
}

/* How many hits a search has, and whether it found anything it should not: for one-line assertions. */
static inline size_t count_hits(struct fixture *f, const struct vindex_query *q)
{
    struct vindex_result r = search(f, q);
    size_t n = r.n;
    vindex_result_release(f->c, &r);
    return n;
}

/* Ticks until the builder has nothing under way and `builds` builds and merges are in. */
static inline void wait_for_builds(struct fixture *f, int64_t builds)
{
    struct err err = {0};
    struct vindex_stats st = {0};
    for (int i = 0; i < 3000; i++) {
        int64_t next = 0;
        assert_int_equal(vindex_tick(f->c, INT64_MIN, &next, &err), ASSAY_OK);
        vindex_stats(f->c, &st);
        if (st.builds + st.merges >= builds) {
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    fail_msg("no build finished");
}

#endif
