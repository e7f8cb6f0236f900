/*
 * Keys of endpoints that Assay calls: `name = secret` lines in a file that only the server's user may read. Collections
 * refer to a key by its name, so that no secret is ever in PostgreSQL. The file is read when a key is needed: a changed
 * key works at once.
 */
#ifndef ASSAY_SERVER_ENDPOINT_KEYS_H
#define ASSAY_SERVER_ENDPOINT_KEYS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum { ENDPOINT_KEYS_FILE_MAX = 1 << 20, ENDPOINT_KEY_MAX = 4096 };

/* The secret called `name`, in the arena (wiped when the arena is freed). ASSAY_UNAVAILABLE "embedder-key" when the
 * file is not there, is readable by others, or has no such name; the reason is in the log only. */
enum assay_code endpoint_key_get(struct arena *a, const char *file, struct str name, struct str *out,
                                 struct err *err) MUST_USE;

#endif
