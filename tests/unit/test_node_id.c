#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/node_id.h"

#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define UUID "0190163d-8694-739b-aea5-966c26f8ad90"

static void test_node_id__own_nodes_go_both_ways(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum node_kind kind;
        const char *collection, *key, *type;
    } cases[] = {
        {"dataset:assay:default/source/pg-manual", NODE_SOURCE, "default", "pg-manual", "DATASET"},
        {"dataset:assay:default/document/opt", NODE_DOCUMENT, "default", "opt", "DATASET"},
        {"dataset:assay:9lives/document/https://h:8080/a:1?q=x#top", NODE_DOCUMENT, "9lives",
         "https://h:8080/a:1?q=x#top", "DATASET"},
        {"dataset:assay:default/version/" HEX64, NODE_VERSION, "default", HEX64, "DATASET"},
        {"dataset:assay:default/chunk/" HEX64, NODE_CHUNK, "default", HEX64, "DATASET"},
        {"dataset:assay:default/receipt/" UUID, NODE_RECEIPT, "default", UUID, "DATASET"},
        {"job:assay:default/pipeline/" HEX64, NODE_PIPELINE, "default", HEX64, "JOB"},
        {"run:" UUID, NODE_RUN, "", UUID, "RUN"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct node_id id;
        assert_true(node_id_parse(str_of(cases[i].text), &id));
        assert_int_equal(id.kind, cases[i].kind);
        assert_true(str_eqc(id.collection, cases[i].collection));
        assert_true(str_eqc(id.key, cases[i].key));
        assert_string_equal(node_kind_type(id.kind), cases[i].type);
        struct buf out = {0};
        node_id_format(&out, id.kind, id.collection, id.key);
        assert_string_equal(buf_cstr(&out), cases[i].text);
        buf_free(&out);
    }
}

/* Cases of Marquez's NodeIdTest and of its splitting rule. */
static void test_node_id__foreign_nodes_split_as_in_marquez(void **state)
{
    (void)state;
    static const struct {
        const char *text, *ns, *name;
    } cases[] = {
        {"dataset:my-namespace:my-dataset", "my-namespace", "my-dataset"},
        {"dataset:postgres://h:5432:db.s.t", "postgres://h:5432", "db.s.t"},
        {"dataset:postgresql://hostname:5432/db:my-dataset", "postgresql://hostname:5432/db", "my-dataset"},
        {"dataset:s3://bucket:path/to:file", "s3://bucket", "path/to:file"},
        {"dataset:ns:1name", "ns", "1name"},
        {"job:my-namespace:my-job", "my-namespace", "my-job"},
        {"job:bigquery:proj.ds.t:x", "bigquery", "proj.ds.t:x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct node_id id;
        assert_true(node_id_parse(str_of(cases[i].text), &id));
        assert_true(str_eqc(id.ns, cases[i].ns));
        assert_true(str_eqc(id.name, cases[i].name));
        assert_int_equal(id.kind, cases[i].text[0] == 'j' ? NODE_JOB : NODE_DATASET);
        struct buf out = {0};
        node_id_format(&out, id.kind, id.collection, id.key);
        assert_string_equal(buf_cstr(&out), cases[i].text);
        buf_free(&out);
    }
}

static void test_node_id__takes_a_version_tail_off(void **state)
{
    (void)state;
    struct node_id id;
    assert_true(node_id_parse(STR_LIT("dataset:ns:name#" UUID), &id));
    assert_true(str_eqc(id.name, "name"));
    assert_true(str_eqc(id.key, "ns:name"));
    assert_true(str_eqc(id.version, UUID));
    assert_true(node_id_parse(STR_LIT("dataset:assay:default/document/page#section"), &id));
    assert_true(str_eqc(id.key, "page#section"));
    assert_null(id.version.ptr);
}

static void test_node_id__refuses_what_is_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "dataset",
                                      "dataset:",
                                      "dataset:ns",
                                      "dataset::name",
                                      "dataset:ns:",
                                      "dataset:postgres://h:5432",
                                      "datasetField:ns:name:field",
                                      "table:ns:name",
                                      "run:",
                                      "run:not-a-uuid",
                                      "run:" UUID "x",
                                      "dataset:assay:default",
                                      "dataset:assay:default/source",
                                      "dataset:assay:default/source/",
                                      "dataset:assay:/source/x",
                                      "dataset:assay:default/nothing/x",
                                      "dataset:assay:default/version/abc",
                                      "dataset:assay:default/receipt/abc",
                                      "dataset:assay:default/pipeline/" HEX64,
                                      "job:assay:default/source/x",
                                      "job:assay:default/pipeline/x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct node_id id;
        assert_false(node_id_parse(str_of(bad[i]), &id));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_id__own_nodes_go_both_ways),
        cmocka_unit_test(test_node_id__foreign_nodes_split_as_in_marquez),
        cmocka_unit_test(test_node_id__takes_a_version_tail_off),
        cmocka_unit_test(test_node_id__refuses_what_is_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
