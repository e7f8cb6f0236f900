#include "server/gunzip.h"

#include <limits.h>
#include <string.h>
#include <zlib.h>

enum { GZIP_ONLY = 16 + MAX_WBITS /* as inflateInit2 wants it: no raw deflate, no zlib header */, STEP = 65536 };

static enum assay_code inflate_all(z_stream *z, size_t max, struct buf *out, struct err *err)
{
    int rc = Z_OK;
    while (rc != Z_STREAM_END || z->avail_in > 0) {
        if (rc == Z_STREAM_END && inflateReset(z) != Z_OK)
            return err_set(err, ASSAY_INTERNAL, NULL, "inflate cannot be reset");
        buf_reserve(out, STEP);
        z->next_out = (unsigned char *)out->data + out->len;
        z->avail_out = STEP;
        rc = inflate(z, Z_NO_FLUSH);
        out->len += STEP - z->avail_out;
        if (out->len > max)
            return err_set(err, ASSAY_TOO_LARGE, NULL, "the body inflates to more than %zu bytes", max);
        if (rc != Z_OK && rc != Z_STREAM_END)
            return err_set(err, ASSAY_INVALID, NULL, "the body is not gzip, or is damaged or cut short");
    }
    return ASSAY_OK;
}

enum assay_code gunzip(struct arena *a, struct str in, size_t max, struct str *out, struct err *err)
{
    /* zlib declares its input without const unless told otherwise, but never writes to it. */
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)in.ptr, .avail_in = (unsigned)in.len};
    struct buf text = {0};
    if (in.len == 0 || in.len > UINT_MAX)
        return err_set(err, ASSAY_INVALID, NULL, "the body is not gzip, or is damaged or cut short");
    if (inflateInit2(&z, GZIP_ONLY) != Z_OK)
        return err_set(err, ASSAY_INTERNAL, NULL, "inflate cannot be initialised");
    enum assay_code code = inflate_all(&z, max, &text, err);
    if (code == ASSAY_OK)
        *out = str_dup(a, buf_str(&text));
    (void)inflateEnd(&z);
    buf_free(&text);
    return code;
}
