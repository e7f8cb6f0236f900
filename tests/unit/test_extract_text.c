/* ingest/extract_text: plain text and the output of pdftotext. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ingest/canonical.h"
#include "ingest/extract.h"

static struct str text_of(struct arena *a, enum media_type media, struct str in, struct extracted *ex)
{
    struct canonical doc;
    assert_int_equal(extract(a, media, in, ex, NULL), ASSAY_OK);
    assert_int_equal(canonicalise(a, ex, &doc, NULL), ASSAY_OK);
    return doc.text;
}

static void test_extract_text__parts_paragraphs_at_blank_lines(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct extracted ex;
    struct str got = text_of(a, MEDIA_TEXT, STR_LIT("\xef\xbb\xbf one\r\n two\r\n \t\r\n\r\nthree\rfour\n"), &ex);
    assert_true(str_eqc(got, "one\ntwo\n\nthree\nfour"));
    assert_int_equal(ex.n_blocks, 2);
    assert_int_equal(ex.title.len, 0);
    assert_int_equal(text_of(a, MEDIA_TEXT, STR_LIT(" \n\t\n"), &ex).len, 0);
    assert_int_equal(text_of(a, MEDIA_TEXT, (struct str){0}, &ex).len, 0);
    arena_free(a);
}

static void test_extract_text__refuses_what_is_not_utf8(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct extracted ex;
    struct err err = {0};
    const struct str bad[] = {STR_LIT("caf\xe9"), STR_LIT("\xff\xfeh\0i\0"), STR_LIT("\xed\xa0\x80")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(extract_text(a, bad[i], &ex, &err), ASSAY_UNPROCESSABLE);
        assert_string_equal(err_slug(&err), "not-utf8");
        assert_int_equal(extract_pdf_text(a, bad[i], &ex, &err), ASSAY_UNPROCESSABLE);
    }
    err_clear(&err);
    arena_free(a);
}

static void test_extract_pdf_text__numbers_pages_and_joins_lines(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct extracted ex;
    struct str got = text_of(a, MEDIA_PDF, STR_LIT("A hyphen-\nated word and\nanother-\nOne\n\nTwo\n\fThree\n\f"), &ex);
    assert_true(str_eqc(got, "A hyphenated word and another- One\n\nTwo\n\nThree"));
    assert_int_equal(ex.n_blocks, 3);
    assert_int_equal(ex.blocks[0].page, 1);
    assert_int_equal(ex.blocks[1].page, 1);
    assert_int_equal(ex.blocks[2].page, 2);
    arena_free(a);
}

static void test_extract_pdf_text__drops_running_heads_and_page_numbers(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct extracted ex;
    struct str pages = STR_LIT("The Title\n\nalpha\n\nPage 1 of 12\n\fThe Title\n\nbeta\n\nPage 2 of 12\n\f"
                               "The Title\n\ngamma\n\nPage 10 of 12\n\f");
    assert_true(str_eqc(text_of(a, MEDIA_PDF, pages, &ex), "alpha\n\nbeta\n\ngamma"));
    /* Two pages do not tell. */
    struct str few = STR_LIT("Head\n\nalpha\n\fHead\n\nbeta\n\f");
    assert_true(str_eqc(text_of(a, MEDIA_PDF, few, &ex), "Head\n\nalpha\n\nHead\n\nbeta"));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extract_text__parts_paragraphs_at_blank_lines),
        cmocka_unit_test(test_extract_text__refuses_what_is_not_utf8),
        cmocka_unit_test(test_extract_pdf_text__numbers_pages_and_joins_lines),
        cmocka_unit_test(test_extract_pdf_text__drops_running_heads_and_page_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
