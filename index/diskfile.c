#include "index/diskfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/arena.h"
#include "base/log.h"

enum { CHUNK_BYTES = 1 << 20 };

struct diskfile {
    int fd, error; /* errno of the first failure; 0: none */
    uint64_t len;
    XXH3_state_t *sum;
    char tmp[PATH_MAX], path[PATH_MAX];
    struct buf pending;
};

static struct filesum sum_from(XXH128_hash_t h)
{
    return (struct filesum){{h.low64, h.high64}};
}

struct filesum filesum_of(struct str bytes)
{
    return sum_from(XXH3_128bits(bytes.ptr, bytes.len));
}

static enum assay_code refused(const char *path, int error, struct err *err)
{
    log_error("index file not written", "path=%s error=\"%s\"", path, strerror(error));
    return err_set(err, ASSAY_UNAVAILABLE, NULL, "the index cannot be saved to disk");
}

enum assay_code diskfile_create(const char *dir, const char *name, struct diskfile **out, struct err *err)
{
    struct diskfile *f = mem_calloc(1, sizeof(*f));
    int a = snprintf(f->path, sizeof(f->path), "%s/%s", dir, name);
    int b = snprintf(f->tmp, sizeof(f->tmp), "%s/%s.tmp", dir, name);
    f->fd = -1;
    if (a < 0 || b < 0 || (size_t)b >= sizeof(f->tmp)) {
        errno = ENAMETOOLONG;
    } else {
        f->fd = open(f->tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    }
    if (f->fd < 0) {
        enum assay_code code = refused(f->tmp, errno, err);
        free(f);
        return code;
    }
    f->sum = XXH3_createState();
    if (f->sum == NULL) {
        abort(); /* out of memory, as fatal as it is in mem_alloc */
    }
    XXH3_128bits_reset(f->sum);
    *out = f;
    return ASSAY_OK;
}

static void flush(struct diskfile *f)
{
    size_t at = 0;
    while (at < f->pending.len && f->error == 0) {
        ssize_t n = write(f->fd, f->pending.data + at, f->pending.len - at);
        if (n < 0 && errno != EINTR) {
            f->error = errno;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    f->pending.len = 0;
}

void diskfile_put(struct diskfile *f, const void *p, size_t n)
{
    if (n == 0) {
        return;
    }
    XXH3_128bits_update(f->sum, p, n);
    f->len += n;
    while (n > 0 && f->error == 0) {
        size_t part = n < CHUNK_BYTES ? n : CHUNK_BYTES;
        buf_put(&f->pending, p, part);
        p = (const char *)p + part;
        n -= part;
        if (f->pending.len >= CHUNK_BYTES) {
            flush(f);
        }
    }
}

uint64_t diskfile_len(const struct diskfile *f)
{
    return f->len;
}

enum assay_code diskfile_commit(struct diskfile *f, struct filesum *sum, struct err *err)
{
    enum assay_code code = ASSAY_OK;
    flush(f);
    if (f->error == 0 && fsync(f->fd) != 0) {
        f->error = errno;
    }
    if (close(f->fd) != 0 && f->error == 0) {
        f->error = errno;
    }
    if (f->error == 0 && rename(f->tmp, f->path) != 0) {
        f->error = errno;
    }
    if (f->error != 0) {
        code = refused(f->path, f->error, err);
        if (unlink(f->tmp) != 0 && errno != ENOENT) {
            log_warn("leftover file", "path=%s", f->tmp);
        }
    } else {
        *sum = sum_from(XXH3_128bits_digest(f->sum));
    }
    XXH3_freeState(f->sum);
    buf_free(&f->pending);
    free(f);
    return code;
}

enum assay_code diskfile_sync_dir(const char *dir, struct err *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return refused(dir, errno, err);
    }
    int error = fsync(fd) != 0 ? errno : 0;
    if (close(fd) != 0 && error == 0) {
        error = errno;
    }
    return error != 0 ? refused(dir, error, err) : ASSAY_OK;
}

bool diskfile_read(int fd, uint64_t from, uint64_t to, struct buf *out)
{
    out->len = 0;
    buf_reserve(out, (size_t)(to - from) + 1);
    while (out->len < to - from) {
        ssize_t n = pread(fd, out->data + out->len, (size_t)(to - from) - out->len, (off_t)(from + out->len));
        if (n == 0) {
            errno = ENODATA;
            return false;
        }
        if (n < 0 && errno != EINTR) {
            return false;
        }
        out->len += n > 0 ? (size_t)n : 0;
    }
    return true;
}

bool diskfile_sum(int fd, uint64_t len, struct filesum *sum)
{
    struct buf part = {0};
    XXH3_state_t *state = XXH3_createState();
    bool ok = true;
    if (state == NULL) {
        abort(); /* out of memory, as fatal as it is in mem_alloc */
    }
    XXH3_128bits_reset(state);
    for (uint64_t at = 0; at < len && ok; at += part.len) {
        ok = diskfile_read(fd, at, len - at < CHUNK_BYTES ? len : at + CHUNK_BYTES, &part);
        if (ok) {
            XXH3_128bits_update(state, part.data, part.len);
        }
    }
    *sum = sum_from(XXH3_128bits_digest(state));
    XXH3_freeState(state);
    buf_free(&part);
    return ok;
}

bool diskfile_map(int fd, uint64_t len, struct mapping *out)
{
    if (len == 0 || len > SIZE_MAX) {
        errno = EINVAL;
        return false;
    }
    void *at = mmap(NULL, (size_t)len, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        return false;
    }
    *out = (struct mapping){at, (size_t)len};
    return true;
}

void diskfile_unmap(struct mapping *m)
{
    if (m->at != NULL && munmap((void *)(uintptr_t)m->at, m->len) != 0) {
        log_error("index file not unmapped", "error=\"%s\"", strerror(errno));
    }
    *m = (struct mapping){0};
}

void diskfile_forget(const struct mapping *m)
{
    if (madvise((void *)(uintptr_t)m->at, m->len, MADV_DONTNEED) != 0) {
        log_debug("madvise", "error=\"%s\"", strerror(errno)); /* only memory is lost */
    }
}

int diskfile_open(const char *dir, const char *name, uint64_t *len)
{
    char path[PATH_MAX];
    struct stat st;
    int n = snprintf(path, sizeof(path), "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return -1;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        errno = EINVAL;
        return -1;
    }
    *len = (uint64_t)st.st_size;
    return fd;
}
