/*
 * A segment's file: what is written comes back, mapped; what contradicts itself is refused, whatever its checksum.
 */
#include "index_fixture.h"

#include <dirent.h>
#include <fcntl.h>

#include "index/kernel.h"
#include "index/segment_file.h"

enum { DIM = 8, ROWS = 300, M = 4 };

static const struct graph_params graph_params = {M, 40, 1};

static struct segment *make(bool sealed)
{
    struct err err = {0};
    struct vindex_change *rows = calloc(ROWS, sizeof(*rows));
    const struct vindex_change **adds = calloc(ROWS, sizeof(*adds));
    float *vectors = calloc((size_t)ROWS * DIM, sizeof(*vectors));
    assert_true(rows != NULL && adds != NULL && vectors != NULL);
    uint64_t seed = 3;
    for (size_t i = 0; i < ROWS; i++) {
        rows[i] = add_change((int64_t)i * 3, "some words of a text");
        adds[i] = &rows[i];
        for (size_t d = 0; d < DIM; d++) {
            vectors[i * DIM + d] = (float)random_unit(&seed) - 0.5F;
        }
        assert_int_equal(kernel_normalise(vectors + i * DIM, DIM, vectors + i * DIM, &err), ASSAY_OK);
    }
    struct words *w = words_new();
    struct segment *s = segment_build(w, adds, vectors, ROWS, DIM);
    atomic_bool cancel = false;
    if (sealed) {
        assert_int_equal(segment_seal(s, NULL, 0, NULL, &graph_params, &cancel, &err), ASSAY_OK);
    }
    words_free(w);
    free(vectors);
    free((void *)adds);
    free(rows);
    return s;
}

struct place {
    char dir[64];
    struct segment_file file;
};

static struct place write_segment(const struct segment *s)
{
    struct err err = {0};
    struct place p = {.file = {.number = 4}};
    log_init(LOG_ERROR, false);
    snprintf(p.dir, sizeof(p.dir), "/tmp/assay-segment-XXXXXX");
    assert_non_null(mkdtemp(p.dir));
    assert_int_equal(segment_file_write(s, p.dir, &p.file, &err), ASSAY_OK);
    return p;
}

static void remove_place(const struct place *p)
{
    nftw(p->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void expect_same(const struct segment *a, const struct segment *b)
{
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->langs, b->langs);
    for (size_t i = 0; i < SEC_COUNT; i++) {
        assert_int_equal(a->sec[i].len, b->sec[i].len);
        if (a->sec[i].len > 0) {
            assert_memory_equal(a->sec[i].data, b->sec[i].data, a->sec[i].len);
        }
    }
    assert_true((a->graph == NULL) == (b->graph == NULL));
    if (a->graph != NULL) {
        const struct beam_graph *ga = graph_view(a->graph), *gb = graph_view(b->graph);
        assert_true(ga->entry == gb->entry && ga->max_level == gb->max_level && ga->upper == gb->upper);
        assert_memory_equal(ga->offsets, gb->offsets, (ga->n + 1) * sizeof(*ga->offsets));
        assert_memory_equal(ga->links, gb->links, ga->offsets[ga->n] * sizeof(*ga->links));
    }
}

static void test_segment_file__comes_back_mapped_and_outlives_its_name(void **state)
{
    (void)state;
    for (int sealed = 0; sealed < 2; sealed++) {
        const char *why = NULL;
        struct segment *s = make(sealed == 1);
        struct place p = write_segment(s);
        struct segment *back = segment_file_read(p.dir, &p.file, DIM, false, &why);
        assert_non_null(back);
        remove_place(&p); /* a merge does that while a search still reads */
        assert_int_equal(segment_mapped_bytes(back), p.file.len);
        assert_true(segment_heap_bytes(back) < 2048);
        assert_int_equal(segment_mapped_bytes(s), 0);
        assert_true(segment_heap_bytes(s) > (size_t)ROWS * DIM * sizeof(float));
        expect_same(s, back);
        segment_unref(s);
        segment_unref(back);
    }
}

/* A graph in a file is as good a base as one in memory. */
static void test_segment_file__a_mapped_graph_can_be_extended(void **state)
{
    (void)state;
    struct err err = {0};
    const char *why = NULL;
    struct segment *s = make(true);
    struct place p = write_segment(s);
    struct segment *back = segment_file_read(p.dir, &p.file, DIM, false, &why);
    assert_non_null(back);
    struct graph *of[2] = {NULL, NULL};
    struct segment *from[2] = {s, back};
    atomic_bool cancel = false;
    float *more = calloc((size_t)(ROWS + 50) * DIM, sizeof(*more));
    assert_non_null(more);
    memcpy(more, s->vectors, (size_t)ROWS * DIM * sizeof(float));
    memcpy(more + (size_t)ROWS * DIM, s->vectors, (size_t)50 * DIM * sizeof(float));
    for (int i = 0; i < 2; i++) {
        struct graph_base base = {from[i]->graph, NULL};
        assert_int_equal(graph_build(&(struct graph_rows){.vectors = more, .n = ROWS + 50, .dim = DIM}, &base,
                                     &graph_params, &cancel, &of[i], &err),
                         ASSAY_OK);
    }
    const struct beam_graph *a = graph_view(of[0]), *b = graph_view(of[1]);
    assert_int_equal(a->n, ROWS + 50);
    assert_memory_equal(a->offsets, b->offsets, (a->n + 1) * sizeof(*a->offsets));
    assert_memory_equal(a->links, b->links, a->offsets[a->n] * sizeof(*a->links));
    graph_free(of[0]);
    graph_free(of[1]);
    free(more);
    segment_unref(s);
    segment_unref(back);
    remove_place(&p);
}

static struct buf file_bytes(const struct place *p)
{
    uint64_t len = 0;
    struct buf b = {0};
    int fd = diskfile_open(p->dir, "segment-4", &len);
    assert_true(fd >= 0 && diskfile_read(fd, 0, len, &b));
    close(fd);
    return b;
}

/* Any one byte changed, the checksum left aside: refused, or a segment that a search cannot fall out of. */
static void test_segment_file__no_byte_of_it_is_trusted(void **state)
{
    (void)state;
    struct segment *s = make(true);
    struct place p = write_segment(s);
    struct buf good = file_bytes(&p);
    struct arena *a = arena_new(1 << 16);
    size_t refused = 0, accepted = 0;
    uint64_t seed = 11;
    for (size_t at = 0; at < good.len; at += at < 1024 ? 1 : 1 + next_random(&seed) % 16) {
        const char *why = NULL;
        int64_t rows[4];
        float scores[4];
        struct buf bad = {0};
        buf_put(&bad, good.data, good.len);
        bad.data[at] = (char)(bad.data[at] ^ (1 << next_random(&seed) % 8));
        struct segment *got = segment_file_parse(&bad, DIM, &why);
        if (got != NULL && got->graph != NULL) {
            size_t n = graph_search(got->graph, s->vectors, 4, 64, NULL, a, rows, scores);
            assert_true(n <= 4);
        }
        refused += got == NULL ? 1 : 0;
        accepted += got != NULL ? 1 : 0;
        segment_unref(got);
    }
    assert_true(refused > 100 && accepted > 100);
    arena_free(a);
    buf_free(&good);
    segment_unref(s);
    remove_place(&p);
}

/* ---- links that a search would follow out of the arrays ---- */

struct links {
    struct beam_graph view;
    int32_t *links;
    size_t *offsets, n_links;
};

static struct links copy_links(const struct segment *s)
{
    struct links l = {.view = *graph_view(s->graph)};
    l.n_links = l.view.offsets[l.view.n];
    l.links = calloc(l.n_links, sizeof(*l.links));
    l.offsets = calloc(l.view.n + 1, sizeof(*l.offsets));
    assert_true(l.links != NULL && l.offsets != NULL);
    memcpy(l.links, l.view.links, l.n_links * sizeof(*l.links));
    memcpy(l.offsets, l.view.offsets, (l.view.n + 1) * sizeof(*l.offsets));
    l.view.links = l.links;
    l.view.offsets = l.offsets;
    return l;
}

static bool accepted(struct links *l)
{
    struct graph *g = graph_borrow(&l->view, l->n_links);
    bool ok = g != NULL;
    graph_free(g);
    free(l->links);
    free(l->offsets);
    return ok;
}

/* A row that is on the ground alone. */
static size_t ground_row(const struct links *l)
{
    size_t row = 0;
    while (l->offsets[row + 1] - l->offsets[row] != l->view.ground) {
        row++;
    }
    return row;
}

static void test_segment_file__links_must_stay_within(void **state)
{
    (void)state;
    struct segment *s = make(true);
    struct links l = copy_links(s);
    size_t entry_at = l.offsets[l.view.entry], low = ground_row(&l);
    assert_true(l.view.max_level >= 1 && accepted(&l));
    for (int i = 0; i < 9; i++) {
        l = copy_links(s);
        l.links[0] = i == 0 ? ROWS : i == 1 ? -2 : l.links[0];
        l.view.entry = i == 2 ? ROWS : i == 3 ? -1 : i == 4 ? (int32_t)low : l.view.entry;
        l.view.max_level += i == 5 ? 1 : i == 6 ? -1 : 0;
        if (i == 7) { /* to a row without that level */
            l.links[entry_at + l.view.ground] = (int32_t)low;
        } else if (i == 8) {
            l.offsets[5]++;
        }
        assert_false(accepted(&l));
    }
    l = copy_links(s);
    l.n_links--;
    assert_false(accepted(&l));
    segment_unref(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_segment_file__comes_back_mapped_and_outlives_its_name),
        cmocka_unit_test(test_segment_file__a_mapped_graph_can_be_extended),
        cmocka_unit_test(test_segment_file__no_byte_of_it_is_trusted),
        cmocka_unit_test(test_segment_file__links_must_stay_within),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
