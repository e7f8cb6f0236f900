/*
 * What a collection takes does not grow with its history: after everything was replaced and deleted several times over,
 * slots, files and memory are near those of a fresh load.
 */
#include "index_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "index/kernel.h"

enum { DIM = 64, ROWS = 6000, BATCH = 500, ROUNDS = 3, HEAD = 1000 };

static void fill_vector(uint64_t seed, float *out)
{
    struct err err = {0};
    seed = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    for (size_t i = 0; i < DIM; i++) {
        out[i] = (float)(random_unit(&seed) - 0.5);
    }
    assert_int_equal(kernel_normalise(out, DIM, out, &err), ASSAY_OK);
}

static void tick(struct fixture *f)
{
    struct err err = {0};
    int64_t next = 0;
    assert_int_equal(vindex_tick(f->c, NOW, &next, &err), ASSAY_OK);
}

static void checkpoint(struct fixture *f)
{
    struct err err = {0};
    assert_int_equal(vindex_checkpoint(f->c, &err), ASSAY_OK);
}

/* Adds the documents anew: other chunks for the same ones, as a new version does, and retires the chunks before. */
static void load(struct fixture *f, int round, bool save)
{
    struct vindex_change *ch = calloc(2 * BATCH + 1, sizeof(*ch));
    float *vectors = calloc((size_t)BATCH * DIM, sizeof(*vectors));
    assert_true(ch != NULL && vectors != NULL);
    for (int64_t at = 0; at < ROWS; at += BATCH) {
        size_t n = 0;
        ch[n++] = source_change(1, "s", true, CLOCK_NEVER);
        for (int64_t i = 0; i < BATCH; i++) {
            int64_t chunk = (int64_t)round * ROWS + at + i;
            fill_vector((uint64_t)chunk, vectors + i * DIM);
            ch[n] = add_change(chunk, "a text that is a little longer than its vector would need it to be");
            ch[n].document = at + i;
            ch[n++].embedding = vectors + i * DIM;
            if (round > 0) {
                ch[n++] = state_change(chunk - ROWS, CHUNK_RETIRED);
            }
        }
        apply(f, ch, n);
        tick(f);
        if (save && at % (4 * BATCH) == 0) {
            checkpoint(f);
        }
    }
    free(ch);
    free(vectors);
}

static void retire_all(struct fixture *f, int round)
{
    struct vindex_change *ch = calloc(ROWS, sizeof(*ch));
    assert_non_null(ch);
    for (int64_t i = 0; i < ROWS; i++) {
        ch[i] = state_change((int64_t)round * ROWS + i, CHUNK_RETIRED);
    }
    apply(f, ch, ROWS);
    free(ch);
}

/* Instrumented builds are that slow. */
#ifdef __SANITIZE_THREAD__
enum { CALM = 1500 };
#else
enum { CALM = 250 };
#endif

/* Until everything is in one segment, or nothing was built for long after the collection came to count as idle. */
static struct vindex_stats at_rest(struct fixture *f)
{
    struct vindex_stats st = {0};
    int64_t done = -1;
    for (int calm = 0, i = 0; calm < CALM && i < 6000; i++) {
        tick(f);
        vindex_stats(f->c, &st);
        if (st.segments <= 1 && st.head_rows == 0) {
            break;
        }
        calm = st.builds + st.merges == done ? calm + 1 : 0;
        done = st.builds + st.merges;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    checkpoint(f);
    vindex_stats(f->c, &st);
    return st;
}

static size_t bytes_in_dir(struct fixture *f)
{
    size_t bytes = 0;
    struct stat st;
    DIR *d = opendir(arena_printf(f->a, "%s/7", f->dir));
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (fstatat(dirfd(d), e->d_name, &st, 0) == 0 && S_ISREG(st.st_mode)) {
            bytes += (size_t)st.st_size;
        }
    }
    closedir(d);
    return bytes;
}

/* Files of the index that are mapped or open but have no name any more: they still take room on the disk. */
static size_t unlinked_files(const struct fixture *f)
{
    char line[1024];
    size_t n = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        n += strstr(line, f->dir) != NULL && strstr(line, "(deleted)") != NULL ? 1 : 0;
    }
    fclose(maps);
    return n;
}

static size_t resident(void)
{
    char line[256];
    size_t kb = 0;
    FILE *status = fopen("/proc/self/status", "r");
    assert_non_null(status);
    while (fgets(line, sizeof(line), status) != NULL) {
        (void)sscanf(line, "VmRSS: %zu kB", &kb);
    }
    fclose(status);
    return kb * 1024;
}

static void expect_near(const struct vindex_stats *now, const struct vindex_stats *fresh)
{
    assert_int_equal(now->chunks_by_state[CHUNK_ACTIVE], ROWS);
    assert_true(now->slots <= fresh->slots + fresh->slots / 2);
    assert_true(now->disk_bytes <= fresh->disk_bytes + fresh->disk_bytes / 2);
    assert_true(now->memory_bytes <= fresh->memory_bytes + fresh->memory_bytes / 2);
    assert_true(now->memory_bytes - now->mapped_bytes <= 2 * (fresh->memory_bytes - fresh->mapped_bytes) + (64 << 10));
    assert_true(now->segments <= fresh->segments + 4);
}

static void test_churn__takes_no_more_than_a_fresh_load(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, EMBEDDER_CLIENT, DIM, HEAD);
    load(&f, 0, true);
    struct vindex_stats fresh = at_rest(&f);
    size_t fresh_files = bytes_in_dir(&f), fresh_resident = resident();
    assert_int_equal(fresh.slots, ROWS);
    assert_true(fresh.mapped_bytes > (size_t)ROWS * DIM);
    for (int round = 1; round <= ROUNDS; round++) {
        load(&f, round, true);
    }
    struct vindex_stats now = at_rest(&f);
    expect_near(&now, &fresh);
    assert_true(bytes_in_dir(&f) <= fresh_files + fresh_files / 2);
    assert_int_equal(unlinked_files(&f), 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* which keep freed memory */
    assert_true(resident() < 2 * fresh_resident + (32 << 20));
#else
    (void)fresh_resident;
#endif
    retire_all(&f, ROUNDS);
    struct vindex_stats none = at_rest(&f);
    assert_int_equal(none.slots, 0);
    assert_int_equal(none.disk_bytes, 0);
    assert_int_equal(none.mapped_bytes, 0);
    assert_true(bytes_in_dir(&f) < 4096);
    fixture_close(&f);
}

/* A search reads on in files that have no name any more. */
static void test_churn__a_result_outlives_the_files_it_was_read_from(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, EMBEDDER_CLIENT, DIM, HEAD);
    load(&f, 0, true);
    checkpoint(&f);
    struct vindex_query q = text_query(VINDEX_LEXICAL, "text", 10);
    struct vindex_result r = search(&f, &q);
    assert_int_equal(r.n, 10);
    load(&f, 1, true);
    checkpoint(&f); /* everything that the result points to was retired, its files unlinked */
    assert_true(unlinked_files(&f) > 0);
    for (size_t i = 0; i < r.n; i++) {
        assert_true(str_starts(r.hits[i].text, "a text that is a little longer"));
    }
    vindex_result_release(f.c, &r);
    for (int i = 0; i < 1000 && unlinked_files(&f) > 0;
         i++) { /* until a publish lets the view go, and a build its rows */
        struct vindex_change none = state_change(-1, CHUNK_RETIRED);
        apply(&f, &none, 1);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    assert_int_equal(unlinked_files(&f), 0);
    fixture_close(&f);
}

/* With write_bytes of 1 the builder writes what it builds: it is mapped before any checkpoint, and no checkpoint in
 * between takes the file away. */
static void test_churn__large_results_go_to_their_files_at_once(void **state)
{
    (void)state;
    struct fixture f;
    struct err err = {0};
    fixture_open(&f, EMBEDDER_CLIENT, DIM, HEAD);
    vindex_collection_close(f.c);
    vindex_close(f.v);
    struct vindex_config cfg = {.dir = f.dir, .build_threads = 1, .head_max = HEAD, .write_bytes = 1};
    assert_int_equal(vindex_open(&cfg, &f.v, &err), ASSAY_OK);
    fixture_reopen(&f);
    struct vindex_stats st = {0};
    load(&f, 0, false);
    for (int i = 0; i < 1000 && (st.segments != 1 || st.head_rows != 0); i++) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        tick(&f);
        vindex_stats(f.c, &st);
    }
    assert_int_equal(st.checkpoints, 0);
    assert_true(st.mapped_bytes > (size_t)ROWS * DIM);
    checkpoint(&f); /* has only the manifest to write */
    struct vindex_change none = state_change(-1, CHUNK_RETIRED);
    apply(&f, &none, 1);
    int64_t applied = f.seq;
    checkpoint(&f);
    vindex_collection_close(f.c);
    fixture_reopen(&f);
    assert_int_equal(f.applied, applied);
    struct vindex_query q = text_query(VINDEX_LEXICAL, "text", 1000);
    assert_int_equal(count_hits(&f, &q), 1000);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_churn__takes_no_more_than_a_fresh_load),
        cmocka_unit_test(test_churn__a_result_outlives_the_files_it_was_read_from),
        cmocka_unit_test(test_churn__large_results_go_to_their_files_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
