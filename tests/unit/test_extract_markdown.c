/* ingest/extract_markdown and its guard. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "ingest/canonical.h"
#include "ingest/extract.h"
#include "ingest/markdown_guard.h"

static struct str markdown(struct arena *a, const char *source, struct extracted *ex)
{
    struct canonical doc;
    assert_int_equal(extract(a, MEDIA_MARKDOWN, str_of(source), ex, NULL), ASSAY_OK);
    assert_int_equal(canonicalise(a, ex, &doc, NULL), ASSAY_OK);
    return doc.text;
}

static void test_extract_markdown__gives_plain_text(void **state)
{
    (void)state;
    static const struct {
        const char *source, *text;
    } cases[] = {
        {"# H\n\nA *b* **c** `d`\ne", "H\n\nA b c d e"},
        {"a  \nb", "a\nb"},
        {"[text](http://x \"t\") ![alt](i)", "text alt"},
        {"- one\n- two\n\n  more\n\n1. three", "one\ntwo\n\nmore\n\nthree"},
        {"- a\n- b\n", "a\nb"},
        {"```c\nint  x;\n\n  y\n```", "int  x;\n\n  y"},
        {"| a | b |\n|---|:-:|\n| 1 | *2* |", "a | b\n1 | 2"},
        {"a|b\n-|-\n1|2\n\nafter", "a | b\n1 | 2\n\nafter"},
        {"a | b\nc | d", "a | b c | d"},
        {"x <b>y</b><br>z &amp; &eacute;", "x y\nz & \u00e9"},
        {"<div>\nblock &lt;\n<script>no</script></div>\n", "block <"},
        {"> quote\n\n***\n\nend", "quote\n\nend"},
        {"[r]: http://x\n\nsee [r]", "see r"},
    };
    struct arena *a = arena_new(4096);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct extracted ex;
        struct str got = markdown(a, cases[i].source, &ex);
        if (!str_eqc(got, cases[i].text))
            fail_msg("%s\n gave: %.*s\n want: %s", cases[i].source, STR_FMT(got), cases[i].text);
    }
    arena_free(a);
}

static void test_extract_markdown__keeps_kinds_and_title(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct extracted ex;
    markdown(a, "para\n\n## two\n\n# one\n\n- i\n\n```\nc\n```\n\n|a|b|\n|-|-|\n", &ex);
    static const enum block_kind want[] = {BLOCK_PARAGRAPH, BLOCK_HEADING, BLOCK_HEADING,
                                           BLOCK_LIST_ITEM, BLOCK_CODE,    BLOCK_TABLE_ROW};
    assert_int_equal(ex.n_blocks, sizeof want / sizeof *want);
    for (size_t i = 0; i < ex.n_blocks; i++)
        assert_int_equal(ex.blocks[i].kind, want[i]);
    assert_int_equal(ex.blocks[1].level, 2);
    assert_true(str_eqc(ex.title, "one"));
    struct str text = markdown(a, "---\ntags: x\ntitle: \"From: matter\"\n---\n# h\n", &ex);
    assert_true(str_eqc(ex.title, "From: matter"));
    assert_true(str_eqc(text, "h"));
    text = markdown(a, "---\ntitle: open\n", &ex);
    assert_true(memmem(text.ptr, text.len, "title: open", 11) != NULL);
    arena_free(a);
}

static void test_extract_markdown__refuses_what_is_not_utf8_or_too_large(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct extracted ex;
    struct err err = {0};
    assert_int_equal(extract_markdown(a, STR_LIT("\xff"), &ex, &err), ASSAY_UNPROCESSABLE);
    struct buf big = {0};
    for (size_t i = 0; i <= MARKDOWN_MAX; i++)
        buf_putc(&big, 'a');
    assert_int_equal(extract_markdown(a, buf_str(&big), &ex, &err), ASSAY_TOO_LARGE);
    buf_free(&big);
    err_clear(&err);
    arena_free(a);
}

static void test_markdown_guard__leaves_honest_text_alone(void **state)
{
    (void)state;
    static const char *const honest[] = {"# a\n\n- b\n  - c\n> > d\n\n***\n",
                                         "----------------------------------------\n", "* * *\n\n\n\nx [a](b) \r\n1. y",
                                         ""};
    for (size_t i = 0; i < sizeof honest / sizeof *honest; i++) {
        struct buf out = {0};
        markdown_guard(str_of(honest[i]), &out);
        assert_true(str_eqc(buf_str(&out), honest[i]));
        buf_free(&out);
    }
}

static void hostile(const char *first, const char *unit, size_t times, const char *then, size_t then_times)
{
    struct arena *a = arena_new(4096);
    struct buf source = {0};
    struct extracted ex;
    buf_puts(&source, first);
    for (size_t i = 0; i < times; i++)
        buf_puts(&source, unit);
    for (size_t i = 0; i < then_times; i++)
        buf_puts(&source, then);
    buf_puts(&source, "\n\nend");
    clock_t start = clock();
    assert_int_equal(extract_markdown(a, buf_str(&source), &ex, NULL), ASSAY_OK);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 10.0);
    buf_free(&source);
    arena_free(a);
}

/* Each of these took the library alone many seconds, or gigabytes. */
static void test_extract_markdown__survives_malice(void **state)
{
    (void)state;
    hostile("", "- ", 50000, "\n", 50000);
    hostile("", "> ", 100000, "\n", 1000);
    hostile("", "1. ", 50000, "\n", 50000);
    hostile("", "![[]()", 100000, "", 0);
    hostile("", "|a", 4000, "", 0);
    hostile("|a|a|a|a\n|-|-|-|-\n", "|a", 100000, "\n|b", 1000);
    hostile("", "*a **b ", 100000, "", 0);
    hostile("", "[", 100000, "]", 100000);
    hostile("", "`", 100000, "", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extract_markdown__gives_plain_text),
        cmocka_unit_test(test_extract_markdown__keeps_kinds_and_title),
        cmocka_unit_test(test_extract_markdown__refuses_what_is_not_utf8_or_too_large),
        cmocka_unit_test(test_markdown_guard__leaves_honest_text_alone),
        cmocka_unit_test(test_extract_markdown__survives_malice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
