/*
 * What the declarations of endpoints have in common: where they are and by which key. Pure.
 */
#ifndef ASSAY_SERVER_ENDPOINT_SPEC_H
#define ASSAY_SERVER_ENDPOINT_SPEC_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

/* Checks the members `base_url` and `key_name` (which may be absent) of the object at `pointer`; slashes at the end of
 * the URL are cut off. ASSAY_INVALID with the pointer: another scheme than http and https, no host, credentials, a
 * query, a fragment, anything but printable ASCII; a key name with other characters than names have. */
enum assay_code endpoint_spec_check(struct arena *a, const char *pointer, struct str *base_url, struct str key_name,
                                    struct err *err) MUST_USE;

#endif
