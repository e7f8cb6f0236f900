#include "index_fixture.h"

#include <math.h>

static const char *const texts[] = {
    "vacuum removes dead tuples",
    "the vacuum daemon runs vacuum on tables with dead rows",
    "create index builds an index on a table",
    "a trigger runs when rows change",
};

static void fill(struct fixture *f)
{
    struct vindex_change ch[5] = {source_change(1, "s", true, CLOCK_NEVER)};
    for (int64_t i = 0; i < 4; i++) {
        ch[i + 1] = add_change(i, texts[i]);
    }
    apply(f, ch, 5);
}

/* BM25 (k1 1.2, b 0.75) from the published formula, on words. */
static double bm25(double tf, double length, double avg, double n, double df)
{
    double idf = log(1 + (n - df + 0.5) / (df + 0.5));
    return idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * length / avg));
}

static void test_lexical__scores_are_bm25(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 0);
    fill(&f);
    struct vindex_query q = text_query(VINDEX_LEXICAL, "Vacuuming the dead", 10);
    struct vindex_result r = search(&f, &q);
    double avg = (4 + 10 + 8 + 6) / 4.0;
    double first = bm25(1, 4, avg, 4, 2) * 2, second = bm25(2, 10, avg, 4, 2) + bm25(1, 10, avg, 4, 2);
    assert_int_equal(r.n, 2);
    assert_true(fabs(r.hits[0].score - first) < 1e-4);
    assert_true(fabs(r.hits[1].score - second) < 1e-4);
    assert_string_equal(r.plan, "none");
    vindex_result_release(f.c, &r);
    fixture_close(&f);
}

static void test_lexical__a_query_of_stop_words_alone_still_finds(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 0);
    fill(&f);
    struct vindex_query q = text_query(VINDEX_LEXICAL, "the", 10),
                        mixed = text_query(VINDEX_LEXICAL, "the trigger", 10);
    assert_int_equal(count_hits(&f, &q), 1);
    assert_int_equal(count_hits(&f, &mixed), 1);
    fixture_close(&f);
}

static void test_lexical__title_counts_more_than_text(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 0);
    struct vindex_change ch[3] = {source_change(1, "s", true, CLOCK_NEVER), add_change(1, "alpha beta gamma"),
                                  add_change(2, "beta gamma")};
    ch[2].title = STR_LIT("alpha");
    apply(&f, ch, 3);
    struct vindex_query q = text_query(VINDEX_LEXICAL, "alpha", 10);
    struct vindex_result r = search(&f, &q);
    assert_int_equal(r.n, 2);
    assert_true(str_eqc(r.hits[0].title, "alpha"));
    vindex_result_release(f.c, &r);
    fixture_close(&f);
}

static void test_lexical__finds_each_language_by_its_own_stems(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 0);
    struct vindex_change ch[4] = {source_change(1, "s", true, CLOCK_NEVER), add_change(1, "the houses were built"),
                                  add_change(2, "die H\xC3\xA4user wurden gebaut"),
                                  add_change(3, "\xE6\x95\xB0\xE6\x8D\xAE\xE5\xBA\x93")};
    ch[2].language = STR_LIT("de");
    ch[3].language = STR_LIT("zh");
    apply(&f, ch, 4);
    struct vindex_query en = text_query(VINDEX_LEXICAL, "house building", 10),
                        de = text_query(VINDEX_LEXICAL, "Haus", 10),
                        zh = text_query(VINDEX_LEXICAL, "\xE6\x8D\xAE\xE5\xBA\x93", 10);
    assert_int_equal(count_hits(&f, &en), 1);
    assert_int_equal(count_hits(&f, &de), 1);
    assert_int_equal(count_hits(&f, &zh), 1);
    fixture_close(&f);
}

/* Retired rows must not weigh, whether they are still there as tombstones or have been compacted away. */
static void test_lexical__statistics_are_those_of_live_chunks(void **state)
{
    (void)state;
    struct fixture f, clean;
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 0);
    fixture_open(&clean, EMBEDDER_BUILTIN, 64, 0);
    fill(&clean);
    fill(&f);
    for (int64_t i = 100; i < 107; i++) { /* one segment each, short of a merge */
        struct vindex_change add = add_change(i, "vacuum vacuum tuples"), gone = state_change(i, CHUNK_RETIRED);
        struct vindex_change live = add_change(i + 1000, "unrelated");
        struct vindex_change both[2] = {add, live};
        apply(&f, both, 2);
        struct vindex_change retire[2] = {gone, state_change(i + 1000, CHUNK_RETIRED)};
        apply(&f, retire, 2);
    }
    struct vindex_query q = text_query(VINDEX_LEXICAL, "vacuum tuples", 10);
    struct vindex_result a = search(&f, &q), b = search(&clean, &q);
    assert_int_equal(a.n, b.n);
    for (size_t i = 0; i < a.n; i++) {
        assert_true(a.hits[i].score == b.hits[i].score);
        assert_true(digest_eq(&a.hits[i].chunk, &b.hits[i].chunk));
    }
    vindex_result_release(f.c, &a);
    vindex_result_release(clean.c, &b);
    fixture_close(&f);
    fixture_close(&clean);
}

/* ---- a judged collection, where there is one beside the checkout ---- */

#define COLLECTION "../shared/data/cranfield"

static json_t *next_line(FILE *f)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n = getline(&line, &cap, f);
    json_t *v = n > 0 ? json_loadb(line, (size_t)n, 0, NULL) : NULL;
    free(line);
    return v;
}

static struct str member(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    return (struct str){json_string_value(v), json_string_length(v)};
}

static void load_corpus(struct fixture *f, json_t *docs)
{
    FILE *in = fopen(COLLECTION "/corpus.jsonl", "r");
    struct vindex_change ch = source_change(1, "s", true, CLOCK_NEVER);
    apply(f, &ch, 1);
    struct vindex_change *adds = mem_calloc(2000, sizeof(*adds));
    size_t n = 0;
    for (json_t *doc = next_line(in); doc != NULL && n < 2000; doc = next_line(in)) {
        json_array_append_new(docs, doc);
        adds[n] = add_change((int64_t)n, "");
        adds[n].key = member(doc, "_id");
        adds[n].title = member(doc, "title");
        adds[n++].text = member(doc, "text");
    }
    fclose(in);
    apply(f, adds, n);
    free(adds);
}

static json_t *load_judgments(void)
{
    FILE *in = fopen(COLLECTION "/qrels.tsv", "r");
    json_t *all = json_object();
    char query[64], doc[64], line[256];
    while (fgets(line, sizeof(line), in) != NULL) {
        if (sscanf(line, "%63s %63s", query, doc) == 2) {
            if (json_object_get(all, query) == NULL) {
                json_object_set_new(all, query, json_object());
            }
            json_object_set_new(json_object_get(all, query), doc, json_true());
        }
    }
    fclose(in);
    return all;
}

static double ndcg10(struct fixture *f, enum vindex_mode mode, const json_t *judgments)
{
    FILE *in = fopen(COLLECTION "/queries.jsonl", "r");
    double sum = 0, n = 0;
    for (json_t *line = next_line(in); line != NULL; line = next_line(in)) {
        const json_t *relevant = json_object_get(judgments, member(line, "_id").ptr);
        struct vindex_query q = text_query(mode, member(line, "text").ptr, 10);
        struct vindex_result r = search(f, &q);
        double dcg = 0, ideal = 0;
        for (size_t i = 0; i < 10; i++) {
            const char *key = i < r.n ? str_cstr(f->a, r.hits[i].document) : "";
            dcg += json_object_get(relevant, key) != NULL ? 1 / log2((double)i + 2) : 0;
            ideal += i < json_object_size(relevant) ? 1 / log2((double)i + 2) : 0;
        }
        sum += dcg / ideal;
        n++;
        vindex_result_release(f->c, &r);
        arena_reset(f->a);
        json_decref(line);
    }
    fclose(in);
    return sum / n;
}

/* 0.5106 is plain BM25 with a Porter stemmer on the same files and judgments. */
static void test_lexical__ranks_as_well_as_plain_bm25(void **state)
{
    (void)state;
    struct fixture f;
    if (access(COLLECTION "/qrels.tsv", R_OK) != 0) {
        skip();
    }
    fixture_open(&f, EMBEDDER_BUILTIN, 384, 0);
    json_t *docs = json_array(), *judgments = load_judgments();
    load_corpus(&f, docs);
    double lexical = ndcg10(&f, VINDEX_LEXICAL, judgments), hybrid = ndcg10(&f, VINDEX_HYBRID, judgments);
    double vector = ndcg10(&f, VINDEX_VECTOR, judgments);
    assert_true(lexical > 0.51);
    assert_true(hybrid > lexical - 0.005);
    assert_true(vector > 0.35);
    json_decref(judgments);
    fixture_close(&f);
    json_decref(docs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lexical__scores_are_bm25),
        cmocka_unit_test(test_lexical__a_query_of_stop_words_alone_still_finds),
        cmocka_unit_test(test_lexical__title_counts_more_than_text),
        cmocka_unit_test(test_lexical__finds_each_language_by_its_own_stems),
        cmocka_unit_test(test_lexical__statistics_are_those_of_live_chunks),
        cmocka_unit_test(test_lexical__ranks_as_well_as_plain_bm25),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
