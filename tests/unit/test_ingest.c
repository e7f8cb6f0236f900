/* ingest/ingest: whole documents, their ids and their limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "ingest/ingest.h"

#define PAGE                                                                                                           \
    "<html><head><title>Fast &amp; safe</title></head><body><nav>menu</nav><h1>Speed</h1>"                             \
    "<p>Indexes make a search fast, because the server need not read the whole table.</p>"                             \
    "<h2>Safety</h2><p>Checksums tell whether what was written is what is read.</p></body></html>"

static struct ingest_input page_input(void)
{
    return (struct ingest_input){.key = STR_LIT("doc"),
                                 .uri = STR_LIT("https://example.org/doc"),
                                 .bytes = STR_LIT(PAGE),
                                 .media = MEDIA_HTML,
                                 .media_name = STR_LIT("text/html"),
                                 .metadata_json = STR_LIT("{}")};
}

static struct ingest_draft ingest(struct arena *a, const struct ingest_input *in)
{
    struct pipeline p;
    struct ingest_draft d;
    pipeline_default(a, &p);
    assert_int_equal(ingest_document(a, &p, in, &d, NULL), ASSAY_OK);
    return d;
}

static void test_ingest_document__gives_chunks_that_are_spans_of_the_text(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct ingest_input in = page_input();
    struct pipeline p;
    struct ingest_draft d;
    pipeline_default(a, &p);
    p.chunk.target_tokens = p.chunk.max_tokens = 26;
    assert_int_equal(ingest_document(a, &p, &in, &d, NULL), ASSAY_OK);
    assert_true(str_eqc(d.title, "Fast & safe"));
    assert_true(str_eqc(d.language, "en"));
    assert_true(str_starts(d.canonical, "Speed\n\nIndexes"));
    assert_int_equal(d.n_chunks, 2);
    for (size_t i = 0; i < d.n_chunks; i++) {
        const struct ingest_chunk *c = &d.chunks[i];
        struct digest hash;
        assert_ptr_equal(c->text.ptr, d.canonical.ptr + c->from);
        assert_int_equal(c->text.len, c->to - c->from);
        digest_sha256(c->text.ptr, c->text.len, &hash);
        assert_true(digest_eq(&hash, &c->text_hash));
        assert_int_equal(c->n_checks, 5);
    }
    assert_true(str_eqc(d.chunks[1].heading, "Speed > Safety"));
    struct digest bytes;
    digest_sha256(PAGE, strlen(PAGE), &bytes);
    assert_true(digest_eq(&bytes, &d.bytes_hash));
    arena_free(a);
}

static void test_ingest_document__is_deterministic(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct ingest_input in = page_input();
    struct ingest_draft d = ingest(a, &in), e = ingest(a, &in);
    assert_true(digest_eq(&d.version, &e.version));
    assert_int_equal(d.n_chunks, e.n_chunks);
    for (size_t i = 0; i < d.n_chunks; i++)
        assert_true(digest_eq(&d.chunks[i].id, &e.chunks[i].id));
    arena_free(a);
}

static void test_ingest_document__gives_other_ids_to_what_differs(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct ingest_input base = page_input(), other[7];
    struct ingest_draft d = ingest(a, &base);
    for (size_t i = 0; i < 7; i++)
        other[i] = base;
    other[0].key = STR_LIT("other");
    other[1].uri = STR_LIT("https://example.org/other");
    other[2].title = STR_LIT("Other");
    other[3].metadata_json = STR_LIT("{\"a\":1}");
    other[4].group = STR_LIT("g");
    other[5].language = STR_LIT("de");
    other[6].media_name = STR_LIT("application/xhtml+xml");
    for (size_t i = 0; i < 7; i++) {
        struct ingest_draft e = ingest(a, &other[i]);
        assert_false(digest_eq(&d.version, &e.version));
        assert_false(digest_eq(&d.chunks[0].id, &e.chunks[0].id));
        assert_true(digest_eq(&d.chunks[0].text_hash, &e.chunks[0].text_hash));
    }
    /* Another pipeline: the same version, other chunks. */
    struct pipeline p;
    struct ingest_draft e;
    pipeline_default(a, &p);
    p.id.b[0] ^= 1;
    assert_int_equal(ingest_document(a, &p, &base, &e, NULL), ASSAY_OK);
    assert_true(digest_eq(&d.version, &e.version));
    assert_false(digest_eq(&d.chunks[0].id, &e.chunks[0].id));
    /* What the text does not show changes the bytes only. */
    base.bytes = STR_LIT(PAGE "<!-- comment -->");
    e = ingest(a, &base);
    assert_true(digest_eq(&d.version, &e.version));
    assert_false(digest_eq(&d.bytes_hash, &e.bytes_hash));
    arena_free(a);
}

static void test_ingest_document__prefers_what_is_declared(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct ingest_input in = page_input();
    in.title = STR_LIT("  Mine ");
    in.language = STR_LIT("DE-at");
    struct ingest_draft d = ingest(a, &in);
    assert_true(str_eqc(d.title, "Mine"));
    assert_true(str_eqc(d.language, "de"));
    in = page_input();
    in.media = MEDIA_TEXT;
    in.bytes = STR_LIT("only text");
    assert_true(str_eqc(ingest(a, &in).title, "doc"));
    arena_free(a);
}

static void test_ingest_document__keeps_one_chunk_when_asked(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct ingest_input in = page_input();
    struct buf text = {0};
    for (int i = 0; i < 2000; i++)
        buf_puts(&text, "# head\n\nword and word\n\n");
    in.media = MEDIA_MARKDOWN;
    in.bytes = buf_str(&text);
    assert_true(ingest(a, &in).n_chunks > 1);
    in.single_chunk = true;
    struct ingest_draft d = ingest(a, &in);
    assert_int_equal(d.n_chunks, 1);
    assert_int_equal(d.chunks[0].from, 0);
    assert_int_equal(d.chunks[0].to, d.canonical.len);
    buf_free(&text);
    arena_free(a);
}

static void test_ingest_document__of_nothing_has_no_chunks(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct ingest_input in = page_input();
    const struct str empty[] = {STR_LIT(""), STR_LIT("<html><script>x</script></html>"), STR_LIT(" \n ")};
    for (size_t i = 0; i < 3; i++) {
        in.bytes = empty[i];
        in.single_chunk = i % 2;
        struct ingest_draft d = ingest(a, &in);
        assert_int_equal(d.n_chunks, 0);
        assert_int_equal(d.canonical.len, 0);
        assert_true(str_eqc(d.language, "und"));
    }
    arena_free(a);
}

static void test_ingest_document__refuses_what_it_cannot_read(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct pipeline p;
    pipeline_default(a, &p);
    struct ingest_input in = page_input();
    struct ingest_draft d;
    struct err err = {0};
    in.bytes = STR_LIT("caf\xe9");
    assert_int_equal(ingest_document(a, &p, &in, &d, &err), ASSAY_UNPROCESSABLE);
    in.media = MEDIA_DOCX;
    assert_int_equal(ingest_document(a, &p, &in, &d, &err), ASSAY_UNPROCESSABLE);
    in.media = MEDIA_UNKNOWN;
    assert_int_equal(ingest_document(a, &p, &in, &d, &err), ASSAY_MEDIA_TYPE);
    in.media = MEDIA_TEXT;
    in.bytes.len = INGEST_BYTES_MAX + 1; /* refused before a byte is read */
    assert_int_equal(ingest_document(a, &p, &in, &d, &err), ASSAY_TOO_LARGE);
    struct buf text = {0};
    for (int i = 0; i < INGEST_CHUNKS_MAX + 10; i++)
        buf_puts(&text, "a b c d e f g h i j k l m n o p\n\n");
    in.bytes = buf_str(&text);
    p.chunk = (struct chunk_params){.target_tokens = 16, .max_tokens = 16, .split_level = 1};
    assert_int_equal(ingest_document(a, &p, &in, &d, &err), ASSAY_TOO_LARGE);
    buf_free(&text);
    err_clear(&err);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ingest_document__gives_chunks_that_are_spans_of_the_text),
        cmocka_unit_test(test_ingest_document__is_deterministic),
        cmocka_unit_test(test_ingest_document__gives_other_ids_to_what_differs),
        cmocka_unit_test(test_ingest_document__prefers_what_is_declared),
        cmocka_unit_test(test_ingest_document__keeps_one_chunk_when_asked),
        cmocka_unit_test(test_ingest_document__of_nothing_has_no_chunks),
        cmocka_unit_test(test_ingest_document__refuses_what_it_cannot_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
