/*
 * A collection on disk: segment files, which never change once written, and a manifest that names them and holds what
 * does change (states, ages, access, sources) as of one sequence number. The manifest is written last and renamed into
 * place: whatever happens, there is the old collection or the new one.
 */
#include "index/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"
#include "index/segment_file.h"

static const char manifest_name[] = "manifest";
static const char manifest_magic[8] = {'A', 'S', 'S', 'A', 'Y', 'M', 'A', 'N'};
enum { MANIFEST_VERSION = 2 };

/* ---- writing ---- */

static void put_sources(struct buf *b, const struct sources *sources)
{
    uint64_t n = sources->n;
    buf_put(b, &n, sizeof(n));
    for (size_t i = 0; i < sources->n; i++) {
        const struct source *s = &sources->items[i];
        uint64_t len = s->name.len;
        uint8_t active = s->active ? 1 : 0;
        buf_put(b, &s->id, sizeof(s->id));
        buf_put(b, &active, sizeof(active));
        buf_put(b, &s->max_age_us, sizeof(s->max_age_us));
        buf_put(b, &len, sizeof(len));
        buf_put(b, s->name.ptr, s->name.len);
    }
}

static void put_segment(struct buf *b, const struct view_seg *vs)
{
    const struct segment *s = vs->seg;
    uint64_t n = s->n;
    buf_put(b, &s->file.number, sizeof(s->file.number));
    buf_put(b, &s->file.len, sizeof(s->file.len));
    buf_put(b, &s->file.sum, sizeof(s->file.sum));
    buf_put(b, &n, sizeof(n));
    buf_put(b, vs->vis.rows->state, s->n);
    buf_put(b, vs->vis.age->modified, s->n * sizeof(int64_t));
    vis_acl_write(vs->vis.acl, s->n, b);
}

/* Zero bytes: hashed features. */
static void put_lsa(struct buf *b, const struct lsa *l)
{
    struct digest id = {{0}};
    if (l != NULL) {
        lsa_id(l, &id);
    }
    buf_put(b, &id, sizeof(id));
}

static void put_generation(struct buf *b, const struct generation *g)
{
    uint8_t has_previous = g->has_previous ? 1 : 0;
    buf_put(b, &g->added, sizeof(g->added));
    buf_put(b, &g->switches, sizeof(g->switches));
    buf_put(b, &has_previous, sizeof(has_previous));
    put_lsa(b, g->lsa);
    put_lsa(b, g->previous);
}

static enum assay_code save_manifest(struct vindex_collection *c, struct err *err)
{
    struct buf b = {0};
    uint32_t version = MANIFEST_VERSION;
    int32_t dim = c->spec.dim, kind = (int32_t)c->spec.kind;
    uint64_t n = c->n;
    buf_put(&b, manifest_magic, sizeof(manifest_magic));
    buf_put(&b, &version, sizeof(version));
    buf_put(&b, &c->spec.id, sizeof(c->spec.id));
    buf_put(&b, &kind, sizeof(kind));
    buf_put(&b, &dim, sizeof(dim));
    buf_put(&b, &c->spec.identity, sizeof(c->spec.identity));
    buf_put(&b, &c->seq, sizeof(c->seq));
    buf_put(&b, &c->commit, sizeof(c->commit));
    buf_put(&b, &c->next_file, sizeof(c->next_file));
    put_generation(&b, &c->gen);
    put_sources(&b, c->sources);
    buf_put(&b, &n, sizeof(n));
    for (size_t i = 0; i < c->n; i++) {
        put_segment(&b, &c->segs[i].vs);
    }
    struct filesum sum = filesum_of(buf_str(&b));
    buf_put(&b, &sum, sizeof(sum));
    struct diskfile *f = NULL;
    enum assay_code code = diskfile_create(c->dir, manifest_name, &f, err);
    if (code == ASSAY_OK) {
        diskfile_put(f, b.data, b.len);
        code = diskfile_commit(f, &sum, err);
    }
    buf_free(&b);
    return code == ASSAY_OK ? diskfile_sync_dir(c->dir, err) : code;
}

static bool is_lsa(const struct lsa *l, const char *name)
{
    char ours[LSA_FILE_NAME];
    struct digest id;
    if (l == NULL) {
        return false;
    }
    lsa_id(l, &id);
    lsa_file_name(&id, ours);
    return strcmp(name, ours) == 0;
}

/* Whether a directory entry belongs to the collection as it is in memory. */
static bool is_ours(const struct vindex_collection *c, const char *name)
{
    char ours[SEGMENT_FILE_NAME];
    bool found =
        strcmp(name, manifest_name) == 0 || name[0] == '.' || is_lsa(c->gen.lsa, name) || is_lsa(c->gen.previous, name);
    if (c->job != NULL && !found) { /* the builder may be writing it */
        segment_file_name(c->job->file.number, ours);
        size_t len = strlen(ours);
        found = strncmp(name, ours, len) == 0 && (name[len] == '\0' || name[len] == '.');
    }
    for (size_t i = 0; i < c->n && !found; i++) {
        segment_file_name(c->segs[i].vs.seg->file.number, ours);
        found = c->segs[i].vs.seg->file.number != 0 && strcmp(name, ours) == 0;
    }
    return found;
}

/* Removes files that no manifest names: of segments merged away, or of a write that was interrupted. */
static void remove_orphans(const struct vindex_collection *c, bool manifest_too)
{
    DIR *d = opendir(c->dir);
    if (d == NULL) {
        return;
    }
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        bool manifest = manifest_too && strcmp(e->d_name, manifest_name) == 0;
        if ((manifest || !is_ours(c, e->d_name)) && unlinkat(dirfd(d), e->d_name, 0) != 0) {
            log_warn("index file not removed", "collection=%d file=%s error=\"%s\"", (int)c->spec.id, e->d_name,
                     strerror(errno));
        }
    }
    closedir(d);
}

static void count_disk(struct vindex_collection *c)
{
    size_t bytes = 0;
    for (size_t i = 0; i < c->n; i++) {
        bytes += (size_t)c->segs[i].vs.seg->file.len;
    }
    atomic_store(&c->disk_bytes, bytes);
}

/* Its name is what it holds: a file that is there need not be written again. */
static enum assay_code save_lsa(const struct vindex_collection *c, const struct lsa *l, struct err *err)
{
    char name[LSA_FILE_NAME];
    struct digest id;
    uint64_t len = 0;
    if (l == NULL) {
        return ASSAY_OK;
    }
    lsa_id(l, &id);
    lsa_file_name(&id, name);
    int fd = diskfile_open(c->dir, name, &len);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0 && len == lsa_bytes(l) ? ASSAY_OK : lsa_file_write(l, c->dir, err);
}

/* Writes a segment that is nowhere yet, and serves it from its file from then on. */
static enum assay_code save_segment(struct vindex_collection *c, struct held *h, struct err *err)
{
    struct segment_file file = {.number = c->next_file};
    const char *why = "";
    if (h->vs.seg->file.number != 0) {
        return ASSAY_OK;
    }
    TRY(segment_file_write(h->vs.seg, c->dir, &file, err));
    c->next_file++;
    struct segment *mapped = segment_file_reopen(c->dir, &file, (size_t)c->spec.dim, collection_cold(c), &why);
    if (mapped == NULL) {
        log_error("index file not usable", "collection=%d file=%llu reason=\"%s\"", (int)c->spec.id,
                  (unsigned long long)file.number, why);
        return err_set(err, ASSAY_UNAVAILABLE, NULL, "the index cannot be saved to disk");
    }
    segment_unref(h->vs.seg);
    h->vs.seg = mapped;
    c->mapped += mapped->map.len;
    return ASSAY_OK;
}

enum assay_code files_save(struct vindex_collection *c, struct err *err)
{
    for (size_t i = 0; i < c->n; i++) {
        TRY(save_segment(c, &c->segs[i], err));
    }
    TRY(save_lsa(c, c->gen.lsa, err));
    TRY(save_lsa(c, c->gen.previous, err));
    TRY(diskfile_sync_dir(c->dir, err));
    TRY(save_manifest(c, err));
    remove_orphans(c, false);
    count_disk(c);
    return ASSAY_OK;
}

enum assay_code files_remove_all(struct vindex_collection *c, struct err *err)
{
    remove_orphans(c, true);
    atomic_store(&c->disk_bytes, 0);
    return diskfile_sync_dir(c->dir, err);
}

/* ---- reading ---- */

/* A cursor over the manifest: every read is checked, the first failure sticks. */
struct cursor {
    struct str left;
    bool failed;
};

static const char *take(struct cursor *r, uint64_t n)
{
    if (r->failed || n > r->left.len) {
        r->failed = true;
        return NULL;
    }
    const char *p = r->left.ptr;
    r->left = (struct str){p + n, r->left.len - (size_t)n};
    return p;
}

static void get(struct cursor *r, void *out, size_t n)
{
    const char *p = take(r, n);
    memset(out, 0, n);
    if (p != NULL) {
        memcpy(out, p, n);
    }
}

static const char *get_lsa(struct cursor *r, const struct vindex_collection *c, struct lsa **out)
{
    static const struct digest none = {{0}};
    struct digest id;
    const char *why = NULL;
    get(r, &id, sizeof(id));
    if (!r->failed && !digest_eq(&id, &none)) {
        *out = c->dir != NULL ? lsa_file_read(c->dir, &id, (size_t)c->spec.dim, &why) : NULL;
        return *out == NULL && why == NULL ? "the embedder's file is missing" : why;
    }
    return NULL;
}

static const char *get_generation(struct cursor *r, struct vindex_collection *c)
{
    uint8_t has_previous = 0;
    get(r, &c->gen.added, sizeof(c->gen.added));
    get(r, &c->gen.switches, sizeof(c->gen.switches));
    get(r, &has_previous, sizeof(has_previous));
    c->gen.has_previous = has_previous == 1;
    const char *why = get_lsa(r, c, &c->gen.lsa);
    return why != NULL ? why : get_lsa(r, c, &c->gen.previous);
}

static void get_sources(struct cursor *r, struct vindex_collection *c)
{
    uint64_t n = 0;
    get(r, &n, sizeof(n));
    for (uint64_t i = 0; i < n && !r->failed; i++) {
        struct source s = {0};
        uint8_t active = 0;
        uint64_t len = 0;
        bool changed = false;
        get(r, &s.id, sizeof(s.id));
        get(r, &active, sizeof(active));
        get(r, &s.max_age_us, sizeof(s.max_age_us));
        get(r, &len, sizeof(len));
        s.active = active == 1;
        s.name = (struct str){take(r, len), (size_t)len};
        if (!r->failed) {
            c->sources = sources_with(c->sources, &s, &changed);
        }
    }
}

/* The changeable part of a segment's rows. */
static bool get_vis(struct cursor *r, struct vindex_collection *c, const struct segment *s, struct seg_vis *vis)
{
    size_t used = 0;
    const char *states = take(r, s->n), *modified = take(r, (uint64_t)s->n * sizeof(int64_t));
    if (r->failed) {
        return false;
    }
    vis_init(vis, s);
    for (size_t row = 0; row < s->n; row++) {
        uint8_t state = (uint8_t)states[row];
        int64_t at = 0;
        memcpy(&at, modified + row * sizeof(at), sizeof(at));
        if (state >= CHUNK_STATE_COUNT) {
            vis_unref(vis);
            return false;
        }
        vis_set_state(vis, s, row, (enum chunk_state)state, c->sources);
        vis_set_age(vis, s, row, at, c->sources);
    }
    if (!vis_acl_read(vis, s->n, r->left, &used)) {
        vis_unref(vis);
        return false;
    }
    return take(r, used) != NULL;
}

static const char *get_segment(struct cursor *r, struct vindex_collection *c, files_open_fn *open_segment, void *ctx)
{
    struct segment_file file = {0};
    uint64_t n = 0;
    const char *why = "malformed manifest";
    get(r, &file.number, sizeof(file.number));
    get(r, &file.len, sizeof(file.len));
    get(r, &file.sum, sizeof(file.sum));
    get(r, &n, sizeof(n));
    if (r->failed) {
        return why;
    }
    struct segment *s = open_segment(ctx, &file, (size_t)c->spec.dim, &why);
    struct seg_vis vis;
    if (s == NULL) {
        return why;
    }
    if (s->n != n || !get_vis(r, c, s, &vis)) {
        segment_unref(s);
        return "malformed manifest";
    }
    held_add(c, s, &vis);
    return NULL;
}

const char *files_parse(struct vindex_collection *c, struct str bytes, files_open_fn *open_segment, void *ctx)
{
    struct cursor r = {.left = bytes};
    char magic[sizeof(manifest_magic)];
    uint32_t version = 0;
    int32_t id = 0, kind = 0, dim = 0;
    struct digest identity;
    uint64_t n = 0;
    get(&r, magic, sizeof(magic));
    get(&r, &version, sizeof(version));
    get(&r, &id, sizeof(id));
    get(&r, &kind, sizeof(kind));
    get(&r, &dim, sizeof(dim));
    get(&r, &identity, sizeof(identity));
    if (r.failed || memcmp(magic, manifest_magic, sizeof(magic)) != 0 || version != MANIFEST_VERSION) {
        return "not a manifest of this version";
    }
    if (id != c->spec.id || kind != (int32_t)c->spec.kind || dim != c->spec.dim ||
        !digest_eq(&identity, &c->spec.identity)) {
        return "of another collection or embedder";
    }
    get(&r, &c->seq, sizeof(c->seq));
    get(&r, &c->commit, sizeof(c->commit));
    get(&r, &c->next_file, sizeof(c->next_file));
    const char *why = get_generation(&r, c);
    get_sources(&r, c);
    get(&r, &n, sizeof(n));
    for (uint64_t i = 0; i < n && why == NULL && !r.failed; i++) {
        why = get_segment(&r, c, open_segment, ctx);
    }
    return why != NULL ? why : r.failed || r.left.len != 0 || c->seq < 0 ? "malformed manifest" : NULL;
}

static struct segment *open_from_dir(void *ctx, const struct segment_file *file, size_t dim, const char **why)
{
    const struct vindex_collection *c = ctx;
    return segment_file_read(c->dir, file, dim, collection_cold(c), why);
}

static const char *load(struct vindex_collection *c)
{
    uint64_t len = 0;
    struct buf b = {0};
    struct filesum sum;
    int fd = diskfile_open(c->dir, manifest_name, &len);
    if (fd < 0) {
        return errno == ENOENT ? "absent" : "unreadable manifest";
    }
    bool ok = diskfile_read(fd, 0, len, &b);
    close(fd);
    const char *why = "unreadable manifest";
    if (ok && len > sizeof(sum)) {
        struct str bytes = {b.data, b.len - sizeof(sum)};
        struct filesum want = filesum_of(bytes);
        memcpy(&sum, b.data + bytes.len, sizeof(sum));
        why = memcmp(&sum, &want, sizeof(sum)) == 0 ? files_parse(c, bytes, open_from_dir, c)
                                                    : "damaged manifest: its checksum differs";
    }
    buf_free(&b);
    return why;
}

void files_load(struct vindex_collection *c)
{
    const char *why = load(c);
    if (why == NULL) {
        remove_orphans(c, false);
        count_disk(c);
        c->dirty = false;
        log_info("index loaded", "collection=%d seq=%lld segments=%zu", (int)c->spec.id, (long long)c->seq, c->n);
        return;
    }
    uint64_t next_file = c->next_file;
    collection_empty(c);
    c->next_file = next_file > 0 ? next_file : 1;
    if (strcmp(why, "absent") != 0) {
        log_warn("index files not usable, the index is rebuilt", "collection=%d reason=\"%s\"", (int)c->spec.id, why);
    }
}
