#include "index_fixture.h"

#include "index/filter.h"

struct row {
    const char *metadata, *key, *language;
    double quality;
    int32_t source;
    int64_t age; /* seconds before NOW */
};

static const struct row rows[] = {
    {"{\"lang\":\"en\",\"year\":2020,\"tags\":[\"a\",\"b\"],\"draft\":false}", "k0", "en", 0.9, 1, 0},
    {"{\"lang\":\"de\",\"year\":2021,\"tags\":[\"b\"],\"draft\":true}", "k1", "de", 0.5, 1, 10},
    {"{\"lang\":\"en\",\"year\":-3.5,\"deep\":{\"er\":{\"x\":7}},\"n\":null}", "k2", "en", 0.2, 2, 20},
    {"{\"lang\":\"fr\",\"year\":\"2020\",\"tags\":[]}", "k3", "fr", 0.7, 2, 30},
    {"{}", "k4", NULL, 0.4, 3, 40},
    {"{\"items\":[{\"x\":1},{\"x\":5}],\"year\":1e3}", "k5", "en", 1, 3, 50},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static void fill(struct fixture *f)
{
    struct vindex_change ch[3 + ROWS] = {source_change(1, "manual", true, CLOCK_NEVER),
                                         source_change(2, "wiki", true, CLOCK_NEVER),
                                         source_change(3, "blog", true, CLOCK_NEVER)};
    for (size_t i = 0; i < ROWS; i++) {
        struct vindex_change c = add_change((int64_t)i, "word");
        c.metadata_json = str_of(rows[i].metadata);
        c.key = str_of(rows[i].key);
        c.language = str_of(rows[i].language);
        c.quality = rows[i].quality;
        c.source = rows[i].source;
        c.modified_at_us = NOW - rows[i].age * CLOCK_SECOND;
        ch[3 + i] = c;
    }
    apply(f, ch, 3 + ROWS);
}

/* A string with '1' where a row matches. */
static void expect(struct fixture *f, const char *json, const char *want)
{
    struct err err = {0};
    json_t *tree = NULL;
    char got[ROWS + 1] = "000000";
    arena_reset(f->a);
    assert_int_equal(json_parse(f->a, str_of(json), &tree, &err), ASSAY_OK);
    struct vindex_query q = text_query(VINDEX_VECTOR, "word", 100);
    assert_int_equal(filter_parse(f->a, tree, "/filter", &q.filter, &err), ASSAY_OK);
    struct vindex_result r = search(f, &q);
    for (size_t i = 0; i < r.n; i++) {
        got[r.hits[i].document.ptr[1] - '0'] = '1';
    }
    vindex_result_release(f->c, &r);
    if (strcmp(got, want) != 0) {
        fail_msg("%s: got %s, want %s", json, got, want);
    }
}

static void test_filter__answers_as_mongo_does(void **state)
{
    (void)state;
    static const struct {
        const char *json, *want;
    } cases[] = {
        {"{}", "111111"},
        {"{\"lang\":\"en\"}", "101000"},
        {"{\"lang\":{\"$ne\":\"en\"}}", "010111"},
        {"{\"year\":2020}", "100000"},
        {"{\"year\":\"2020\"}", "000100"},
        {"{\"year\":{\"$gte\":2020}}", "110000"},
        {"{\"year\":{\"$gt\":2020}}", "010000"},
        {"{\"year\":{\"$lt\":2020}}", "001001"},
        {"{\"year\":{\"$lte\":2020}}", "101001"},
        {"{\"year\":{\"$gt\":1000,\"$lt\":2021}}", "100000"},
        {"{\"year\":{\"$gte\":\"2\"}}", "000100"},
        {"{\"lang\":{\"$in\":[\"de\",\"fr\"]}}", "010100"},
        {"{\"lang\":{\"$nin\":[\"de\",\"fr\"]}}", "101011"},
        {"{\"tags\":\"b\"}", "110000"},
        {"{\"tags\":{\"$ne\":\"a\"}}", "011111"},
        {"{\"tags\":{\"$exists\":true}}", "110100"},
        {"{\"deep.er.x\":7}", "001000"},
        {"{\"deep\":{\"$exists\":true}}", "001000"},
        {"{\"items.x\":{\"$gt\":4}}", "000001"},
        {"{\"draft\":false}", "100000"},
        {"{\"n\":null,\"lang\":\"en\"}", "101000"},
        {"{\"lang\":null}", "000011"},
        {"{\"n\":{\"$exists\":true}}", "001000"},
        {"{\"$or\":[{\"lang\":\"de\"},{\"quality\":{\"$gte\":0.9}}]}", "110001"},
        {"{\"$and\":[{\"lang\":\"en\"},{\"$not\":{\"year\":2020}}]}", "001000"},
        {"{\"year\":{\"$not\":{\"$gt\":0}}}", "001110"},
        {"{\"quality\":{\"$lt\":0.5}}", "001010"},
        {"{\"quality\":{\"$in\":[0.5,1]}}", "010001"},
        {"{\"source\":\"wiki\"}", "001100"},
        {"{\"source\":{\"$nin\":[\"wiki\",\"blog\"]}}", "110000"},
        {"{\"source\":{\"$gt\":\"blog\"}}", "111100"},
        {"{\"document\":\"k4\"}", "000010"},
        {"{\"document\":{\"$gte\":\"k4\"}}", "000011"},
        {"{\"language\":{\"$exists\":false}}", "000010"},
        {"{\"modified_at\":{\"$gte\":\"2027-01-15T07:59:45Z\"}}", "110000"},
        {"{\"modified_at\":\"2027-01-15T07:59:20Z\"}", "000010"},
    };
    struct fixture f;
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 0);
    fill(&f);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect(&f, cases[i].json, cases[i].want);
    }
    fixture_close(&f);
}

static void test_filter__sees_a_touch(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 0);
    fill(&f);
    struct vindex_change touch = {.kind = VINDEX_TOUCH, .document = 4, .modified_at_us = NOW};
    apply(&f, &touch, 1);
    expect(&f, "{\"modified_at\":{\"$gte\":\"2027-01-15T07:59:45Z\"}}", "110010");
    fixture_close(&f);
}

static void test_filter__refuses_with_the_pointer(void **state)
{
    (void)state;
    static const struct {
        const char *json, *pointer;
    } cases[] = {
        {"[]", "/filter"},
        {"{\"a\":{\"$bad\":1}}", "/filter/a/$bad"},
        {"{\"a\":{\"b\":1}}", "/filter/a/b"},
        {"{\"$nor\":[{\"a\":1}]}", "/filter/$nor"},
        {"{\"a\":{}}", "/filter/a"},
        {"{\"a\":[1]}", "/filter/a"},
        {"{\"$or\":[]}", "/filter/$or"},
        {"{\"$or\":[{\"a\":1},{}]}", "/filter/$or/1"},
        {"{\"$and\":{\"a\":1}}", "/filter/$and"},
        {"{\"a\":{\"$in\":[]}}", "/filter/a/$in"},
        {"{\"a\":{\"$in\":[1,[2]]}}", "/filter/a/$in/1"},
        {"{\"a\":{\"$gt\":true}}", "/filter/a/$gt"},
        {"{\"a\":{\"$exists\":1}}", "/filter/a/$exists"},
        {"{\"quality\":\"high\"}", "/filter/quality"},
        {"{\"modified_at\":\"yesterday\"}", "/filter/modified_at"},
        {"{\"source\":1}", "/filter/source"},
        {"{\"a/b~c\":{\"$x\":1}}", "/filter/a~1b~0c/$x"},
        {"{\"\\u0001uri\":1}", "/filter/\x01uri"},
    };
    struct arena *a = arena_new(0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = {0};
        json_t *tree = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);
        const struct filter *f = NULL;
        assert_int_equal(filter_parse(a, tree, "/filter", &f, &err), ASSAY_INVALID);
        assert_int_equal(err.n_fields, 1);
        assert_string_equal(err.fields[0].pointer, cases[i].pointer);
        err_clear(&err);
        json_decref(tree);
    }
    arena_free(a);
}

static void test_filter__bounds_depth_and_size(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    json_t *deep = json_pack("{s:i}", "a", 1), *wide = json_array();
    for (int i = 0; i < 40; i++) {
        deep = json_pack("{s:[o]}", "$and", deep);
    }
    for (int i = 0; i < 300; i++) {
        json_array_append_new(wide, json_pack("{s:i}", "a", i));
    }
    json_t *all = json_pack("{s:o}", "$or", wide);
    const struct filter *f = NULL;
    struct err err = {0};
    assert_int_equal(filter_parse(a, deep, "", &f, &err), ASSAY_INVALID);
    err_clear(&err);
    assert_int_equal(filter_parse(a, all, "", &f, &err), ASSAY_INVALID);
    err_clear(&err);
    json_decref(deep);
    json_decref(all);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter__answers_as_mongo_does),
        cmocka_unit_test(test_filter__sees_a_touch),
        cmocka_unit_test(test_filter__refuses_with_the_pointer),
        cmocka_unit_test(test_filter__bounds_depth_and_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
