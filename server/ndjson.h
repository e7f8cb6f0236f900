/*
 * Lines of a stream, in constant memory: LF or CRLF ends them, the last may lack its end. A line longer than the limit
 * is skipped without being kept, and said so. Not thread-safe.
 */
#ifndef ASSAY_SERVER_NDJSON_H
#define ASSAY_SERVER_NDJSON_H

#include "server/intake.h"

struct ndjson {
    const struct bulk_source *from;
    size_t line_max;
    int64_t body_max; /* bytes of the whole stream; 0: no limit */
    struct buf buf;
    size_t at;      /* where the next line begins in buf */
    size_t scanned; /* buf[at:scanned] holds no line end */
    bool ended;     /* the source has no more */
    int64_t bytes;  /* read so far */
    int64_t number; /* of the line returned last, from 1; blank lines count */
};

void ndjson_init(struct ndjson *r, const struct bulk_source *from, size_t line_max, int64_t body_max);
void ndjson_free(struct ndjson *r);

enum ndjson_event { NDJSON_LINE, NDJSON_TOO_LONG, NDJSON_END };
/* The next line that is not blank, without its end; a view that holds until the next call. Errors are the source's, or
 * ASSAY_TOO_LARGE ("body-too-large") past body_max. */
enum assay_code ndjson_next(struct ndjson *r, enum ndjson_event *event, struct str *line, struct err *err) MUST_USE;

#endif
