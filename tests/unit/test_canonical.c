/* ingest/canonical: the one form of a text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/unit/chunk_invariants.h"

static struct canonical of_block(struct arena *a, enum block_kind kind, const char *text)
{
    struct block b = {.kind = kind, .level = kind == BLOCK_HEADING, .text = str_of(text)};
    struct extracted ex = {.title = STR_LIT(""), .blocks = &b, .n_blocks = 1};
    struct canonical doc;
    assert_int_equal(canonicalise(a, &ex, &doc, NULL), ASSAY_OK);
    return doc;
}

static void test_canonicalise__normalises_text(void **state)
{
    (void)state;
    static const struct {
        enum block_kind kind;
        const char *in, *out;
    } cases[] = {
        {BLOCK_PARAGRAPH, "  a \t b\u00a0\u2003c  ", "a b c"},
        {BLOCK_PARAGRAPH, "a\r\nb\rc \n\n  d\u2028e", "a\nb\nc\nd\ne"},
        {BLOCK_PARAGRAPH, "e\u0301 A\u030a \u212b", "\u00e9 \u00c5 \u00c5"},
        {BLOCK_PARAGRAPH, "e\u200b\u0301", "\u00e9"},
        {BLOCK_PARAGRAPH, "co\u00adop\ufeff \u202eevil\u202c \U000e0041x", "coop evil x"},
        {BLOCK_PARAGRAPH, "a\x01\x7f\xc2\x80z", "az"},
        {BLOCK_PARAGRAPH, "\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"},
        {BLOCK_PARAGRAPH, "\u1112\u1161\u11ab", "\ud55c"},
        {BLOCK_CODE, "\n\n  a  b\t\n\n\n\tc\r\n  \n", "  a  b\n\n\n\tc"},
        {BLOCK_HEADING, "a\n b", "a b"},
        {BLOCK_PARAGRAPH, " \n\u200b\t ", ""},
    };
    struct arena *a = arena_new(4096);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct canonical doc = of_block(a, cases[i].kind, cases[i].in);
        if (!str_eqc(doc.text, cases[i].out))
            fail_msg("case %zu gave: %.*s", i, STR_FMT(doc.text));
        assert_int_equal(doc.n_blocks, cases[i].out[0] != '\0');
        check_canonical(a, &doc);
    }
    arena_free(a);
}

static void test_canonicalise__joins_blocks_by_kind(void **state)
{
    (void)state;
    struct block blocks[] = {{.kind = BLOCK_HEADING, .level = 1, .text = STR_LIT("h")},
                             {.kind = BLOCK_PARAGRAPH, .text = STR_LIT("p")},
                             {.kind = BLOCK_LIST_ITEM, .text = STR_LIT("i")},
                             {.kind = BLOCK_LIST_ITEM, .text = STR_LIT("\u200b")},
                             {.kind = BLOCK_LIST_ITEM, .text = STR_LIT("j")},
                             {.kind = BLOCK_TABLE_ROW, .text = STR_LIT("r")},
                             {.kind = BLOCK_TABLE_ROW, .text = STR_LIT("s"), .page = 7},
                             {.kind = BLOCK_TERM, .text = STR_LIT("t"), .depth = 1},
                             {.kind = BLOCK_PARAGRAPH, .text = STR_LIT("d"), .depth = 1},
                             {.kind = BLOCK_TERM, .text = STR_LIT("u"), .depth = 1},
                             {.kind = BLOCK_CODE, .text = STR_LIT("c"), .depth = 1}};
    struct extracted ex = {.title = STR_LIT(""), .blocks = blocks, .n_blocks = sizeof blocks / sizeof *blocks};
    struct arena *a = arena_new(4096);
    struct canonical doc;
    assert_int_equal(canonicalise(a, &ex, &doc, NULL), ASSAY_OK);
    assert_true(str_eqc(doc.text, "h\n\np\n\ni\nj\n\nr\ns\n\nt\nd\n\nu\n\nc"));
    assert_int_equal(doc.n_blocks, ex.n_blocks - 1);
    assert_int_equal(doc.blocks[5].page, 7);
    assert_int_equal(doc.blocks[6].depth, 1);
    check_canonical(a, &doc);
    arena_free(a);
}

/* A generator of its own, so that a failure repeats. */
static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 8U;
}

static void test_canonicalise__is_idempotent_on_random_text(void **state)
{
    (void)state;
    static const char *const parts[] = {"a",      " ",      "\n",     "\t",     "\r\n",   "e",         "\u0301",
                                        "\u0323", "\u200b", "\u00ad", "\u1112", "\u1161", "\u11ab",    "\u212b",
                                        "\u00a0", "\u3000", "\x02",   "|",      "\u0958", "\U0001f600"};
    uint32_t seed = 7;
    for (int round = 0; round < 2000; round++) {
        struct arena *a = arena_new(4096);
        struct block blocks[4];
        for (size_t k = 0; k < 4; k++) {
            struct buf b = {0};
            for (uint32_t n = 1 + next(&seed) % 20; n > 0; n--)
                buf_puts(&b, parts[next(&seed) % (sizeof parts / sizeof *parts)]);
            blocks[k] = (struct block){.kind = (enum block_kind)(next(&seed) % (BLOCK_TABLE_ROW + 1)),
                                       .text = str_dup(a, buf_str(&b))};
            buf_free(&b);
        }
        struct extracted ex = {.title = STR_LIT(""), .blocks = blocks, .n_blocks = 4};
        struct canonical doc;
        assert_int_equal(canonicalise(a, &ex, &doc, NULL), ASSAY_OK);
        check_canonical(a, &doc);
        arena_free(a);
    }
}

static void test_canonicalise__bounds_the_text(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    char *big = arena_alloc(a, CANONICAL_MAX + 1);
    memset(big, 'x', CANONICAL_MAX + 1);
    struct block b = {.kind = BLOCK_PARAGRAPH, .text = {big, CANONICAL_MAX + 1}};
    struct extracted ex = {.title = STR_LIT(""), .blocks = &b, .n_blocks = 1};
    struct canonical doc;
    struct err err = {0};
    assert_int_equal(canonicalise(a, &ex, &doc, &err), ASSAY_TOO_LARGE);
    b.text.len--;
    assert_int_equal(canonicalise(a, &ex, &doc, &err), ASSAY_OK);
    err_clear(&err);
    arena_free(a);
}

static void test_canonical_line__is_one_line(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    assert_true(str_eqc(canonical_line(a, STR_LIT("  A\n title\u200b ")), "A title"));
    assert_int_equal(canonical_line(a, (struct str){0}).len, 0);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonicalise__normalises_text),
        cmocka_unit_test(test_canonicalise__joins_blocks_by_kind),
        cmocka_unit_test(test_canonicalise__is_idempotent_on_random_text),
        cmocka_unit_test(test_canonicalise__bounds_the_text),
        cmocka_unit_test(test_canonical_line__is_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
