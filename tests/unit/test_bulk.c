/* What bulk ingest is made of, without PostgreSQL: lines of a stream, one document's checks, spool files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "server/digest_map.h"
#include "server/intake_priv.h"
#include "server/ndjson.h"
#include "server/spool.h"

/* A stream given in pieces of a chosen size. */
struct pieces {
    struct str text;
    size_t at, step;
    bool fail_at_end;
};

static enum assay_code read_piece(void *ctx, char *to, size_t max, size_t *n, struct err *err)
{
    struct pieces *p = ctx;
    size_t left = p->text.len - p->at;
    *n = left < p->step ? left : p->step;
    *n = *n < max ? *n : max;
    if (*n == 0 && p->fail_at_end)
        return err_set(err, ASSAY_UNAVAILABLE, NULL, "gone");
    if (*n > 0)
        memcpy(to, p->text.ptr + p->at, *n);
    p->at += *n;
    return ASSAY_OK;
}

static void expect(struct ndjson *r, enum ndjson_event event, int64_t number, const char *line)
{
    enum ndjson_event got;
    struct str text;
    struct err err = {0};
    assert_int_equal(ndjson_next(r, &got, &text, &err), ASSAY_OK);
    assert_int_equal(got, event);
    if (event != NDJSON_END)
        assert_int_equal(r->number, number);
    if (event == NDJSON_LINE)
        assert_true(str_eqc(text, line));
}

static void test_ndjson__lines_do_not_depend_on_how_they_arrive(void **state)
{
    (void)state;
    for (size_t step = 1; step < 12; step++) {
        struct pieces p = {STR_LIT("one\r\n\n  \ntwo\n0123456789abc\nthree"), 0, step, false};
        struct bulk_source from = {read_piece, &p};
        struct ndjson r;
        ndjson_init(&r, &from, 8, 0);
        expect(&r, NDJSON_LINE, 1, "one");
        expect(&r, NDJSON_LINE, 4, "two"); /* blank lines count, so that numbers are those of an editor */
        expect(&r, NDJSON_TOO_LONG, 5, NULL);
        expect(&r, NDJSON_LINE, 6, "three");
        expect(&r, NDJSON_END, 0, NULL);
        expect(&r, NDJSON_END, 0, NULL);
        ndjson_free(&r);
    }
}

static void test_ndjson__a_long_line_is_not_kept(void **state)
{
    (void)state;
    size_t n = 8u << 20;
    char *text = mem_alloc(n + 3);
    memset(text, 'x', n);
    memcpy(text + n, "\na\n", 3);
    struct pieces p = {{text, n + 3}, 0, 65536, false};
    struct bulk_source from = {read_piece, &p};
    struct ndjson r;
    ndjson_init(&r, &from, 1000, 0);
    expect(&r, NDJSON_TOO_LONG, 1, NULL);
    assert_true(r.buf.cap < 1u << 19);
    expect(&r, NDJSON_LINE, 2, "a");
    expect(&r, NDJSON_END, 0, NULL);
    ndjson_free(&r);
    free(text);
}

static void test_ndjson__stops_past_the_limit_and_tells_of_a_lost_client(void **state)
{
    (void)state;
    struct pieces p = {STR_LIT("one\ntwo\nthree\n"), 0, 4, false};
    struct bulk_source from = {read_piece, &p};
    struct ndjson r;
    struct err err = {0};
    enum ndjson_event event;
    struct str line;
    ndjson_init(&r, &from, 100, 6);
    expect(&r, NDJSON_LINE, 1, "one");
    assert_int_equal(ndjson_next(&r, &event, &line, &err), ASSAY_TOO_LARGE);
    ndjson_free(&r);
    p.at = 0;
    p.fail_at_end = true;
    ndjson_init(&r, &from, 100, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ndjson_next(&r, &event, &line, &err), ASSAY_OK);
    assert_int_equal(ndjson_next(&r, &event, &line, &err), ASSAY_UNAVAILABLE);
    ndjson_free(&r);
    err_clear(&err);
}

/* ---- one document ---- */

struct fixture {
    struct call call;
    struct collection collection;
    struct intake_document doc;
    struct received received;
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = mem_calloc(1, sizeof *f);
    f->call = (struct call){arena_new(4096), CLOCK_NEVER, "test", "system:test"};
    f->collection.spec = (struct embedder_spec){.kind = EMBEDDER_BUILTIN, .dim = 384};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    err_clear(&f->err);
    arena_free(f->call.arena);
    free(f);
    return 0;
}

/* As a line of a bulk is read. */
static enum assay_code take(struct fixture *f, const char *text)
{
    err_clear(&f->err);
    TRY(intake_document_parse(f->call.arena, str_of(text), &f->doc, &f->err));
    return intake_receive(&f->call, &f->collection, &f->doc, &f->received, &f->err);
}

static void assert_refused(struct fixture *f, enum assay_code code, const char *pointer, const char *text)
{
    assert_int_equal(take(f, text), code);
    assert_true(f->err.n_fields > 0);
    assert_string_equal(f->err.fields[0].pointer, pointer);
}

static void test_document__refuses_each_mistake_where_it_is(void **state)
{
    struct fixture *f = *state;
    assert_refused(f, ASSAY_INVALID, "/source", "{\"id\":\"a\",\"text\":\"t\"}");
    assert_refused(f, ASSAY_INVALID, "/text", "{\"source\":\"s\",\"id\":\"a\"}");
    assert_refused(f, ASSAY_INVALID, "/content_base64",
                   "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"content_base64\":\"dA==\"}");
    assert_refused(f, ASSAY_INVALID, "/id", "{\"source\":\"s\",\"text\":\"t\"}");
    assert_refused(f, ASSAY_INVALID, "/id", "{\"source\":\"s\",\"text\":\"t\",\"id\":\"a\\nb\"}");
    assert_refused(f, ASSAY_INVALID, "/content_base64", "{\"source\":\"s\",\"id\":\"a\",\"content_base64\":\"d\"}");
    assert_refused(f, ASSAY_INVALID, "/language", "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"language\":\"e!\"}");
    assert_refused(f, ASSAY_UNPROCESSABLE, "/media_type",
                   "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"media_type\":\"image/png\"}");
    assert_refused(f, ASSAY_UNPROCESSABLE, "/media_type",
                   "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"media_type\":\"application/pdf\"}");
    assert_refused(f, ASSAY_UNPROCESSABLE, "/modified_at",
                   "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"modified_at\":\"9000-01-01T00:00:00Z\"}");
    assert_refused(f, ASSAY_INVALID, "/metadata",
                   "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"metadata\":{\"a\":[[[[[[[[1]]]]]]]]}}");
    assert_refused(f, ASSAY_INVALID, "/colour", "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"colour\":1}");
    assert_refused(f, ASSAY_UNPROCESSABLE, "/vector", "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"vector\":[1]}");
}

static void test_document__key_comes_from_the_uri(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(take(f, "{\"source\":\"s\",\"uri\":\"https://h/x\",\"text\":\"t\",\"title\":null}"), ASSAY_OK);
    assert_true(str_eqc(f->received.key, "https://h/x"));
}

static void test_document__request_hash_covers_content_and_nothing_that_may_change_freely(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(take(f, "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"metadata\":{\"x\":1,\"y\":2}}"),
                     ASSAY_OK);
    struct digest first = f->received.request_hash;
    assert_int_equal(
        take(f, "{\"metadata\":{\"y\":2,\"x\":1},\"id\":\"a\",\"content_base64\":\"dA==\",\"source\":\"other\","
                "\"acl\":[\"g\"],\"modified_at\":\"2020-01-01T00:00:00Z\",\"media_type\":\"text/plain\"}"),
        ASSAY_OK);
    assert_true(digest_eq(&first, &f->received.request_hash));
    static const char *const others[] = {
        "{\"source\":\"s\",\"id\":\"b\",\"text\":\"t\",\"metadata\":{\"x\":1,\"y\":2}}",
        "{\"source\":\"s\",\"id\":\"a\",\"text\":\"u\",\"metadata\":{\"x\":1,\"y\":2}}",
        "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"metadata\":{\"x\":1}}",
        "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"metadata\":{\"x\":1,\"y\":2},\"title\":\"T\"}",
        "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"metadata\":{\"x\":1,\"y\":2},\"uri\":\"T\"}",
        "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"metadata\":{\"x\":1,\"y\":2},\"media_type\":\"text/"
        "markdown\"}",
        "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"metadata\":{\"x\":1,\"y\":2},\"group\":\"T\"}",
        "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"metadata\":{\"x\":1,\"y\":2},\"language\":\"de\"}",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(take(f, others[i]), ASSAY_OK);
        assert_false(digest_eq(&first, &f->received.request_hash));
    }
}

static void test_document__client_vectors_are_required_and_checked(void **state)
{
    struct fixture *f = *state;
    f->collection.spec = (struct embedder_spec){.kind = EMBEDDER_CLIENT, .dim = 2};
    assert_refused(f, ASSAY_UNPROCESSABLE, "/vector", "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\"}");
    assert_refused(f, ASSAY_INVALID, "/vector", "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"vector\":[1]}");
    assert_refused(f, ASSAY_INVALID, "/vector", "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"vector\":[0,0]}");
    assert_refused(f, ASSAY_INVALID, "/vector/1",
                   "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"vector\":[1,\"2\"]}");
    assert_refused(f, ASSAY_INVALID, "/vector/0",
                   "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"vector\":[1e300,1]}");
    assert_refused(f, ASSAY_INVALID, "/vector", "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"vector\":{}}");
    assert_refused(f, ASSAY_INVALID, "/vector", "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"vector\":\"AAAA\"}");
    assert_refused(f, ASSAY_INVALID, "/vector/1", /* a NaN */
                   "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"vector\":\"AACAPwAAwH8=\"}");
    assert_int_equal(take(f, "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"vector\":[1,2.5]}"), ASSAY_OK);
    struct digest first = f->received.request_hash;
    assert_true(f->received.vector[1] == 2.5f);
    assert_int_equal(take(f, "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"vector\":[1,3]}"), ASSAY_OK);
    assert_false(digest_eq(&first, &f->received.request_hash));
}

/* However a vector is written, it is the same request: a repeat in another form is recognised. */
static void test_document__forms_of_a_vector_are_one_request(void **state)
{
    struct fixture *f = *state;
    static const char *const forms[] = {
        "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"vector\":[1,2.5]}",
        "{\"source\":\"s\",\"vector\" : [ 1.0 , 25e-1 ] ,\"id\":\"a\",\"text\":\"t\"}",
        "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"vec\\u0074or\":[1,2.5]}", /* read as a tree */
        "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"vector\":\"AACAPwAAIEA=\"}",
    };
    struct digest first = {0};
    f->collection.spec = (struct embedder_spec){.kind = EMBEDDER_CLIENT, .dim = 2};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        assert_int_equal(take(f, forms[i]), ASSAY_OK);
        assert_true(f->received.vector[0] == 1 && f->received.vector[1] == 2.5f);
        if (i == 0)
            first = f->received.request_hash;
        assert_true(digest_eq(&first, &f->received.request_hash));
    }
    assert_int_equal(take(f, "{\"source\":\"s\",\"id\":\"a\",\"text\":\"t\",\"vector\":[1,2.5],\"vector\":[1,2.5]}"),
                     ASSAY_INVALID);
    assert_int_equal(take(f, "{\"source\":\"s\",\"id\":\"a\",\"text\":\"the \\\"vector\\\":[1] of it\"}"),
                     ASSAY_UNPROCESSABLE);
}

static void test_digest_map__gives_the_first_value(void **state)
{
    struct fixture *f = *state;
    struct digest_map m;
    struct digest keys[100];
    digest_map_init(&m, f->call.arena, 100);
    for (size_t i = 0; i < 100; i++) {
        digest_sha256(&i, sizeof i, &keys[i]);
        assert_int_equal(digest_map_put(&m, &keys[i], i), i);
    }
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(digest_map_put(&m, &keys[i], 1000), i);
}

/* ---- spool ---- */

static void test_spool__keeps_whole_uploads_only(void **state)
{
    struct fixture *f = *state;
    char dir[] = "/tmp/assay-spool-XXXXXX", id[UUID_TEXT + 1], other[UUID_TEXT + 1], back[64];
    struct pieces p = {STR_LIT("{}\n{}\n{}"), 0, 3, false};
    struct bulk_source from = {read_piece, &p};
    int64_t lines = 0, bytes = 0;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(spool_init(dir, &f->err), ASSAY_OK);
    assert_int_equal(spool_init(dir, &f->err), ASSAY_OK);
    uuid_new(id);
    uuid_new(other);
    assert_int_equal(spool_write(dir, id, &from, 0, &lines, &bytes, &f->err), ASSAY_OK);
    assert_int_equal(lines, 3);
    assert_int_equal(bytes, 8);
    int fd = spool_open(dir, id);
    assert_int_equal(read(fd, back, sizeof back), 8);
    close(fd);
    p = (struct pieces){p.text, 0, 3, true};
    assert_int_equal(spool_write(dir, other, &from, 0, &lines, &bytes, &f->err), ASSAY_UNAVAILABLE);
    assert_int_equal(spool_open(dir, other), -1);
    p.at = 0;
    assert_int_equal(spool_write(dir, other, &from, 4, &lines, &bytes, &f->err), ASSAY_TOO_LARGE);
    assert_int_equal(spool_open(dir, other), -1);
    struct str keep = str_of(id);
    spool_sweep(dir, &keep, 1);
    fd = spool_open(dir, id);
    assert_true(fd >= 0);
    close(fd);
    spool_sweep(dir, NULL, 0);
    assert_int_equal(spool_open(dir, id), -1);
    assert_int_equal(rmdir(arena_printf(f->call.arena, "%s/spool", dir)), 0);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ndjson__lines_do_not_depend_on_how_they_arrive),
        cmocka_unit_test(test_ndjson__a_long_line_is_not_kept),
        cmocka_unit_test(test_ndjson__stops_past_the_limit_and_tells_of_a_lost_client),
        cmocka_unit_test_setup_teardown(test_document__refuses_each_mistake_where_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(test_document__key_comes_from_the_uri, setup, teardown),
        cmocka_unit_test_setup_teardown(test_document__request_hash_covers_content_and_nothing_that_may_change_freely,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_document__client_vectors_are_required_and_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_document__forms_of_a_vector_are_one_request, setup, teardown),
        cmocka_unit_test_setup_teardown(test_digest_map__gives_the_first_value, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spool__keeps_whole_uploads_only, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
