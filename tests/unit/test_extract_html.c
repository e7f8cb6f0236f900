/* ingest/extract_html: what is content, what is boilerplate, and what hostile pages cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ingest/canonical.h"
#include "ingest/extract.h"

static struct str html(struct arena *a, const char *page, struct str *title)
{
    struct extracted ex;
    struct canonical doc;
    assert_int_equal(extract(a, MEDIA_HTML, str_of(page), &ex, NULL), ASSAY_OK);
    assert_int_equal(canonicalise(a, &ex, &doc, NULL), ASSAY_OK);
    if (title)
        *title = canonical_line(a, ex.title);
    return doc.text;
}

/* Each page and the whole canonical text that must come of it. */
static void test_extract_html__gives_the_text_a_reader_sees(void **state)
{
    (void)state;
    static const struct {
        const char *page, *text;
    } cases[] = {
        {"<p>a  b\n c</p>d", "a b c\n\nd"},
        {"<h2>Head</h2>x", "Head\n\nx"},
        {"a<b>b</b> <i> c</i>", "ab c"},
        {"<p>one<p>two<div>three", "one\n\ntwo\n\nthree"},
        {"a<br>b<br/> c", "a\nb\nc"},
        {"<ul><li>one<li>two <b>x</b></ul>y", "one\ntwo x\n\ny"},
        {"<ul><li><p>one</p><p>more</p></li><li>two</ul>", "one\n\nmore\n\ntwo"},
        {"<dl><dt>t<dd>d<dt>u<dd><p>e</dl>", "t\nd\n\nu\ne"},
        {"<pre>\n  a\n\n    b  \n</pre>", "  a\n\n    b"},
        {"<table><tr><th>a<th>b<tr><td>1<td><p>2</p></table>", "a | b\n1 | 2"},
        {"<table><tr><td><p>f(x)</p><p>Does f.</p></td></tr></table>", "f(x)\nDoes f."},
        {"<table><tr><td>a<table><tr><td>b</table><td>c</table>", "a\nb\nc"},
        {"2<sup>31</sup> and x<sup>2</sup>", "2^31 and x2"},
        {"<div class='note'><h3>Note</h3><p>Mind it.</p></div>", "Note: Mind it."},
        {"&lt;a&gt; &amp;&eacute;&#x20AC;&copy2024 &nosuch; &thetasym; R&D",
         "<a> &\u00e9\u20ac\u00a92024 &nosuch; \u03d1 R&D"},
        {"&#0;&#xD800;&#99999999;&#150;", "\ufffd\ufffd\ufffd\u2013"},
        {"a < b <3 <!-- c > --> d<!doctype x><?p?>e", "a < b <3 de"},
        {"x<!--> y -->z", "x y -->z"},
        {"<a href='a>b' title=\"<p>\">t</a>", "t"},
        {"<p>x</p></b></table></div>y", "x\n\ny"},
        {"<b><p>x</b>y</p>z", "xy\n\nz"},
        {"<?xml version='1.0'?><html><body><p/><a id='q'/><div/>text</body></html>", "text"},
    };
    struct arena *a = arena_new(4096);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str got = html(a, cases[i].page, NULL);
        if (!str_eqc(got, cases[i].text))
            fail_msg("%s\n gave: %.*s\n want: %s", cases[i].page, STR_FMT(got), cases[i].text);
    }
    arena_free(a);
}

static void test_extract_html__drops_what_is_not_content(void **state)
{
    (void)state;
    static const char *const pages[] = {
        "<script>var a='<p>NO'</script>keep",
        "<style>NO</style>keep",
        "<noscript>NO</noscript>keep",
        "<nav>NO</nav><p>keep",
        "<header>NO</header>keep<footer>NO</footer>",
        "<aside>NO</aside><p>keep",
        "<p hidden>NO</p>keep",
        "<div aria-hidden=true>NO<p>NO</div>keep",
        "<p style='color:red; display : none'>NO</p>keep",
        "<span style='visibility:hidden'>NO</span>keep",
        "<template>NO</template>keep",
        "<div role=navigation>NO</div>keep",
        "<div class='navheader'>NO</div>keep",
        "<ul class='x breadcrumb'><li>NO</ul>keep",
        "<div class=toc>NO</div>keep",
        "<div class=site-footer>NO</div>keep",
        "<div id=sidebar>NO</div>keep",
        "<select><option>NO</select>keep",
        "<button>NO<p>NO</button>keep",
        "<textarea><p>NO</textarea>keep",
        "<svg><title>NO</title><text>NO</svg>keep",
        "<nav>NO</nav><main>keep</main><p>NO",
        "<p>NO</p><article>keep keep keep keep</article>",
        "<ul><li><a href=1>NO</a><li><a href=2>NO</a><li><a href=3>NO</a><li><a href=4>NO</a></ul>keep",
        "<div><a href=1>NO</a> <a href=2>NO</a> <a href=3>NO</a> <a href=4>NO</a></div>keep",
        "<h1>keep</h1><p>keep</p><h2>NO</h2><nav>NO</nav><h2>keep</h2>keep",
        "<form><input><label>NO</label></form>keep",
        "<iframe><p>NO</iframe>keep",
        "<!-- NO --><p>keep",
        "<![CDATA[NO]]>keep",
        "<head><meta name=NO></head>keep",
        "<div style=display:none><div>NO</div>NO</div>keep"};
    struct arena *a = arena_new(4096);
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        struct str got = html(a, pages[i], NULL);
        if (!got.len || memmem(got.ptr, got.len, "NO", 2) || !memmem(got.ptr, got.len, "keep", 4))
            fail_msg("%s\n gave: %.*s", pages[i], STR_FMT(got));
    }
    arena_free(a);
}

static void test_extract_html__keeps_what_only_looks_like_boilerplate(void **state)
{
    (void)state;
    static const char *const pages[] = {
        "<div class='has-sidebar with-toc'>keep</div>",
        "<div class=navy>keep</div>",
        "<h2 id=menu>keep</h2>",
        "<section id=navigation>keep</section>",
        "<div class=footnotes>keep</div>",
        "<body class=nav>keep",
        "<body style='visibility:hidden'>keep",
        "<article><header>keep</header></article>",
        "<nav>keep</nav>",
        "<form><p>keep</form>",
        "<div class=toc><a href=1>keep</a></div>",
        "<p>See <a href=1>a</a>, <a href=2>b</a>, <a href=3>c</a>, <a href=4>keep</a></p>"};
    struct arena *a = arena_new(4096);
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        struct str got = html(a, pages[i], NULL);
        if (!memmem(got.len ? got.ptr : "", got.len, "keep", 4))
            fail_msg("%s\n gave: %.*s", pages[i], STR_FMT(got));
    }
    arena_free(a);
}

static void test_extract_html__finds_the_title(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct str title;
    html(a, "<title> A &amp;\n B </title><svg><title>no</title></svg><h1>H</h1>", &title);
    assert_true(str_eqc(title, "A & B"));
    html(a, "<h2>Two</h2><h1>One</h1>x", &title);
    assert_true(str_eqc(title, "One"));
    html(a, "x", &title);
    assert_int_equal(title.len, 0);
    arena_free(a);
}

static void test_extract_html__keeps_kinds_levels_and_depths(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct extracted ex;
    const char *page = "<h1>a</h1><p>b</p><h3>c</h3><ul><li>d</ul><pre>e</pre><table><tr><td>f</table>"
                       "<dl><dt>g<dd>h<dl><dt>i<dd>j</dl></dl>k";
    assert_int_equal(extract_html(a, str_of(page), &ex, NULL), ASSAY_OK);
    static const struct {
        enum block_kind kind;
        int level, depth;
    } want[] = {{BLOCK_HEADING, 1, 0}, {BLOCK_PARAGRAPH, 0, 0}, {BLOCK_HEADING, 3, 0},  {BLOCK_LIST_ITEM, 0, 0},
                {BLOCK_CODE, 0, 0},    {BLOCK_TABLE_ROW, 0, 0}, {BLOCK_TERM, 0, 1},     {BLOCK_PARAGRAPH, 0, 1},
                {BLOCK_TERM, 0, 2},    {BLOCK_PARAGRAPH, 0, 2}, {BLOCK_PARAGRAPH, 0, 0}};
    assert_int_equal(ex.n_blocks, sizeof want / sizeof *want);
    for (size_t i = 0; i < ex.n_blocks; i++) {
        assert_int_equal(ex.blocks[i].kind, want[i].kind);
        assert_int_equal(ex.blocks[i].level, want[i].level);
        assert_int_equal(ex.blocks[i].depth, want[i].depth);
    }
    arena_free(a);
}

static void test_extract_html__refuses_what_is_not_utf8(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct extracted ex;
    struct err err = {0};
    assert_int_equal(extract_html(a, STR_LIT("<p>caf\xe9</p>"), &ex, &err), ASSAY_UNPROCESSABLE);
    assert_string_equal(err_slug(&err), "not-utf8");
    err_clear(&err);
    arena_free(a);
}

/* `unit` repeated, as a page; then the text must come out, in a time that shows no square. */
static void hostile(const char *unit, size_t times, const char *tail)
{
    struct arena *a = arena_new(4096);
    struct buf page = {0};
    struct extracted ex;
    for (size_t i = 0; i < times; i++)
        buf_puts(&page, unit);
    buf_puts(&page, tail);
    clock_t start = clock();
    assert_int_equal(extract_html(a, buf_str(&page), &ex, NULL), ASSAY_OK);
    assert_true(ex.n_blocks > 0);
    const struct block *last = &ex.blocks[ex.n_blocks - 1];
    assert_non_null(memmem(last->text.ptr, last->text.len, "end", 3));
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 10.0);
    buf_free(&page);
    arena_free(a);
}

static void test_extract_html__survives_deep_nesting_and_other_malice(void **state)
{
    (void)state;
    hostile("<div>", 100000, "end");
    hostile("<div><p>x", 100000, "end");
    hostile("<b a=1><i b=2>", 100000, "<p>x<p>end");
    hostile("<table><tr><td>", 100000, "end");
    hostile("<div></b>", 100000, "end");
    hostile("<dl><dt>", 100000, "end");
    hostile("<a href=x>", 100000, "end");
    hostile("</div>", 100000, "end");
    hostile("<!--", 1, "--><p>end");
    hostile("<", 100000, " end");
    hostile("&", 100000, " end");
    hostile("<p class='", 1, "'>end");
}

static void test_extract_html__bounds_the_number_of_blocks(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct buf page = {0};
    struct extracted ex;
    struct err err = {0};
    for (size_t i = 0; i < EXTRACT_BLOCKS_MAX + 1; i++)
        buf_puts(&page, "<p>x");
    assert_int_equal(extract_html(a, buf_str(&page), &ex, &err), ASSAY_TOO_LARGE);
    err_clear(&err);
    buf_free(&page);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extract_html__gives_the_text_a_reader_sees),
        cmocka_unit_test(test_extract_html__drops_what_is_not_content),
        cmocka_unit_test(test_extract_html__keeps_what_only_looks_like_boilerplate),
        cmocka_unit_test(test_extract_html__finds_the_title),
        cmocka_unit_test(test_extract_html__keeps_kinds_levels_and_depths),
        cmocka_unit_test(test_extract_html__refuses_what_is_not_utf8),
        cmocka_unit_test(test_extract_html__survives_deep_nesting_and_other_malice),
        cmocka_unit_test(test_extract_html__bounds_the_number_of_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
