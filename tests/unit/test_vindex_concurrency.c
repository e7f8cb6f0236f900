/*
 * One writer, several searchers. What a search may assume of any view: chunks come and go in pairs (a batch is seen
 * whole or not at all), nothing is seen that was hidden before the view's sequence, and nothing blocks.
 */
#include "index_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

enum { SEARCHERS = 4, PAIRS = 60, ROUNDS = 1500 };

struct shared {
    struct fixture *f;
    atomic_bool stop;
    atomic_int searches, failures;
    atomic_int_fast64_t hidden_from; /* from this sequence on, source 2 is blocked for good */
};

/* Both chunks of a pair have its number as their text's second word. */
static bool pairs_are_whole(const struct vindex_result *r)
{
    int seen[PAIRS] = {0};
    for (size_t i = 0; i < r->n; i++) {
        struct str text = r->hits[i].text;
        int64_t pair = 0;
        if (!str_starts(text, "pair ") || !str_to_i64((struct str){text.ptr + 5, text.len - 5}, &pair)) {
            return false;
        }
        seen[pair]++;
    }
    for (size_t i = 0; i < PAIRS; i++) {
        if (seen[i] != 0 && seen[i] != 2) {
            return false;
        }
    }
    return true;
}

static void *searcher(void *arg)
{
    struct shared *s = arg;
    struct arena *a = arena_new(1 << 16);
    int64_t last_seq = 0;
    for (int i = 0; !atomic_load(&s->stop); i++) {
        struct err err = {0};
        struct vindex_query q = text_query((enum vindex_mode)(i % 3), "pair", VINDEX_K_MAX);
        struct vindex_result r;
        int64_t hidden_from = atomic_load(&s->hidden_from);
        bool ok = vindex_search(s->f->c, &q, a, &r, &err) == ASSAY_OK && pairs_are_whole(&r) && r.seq >= last_seq;
        for (size_t h = 0; h < r.n && r.seq >= hidden_from; h++) {
            ok = ok && !str_eqc(r.hits[h].source, "blocked");
        }
        last_seq = r.seq;
        vindex_result_release(s->f->c, &r);
        struct vindex_stats st;
        if (i % 16 == 0) {
            vindex_stats(s->f->c, &st);
            ok = ok && st.seq >= last_seq;
        }
        atomic_fetch_add(&s->failures, ok ? 0 : 1);
        atomic_fetch_add(&s->searches, 1);
        err_clear(&err);
        arena_reset(a);
    }
    arena_free(a);
    return NULL;
}

/* Adds, replaces, quarantines or retires one whole pair. */
static void change_pair(struct fixture *f, uint64_t *seed)
{
    int64_t pair = (int64_t)(next_random(seed) % PAIRS);
    struct vindex_change ch[2];
    char text[32];
    snprintf(text, sizeof(text), "pair %d", (int)pair);
    for (int64_t i = 0; i < 2; i++) {
        ch[i] = add_change(pair * 2 + i, text);
        ch[i].source = pair % 5 == 0 ? 2 : 1;
        if (next_random(seed) % 3 == 0 && i == 0) {
            ch[0] = state_change(pair * 2, CHUNK_RETIRED);
            ch[1] = state_change(pair * 2 + 1, CHUNK_RETIRED);
            break;
        }
    }
    apply(f, ch, 2);
}

static void write_rounds(struct shared *s)
{
    uint64_t seed = 17;
    struct err err = {0};
    for (int round = 0; round < ROUNDS; round++) {
        int64_t next = 0;
        change_pair(s->f, &seed);
        assert_int_equal(vindex_tick(s->f->c, NOW, &next, &err), ASSAY_OK);
        if (round == ROUNDS / 2) {
            struct vindex_change block = source_change(2, "blocked", false, CLOCK_NEVER);
            apply(s->f, &block, 1);
            atomic_store(&s->hidden_from, s->f->seq);
        }
        if (round % 100 == 50) {
            assert_int_equal(vindex_checkpoint(s->f->c, &err), ASSAY_OK);
        }
    }
}

static void test_concurrency__searches_see_whole_batches_and_never_what_is_hidden(void **state)
{
    (void)state;
    struct fixture f;
    struct shared s = {.f = &f};
    pthread_t threads[SEARCHERS];
    fixture_open(&f, EMBEDDER_BUILTIN, 32, 40);
    atomic_store(&s.hidden_from, INT64_MAX);
    struct vindex_change sources[2] = {source_change(1, "open", true, CLOCK_NEVER),
                                       source_change(2, "blocked", true, CLOCK_NEVER)};
    apply(&f, sources, 2);
    for (size_t i = 0; i < SEARCHERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, searcher, &s), 0);
    }
    write_rounds(&s);
    atomic_store(&s.stop, true);
    for (size_t i = 0; i < SEARCHERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&s.failures), 0);
    assert_true(atomic_load(&s.searches) > SEARCHERS);
    wait_for_builds(&f, 1);
    fixture_close(&f);
}

static void *waiter(void *arg)
{
    struct shared *s = arg;
    bool reached = vindex_wait(s->f->c, 50, clock_mono_us() + 20 * CLOCK_SECOND);
    struct vindex_stats st;
    vindex_stats(s->f->c, &st);
    atomic_fetch_add(&s->failures, reached && st.seq >= 50 ? 0 : 1);
    return NULL;
}

static void test_concurrency__waiters_wake_when_their_sequence_is_visible(void **state)
{
    (void)state;
    struct fixture f;
    struct shared s = {.f = &f};
    pthread_t threads[SEARCHERS];
    fixture_open(&f, EMBEDDER_BUILTIN, 32, 0);
    for (size_t i = 0; i < SEARCHERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, waiter, &s), 0);
    }
    for (int i = 0; i < 50; i++) {
        struct vindex_change ch = source_change(1, "s", i % 2 == 0, CLOCK_NEVER);
        apply(&f, &ch, 1);
    }
    for (size_t i = 0; i < SEARCHERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&s.failures), 0);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_concurrency__searches_see_whole_batches_and_never_what_is_hidden),
        cmocka_unit_test(test_concurrency__waiters_wake_when_their_sequence_is_visible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
