#include "server/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

enum { PIECE = 1 << 16 };

static bool folder_path(const char *data_dir, char out[PATH_MAX])
{
    int n = snprintf(out, PATH_MAX, "%s/spool", data_dir);
    return n > 0 && n < PATH_MAX;
}

static bool file_path(const char *data_dir, const char *id, char out[PATH_MAX])
{
    int n = snprintf(out, PATH_MAX, "%s/spool/%s", data_dir, id);
    return n > 0 && n < PATH_MAX;
}

static enum assay_code disk_error(struct err *err, int cause)
{
    log_error("spool cannot be written", "reason=%s", log_quote(strerror(cause)).s);
    if (cause == ENOSPC || cause == EDQUOT || cause == EFBIG)
        return err_set(err, ASSAY_UNAVAILABLE, "spool-full", "The server's disk has no room for the upload.");
    return err_set(err, ASSAY_UNAVAILABLE, "spool-unavailable", "The server cannot keep the upload.");
}

enum assay_code spool_init(const char *data_dir, struct err *err)
{
    char path[PATH_MAX];
    if (!folder_path(data_dir, path))
        return err_set(err, ASSAY_INVALID, NULL, "The path of the data folder is too long.");
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return disk_error(err, errno);
    return ASSAY_OK;
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        p += put;
        n -= (size_t)put;
    }
    return true;
}

static enum assay_code copy(int fd, const struct bulk_source *from, int64_t max, int64_t *lines, int64_t *bytes,
                            struct err *err)
{
    char piece[PIECE];
    bool open_line = false;
    *lines = *bytes = 0;
    for (;;) {
        size_t n = 0;
        TRY(from->read(from->ctx, piece, sizeof piece, &n, err));
        if (n == 0)
            break;
        *bytes += (int64_t)n;
        if (max > 0 && *bytes > max)
            return err_set(err, ASSAY_TOO_LARGE, "body-too-large", "The stream is longer than %lld bytes.",
                           (long long)max);
        for (const char *p = piece; (p = memchr(p, '\n', (size_t)(piece + n - p))); p++)
            ++*lines;
        open_line = piece[n - 1] != '\n';
        if (!write_all(fd, piece, n))
            return disk_error(err, errno);
    }
    *lines += open_line;
    return ASSAY_OK;
}

/* The name itself must survive a crash too. */
static bool sync_folder(const char *data_dir)
{
    char path[PATH_MAX];
    if (!folder_path(data_dir, path))
        return false;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = fsync(fd) == 0;
    close(fd);
    return ok;
}

enum assay_code spool_write(const char *data_dir, const char *id, const struct bulk_source *from, int64_t max,
                            int64_t *lines, int64_t *bytes, struct err *err)
{
    char path[PATH_MAX];
    if (!file_path(data_dir, id, path))
        return disk_error(err, ENAMETOOLONG);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return disk_error(err, errno);
    enum assay_code code = copy(fd, from, max, lines, bytes, err);
    if (code == ASSAY_OK && fsync(fd) != 0)
        code = disk_error(err, errno);
    if (close(fd) != 0 && code == ASSAY_OK)
        code = disk_error(err, errno);
    if (code == ASSAY_OK && !sync_folder(data_dir))
        code = disk_error(err, errno);
    if (code != ASSAY_OK)
        (void)unlink(path);
    return code;
}

int spool_open(const char *data_dir, const char *id)
{
    char path[PATH_MAX];
    return file_path(data_dir, id, path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

void spool_remove(const char *data_dir, const char *id)
{
    char path[PATH_MAX];
    if (file_path(data_dir, id, path) && unlink(path) != 0 && errno != ENOENT)
        log_warn("spool file cannot be removed", "id=%s", id);
}

void spool_sweep(const char *data_dir, const struct str *ids, size_t n)
{
    char path[PATH_MAX];
    DIR *dir = folder_path(data_dir, path) ? opendir(path) : NULL;
    if (!dir)
        return;
    for (const struct dirent *e; (e = readdir(dir));) {
        bool known = !uuid_valid(str_of(e->d_name)); /* only what looks like ours is ours to remove */
        for (size_t i = 0; i < n && !known; i++)
            known = str_eqc(ids[i], e->d_name);
        if (!known)
            spool_remove(data_dir, e->d_name);
    }
    closedir(dir);
}
