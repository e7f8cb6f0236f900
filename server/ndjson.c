#include "server/ndjson.h"

#include <string.h>

enum { PIECE = 1 << 16 };

void ndjson_init(struct ndjson *r, const struct bulk_source *from, size_t line_max, int64_t body_max)
{
    *r = (struct ndjson){.from = from, .line_max = line_max, .body_max = body_max};
}

void ndjson_free(struct ndjson *r)
{
    buf_free(&r->buf);
}

/* Moves what is left to the front and reads one more piece. */
static enum assay_code fill(struct ndjson *r, struct err *err)
{
    size_t got = 0;
    buf_drop(&r->buf, r->at);
    r->scanned -= r->at;
    r->at = 0;
    buf_reserve(&r->buf, PIECE);
    TRY(r->from->read(r->from->ctx, r->buf.data + r->buf.len, PIECE, &got, err));
    r->buf.len += got;
    r->bytes += (int64_t)got;
    r->ended = got == 0;
    if (r->body_max > 0 && r->bytes > r->body_max)
        return err_set(err, ASSAY_TOO_LARGE, "body-too-large", "The stream is longer than %lld bytes.",
                       (long long)r->body_max);
    return ASSAY_OK;
}

/* Looks on for a line end in what is buffered. */
static const char *find_end(struct ndjson *r)
{
    if (r->scanned == r->buf.len)
        return NULL;
    const char *nl = memchr(r->buf.data + r->scanned, '\n', r->buf.len - r->scanned);
    r->scanned = nl ? (size_t)(nl - r->buf.data) + 1 : r->buf.len;
    return nl;
}

/* Reads on to the next line end (or the end of the stream). A line past the limit is dropped as it comes. */
static enum assay_code next_raw(struct ndjson *r, struct str *line, bool *too_long, bool *end, struct err *err)
{
    *too_long = false;
    for (;;) {
        const char *nl = find_end(r);
        const char *start = r->buf.data ? r->buf.data + r->at : "";
        size_t len = nl ? (size_t)(nl - start) : r->buf.len - r->at;
        *end = !nl && r->ended;
        if (len > r->line_max) {
            *too_long = true;
            r->at = r->scanned;
        }
        if (nl || r->ended) {
            *line = *too_long ? (struct str){0} : (struct str){start, len};
            r->at = r->scanned;
            return ASSAY_OK;
        }
        TRY(fill(r, err));
    }
}

enum assay_code ndjson_next(struct ndjson *r, enum ndjson_event *event, struct str *line, struct err *err)
{
    bool too_long = false, end = false;
    while (!end) {
        struct str raw;
        TRY(next_raw(r, &raw, &too_long, &end, err));
        if (end && raw.len == 0 && !too_long)
            break;
        r->number++;
        *line = str_trim(raw);
        *event = too_long ? NDJSON_TOO_LONG : NDJSON_LINE;
        if (too_long || line->len > 0)
            return ASSAY_OK;
    }
    *event = NDJSON_END;
    *line = (struct str){0};
    return ASSAY_OK;
}
