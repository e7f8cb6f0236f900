#include "index_fixture.h"

#include <math.h>

/* ---- a model: what must be visible, said in the plainest way ---- */

enum { CHUNKS = 400, DOCUMENTS = 80, SOURCES = 4, GROUPS = 4, DIM = 16 };

struct model_chunk {
    bool present;
    enum chunk_state state;
    int32_t source;
    int64_t document, modified;
    bool has_acl;
    unsigned acl; /* bit per group */
    int year;
    double quality;
    float vector[DIM];
};
struct model {
    struct model_chunk chunks[CHUNKS];
    bool active[SOURCES];
    int64_t max_age[SOURCES];
    uint64_t seed;
    int64_t now;
};

static struct str groups[GROUPS] = {STR_LIT("group:a"), STR_LIT("group:b"), STR_LIT("group:c"), STR_LIT("group:d")};

static uint64_t below(struct model *m, uint64_t n)
{
    return next_random(&m->seed) % n;
}

static struct str_list acl_list(struct fixture *f, unsigned bits)
{
    struct str_list list = {.items = ARENA_ARRAY(f->a, struct str, GROUPS)};
    for (unsigned g = 0; g < GROUPS; g++) {
        if (bits >> g & 1) {
            list.items[list.n++] = groups[g];
        }
    }
    return list;
}

static struct vindex_change random_add(struct fixture *f, struct model *m)
{
    size_t id = below(m, CHUNKS);
    struct model_chunk *c = &m->chunks[id];
    *c = (struct model_chunk){.present = true,
                              .state = (enum chunk_state)below(m, CHUNK_STATE_COUNT),
                              .source = (int32_t)below(m, SOURCES),
                              .document = (int64_t)(id % DOCUMENTS),
                              .modified = m->now - (int64_t)below(m, 100) * CLOCK_SECOND,
                              .has_acl = below(m, 2) == 0,
                              .acl = (unsigned)below(m, 1U << GROUPS),
                              .year = (int)below(m, 10),
                              .quality = random_unit(&m->seed)};
    for (size_t i = 0; i < DIM; i++) {
        c->vector[i] = (float)(random_unit(&m->seed) - 0.5);
    }
    struct vindex_change ch = add_change((int64_t)id, "common words of every chunk");
    ch.state = c->state;
    ch.source = c->source;
    ch.document = c->document;
    ch.modified_at_us = c->modified;
    ch.has_acl = c->has_acl;
    ch.acl = acl_list(f, c->acl);
    ch.quality = c->quality;
    ch.metadata_json = str_of(arena_printf(f->a, "{\"year\":%d}", c->year));
    ch.embedding = c->vector;
    return ch;
}

static struct vindex_change random_touch(struct fixture *f, struct model *m)
{
    struct vindex_change ch = {.kind = VINDEX_TOUCH,
                               .document = (int64_t)below(m, DOCUMENTS),
                               .modified_at_us = m->now - (int64_t)below(m, 100) * CLOCK_SECOND,
                               .has_acl = below(m, 2) == 0};
    unsigned acl = (unsigned)below(m, 1U << GROUPS);
    ch.acl = acl_list(f, acl);
    for (size_t i = 0; i < CHUNKS; i++) {
        struct model_chunk *c = &m->chunks[i];
        if (c->present && c->document == ch.document) {
            c->modified = ch.modified_at_us;
            c->has_acl = ch.has_acl;
            c->acl = acl;
        }
    }
    return ch;
}

static struct vindex_change random_change(struct fixture *f, struct model *m)
{
    uint64_t what = below(m, 10);
    if (what < 5) {
        return random_add(f, m);
    }
    if (what < 8) {
        size_t id = below(m, CHUNKS);
        struct vindex_change ch = state_change((int64_t)id, (enum chunk_state)below(m, CHUNK_STATE_COUNT));
        if (m->chunks[id].present && m->chunks[id].state != CHUNK_RETIRED) { /* retired is for good */
            m->chunks[id].state = ch.state;
        }
        return ch;
    }
    if (what == 8) {
        return random_touch(f, m);
    }
    int32_t s = (int32_t)below(m, SOURCES);
    m->active[s] = below(m, 4) != 0;
    m->max_age[s] = below(m, 2) == 0 ? CLOCK_NEVER : (int64_t)below(m, 150) * CLOCK_SECOND;
    static const char *const names[SOURCES] = {"s0", "s1", "s2", "s3"};
    return source_change(s, names[s], m->active[s], m->max_age[s]);
}

static bool model_sees(const struct model *m, const struct model_chunk *c, const struct vindex_query *q, unsigned who,
                       int year)
{
    bool stale = m->max_age[c->source] != CLOCK_NEVER && q->now_us >= c->modified + m->max_age[c->source];
    bool served = q->include_quarantined ? c->state == CHUNK_ACTIVE || c->state == CHUNK_QUARANTINED
                                         : c->state == CHUNK_ACTIVE && m->active[c->source] && !stale;
    return c->present && served && (!c->has_acl || (c->acl & who) != 0) && c->quality >= q->min_quality &&
           (year < 0 || c->year >= year);
}

/* Every mode returns exactly what the model sees, and says so in `eligible`. */
static void compare(struct fixture *f, struct model *m, uint64_t seed)
{
    static const float other[DIM] = {1};
    struct err err = {0};
    unsigned who = (unsigned)below(m, 1U << GROUPS);
    int year = below(m, 2) == 0 ? (int)below(m, 10) : -1;
    struct vindex_query q = text_query((enum vindex_mode)below(m, 3), "common", VINDEX_K_MAX);
    q.vector = m->chunks[below(m, CHUNKS)].vector;
    q.now_us = m->now + (int64_t)below(m, 200) * CLOCK_SECOND - 100 * CLOCK_SECOND;
    q.principals = acl_list(f, who);
    q.include_quarantined = below(m, 4) == 0;
    q.min_quality = below(m, 3) == 0 ? random_unit(&m->seed) : 0;
    if (q.vector[0] == 0) { /* never added */
        q.vector = other;
    }
    if (year >= 0) {
        json_t *tree = json_pack("{s:{s:i}}", "year", "$gte", year);
        assert_int_equal(filter_parse(f->a, tree, "", &q.filter, &err), ASSAY_OK);
        json_decref(tree);
    }
    struct vindex_result r = search(f, &q);
    size_t want = 0, right = 0;
    for (size_t i = 0; i < CHUNKS; i++) {
        int64_t id = (int64_t)i;
        struct digest d;
        bool sees = model_sees(m, &m->chunks[i], &q, who, year), found = false;
        digest_sha256(&id, sizeof(id), &d);
        for (size_t h = 0; h < r.n && !found; h++) {
            found = digest_eq(&r.hits[h].chunk, &d) && r.hits[h].state == m->chunks[i].state;
        }
        want += sees ? 1 : 0;
        right += sees && found ? 1 : 0;
    }
    if (right != want || r.n != want || r.eligible != want) {
        fail_msg("seed %llu: %zu hits, %zu of %zu right, eligible %zu", (unsigned long long)seed, r.n, right, want,
                 r.eligible);
    }
    vindex_result_release(f->c, &r);
}

static void run_property(uint64_t seed, size_t head_max)
{
    struct fixture f;
    struct err err = {0};
    struct model *m = mem_calloc(1, sizeof(*m));
    m->seed = seed;
    m->now = NOW;
    fixture_open(&f, EMBEDDER_CLIENT, DIM, head_max);
    struct vindex_change first[SOURCES];
    static const char *const names[SOURCES] = {"s0", "s1", "s2", "s3"};
    for (int32_t s = 0; s < SOURCES; s++) {
        m->active[s] = true;
        m->max_age[s] = CLOCK_NEVER;
        first[s] = source_change(s, names[s], true, CLOCK_NEVER);
    }
    apply(&f, first, SOURCES);
    for (int round = 0; round < 150; round++) {
        struct vindex_change ch[24];
        size_t n = 1 + below(m, 24);
        for (size_t i = 0; i < n; i++) {
            ch[i] = random_change(&f, m);
        }
        apply(&f, ch, n);
        if (below(m, 3) == 0) {
            int64_t next = 0;
            m->now += (int64_t)below(m, 20) * CLOCK_SECOND;
            assert_int_equal(vindex_tick(f.c, m->now, &next, &err), ASSAY_OK);
        }
        if (below(m, 10) == 0) {
            assert_int_equal(vindex_checkpoint(f.c, &err), ASSAY_OK);
            if (below(m, 2) == 0) {
                vindex_collection_close(f.c);
                fixture_reopen(&f);
            }
        }
        for (int i = 0; i < 8; i++) {
            compare(&f, m, seed);
        }
        arena_reset(f.a);
    }
    free(m);
    fixture_close(&f);
}

static void test_vindex__search_returns_what_a_plain_model_sees(void **state)
{
    (void)state;
    uint64_t seed = (uint64_t)clock_now_us() | 1;
    const char *given = getenv("ASSAY_TEST_SEED");
    if (given != NULL) {
        seed = strtoull(given, NULL, 10);
    }
    print_message("ASSAY_TEST_SEED=%llu\n", (unsigned long long)seed);
    run_property(seed, 0);
    run_property(seed + 2, 100); /* sealed segments and their merges as well */
}

/* ---- the graph ---- */

static void clustered(uint64_t *seed, const float *centre, float *out, size_t dim)
{
    for (size_t i = 0; i < dim; i++) {
        out[i] = centre[i] + (float)((random_unit(seed) + random_unit(seed) - 1) * 0.7);
    }
}

/* Wide enough that the planner prefers the graph to a scan. */
enum { ROWS = 12000, WIDE = 256, CENTRES = 40 };

static float *clustered_rows(uint64_t *seed)
{
    float *centres = mem_alloc(CENTRES * WIDE * sizeof(float)), *rows = mem_alloc(ROWS * WIDE * sizeof(float));
    for (size_t i = 0; i < CENTRES * WIDE; i++) {
        centres[i] = (float)(random_unit(seed) - 0.5);
    }
    for (size_t i = 0; i < ROWS; i++) {
        clustered(seed, centres + (i % CENTRES) * WIDE, rows + i * WIDE, WIDE);
    }
    free(centres);
    return rows;
}

static void fill_rows(struct fixture *f, const float *rows)
{
    struct vindex_change *ch = mem_calloc(ROWS + 1, sizeof(*ch));
    ch[0] = source_change(1, "s", true, CLOCK_NEVER);
    for (size_t i = 0; i < ROWS; i++) {
        ch[i + 1] = add_change((int64_t)i, "text");
        ch[i + 1].embedding = rows + i * WIDE;
        ch[i + 1].metadata_json = str_of(arena_printf(f->a, "{\"n\":%zu}", i % 10));
    }
    apply(f, ch, ROWS + 1);
    free(ch);
}

static double recall(struct fixture *f, const float *rows, const struct filter *filter, const char **plan)
{
    size_t found = 0, wanted = 0;
    for (size_t i = 0; i < 100; i++) {
        struct vindex_query q = {.mode = VINDEX_VECTOR, .vector = rows + i * 37 * WIDE, .k = 10, .now_us = NOW};
        q.filter = filter;
        struct vindex_result approximate = search(f, &q);
        q.exact = true;
        struct vindex_result exact = search(f, &q);
        assert_int_equal(exact.n, 10);
        assert_int_equal(approximate.n, 10);
        assert_string_equal(exact.plan, "exact");
        *plan = approximate.plan;
        for (size_t h = 0; h < 10; h++) {
            for (size_t k = 0; k < 10; k++) {
                if (digest_eq(&exact.hits[h].chunk, &approximate.hits[k].chunk)) {
                    found++;
                    assert_true(exact.hits[h].score == approximate.hits[k].score);
                }
            }
        }
        wanted += 10;
        vindex_result_release(f->c, &exact);
        vindex_result_release(f->c, &approximate);
    }
    return (double)found / (double)wanted;
}

/* What exact searches answer: chunks and scores of all hits. */
static struct digest exact_answers(struct fixture *f, const float *rows)
{
    struct buf all = {0};
    struct digest out;
    for (size_t i = 0; i < 100; i++) {
        struct vindex_query q = {
            .mode = VINDEX_VECTOR, .vector = rows + i * 53 * WIDE, .k = 1 + i, .now_us = NOW, .exact = true};
        struct vindex_result r = search(f, &q);
        for (size_t h = 0; h < r.n; h++) {
            buf_put(&all, &r.hits[h].chunk, sizeof(r.hits[h].chunk));
            buf_put(&all, &r.hits[h].score, sizeof(r.hits[h].score));
        }
        vindex_result_release(f->c, &r);
    }
    digest_sha256(all.data, all.len, &out);
    buf_free(&all);
    return out;
}

static void test_vindex__graph_recall_has_a_floor(void **state)
{
    (void)state;
    uint64_t seed = 99;
    struct fixture f;
    struct err err = {0};
    const char *plan = "";
    fixture_open(&f, EMBEDDER_CLIENT, WIDE, 1000);
    float *rows = clustered_rows(&seed);
    fill_rows(&f, rows);
    double before = recall(&f, rows, NULL, &plan);
    assert_string_equal(plan, "exact");
    assert_true(before == 1.0);
    struct digest flat = exact_answers(&f, rows);
    wait_for_builds(&f, 1);
    struct digest coded = exact_answers(&f, rows); /* a sealed segment is scanned by its codes first */
    assert_true(digest_eq(&flat, &coded));
    assert_true(recall(&f, rows, NULL, &plan) >= 0.95);
    assert_string_equal(plan, "graph");
    /* Most rows: the graph with a selector, which hides whole clusters, those of a fifth of the queries among them.
     * Few: a scan. */
    for (int below = 8; below > 0; below -= 7) {
        json_t *tree = json_pack("{s:{s:i}}", "n", "$lt", below);
        const struct filter *filter = NULL;
        assert_int_equal(filter_parse(f.a, tree, "", &filter, &err), ASSAY_OK);
        assert_true(recall(&f, rows, filter, &plan) >= 0.95);
        assert_string_equal(plan, below == 8 ? "graph" : "exact");
        json_decref(tree);
    }
    free(rows);
    fixture_close(&f);
}

/* ---- freshness, access, states ---- */

static void test_vindex__deadline_holds_without_any_tick(void **state)
{
    (void)state;
    struct fixture f;
    struct err err = {0};
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 0);
    struct vindex_change ch[2] = {source_change(1, "s", true, CLOCK_DAY), add_change(1, "word")};
    apply(&f, ch, 2);
    static const enum vindex_mode modes[] = {VINDEX_HYBRID, VINDEX_VECTOR, VINDEX_LEXICAL};
    for (int ticked = 0; ticked < 2; ticked++) {
        for (size_t m = 0; m < 3; m++) {
            struct vindex_query q = text_query(modes[m], "word", 10);
            q.now_us = NOW + CLOCK_DAY - 1;
            assert_int_equal(count_hits(&f, &q), 1);
            q.now_us = NOW + CLOCK_DAY;
            assert_int_equal(count_hits(&f, &q), 0);
            q.include_quarantined = true;
            assert_int_equal(count_hits(&f, &q), 1);
        }
        int64_t next = 0;
        assert_int_equal(vindex_tick(f.c, NOW, &next, &err), ASSAY_OK);
        assert_true(next == (ticked == 0 ? NOW + CLOCK_DAY : CLOCK_NEVER));
        assert_int_equal(vindex_tick(f.c, NOW + CLOCK_DAY, &next, &err), ASSAY_OK);
        assert_true(next == CLOCK_NEVER);
    }
    fixture_close(&f);
}

static void test_vindex__a_blocked_source_hides_at_once_and_comes_back(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 0);
    struct vindex_change ch[3] = {source_change(1, "s", true, CLOCK_NEVER), add_change(1, "word"),
                                  add_change(2, "word")};
    ch[2].source = 9; /* never named: not served */
    apply(&f, ch, 3);
    struct vindex_query q = text_query(VINDEX_HYBRID, "word", 10);
    assert_int_equal(count_hits(&f, &q), 1);
    struct vindex_change block = source_change(1, "s", false, CLOCK_NEVER);
    apply(&f, &block, 1);
    assert_int_equal(count_hits(&f, &q), 0);
    struct vindex_change unblock = source_change(1, "s", true, CLOCK_NEVER);
    apply(&f, &unblock, 1);
    assert_int_equal(count_hits(&f, &q), 1);
    fixture_close(&f);
}

static void test_vindex__an_empty_acl_is_for_nobody(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 0);
    struct vindex_change ch[2] = {source_change(1, "s", true, CLOCK_NEVER), add_change(1, "word")};
    ch[1].has_acl = true;
    apply(&f, ch, 2);
    struct vindex_query q = text_query(VINDEX_HYBRID, "word", 10);
    q.principals = (struct str_list){groups, GROUPS};
    assert_int_equal(count_hits(&f, &q), 0);
    q.include_quarantined = true;
    assert_int_equal(count_hits(&f, &q), 0);
    fixture_close(&f);
}

static void test_vindex__refuses_a_query_that_cannot_be_answered(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, EMBEDDER_CLIENT, 4, 0);
    static const float zero[4], nan_vector[4] = {NAN, 0, 0, 1}, good[4] = {1};
    struct vindex_query bad[] = {
        {.mode = VINDEX_VECTOR, .vector = zero, .k = 1},
        {.mode = VINDEX_VECTOR, .vector = nan_vector, .k = 1},
        {.mode = VINDEX_VECTOR, .vector = good, .k = 0},
        {.mode = VINDEX_VECTOR, .vector = good, .k = 1001},
        {.mode = VINDEX_VECTOR, .text = STR_LIT("x"), .k = 1},
        {.mode = VINDEX_LEXICAL, .vector = good, .k = 1},
        {.mode = VINDEX_HYBRID, .k = 1},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err err = {0};
        struct vindex_result r;
        assert_int_equal(vindex_search(f.c, &bad[i], f.a, &r, &err), ASSAY_INVALID);
        assert_null(r.pin);
        vindex_result_release(f.c, &r);
        err_clear(&err);
    }
    fixture_close(&f);
}

static void test_vindex__apply_refuses_a_bad_vector_and_changes_nothing(void **state)
{
    (void)state;
    struct fixture f;
    struct err err = {0};
    fixture_open(&f, EMBEDDER_CLIENT, 4, 0);
    static const float zero[4], good[4] = {1};
    struct vindex_change ch[3] = {source_change(1, "s", true, CLOCK_NEVER), add_change(1, "a"), add_change(2, "b")};
    ch[1].embedding = good;
    ch[2].embedding = zero;
    struct digest commit = commit_of(1);
    assert_int_equal(vindex_apply(f.c, ch, 3, 3, &commit, &err), ASSAY_INVALID);
    err_clear(&err);
    struct vindex_stats st;
    vindex_stats(f.c, &st);
    assert_int_equal(st.seq, 0);
    assert_int_equal(st.slots, 0);
    fixture_close(&f);
}

/* ---- the log ---- */

static void test_vindex__batching_of_the_log_does_not_show(void **state)
{
    (void)state;
    struct fixture one, many;
    uint64_t seed = 5;
    fixture_open(&one, EMBEDDER_BUILTIN, 128, 0);
    fixture_open(&many, EMBEDDER_BUILTIN, 128, 64);
    static const char *const vocabulary[] = {"index", "vacuum", "table", "row", "lock", "query", "plan", "cost"};
    struct vindex_change ch[601];
    ch[0] = source_change(1, "s", true, CLOCK_NEVER);
    for (size_t i = 1; i <= 600; i++) {
        struct buf text = {0};
        for (size_t w = 0; w < 5 + next_random(&seed) % 20; w++) {
            buf_printf(&text, "%s ", vocabulary[next_random(&seed) % 8]);
        }
        ch[i] = i % 7 == 0 ? state_change((int64_t)(next_random(&seed) % i), CHUNK_RETIRED)
                           : add_change((int64_t)(i % 500), str_cstr(one.a, buf_str(&text)));
        buf_free(&text);
    }
    apply(&one, ch, 601);
    for (size_t at = 0; at < 601;) {
        size_t n = 1 + next_random(&seed) % 9;
        n = n < 601 - at ? n : 601 - at;
        apply(&many, ch + at, n);
        at += n;
    }
    wait_for_builds(&many, 1);
    static const char *const queries[] = {"vacuum lock", "cost of a plan", "row"};
    for (size_t i = 0; i < 9; i++) {
        struct vindex_query q = text_query((enum vindex_mode)(i % 3), queries[i / 3], 20);
        q.exact = true;
        struct vindex_result a = search(&one, &q), b = search(&many, &q);
        assert_int_equal(a.n, b.n);
        assert_true(digest_eq(&a.commit, &b.commit));
        for (size_t h = 0; h < a.n; h++) {
            assert_true(digest_eq(&a.hits[h].chunk, &b.hits[h].chunk));
            assert_true(a.hits[h].score == b.hits[h].score);
        }
        vindex_result_release(one.c, &a);
        vindex_result_release(many.c, &b);
    }
    fixture_close(&one);
    fixture_close(&many);
}

static void test_vindex__following_the_log_again_does_no_harm(void **state)
{
    (void)state;
    struct fixture f;
    struct err err = {0};
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 0);
    struct vindex_change ch[3] = {source_change(1, "s", true, CLOCK_NEVER), add_change(1, "word"),
                                  state_change(1, CHUNK_QUARANTINED)};
    apply(&f, ch, 3);
    struct digest commit = commit_of(3);
    assert_int_equal(vindex_apply(f.c, ch, 2, 3, &commit, &err), ASSAY_OK);
    struct vindex_query q = text_query(VINDEX_HYBRID, "word", 10);
    assert_int_equal(count_hits(&f, &q), 0);
    assert_int_equal(vindex_apply(f.c, ch, 0, 2, &commit, &err), ASSAY_INTERNAL);
    err_clear(&err);
    fixture_close(&f);
}

static void test_vindex__churn_leaves_no_tombstones_behind(void **state)
{
    (void)state;
    struct fixture f;
    struct err err = {0};
    struct vindex_stats st;
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 200);
    struct vindex_change source = source_change(1, "s", true, CLOCK_NEVER);
    apply(&f, &source, 1);
    for (int round = 0; round < 40; round++) { /* the same 100 chunks again and again */
        struct vindex_change ch[100];
        for (int64_t i = 0; i < 100; i++) {
            ch[i] = add_change(i, round % 2 == 0 ? "even rounds" : "odd rounds");
        }
        apply(&f, ch, 100);
    }
    for (int i = 0; i < 50; i++) {
        int64_t next = 0;
        assert_int_equal(vindex_tick(f.c, NOW, &next, &err), ASSAY_OK);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    vindex_stats(f.c, &st);
    assert_int_equal(st.chunks_by_state[CHUNK_ACTIVE], 100);
    assert_true(st.slots <= 1000);
    struct vindex_query q = text_query(VINDEX_LEXICAL, "odd", 1000), even = text_query(VINDEX_LEXICAL, "even", 1000);
    assert_int_equal(count_hits(&f, &q), 100);
    assert_int_equal(count_hits(&f, &even), 0);
    fixture_close(&f);
}

static void test_vindex__wait_returns_when_reached_or_late(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 0);
    struct vindex_change ch = source_change(1, "s", true, CLOCK_NEVER);
    apply(&f, &ch, 1);
    assert_true(vindex_wait(f.c, 1, 0));
    int64_t begun = clock_mono_us();
    assert_false(vindex_wait(f.c, 2, begun + 20000));
    assert_true(clock_mono_us() - begun >= 20000);
    fixture_close(&f);
}

static void test_vindex__hits_outlive_later_views(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 0);
    struct vindex_change ch[2] = {source_change(1, "s", true, CLOCK_NEVER), add_change(1, "word one")};
    apply(&f, ch, 2);
    struct vindex_query q = text_query(VINDEX_HYBRID, "word", 10);
    struct vindex_result r = search(&f, &q);
    for (int64_t i = 1; i < 30; i++) {
        struct vindex_change more = add_change(i, "word two");
        apply(&f, &more, 1);
    }
    assert_int_equal(r.n, 1);
    assert_true(str_eqc(r.hits[0].text, "word one"));
    assert_true(str_eqc(r.hits[0].source, "s"));
    vindex_result_release(f.c, &r);
    fixture_close(&f);
}

enum { BULK = 1000, BULK_WIDTH = 8 };

/* One more row, so that the collection does not rest, and a tick; how many builds there were. */
static int64_t one_more(struct fixture *f, int64_t chunk, const float *vector)
{
    struct err err = {0};
    struct vindex_stats st = {0};
    struct vindex_change more = add_change(chunk, "text");
    int64_t next = 0;
    more.embedding = vector;
    apply(f, &more, 1);
    assert_int_equal(vindex_tick(f->c, NOW, &next, &err), ASSAY_OK);
    vindex_stats(f->c, &st);
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    return st.builds;
}

/* Rows that nobody searches gather without a graph; the first search of the vector leg has it built. */
static void test_vindex__a_bulk_waits_for_its_graph_until_somebody_searches(void **state)
{
    (void)state;
    struct fixture f;
    uint64_t seed = 5;
    int64_t chunk = 0, builds = 0;
    fixture_open(&f, EMBEDDER_CLIENT, BULK_WIDTH, BULK / 10);
    float rows[BULK_WIDTH];
    struct vindex_change *ch = mem_calloc(BULK + 1, sizeof(*ch));
    for (size_t i = 0; i < BULK_WIDTH; i++) {
        rows[i] = (float)(random_unit(&seed) - 0.5);
    }
    ch[0] = source_change(1, "s", true, CLOCK_NEVER);
    for (size_t i = 0; i < BULK; i++) {
        ch[i + 1] = add_change(chunk++, "text");
        ch[i + 1].embedding = rows;
    }
    apply(&f, ch, BULK + 1);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(one_more(&f, chunk++, rows), 0);
    }
    struct vindex_query q = {.mode = VINDEX_VECTOR, .vector = rows, .k = 1, .now_us = NOW};
    struct vindex_result r = search(&f, &q);
    vindex_result_release(f.c, &r);
    for (int i = 0; i < 300 && builds == 0; i++) {
        builds = one_more(&f, chunk++, rows);
    }
    assert_true(builds > 0);
    free(ch);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vindex__search_returns_what_a_plain_model_sees),
        cmocka_unit_test(test_vindex__graph_recall_has_a_floor),
        cmocka_unit_test(test_vindex__a_bulk_waits_for_its_graph_until_somebody_searches),
        cmocka_unit_test(test_vindex__deadline_holds_without_any_tick),
        cmocka_unit_test(test_vindex__a_blocked_source_hides_at_once_and_comes_back),
        cmocka_unit_test(test_vindex__an_empty_acl_is_for_nobody),
        cmocka_unit_test(test_vindex__refuses_a_query_that_cannot_be_answered),
        cmocka_unit_test(test_vindex__apply_refuses_a_bad_vector_and_changes_nothing),
        cmocka_unit_test(test_vindex__batching_of_the_log_does_not_show),
        cmocka_unit_test(test_vindex__following_the_log_again_does_no_harm),
        cmocka_unit_test(test_vindex__churn_leaves_no_tombstones_behind),
        cmocka_unit_test(test_vindex__wait_returns_when_reached_or_late),
        cmocka_unit_test(test_vindex__hits_outlive_later_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
