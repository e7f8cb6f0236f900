/* ingest/extract_office: docx and odt made here, honest and hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/canonical.h"
#include "ingest/extract.h"
#include "ingest/office_zip.h"

#define W "xmlns:w='http://schemas.openxmlformats.org/wordprocessingml/2006/main'"
#define P(text) "<w:p><w:r><w:t>" text "</w:t></w:r></w:p>"
#define STYLED(style, text) "<w:p><w:pPr><w:pStyle w:val='" style "'/></w:pPr><w:r><w:t>" text "</w:t></w:r></w:p>"
#define DOCX(body) "<?xml version='1.0'?><w:document " W "><w:body>" body "</w:body></w:document>"
#define ODT(body) "<?xml version='1.0'?><o:d xmlns:o='o' xmlns:text='t' xmlns:table='b' xmlns:office='f'>" body "</o:d>"

struct member {
    const char *name;
    struct str bytes;
};

static struct str zip(struct arena *a, const struct member *members, size_t n)
{
    enum { ROOM = 4 << 20 };
    char *out = arena_alloc(a, ROOM);
    size_t used = 0;
    struct archive *w = archive_write_new();
    assert_int_equal(archive_write_set_format_zip(w), ARCHIVE_OK);
    assert_int_equal(archive_write_open_memory(w, out, ROOM, &used), ARCHIVE_OK);
    for (size_t i = 0; i < n; i++) {
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, members[i].name);
        archive_entry_set_size(e, (la_int64_t)members[i].bytes.len);
        archive_entry_set_filetype(e, AE_IFREG);
        archive_entry_set_perm(e, 0644);
        assert_int_equal(archive_write_header(w, e), ARCHIVE_OK);
        assert_int_equal(archive_write_data(w, members[i].bytes.ptr, members[i].bytes.len),
                         (la_ssize_t)members[i].bytes.len);
        archive_entry_free(e);
    }
    assert_int_equal(archive_write_close(w), ARCHIVE_OK);
    archive_write_free(w);
    return (struct str){out, used};
}

static void test_extract_office__reads_docx(void **state)
{
    (void)state;
    static const char styles[] =
        "<w:styles " W "><w:style w:styleId='berschrift2'><w:name w:val='heading 2'/></w:style>"
        "<w:style w:styleId='T'><w:name w:val='Title'/></w:style><w:style w:styleId='V1'><w:name w:val='toc "
        "1'/></w:style>"
        "<w:style w:styleId='O'><w:name w:val='Mine'/><w:pPr><w:outlineLvl w:val='2'/></w:pPr></w:style></w:styles>";
    static const char body[] = DOCX(
        STYLED("T", "The Title") STYLED("V1", "Contents 3") STYLED("berschrift2", "Head")
            P("Hello <![CDATA[wor]]>ld &amp; all")
                STYLED("O", "Outline") "<w:p><w:pPr><w:numPr/></w:pPr><w:r><w:t>item</w:t></w:r></w:p>"
                                       "<w:p><w:del><w:r><w:delText>gone</w:delText><w:t>gone</w:t></w:r></"
                                       "w:del><w:r><w:t>a</w:t><w:br/><w:t>b</w:t></w:r></w:p>"
                                       "<w:tbl><w:tr><w:tc>" P("1") P("2") "</w:tc><w:tc>" P(
                                           "3") "</w:tc></w:tr><w:tr><w:tc>" P("4") "</w:tc></w:tr></w:tbl>" P("end"));
    static const char core[] = "<cp xmlns:dc='d'><dc:title>Core title</dc:title><dc:creator>me</dc:creator></cp>";
    const struct member members[] = {{"word/document.xml", STR_LIT(body)},
                                     {"word/styles.xml", STR_LIT(styles)},
                                     {"docProps/core.xml", STR_LIT(core)},
                                     {"word/media/image1.png", STR_LIT("no text")}};
    struct arena *a = arena_new(4096);
    struct extracted ex;
    struct canonical doc;
    assert_int_equal(extract(a, MEDIA_DOCX, zip(a, members, 4), &ex, NULL), ASSAY_OK);
    assert_int_equal(canonicalise(a, &ex, &doc, NULL), ASSAY_OK);
    assert_true(str_eqc(ex.title, "Core title"));
    assert_true(
        str_eqc(doc.text, "The Title\n\nHead\n\nHello world & all\n\nOutline\n\nitem\n\na\nb\n\n1\n2 | 3\n4\n\nend"));
    assert_int_equal(doc.blocks[1].kind, BLOCK_HEADING);
    assert_int_equal(doc.blocks[1].level, 2);
    assert_int_equal(doc.blocks[3].level, 3);
    assert_int_equal(doc.blocks[4].kind, BLOCK_LIST_ITEM);
    assert_int_equal(extract(a, MEDIA_DOCX, zip(a, members, 2), &ex, NULL), ASSAY_OK);
    assert_true(str_eqc(ex.title, "The Title"));
    arena_free(a);
}

static void test_extract_office__reads_odt(void **state)
{
    (void)state;
    static const char content[] = ODT(
        "<text:tracked-changes><text:p>gone</text:p></text:tracked-changes><text:h text:outline-level='2'>Head</text:h>"
        "<text:p>a<text:s "
        "text:c='3'/>b<text:line-break/>c<office:annotation><text:p>gone</text:p></office:annotation>d</text:p>"
        "<text:list><text:list-item><text:p>i</text:p></text:list-item><text:list-item><text:p>j</text:p></"
        "text:list-item>"
        "</text:list><table:table><table:table-row><table:table-cell><text:p>1</text:p></table:table-cell>"
        "<table:table-cell><text:p>2</text:p></table:table-cell></table:table-row></table:table>"
        "<text:table-of-content><text:p>gone</text:p></text:table-of-content><text:p>end</text:p>");
    const struct member members[] = {{"mimetype", STR_LIT("application/vnd.oasis.opendocument.text")},
                                     {"content.xml", STR_LIT(content)},
                                     {"meta.xml", STR_LIT("<m xmlns:dc='d'><dc:title>T</dc:title></m>")}};
    struct arena *a = arena_new(4096);
    struct extracted ex;
    struct canonical doc;
    assert_int_equal(extract(a, MEDIA_ODT, zip(a, members, 3), &ex, NULL), ASSAY_OK);
    assert_int_equal(canonicalise(a, &ex, &doc, NULL), ASSAY_OK);
    assert_true(str_eqc(ex.title, "T"));
    assert_true(str_eqc(doc.text, "Head\n\na b\ncd\n\ni\nj\n\n1 | 2\n\nend"));
    assert_int_equal(doc.blocks[0].level, 2);
    arena_free(a);
}

static void refused(struct arena *a, struct str bytes, enum assay_code want, const char *slug)
{
    struct extracted ex;
    struct err err = {0};
    assert_int_equal(extract_office(a, MEDIA_DOCX, bytes, &ex, &err), want);
    assert_string_equal(err_slug(&err), slug);
    err_clear(&err);
}

static void test_extract_office__refuses_what_is_damaged(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    const struct member whole = {"word/document.xml", STR_LIT(DOCX(P("x")))};
    const struct member other = {"content.xml", STR_LIT(ODT("<text:p>x</text:p>"))};
    const struct member torn = {"word/document.xml", STR_LIT("<w:document " W "><w:body><w:p>")};
    const struct member empty = {"word/document.xml", STR_LIT("")};
    struct str good = zip(a, &whole, 1);
    refused(a, STR_LIT(""), ASSAY_UNPROCESSABLE, "unreadable-document");
    refused(a, STR_LIT("PK\x03\x04 nonsense"), ASSAY_UNPROCESSABLE, "unreadable-document");
    refused(a, (struct str){good.ptr, good.len / 2}, ASSAY_UNPROCESSABLE, "unreadable-document");
    refused(a, zip(a, &other, 1), ASSAY_UNPROCESSABLE, "unreadable-document");
    refused(a, zip(a, &torn, 1), ASSAY_UNPROCESSABLE, "unreadable-document");
    refused(a, zip(a, &empty, 1), ASSAY_UNPROCESSABLE, "unreadable-document");
    arena_free(a);
}

static void test_extract_office__refuses_entities(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    /* A billion laughs, and a file read from outside. */
    const struct member laughs = {
        "word/document.xml",
        STR_LIT("<?xml version='1.0'?><!DOCTYPE w [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>"
                "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;'><!ENTITY d '&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;'>]>"
                "<w:document " W "><w:p><w:t>&d;&d;&d;</w:t></w:p></w:document>")};
    const struct member outside = {"word/document.xml",
                                   STR_LIT("<!DOCTYPE w [<!ENTITY f SYSTEM 'file:///etc/passwd'>]>"
                                           "<w:document " W "><w:p><w:t>&f;</w:t></w:p></w:document>")};
    refused(a, zip(a, &laughs, 1), ASSAY_UNPROCESSABLE, "unreadable-document");
    refused(a, zip(a, &outside, 1), ASSAY_UNPROCESSABLE, "unreadable-document");
    arena_free(a);
}

static void test_extract_office__refuses_bombs(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    size_t n = OFFICE_INFLATED_MAX + 1;
    char *blanks = mem_alloc(n);
    memset(blanks, ' ', n);
    struct member bomb = {"word/document.xml", {blanks, n}};
    struct str packed = zip(a, &bomb, 1);
    assert_true(packed.len < 1 << 20);
    refused(a, packed, ASSAY_TOO_LARGE, "document-too-large");
    /* What is not wanted is not inflated. */
    const struct member beside[] = {{"word/media/bomb", {blanks, n}}, {"word/document.xml", STR_LIT(DOCX(P("x")))}};
    struct extracted ex;
    assert_int_equal(extract_office(a, MEDIA_DOCX, zip(a, beside, 2), &ex, NULL), ASSAY_OK);
    assert_int_equal(ex.n_blocks, 1);
    free(blanks);
    arena_free(a);
}

static void test_extract_office__refuses_deep_nesting(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct buf xml = {0};
    for (int i = 0; i < 100000; i++)
        buf_puts(&xml, "<w:x>");
    const struct member deep = {"word/document.xml", buf_str(&xml)};
    refused(a, zip(a, &deep, 1), ASSAY_UNPROCESSABLE, "unreadable-document");
    buf_free(&xml);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extract_office__reads_docx),
        cmocka_unit_test(test_extract_office__reads_odt),
        cmocka_unit_test(test_extract_office__refuses_what_is_damaged),
        cmocka_unit_test(test_extract_office__refuses_entities),
        cmocka_unit_test(test_extract_office__refuses_bombs),
        cmocka_unit_test(test_extract_office__refuses_deep_nesting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
