/* Models on disk: what is read, what a text's vector is, and an index that works with one. */
#include "index_fixture.h"

#include <math.h>
#include <sys/stat.h>

#include "index/static_models.h"

#define TOKENIZER                                                                                                      \
    "{\"normalizer\":{\"type\":\"BertNormalizer\"},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"                 \
    "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"vocab\":{\"[UNK]\":0,\"ice\":1,\"snow\":2,"           \
    "\"bow\":3,\"violin\":4}}}"

enum { DIM = 3, TOKENS = 5 };

static const float matrix[TOKENS][DIM] = {{9, 9, 9}, {4, 0, 0}, {2, 2, 0}, {0, 0, 1}, {0, 1, 1}};

struct models {
    char dir[64];
    struct static_models *all;
};

static void write_file(const struct models *m, const char *model, const char *name, const void *bytes, size_t n)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", m->dir, model);
    (void)mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/%s/%s.new", m->dir, model, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    char final[256];
    snprintf(final, sizeof(final), "%s/%s/%s", m->dir, model, name);
    assert_int_equal(rename(path, final), 0);
}

static void write_text(const struct models *m, const char *model, const char *name, const char *text)
{
    write_file(m, model, name, text, strlen(text));
}

static void write_tensors(const struct models *m, const char *model, const char *header, const void *data, size_t n)
{
    struct buf out = {0};
    uint64_t len = strlen(header);
    buf_put(&out, &len, sizeof(len));
    buf_puts(&out, header);
    buf_put(&out, data, n);
    write_file(m, model, "model.safetensors", out.data, out.len);
    buf_free(&out);
}

static void write_model(const struct models *m, const char *name)
{
    write_text(m, name, "config.json", "{\"normalize\":true}");
    write_text(m, name, "tokenizer.json", TOKENIZER);
    write_tensors(m, name, "{\"embeddings\":{\"dtype\":\"F32\",\"shape\":[5,3],\"data_offsets\":[0,60]}}", matrix,
                  sizeof(matrix));
}

static struct models open_models(void)
{
    struct models m = {0};
    log_init(LOG_ERROR, false);
    snprintf(m.dir, sizeof(m.dir), "/tmp/assay-models-XXXXXX");
    assert_non_null(mkdtemp(m.dir));
    m.all = static_models_new(m.dir);
    write_model(&m, "small");
    return m;
}

static void close_models(struct models *m)
{
    static_models_free(m->all);
    nftw(m->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static const struct static_model *get(struct models *m, const char *name)
{
    const struct static_model *model = NULL;
    struct err err = {0};
    if (static_models_get(m->all, str_of(name), &model, &err) != ASSAY_OK) {
        fail_msg("%s", err.detail);
    }
    return model;
}

static void assert_refused(struct models *m, const char *name, enum assay_code code, const char *word)
{
    const struct static_model *model = NULL;
    struct err err = {0};
    assert_int_equal(static_models_get(m->all, str_of(name), &model, &err), code);
    assert_null(model);
    assert_null(strstr(err.detail, m->dir));
    if (strstr(err.detail, word) == NULL) {
        fail_msg("\"%s\" does not name \"%s\"", err.detail, word);
    }
    err_clear(&err);
}

static void assert_vector(const struct static_model *m, const char *text, float x, float y, float z)
{
    float v[DIM], norm = sqrtf(x * x + y * y + z * z);
    assert_true(static_model_embed(m, str_of(text), v));
    assert_true(fabsf(v[0] - x / norm) < 1e-6F && fabsf(v[1] - y / norm) < 1e-6F && fabsf(v[2] - z / norm) < 1e-6F);
}

static void test_static_model__is_the_mean_of_its_known_tokens(void **state)
{
    (void)state;
    struct models m = open_models();
    const struct static_model *s = get(&m, "small");
    float v[DIM];
    assert_int_equal(static_model_dim(s), DIM);
    assert_vector(s, "Ice", 1, 0, 0);
    assert_vector(s, "ice snow SNOW", 8, 4, 0);
    assert_vector(s, "ice unheard", 1, 0, 0); /* an unknown token counts neither above nor below the line */
    assert_false(static_model_embed(s, STR_LIT("unheard of"), v));
    assert_false(static_model_embed(s, STR_LIT(""), v));
    assert_false(static_model_embed(s, (struct str){NULL, 0}, v));
    static_model_embed_chunk(s, STR_LIT("ice"), STR_LIT("bow"), STR_LIT("violin"), v);
    assert_true(fabsf(v[0] - 4 / sqrtf(21)) < 1e-6F && fabsf(v[2] - 2 / sqrtf(21)) < 1e-6F);
    static_model_embed_chunk(s, STR_LIT(""), STR_LIT(""), STR_LIT("unheard"), v);
    assert_true(v[0] == 1);
    close_models(&m);
}

static void test_static_model__weights_mapping_and_half_precision(void **state)
{
    (void)state;
    struct models m = open_models();
    struct {
        uint16_t rows[2][DIM]; /* 1 0 0, 0 1 0.5 */
        float weights[TOKENS];
        int64_t mapping[TOKENS];
    } __attribute__((packed)) data = {{{0x3c00, 0, 0}, {0, 0x3c00, 0x3800}}, {1, 2, 1, 1, 4}, {0, 0, 1, 1, 1}};
    write_model(&m, "small2");
    write_tensors(&m, "small2",
                  "{\"embeddings\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
                  "\"weights\":{\"dtype\":\"F32\",\"shape\":[5],\"data_offsets\":[12,32]},"
                  "\"mapping\":{\"dtype\":\"I64\",\"shape\":[5],\"data_offsets\":[32,72]}}",
                  &data, sizeof(data));
    assert_vector(get(&m, "small2"), "ice violin", 2, 4, 2);
    close_models(&m);
}

static void test_static_model__no_more_tokens_than_its_length(void **state)
{
    (void)state;
    struct models m = open_models();
    write_text(&m, "small", "config.json", "{\"max_length\":2}");
    assert_vector(get(&m, "small"), "ice bow violin violin", 4, 0, 1);
    write_text(&m, "small", "config.json", "{\"max_length\":0}");
    assert_refused(&m, "small", ASSAY_INVALID, "max_length");
    write_text(&m, "small", "config.json", "{\"max_length\":null}");
    assert_vector(get(&m, "small"), "ice bow violin violin", 4, 2, 3);
    close_models(&m);
}

static void test_static_models__know_a_file_that_was_replaced(void **state)
{
    (void)state;
    struct models m = open_models();
    const struct static_model *first = get(&m, "small");
    float other[TOKENS][DIM];
    assert_ptr_equal(get(&m, "small"), first);
    memcpy(other, matrix, sizeof(other));
    other[1][1] = 4;
    write_tensors(&m, "small", "{\"embeddings\":{\"dtype\":\"F32\",\"shape\":[5,3],\"data_offsets\":[0,60]}}", other,
                  sizeof(other));
    const struct static_model *second = get(&m, "small");
    assert_false(digest_eq(static_model_digest(first), static_model_digest(second)));
    assert_vector(first, "ice", 1, 0, 0); /* what was opened stays as it was */
    assert_vector(second, "ice", 1, 1, 0);
    close_models(&m);
}

static void test_static_models__refuse_what_is_not_a_model(void **state)
{
    (void)state;
    struct models m = open_models();
    const struct static_model *model = NULL;
    struct err err = {0};
    float bad[TOKENS][DIM];
    assert_refused(&m, "absent", ASSAY_NOT_FOUND, "folder");
    assert_refused(&m, "../small", ASSAY_NOT_FOUND, "folder");
    assert_refused(&m, "..", ASSAY_NOT_FOUND, "folder");
    assert_refused(&m, "", ASSAY_NOT_FOUND, "folder");
    write_text(&m, "empty", "config.json", "{}");
    assert_refused(&m, "empty", ASSAY_INVALID, "tokenizer.json");
    write_text(&m, "small", "config.json", "[");
    assert_refused(&m, "small", ASSAY_INVALID, "config.json");
    write_model(&m, "small");
    memcpy(bad, matrix, sizeof(bad));
    bad[4][2] = NAN;
    write_tensors(&m, "small", "{\"embeddings\":{\"dtype\":\"F32\",\"shape\":[5,3],\"data_offsets\":[0,60]}}", bad,
                  sizeof(bad));
    assert_refused(&m, "small", ASSAY_INVALID, "finite");
    write_tensors(&m, "small", "{\"embeddings\":{\"dtype\":\"F32\",\"shape\":[4,3],\"data_offsets\":[0,48]}}", matrix,
                  48);
    assert_refused(&m, "small", ASSAY_INVALID, "more tokens");
    write_tensors(&m, "small", "{\"other\":{\"dtype\":\"F32\",\"shape\":[4,3],\"data_offsets\":[0,48]}}", matrix, 48);
    assert_refused(&m, "small", ASSAY_INVALID, "embeddings");
    const int64_t beyond[TOKENS + 15] = {0, 0, 0, 0, 5};
    write_tensors(&m, "small",
                  "{\"embeddings\":{\"dtype\":\"F32\",\"shape\":[5,3],\"data_offsets\":[60,120]},"
                  "\"mapping\":{\"dtype\":\"I64\",\"shape\":[5],\"data_offsets\":[0,40]}}",
                  beyond, sizeof(beyond));
    assert_refused(&m, "small", ASSAY_INVALID, "mapping");
    struct static_models *none = static_models_new("");
    assert_int_equal(static_models_get(none, STR_LIT("small"), &model, &err), ASSAY_NOT_FOUND);
    assert_non_null(strstr(err.detail, "models_dir"));
    static_models_free(none);
    close_models(&m);
}

static void test_vindex__searches_by_a_static_model(void **state)
{
    (void)state;
    struct models m = open_models();
    struct fixture f;
    struct err err = {0};
    struct vindex_result r;
    fixture_open(&f, EMBEDDER_STATIC, DIM, 0);
    vindex_collection_close(f.c);
    f.spec.model = get(&m, "small");
    fixture_reopen(&f);
    struct vindex_change ch[3] = {
        {.kind = VINDEX_SOURCE,
         .source = 1,
         .source_name = STR_LIT("s"),
         .source_active = true,
         .max_age_us = CLOCK_NEVER},
        {.kind = VINDEX_ADD,
         .state = CHUNK_ACTIVE,
         .chunk = 1,
         .document = 1,
         .source = 1,
         .key = STR_LIT("winter"),
         .text = STR_LIT("snow")},
        {.kind = VINDEX_ADD,
         .state = CHUNK_ACTIVE,
         .chunk = 2,
         .document = 2,
         .source = 1,
         .key = STR_LIT("music"),
         .text = STR_LIT("bow"),
         .title = STR_LIT("violin")},
    };
    apply(&f, ch, 3);
    struct vindex_query q = {.mode = VINDEX_VECTOR, .text = STR_LIT("ice"), .k = 2, .now_us = NOW};
    assert_int_equal(vindex_search(f.c, &q, f.a, &r, &err), ASSAY_OK);
    assert_int_equal(r.n, 2);
    assert_true(str_eqc(r.hits[0].document, "winter"));
    assert_true(fabs(r.hits[0].score - sqrt(0.5)) < 1e-6);
    vindex_result_release(f.c, &r);
    q.text = STR_LIT("unheard");
    assert_int_equal(vindex_search(f.c, &q, f.a, &r, &err), ASSAY_OK);
    assert_int_equal(r.n, 0);
    vindex_result_release(f.c, &r);
    fixture_close(&f);
    close_models(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_static_model__is_the_mean_of_its_known_tokens),
        cmocka_unit_test(test_static_model__weights_mapping_and_half_precision),
        cmocka_unit_test(test_static_model__no_more_tokens_than_its_length),
        cmocka_unit_test(test_static_models__know_a_file_that_was_replaced),
        cmocka_unit_test(test_static_models__refuse_what_is_not_a_model),
        cmocka_unit_test(test_vindex__searches_by_a_static_model),
    };
    return cmocka_run_group_tests_name("static_model", tests, NULL, NULL);
}
