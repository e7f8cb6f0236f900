#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "handlers/openlineage.h"
#include "server/gunzip.h"

#define HEAD "\"eventTime\":\"2026-03-01T12:00:00.5+01:00\",\"producer\":\"https://github.com/OpenLineage/OpenLineage\""
#define SCHEMA "\"schemaURL\":\"https://openlineage.io/spec/2-0-2/OpenLineage.json\""
#define RUN "\"run\":{\"runId\":\"0190b8a2-1111-7222-8333-444455556666\",\"facets\":{}}"
#define JOB "\"job\":{\"namespace\":\"etl\",\"name\":\"load\"}"

struct tried {
    struct arena *arena;
    struct lineage_event event;
    struct err err;
    enum assay_code code;
};

static struct tried try_event(const char *text)
{
    struct tried t = {.arena = arena_new(4096)};
    json_t *tree = NULL;
    t.code = json_parse(t.arena, str_of(text), &tree, &t.err);
    assert_int_equal(t.code, ASSAY_OK);
    t.code = openlineage_read(t.arena, tree, &t.event, &t.err);
    return t;
}

static void done(struct tried *t)
{
    err_clear(&t->err);
    arena_free(t->arena);
}

static void test_openlineage_read__takes_a_run_event(void **state)
{
    (void)state;
    struct tried t =
        try_event("{" HEAD "," SCHEMA "," RUN "," JOB ",\"eventType\":\"COMPLETE\",\"inputs\":[{\"namespace\":"
                  "\"postgres://h:5432\",\"name\":\"db.s.t\"}],\"outputs\":[{\"namespace\":\"s3://b\",\"name\":\"k\","
                  "\"facets\":{\"x\":{\"_producer\":\"p\"}}}]}");
    assert_int_equal(t.code, ASSAY_OK);
    assert_true(str_eqc(t.event.event_type, "COMPLETE"));
    assert_true(t.event.event_time_us == INT64_C(1772362800500000)); /* 11:00:00.5 UTC */
    assert_true(str_eqc(t.event.run_id, "0190b8a2-1111-7222-8333-444455556666"));
    assert_true(str_eqc(t.event.job_ns, "etl") && str_eqc(t.event.job_name, "load"));
    assert_int_equal(t.event.n_inputs, 1);
    assert_true(str_eqc(t.event.inputs[0].ns, "postgres://h:5432") && str_eqc(t.event.inputs[0].name, "db.s.t"));
    assert_int_equal(t.event.n_outputs, 1);
    assert_true(str_starts(t.event.raw_json, "{\"eventTime\":"));
    assert_true(str_eqc(t.event.schema_url, "https://openlineage.io/spec/2-0-2/OpenLineage.json"));
    done(&t);
}

static void test_openlineage_read__takes_old_job_and_dataset_events(void **state)
{
    (void)state;
    struct tried old = try_event("{" HEAD "," RUN "," JOB "}");
    assert_int_equal(old.code, ASSAY_OK);
    assert_int_equal(old.event.schema_url.len, 0);
    assert_int_equal(old.event.event_type.len, 0);
    struct tried job = try_event("{" HEAD "," SCHEMA "," JOB "}");
    assert_int_equal(job.code, ASSAY_OK);
    assert_int_equal(job.event.run_id.len, 0);
    struct tried dataset = try_event("{" HEAD "," SCHEMA ",\"dataset\":{\"namespace\":\"file\",\"name\":\"/a\"}}");
    assert_int_equal(dataset.code, ASSAY_OK);
    assert_int_equal(dataset.event.job_ns.len, 0);
    assert_int_equal(dataset.event.n_outputs, 1);
    assert_true(str_eqc(dataset.event.outputs[0].name, "/a"));
    done(&old);
    done(&job);
    done(&dataset);
}

static void test_openlineage_read__says_what_is_wrong_where(void **state)
{
    (void)state;
    static const struct {
        const char *text, *pointer;
    } cases[] = {
        {"{\"producer\":\"a:b\"," JOB "}", "/eventTime"},
        {"{\"eventTime\":\"yesterday\",\"producer\":\"a:b\"," JOB "}", "/eventTime"},
        {"{\"eventTime\":\"2026-03-01T12:00:00Z\"," JOB "}", "/producer"},
        {"{\"eventTime\":\"2026-03-01T12:00:00Z\",\"producer\":\"no uri\"," JOB "}", "/producer"},
        {"{" HEAD ",\"schemaURL\":7," JOB "}", "/schemaURL"},
        {"{" HEAD "}", "/job"},
        {"{" HEAD "," RUN "}", "/job"},
        {"{" HEAD "," JOB ",\"dataset\":{\"namespace\":\"a\",\"name\":\"b\"}}", "/dataset"},
        {"{" HEAD "," JOB ",\"run\":{}}", "/run/runId"},
        {"{" HEAD "," JOB ",\"run\":7}", "/run"},
        {"{" HEAD "," JOB ",\"run\":{\"runId\":\"17\"}}", "/run/runId"},
        {"{" HEAD "," JOB ",\"run\":{\"runId\":\"0190b8a2-1111-7222-8333-444455556666\",\"facets\":[]}}",
         "/run/facets"},
        {"{" HEAD ",\"job\":{\"name\":\"x\"}}", "/job/namespace"},
        {"{" HEAD ",\"job\":{\"namespace\":\"x\",\"name\":\"\"}}", "/job/name"},
        {"{" HEAD ",\"job\":[]}", "/job"},
        {"{" HEAD "," JOB ",\"eventType\":\"DONE\"}", "/eventType"},
        {"{" HEAD "," JOB ",\"inputs\":{}}", "/inputs"},
        {"{" HEAD "," JOB ",\"inputs\":[7]}", "/inputs/0"},
        {"{" HEAD "," JOB ",\"outputs\":[{\"namespace\":\"a\",\"name\":\"b\"},{\"namespace\":\"a\"}]}",
         "/outputs/1/name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tried t = try_event(cases[i].text);
        if (t.code != ASSAY_INVALID)
            fail_msg("taken: %s", cases[i].text);
        assert_string_equal(t.err.fields[0].pointer, cases[i].pointer);
        done(&t);
    }
}

/* ---- gzip ---- */

static struct str gzip(struct arena *a, const char *text, size_t n)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
    size_t cap = deflateBound(&z, n) + 32;
    char *out = arena_alloc(a, cap);
    z.next_in = (unsigned char *)(uintptr_t)text;
    z.avail_in = (unsigned)n;
    z.next_out = (unsigned char *)out;
    z.avail_out = (unsigned)cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t len = z.total_out;
    (void)deflateEnd(&z);
    return (struct str){out, len};
}

static void test_gunzip__gives_back_what_was_compressed(void **state)
{
    (void)state;
    struct arena *a = arena_new(1024);
    struct str out;
    struct str one = gzip(a, "hello ", 6), two = gzip(a, "world", 5);
    char *both = arena_alloc(a, one.len + two.len);
    memcpy(both, one.ptr, one.len);
    memcpy(both + one.len, two.ptr, two.len);
    assert_int_equal(gunzip(a, (struct str){both, one.len + two.len}, 11, &out, NULL), ASSAY_OK);
    assert_true(str_eqc(out, "hello world"));
    arena_free(a);
}

static void test_gunzip__caps_a_bomb(void **state)
{
    (void)state;
    struct arena *a = arena_new(1024);
    struct str out;
    size_t n = 64 << 20;
    char *zeros = mem_calloc(1, n);
    struct str bomb = gzip(a, zeros, n);
    free(zeros);
    size_t before = arena_reserved(a);
    assert_int_equal(gunzip(a, bomb, 1 << 20, &out, NULL), ASSAY_TOO_LARGE);
    assert_true(arena_reserved(a) == before);
    arena_free(a);
}

static void test_gunzip__refuses_what_is_damaged(void **state)
{
    (void)state;
    struct arena *a = arena_new(1024);
    struct str out;
    struct str good = gzip(a, "hello hello hello", 17);
    for (size_t cut = 0; cut < good.len; cut++)
        assert_int_equal(gunzip(a, (struct str){good.ptr, cut}, 100, &out, NULL), ASSAY_INVALID);
    char *bad = arena_strndup(a, good.ptr, good.len);
    bad[good.len - 6] ^= 1; /* the CRC */
    assert_int_equal(gunzip(a, (struct str){bad, good.len}, 100, &out, NULL), ASSAY_INVALID);
    assert_int_equal(gunzip(a, STR_LIT("{\"plain\":1}"), 100, &out, NULL), ASSAY_INVALID);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_openlineage_read__takes_a_run_event),
        cmocka_unit_test(test_openlineage_read__takes_old_job_and_dataset_events),
        cmocka_unit_test(test_openlineage_read__says_what_is_wrong_where),
        cmocka_unit_test(test_gunzip__gives_back_what_was_compressed),
        cmocka_unit_test(test_gunzip__caps_a_bomb),
        cmocka_unit_test(test_gunzip__refuses_what_is_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
