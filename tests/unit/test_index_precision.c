/*
 * int8: the same hits with the same scores as float32, without the vectors in the process's memory.
 */
#include "index_fixture.h"

#include "index/kernel.h"

enum { DIM = 256, ROWS = 4000, QUERIES = 200, K = 10 };

static void random_vector(uint64_t *seed, float *out)
{
    struct err err = {0};
    for (size_t i = 0; i < DIM; i++) {
        out[i] = (float)(random_unit(seed) + random_unit(seed) - 1);
    }
    out[next_random(seed) % 8] += 2;
    assert_int_equal(kernel_normalise(out, DIM, out, &err), ASSAY_OK);
}

static void checkpoint(struct fixture *f)
{
    struct err err = {0};
    assert_int_equal(vindex_checkpoint(f->c, &err), ASSAY_OK);
}

/* One sealed segment, on disk. */
static void fill(struct fixture *f)
{
    struct vindex_change *ch = calloc(ROWS + 1, sizeof(*ch));
    float *vectors = calloc((size_t)ROWS * DIM, sizeof(*vectors));
    assert_true(ch != NULL && vectors != NULL);
    uint64_t seed = 1;
    ch[0] = source_change(1, "s", true, CLOCK_NEVER);
    for (size_t i = 0; i < ROWS; i++) {
        random_vector(&seed, vectors + i * DIM);
        ch[i + 1] = add_change((int64_t)i, "text");
        ch[i + 1].embedding = vectors + i * DIM;
    }
    apply(f, ch, ROWS + 1);
    free(ch);
    free(vectors);
    wait_for_builds(f, 1);
    checkpoint(f);
}

static void open_with(struct fixture *f, enum vindex_precision precision)
{
    vindex_collection_close(f->c);
    f->spec.params.precision = precision;
    f->spec.params.m = 8;
    fixture_reopen(f);
}

/* Chunks and scores of many searches, the first half approximate; *graph: how many went through it. */
static struct buf answers(struct fixture *f, size_t *graph)
{
    struct buf out = {0};
    uint64_t seed = 99;
    *graph = 0;
    for (size_t i = 0; i < QUERIES; i++) {
        float v[DIM];
        random_vector(&seed, v);
        struct vindex_query q = {.mode = VINDEX_VECTOR, .vector = v, .k = K, .now_us = NOW, .exact = i >= QUERIES / 2};
        struct vindex_result r = search(f, &q);
        assert_int_equal(r.n, K);
        *graph += strcmp(r.plan, "graph") == 0 ? 1 : 0;
        for (size_t h = 0; h < r.n; h++) {
            buf_put(&out, &r.hits[h].chunk, sizeof(r.hits[h].chunk));
            buf_put(&out, &r.hits[h].score, sizeof(r.hits[h].score));
        }
        vindex_result_release(f->c, &r);
    }
    return out;
}

/* What of the index's mapped files is in the process's memory. */
static size_t resident_files(const struct fixture *f)
{
    char line[1024];
    size_t bytes = 0, kb = 0;
    bool ours = false;
    FILE *in = fopen("/proc/self/smaps", "r");
    assert_non_null(in);
    while (fgets(line, sizeof(line), in) != NULL) {
        if (strchr(line, '-') != NULL && strchr(line, '-') < strchr(line, ' ')) {
            ours = strstr(line, f->dir) != NULL;
        } else if (ours && sscanf(line, "Rss: %zu kB", &kb) == 1) {
            bytes += kb * 1024;
        }
    }
    fclose(in);
    return bytes;
}

static void test_precision__int8_answers_as_float32_does_in_half_the_memory(void **state)
{
    (void)state;
    struct fixture f;
    struct buf got[2];
    size_t graph[2], resident[2];
    struct vindex_stats st[2];
    const size_t vectors = (size_t)ROWS * DIM * sizeof(float);
    fixture_open(&f, EMBEDDER_CLIENT, DIM, 500);
    open_with(&f, VINDEX_F32);
    fill(&f);
    for (int i = 0; i < 2; i++) {
        open_with(&f, i == 0 ? VINDEX_F32 : VINDEX_I8);
        assert_true(f.applied > 0);
        got[i] = answers(&f, &graph[i]);
        resident[i] = resident_files(&f);
        vindex_stats(f.c, &st[i]);
    }
    assert_int_equal(graph[0], QUERIES / 2);
    assert_int_equal(graph[1], QUERIES / 2);
    assert_int_equal(got[0].len, got[1].len);
    assert_memory_equal(got[0].data, got[1].data, got[0].len);
    assert_true(resident[0] > vectors);
    /* The system maps pages around those that are asked for, so some of the vectors' are among them. */
    assert_true(resident[1] < resident[0] - vectors / 2);
    assert_int_equal(st[0].mapped_bytes - st[1].mapped_bytes, vectors);
    assert_true(st[1].memory_bytes < st[0].memory_bytes / 2);
    buf_free(&got[0]);
    buf_free(&got[1]);
    fixture_close(&f);
}

/* From the checkpoint on, without a restart; and what extends such a segment has its vectors. */
static void test_precision__int8_lets_go_at_the_checkpoint_and_grows(void **state)
{
    (void)state;
    struct fixture f;
    struct vindex_stats st;
    size_t graph = 0;
    fixture_open(&f, EMBEDDER_CLIENT, DIM, 500);
    open_with(&f, VINDEX_I8);
    fill(&f);
    vindex_stats(f.c, &st);
    assert_true(st.memory_bytes < (size_t)ROWS * DIM * sizeof(float));
    struct vindex_change *ch = calloc(600, sizeof(*ch));
    float *vectors = calloc((size_t)600 * DIM, sizeof(*vectors));
    assert_true(ch != NULL && vectors != NULL);
    uint64_t seed = 5;
    for (size_t i = 0; i < 600; i++) {
        random_vector(&seed, vectors + i * DIM);
        ch[i] = add_change(ROWS + (int64_t)i, "text");
        ch[i].embedding = vectors + i * DIM;
    }
    apply(&f, ch, 600);
    wait_for_builds(&f, 2);
    checkpoint(&f);
    free(ch);
    free(vectors);
    vindex_stats(f.c, &st);
    assert_int_equal(st.segments, 1);
    assert_true(st.memory_bytes < (size_t)ROWS * DIM * sizeof(float));
    struct buf cold = answers(&f, &graph);
    assert_int_equal(graph, QUERIES / 2);
    open_with(&f, VINDEX_F32);
    struct buf warm = answers(&f, &graph);
    assert_int_equal(cold.len, warm.len);
    assert_memory_equal(cold.data, warm.data, cold.len);
    buf_free(&cold);
    buf_free(&warm);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_precision__int8_answers_as_float32_does_in_half_the_memory),
        cmocka_unit_test(test_precision__int8_lets_go_at_the_checkpoint_and_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
