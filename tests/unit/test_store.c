/* The store's ground: migrations, statements, the pool, retries; and its smaller tables. */
#include <pthread.h>

#include "store/jobs.h"
#include "store/keys.h"
#include "tests/unit/test_store_fixture.h"

static void test_store_migrate__again_changes_nothing(void **state)
{
    FIXTURE;
    int applied = -1;
    OK(store_migrate(f->store, &f->call, &applied, &f->err));
    assert_int_equal(applied, 0);
    assert_true(sql(f->url, "SELECT count(*) FROM schema_migrations") >= 1);
}

static void test_store_migrate__refuses_a_changed_or_newer_schema(void **state)
{
    FIXTURE;
    int applied;
    (void)sql(f->url, "UPDATE schema_migrations SET sha256 = decode(repeat('00', 32), 'hex') WHERE version = 1");
    FAILS(store_migrate(f->store, &f->call, &applied, &f->err), ASSAY_CONFLICT, "migration-changed");
    OK(store_ping(f->store, &f->call, &f->err));
    (void)sql(f->url, "DELETE FROM schema_migrations");
    /* As if it were new: the tables are there, so applying fails, as a whole, and the lock is free again. */
    assert_int_not_equal(store_migrate(f->store, &f->call, &applied, &f->err), ASSAY_OK);
    assert_int_equal(sql(f->url, "SELECT count(*) FROM schema_migrations"), 0);
    assert_int_equal(sql(f->url, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), 0);
    (void)sql(f->url, "INSERT INTO schema_migrations SELECT n, 'x', '', now() FROM generate_series(1, 9999) n");
    FAILS(store_migrate(f->store, &f->call, &applied, &f->err), ASSAY_CONFLICT, "schema-newer");
}

static void test_store_migrate__every_table_and_column_has_a_comment(void **state)
{
    FIXTURE;
    assert_int_equal(sql(f->url, "SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
                                 " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0"
                                 " AND NOT a.attisdropped AND (col_description(c.oid, a.attnum) IS NULL"
                                 " OR obj_description(c.oid, 'pg_class') IS NULL)"),
                     0);
}

static void test_store_statements__all_prepare_under_names_of_their_own(void **state)
{
    FIXTURE;
    int count = 0, n = 0;
    OK(store_prepare_all(f->store, &f->call, &count, &f->err));
    const char *names[512];
    for (const struct store_stmt *const *const *list = store_stmt_lists; *list; list++) {
        for (const struct store_stmt *const *stmt = *list; *stmt; stmt++) {
            for (int i = 0; i < n; i++)
                assert_string_not_equal(names[i], (*stmt)->name);
            names[n++] = (*stmt)->name;
        }
    }
    assert_int_equal(n, count);
    assert_true(n > 80);
}

static void test_store_pool__reconnects_after_backends_are_terminated(void **state)
{
    FIXTURE;
    struct store_pool_stats before, after;
    OK(store_ping(f->store, &f->call, &f->err));
    store_pool_stats(f->store, &before);
    (void)sql(f->base, arena_printf(f->arena,
                                    "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
                                    " WHERE datname = '%s'",
                                    f->db));
    OK(store_ping(f->store, &f->call, &f->err)); /* the dead connection is noticed before it is used */
    store_pool_stats(f->store, &after);
    assert_true(after.reconnects > before.reconnects);
    assert_true(after.available);
    assert_int_equal(after.in_use, 0);
}

static void test_store_pool__fails_fast_when_postgresql_is_away(void **state)
{
    FIXTURE;
    struct store *away = open_store("host=/nonexistent dbname=x", 2, "");
    FAILS(store_ping(away, &f->call, &f->err), ASSAY_UNAVAILABLE, "database-away");
    int64_t start = clock_mono_us();
    for (int i = 0; i < 1000; i++)
        FAILS(store_ping(away, &f->call, &f->err), ASSAY_UNAVAILABLE, "database-away");
    assert_true(clock_mono_us() - start < CLOCK_SECOND);
    struct store_pool_stats stats;
    store_pool_stats(away, &stats);
    assert_true(stats.failures < 20); /* the circuit was open for most of them */
    assert_false(stats.available);
    store_close(away);
}

static enum assay_code sleep_body(struct tx *tx, void *ctx, struct err *err)
{
    static const struct store_stmt nap = {"test_nap", "SELECT pg_sleep(0.4)", 0};
    (void)ctx;
    return tx_exec(tx, &nap, NULL, NULL, err);
}

static void *hold_connection(void *arg)
{
    struct fixture *f = arg;
    struct arena *a = arena_new(1024);
    struct call call = call_of(a);
    struct err err = {0};
    enum assay_code code = store_with(f->store, &call, "nap", sleep_body, NULL, &err);
    err_clear(&err);
    arena_free(a);
    return code == ASSAY_OK ? NULL : f;
}

static void test_store_pool__waits_for_a_connection_until_the_deadline(void **state)
{
    FIXTURE;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hold_connection, f), 0);
    struct store_pool_stats stats;
    do {
        (void)usleep(1000);
        store_pool_stats(f->store, &stats);
    } while (stats.in_use < 4);
    f->call.deadline_us = clock_mono_us() + 20000;
    FAILS(store_ping(f->store, &f->call, &f->err), ASSAY_UNAVAILABLE, "database-busy");
    f->call.deadline_us = clock_mono_us() + 10 * CLOCK_SECOND;
    OK(store_ping(f->store, &f->call, &f->err));
    for (int i = 0; i < 4; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

struct forced {
    const struct store_stmt *raise;
    int runs, fail_times;
    size_t reserved;
};

static enum assay_code forced_body(struct tx *tx, void *ctx, struct err *err)
{
    struct forced *w = ctx;
    assert_non_null(arena_calloc(tx_arena(tx), 1, 1 << 20));
    if (w->runs == 0)
        w->reserved = arena_reserved(tx_arena(tx));
    assert_true(arena_reserved(tx_arena(tx)) <= w->reserved); /* what the last attempt took was given back */
    return ++w->runs <= w->fail_times ? tx_exec(tx, w->raise, NULL, NULL, err) : ASSAY_OK;
}

static const struct store_stmt raise_serialization = {"test_raise_1", "SELECT public.assay_raise('40001')", 0};
static const struct store_stmt raise_deadlock = {"test_raise_2", "SELECT public.assay_raise('40P01')", 0};

static void test_store_transact__retries_conflicts_and_gives_up(void **state)
{
    FIXTURE;
    (void)sql(f->url, "CREATE OR REPLACE FUNCTION public.assay_raise(s text) RETURNS void LANGUAGE plpgsql AS"
                      " $$BEGIN RAISE EXCEPTION USING ERRCODE = s; END$$");
    struct store_pool_stats before, after;
    store_pool_stats(f->store, &before);
    struct forced w = {.raise = &raise_serialization, .fail_times = 2};
    OK(store_transact(f->store, &f->call, "test", forced_body, &w, &f->err));
    assert_int_equal(w.runs, 3);
    w = (struct forced){.raise = &raise_deadlock, .fail_times = 1};
    OK(store_transact(f->store, &f->call, "test", forced_body, &w, &f->err));
    assert_int_equal(w.runs, 2);
    w = (struct forced){.raise = &raise_serialization, .fail_times = 99};
    FAILS(store_transact(f->store, &f->call, "test", forced_body, &w, &f->err), ASSAY_UNAVAILABLE, "contention");
    assert_int_equal(w.runs, STORE_ATTEMPTS);
    store_pool_stats(f->store, &after);
    assert_int_equal(after.conflicts - before.conflicts, 3 + STORE_ATTEMPTS);
    assert_int_equal(after.in_use, 0);
}

/* Takes away its own backend at the moment of COMMIT, through a deferred constraint trigger. */
static enum assay_code die_body(struct tx *tx, void *ctx, struct err *err)
{
    static const struct store_stmt insert = {"test_doom", "INSERT INTO test_doom VALUES (1)", 0};
    int *runs = ctx;
    ++*runs;
    return tx_exec(tx, &insert, NULL, NULL, err);
}

static void test_store_transact__lost_during_commit_is_unknown_and_not_retried(void **state)
{
    FIXTURE;
    (void)sql(f->url,
              "CREATE TABLE test_doom (a integer);"
              "CREATE FUNCTION test_die() RETURNS trigger LANGUAGE plpgsql AS"
              " $$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END$$;"
              "CREATE CONSTRAINT TRIGGER test_doomed AFTER INSERT ON test_doom DEFERRABLE INITIALLY DEFERRED"
              " FOR EACH ROW EXECUTE FUNCTION test_die()");
    int runs = 0;
    FAILS(store_transact(f->store, &f->call, "test", die_body, &runs, &f->err), ASSAY_UNAVAILABLE, "commit-unknown");
    assert_int_equal(runs, 1);
    (void)sql(f->url, "DROP TABLE test_doom");
    OK(store_ping(f->store, &f->call, &f->err));
}

static void test_store_collections__names_are_unique_and_listed_in_order(void **state)
{
    FIXTURE;
    struct collection_new in = {.name = f->collection.name,
                                .embedder_json = STR_LIT("{}"),
                                .policy_json = STR_LIT("{}"),
                                .pipeline = f->collection.pipeline,
                                .pipeline_json = STR_LIT("{\"operators\":[]}")};
    struct collection_row out, *rows;
    struct pipeline_row p, *ps;
    size_t n;
    FAILS(store_collection_create(f->store, &f->call, &in, &out, &f->err), ASSAY_CONFLICT, "collection-exists");
    FAILS(store_collection_get(f->store, &f->call, str_of("nope"), &out, &f->err), ASSAY_NOT_FOUND,
          "unknown-collection");
    OK(store_collection_list(f->store, &f->call, str_of(""), 1, &rows, &n, &f->err));
    assert_int_equal(n, 1);
    OK(store_collection_list(f->store, &f->call, rows[0].name, 100, &rows, &n, &f->err));
    assert_true(n >= 1);
    OK(store_pipeline_get(f->store, &f->call, &in.pipeline, &p, &f->err));
    assert_true(str_eqc(p.json, "{\"operators\":[]}"));
    OK(store_pipeline_list(f->store, &f->call, NULL, 10, &ps, &n, &f->err));
    assert_int_equal(n, 1);
    OK(store_pipeline_list(f->store, &f->call, &ps[0].id, 10, &ps, &n, &f->err));
    assert_int_equal(n, 0);
    add_source(f, "s", "");
    struct source_new s = {.name = STR_LIT("s"), .max_age_us = CLOCK_NEVER};
    struct source_row row;
    struct store_commit commit;
    FAILS(store_source_create(f->store, &f->call, f->collection.id, &s, &row, &commit, &f->err), ASSAY_CONFLICT,
          "source-exists");
}

static void test_store_keys__live_until_deleted_or_expired(void **state)
{
    FIXTURE;
    char id[UUID_TEXT + 1], other[UUID_TEXT + 1];
    struct str groups[] = {STR_LIT("group:a")};
    uuid_new(id);
    uuid_new(other);
    struct key_row k = {.id = str_of(id),
                        .name = STR_LIT("app"),
                        .scopes = SCOPE_READ | SCOPE_STEWARD,
                        .groups = {groups, 1},
                        .created_at_us = clock_now_us(),
                        .expires_at_us = CLOCK_NEVER};
    struct key_row *rows;
    size_t n;
    digest_sha256("secret", 6, &k.hash);
    OK(store_key_create(f->store, &f->call, &k, &f->err));
    OK(store_keys_all(f->store, &f->call, &rows, &n, &f->err));
    assert_int_equal(n, 1);
    assert_true(digest_eq(&rows[0].hash, &k.hash) && rows[0].scopes == k.scopes && rows[0].groups.n == 1);
    struct key_row twin = k;
    twin.id = str_of(other);
    digest_sha256("secret2", 7, &twin.hash);
    FAILS(store_key_create(f->store, &f->call, &twin, &f->err), ASSAY_CONFLICT, "key-exists");
    OK(store_key_delete(f->store, &f->call, str_of(id), &f->err));
    FAILS(store_key_delete(f->store, &f->call, str_of(id), &f->err), ASSAY_NOT_FOUND, "unknown-key");
    twin.expires_at_us = clock_now_us() - 1;
    OK(store_key_create(f->store, &f->call, &twin, &f->err));
    OK(store_keys_all(f->store, &f->call, &rows, &n, &f->err));
    assert_int_equal(n, 0);
    OK(store_audit(f->store, &f->call, 0, "test.done", str_of("x"), str_of(""), &f->err));
    assert_int_equal(sql(f->url, "SELECT count(*) FROM audit WHERE collection_id = 0"), 4);
}

static void test_store_idempotency__replays_refuses_and_forgets(void **state)
{
    FIXTURE;
    struct digest print, another;
    struct idempotency_row row;
    struct str key = STR_LIT("k"), route = STR_LIT("POST /x"), idem = STR_LIT("one");
    digest_sha256("a", 1, &print);
    digest_sha256("b", 1, &another);
#define BEGIN(p) OK(store_idempotency_begin(f->store, &f->call, key, route, idem, (p), &row, &f->err))
    BEGIN(&print);
    assert_int_equal(row.state, IDEM_NEW);
    BEGIN(&print);
    assert_int_equal(row.state, IDEM_RUNNING);
    OK(store_idempotency_end(f->store, &f->call, key, route, idem, 0, str_of(""), str_of(""), &f->err));
    BEGIN(&print);
    assert_int_equal(row.state, IDEM_NEW);
    OK(store_idempotency_end(f->store, &f->call, key, route, idem, 201, str_of("application/json"), str_of("{}"),
                             &f->err));
    BEGIN(&print);
    assert_true(row.state == IDEM_DONE && row.status == 201 && str_eqc(row.body, "{}"));
    BEGIN(&another);
    assert_int_equal(row.state, IDEM_OTHER_PAYLOAD);
    (void)sql(f->url, "UPDATE idempotency SET created_at = now() - interval '25 hours'");
    BEGIN(&another);
    assert_int_equal(row.state, IDEM_NEW);
#undef BEGIN
}

static void test_store_jobs__progress_never_goes_back(void **state)
{
    FIXTURE;
    char id[UUID_TEXT + 1];
    uuid_new(id);
    struct job_row j = {.id = str_of(id),
                        .kind = STR_LIT("ingest"),
                        .collection = f->collection.id,
                        .params_json = STR_LIT("{\"a\":1}")},
                   out, *rows;
    size_t n;
    OK(store_job_create(f->store, &f->call, &j, &f->err));
    j.state = JOB_RUNNING;
    j.done = 10;
    OK(store_job_update(f->store, &f->call, &j, &f->err));
    j.done = 4;
    OK(store_job_update(f->store, &f->call, &j, &f->err));
    OK(store_job_get(f->store, &f->call, j.id, &out, &f->err));
    assert_true(out.done == 10 && out.state == JOB_RUNNING && str_eqc(out.params_json, "{\"a\":1}"));
    OK(store_jobs_unfinished(f->store, &f->call, &rows, &n, &f->err));
    assert_int_equal(n, 1);
    j.state = JOB_SUCCEEDED;
    OK(store_job_update(f->store, &f->call, &j, &f->err));
    j.state = JOB_RUNNING;
    OK(store_job_update(f->store, &f->call, &j, &f->err));
    OK(store_job_get(f->store, &f->call, j.id, &out, &f->err));
    assert_int_equal(out.state, JOB_SUCCEEDED);
    OK(store_jobs_unfinished(f->store, &f->call, &rows, &n, &f->err));
    assert_int_equal(n, 0);
    FAILS(store_job_get(f->store, &f->call, str_of("x"), &out, &f->err), ASSAY_NOT_FOUND, "unknown-job");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_migrate__again_changes_nothing),
        cmocka_unit_test(test_store_migrate__every_table_and_column_has_a_comment),
        cmocka_unit_test(test_store_statements__all_prepare_under_names_of_their_own),
        cmocka_unit_test(test_store_pool__reconnects_after_backends_are_terminated),
        cmocka_unit_test(test_store_pool__fails_fast_when_postgresql_is_away),
        cmocka_unit_test(test_store_pool__waits_for_a_connection_until_the_deadline),
        cmocka_unit_test(test_store_transact__retries_conflicts_and_gives_up),
        cmocka_unit_test(test_store_transact__lost_during_commit_is_unknown_and_not_retried),
        cmocka_unit_test(test_store_collections__names_are_unique_and_listed_in_order),
        cmocka_unit_test(test_store_keys__live_until_deleted_or_expired),
        cmocka_unit_test(test_store_idempotency__replays_refuses_and_forgets),
        cmocka_unit_test(test_store_jobs__progress_never_goes_back),
        cmocka_unit_test(test_store_migrate__refuses_a_changed_or_newer_schema), /* last: it breaks the database */
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
