/*
 * What lower layers may know of whoever asked: an arena, a deadline, an identity for logs and audit. Never a request.
 */
#ifndef ASSAY_BASE_CALL_H
#define ASSAY_BASE_CALL_H

#include <stdint.h>

#include "base/arena.h"

struct call {
    struct arena *arena;    /* results live here */
    int64_t deadline_us;    /* clock_mono_us() past which waiting is pointless */
    const char *request_id; /* for logs; never NULL */
    const char *actor;      /* "key:<name>" or "system:<part>", for audit and quarantine; never NULL */
};

#endif
