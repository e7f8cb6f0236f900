#include "index_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static struct str group_a[] = {STR_LIT("group:a")};

/* A sealed segment, a flat one, tombstones, access lists, a blocked source: everything that a file has to hold. */
static void fill(struct fixture *f)
{
    struct vindex_change ch[602];
    ch[0] = source_change(1, "first", true, CLOCK_DAY);
    ch[1] = source_change(2, "second", false, CLOCK_NEVER);
    for (int64_t i = 0; i < 600; i++) {
        ch[i + 2] = add_change(i, arena_printf(f->a, "common word%d of chunk", (int)i % 50));
        ch[i + 2].source = i % 10 == 0 ? 2 : 1;
        ch[i + 2].has_acl = i % 4 == 0;
        ch[i + 2].acl = (struct str_list){group_a, i % 8 == 0 ? 1 : 0};
        ch[i + 2].title = STR_LIT("a title");
        ch[i + 2].metadata_json = STR_LIT("{\"k\":1}");
        ch[i + 2].modified_at_us = NOW - i * CLOCK_SECOND;
    }
    apply(f, ch, 602);
    wait_for_builds(f, 1);
    struct vindex_change later[4] = {add_change(1000, "common later"),
                                     state_change(5, CHUNK_RETIRED),
                                     state_change(7, CHUNK_QUARANTINED),
                                     {.kind = VINDEX_TOUCH, .document = 9, .modified_at_us = NOW - CLOCK_DAY}};
    apply(f, later, 4);
}

/* The hits of several searches, as bytes. */
static struct buf answers(struct fixture *f)
{
    struct buf out = {0};
    for (int i = 0; i < 6; i++) {
        struct vindex_query q = text_query((enum vindex_mode)(i % 3), "common word3 later", 1000);
        q.exact = true;
        q.include_quarantined = i >= 3;
        q.principals = (struct str_list){group_a, i % 2 == 0 ? 1 : 0};
        struct vindex_result r = search(f, &q);
        for (size_t h = 0; h < r.n; h++) {
            buf_put(&out, r.hits[h].chunk.b, DIGEST_LEN);
            buf_printf(&out, "%.17g %d %lld %.*s|%.*s|%.*s;", r.hits[h].score, (int)r.hits[h].state,
                       (long long)r.hits[h].fresh_until_us, STR_FMT(r.hits[h].text), STR_FMT(r.hits[h].title),
                       STR_FMT(r.hits[h].source));
            assert_true(r.hits[h].uri.ptr == NULL); /* absent stays absent */
        }
        vindex_result_release(f->c, &r);
    }
    return out;
}

static void save(struct fixture *f)
{
    struct err err = {0};
    settle(f);
    assert_int_equal(vindex_checkpoint(f->c, &err), ASSAY_OK);
}

static void test_files__round_trip_answers_the_same(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 200);
    fill(&f);
    settle(&f);
    struct buf before = answers(&f);
    save(&f);
    vindex_collection_close(f.c);
    fixture_reopen(&f);
    assert_int_equal(f.applied, 606);
    struct vindex_stats st;
    vindex_stats(f.c, &st);
    assert_int_equal(st.segments, 2);
    assert_int_equal(st.head_rows, 1);
    assert_true(st.disk_bytes > 0);
    struct buf after = answers(&f);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    buf_free(&before);
    buf_free(&after);
    fixture_close(&f);
}

enum { FLAT_ROWS = 1500, FLAT_DIM = 48, FLAT_QUERIES = 20 };

static void random_vector(uint64_t *seed, float *v)
{
    for (size_t i = 0; i < FLAT_DIM; i++) {
        v[i] = (float)(random_unit(seed) - 0.5);
    }
}

/* Rows without a graph, `at_once` in a run: enough in one segment, and they have 8-bit codes. */
static void open_flat(struct fixture *f, size_t at_once)
{
    uint64_t seed = 11;
    fixture_open(f, EMBEDDER_CLIENT, FLAT_DIM, 100000);
    struct vindex_change source = source_change(1, "s", true, CLOCK_NEVER);
    apply(f, &source, 1);
    struct vindex_change *ch = ARENA_ARRAY(f->a, struct vindex_change, at_once);
    for (size_t from = 0; from < FLAT_ROWS; from += at_once) {
        for (size_t i = 0; i < at_once; i++) {
            float *v = ARENA_ARRAY(f->a, float, FLAT_DIM);
            random_vector(&seed, v);
            ch[i] = add_change((int64_t)(from + i + 1), "a text");
            ch[i].embedding = v;
        }
        apply(f, ch, at_once);
    }
}

static struct buf nearest(struct fixture *f)
{
    struct buf out = {0};
    uint64_t seed = 12;
    for (int i = 0; i < FLAT_QUERIES; i++) {
        float v[FLAT_DIM];
        random_vector(&seed, v);
        struct vindex_query q = {.mode = VINDEX_VECTOR, .vector = v, .k = 10, .now_us = NOW};
        struct vindex_result r = search(f, &q);
        assert_int_equal(r.n, 10);
        for (size_t h = 0; h < r.n; h++) {
            buf_put(&out, r.hits[h].chunk.b, DIGEST_LEN);
            buf_put(&out, &r.hits[h].score, sizeof(r.hits[h].score));
        }
        vindex_result_release(f->c, &r);
    }
    return out;
}

static void test_files__codes_of_a_flat_segment_change_no_answer(void **state)
{
    (void)state;
    struct fixture coded, plain;
    open_flat(&coded, FLAT_ROWS);
    open_flat(&plain, FLAT_ROWS / 15);
    struct vindex_stats a, b;
    vindex_stats(coded.c, &a);
    vindex_stats(plain.c, &b);
    assert_true(a.memory_bytes > b.memory_bytes + FLAT_ROWS * FLAT_DIM); /* the codes are there */
    assert_int_equal(vindex_unsealed(coded.c), FLAT_ROWS);
    struct buf with = nearest(&coded), without = nearest(&plain);
    assert_int_equal(with.len, without.len);
    assert_memory_equal(with.data, without.data, with.len);
    save(&coded);
    vindex_collection_close(coded.c);
    fixture_reopen(&coded);
    assert_int_equal(coded.applied, FLAT_ROWS + 1);
    struct buf again = nearest(&coded);
    assert_memory_equal(with.data, again.data, with.len);
    buf_free(&with);
    buf_free(&without);
    buf_free(&again);
    fixture_close(&coded);
    fixture_close(&plain);
}

static void test_files__what_was_not_saved_is_followed_again(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 0);
    struct vindex_change ch[2] = {source_change(1, "s", true, CLOCK_NEVER), add_change(1, "saved")};
    apply(&f, ch, 2);
    save(&f);
    struct vindex_change lost = add_change(2, "lost");
    apply(&f, &lost, 1);
    vindex_collection_close(f.c);
    fixture_reopen(&f);
    assert_int_equal(f.applied, 2);
    struct vindex_query q = text_query(VINDEX_LEXICAL, "saved lost", 10);
    assert_int_equal(count_hits(&f, &q), 1);
    apply(&f, &lost, 1);
    assert_int_equal(count_hits(&f, &q), 2);
    fixture_close(&f);
}

/* ---- damage ---- */

static char *collection_path(struct fixture *f, const char *name)
{
    return arena_printf(f->a, "%s/7%s%s", f->dir, name[0] != '\0' ? "/" : "", name);
}

static size_t list_files(struct fixture *f, char names[16][64])
{
    size_t n = 0;
    DIR *d = opendir(collection_path(f, ""));
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e != NULL && n < 16; e = readdir(d)) {
        if (e->d_name[0] != '.') {
            snprintf(names[n++], 64, "%.63s", e->d_name);
        }
    }
    closedir(d);
    return n;
}

static struct buf read_all(const char *path)
{
    struct buf b = {0};
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    for (int c = fgetc(in); c != EOF; c = fgetc(in)) {
        buf_putc(&b, (char)c);
    }
    fclose(in);
    return b;
}

static void write_all(const char *path, const void *p, size_t n)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(p, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
}

static void expect_empty(struct fixture *f)
{
    struct vindex_query q = text_query(VINDEX_LEXICAL, "common", 10);
    fixture_reopen(f);
    assert_int_equal(f->applied, 0);
    assert_int_equal(count_hits(f, &q), 0);
    vindex_collection_close(f->c);
}

static void damage(struct fixture *f, const char *path, const struct buf *good)
{
    struct buf bad = {0};
    for (size_t i = 0; i < 24; i++) { /* one bit, all over the file, both ends included */
        size_t at = i < 23 ? good->len / 23 * i : good->len - 1;
        bad.len = 0;
        buf_put(&bad, good->data, good->len);
        bad.data[at] = (char)(bad.data[at] ^ (1 << (i % 8)));
        write_all(path, bad.data, bad.len);
        expect_empty(f);
    }
    const size_t lengths[] = {0, 1, 100, good->len / 2, good->len - 1};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        write_all(path, good->data, lengths[i]);
        expect_empty(f);
    }
    buf_put(&bad, "x", 1);
    write_all(path, bad.data, bad.len);
    expect_empty(f);
    assert_int_equal(unlink(path), 0);
    expect_empty(f);
    buf_free(&bad);
}

static void test_files__any_damage_means_starting_from_zero(void **state)
{
    (void)state;
    struct fixture f;
    char names[16][64];
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 200);
    fill(&f);
    save(&f);
    vindex_collection_close(f.c);
    size_t n = list_files(&f, names);
    assert_int_equal(n, 4); /* two segments, what the embedder learned, and the manifest */
    for (size_t i = 0; i < n; i++) {
        const char *path = collection_path(&f, names[i]);
        struct buf good = read_all(path);
        damage(&f, path, &good);
        write_all(path, good.data, good.len);
        buf_free(&good);
    }
    fixture_reopen(&f);
    assert_int_equal(f.applied, 606);
    fixture_close(&f);
}

static void test_files__another_identity_starts_from_zero(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 0);
    struct vindex_change ch[2] = {source_change(1, "s", true, CLOCK_NEVER), add_change(1, "common")};
    apply(&f, ch, 2);
    save(&f);
    vindex_collection_close(f.c);
    f.spec.identity.b[0] ^= 1;
    expect_empty(&f);
    f.spec.identity.b[0] ^= 1;
    fixture_reopen(&f);
    assert_int_equal(f.applied, 2);
    fixture_close(&f);
}

static void test_files__leftovers_of_an_interrupted_save_are_removed(void **state)
{
    (void)state;
    struct fixture f;
    char names[16][64];
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 0);
    struct vindex_change ch[2] = {source_change(1, "s", true, CLOCK_NEVER), add_change(1, "common")};
    apply(&f, ch, 2);
    save(&f);
    vindex_collection_close(f.c);
    write_all(collection_path(&f, "segment-99"), "x", 1);
    write_all(collection_path(&f, "manifest.tmp"), "x", 1);
    fixture_reopen(&f);
    assert_int_equal(f.applied, 2);
    assert_int_equal(list_files(&f, names), 2);
    fixture_close(&f);
}

static void test_files__a_full_disk_is_an_error_and_the_old_files_stay(void **state)
{
    (void)state;
    struct fixture f;
    struct err err = {0};
    struct rlimit old, tight;
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 200);
    struct vindex_change ch[2] = {source_change(1, "s", true, CLOCK_NEVER), add_change(1, "common")};
    apply(&f, ch, 2);
    save(&f);
    fill(&f);
    settle(&f);
    save(&f);
    const int64_t saved = f.seq;
    char long_text[8192];
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    struct vindex_change more = add_change(2000, long_text);
    apply(&f, &more, 1);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight = (struct rlimit){.rlim_cur = 4096, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    log_set_level((enum log_level)(LOG_ERROR + 1)); /* the log of what is provoked here would only confuse */
    enum assay_code code = vindex_checkpoint(f.c, &err);
    log_set_level(LOG_ERROR);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(code, ASSAY_UNAVAILABLE);
    err_clear(&err);
    vindex_collection_close(f.c);
    fixture_reopen(&f);
    assert_int_equal(f.applied, saved);
    fixture_close(&f);
}

static void test_files__reset_forgets_on_disk_too(void **state)
{
    (void)state;
    struct fixture f;
    struct err err = {0};
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 0);
    struct vindex_change ch[2] = {source_change(1, "s", true, CLOCK_NEVER), add_change(1, "common")};
    apply(&f, ch, 2);
    save(&f);
    assert_int_equal(vindex_collection_reset(f.c, &err), ASSAY_OK);
    struct vindex_query q = text_query(VINDEX_LEXICAL, "common", 10);
    assert_int_equal(count_hits(&f, &q), 0);
    f.seq = 0;
    apply(&f, ch, 2);
    assert_int_equal(count_hits(&f, &q), 1);
    vindex_collection_close(f.c);
    expect_empty(&f);
    fixture_reopen(&f);
    fixture_close(&f);
}

/* A second generation of the fixture's collection, with one chunk, saved. */
static struct vindex_collection *second_generation(struct fixture *f, int32_t generation)
{
    struct vindex_collection *c = NULL;
    struct vindex_spec spec = f->spec;
    struct err err = {0};
    int64_t applied = 0;
    const struct digest commit = {{1}};
    struct vindex_change ch[2] = {source_change(1, "s", true, CLOCK_NEVER), add_change(1, "common")};
    ch[0].seq = 1;
    ch[1].seq = 2;
    spec.generation = generation;
    assert_int_equal(vindex_collection_open(f->v, &spec, &c, &applied, &err), ASSAY_OK);
    if (applied == 0) {
        assert_int_equal(vindex_apply(c, ch, 2, 2, &commit, &err), ASSAY_OK);
        assert_int_equal(vindex_checkpoint(c, &err), ASSAY_OK);
    }
    return c;
}

static bool there(struct fixture *f, const char *name)
{
    struct stat st;
    return stat(arena_printf(f->a, "%s/%s", f->dir, name), &st) == 0;
}

static void test_files__generations_have_their_own_and_go_alone(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 0);
    struct vindex_change ch[2] = {source_change(1, "s", true, CLOCK_NEVER), add_change(1, "common first")};
    apply(&f, ch, 2);
    save(&f);
    struct vindex_collection *second = second_generation(&f, 2), *third = second_generation(&f, 3);
    assert_true(there(&f, "7") && there(&f, "7-2") && there(&f, "7-3"));
    vindex_collection_remove(second);
    assert_false(there(&f, "7-2"));
    vindex_collection_close(third);
    const char *others[] = {"70", "7-x", "7-3x", "8-3", "-7", "7-1", "7-99999999999"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(mkdir(arena_printf(f.a, "%s/%s", f.dir, others[i]), 0700), 0);
    vindex_keep_generations(f.v, 7, (const int32_t[]){1, 3}, 2);
    assert_true(there(&f, "7/manifest") && there(&f, "7-3/manifest"));
    vindex_keep_generations(f.v, 7, (const int32_t[]){1}, 1);
    assert_true(there(&f, "7/manifest"));
    assert_false(there(&f, "7-3"));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_true(there(&f, others[i])); /* not ours to judge */
    struct vindex_query q = text_query(VINDEX_LEXICAL, "first", 10);
    assert_int_equal(count_hits(&f, &q), 1);
    fixture_close(&f);
}

static void test_files__one_process_at_a_time(void **state)
{
    (void)state;
    struct fixture f;
    struct err err = {0};
    struct vindex *second = NULL;
    fixture_open(&f, EMBEDDER_BUILTIN, 64, 0);
    struct vindex_config cfg = {.dir = f.dir, .build_threads = 1};
    log_set_level((enum log_level)(LOG_ERROR + 1)); /* the log of what is provoked here would only confuse */
    assert_int_equal(vindex_open(&cfg, &second, &err), ASSAY_UNAVAILABLE);
    log_set_level(LOG_ERROR);
    err_clear(&err);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files__round_trip_answers_the_same),
        cmocka_unit_test(test_files__codes_of_a_flat_segment_change_no_answer),
        cmocka_unit_test(test_files__what_was_not_saved_is_followed_again),
        cmocka_unit_test(test_files__any_damage_means_starting_from_zero),
        cmocka_unit_test(test_files__another_identity_starts_from_zero),
        cmocka_unit_test(test_files__leftovers_of_an_interrupted_save_are_removed),
        cmocka_unit_test(test_files__a_full_disk_is_an_error_and_the_old_files_stay),
        cmocka_unit_test(test_files__reset_forgets_on_disk_too),
        cmocka_unit_test(test_files__generations_have_their_own_and_go_alone),
        cmocka_unit_test(test_files__one_process_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
