#include "index_fixture.h"

#include "index/words.h"

/* Words joined by blanks, parts of identifiers marked with '+', pairs with '='. */
struct listing {
    struct words *w;
    char text[1024];
    bool stem;
};

static void list_word(void *ctx, const struct word *word)
{
    struct listing *l = ctx;
    struct str s = l->stem ? words_stem(l->w, WORDS_LANG_ENGLISH, word) : word->folded;
    size_t n = strlen(l->text);
    snprintf(l->text + n, sizeof(l->text) - n, "%s%s%.*s", n > 0 ? " " : "",
             word->part   ? "+"
             : word->pair ? "="
                          : "",
             STR_FMT(s));
}

static void expect(const char *text, bool stem, const char *want)
{
    struct listing l = {.w = words_new(), .stem = stem};
    words_each(l.w, str_of(text), list_word, &l);
    assert_string_equal(l.text, want);
    words_free(l.w);
}

static void test_words__cuts_and_folds(void **state)
{
    (void)state;
    expect("The QUICK, brown-fox; jumps!", false, "the quick brown fox jumps");
    expect("\xC3\x89t\xC3\xA9 stra\xC3\x9F"
           "e \xEF\xAC\x81ne",
           false, "\xC3\xA9t\xC3\xA9 strasse fine");
    expect("", false, "");
    expect("... -- __", false, "");
}

static void test_words__keeps_identifiers_whole_and_split(void **state)
{
    (void)state;
    expect("set max_connections = 15.3", false, "set max_connections +max +connections 15.3 +15 +3");
    expect("end. Next", false, "end next");
    expect("v1.", false, "v1");
}

static void test_words__apostrophes(void **state)
{
    (void)state;
    expect("the server's l'index", false, "the server's l index");
    expect("server's", true, "server");
}

static void test_words__composed_and_decomposed_are_the_same(void **state)
{
    (void)state;
    expect("cafe\xCC\x81", false, "caf\xC3\xA9");
    expect("caf\xC3\xA9", false, "caf\xC3\xA9");
    expect("caf\xC3\xA9", true, "cafe");
}

static void test_words__scripts_without_blanks_give_pairs(void **state)
{
    (void)state;
    expect("\xE6\x95\xB0\xE6\x8D\xAE\xE5\xBA\x93 db", false, "=\xE6\x95\xB0\xE6\x8D\xAE =\xE6\x8D\xAE\xE5\xBA\x93 db");
    expect("\xE5\xBA\x93", false, "=\xE5\xBA\x93");
}

static void test_words__survives_invalid_utf8_and_long_words(void **state)
{
    (void)state;
    expect("a\xFF"
           "b\xC3",
           false, "a b");
    char longest[500];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    char cut[WORDS_LEN_MAX + 1];
    memset(cut, 'x', WORDS_LEN_MAX);
    cut[WORDS_LEN_MAX] = '\0';
    expect(longest, false, cut);
}

static void test_words__stems_by_language(void **state)
{
    (void)state;
    struct words *w = words_new();
    struct word running = {.folded = STR_LIT("running")};
    struct word haeuser = {.folded = STR_LIT("h\xC3\xA4user")};
    assert_true(str_eqc(words_stem(w, words_lang(STR_LIT("en")), &running), "run"));
    assert_true(str_eqc(words_stem(w, words_lang(STR_LIT("de-AT")), &haeuser), "haus"));
    assert_true(str_eqc(words_stem(w, words_lang(STR_LIT("zh")), &running), "running"));
    assert_int_equal(words_lang(STR_LIT("zh")), WORDS_LANG_NONE);
    assert_int_equal(words_lang((struct str){NULL, 0}), WORDS_LANG_ENGLISH);
    words_free(w);
}

static void test_words__stop_words_are_found_by_binary_search(void **state)
{
    (void)state;
    static const char *const stop[] = {"a", "the", "your", "should", "about", "which"};
    static const char *const not [] = {"aa", "vacuum", "th", "they're", "zebra", "server"};
    for (size_t i = 0; i < 6; i++) {
        assert_true(words_stop(str_of(stop[i])));
        assert_false(words_stop(str_of(not [i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words__cuts_and_folds),
        cmocka_unit_test(test_words__keeps_identifiers_whole_and_split),
        cmocka_unit_test(test_words__apostrophes),
        cmocka_unit_test(test_words__composed_and_decomposed_are_the_same),
        cmocka_unit_test(test_words__scripts_without_blanks_give_pairs),
        cmocka_unit_test(test_words__survives_invalid_utf8_and_long_words),
        cmocka_unit_test(test_words__stems_by_language),
        cmocka_unit_test(test_words__stop_words_are_found_by_binary_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
