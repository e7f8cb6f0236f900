/* ingest/media: what is declared, what is told from the bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ingest/media.h"

static void test_media_from_name__ignores_parameters_and_case(void **state)
{
    (void)state;
    assert_int_equal(media_from_name(STR_LIT("text/html; charset=utf-8")), MEDIA_HTML);
    assert_int_equal(media_from_name(STR_LIT(" TEXT/Plain ")), MEDIA_TEXT);
    assert_int_equal(media_from_name(STR_LIT("application/xhtml+xml")), MEDIA_HTML);
    assert_int_equal(media_from_name(STR_LIT("text/markdown;variant=GFM")), MEDIA_MARKDOWN);
    assert_int_equal(media_from_name(STR_LIT("text/htmlx")), MEDIA_UNKNOWN);
    assert_int_equal(media_from_name(STR_LIT("image/png")), MEDIA_UNKNOWN);
    assert_int_equal(media_from_name((struct str){0}), MEDIA_UNKNOWN);
    for (int m = MEDIA_TEXT; m <= MEDIA_ODT; m++)
        assert_int_equal(media_from_name(str_of(media_name((enum media_type)m))), m);
}

static void test_media_sniff__looks_at_bytes_first(void **state)
{
    (void)state;
    const struct {
        struct str bytes;
        const char *uri;
        enum media_type want;
    } cases[] = {
        {STR_LIT("%PDF-1.7\n..."), "x.html", MEDIA_PDF},
        {STR_LIT("\n  <!DOCTYPE HTML><p>"), "x", MEDIA_HTML},
        {STR_LIT("\xef\xbb\xbf<html>"), "x.md", MEDIA_HTML},
        {STR_LIT("<?xml version='1.0'?><!DOCTYPE html PUBLIC '-//W3C//DTD XHTML 1.0'><html>"), "", MEDIA_HTML},
        {STR_LIT("<?xml version='1.0'?><rss>"), "", MEDIA_TEXT},
        {STR_LIT("PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0mimetypeapplication/"
                 "vnd.oasis.opendocument.text"
                 "PK"),
         "", MEDIA_ODT},
        {STR_LIT("PK\x03\x04 [Content_Types].xml ... word/document.xml ..."), "x.txt", MEDIA_DOCX},
        {STR_LIT("PK\x03\x04 anything else"), "x.docx", MEDIA_UNKNOWN},
        {STR_LIT("# Title"), "https://example.org/readme.MD?raw=1#top", MEDIA_MARKDOWN},
        {STR_LIT("<p>x"), "page.htm", MEDIA_HTML},
        {STR_LIT("plain"), "x.pdf", MEDIA_TEXT},
        {STR_LIT("plain"), "", MEDIA_TEXT},
        {STR_LIT(""), "", MEDIA_TEXT},
        {STR_LIT("caf\xe9"), "x.txt", MEDIA_UNKNOWN},
        {STR_LIT("a\0b"), "x.txt", MEDIA_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(media_sniff(cases[i].bytes, str_of(cases[i].uri)), cases[i].want);
    assert_int_equal(media_sniff((struct str){0}, (struct str){0}), MEDIA_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media_from_name__ignores_parameters_and_case),
        cmocka_unit_test(test_media_sniff__looks_at_bytes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
