#include "index/cold.h"

#include <errno.h>
#include <unistd.h>

const float *cold_row(const struct cold *c, size_t row, float *out)
{
    size_t bytes = c->dim * sizeof(*out), done = 0;
    uint64_t from = c->at + (uint64_t)row * bytes;
    while (done < bytes) {
        ssize_t n = pread(c->fd, (char *)out + done, bytes - done, (off_t)(from + done));
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return c->mapped + row * c->dim;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return out;
}
