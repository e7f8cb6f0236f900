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
    /* Of the pair, once two words apart, once four: half and a quarter of an occurrence. */
    double first = bm25(1, 4, avg, 4, 2) * 2 + 0.7 * bm25(0.5, 4, avg, 4, 2);
    double second = bm25(2, 10, avg, 4, 2) + bm25(1, 10, avg, 4, 2) + 0.7 * bm25(0.25, 10, avg, 4, 2);
    /* Parts: _vac vacu acuu cuum of "vacuuming", _dea dead ead_ of "dead". */
    first += 0.1 * 7 * bm25(1, 4, avg, 4, 2);
    second += 0.1 * (4 * bm25(2, 10, avg, 4, 2) + 3 * bm25(1, 10, avg, 4, 2));
    assert_int_equal(r.n, 2);
    assert_true(fabs(r.hits[0].score - first) < 1e-4);
    assert_true(fabs(r.hits[1].score - second) < 1e-4);
    assert_string_equal(r.plan, "none");
    vindex_result_release(f.c, &r);
    /* A word of one letter is a part by itself, and the end of "rows" is none of it. */
    struct vindex_change letter = add_change(9, "rows of S");
    apply(&f, &letter, 1);
    q = text_query(VINDEX_LEXICAL, "s", 10);
    r = search(&f, &q);
    assert_int_equal(r.n, 1);
    assert_true(fabs(r.hits[0].score - 1.1 * bm25(1, 3, (avg * 4 + 3) / 5, 5, 1)) < 1e-4);
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

/* Chunk numbers that a query finds, in order, as "3 1 2". */
static const char *found(struct fixture *f, const char *text)
{
    struct vindex_query q = text_query(VINDEX_LEXICAL, text, 50);
    struct vindex_result r = search(f, &q);
    struct buf out = {0};
    for (size_t i = 0; i < r.n; i++) {
        buf_printf(&out, "%s%.*s", i > 0 ? " " : "", STR_FMT(r.hits[i].document));
    }
    const char *list = arena_strndup(f->a, out.len > 0 ? out.data : "", out.len);
    buf_free(&out);
    vindex_result_release(f->c, &r);
    return list;
}

static void fill_texts(struct fixture *f, const char *const *list, size_t n, const char *language)
{
    static const char *const keys[] = {"0", "1", "2", "3", "4", "5", "6", "7"};
    struct vindex_change ch[9] = {source_change(1, "s", true, CLOCK_NEVER)};
    for (size_t i = 0; i < n; i++) {
        ch[i + 1] = add_change((int64_t)i, list[i]);
        ch[i + 1].key = str_of(keys[i]);
        ch[i + 1].language = str_of(language);
    }
    fixture_open(f, EMBEDDER_BUILTIN, 64, 0);
    apply(f, ch, n + 1);
}

static void test_lexical__a_phrase_stands_as_it_is_written(void **state)
{
    (void)state;
    static const char *const list[] = {"the write ahead log is flushed", "ahead of the log they write logs",
                                       "write-ahead logging, always", "write ahead. The log", "unrelated"};
    struct fixture f;
    fill_texts(&f, list, 5, "en");
    assert_string_equal(found(&f, "\"write ahead log\""), "2 0");
    assert_string_equal(found(&f, "\"the write ahead\""), "0");
    assert_string_equal(found(&f, "flushed \"write ahead\" always"), "2 0 3");
    assert_string_equal(found(&f, "\xE2\x80\x9Cthey write\xE2\x80\x9D"), "1");
    assert_string_equal(found(&f, "\"log unrelated\""), "4 1 3 2 0"); /* nowhere: as if without quotes */
    fixture_close(&f);
}

static void test_lexical__a_phrase_is_not_read_across_title_and_text(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 0);
    struct vindex_change ch[3] = {source_change(1, "s", true, CLOCK_NEVER), add_change(1, "beta gamma"),
                                  add_change(2, "alpha beta")};
    ch[1].title = STR_LIT("alpha");
    apply(&f, ch, 3);
    struct vindex_query q = text_query(VINDEX_LEXICAL, "\"alpha beta\"", 10);
    assert_int_equal(count_hits(&f, &q), 1);
    fixture_close(&f);
}

static void test_lexical__a_prefix_stands_for_every_word_that_begins_with_it(void **state)
{
    (void)state;
    static const char *const list[] = {
        "connection pools",           "they connect", "disconnected", "Happy days", "happen", "a caf\xC3\xA9teria",
        "the max_connections setting"};
    struct fixture f;
    fill_texts(&f, list, 7, "en");
    assert_string_equal(found(&f, "connectio*"), "0 6");
    assert_string_equal(found(&f, "max_conn*"), "6");
    assert_string_equal(found(&f, "HAPPY*"), "3");
    assert_string_equal(found(&f, "cafe*"), "5");
    assert_string_equal(found(&f, "disconn*"), "2");
    assert_string_equal(found(&f, "zebra*"), "");
    struct vindex_query q = text_query(VINDEX_LEXICAL, "happ*", 10);
    assert_int_equal(count_hits(&f, &q), 2);
    fixture_close(&f);
}

static void test_lexical__quotes_and_asterisks_of_plain_text_are_text(void **state)
{
    (void)state;
    static const char *const list[] = {"a monitor of 24 inches", "select count from table", "the pointer"};
    struct fixture f;
    fill_texts(&f, list, 3, "en");
    assert_string_equal(found(&f, "24\" monitor"), "0");
    assert_string_equal(found(&f, "\" monitor"), "0");
    assert_string_equal(found(&f, "\"monitor"), "0");
    assert_string_equal(found(&f, "what is count(*) ?"), "1");
    assert_string_equal(found(&f, "* **pointer** *"), "2");
    assert_string_equal(found(&f, "\"\" \"*\" pointer"), "2");
    assert_string_equal(found(&f, "*"), "");
    assert_string_equal(found(&f, "p*"), ""); /* one letter is no prefix */
    fixture_close(&f);
}

static void test_lexical__words_that_stand_together_count_more(void **state)
{
    (void)state;
    static const char *const list[] = {"red wine and a lot of other things stand on this table beside the glass vase",
                                       "red vase and a lot of other things stand on this table beside the glass wine"};
    struct fixture f;
    fill_texts(&f, list, 2, "en");
    assert_string_equal(found(&f, "a glass vase"), "0 1");
    assert_string_equal(found(&f, "a glass wine"), "1 0");
    assert_string_equal(found(&f, "the red vase"), "1 0");
    fixture_close(&f);
}

static void test_lexical__parts_of_words_count(void **state)
{
    (void)state;
    static const char *const list[] = {"coal is washed in this tower", "coal is gasified in this tower"};
    struct fixture f;
    fill_texts(&f, list, 2, "en");
    assert_string_equal(found(&f, "coal gasification"), "1 0"); /* stems: gasif, gasifi */
    assert_string_equal(found(&f, "coal gassified"), "1 0");
    assert_string_equal(found(&f, "coal wash'd"), "0 1");
    fixture_close(&f);
}

static void test_lexical__parts_of_words_are_folded_in_other_scripts(void **state)
{
    (void)state;
    static const char *const list[] = {
        "\xD1\x82\xD0\xB0\xD0\xB1\xD0\xBB\xD0\xB8\xD1\x86\xD0\xB0 "
        "\xD0\xA1\xD0\xA2\xD0\xA0\xD0\x9E\xD0\x9A\xD0\x9E\xD0\x92\xD0\x90\xD0\xAF", /* СТРОКОВАЯ */
        "\xD1\x82\xD0\xB0\xD0\xB1\xD0\xBB\xD0\xB8\xD1\x86\xD0\xB0 "
        "\xD0\x98\xD0\x9D\xD0\x94\xD0\x95\xD0\x9A\xD0\xA1\xD0\x9D\xD0\x90\xD0\xAF"}; /* ИНДЕКСНАЯ */
    struct fixture f;
    fill_texts(&f, list, 2, "ru");
    /* таблица индексируемая: another stem than that of the text */
    assert_string_equal(found(&f,
                              "\xD1\x82\xD0\xB0\xD0\xB1\xD0\xBB\xD0\xB8\xD1\x86\xD0\xB0 "
                              "\xD0\xB8\xD0\xBD\xD0\xB4\xD0\xB5\xD0\xBA\xD1\x81\xD0\xB8\xD1\x80\xD1\x83\xD0\xB5\xD0\xBC"
                              "\xD0\xB0\xD1\x8F"),
                        "1 0");
    fixture_close(&f);
}

/* More parts than are looked for: the first ones are. */
static void test_lexical__a_query_of_very_many_parts_is_answered(void **state)
{
    (void)state;
    static const char *const list[] = {"alpha zulu", "alphabetical zulu"};
    struct fixture f;
    struct buf text = {0};
    uint64_t seed = 5;
    fill_texts(&f, list, 2, "en");
    buf_puts(&text, "zulu alphabet");
    for (int i = 0; i < 120; i++) {
        buf_putc(&text, ' ');
        for (int k = 0; k < 40; k++) {
            buf_putc(&text, (char)('b' + next_random(&seed) % 24));
        }
    }
    assert_string_equal(found(&f, buf_cstr(&text)), "1 0");
    buf_free(&text);
    fixture_close(&f);
}

static void test_lexical__stop_words_are_those_of_the_language(void **state)
{
    (void)state;
    static const char *const list[] = {"die Katze", "die Hunde", "der Vogel"};
    struct fixture f;
    fill_texts(&f, list, 3, "de");
    assert_string_equal(found(&f, "die Katzen"), "0");
    struct vindex_query q = text_query(VINDEX_LEXICAL, "die", 10);
    assert_int_equal(count_hits(&f, &q), 2);
    fixture_close(&f);
}

/* One row of another language must not make every word of a query count twice. */
static void test_lexical__a_stem_counts_in_rows_of_its_language(void **state)
{
    (void)state;
    struct fixture alone, beside;
    static const char *const list[] = {"the rhine is wide", "rhin rhin rhin"};
    fill_texts(&alone, list, 2, "en");
    assert_string_equal(found(&alone, "Rhine"), "0");
    fixture_close(&alone);
    fixture_open(&beside, EMBEDDER_BUILTIN, 64, 0);
    struct vindex_change ch[4] = {source_change(1, "s", true, CLOCK_NEVER), add_change(1, list[0]),
                                  add_change(2, list[1]), add_change(3, "rhine")};
    ch[3].language = STR_LIT("it");
    apply(&beside, ch, 4);
    struct vindex_query q = text_query(VINDEX_LEXICAL, "Rhine", 10);
    assert_int_equal(count_hits(&beside, &q), 2);
    fixture_close(&beside);
}

static void test_lexical__highlights_what_was_asked_for(void **state)
{
    (void)state;
    static const char *const list[] = {"Vacuuming the max_connections of d\xC3\xA9j\xC3\xA0 vu, vacuums"};
    struct fixture f;
    fill_texts(&f, list, 1, "en");
    struct vindex_query q = text_query(VINDEX_LEXICAL, "the vacuum connection d\xC3\xA9j\xC3\xA0*", 10);
    q.highlight = true;
    struct vindex_result r = search(&f, &q);
    static const char *const expected[] = {"Vacuuming", "connections", "d\xC3\xA9j\xC3\xA0", "vacuums"};
    assert_int_equal(r.n, 1);
    assert_int_equal(r.hits[0].n_highlights, 4);
    for (size_t i = 0; i < 4; i++) {
        struct vindex_span span = r.hits[0].highlights[i];
        struct str marked = {r.hits[0].text.ptr + span.from, span.to - span.from};
        assert_true(str_eqc(marked, expected[i]));
    }
    vindex_result_release(f.c, &r);
    fixture_close(&f);
}

/* ---- pruning ---- */

enum { PRUNED_ROWS = 6000, PLAIN_BATCH = 1000, VOCABULARY = 400, QUERIES = 300 };

/* Words by a skewed distribution: few are everywhere, most are rare. */
static void put_words(struct buf *b, uint64_t *seed, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double u = random_unit(seed);
        buf_printf(b, "%sw%d", i > 0 ? " " : "", (int)(VOCABULARY * u * u * u));
    }
}

static void assert_same_hits(struct fixture *a, struct fixture *b, const struct vindex_query *q, uint64_t seed)
{
    struct vindex_result ra = search(a, q), rb = search(b, q);
    if (ra.n != rb.n) {
        fail_msg("seed %llu, query %.*s: %zu and %zu hits", (unsigned long long)seed, STR_FMT(q->text), ra.n, rb.n);
    }
    for (size_t i = 0; i < ra.n; i++) {
        if (!digest_eq(&ra.hits[i].chunk, &rb.hits[i].chunk) || ra.hits[i].score != rb.hits[i].score) {
            fail_msg("seed %llu, query %.*s: hit %zu differs", (unsigned long long)seed, STR_FMT(q->text), i);
        }
    }
    vindex_result_release(a->c, &ra);
    vindex_result_release(b->c, &rb);
    arena_reset(a->a);
    arena_reset(b->a);
}

/* One collection in a single segment, large enough to be pruned, beside the same rows in segments too small for it. */
static void test_lexical__pruning_changes_no_hit_and_no_score(void **state)
{
    (void)state;
    uint64_t seed = (uint64_t)time(NULL) * 2654435761U | 1, first = seed;
    struct fixture pruned, plain;
    struct vindex_change *adds = mem_calloc(PRUNED_ROWS, sizeof(*adds)), src = source_change(1, "s", true, CLOCK_NEVER);
    struct buf *bodies = mem_calloc(PRUNED_ROWS, sizeof(*bodies));
    fixture_open(&pruned, EMBEDDER_BUILTIN, 8, 0);
    fixture_open(&plain, EMBEDDER_BUILTIN, 8, 0);
    for (size_t i = 0; i < PRUNED_ROWS; i++) {
        put_words(&bodies[i], &seed, 1 + next_random(&seed) % 40);
        adds[i] = add_change((int64_t)i, buf_cstr(&bodies[i]));
        adds[i].quality = random_unit(&seed);
    }
    apply(&pruned, &src, 1);
    apply(&plain, &src, 1);
    apply(&pruned, adds, PRUNED_ROWS);
    for (size_t i = 0; i < PRUNED_ROWS; i += PLAIN_BATCH) {
        apply(&plain, adds + i, PLAIN_BATCH);
    }
    for (size_t i = 0; i < QUERIES; i++) {
        struct buf text = {0};
        put_words(&text, &seed, 1 + next_random(&seed) % 8);
        buf_puts(&text, i % 7 == 0 ? " w1*" : i % 7 == 1 ? " \"w0 w1\"" : "");
        struct vindex_query q = text_query(VINDEX_LEXICAL, buf_cstr(&text), 1 + next_random(&seed) % 200);
        q.min_quality = i % 3 == 0 ? 0.9 * random_unit(&seed) : 0;
        assert_same_hits(&pruned, &plain, &q, first);
        buf_free(&text);
    }
    for (size_t i = 0; i < PRUNED_ROWS; i++) {
        buf_free(&bodies[i]);
    }
    free(bodies);
    free(adds);
    fixture_close(&pruned);
    fixture_close(&plain);
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
        cmocka_unit_test(test_lexical__a_phrase_stands_as_it_is_written),
        cmocka_unit_test(test_lexical__a_phrase_is_not_read_across_title_and_text),
        cmocka_unit_test(test_lexical__a_prefix_stands_for_every_word_that_begins_with_it),
        cmocka_unit_test(test_lexical__quotes_and_asterisks_of_plain_text_are_text),
        cmocka_unit_test(test_lexical__words_that_stand_together_count_more),
        cmocka_unit_test(test_lexical__parts_of_words_count),
        cmocka_unit_test(test_lexical__parts_of_words_are_folded_in_other_scripts),
        cmocka_unit_test(test_lexical__a_query_of_very_many_parts_is_answered),
        cmocka_unit_test(test_lexical__stop_words_are_those_of_the_language),
        cmocka_unit_test(test_lexical__a_stem_counts_in_rows_of_its_language),
        cmocka_unit_test(test_lexical__highlights_what_was_asked_for),
        cmocka_unit_test(test_lexical__pruning_changes_no_hit_and_no_score),
        cmocka_unit_test(test_lexical__ranks_as_well_as_plain_bm25),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
