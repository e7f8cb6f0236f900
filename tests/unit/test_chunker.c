/* ingest/chunker and ingest/segment: where texts are cut, and what the pieces weigh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "ingest/segment.h"
#include "tests/unit/chunk_invariants.h"

static const struct chunk_params small = {.target_tokens = 20, .max_tokens = 30, .overlap_tokens = 6, .split_level = 6};

struct result {
    struct canonical doc;
    struct chunk_span *spans;
    size_t n;
};

static struct result chunk_md(struct arena *a, const struct chunk_params *p, const char *markdown)
{
    struct result r;
    struct extracted ex;
    assert_int_equal(extract(a, MEDIA_MARKDOWN, str_of(markdown), &ex, NULL), ASSAY_OK);
    assert_int_equal(canonicalise(a, &ex, &r.doc, NULL), ASSAY_OK);
    assert_int_equal(chunk_spans(a, p, &r.doc, &r.spans, &r.n, NULL), ASSAY_OK);
    check_spans(&r.doc, p, r.spans, r.n);
    return r;
}

static struct str span_text(const struct result *r, size_t i)
{
    return (struct str){r->doc.text.ptr + r->spans[i].from, r->spans[i].to - r->spans[i].from};
}

static void test_token_count__weighs_by_class(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t tokens;
    } cases[] = {{"", 0},
                 {"   ", 0},
                 {"one two", 2},
                 {"sixsix", 1},
                 {"sevenseven", 2},
                 {"a.b", 3},
                 {"...!!!", 1},
                 {"a--------b", 4},
                 {"\u65e5\u672c", 2},
                 {"\u00e9t\u00e9", 1},
                 {"snake_case", 2},
                 {"                ", 1},
                 {"\ud55c\uae00 x", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (ingest_token_count(str_of(cases[i].text)) != cases[i].tokens)
            fail_msg("%s weighs %zu", cases[i].text, ingest_token_count(str_of(cases[i].text)));
}

static void test_segment_cut__prefers_sentences(void **state)
{
    (void)state;
    struct str s = STR_LIT("One two three, e.g. four five. Six seven eight nine ten eleven");
    size_t cut = segment_cut(s, 0, s.len, 14, false);
    assert_int_equal(cut, strlen("One two three, e.g. four five. "));
    assert_int_equal(segment_cut(s, 0, s.len, 1000, false), s.len);
    struct str words = STR_LIT("a b c d e f g h");
    assert_int_equal(segment_cut(words, 0, words.len, 3, false), 6);
    struct str lines = STR_LIT("a. b\nc. d\ne. f");
    assert_int_equal(segment_cut(lines, 0, lines.len, 8, true), strlen("a. b\nc. d\n"));
    struct str word = STR_LIT("abcdefghijklmnopqrstuvwxyz");
    assert_int_equal(segment_cut(word, 0, word.len, 2, false), 12);
    struct str ideographs = STR_LIT("\u65e5\u672c\u3002\u8a9e\u8a9e\u8a9e\u8a9e");
    assert_int_equal(segment_cut(ideographs, 0, ideographs.len, 4, false), 9);
}

static void test_segment_tail__begins_at_a_sentence(void **state)
{
    (void)state;
    struct str s = STR_LIT("First sentence here. Second one. Third.");
    assert_int_equal(segment_tail(s, 0, s.len, 6, false), strlen("First sentence here. "));
    assert_int_equal(segment_tail(s, 0, s.len, 3, false), strlen("First sentence here. Second one. "));
    assert_int_equal(segment_tail(s, 0, s.len, 0, false), s.len);
    struct str one = STR_LIT("a b c d e");
    assert_int_equal(segment_tail(one, 0, one.len, 2, false), strlen("a b c "));
    assert_int_equal(segment_tail(one, 0, one.len, 2, true), one.len);
}

static void test_chunk_spans__does_not_cross_headings(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct result r = chunk_md(a, &small,
                               "# Top\n\nThe introduction says quite a lot about the things that follow in here.\n\n"
                               "## Left\n\nThe left part is about one thing and it goes on for a while to fill.\n\n"
                               "## Right\n\nThe right part is about another thing and it goes on for a while too.\n");
    assert_int_equal(r.n, 3);
    assert_true(str_eqc(r.spans[0].heading, "Top"));
    assert_true(str_eqc(r.spans[1].heading, "Top > Left"));
    assert_true(str_eqc(r.spans[2].heading, "Top > Right"));
    assert_true(str_starts(span_text(&r, 1), "Left\n\nThe left"));
    arena_free(a);
}

static void test_chunk_spans__joins_tiny_sections_and_bare_headings(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct result r = chunk_md(a, &small, "# Top\n\n## A\n\none\n\n## B\n\ntwo\n\n## C\n\nthree\n");
    assert_int_equal(r.n, 1);
    assert_true(str_eqc(r.spans[0].heading, "Top > A"));
    /* Not with what is above: an uncle is no sibling. */
    r = chunk_md(a, &small,
                 "# One\n\nAbcd efgh ijkl mnop qrst uvwx yz abcd efgh ijkl mnop qrst uvwx.\n\n## Deep\n\n"
                 "Abcd efgh ijkl mnop qrst uvwx yz abcd efgh ijkl mnop qrst uvwx.\n\n# Two\n\nx y\n");
    assert_int_equal(r.n, 3);
    assert_true(str_eqc(r.spans[2].heading, "Two"));
    arena_free(a);
}

static void test_chunk_spans__overlaps_within_a_section(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct result r = chunk_md(a, &small,
                               "# H\n\nAlpha beta gamma delta epsilon zeta eta theta. Short tail here.\n\n"
                               "Iota kappa lambda mu nu xi omicron pi rho sigma. Another tail there.\n\n"
                               "Tau upsilon phi chi psi omega and once more from the start.\n");
    assert_int_equal(r.n, 3);
    assert_true(str_starts(span_text(&r, 1), "Short tail here.\n\nIota"));
    assert_true(str_starts(span_text(&r, 2), "Another tail there.\n\nTau"));
    struct chunk_params none = small;
    none.overlap_tokens = 0;
    r = chunk_md(a, &none,
                 "One two three four five six seven eight nine ten eleven twelve.\n\n"
                 "One two three four five six seven eight nine ten eleven twelve.\n");
    assert_int_equal(r.n, 2);
    assert_true(r.spans[1].from >= r.spans[0].to);
    arena_free(a);
}

static void test_chunk_spans__splits_what_is_too_long(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct buf b = {0};
    for (int i = 0; i < 500; i++)
        buf_printf(&b, "Sentence number %d says something. ", i);
    struct result r = chunk_md(a, &small, buf_cstr(&b));
    assert_true(r.n > 50);
    for (size_t i = 0; i + 1 < r.n; i++)
        assert_true(r.doc.text.ptr[r.spans[i].to - 1] == '.');
    b.len = 0;
    for (int i = 0; i < 20000; i++)
        buf_puts(&b, "\u00e9");
    r = chunk_md(a, &small, buf_cstr(&b));
    assert_true(r.n > 100);
    buf_free(&b);
    arena_free(a);
}

static void test_chunk_spans__does_not_part_a_term_from_its_text(void **state)
{
    (void)state;
    struct block blocks[] = {
        {.kind = BLOCK_PARAGRAPH, .text = STR_LIT("Some words that fill the first half of a chunk, and a few more.")},
        {.kind = BLOCK_TERM, .depth = 1, .text = STR_LIT("fsync")},
        {.kind = BLOCK_PARAGRAPH,
         .depth = 1,
         .text = STR_LIT("Makes sure that updates are written to disk, really so.")},
        {.kind = BLOCK_PARAGRAPH,
         .depth = 1,
         .text = STR_LIT("A second paragraph about it, that is of much the same size.")},
        {.kind = BLOCK_PARAGRAPH,
         .text = STR_LIT("And this is outside of the list, with nothing to do with it at all.")}};
    struct extracted ex = {.title = STR_LIT(""), .blocks = blocks, .n_blocks = sizeof blocks / sizeof *blocks};
    struct arena *a = arena_new(4096);
    struct result r;
    struct chunk_params p = small;
    p.overlap_tokens = 0;
    assert_int_equal(canonicalise(a, &ex, &r.doc, NULL), ASSAY_OK);
    assert_int_equal(chunk_spans(a, &p, &r.doc, &r.spans, &r.n, NULL), ASSAY_OK);
    check_spans(&r.doc, &p, r.spans, r.n);
    assert_int_equal(r.n, 4);
    assert_true(str_starts(span_text(&r, 1), "fsync\nMakes"));
    assert_true(str_eqc(r.spans[2].heading, "fsync"));
    assert_int_equal(r.spans[3].heading.len, 0);
    arena_free(a);
}

static void test_chunk_spans__of_nothing_is_nothing(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    assert_int_equal(chunk_md(a, &small, "").n, 0);
    assert_int_equal(chunk_md(a, &small, "\n \n").n, 0);
    arena_free(a);
}

static void test_chunk_spans__holds_its_promises_on_random_text(void **state)
{
    (void)state;
    static const char *const parts[] = {"word ",
                                        "longerword ",
                                        ". ",
                                        "\n",
                                        "\n\n",
                                        "# H\n\n",
                                        "### K\n\n",
                                        "- i\n",
                                        "x",
                                        ": ",
                                        "\u65e5\u672c\u3002",
                                        "\u00e9",
                                        "```\n  c  \n```\n",
                                        "|a|b|\n|-|-|\n|1|2|\n",
                                        "!?",
                                        "                                        "};
    uint32_t seed = 11;
    for (int round = 0; round < 300; round++) {
        struct arena *a = arena_new(4096);
        struct buf b = {0};
        for (int i = 0; i < 200; i++) {
            seed = seed * 1664525U + 1013904223U;
            buf_puts(&b, parts[(seed >> 8U) % (sizeof parts / sizeof *parts)]);
        }
        struct chunk_params p = {
            .target_tokens = 16 + seed % 40, .overlap_tokens = seed % 8, .split_level = 1 + seed % 6};
        p.max_tokens = p.target_tokens + seed % 20;
        chunk_md(a, &p, buf_cstr(&b));
        buf_free(&b);
        arena_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token_count__weighs_by_class),
        cmocka_unit_test(test_segment_cut__prefers_sentences),
        cmocka_unit_test(test_segment_tail__begins_at_a_sentence),
        cmocka_unit_test(test_chunk_spans__does_not_cross_headings),
        cmocka_unit_test(test_chunk_spans__joins_tiny_sections_and_bare_headings),
        cmocka_unit_test(test_chunk_spans__overlaps_within_a_section),
        cmocka_unit_test(test_chunk_spans__splits_what_is_too_long),
        cmocka_unit_test(test_chunk_spans__does_not_part_a_term_from_its_text),
        cmocka_unit_test(test_chunk_spans__of_nothing_is_nothing),
        cmocka_unit_test(test_chunk_spans__holds_its_promises_on_random_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
