/* Tokenizers as Hugging Face writes them. The expected ids follow from the published algorithms, worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "index/static_tokenizer.h"

#define BERT                                                                                                           \
    "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,"                   \
    "\"strip_accents\":null,\"lowercase\":true},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}"
#define WORDPIECE                                                                                                      \
    "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\","                  \
    "\"max_input_chars_per_word\":12,\"vocab\":{\"[UNK]\":0,\"un\":1,\"##aff\":2,\"##able\":3,\"the\":4,\",\":5,"      \
    "\"cafe\":6,\"\u4e2d\":7,\"[CLS]\":8,\"##a\":9,\"unaf\":10}}"
#define UNIGRAM(more)                                                                                                  \
    "\"model\":{\"type\":\"Unigram\",\"unk_id\":0," more "\"vocab\":[[\"<unk>\",0.0],[\"\u2581\",-2.0],"               \
    "[\"\u2581a\",-3.0],[\"b\",-3.0],[\"ab\",-2.5],[\"\u2581ab\",-6.0],[\"c\",-4.0]"
#define METASPACE                                                                                                      \
    "\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\u2581\","                        \
    "\"prepend_scheme\":\"always\",\"split\":true}"

static struct static_tokenizer *read_tokenizer(const char *json)
{
    struct static_tokenizer *t = NULL;
    struct err err = {0};
    if (static_tokenizer_read(str_of(json), &t, &err) != ASSAY_OK) {
        fail_msg("%s", err.detail);
    }
    return t;
}

static void assert_refused(const char *json, const char *word)
{
    struct static_tokenizer *t = NULL;
    struct err err = {0};
    assert_int_equal(static_tokenizer_read(str_of(json), &t, &err), ASSAY_INVALID);
    assert_null(t);
    if (strstr(err.detail, word) == NULL) {
        fail_msg("\"%s\" does not name \"%s\"", err.detail, word);
    }
    err_clear(&err);
}

/* `want`: the ids, each followed by a blank. */
static void assert_ids(const struct static_tokenizer *t, struct str text, const char *want)
{
    uint32_t ids[64];
    struct buf got = {0};
    size_t n = static_tokenizer_encode(t, text, 64, ids);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&got, "%u ", ids[i]);
    }
    assert_string_equal(buf_cstr(&got), want);
    buf_free(&got);
}

static void test_static_tokenizer__wordpiece_takes_the_longest_piece(void **state)
{
    (void)state;
    struct static_tokenizer *t = read_tokenizer("{\"added_tokens\":[]," BERT "," WORDPIECE "}");
    assert_ids(t, STR_LIT("unable"), "1 3 ");
    assert_ids(t, STR_LIT("UNAFFABLE"), "0 "); /* greedy: "unaf", and then nothing begins with "fable" */
    assert_ids(t, STR_LIT("unafa"), "10 9 ");
    assert_ids(t, STR_LIT("the,the  \t the"), "4 5 4 4 ");
    assert_ids(t, STR_LIT("caf\xc3\xa9 cafe\xcc\x81"), "6 6 ");
    assert_ids(t, STR_LIT("the\xe4\xb8\xad\xe4\xb8\xadthe"), "4 7 7 4 ");
    assert_ids(t, STR_LIT("the\xe2\x80\x8b the\x01"), "4 4 "); /* format and control characters go */
    assert_ids(t, STR_LIT("thethe"), "0 ");
    assert_ids(t, STR_LIT("unaaaaaaaaaa"), "1 9 9 9 9 9 9 9 9 9 9 ");
    assert_ids(t, STR_LIT("unaaaaaaaaaaa"), "0 "); /* more than 12 characters */
    assert_ids(t, STR_LIT(""), "");
    assert_ids(t, STR_LIT("the \xff"), ""); /* not UTF-8 */
    assert_int_equal(static_tokenizer_size(t), 11);
    assert_int_equal(static_tokenizer_unknown(t), 0);
    assert_int_equal(static_tokenizer_median(t), 4); /* 1 1 2 3 3 4 5 5 5 5 6, in characters */
    static_tokenizer_free(t);
}

static void test_static_tokenizer__stops_at_the_most_ids(void **state)
{
    (void)state;
    struct static_tokenizer *t = read_tokenizer("{" BERT "," WORDPIECE "}");
    uint32_t ids[3] = {77, 77, 77};
    assert_int_equal(static_tokenizer_encode(t, STR_LIT("the unable the"), 2, ids), 2);
    assert_int_equal(ids[0], 4);
    assert_int_equal(ids[1], 1);
    assert_int_equal(ids[2], 77);
    assert_int_equal(static_tokenizer_encode(t, STR_LIT("the"), 0, ids), 0);
    static_tokenizer_free(t);
}

static void test_static_tokenizer__unigram_takes_the_most_probable_way(void **state)
{
    (void)state;
    struct static_tokenizer *t = read_tokenizer("{" METASPACE "," UNIGRAM("") "]}}");
    /* _ab: "_ab" -6 against "_" "ab" -4.5 against "_a" "b" -6 */
    assert_ids(t, STR_LIT("ab"), "1 4 ");
    assert_ids(t, STR_LIT("ab ab"), "1 4 1 4 ");
    assert_ids(t, STR_LIT("a"), "2 ");
    assert_ids(t, STR_LIT("xyc"), "1 0 6 "); /* unknown characters side by side are one */
    assert_ids(t, STR_LIT("xcy"), "1 0 6 0 ");
    static_tokenizer_free(t);
}

static void test_static_tokenizer__unigram_falls_back_to_bytes(void **state)
{
    (void)state;
    struct buf json = {0};
    buf_puts(&json, "{" METASPACE "," UNIGRAM("\"byte_fallback\":true,"));
    for (unsigned i = 0; i < 256; i++) {
        buf_printf(&json, ",[\"<0x%02X>\",-20.0]", i);
    }
    buf_puts(&json, "]}}");
    struct static_tokenizer *t = read_tokenizer(buf_cstr(&json));
    assert_ids(t, STR_LIT("a\xc3\xa9"), "2 202 176 "); /* 7 + 0xc3, 7 + 0xa9 */
    static_tokenizer_free(t);
    buf_free(&json);
    assert_refused("{" METASPACE "," UNIGRAM("\"byte_fallback\":true,") "]}}", "byte_fallback");
}

static void test_static_tokenizer__added_tokens_come_first(void **state)
{
    (void)state;
    struct static_tokenizer *t = read_tokenizer(
        "{\"added_tokens\":[{\"id\":8,\"content\":\"[CLS]\",\"special\":true,\"normalized\":false},"
        "{\"id\":20,\"content\":\"The Un\",\"single_word\":true,\"rstrip\":true,\"normalized\":true}]," BERT
        "," WORDPIECE "}");
    assert_ids(t, STR_LIT("the[CLS]the"), "4 8 4 ");
    assert_ids(t, STR_LIT("[cls]"), "0 0 0 "); /* not normalised: as it stands or not at all */
    assert_ids(t, STR_LIT("THE UN the"), "20 4 ");
    assert_ids(t, STR_LIT("the unable"), "4 1 3 "); /* not a word of its own */
    assert_int_equal(static_tokenizer_size(t), 21);
    static_tokenizer_free(t);
}

static void test_static_tokenizer__normalisers_run_in_order(void **state)
{
    (void)state;
    struct static_tokenizer *t = read_tokenizer(
        "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFKC\"},{\"type\":\"Lowercase\"},"
        "{\"type\":\"Replace\",\"pattern\":{\"String\":\"-\"},\"content\":\" the \"},"
        "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"\\\\s+\"},\"content\":\" \"},"
        "{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}]},"
        "\"pre_tokenizer\":{\"type\":\"Whitespace\"}," WORDPIECE "}");
    assert_ids(t, STR_LIT("  \xef\xbc\xb4he-UN  \t"), "4 4 1 ");
    static_tokenizer_free(t);
}

static void test_static_tokenizer__text_cannot_explode(void **state)
{
    (void)state;
    struct buf json = {0};
    uint32_t ids[8];
    buf_puts(&json, "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[");
    for (int i = 0; i < 200; i++) {
        buf_printf(&json, "%s{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aaaaaaaaaaaaaaaa\"}",
                   i > 0 ? "," : "");
    }
    buf_puts(&json, "]},\"pre_tokenizer\":{\"type\":\"Whitespace\"}," WORDPIECE "}");
    struct static_tokenizer *t = read_tokenizer(buf_cstr(&json));
    assert_int_equal(static_tokenizer_encode(t, STR_LIT("a"), 8, ids), 1);
    static_tokenizer_free(t);
    buf_free(&json);
}

static void test_static_tokenizer__refuses_what_it_cannot_do(void **state)
{
    (void)state;
    assert_refused("", "tokenizer.json");
    assert_refused("{}", "vocabulary");
    assert_refused("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", "BPE");
    assert_refused("{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}", "unk_token");
    assert_refused("{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0,\"a\":-1}}}", "id");
    assert_refused("{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0,\"a\":99999999}}}", "id");
    assert_refused("{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0,\"a\":\"1\"}}}", "id");
    assert_refused("{\"model\":{\"type\":\"Unigram\",\"unk_id\":1,\"vocab\":[[\"a\",0]]}}", "unk_id");
    assert_refused("{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",\"x\"]]}}", "score");
    assert_refused("{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[\"a\"]}}", "token");
    assert_refused("{\"normalizer\":{\"type\":\"ByteLevel\"}," WORDPIECE "}", "ByteLevel");
    assert_refused(
        "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(a|b)*\"},\"content\":\"\"}," WORDPIECE "}",
        "(a|b)*");
    assert_refused("{\"pre_tokenizer\":{\"type\":\"Split\"}," WORDPIECE "}", "Split");
    assert_refused("{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"__\"}," WORDPIECE "}", "Metaspace");
    assert_refused("{\"added_tokens\":[{\"id\":1}]," WORDPIECE "}", "token");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_static_tokenizer__wordpiece_takes_the_longest_piece),
        cmocka_unit_test(test_static_tokenizer__stops_at_the_most_ids),
        cmocka_unit_test(test_static_tokenizer__unigram_takes_the_most_probable_way),
        cmocka_unit_test(test_static_tokenizer__unigram_falls_back_to_bytes),
        cmocka_unit_test(test_static_tokenizer__added_tokens_come_first),
        cmocka_unit_test(test_static_tokenizer__normalisers_run_in_order),
        cmocka_unit_test(test_static_tokenizer__text_cannot_explode),
        cmocka_unit_test(test_static_tokenizer__refuses_what_it_cannot_do),
    };
    return cmocka_run_group_tests_name("static_tokenizer", tests, NULL, NULL);
}
