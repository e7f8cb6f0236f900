/* Documents through the store: put, touch, update, back again, duplicates, delete, the change log, sources. */
#include <pthread.h>

#include "tests/unit/test_store_fixture.h"

static void test_store_documents_put__creates_then_knows_it_unchanged(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    struct document_put d = doc(f, "k", "s", "alpha one|beta two");
    struct store_commit first, second;
    struct put_result r = put1(f, d, &first);
    assert_int_equal(r.outcome, PUT_CREATED);
    assert_int_equal(r.active, 2);
    assert_int_equal(first.seq, 3); /* the source, two chunks */
    r = put1(f, d, &second);
    assert_int_equal(r.outcome, PUT_UNCHANGED);
    assert_int_equal(r.active, 2);
    assert_int_equal(second.seq, 0);

    struct document_row row;
    OK(store_document_get(f->store, &f->call, f->collection.id, d.key, &row, &f->err));
    assert_true(str_eqc(row.metadata_json, "{\"a\":1,\"b\":\"x\"}"));
    assert_true(str_eqc(row.source, "s"));
    assert_int_equal(row.states[CHUNK_ACTIVE], 2);
    assert_int_equal(row.n_versions, 1);
    assert_true(digest_eq(&row.version, &d.version));
    assert_false(row.has_acl);

    struct document_probe probes[] = {{.key = STR_LIT("k")}, {.key = STR_LIT("nope")}};
    OK(store_documents_probe(f->store, &f->call, f->collection.id, probes, 2, &f->err));
    assert_true(probes[0].exists && digest_eq(&probes[0].request_hash, &d.request_hash));
    assert_false(probes[1].exists);
}

static void test_store_documents_put__rejects_an_unknown_source_alone(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    struct document_put d[] = {doc(f, "a", "s", "text a"), doc(f, "b", "nowhere", "text b"),
                               doc(f, "c", "s", "text c")};
    struct put_result r[3];
    struct store_commit commit;
    OK(put_docs(f, d, 3, r, &commit));
    assert_int_equal(r[0].outcome, PUT_CREATED);
    assert_int_equal(r[1].outcome, PUT_REJECTED);
    assert_string_equal(r[1].slug, "unknown-source");
    assert_int_equal(r[2].outcome, PUT_CREATED);
}

static void test_store_documents_put__new_version_replaces_and_old_one_comes_back(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    struct document_put one = doc(f, "k", "s", "first|shared"), two = doc(f, "k", "s", "second|shared");
    put1(f, one, NULL);
    struct put_result r = put1(f, two, NULL);
    assert_int_equal(r.outcome, PUT_UPDATED);
    assert_int_equal(r.active, 2); /* its own old text is no duplicate */
    assert_int_equal(state_of(f, &one.chunks[0].id), CHUNK_RETIRED);
    r = put1(f, one, NULL);
    assert_int_equal(r.outcome, PUT_UPDATED);
    assert_int_equal(r.active, 2);
    assert_int_equal(state_of(f, &one.chunks[0].id), CHUNK_ACTIVE);
    assert_int_equal(state_of(f, &two.chunks[0].id), CHUNK_RETIRED);

    struct document_row row;
    struct version_row *versions, v;
    size_t n;
    OK(store_document_get(f->store, &f->call, f->collection.id, one.key, &row, &f->err));
    OK(store_version_list(f->store, &f->call, f->collection.id, row.id, CLOCK_NEVER, 10, &versions, &n, &f->err));
    assert_int_equal(n, 2);
    assert_true(digest_eq(&versions[0].version, &two.version)); /* newest first */
    assert_true(versions[0].retired_at_us != CLOCK_NEVER && versions[1].retired_at_us == CLOCK_NEVER);
    OK(store_version_list(f->store, &f->call, f->collection.id, row.id, versions[0].ingested_at_us, 10, &versions, &n,
                          &f->err));
    assert_int_equal(n, 1);
    OK(store_version_get(f->store, &f->call, f->collection.id, row.id, &one.version, &v, &f->err));
    assert_true(str_eqc(v.canonical, "first|shared"));
}

static void test_store_documents_put__same_key_twice_later_wins(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    struct document_put d[] = {doc(f, "k", "s", "early"), doc(f, "x", "s", "other"), doc(f, "k", "s", "late")};
    struct put_result r[3];
    struct store_commit commit;
    OK(put_docs(f, d, 3, r, &commit));
    assert_int_equal(r[0].outcome, PUT_CREATED);
    assert_int_equal(r[2].outcome, PUT_UPDATED);
    assert_int_equal(state_of(f, &d[0].chunks[0].id), CHUNK_RETIRED);
    assert_int_equal(state_of(f, &d[2].chunks[0].id), CHUNK_ACTIVE);
    struct vindex_change *log;
    assert_int_equal(follow(f, 1, &log), 1 + 4); /* source; add, add, retire, add: one commit read whole */
}

static void test_store_documents_put__touches_acl_and_age_without_a_version(void **state)
{
    FIXTURE;
    add_source(f, "s", "P10D");
    struct document_put d = doc(f, "k", "s", "some text");
    struct str groups[] = {STR_LIT("group:a"), STR_LIT("group:\"b\"")};
    struct store_commit commit;
    d.has_modified_at = true;
    d.modified_at_us = clock_now_us() - 5 * CLOCK_DAY;
    put1(f, d, NULL);
    d.has_acl = true;
    d.acl = (struct str_list){groups, 2};
    assert_int_equal(put1(f, d, &commit).outcome, PUT_TOUCHED);
    struct document_row row;
    OK(store_document_get(f->store, &f->call, f->collection.id, d.key, &row, &f->err));
    assert_true(row.has_acl && row.acl.n == 2 && str_eqc(row.acl.items[1], "group:\"b\""));
    assert_int_equal(row.fresh_until_us, d.modified_at_us + 10 * CLOCK_DAY);
    assert_int_equal(row.n_versions, 1);
    struct vindex_change *log;
    size_t n = follow(f, 100, &log);
    assert_int_equal(log[n - 1].kind, VINDEX_TOUCH);
    assert_true(log[n - 1].has_acl && log[n - 1].acl.n == 2);
    assert_int_equal(log[n - 1].modified_at_us, d.modified_at_us);
    assert_false(log[n - 2].has_acl); /* what was added before keeps what held then */
    assert_int_equal(put1(f, d, &commit).outcome, PUT_UNCHANGED);
    d.acl.n = 0; /* for nobody is not for everyone */
    assert_int_equal(put1(f, d, &commit).outcome, PUT_TOUCHED);
    n = follow(f, 100, &log);
    assert_true(log[n - 1].has_acl && log[n - 1].acl.n == 0);
}

static void test_store_documents_put__other_bytes_same_text_are_remembered_silently(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    struct document_put d = doc(f, "k", "s", "some text");
    struct store_commit commit;
    put1(f, d, NULL);
    digest_sha256("other", 5, &d.request_hash);
    assert_int_equal(put1(f, d, &commit).outcome, PUT_UNCHANGED);
    assert_int_equal(commit.seq, 0);
    struct document_probe probe = {.key = STR_LIT("k")};
    OK(store_documents_probe(f->store, &f->call, f->collection.id, &probe, 1, &f->err));
    assert_true(digest_eq(&probe.request_hash, &d.request_hash));
}

static void test_store_documents_put__another_source_adds_the_chunks_again(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    add_source(f, "t", "P1D");
    struct document_put d = doc(f, "k", "s", "some text|more");
    put1(f, d, NULL);
    d.source = STR_LIT("t");
    assert_int_equal(put1(f, d, NULL).outcome, PUT_TOUCHED);
    struct vindex_change *log;
    size_t n = follow(f, 100, &log);
    assert_int_equal(n, 2 + 2 + 3);
    assert_int_equal(log[4].kind, VINDEX_ADD);
    assert_int_equal(log[4].chunk, log[2].chunk);
    assert_int_equal(log[4].source, 2);
    assert_int_equal(log[2].source, 1); /* replay is exact */
    assert_true(str_eqc(log[4].source_name, "t") && str_eqc(log[2].source_name, "s"));
}

static void test_store_documents_put__client_vectors_may_change_alone(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    struct document_put d = doc(f, "k", "s", "some text");
    float v[] = {1, 2, 3, 4}, w[] = {4, 3, 2, 1};
    d.chunks[0].embedding = v;
    put1(f, d, NULL);
    d.chunks[0].embedding = w;
    digest_sha256("other", 5, &d.request_hash);
    assert_int_equal(put1(f, d, NULL).outcome, PUT_TOUCHED);
    struct vindex_change *log;
    size_t n = follow(f, 100, &log);
    assert_int_equal(log[n - 1].kind, VINDEX_ADD);
    assert_memory_equal(log[n - 1].embedding, w, sizeof w);
    struct digest embedder, hashes[2] = {d.chunks[0].embed_hash, {{0}}};
    const float *found[2];
    digest_sha256("embedder", 8, &embedder);
    OK(store_embeddings_find(f->store, &f->call, f->collection.id, &embedder, 4, hashes, 2, found, &f->err));
    assert_memory_equal(found[0], w, sizeof w);
    assert_null(found[1]);
}

static void test_store_documents_put__holds_duplicates_and_promotes_one(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    struct document_put a = doc(f, "a", "s", "same words|only a"), b = doc(f, "b", "s", "same words"),
                        c = doc(f, "c", "s", "same words|same words");
    put1(f, a, NULL);
    struct document_put batch[] = {b, c};
    struct put_result r[2];
    struct store_commit commit;
    OK(put_docs(f, batch, 2, r, &commit));
    assert_int_equal(r[0].quarantined, 1);
    assert_int_equal(r[1].quarantined, 2);
    struct quarantine_row *rows;
    char hex[DIGEST_HEX + 1];
    assert_int_equal(entries(f, REASON_DUPLICATE, ENTRY_OPEN, &rows), 3);
    digest_hex(&a.chunks[0].id, hex);
    assert_non_null(strstr(str_cstr(f->arena, rows[0].evidence_json), hex));

    size_t left;
    OK(store_document_delete(f->store, &f->call, f->collection.id, a.key, &left, &commit, &f->err));
    assert_int_equal(left, 2);
    assert_int_equal(state_of(f, &b.chunks[0].id), CHUNK_ACTIVE);
    assert_int_equal(state_of(f, &c.chunks[0].id), CHUNK_QUARANTINED);
    assert_int_equal(entries(f, REASON_DUPLICATE, ENTRY_OPEN, &rows), 2);
    put1(f, doc(f, "b", "s", "changed"), NULL);
    assert_int_equal(state_of(f, &c.chunks[0].id), CHUNK_ACTIVE);
    assert_int_equal(state_of(f, &c.chunks[1].id), CHUNK_QUARANTINED);
}

static void test_store_documents_put__first_of_equal_texts_in_a_batch_stays_active(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    struct document_put d[] = {doc(f, "a", "s", "!bad|twin"), doc(f, "b", "s", "twin|!bad")};
    struct put_result r[2];
    struct store_commit commit;
    OK(put_docs(f, d, 2, r, &commit));
    assert_int_equal(state_of(f, &d[0].chunks[1].id), CHUNK_ACTIVE);
    assert_int_equal(state_of(f, &d[1].chunks[0].id), CHUNK_QUARANTINED);
    struct quarantine_row *rows;
    /* A held chunk is no original: both bad ones are held for the check alone. */
    assert_int_equal(entries(f, REASON_FAILED_CHECK, ENTRY_OPEN, &rows), 2);
    assert_int_equal(entries(f, REASON_DUPLICATE, ENTRY_OPEN, &rows), 1);
    struct chunk_row chunk;
    OK(store_chunk_get(f->store, &f->call, f->collection.id, &d[0].chunks[0].id, &chunk, &f->err));
    assert_int_equal(chunk.n_checks, 2);
    assert_true(str_eqc(chunk.checks[0].check, "not_empty") && chunk.checks[0].outcome == 0);
    assert_true(str_eqc(chunk.checks[1].check, "length") && chunk.checks[1].outcome == 2);
}

/* check_written of the fixture compares what is told with the log, here and in every other test. */
static void test_store_documents_put__tells_what_it_wrote_when_all_of_it_is_new(void **state)
{
    FIXTURE;
    add_source(f, "s", "P10D");
    struct str groups[] = {STR_LIT("group:a"), STR_LIT("")};
    const float vector[4] = {1, 0.5f, -2, 0};
    struct document_put d[] = {doc(f, "a", "s", "one|!two|one"), doc(f, "b", "s", "one|three"),
                               doc(f, "c", "s", "four")};
    d[0].uri = d[0].group = d[0].metadata_json = (struct str){0};
    d[1].has_acl = true;
    d[1].acl = (struct str_list){groups, 2};
    d[1].has_modified_at = true;
    d[1].modified_at_us = clock_now_us() - 20 * CLOCK_DAY; /* stale */
    d[2].chunks[0].embedding = vector;
    d[2].chunks[0].heading = STR_LIT("A > B");
    d[2].chunks[0].page = 7;
    d[2].chunks[0].quality = 1.0 / 3;
    struct put_result r[3];
    struct store_commit commit;
    OK(put_docs(f, d, 3, r, &commit));
    assert_int_equal(f->written, 6);
    put1(f, doc(f, "a", "s", "one|five"), NULL); /* retires rows of before */
    assert_int_equal(f->written, 0);
    d[2].source = STR_LIT("nowhere");
    d[1] = doc(f, "e", "s", "six");
    OK(put_docs(f, d + 1, 2, r, &commit)); /* a rejected one is no part of it */
    assert_int_equal(f->written, 1);
    assert_int_equal(put1(f, d[1], &commit).outcome, PUT_UNCHANGED);
    assert_int_equal(f->written, 0);
}

static void test_store_document_delete__hides_keeps_and_lets_it_return(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    struct document_put d = doc(f, "k", "s", "one|two");
    struct store_commit commit;
    size_t left;
    put1(f, d, NULL);
    OK(store_document_delete(f->store, &f->call, f->collection.id, d.key, &left, &commit, &f->err));
    assert_int_equal(left, 2);
    FAILS(store_document_delete(f->store, &f->call, f->collection.id, d.key, &left, &commit, &f->err), ASSAY_NOT_FOUND,
          "unknown-document");
    struct document_row row, *list;
    size_t n;
    OK(store_document_get(f->store, &f->call, f->collection.id, d.key, &row, &f->err));
    assert_true(row.deleted);
    OK(store_document_list(f->store, &f->call, f->collection.id, str_of("s"), str_of(""), 10, &list, &n, &f->err));
    assert_int_equal(n, 0);
    assert_int_equal(put1(f, d, NULL).outcome, PUT_CREATED);
    assert_int_equal(state_of(f, &d.chunks[0].id), CHUNK_ACTIVE);
    OK(store_document_list(f->store, &f->call, f->collection.id, str_of("s"), str_of(""), 10, &list, &n, &f->err));
    assert_int_equal(n, 1);
}

static void test_store_changes_read__replays_exactly_whatever_the_page(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    for (int i = 0; i < 10; i++)
        put_text(f, arena_printf(f->arena, "k%d", i % 4), arena_printf(f->arena, "text %d|more %d|and %d", i, i, i));
    struct vindex_change *one, *seven, *all;
    size_t n = follow(f, 1, &one);
    assert_int_equal(follow(f, 7, &seven), n);
    assert_int_equal(follow(f, 1000, &all), n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(one[i].kind, all[i].kind);
        assert_int_equal(one[i].state, seven[i].state);
        assert_true(digest_eq(&one[i].chunk_id, &all[i].chunk_id));
        if (all[i].kind == VINDEX_ADD)
            assert_int_equal(all[i].text.len, all[i].to - all[i].from);
    }
    struct change_head *heads;
    size_t m;
    OK(store_change_heads(f->store, &f->call, &heads, &m, &f->err));
    assert_int_equal(heads[m - 1].collection, f->collection.id);
    assert_int_equal(heads[m - 1].seq, (int64_t)n);
    struct collection_row c;
    struct digest zero = {{0}};
    OK(store_collection_get(f->store, &f->call, f->collection.name, &c, &f->err));
    assert_int_equal(c.head_seq, (int64_t)n);
    assert_false(digest_eq(&c.head_commit, &zero));
    char *text = arena_printf(f->arena,
                              "SELECT count(*) FROM commits a JOIN commits b ON b.collection_id = a.collection_id AND"
                              " b.parent = a.id WHERE a.collection_id = %d",
                              f->collection.id);
    assert_int_equal(sql(f->url, text), 10); /* eleven commits, each but the first names the one before */
}

struct writer_thread {
    struct fixture *f;
    char name;
    int failures;
};

static void *write_many(void *arg)
{
    struct writer_thread *t = arg;
    struct fixture mine = *t->f;
    mine.arena = arena_new(65536);
    mine.call = call_of(mine.arena);
    for (int i = 0; i < 25; i++) {
        struct put_result r;
        struct store_commit commit;
        struct document_put d =
            doc(&mine, arena_printf(mine.arena, "%c%d", t->name, i), "s",
                arena_printf(mine.arena, "text %c %d|common text|more %c %d", t->name, i, t->name, i));
        t->failures += put_docs(&mine, &d, 1, &r, &commit) != ASSAY_OK || r.active + r.quarantined != 3;
    }
    err_clear(&mine.err);
    arena_free(mine.arena);
    return NULL;
}

static void test_store_documents_put__two_writers_make_one_dense_log(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    struct writer_thread t[] = {{f, 'a', 0}, {f, 'b', 0}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, &t[i]), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(t[0].failures + t[1].failures, 0);
    struct vindex_change *log;
    size_t n = follow(f, 16, &log), active = 0;
    assert_int_equal(n, 1 + 50 * 3);
    for (size_t i = 0; i < n; i++)
        active += log[i].kind == VINDEX_ADD && log[i].state == CHUNK_ACTIVE && str_eqc(log[i].text, "common text");
    assert_int_equal(active, 1); /* both saw each other's writes: one original */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_documents_put__creates_then_knows_it_unchanged),
        cmocka_unit_test(test_store_documents_put__rejects_an_unknown_source_alone),
        cmocka_unit_test(test_store_documents_put__new_version_replaces_and_old_one_comes_back),
        cmocka_unit_test(test_store_documents_put__same_key_twice_later_wins),
        cmocka_unit_test(test_store_documents_put__touches_acl_and_age_without_a_version),
        cmocka_unit_test(test_store_documents_put__other_bytes_same_text_are_remembered_silently),
        cmocka_unit_test(test_store_documents_put__another_source_adds_the_chunks_again),
        cmocka_unit_test(test_store_documents_put__client_vectors_may_change_alone),
        cmocka_unit_test(test_store_documents_put__holds_duplicates_and_promotes_one),
        cmocka_unit_test(test_store_documents_put__first_of_equal_texts_in_a_batch_stays_active),
        cmocka_unit_test(test_store_documents_put__tells_what_it_wrote_when_all_of_it_is_new),
        cmocka_unit_test(test_store_document_delete__hides_keeps_and_lets_it_return),
        cmocka_unit_test(test_store_changes_read__replays_exactly_whatever_the_page),
        cmocka_unit_test(test_store_documents_put__two_writers_make_one_dense_log),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
