/* Quarantine through the store: holding, deciding, blocking, staleness. */
#include "store/quality.h"
#include "tests/unit/test_store_fixture.h"

static size_t hold(struct fixture *f, struct quarantine_add in, struct quarantine_row **sample)
{
    size_t held = 0, n = 0;
    struct store_commit commit;
    in.collection = f->collection.id;
    in.sample_max = 10;
    OK(store_quarantine_add(f->store, &f->call, &in, &held, sample, &n, &commit, &f->err));
    return held;
}

static void test_store_quarantine_add__holds_chunks_once_for_each_reason(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    struct document_put d = doc(f, "k", "s", "one|two");
    put1(f, d, NULL);
    struct quarantine_row *rows, out;
    struct digest ids[] = {d.chunks[0].id, d.chunks[1].id};
    struct quarantine_add in = {.chunks = ids, .n_chunks = 2, .reason = REASON_UNSAFE, .note = STR_LIT("look at it")};
    assert_int_equal(hold(f, in, &rows), 2);
    assert_true(str_eqc(rows[0].excerpt, "one") && str_eqc(rows[0].opened_by, "key:tester"));
    assert_int_equal(hold(f, in, &rows), 0);
    in.n_chunks = 1;
    in.reason = REASON_MANUAL;
    assert_int_equal(hold(f, in, &rows), 1);
    assert_int_equal(state_of(f, &ids[0]), CHUNK_QUARANTINED);

    struct store_commit commit;
    int32_t collection;
    OK(store_quarantine_release(f->store, &f->call, rows[0].id, str_of("fine"), &out, &commit, &f->err));
    assert_int_equal(out.state, ENTRY_RELEASED);
    assert_int_equal(commit.seq, 0); /* still held as unsafe: nothing changed for readers */
    assert_int_equal(state_of(f, &ids[0]), CHUNK_QUARANTINED);
    FAILS(store_quarantine_release(f->store, &f->call, rows[0].id, str_of(""), &out, &commit, &f->err), ASSAY_CONFLICT,
          "entry-closed");
    struct quarantine_query q = {.collection = f->collection.id,
                                 .reason = -1,
                                 .state = ENTRY_OPEN,
                                 .has_chunk = true,
                                 .chunk = ids[0],
                                 .before = INT64_MAX,
                                 .limit = 10};
    size_t n;
    OK(store_quarantine_list(f->store, &f->call, &q, &rows, &n, &f->err));
    assert_int_equal(n, 1);
    OK(store_quarantine_release(f->store, &f->call, rows[0].id, str_of(""), &out, &commit, &f->err));
    assert_true(commit.seq > 0);
    assert_int_equal(state_of(f, &ids[0]), CHUNK_ACTIVE);
    OK(store_quarantine_get(f->store, &f->call, rows[0].id, &collection, &out, &f->err));
    assert_int_equal(collection, f->collection.id);
    FAILS(store_quarantine_get(f->store, &f->call, str_of("no uuid"), &collection, &out, &f->err), ASSAY_NOT_FOUND,
          "unknown-entry");
}

static void test_store_quarantine_add__unknown_target_does_nothing(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    struct document_put d = doc(f, "k", "s", "one");
    put1(f, d, NULL);
    struct digest ids[] = {d.chunks[0].id, {{1}}};
    struct quarantine_add in = {.collection = f->collection.id, .chunks = ids, .n_chunks = 2, .reason = REASON_MANUAL};
    struct quarantine_row *rows;
    size_t held, n;
    struct store_commit commit;
    FAILS(store_quarantine_add(f->store, &f->call, &in, &held, &rows, &n, &commit, &f->err), ASSAY_UNPROCESSABLE,
          "unknown-chunk");
    assert_int_equal(state_of(f, &ids[0]), CHUNK_ACTIVE);
    in = (struct quarantine_add){.collection = f->collection.id, .document = STR_LIT("nope"), .reason = REASON_MANUAL};
    FAILS(store_quarantine_add(f->store, &f->call, &in, &held, &rows, &n, &commit, &f->err), ASSAY_UNPROCESSABLE,
          "unknown-document");
    in = (struct quarantine_add){.collection = f->collection.id, .source = STR_LIT("nope"), .reason = REASON_MANUAL};
    FAILS(store_quarantine_add(f->store, &f->call, &in, &held, &rows, &n, &commit, &f->err), ASSAY_UNPROCESSABLE,
          "unknown-source");
}

static void test_store_quarantine_retire__stays_when_the_version_comes_back(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    struct document_put d = doc(f, "k", "s", "!bad|good");
    put1(f, d, NULL);
    struct quarantine_row *rows, out;
    struct store_commit commit;
    assert_int_equal(entries(f, -1, ENTRY_OPEN, &rows), 1);
    assert_non_null(strstr(str_cstr(f->arena, rows[0].evidence_json), "3..9 tokens"));
    FAILS(store_quarantine_release(f->store, &f->call, rows[0].id, str_of(""), &out, &commit, &f->err),
          ASSAY_UNPROCESSABLE, "note-required");
    OK(store_quarantine_retire(f->store, &f->call, rows[0].id, str_of("junk"), &out, &commit, &f->err));
    assert_int_equal(out.state, ENTRY_RETIRED);
    assert_int_equal(state_of(f, &d.chunks[0].id), CHUNK_RETIRED);
    put_text(f, "k", "another");
    struct put_result r = put1(f, d, NULL);
    assert_int_equal(r.active, 1);
    assert_int_equal(r.quarantined, 0);
    assert_int_equal(state_of(f, &d.chunks[0].id), CHUNK_RETIRED);
    assert_int_equal(state_of(f, &d.chunks[1].id), CHUNK_ACTIVE);
}

static void test_store_quarantine__hold_sleeps_with_its_version_and_wakes_with_it(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    struct document_put d = doc(f, "k", "s", "one|two");
    put1(f, d, NULL);
    struct quarantine_row *rows;
    struct quarantine_add in = {.chunks = &d.chunks[0].id, .n_chunks = 1, .reason = REASON_MANUAL};
    assert_int_equal(hold(f, in, &rows), 1);
    put_text(f, "k", "another");
    assert_int_equal(entries(f, -1, ENTRY_OPEN, &rows), 0);
    assert_int_equal(put1(f, d, NULL).quarantined, 1);
    assert_int_equal(state_of(f, &d.chunks[0].id), CHUNK_QUARANTINED);
    assert_int_equal(entries(f, -1, ENTRY_OPEN, &rows), 1);
}

static void test_store_quarantine__hold_on_a_document_sticks_to_its_next_version(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    put_text(f, "k", "one|two");
    struct quarantine_row *rows, out;
    struct store_commit commit;
    struct quarantine_add in = {.document = STR_LIT("k"), .reason = REASON_MANUAL, .note = STR_LIT("under review")};
    assert_int_equal(hold(f, in, &rows), 2);
    struct put_result r = put_text(f, "k", "three|four|five");
    assert_int_equal(r.quarantined, 3);
    assert_int_equal(entries(f, REASON_MANUAL, ENTRY_OPEN, &rows), 3);
    assert_true(str_eqc(rows[0].note, "under review"));
    assert_non_null(strstr(str_cstr(f->arena, rows[0].evidence_json), "carried_from"));
    for (size_t i = 0; i < 3; i++)
        OK(store_quarantine_release(f->store, &f->call, rows[i].id, str_of("ok"), &out, &commit, &f->err));
    assert_int_equal(put_text(f, "k", "six").active, 1); /* released: nothing is carried on */
}

static void test_store_source_block__is_one_change_and_one_entry(void **state)
{
    FIXTURE;
    add_source(f, "s", "");
    struct document_put d = doc(f, "k", "s", "one|two");
    put1(f, d, NULL);
    struct source_row s;
    struct store_commit commit, again;
    struct quarantine_row *rows, out;
    OK(store_source_block(f->store, &f->call, f->collection.id, str_of("s"), true, str_of("licence"), &s, &commit,
                          &f->err));
    assert_false(s.active);
    assert_int_equal(commit.seq, 4);
    OK(store_source_block(f->store, &f->call, f->collection.id, str_of("s"), true, str_of("again"), &s, &again,
                          &f->err));
    assert_int_equal(again.seq, 0);
    assert_true(str_eqc(s.block_reason, "licence"));
    assert_int_equal(state_of(f, &d.chunks[0].id), CHUNK_ACTIVE);
    assert_int_equal(entries(f, REASON_SOURCE_BLOCKED, ENTRY_OPEN, &rows), 1);
    assert_string_equal(rows[0].target, "source");
    assert_int_equal(rows[0].chunks, 2);
    FAILS(store_quarantine_release(f->store, &f->call, rows[0].id, str_of("x"), &out, &commit, &f->err), ASSAY_CONFLICT,
          "source-blocked");

    struct quality_source_row *q;
    size_t n;
    OK(store_quality_sources(f->store, &f->call, f->collection.id, clock_now_us(), &q, &n, &f->err));
    assert_int_equal(n, 1);
    assert_int_equal(q[0].usable_chunks, 0);
    assert_int_equal(q[0].chunks[CHUNK_ACTIVE], 2);
    assert_int_equal(q[0].validated, 2);
    assert_int_equal(q[0].unique, 2);
    int64_t counts[REASON_COUNT];
    OK(store_quarantine_counts(f->store, &f->call, f->collection.id, counts, &f->err));
    assert_int_equal(counts[REASON_SOURCE_BLOCKED], 1);

    OK(store_source_block(f->store, &f->call, f->collection.id, str_of("s"), false, str_of("cleared"), &s, &commit,
                          &f->err));
    assert_true(s.active);
    assert_int_equal(entries(f, -1, ENTRY_OPEN, &rows), 0);
    struct vindex_change *log;
    n = follow(f, 100, &log);
    assert_true(log[n - 1].kind == VINDEX_SOURCE && log[n - 1].source_active);
    assert_true(log[n - 2].kind == VINDEX_SOURCE && !log[n - 2].source_active);
}

static struct document_put dated(struct fixture *f, const char *key, const char *text, int64_t modified_at_us)
{
    struct document_put d = doc(f, key, "s", text);
    d.has_modified_at = true;
    d.modified_at_us = modified_at_us;
    return d;
}

static void test_store_quarantine_sweep__records_what_went_stale(void **state)
{
    FIXTURE;
    add_source(f, "s", "P10D");
    int64_t now = clock_now_us(), deadline;
    struct document_put a = dated(f, "a", "one|two", now - 9 * CLOCK_DAY), b = dated(f, "b", "three", now - CLOCK_DAY);
    put1(f, a, NULL);
    put1(f, b, NULL);
    OK(store_next_deadline(f->store, &f->call, f->collection.id, &deadline, &f->err));
    assert_int_equal(deadline, a.modified_at_us + 10 * CLOCK_DAY);
    size_t documents, chunks;
    bool more;
    struct store_commit commit;
    int64_t later = now + 2 * CLOCK_DAY;
    OK(store_quarantine_sweep(f->store, &f->call, f->collection.id, later, 10, true, &documents, &chunks, &more,
                              &commit, &f->err));
    assert_true(documents == 1 && chunks == 2 && !more && commit.seq == 0);
    OK(store_quarantine_sweep(f->store, &f->call, f->collection.id, later, 10, false, &documents, &chunks, &more,
                              &commit, &f->err));
    assert_true(documents == 1 && chunks == 2 && commit.seq > 0);
    assert_int_equal(state_of(f, &a.chunks[0].id), CHUNK_QUARANTINED);
    OK(store_quarantine_sweep(f->store, &f->call, f->collection.id, later, 10, false, &documents, &chunks, &more,
                              &commit, &f->err));
    assert_true(documents == 0 && chunks == 0 && commit.seq == 0);
    OK(store_next_deadline(f->store, &f->call, f->collection.id, &deadline, &f->err));
    assert_int_equal(deadline, b.modified_at_us + 10 * CLOCK_DAY);
    OK(store_quarantine_sweep(f->store, &f->call, f->collection.id, now + 30 * CLOCK_DAY, 0, true, &documents, &chunks,
                              &more, &commit, &f->err));
    assert_true(more);
    a.modified_at_us = now; /* said to be newer: the entries go by themselves */
    assert_int_equal(put1(f, a, NULL).active, 2);
    struct quarantine_row *rows;
    assert_int_equal(entries(f, REASON_STALE, ENTRY_OPEN, &rows), 0);
    assert_int_equal(entries(f, REASON_STALE, ENTRY_RELEASED, &rows), 2);
    assert_true(str_eqc(rows[0].closed_by, "system:freshness"));
}

static void test_store_quarantine__stale_stays_until_it_is_fresh(void **state)
{
    FIXTURE;
    add_source(f, "s", "P10D");
    int64_t now = clock_now_us();
    struct document_put d = dated(f, "a", "one", now - 20 * CLOCK_DAY);
    assert_int_equal(put1(f, d, NULL).quarantined, 1);
    struct quarantine_row *rows, out;
    struct store_commit commit;
    struct source_row s;
    assert_int_equal(entries(f, REASON_STALE, ENTRY_OPEN, &rows), 1);
    FAILS(store_quarantine_release(f->store, &f->call, rows[0].id, str_of("x"), &out, &commit, &f->err), ASSAY_CONFLICT,
          "still-stale");
    struct source_patch patch = {
        .has_max_age = true, .max_age = STR_LIT("P30D"), .max_age_us = 30 * CLOCK_DAY, .if_revision = 7};
    FAILS(store_source_patch(f->store, &f->call, f->collection.id, str_of("s"), &patch, &s, &commit, &f->err),
          ASSAY_PRECONDITION, "precondition-failed");
    patch.if_revision = 1;
    OK(store_source_patch(f->store, &f->call, f->collection.id, str_of("s"), &patch, &s, &commit, &f->err));
    assert_int_equal(s.revision, 2);
    assert_int_equal(state_of(f, &d.chunks[0].id), CHUNK_ACTIVE);
    int64_t deadline;
    OK(store_next_deadline(f->store, &f->call, f->collection.id, &deadline, &f->err));
    assert_int_equal(deadline, d.modified_at_us + 30 * CLOCK_DAY);
    patch = (struct source_patch){.has_max_age = true, .max_age = STR_LIT(""), .max_age_us = CLOCK_NEVER};
    OK(store_source_patch(f->store, &f->call, f->collection.id, str_of("s"), &patch, &s, &commit, &f->err));
    OK(store_next_deadline(f->store, &f->call, f->collection.id, &deadline, &f->err));
    assert_int_equal(deadline, CLOCK_NEVER);
    OK(store_source_get(f->store, &f->call, f->collection.id, str_of("s"), &s, &f->err));
    assert_true(s.documents == 1 && s.chunks == 1 && s.active_chunks == 1);
}

static void test_store_quarantine__other_hold_released_while_stale_does_not_serve(void **state)
{
    FIXTURE;
    add_source(f, "s", "P10D");
    int64_t now = clock_now_us();
    struct document_put d = dated(f, "a", "one", now);
    put1(f, d, NULL);
    struct quarantine_row *rows, out;
    struct store_commit commit;
    size_t documents, chunks;
    bool more;
    struct quarantine_add in = {.document = STR_LIT("a"), .reason = REASON_MANUAL};
    assert_int_equal(hold(f, in, &rows), 1);
    OK(store_quarantine_sweep(f->store, &f->call, f->collection.id, now + 11 * CLOCK_DAY, 10, false, &documents,
                              &chunks, &more, &commit, &f->err));
    assert_int_equal(chunks, 1);
    OK(store_quarantine_release(f->store, &f->call, rows[0].id, str_of(""), &out, &commit, &f->err));
    assert_int_equal(state_of(f, &d.chunks[0].id), CHUNK_QUARANTINED);
}

static void test_store_quarantine__duplicate_freed_from_staleness_is_promoted_when_its_original_left(void **state)
{
    FIXTURE;
    add_source(f, "s", "P10D");
    int64_t now = clock_now_us();
    put1(f, dated(f, "a", "same", now), NULL);
    struct document_put d = dated(f, "b", "same", now - 20 * CLOCK_DAY);
    put1(f, d, NULL); /* a duplicate and stale */
    put1(f, dated(f, "a", "other", now), NULL);
    assert_int_equal(state_of(f, &d.chunks[0].id), CHUNK_QUARANTINED);
    d.modified_at_us = now;
    assert_int_equal(put1(f, d, NULL).active, 1);
    struct quarantine_row *rows;
    assert_int_equal(entries(f, -1, ENTRY_OPEN, &rows), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_quarantine_add__holds_chunks_once_for_each_reason),
        cmocka_unit_test(test_store_quarantine_add__unknown_target_does_nothing),
        cmocka_unit_test(test_store_quarantine_retire__stays_when_the_version_comes_back),
        cmocka_unit_test(test_store_quarantine__hold_sleeps_with_its_version_and_wakes_with_it),
        cmocka_unit_test(test_store_quarantine__hold_on_a_document_sticks_to_its_next_version),
        cmocka_unit_test(test_store_source_block__is_one_change_and_one_entry),
        cmocka_unit_test(test_store_quarantine_sweep__records_what_went_stale),
        cmocka_unit_test(test_store_quarantine__stale_stays_until_it_is_fresh),
        cmocka_unit_test(test_store_quarantine__other_hold_released_while_stale_does_not_serve),
        cmocka_unit_test(test_store_quarantine__duplicate_freed_from_staleness_is_promoted_when_its_original_left),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
