#include "index/segment_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/arena.h"

enum { SEGMENT_VERSION = 3, ALIGN = 64, SEC_GRAPH = SEC_COUNT, FILE_SECTIONS };

struct place {
    uint64_t at, len;
};
struct header {
    char magic[8];
    uint32_t version, byte_order, dim, langs;
    uint64_t n;
    struct place sections[FILE_SECTIONS];
};
static const char magic[8] = {'A', 'S', 'S', 'A', 'Y', 'S', 'E', 'G'};
static const uint32_t byte_order = 0x01020304;

void segment_file_name(uint64_t number, char out[SEGMENT_FILE_NAME])
{
    snprintf(out, SEGMENT_FILE_NAME, "segment-%" PRIu64, number);
}

static uint64_t aligned(uint64_t at)
{
    return (at + ALIGN - 1) / ALIGN * ALIGN;
}

static void put_section(struct diskfile *f, const struct place *place, const void *p)
{
    static const char zeroes[ALIGN];
    diskfile_put(f, zeroes, (size_t)(place->at - diskfile_len(f)));
    diskfile_put(f, p, (size_t)place->len);
}

enum assay_code segment_file_write(struct segment *s, const char *dir, uint64_t number, struct err *err)
{
    struct buf graph = {0};
    struct diskfile *f = NULL;
    struct filesum sum = {{0, 0}};
    char name[SEGMENT_FILE_NAME];
    struct header h = {
        .version = SEGMENT_VERSION, .byte_order = byte_order, .dim = (uint32_t)s->dim, .langs = s->langs, .n = s->n};
    memcpy(h.magic, magic, sizeof(magic));
    enum assay_code code = s->graph != NULL ? graph_write(s->graph, &graph, err) : ASSAY_OK;
    if (code != ASSAY_OK) {
        goto cleanup;
    }
    uint64_t at = sizeof(h);
    for (size_t i = 0; i < FILE_SECTIONS; i++) {
        h.sections[i] = (struct place){aligned(at), i == SEC_GRAPH ? graph.len : s->sec[i].len};
        at = h.sections[i].at + h.sections[i].len;
    }
    segment_file_name(number, name);
    code = diskfile_create(dir, name, &f, err);
    if (code != ASSAY_OK) {
        goto cleanup;
    }
    diskfile_put(f, &h, sizeof(h));
    for (size_t i = 0; i < FILE_SECTIONS; i++) {
        put_section(f, &h.sections[i], i == SEC_GRAPH ? graph.data : s->sec[i].data);
    }
    uint64_t len = diskfile_len(f);
    code = diskfile_commit(f, &sum, err);
    if (code == ASSAY_OK) {
        s->file = number;
        s->file_len = len;
        memcpy(s->file_hash, sum.h, sizeof(sum.h));
    }
cleanup:
    buf_free(&graph);
    return code;
}

/* Copies and checks the header: every section lies within the file, in order, aligned. */
static bool header_valid(const struct buf *bytes, uint64_t file_len, size_t dim, struct header *h)
{
    if (bytes->len < sizeof(*h)) {
        return false;
    }
    memcpy(h, bytes->data, sizeof(*h));
    uint64_t at = sizeof(*h);
    bool ok = memcmp(h->magic, magic, sizeof(magic)) == 0 && h->version == SEGMENT_VERSION &&
              h->byte_order == byte_order && h->dim == dim;
    for (size_t i = 0; i < FILE_SECTIONS && ok; i++) {
        const struct place *p = &h->sections[i];
        ok = p->at % ALIGN == 0 && p->at >= at && p->at <= file_len && p->len <= file_len - p->at;
        at = p->at + p->len;
    }
    return ok;
}

/* Makes a segment of the bytes before the graph, which it takes over. */
static struct segment *from_body(struct buf *body, const struct header *h)
{
    struct segment *s = mem_calloc(1, sizeof(*s));
    atomic_init(&s->refs, 1);
    s->n = (size_t)h->n;
    s->dim = h->dim;
    s->langs = h->langs;
    s->blob = *body;
    *body = (struct buf){0};
    for (size_t i = 0; i < SEC_COUNT; i++) {
        s->sec[i].data = s->blob.data + h->sections[i].at;
        s->sec[i].len = (size_t)h->sections[i].len;
    }
    if (!segment_bind(s)) {
        segment_unref(s);
        return NULL;
    }
    return s;
}

struct segment *segment_file_parse(struct buf *bytes, size_t dim, const char **why)
{
    struct header h;
    struct segment *s = NULL;
    *why = "malformed";
    if (header_valid(bytes, bytes->len, dim, &h)) {
        s = from_body(bytes, &h);
    }
    buf_free(bytes);
    return s;
}

static bool sum_matches(const struct buf *body, const struct buf *graph, const struct filesum *want)
{
    XXH3_state_t *state = XXH3_createState();
    if (state == NULL) {
        abort(); /* out of memory, as fatal as it is in mem_alloc */
    }
    XXH3_128bits_reset(state);
    XXH3_128bits_update(state, body->data, body->len);
    if (graph->len > 0) {
        XXH3_128bits_update(state, graph->data, graph->len);
    }
    XXH128_hash_t h = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    return h.low64 == want->h[0] && h.high64 == want->h[1];
}

static struct segment *read_fd(int fd, const struct segment_file *file, uint64_t len, size_t dim, const char **why)
{
    struct buf head = {0}, body = {0}, graph = {0};
    struct header h;
    struct segment *s = NULL;
    *why = "of another length than recorded";
    if (len != file->len) {
        goto cleanup;
    }
    *why = "malformed";
    if (len < sizeof(h) || !diskfile_read(fd, 0, sizeof(h), &head) || !header_valid(&head, len, dim, &h)) {
        goto cleanup;
    }
    *why = "unreadable";
    if (!diskfile_read(fd, 0, h.sections[SEC_GRAPH].at, &body) ||
        !diskfile_read(fd, h.sections[SEC_GRAPH].at, len, &graph)) {
        goto cleanup;
    }
    *why = "damaged: its checksum differs";
    if (!sum_matches(&body, &graph, &file->sum)) {
        goto cleanup;
    }
    *why = "inconsistent";
    s = from_body(&body, &h);
    if (s != NULL && h.sections[SEC_GRAPH].len > 0) {
        struct str bytes = {graph.data, (size_t)h.sections[SEC_GRAPH].len};
        float *vectors = (float *)(void *)s->sec[SEC_VECTORS].data;
        if (graph_read(bytes, vectors, s->n, s->dim, &s->graph, NULL) != ASSAY_OK) {
            segment_unref(s);
            s = NULL;
        } else {
            segment_use_codes(s);
        }
    }
cleanup:
    buf_free(&head);
    buf_free(&body);
    buf_free(&graph);
    return s;
}

struct segment *segment_file_read(const char *dir, const struct segment_file *file, size_t dim, const char **why)
{
    char name[SEGMENT_FILE_NAME];
    uint64_t len = 0;
    segment_file_name(file->number, name);
    int fd = diskfile_open(dir, name, &len);
    if (fd < 0) {
        *why = "missing";
        return NULL;
    }
    struct segment *s = read_fd(fd, file, len, dim, why);
    close(fd);
    if (s != NULL) {
        s->file = file->number;
        s->file_len = file->len;
        memcpy(s->file_hash, file->sum.h, sizeof(file->sum.h));
    }
    return s;
}
