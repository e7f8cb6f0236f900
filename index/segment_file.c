#include "index/segment_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"

enum {
    SEGMENT_VERSION = 4,
    ALIGN = 64,
    PAGE = 4096, /* what large sections begin at, so that no two of them share one */
    LARGE = 16 * PAGE,
    LEVELS_MAX = 64,
    SEC_LINKS = SEC_COUNT, /* int32_t: of the graph; empty when there is none */
    SEC_LINK_AT,           /* uint64_t n + 1 */
    FILE_SECTIONS
};

struct place {
    uint64_t at, len;
};
struct header {
    char magic[8];
    uint32_t version, byte_order, dim, langs;
    uint64_t n;
    int32_t m, entry, max_level, zero; /* of the graph; m 0: there is none */
    struct place sections[FILE_SECTIONS];
};
static const char magic[8] = {'A', 'S', 'S', 'A', 'Y', 'S', 'E', 'G'};
static const uint32_t byte_order = 0x01020304;

void segment_file_name(uint64_t number, char out[SEGMENT_FILE_NAME])
{
    snprintf(out, SEGMENT_FILE_NAME, "segment-%" PRIu64, number);
}

static uint64_t aligned(uint64_t at, uint64_t len)
{
    uint64_t to = len >= LARGE ? PAGE : ALIGN;
    return (at + to - 1) / to * to;
}

/* ---- writing ---- */

static struct str section_bytes(const struct segment *s, size_t i)
{
    const struct beam_graph *g = s->graph != NULL ? graph_view(s->graph) : NULL;
    if (i == SEC_LINKS) {
        return g == NULL ? (struct str){NULL, 0}
                         : (struct str){(const char *)g->links, g->offsets[g->n] * sizeof(*g->links)};
    }
    if (i == SEC_LINK_AT) {
        return g == NULL ? (struct str){NULL, 0}
                         : (struct str){(const char *)g->offsets, (g->n + 1) * sizeof(*g->offsets)};
    }
    return (struct str){s->sec[i].data, s->sec[i].len};
}

static void fill_header(const struct segment *s, struct header *h)
{
    *h = (struct header){
        .version = SEGMENT_VERSION, .byte_order = byte_order, .dim = (uint32_t)s->dim, .langs = s->langs, .n = s->n};
    memcpy(h->magic, magic, sizeof(magic));
    if (s->graph != NULL) {
        const struct beam_graph *g = graph_view(s->graph);
        h->m = (int32_t)g->upper;
        h->entry = g->entry;
        h->max_level = g->max_level;
    }
    uint64_t at = sizeof(*h);
    for (size_t i = 0; i < FILE_SECTIONS; i++) {
        uint64_t len = section_bytes(s, i).len;
        h->sections[i] = (struct place){aligned(at, len), len};
        at = h->sections[i].at + len;
    }
}

static void put_section(struct diskfile *f, const struct place *place, const char *p)
{
    static const char zeroes[PAGE];
    diskfile_put(f, zeroes, (size_t)(place->at - diskfile_len(f)));
    diskfile_put(f, p, (size_t)place->len);
}

enum assay_code segment_file_write(const struct segment *s, const char *dir, struct segment_file *file, struct err *err)
{
    struct diskfile *f = NULL;
    char name[SEGMENT_FILE_NAME];
    struct header h;
    fill_header(s, &h);
    segment_file_name(file->number, name);
    TRY(diskfile_create(dir, name, &f, err));
    diskfile_put(f, &h, sizeof(h));
    for (size_t i = 0; i < FILE_SECTIONS; i++) {
        put_section(f, &h.sections[i], section_bytes(s, i).ptr);
    }
    file->len = diskfile_len(f);
    return diskfile_commit(f, &file->sum, err);
}

/* ---- reading ---- */

/* Copies and checks the header: every section lies within the file, in order, aligned. */
static bool header_valid(struct str bytes, uint64_t file_len, size_t dim, struct header *h)
{
    if (bytes.len < sizeof(*h)) {
        return false;
    }
    memcpy(h, bytes.ptr, sizeof(*h));
    uint64_t at = sizeof(*h);
    bool ok = memcmp(h->magic, magic, sizeof(magic)) == 0 && h->version == SEGMENT_VERSION &&
              h->byte_order == byte_order && h->dim >= 1 && h->dim <= dim && h->m <= VINDEX_M_MAX &&
              (h->m == 0 || (h->m >= VINDEX_M_MIN && h->max_level >= 0 && h->max_level <= LEVELS_MAX));
    for (size_t i = 0; i < FILE_SECTIONS && ok; i++) {
        const struct place *p = &h->sections[i];
        ok = p->at % ALIGN == 0 && p->at >= at && p->at <= file_len && p->len <= file_len - p->at;
        at = p->at + p->len;
    }
    return ok;
}

static bool bind_graph(struct segment *s, const char *bytes, const struct header *h)
{
    const struct place *links = &h->sections[SEC_LINKS], *offsets = &h->sections[SEC_LINK_AT];
    if (h->m == 0) {
        return links->len == 0 && offsets->len == 0;
    }
    if (offsets->len != ((uint64_t)s->n + 1) * sizeof(uint64_t) || links->len % sizeof(int32_t) != 0) {
        return false;
    }
    const struct beam_graph view = {.links = (const int32_t *)(const void *)(bytes + links->at),
                                    .offsets = (const size_t *)(const void *)(bytes + offsets->at),
                                    .ground = 2 * (size_t)h->m,
                                    .upper = (size_t)h->m,
                                    .entry = h->entry,
                                    .max_level = h->max_level,
                                    .n = s->n,
                                    .dim = s->dim,
                                    .vectors = s->vectors};
    s->graph = graph_borrow(&view, (size_t)(links->len / sizeof(int32_t)));
    return s->graph != NULL;
}

/* A segment over bytes that begin with this header; false when they contradict themselves. */
static bool bind(struct segment *s, char *bytes, const struct header *h)
{
    for (size_t i = 0; i < SEC_COUNT; i++) {
        s->sec[i].data = bytes + h->sections[i].at;
        s->sec[i].len = (size_t)h->sections[i].len;
    }
    if (!segment_bind(s) || !bind_graph(s, bytes, h)) {
        return false;
    }
    segment_use_codes(s);
    return true;
}

static struct segment *segment_of(const struct header *h)
{
    struct segment *s = mem_calloc(1, sizeof(*s));
    atomic_init(&s->refs, 1);
    s->n = (size_t)h->n;
    s->dim = h->dim;
    s->langs = h->langs;
    s->cold.fd = -1;
    return s;
}

struct segment *segment_file_parse(struct buf *bytes, size_t dim, const char **why)
{
    struct header h;
    struct segment *s = NULL;
    *why = "malformed";
    if (header_valid(buf_str(bytes), bytes->len, dim, &h)) {
        s = segment_of(&h);
        s->blob = *bytes;
        *bytes = (struct buf){0};
        if (!bind(s, s->blob.data, &h)) {
            segment_unref(s);
            s = NULL;
        }
    }
    buf_free(bytes);
    return s;
}

/* Searches walk by the codes and read the few vectors that they need from the file, which stays open. */
static void leave_cold(struct segment *s, int fd)
{
    if (s->graph == NULL || s->codes == NULL) {
        return;
    }
    s->cold = (struct cold){.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0),
                            .at = (uint64_t)((const char *)s->vectors - s->map.at),
                            .dim = s->dim,
                            .mapped = s->vectors};
    if (s->cold.fd >= 0) {
        graph_use_cold(s->graph, &s->cold);
    } else {
        log_warn("vectors are kept in memory", "error=\"%s\"", strerror(errno));
    }
}

static struct segment *map_fd(int fd, const struct segment_file *file, size_t dim, const char **why)
{
    struct mapping map = {0};
    struct header h;
    *why = "unreadable";
    if (!diskfile_map(fd, file->len, &map)) {
        return NULL;
    }
    *why = "malformed";
    if (!header_valid((struct str){map.at, map.len}, file->len, dim, &h)) {
        diskfile_unmap(&map);
        return NULL;
    }
    struct segment *s = segment_of(&h);
    s->map = map;
    s->file = *file;
    *why = "inconsistent";
    if (!bind(s, (char *)(uintptr_t)map.at, &h)) {
        segment_unref(s);
        return NULL;
    }
    /* All of it was looked at; what searches need comes back. */
    diskfile_forget(&s->map);
    return s;
}

static bool sum_matches(int fd, const struct segment_file *file, const char **why)
{
    struct filesum sum;
    *why = "unreadable";
    if (!diskfile_sum(fd, file->len, &sum)) {
        return false;
    }
    *why = "damaged: its checksum differs";
    return sum.h[0] == file->sum.h[0] && sum.h[1] == file->sum.h[1];
}

static struct segment *open_file(const char *dir, const struct segment_file *file, size_t dim, bool cold, bool check,
                                 const char **why)
{
    char name[SEGMENT_FILE_NAME];
    uint64_t len = 0;
    struct segment *s = NULL;
    segment_file_name(file->number, name);
    int fd = diskfile_open(dir, name, &len);
    if (fd < 0) {
        *why = "missing";
        return NULL;
    }
    *why = "of another length than recorded";
    if (len == file->len && (!check || sum_matches(fd, file, why))) {
        s = map_fd(fd, file, dim, why);
    }
    if (s != NULL && cold) {
        leave_cold(s, fd);
    }
    close(fd);
    return s;
}

struct segment *segment_file_read(const char *dir, const struct segment_file *file, size_t dim, bool cold,
                                  const char **why)
{
    return open_file(dir, file, dim, cold, true, why);
}

struct segment *segment_file_reopen(const char *dir, const struct segment_file *file, size_t dim, bool cold,
                                    const char **why)
{
    return open_file(dir, file, dim, cold, false, why);
}
