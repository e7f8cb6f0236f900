/*
 * What the tests of the store share: a database of their own in the PostgreSQL that ASSAY_TEST_DATABASE_URL names (each
 * test is skipped without it), and short ways to write documents.
 */
#ifndef ASSAY_TESTS_STORE_FIXTURE_H
#define ASSAY_TESTS_STORE_FIXTURE_H

#include <libpq-fe.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/changes.h"
#include "store/collections.h"
#include "store/documents.h"
#include "store/lineage.h"
#include "store/quarantine.h"
#include "store/sources.h"
#include "store/store.h"
#include "store/tx.h"

#define UNUSED_OK __attribute__((unused))

struct fixture {
    char url[1024];  /* of the test's database */
    char base[1024]; /* as given */
    char db[64];
    struct store *store;
    struct arena *arena;
    struct call call;
    struct err err;
    struct collection_row collection;
    int serial;
    size_t written; /* how many changes the last put told of */
};

#define OK(expr)                                                                                                       \
    do {                                                                                                               \
        enum assay_code ok_code_ = (expr);                                                                             \
        if (ok_code_ != ASSAY_OK)                                                                                      \
            print_error("%s: %s %s (%s:%d)\n", #expr, err_slug(&f->err), f->err.detail, f->err.file, f->err.line);     \
        assert_int_equal(ok_code_, ASSAY_OK);                                                                          \
    } while (0)
#define FAILS(expr, want_code, want_slug)                                                                              \
    do {                                                                                                               \
        assert_int_equal((expr), (want_code));                                                                         \
        assert_string_equal(err_slug(&f->err), (want_slug));                                                           \
        err_clear(&f->err);                                                                                            \
    } while (0)

/* The connection string with another database. */
UNUSED_OK static void with_database(const char *url, const char *db, char *out, size_t size)
{
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &message);
    assert_non_null(options);
    size_t at = (size_t)snprintf(out, size, "dbname='%s'", db);
    for (PQconninfoOption *o = options; o->keyword; o++)
        if (o->val && strcmp(o->keyword, "dbname") != 0)
            at += (size_t)snprintf(out + at, size - at, " %s='%s'", o->keyword, o->val);
    assert_true(at < size);
    PQconninfoFree(options);
    PQfreemem(message);
}

/* Runs SQL beside the store; returns the first value as a number, 0 when there is none. */
UNUSED_OK static long sql(const char *url, const char *text)
{
    PGconn *c = PQconnectdb(url);
    assert_int_equal(PQstatus(c), CONNECTION_OK);
    PGresult *r = PQexec(c, text);
    ExecStatusType st = PQresultStatus(r);
    if (st != PGRES_TUPLES_OK && st != PGRES_COMMAND_OK)
        print_error("%s: %s\n", text, PQerrorMessage(c));
    assert_true(st == PGRES_TUPLES_OK || st == PGRES_COMMAND_OK);
    long v = st == PGRES_TUPLES_OK && PQntuples(r) > 0 ? strtol(PQgetvalue(r, 0, 0), NULL, 10) : 0;
    PQclear(r);
    PQfinish(c);
    return v;
}

UNUSED_OK static struct store *open_store(const char *url, int pool_size, const char *migrations)
{
    struct err err = {0};
    struct store *s = NULL;
    struct store_config cfg = {.url = url,
                               .pool_size = pool_size,
                               .connect_timeout_s = 5,
                               .statement_timeout_ms = 20000,
                               .migrations_dir = migrations};
    assert_int_equal(store_open(&cfg, &s, &err), ASSAY_OK);
    return s;
}

UNUSED_OK static const char *migrations_dir(void)
{
    const char *dir = getenv("ASSAY_MIGRATIONS_DIR");
    return dir ? dir : "migrations";
}

UNUSED_OK static struct call call_of(struct arena *a)
{
    return (struct call){
        .arena = a, .deadline_us = clock_mono_us() + 20 * CLOCK_SECOND, .request_id = "test", .actor = "key:tester"};
}

UNUSED_OK static int fixture_open(void **state)
{
    const char *base = getenv("ASSAY_TEST_DATABASE_URL");
    *state = NULL;
    if (!base || !*base)
        return 0;
    struct fixture *f = calloc(1, sizeof *f);
    char uuid[UUID_TEXT + 1], text[128];
    log_init(LOG_ERROR, false);
    uuid_new(uuid);
    (void)snprintf(f->base, sizeof f->base, "%s", base);
    (void)snprintf(f->db, sizeof f->db, "assay_%.8s_%.4s", uuid + 24, uuid + 19);
    (void)snprintf(text, sizeof text, "CREATE DATABASE %s", f->db);
    (void)sql(base, text);
    with_database(base, f->db, f->url, sizeof f->url);
    f->store = open_store(f->url, 4, migrations_dir());
    f->arena = arena_new(65536);
    f->call = call_of(f->arena);
    int applied;
    if (store_migrate(f->store, &f->call, &applied, &f->err) != ASSAY_OK) {
        print_error("%s\n", f->err.detail);
        return -1;
    }
    *state = f;
    return 0;
}

UNUSED_OK static int fixture_close(void **state)
{
    struct fixture *f = *state;
    if (!f)
        return 0;
    char text[128];
    err_clear(&f->err);
    arena_free(f->arena);
    store_close(f->store);
    (void)snprintf(text, sizeof text, "DROP DATABASE %s WITH (FORCE)", f->db);
    (void)sql(f->base, text);
    free(f);
    return 0;
}

/* Every test starts with this. */
#define FIXTURE                                                                                                        \
    struct fixture *f = *state;                                                                                        \
    if (!f) {                                                                                                          \
        print_message("ASSAY_TEST_DATABASE_URL is not set: skipped\n");                                                \
        skip();                                                                                                        \
        return;                                                                                                        \
    }                                                                                                                  \
    fixture_renew(f)

/* A collection of its own for each test. */
UNUSED_OK static void fixture_renew(struct fixture *f)
{
    struct collection_new in = {.embedder_json = STR_LIT("{\"dim\":4,\"kind\":\"builtin\"}"),
                                .policy_json = STR_LIT("{}"),
                                .pipeline_json = STR_LIT("{\"operators\":[]}")};
    f->call = call_of(f->arena);
    err_clear(&f->err);
    digest_sha256("pipeline", 8, &in.pipeline);
    in.name = str_of(arena_printf(f->arena, "c%d", ++f->serial));
    OK(store_collection_create(f->store, &f->call, &in, &f->collection, &f->err));
}

UNUSED_OK static void add_source(struct fixture *f, const char *name, const char *max_age)
{
    struct source_new in = {.name = str_of(name),
                            .owner = STR_LIT("docs"),
                            .contact = STR_LIT(""),
                            .licence = STR_LIT("PostgreSQL"),
                            .description = STR_LIT(""),
                            .max_age = str_of(max_age),
                            .max_age_us = CLOCK_NEVER,
                            .trust = 1};
    struct source_row out;
    struct store_commit commit;
    if (*max_age)
        assert_true(clock_parse_duration(in.max_age, &in.max_age_us));
    OK(store_source_create(f->store, &f->call, f->collection.id, &in, &out, &commit, &f->err));
    assert_int_equal(commit.seq > 0, 1);
}

/* A document whose chunks are the parts of `text` between '|'. A part that starts with '!' failed a check. */
UNUSED_OK static struct document_put doc(struct fixture *f, const char *key, const char *source, const char *text)
{
    struct document_put d = {.key = str_of(key),
                             .uri = str_of("https://example.org/"),
                             .title = str_of(key),
                             .canonical = str_of(text),
                             .media_type = STR_LIT("text/plain"),
                             .language = STR_LIT("en"),
                             .metadata_json = STR_LIT("{\"a\":1,\"b\":\"x\"}"),
                             .source = str_of(source),
                             .bytes = strlen(text)};
    char *id = arena_printf(f->arena, "%s %s", key, text);
    digest_sha256(id, strlen(id), &d.version);
    digest_sha256(text, strlen(text), &d.bytes_hash);
    d.request_hash = d.version;
    d.chunks = ARENA_ARRAY(f->arena, struct chunk_put, strlen(text) + 1);
    for (size_t from = 0; from < strlen(text);) {
        size_t n = strcspn(text + from, "|");
        struct chunk_put *c = &d.chunks[d.n_chunks++];
        char *cid = arena_printf(f->arena, "%s %zu", id, from);
        digest_sha256(cid, strlen(cid), &c->id);
        c->text = (struct str){text + from, n};
        digest_sha256(c->text.ptr, n, &c->text_hash);
        c->embed_hash = c->text_hash;
        c->from = from;
        c->to = from + n;
        c->tokens = n;
        c->quality = 0.5;
        c->failed = text[from] == '!';
        struct check_put *checks = ARENA_ARRAY(f->arena, struct check_put, 2);
        checks[0] = (struct check_put){.check = STR_LIT("not_empty")};
        checks[1] = (struct check_put){.check = STR_LIT("length"),
                                       .outcome = c->failed ? 2 : 0,
                                       .expected = STR_LIT("3..9 tokens"),
                                       .actual = STR_LIT("1 token"),
                                       .from = c->from,
                                       .to = c->to};
        c->checks = checks;
        c->n_checks = 2;
        from += n + 1;
    }
    return d;
}

/* Present, absent and equal alike: an index tells an empty string from an absent one. */
UNUSED_OK static void assert_same_str(struct str a, struct str b)
{
    assert_int_equal(a.ptr == NULL, b.ptr == NULL);
    assert_true(str_eq(a, b));
}

UNUSED_OK static void assert_same_change(const struct vindex_change *a, const struct vindex_change *b)
{
    const struct str as[] = {a->key,        a->uri,      a->title, a->text,  a->heading,    a->metadata_json,
                             a->media_type, a->language, a->run,   a->group, a->source_name};
    const struct str bs[] = {b->key,        b->uri,      b->title, b->text,  b->heading,    b->metadata_json,
                             b->media_type, b->language, b->run,   b->group, b->source_name};
    const struct vindex_change *both[] = {a, b};
    int64_t numbers[2][13];
    for (size_t i = 0; i < 2; i++) {
        const struct vindex_change *c = both[i];
        const int64_t all[13] = {c->seq,
                                 c->kind,
                                 c->state,
                                 c->chunk,
                                 c->document,
                                 c->source,
                                 (int64_t)c->from,
                                 (int64_t)c->to,
                                 c->page,
                                 c->has_acl ? (int64_t)c->acl.n : -1,
                                 c->modified_at_us,
                                 c->source_active,
                                 c->max_age_us};
        memcpy(numbers[i], all, sizeof all);
    }
    assert_memory_equal(numbers[0], numbers[1], sizeof numbers[0]);
    for (size_t i = 0; i < sizeof as / sizeof *as; i++)
        assert_same_str(as[i], bs[i]);
    for (size_t i = 0; a->has_acl && i < a->acl.n; i++)
        assert_same_str(a->acl.items[i], b->acl.items[i]);
    assert_true(digest_eq(&a->chunk_id, &b->chunk_id) && digest_eq(&a->version, &b->version));
    assert_true(digest_eq(&a->pipeline, &b->pipeline) && a->quality == b->quality);
    assert_int_equal(a->embedding == NULL, b->embedding == NULL);
    if (a->embedding)
        assert_memory_equal(a->embedding, b->embedding, 4 * sizeof *a->embedding);
}

/* What a put says it wrote is what the log says. */
UNUSED_OK static void check_written(struct fixture *f, const struct documents_written *w)
{
    struct changes_read read;
    const struct change_vectors vectors = {.embedder = w->embedder, .dim = 4};
    if (w->n == 0)
        return;
    OK(store_changes_read(f->store, &f->call, f->collection.id, w->from, w->n, &vectors, &read, &f->err));
    const struct vindex_change *log = read.changes;
    assert_int_equal(read.n, w->n);
    assert_int_equal(read.upto, w->upto);
    assert_true(digest_eq(&read.commit, &w->commit));
    for (size_t i = 0; i < w->n; i++)
        assert_same_change(&w->changes[i], &log[i]);
}

UNUSED_OK static enum assay_code put_docs(struct fixture *f, struct document_put *docs, size_t n,
                                          struct put_result *results, struct store_commit *commit)
{
    char run[UUID_TEXT + 1];
    struct documents_written written = {0};
    struct documents_put in = {.collection = f->collection.id,
                               .pipeline = f->collection.pipeline,
                               .dim = 4,
                               .run = run,
                               .check_duplicates = true,
                               .docs = docs,
                               .n = n,
                               .written = &written};
    uuid_new(run);
    digest_sha256("embedder", 8, &in.embedder);
    TRY(store_run_start(f->store, &f->call, f->collection.id, run, RUN_INGEST, &f->collection.pipeline, &f->err));
    TRY(store_documents_put(f->store, &f->call, &in, results, commit, &f->err));
    check_written(f, &written);
    f->written = written.n;
    return store_run_finish(f->store, &f->call, f->collection.id, run, true, STR_LIT("{\"documents\":1}"), &f->err);
}

UNUSED_OK static struct put_result put1(struct fixture *f, struct document_put d, struct store_commit *commit)
{
    struct put_result r = {0};
    struct store_commit mine;
    OK(put_docs(f, &d, 1, &r, commit ? commit : &mine));
    return r;
}

UNUSED_OK static struct put_result put_text(struct fixture *f, const char *key, const char *text)
{
    return put1(f, doc(f, key, "s", text), NULL);
}

UNUSED_OK static enum chunk_state state_of(struct fixture *f, const struct digest *chunk)
{
    struct chunk_row row;
    OK(store_chunk_get(f->store, &f->call, f->collection.id, chunk, &row, &f->err));
    return row.state;
}

/* Open entries of a reason (-1: any), newest first. */
UNUSED_OK static size_t entries(struct fixture *f, int reason, int state, struct quarantine_row **out)
{
    struct quarantine_query q = {
        .collection = f->collection.id, .reason = reason, .state = state, .before = INT64_MAX, .limit = 100};
    size_t n;
    OK(store_quarantine_list(f->store, &f->call, &q, out, &n, &f->err));
    return n;
}

UNUSED_OK static int64_t time_of(const char *text)
{
    int64_t us = 0;
    assert_true(clock_parse(str_of(text), &us));
    return us;
}

/* Follows the change log from the start, at most `limit` at a time; the last of it per chunk. Returns the number read.
 */
UNUSED_OK static size_t follow(struct fixture *f, size_t limit, struct vindex_change **all)
{
    size_t n = 0;
    int64_t after = 0;
    *all = ARENA_ARRAY(f->arena, struct vindex_change, 10000);
    for (;;) {
        struct changes_read read;
        struct change_vectors vectors = {.dim = 4};
        digest_sha256("embedder", 8, &vectors.embedder); /* what `put` says */
        OK(store_changes_read(f->store, &f->call, f->collection.id, after, limit, &vectors, &read, &f->err));
        if (read.upto == after)
            return n;
        assert_int_equal(read.upto, after + (int64_t)read.n);
        for (size_t i = 0; i < read.n; i++) {
            assert_int_equal(read.changes[i].seq, after + (int64_t)i + 1);
            (*all)[n++] = read.changes[i];
        }
        after = read.upto;
    }
}

#endif
