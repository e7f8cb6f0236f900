/* Lineage through the store: the walk both ways, OpenLineage events, receipts. */
#include "tests/unit/test_store_fixture.h"

static struct lineage_graph walk(struct fixture *f, const char *node, int depth, enum lineage_direction direction)
{
    struct node_id id;
    struct lineage_graph g = {0};
    assert_true(node_id_parse(str_of(node), &id));
    OK(store_lineage_walk(f->store, &f->call, &id, depth, direction, &g, &f->err));
    assert_int_equal(g.nodes[0].kind, id.kind);
    return g;
}

static size_t count(const struct lineage_graph *g, enum node_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n_nodes; i++)
        n += g->nodes[i].kind == kind;
    return n;
}

static size_t edges(const struct lineage_graph *g, enum node_kind from, enum node_kind to)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n_edges; i++)
        n += g->nodes[g->edges[i].origin].kind == from && g->nodes[g->edges[i].destination].kind == to;
    return n;
}

static const char *node_text(struct fixture *f, const char *kind, const struct digest *d)
{
    char hex[DIGEST_HEX + 1];
    digest_hex(d, hex);
    return arena_printf(f->arena, "%s:assay:%.*s/%s/%s", strcmp(kind, "pipeline") == 0 ? "job" : "dataset",
                        STR_FMT(f->collection.name), kind, hex);
}

static struct receipt_put receipt(struct fixture *f, const struct receipt_hit *hits, size_t n)
{
    struct receipt_put r = {.collection = f->collection.id,
                            .at_us = clock_now_us(),
                            .k = 10,
                            .hits = hits,
                            .n_hits = n,
                            .took_us = 120,
                            .seq = 5,
                            .exact = true};
    uuid_new(r.id);
    uuid_new(r.key_id);
    digest_sha256("q", 1, &r.query_hash);
    return r;
}

static void test_store_lineage_walk__goes_up_from_a_chunk_to_its_source_alone(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    struct document_put d[] = {doc(f, "a", "s", "one|two"), doc(f, "b", "s", "three")};
    struct put_result r[2];
    struct store_commit commit;
    OK(put_docs(f, d, 2, r, &commit)); /* one run took in both */
    struct lineage_graph g = walk(f, node_text(f, "chunk", &d[0].chunks[0].id), 20, LINEAGE_UP);
    assert_int_equal(count(&g, NODE_VERSION), 1);
    assert_int_equal(count(&g, NODE_DOCUMENT), 1); /* not the run's other document */
    assert_int_equal(count(&g, NODE_SOURCE), 1);
    assert_int_equal(count(&g, NODE_RUN), 1);
    assert_int_equal(count(&g, NODE_PIPELINE), 1);
    assert_int_equal(g.n_nodes, 6);
    assert_int_equal(edges(&g, NODE_DOCUMENT, NODE_RUN), 1);
    assert_int_equal(edges(&g, NODE_RUN, NODE_VERSION), 1);
    assert_int_equal(edges(&g, NODE_PIPELINE, NODE_RUN), 1);
    assert_int_equal(edges(&g, NODE_VERSION, NODE_CHUNK), 1);
    assert_int_equal(g.n_edges, 6);
    for (size_t i = 0; i < g.n_nodes; i++) {
        const char *json = str_cstr(f->arena, g.nodes[i].data_json);
        assert_non_null(strstr(json, "\"createdAt\""));
        assert_null(strstr(json, "one")); /* never the text */
    }
    g = walk(f, node_text(f, "chunk", &d[0].chunks[0].id), 1, LINEAGE_UP);
    assert_int_equal(g.n_nodes, 2);
    g = walk(f, node_text(f, "chunk", &d[0].chunks[0].id), 0, LINEAGE_BOTH);
    assert_int_equal(g.n_nodes, 1);
}

static void test_store_lineage_walk__goes_down_from_a_source_to_receipts(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    struct document_put d = doc(f, "a", "s", "one|two");
    struct str groups[] = {STR_LIT("group:x")};
    d.has_acl = true;
    d.acl = (struct str_list){groups, 1};
    put1(f, d, NULL);
    struct receipt_hit hits[] = {{d.chunks[1].id, 0.9}, {d.chunks[0].id, 0.5}};
    struct receipt_put r = receipt(f, hits, 2);
    OK(store_receipts_put(f->store, &f->call, &r, 1, &f->err));
    const char *source = arena_printf(f->arena, "dataset:assay:%.*s/source/s", STR_FMT(f->collection.name));
    struct lineage_graph g = walk(f, source, 20, LINEAGE_BOTH);
    assert_int_equal(count(&g, NODE_CHUNK), 2);
    assert_int_equal(count(&g, NODE_RECEIPT), 1);
    assert_int_equal(edges(&g, NODE_CHUNK, NODE_RECEIPT), 2);
    assert_int_equal(edges(&g, NODE_RUN, NODE_VERSION), 1);
    assert_false(g.truncated);
    for (size_t i = 0; i < g.n_nodes; i++)
        if (g.nodes[i].kind == NODE_CHUNK || g.nodes[i].kind == NODE_DOCUMENT)
            assert_true(g.nodes[i].has_acl && str_eqc(g.nodes[i].acl.items[0], "group:x"));
    g = walk(f, source, 3, LINEAGE_DOWN);
    assert_int_equal(count(&g, NODE_CHUNK), 2);
    assert_int_equal(count(&g, NODE_RECEIPT), 0);
    const char *back = arena_printf(f->arena, "dataset:assay:%.*s/receipt/%s", STR_FMT(f->collection.name), r.id);
    g = walk(f, back, 20, LINEAGE_UP);
    assert_int_equal(count(&g, NODE_CHUNK), 2);
    assert_int_equal(count(&g, NODE_SOURCE), 1);
    struct lineage_graph p = walk(f, node_text(f, "pipeline", &f->collection.pipeline), 2, LINEAGE_DOWN);
    assert_int_equal(count(&p, NODE_RUN), 1);
}

static void test_store_lineage_walk__does_not_know_what_is_not_there(void **state)
{
    FIXTURE;
    static const char *const nodes[] = {
        "dataset:assay:nowhere/source/s", "dataset:postgres://h:5432:db.s.t",
        "run:01890a5d-ac96-774b-bcce-b302099a8057",
        "dataset:assay:c1/chunk/0000000000000000000000000000000000000000000000000000000000000000"};
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        struct node_id id;
        struct lineage_graph g;
        assert_true(node_id_parse(str_of(nodes[i]), &id));
        FAILS(store_lineage_walk(f->store, &f->call, &id, 5, LINEAGE_BOTH, &g, &f->err), ASSAY_NOT_FOUND,
              "unknown-node");
    }
}

static void test_store_lineage_event_put__joins_foreign_datasets_to_ours_once(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    char run[UUID_TEXT + 1];
    uuid_new(run);
    struct lineage_dataset_ref in = {STR_LIT("postgres://h:5432"), STR_LIT("db.s.t")};
    struct lineage_dataset_ref out = {STR_LIT("assay"),
                                      str_of(arena_printf(f->arena, "%.*s/source/s", STR_FMT(f->collection.name)))};
    struct lineage_event ev = {.raw_json = str_of(arena_printf(f->arena, "{\"run\":\"%s\"}", run)),
                               .event_type = STR_LIT("COMPLETE"),
                               .event_time_us = clock_now_us(),
                               .producer = STR_LIT("https://example.org"),
                               .schema_url = STR_LIT(""),
                               .run_id = str_of(run),
                               .job_ns = STR_LIT("airflow"),
                               .job_name = STR_LIT("export"),
                               .inputs = &in,
                               .n_inputs = 1,
                               .outputs = &out,
                               .n_outputs = 1};
    long before = sql(f->url, "SELECT count(*) FROM lineage_edges");
    OK(store_lineage_event_put(f->store, &f->call, &ev, &f->err));
    OK(store_lineage_event_put(f->store, &f->call, &ev, &f->err));
    assert_int_equal(sql(f->url, "SELECT count(*) FROM lineage_events"), 1);
    assert_int_equal(sql(f->url, "SELECT count(*) FROM lineage_edges") - before, 3);
    struct document_put d = doc(f, "a", "s", "one");
    put1(f, d, NULL);
    struct lineage_graph g = walk(f, node_text(f, "chunk", &d.chunks[0].id), 20, LINEAGE_UP);
    assert_int_equal(count(&g, NODE_DATASET), 1);
    assert_int_equal(count(&g, NODE_JOB), 1);
    for (size_t i = 0; i < g.n_nodes; i++) {
        if (g.nodes[i].kind != NODE_DATASET)
            continue;
        assert_true(str_eqc(g.nodes[i].key, "postgres://h:5432:db.s.t"));
        assert_non_null(strstr(str_cstr(f->arena, g.nodes[i].data_json), "\"name\":\"db.s.t\""));
    }
    g = walk(f, arena_printf(f->arena, "run:%s", run), 20, LINEAGE_BOTH);
    assert_int_equal(count(&g, NODE_JOB), 1);
    char *longname = arena_calloc(f->arena, 1, 4000);
    memset(longname, 'x', 3999);
    in.name = str_of(longname);
    ev.raw_json = STR_LIT("{}");
    FAILS(store_lineage_event_put(f->store, &f->call, &ev, &f->err), ASSAY_UNPROCESSABLE, "name-too-long");
    assert_int_equal(sql(f->url, "SELECT count(*) FROM lineage_events"), 1);
}

static void test_store_receipt_get__traces_every_hit_to_its_source(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    struct document_put d = doc(f, "a", "s", "one|two");
    put1(f, d, NULL);
    struct receipt_hit hits[] = {{d.chunks[1].id, 0.9}, {d.chunks[0].id, 0.5}};
    struct receipt_put r[] = {receipt(f, hits, 2), receipt(f, NULL, 0)};
    OK(store_receipts_put(f->store, &f->call, r, 2, &f->err));
    put_text(f, "a", "replaced");
    struct receipt_row row;
    OK(store_receipt_get(f->store, &f->call, str_of(r[0].id), &row, &f->err));
    assert_int_equal(row.n_trace, 2);
    assert_true(digest_eq(&row.trace[0].chunk, &d.chunks[1].id));
    assert_true(str_eqc(row.trace[0].document, "a") && str_eqc(row.trace[0].source_owner, "docs"));
    assert_true(digest_eq(&row.trace[0].bytes_hash, &d.bytes_hash));
    assert_string_equal(row.trace[0].state_now, "retired");
    assert_int_equal(row.trace[0].from, 4);
    assert_true(row.r.exact && row.r.took_us == 120 && row.r.at_us == r[0].at_us);
    OK(store_receipt_get(f->store, &f->call, str_of(r[1].id), &row, &f->err));
    assert_int_equal(row.n_trace, 0);
    FAILS(store_receipt_get(f->store, &f->call, str_of("x"), &row, &f->err), ASSAY_NOT_FOUND, "unknown-receipt");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_lineage_walk__goes_up_from_a_chunk_to_its_source_alone),
        cmocka_unit_test(test_store_lineage_walk__goes_down_from_a_source_to_receipts),
        cmocka_unit_test(test_store_lineage_walk__does_not_know_what_is_not_there),
        cmocka_unit_test(test_store_lineage_event_put__joins_foreign_datasets_to_ours_once),
        cmocka_unit_test(test_store_receipt_get__traces_every_hit_to_its_source),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
