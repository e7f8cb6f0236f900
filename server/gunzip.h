/* Inflating a request body that came with Content-Encoding: gzip (RFC 1952). */
#ifndef ASSAY_SERVER_GUNZIP_H
#define ASSAY_SERVER_GUNZIP_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

/* The whole of `in`, one or more gzip members, inflated into the arena. ASSAY_INVALID when it is not gzip, is damaged
 * or cut short; ASSAY_TOO_LARGE when there is more than `max` bytes in it, found out without inflating them. */
enum assay_code gunzip(struct arena *a, struct str in, size_t max, struct str *out, struct err *err) MUST_USE;

#endif
