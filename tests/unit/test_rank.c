#include "index_fixture.h"

#include <math.h>

static const char *const WORDS = "granite bridge over the river";

static int setup(void **state)
{
    struct fixture *f = mem_calloc(1, sizeof(*f));
    fixture_open(f, EMBEDDER_CLIENT, 2, 0);
    struct vindex_change source = source_change(1, "src", true, CLOCK_NEVER);
    apply(f, &source, 1);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

static const float axis[2] = {1, 0};

/* A chunk of a document of many: number, document, place in the text. */
static struct vindex_change part(int64_t chunk, int64_t document, uint64_t from)
{
    struct vindex_change c = add_change(chunk, WORDS);
    c.document = document;
    c.from = from;
    c.to = from + strlen(WORDS);
    c.embedding = axis;
    digest_sha256(&document, sizeof(document), &c.version);
    return c;
}

static struct vindex_query ranked(const struct vindex_ranking *r, size_t k)
{
    struct vindex_query q = text_query(VINDEX_LEXICAL, "granite", k);
    q.ranking = r;
    return q;
}

static void test_rank__quality_weight_scales_the_score(void **state)
{
    struct fixture *f = *state;
    static const double qualities[] = {0.2, 1, 0.6};
    struct vindex_change ch[3];
    for (int i = 0; i < 3; i++) {
        ch[i] = part(i + 1, i + 1, 0);
        ch[i].quality = qualities[i];
    }
    apply(f, ch, 3);
    struct vindex_ranking r = vindex_ranking_default(EMBEDDER_CLIENT);
    r.quality_weight = 0.5;
    struct vindex_query q = ranked(&r, 3);
    struct vindex_result out = search(f, &q);
    static const double factors[] = {1, 0.8, 0.6};
    assert_int_equal(out.n, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(fabs(out.hits[i].quality_factor - factors[i]) < 1e-12);
        assert_true(fabs(out.hits[i].score - factors[i] * out.hits[i].lexical_score) < 1e-12);
        assert_true(out.hits[i].base_score == out.hits[i].lexical_score);
    }
    vindex_result_release(f->c, &out);
}

static void test_rank__score_halves_with_each_half_life(void **state)
{
    struct fixture *f = *state;
    struct vindex_change ch[3];
    for (int i = 0; i < 3; i++) {
        ch[i] = part(i + 1, i + 1, 0);
        ch[i].modified_at_us = NOW - (i - 1) * 30 * CLOCK_DAY; /* one month ahead, now, a month ago */
    }
    apply(f, ch, 3);
    struct vindex_ranking r = vindex_ranking_default(EMBEDDER_CLIENT);
    r.half_life_us = 30 * CLOCK_DAY;
    struct vindex_query q = ranked(&r, 3);
    struct vindex_result out = search(f, &q);
    assert_int_equal(out.n, 3);
    static const double factors[] = {1, 1, 0.5};
    for (size_t i = 0; i < 3; i++) {
        assert_true(fabs(out.hits[i].freshness_factor - factors[i]) < 1e-12);
    }
    assert_true(memcmp(out.hits[0].chunk.b, out.hits[1].chunk.b, DIGEST_LEN) < 0);
    vindex_result_release(f->c, &out);
}

static void test_rank__factor_lowers_a_negative_cosine(void **state)
{
    struct fixture *f = *state;
    struct vindex_change ch[2] = {part(1, 1, 0), part(2, 2, 0)};
    ch[0].quality = 0.5;
    apply(f, ch, 2);
    struct vindex_ranking r = vindex_ranking_default(EMBEDDER_CLIENT);
    r.quality_weight = 1;
    struct vindex_query q = ranked(&r, 2);
    q.mode = VINDEX_VECTOR;
    q.vector = (const float[]){-1, 0};
    struct vindex_result out = search(f, &q);
    assert_int_equal(out.n, 2);
    assert_true(out.hits[0].quality > out.hits[1].quality);
    assert_true(fabs(out.hits[0].score + 1) < 1e-6 && fabs(out.hits[1].score + 1.5) < 1e-6);
    vindex_result_release(f->c, &out);
}

/* One document has more good chunks than the first look brings: the others are found all the same. */
static void test_rank__max_per_document_looks_further_when_one_document_fills_the_list(void **state)
{
    struct fixture *f = *state;
    enum { MANY = 900, OTHERS = 4 };
    struct vindex_change *ch = mem_calloc(MANY + OTHERS, sizeof(*ch));
    for (int i = 0; i < MANY + OTHERS; i++) {
        ch[i] = part(i + 1, i < MANY ? 1 : i, (uint64_t)i * 100);
        if (i >= MANY) {
            ch[i].text = str_of("granite is one word among so many others here that it hardly counts for anything");
        }
    }
    apply(f, ch, MANY + OTHERS);
    struct vindex_query q = ranked(NULL, 6);
    q.max_per_document = 2;
    struct vindex_result out = search(f, &q);
    assert_int_equal(out.n, 2 + OTHERS);
    for (size_t i = 0; i + 1 < out.n; i++) {
        assert_true(out.hits[i].score >= out.hits[i + 1].score);
    }
    vindex_result_release(f->c, &out);
    q.k = 1000;
    assert_int_equal(count_hits(f, &q), 2 + OTHERS);
    free(ch);
}

static void assert_spans(const struct vindex_neighbour *items, size_t n, const size_t *from, size_t n_from)
{
    assert_int_equal(n, n_from);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(items[i].from, from[i]);
    }
}

/* Chunks come in another order than the text has them, in two segments, and one of another version lies between. */
static void test_rank__context_brings_visible_neighbours_of_the_same_version(void **state)
{
    struct fixture *f = *state;
    static const uint64_t froms[] = {500, 0, 300, 200, 400, 100, 600};
    struct vindex_change ch[8];
    for (int i = 0; i < 7; i++) {
        ch[i] = part(i + 1, 1, froms[i]);
        ch[i].text = froms[i] == 300 ? str_of("the needle") : ch[i].text;
    }
    ch[2].quality = 0.9;
    ch[7] = part(8, 1, 350);
    ch[7].version = (struct digest){{9}};
    apply(f, ch, 4);
    apply(f, ch + 4, 4);
    struct vindex_query q = text_query(VINDEX_LEXICAL, "needle", 5);
    q.context = 2;
    struct vindex_result out = search(f, &q);
    assert_int_equal(out.n, 1);
    assert_spans(out.hits[0].before, out.hits[0].n_before, (const size_t[]){100, 200}, 2);
    assert_spans(out.hits[0].after, out.hits[0].n_after, (const size_t[]){400, 500}, 2);
    vindex_result_release(f->c, &out);

    struct vindex_change hide = state_change(4, CHUNK_QUARANTINED); /* the one at 200 */
    apply(f, &hide, 1);
    out = search(f, &q);
    assert_spans(out.hits[0].before, out.hits[0].n_before, (const size_t[]){0, 100}, 2);
    assert_spans(out.hits[0].after, out.hits[0].n_after, (const size_t[]){400, 500}, 2);
    vindex_result_release(f->c, &out);
}

static void test_rank__context_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct vindex_result out;
    struct vindex_query q = text_query(VINDEX_LEXICAL, "needle", VINDEX_CONTEXT_K_MAX + 1);
    q.context = 1;
    assert_int_equal(vindex_search(f->c, &q, f->a, &out, &err), ASSAY_INVALID);
    q.k = 1;
    q.context = VINDEX_CONTEXT_MAX + 1;
    assert_int_equal(vindex_search(f->c, &q, f->a, &out, &err), ASSAY_INVALID);
    err_clear(&err);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rank__quality_weight_scales_the_score),
        TEST(test_rank__score_halves_with_each_half_life),
        TEST(test_rank__factor_lowers_a_negative_cosine),
        TEST(test_rank__max_per_document_looks_further_when_one_document_fills_the_list),
        TEST(test_rank__context_brings_visible_neighbours_of_the_same_version),
        TEST(test_rank__context_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
