/*
 * The built-in embedder learns: what it finds then, and that a collection moves to it whole, survives restarts with it
 * and agrees with its replicas.
 */
#include "index_fixture.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#include "index/lsa.h"

enum { TOPICS = 8, TOPIC_WORDS = 10, DIM = 192 /* beyond LSA_RANK: what was learned is zero there */ };

/* A chunk about one topic: words of it, one of its two names (never both), and noise that any chunk may have. */
static struct vindex_change topic_change(struct arena *a, int64_t chunk)
{
    uint64_t seed = (uint64_t)chunk * UINT64_C(0x9E3779B97F4A7C15) + 77;
    int topic = (int)(chunk % TOPICS);
    struct buf b = {0};
    for (int i = 0; i < 6; i++) {
        buf_printf(&b, "t%dw%d ", topic, (int)(next_random(&seed) % TOPIC_WORDS));
    }
    buf_printf(&b, "%s%d noise%d noise%d", chunk / TOPICS % 2 == 0 ? "car" : "auto", topic,
               (int)(next_random(&seed) % 50), (int)(next_random(&seed) % 50));
    struct vindex_change c = add_change(chunk, arena_printf(a, "%.*s", STR_FMT(buf_str(&b))));
    c.key = str_of(arena_printf(a, "%d", topic));
    buf_free(&b);
    return c;
}

/* Applies chunks from..to-1 in runs of `step`. */
static void feed(struct fixture *f, int64_t from, int64_t to, int64_t step)
{
    struct vindex_change *ch = mem_calloc((size_t)step, sizeof(*ch));
    for (int64_t at = from; at < to; at += step) {
        int64_t n = to - at < step ? to - at : step;
        for (int64_t i = 0; i < n; i++) {
            ch[i] = topic_change(f->a, at + i);
        }
        apply(f, ch, (size_t)n);
    }
    free(ch);
}

static void begin(struct fixture *f, int dim, size_t head_max)
{
    fixture_open(f, EMBEDDER_BUILTIN, dim, head_max);
    struct vindex_change source = source_change(1, "s", true, CLOCK_NEVER);
    apply(f, &source, 1);
}

static struct vindex_stats stats_of(struct fixture *f)
{
    struct vindex_stats st;
    vindex_stats(f->c, &st);
    return st;
}

static struct vindex_result find(struct fixture *f, const char *text, size_t k)
{
    struct vindex_query q = text_query(VINDEX_VECTOR, text, k);
    q.exact = true;
    return search(f, &q);
}

/* Of the first 60 hits for a topic's one name: how many bear its other name. */
static int found_by_other_name(struct fixture *f)
{
    int found = 0;
    struct vindex_result r = find(f, "auto3", 60);
    for (size_t i = 0; i < r.n; i++) {
        found += memmem(r.hits[i].text.ptr, r.hits[i].text.len, "car3 ", 5) != NULL ? 1 : 0;
    }
    vindex_result_release(f->c, &r);
    return found;
}

static void test_generation__what_was_learned_finds_synonyms(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 24, 0);
    feed(&f, 0, 511, 50);
    settle(&f);
    assert_int_equal(stats_of(&f).generation, 0);
    assert_true(found_by_other_name(&f) < 8);
    feed(&f, 511, 600, 50);
    settle(&f);
    struct vindex_stats st = stats_of(&f);
    assert_true(st.generation >= 1);
    assert_true(found_by_other_name(&f) >= 14);
    struct vindex_result r = find(&f, "auto3", 20);
    assert_true(r.learned);
    assert_memory_equal(&r.embedder, &st.embedder, sizeof(st.embedder));
    for (size_t i = 0; i < r.n; i++) {
        assert_true(str_eqc(r.hits[i].document, "3"));
    }
    vindex_result_release(f.c, &r);
    fixture_close(&f);
}

static void test_generation__a_query_of_unknown_words_is_left_to_the_words(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 24, 0);
    feed(&f, 0, 600, 100);
    settle(&f);
    struct vindex_result r = find(&f, "neverseen", 10);
    assert_int_equal(r.n, 0);
    vindex_result_release(f.c, &r);
    struct vindex_change odd = add_change(5000, "neverseen words only");
    apply(&f, &odd, 1);
    struct vindex_query q = text_query(VINDEX_HYBRID, "neverseen", 10);
    assert_int_equal(count_hits(&f, &q), 1);
    fixture_close(&f);
}

static void test_generation__client_vectors_are_never_replaced(void **state)
{
    (void)state;
    struct fixture f;
    float v[4] = {1, 2, 3, 4};
    fixture_open(&f, EMBEDDER_CLIENT, 4, 0);
    struct vindex_change ch[601];
    ch[0] = source_change(1, "s", true, CLOCK_NEVER);
    for (int64_t i = 1; i <= 600; i++) {
        ch[i] = topic_change(f.a, i);
        ch[i].embedding = v;
    }
    apply(&f, ch, 601);
    settle(&f);
    assert_int_equal(stats_of(&f).generation, 0);
    fixture_close(&f);
}

/* The same log in other runs and other segments: the same artefact and the same hits, to the last bit. */
static void test_generation__replicas_agree(void **state)
{
    (void)state;
    struct fixture a, b;
    begin(&a, DIM, 100);
    begin(&b, DIM, 0);
    const int64_t steps[] = {7, 700};
    struct fixture *both[] = {&a, &b};
    for (int i = 0; i < 2; i++) {
        feed(both[i], 0, 600, 600); /* 512 of them are learned from */
        struct vindex_change gone = state_change(12, CHUNK_RETIRED);
        apply(both[i], &gone, 1);
        feed(both[i], 600, 639, steps[i]);
        settle(both[i]);
        feed(both[i], 639, 700, steps[i]); /* past the step at 640 */
        settle(both[i]);
        assert_int_equal(both[i]->seq, 702);
    }
    struct vindex_stats sa = stats_of(&a), sb = stats_of(&b);
    assert_true(sa.generation > 0);
    assert_memory_equal(&sa.embedder, &sb.embedder, sizeof(sa.embedder));
    struct vindex_result ra = find(&a, "auto3 t3w1 noise7", 700), rb = find(&b, "auto3 t3w1 noise7", 700);
    assert_int_equal(ra.n, 699);
    assert_int_equal(ra.n, rb.n);
    for (size_t i = 0; i < ra.n; i++) {
        assert_memory_equal(&ra.hits[i].chunk, &rb.hits[i].chunk, sizeof(ra.hits[i].chunk));
        assert_memory_equal(&ra.hits[i].score, &rb.hits[i].score, sizeof(ra.hits[i].score));
    }
    vindex_result_release(a.c, &ra);
    vindex_result_release(b.c, &rb);
    struct vindex_query q = text_query(VINDEX_HYBRID, "auto3 t3w1 noise7", 700);
    q.exact = true;
    ra = search(&a, &q);
    rb = search(&b, &q);
    assert_true(ra.n > 100);
    assert_int_equal(ra.n, rb.n);
    assert_true(ra.vector_weight == rb.vector_weight);
    for (size_t i = 0; i < ra.n; i++) {
        assert_memory_equal(&ra.hits[i].chunk, &rb.hits[i].chunk, sizeof(ra.hits[i].chunk));
        assert_memory_equal(&ra.hits[i].score, &rb.hits[i].score, sizeof(ra.hits[i].score));
    }
    vindex_result_release(a.c, &ra);
    vindex_result_release(b.c, &rb);
    fixture_close(&a);
    fixture_close(&b);
}

/* The cosine of a chunk, or of the lexical leg's first one (chunk NULL), in a search. */
static double cosine_of(struct fixture *f, const struct vindex_query *q, struct digest *chunk)
{
    struct vindex_result r = search(f, q);
    double cosine = 0;
    for (size_t i = 0; i < r.n; i++) {
        if (q->mode == VINDEX_HYBRID ? r.hits[i].lexical_rank == 1 : digest_eq(&r.hits[i].chunk, chunk)) {
            *chunk = r.hits[i].chunk;
            cosine = r.hits[i].vector_score;
        }
    }
    vindex_result_release(f->c, &r);
    return cosine;
}

static void test_generation__words_draw_the_vector_to_what_they_found(void **state)
{
    (void)state;
    struct fixture f;
    struct digest first = {{0}};
    begin(&f, 24, 0);
    feed(&f, 0, 600, 100);
    settle(&f);
    struct vindex_query hybrid = text_query(VINDEX_HYBRID, "auto3 noise7", 600), vector = hybrid;
    vector.mode = VINDEX_VECTOR;
    double drawn = cosine_of(&f, &hybrid, &first), plain = cosine_of(&f, &vector, &first);
    assert_true(plain > 0);
    assert_true(drawn > plain + 0.01);
    fixture_close(&f);
}

/* A word that was never learned stands in chunks of other topics, so that the words' first is not where the vector
 * points. */
static void test_generation__legs_that_disagree_leave_it_to_the_words(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 24, 0);
    feed(&f, 0, 600, 100);
    settle(&f);
    const struct vindex_ranking adaptive = vindex_ranking_default(EMBEDDER_BUILTIN);
    struct vindex_ranking fixed = adaptive;
    fixed.method = FUSE_WEIGHTED;
    struct vindex_query q = text_query(VINDEX_HYBRID, "auto3 t3w1 t3w2 t3w3", 20);
    struct vindex_result r = search(&f, &q);
    double agreed = r.vector_weight;
    vindex_result_release(f.c, &r);
    q.ranking = &fixed;
    r = search(&f, &q);
    assert_true(r.vector_weight == fixed.vector_weight);
    vindex_result_release(f.c, &r);
    struct vindex_change odd[] = {add_change(7000, "zyzzyva zyzzyva t5w1 t5w2 t5w3 t5w4 t5w5 t5w6 auto5"),
                                  add_change(7001, "zyzzyva t1w1 t1w2 t1w3 t1w4 t1w5 t1w6 auto1"),
                                  add_change(7002, "zyzzyva t2w1 t2w2 t2w3 t2w4 t2w5 t2w6 auto2")};
    apply(&f, odd, 3);
    q = text_query(VINDEX_HYBRID, "zyzzyva auto3 t3w1", 20);
    r = search(&f, &q);
    assert_true(agreed > 0.3 && agreed <= adaptive.vector_weight);
    assert_true(r.vector_weight < 0.1);
    vindex_result_release(f.c, &r);
    fixture_close(&f);
}

static void test_generation__a_restart_has_it_and_an_interrupted_one_learns_the_same(void **state)
{
    (void)state;
    struct fixture f;
    struct err err = {0};
    begin(&f, 24, 100);
    feed(&f, 0, 600, 600);
    assert_int_equal(vindex_checkpoint(f.c, &err), ASSAY_OK); /* put off: it is learning */
    vindex_collection_close(f.c);
    fixture_reopen(&f);
    assert_int_equal(f.applied, 0);
    struct vindex_change source = source_change(1, "s", true, CLOCK_NEVER);
    apply(&f, &source, 1);
    feed(&f, 0, 600, 600);
    settle(&f);
    struct vindex_stats before = stats_of(&f);
    vindex_collection_close(f.c);
    fixture_reopen(&f);
    assert_int_equal(f.applied, 601);
    struct vindex_stats after = stats_of(&f);
    assert_int_equal(after.generation, before.generation);
    assert_memory_equal(&after.embedder, &before.embedder, sizeof(before.embedder));
    assert_true(found_by_other_name(&f) >= 14);
    fixture_close(&f);
}

static void test_generation__goes_back_and_forth(void **state)
{
    (void)state;
    struct fixture f;
    struct err err = {0};
    static const struct digest none;
    begin(&f, 24, 100);
    assert_int_equal(vindex_embedder_revert(f.c, &err), ASSAY_CONFLICT);
    err_clear(&err);
    feed(&f, 0, 600, 600);
    settle(&f);
    struct vindex_stats learned = stats_of(&f);
    assert_int_equal(vindex_embedder_revert(f.c, &err), ASSAY_OK);
    settle(&f);
    struct vindex_stats reverted = stats_of(&f);
    assert_memory_equal(&reverted.embedder, &none, sizeof(none));
    assert_int_equal(reverted.generation, learned.generation + 1);
    assert_true(found_by_other_name(&f) < 8);
    assert_int_equal(vindex_embedder_revert(f.c, &err), ASSAY_OK);
    settle(&f);
    struct vindex_stats again = stats_of(&f);
    assert_memory_equal(&again.embedder, &learned.embedder, sizeof(learned.embedder));
    fixture_close(&f);
}

/* ---- no search sees a mixture ---- */

struct watch {
    struct fixture *f;
    atomic_bool stop;
    atomic_int searches, mixed, learned;
};

/* Along an axis that nothing learned has a share in: every score is 0, or hardly any is. */
static void *watcher(void *arg)
{
    struct watch *w = arg;
    struct arena *a = arena_new(1 << 16);
    float axis[DIM] = {0};
    for (size_t i = LSA_RANK; i < DIM; i++) {
        axis[i] = i % 2 == 0 ? 1 : 0.5F;
    }
    while (!atomic_load(&w->stop)) {
        struct err err = {0};
        struct vindex_query q = text_query(VINDEX_VECTOR, NULL, VINDEX_K_MAX);
        struct vindex_result r;
        q.text = (struct str){NULL, 0};
        q.vector = axis;
        q.exact = true;
        bool ok = vindex_search(w->f->c, &q, a, &r, &err) == ASSAY_OK;
        size_t zero = 0;
        for (size_t i = 0; ok && i < r.n; i++) {
            zero += r.hits[i].score == 0 ? 1 : 0;
        }
        ok = ok && (r.learned ? zero == r.n : zero <= r.n / 10);
        atomic_fetch_add(&w->mixed, ok ? 0 : 1);
        atomic_fetch_add(&w->learned, ok && r.learned ? 1 : 0);
        atomic_fetch_add(&w->searches, 1);
        vindex_result_release(w->f->c, &r);
        err_clear(&err);
        arena_reset(a);
    }
    arena_free(a);
    return NULL;
}

static void test_generation__no_search_sees_a_mixture(void **state)
{
    (void)state;
    struct fixture f;
    struct err err = {0};
    pthread_t threads[2];
    begin(&f, DIM, 60);
    struct watch w = {.f = &f};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, watcher, &w), 0);
    }
    for (int64_t at = 0; at < 900; at += 20) {
        int64_t next = 0;
        feed(&f, at, at + 20, 20);
        struct vindex_change gone = state_change(at + 3, CHUNK_RETIRED);
        apply(&f, &gone, 1);
        assert_int_equal(vindex_tick(f.c, NOW, &next, &err), ASSAY_OK);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    settle(&f);
    int before = atomic_load(&w.searches);
    while (atomic_load(&w.searches) < before + 4) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    atomic_store(&w.stop, true);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_true(stats_of(&f).generation >= 1);
    assert_int_equal(atomic_load(&w.mixed), 0);
    assert_true(atomic_load(&w.learned) > 0);
    struct vindex_result r = find(&f, "t1w1 t2w2 auto3 car4", VINDEX_K_MAX);
    assert_int_equal(r.n, 900 - 45);
    vindex_result_release(f.c, &r);
    fixture_close(&f);
}

/* ---- the artefact's bytes ---- */

static void test_lsa__refuses_what_is_no_artefact(void **state)
{
    (void)state;
    struct {
        struct lsa_header h;
        uint32_t key_at[3];
        char keys[4];
        float rows[2];
    } good = {.h = {.version = LSA_VERSION, .dim = 8, .rank = 1, .n_terms = 2, .n_rows = 9, .keys_len = 3},
              .key_at = {0, 1, 3},
              .keys = "abc",
              .rows = {0.5F, -1}},
      bad;
    memcpy(good.h.magic, lsa_magic, sizeof(lsa_magic));
    const size_t len = offsetof(struct lsa_header, keys_len) + 8 + 12 + 4 + 8;
    struct buf b = {0};
    buf_put(&b, &good, len);
    struct lsa *l = lsa_parse(&b, 8);
    assert_non_null(l);
    float v[8] = {0};
    lsa_query_term(l, STR_LIT("bc"), 2, v);
    lsa_query_term(l, STR_LIT("b"), 1, v);
    assert_true(v[0] == -2);
    assert_true(lsa_query_finish(l, v));
    assert_true(v[0] == -1);
    lsa_unref(l);
    for (int i = 0; i < 8; i++) {
        bad = good;
        size_t n = len;
        switch (i) {
        case 0:
            bad.h.magic[0] ^= 1;
            break;
        case 1:
            bad.h.version++;
            break;
        case 2:
            bad.h.dim = 9;
            break;
        case 3:
            bad.h.rank = 0;
            break;
        case 4:
            bad.key_at[1] = 4;
            break;
        case 5:
            bad.keys[1] = 'a', bad.key_at[1] = 2;
            bad.keys[0] = 'z';
            break;
        case 6:
            bad.rows[1] = (float)NAN;
            break;
        default:
            n--;
            break;
        }
        buf_put(&b, &bad, n);
        assert_null(lsa_parse(&b, 8));
        assert_null(b.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generation__what_was_learned_finds_synonyms),
        cmocka_unit_test(test_generation__a_query_of_unknown_words_is_left_to_the_words),
        cmocka_unit_test(test_generation__client_vectors_are_never_replaced),
        cmocka_unit_test(test_generation__replicas_agree),
        cmocka_unit_test(test_generation__words_draw_the_vector_to_what_they_found),
        cmocka_unit_test(test_generation__legs_that_disagree_leave_it_to_the_words),
        cmocka_unit_test(test_generation__a_restart_has_it_and_an_interrupted_one_learns_the_same),
        cmocka_unit_test(test_generation__goes_back_and_forth),
        cmocka_unit_test(test_generation__no_search_sees_a_mixture),
        cmocka_unit_test(test_lsa__refuses_what_is_no_artefact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
