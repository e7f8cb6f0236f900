#include "server/endpoint_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

struct secret {
    char *text;
    size_t len;
};

static void wipe(void *ctx)
{
    struct secret *s = ctx;
    OPENSSL_cleanse(s->text, s->len);
}

static struct secret *make_secret(struct arena *a, size_t n)
{
    struct secret *s = ARENA_NEW(a, struct secret);
    s->text = arena_calloc(a, n + 1, 1);
    s->len = n;
    arena_defer(a, wipe, s);
    return s;
}

/* Reads the whole file; NULL with a line in the log when it cannot be used. */
static struct secret *read_file(struct arena *a, const char *file)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        log_error("endpoint keys not readable", "reason=%s", log_quote(strerror(errno)).s);
        return NULL;
    }
    struct secret *s = NULL;
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > ENDPOINT_KEYS_FILE_MAX) {
        log_error("endpoint keys are not a small regular file", "max=%d", ENDPOINT_KEYS_FILE_MAX);
    } else if (st.st_mode & (S_IRWXG | S_IRWXO)) {
        log_error("endpoint keys refused: others may read the file", "mode=%o", (unsigned)(st.st_mode & 0777));
    } else {
        s = make_secret(a, (size_t)st.st_size);
        size_t got = 0;
        while (got < s->len) {
            ssize_t n = read(fd, s->text + got, s->len - got);
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0)
                break;
            got += (size_t)n;
        }
    }
    close(fd);
    return s;
}

static bool secret_valid(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= ' ' || s.ptr[i] >= 127) /* it goes into a header */
            return false;
    return s.len > 0 && s.len <= ENDPOINT_KEY_MAX;
}

/* The value of `name` in the file's text; absent when there is none. */
static struct str find_line(struct str text, struct str name)
{
    while (text.len > 0) {
        const char *nl = memchr(text.ptr, '\n', text.len);
        struct str line = {text.ptr, nl ? (size_t)(nl - text.ptr) : text.len};
        size_t step = line.len + (nl ? 1 : 0);
        text = (struct str){text.ptr + step, text.len - step};
        const char *eq = line.len > 0 && line.ptr[0] != '#' ? memchr(line.ptr, '=', line.len) : NULL;
        if (!eq || !str_eq(str_trim((struct str){line.ptr, (size_t)(eq - line.ptr)}), name))
            continue;
        return str_trim((struct str){eq + 1, (size_t)(line.ptr + line.len - eq - 1)});
    }
    return (struct str){0};
}

enum assay_code endpoint_key_get(struct arena *a, const char *file, struct str name, struct str *out, struct err *err)
{
    struct secret *s = file && *file ? read_file(a, file) : NULL;
    struct str value = s ? find_line((struct str){s->text, s->len}, name) : (struct str){0};
    if (!secret_valid(value))
        return err_set(err, ASSAY_UNAVAILABLE, "embedder-key",
                       "The server has no usable key by the name that the collection asks for.");
    *out = value;
    return ASSAY_OK;
}
