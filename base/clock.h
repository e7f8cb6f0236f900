/*
 * Time. Instants are microseconds since 1970-01-01T00:00:00Z in int64_t; names end in _us.
 */
#ifndef ASSAY_BASE_CLOCK_H
#define ASSAY_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define CLOCK_NEVER INT64_MAX /* no deadline */
#define CLOCK_SECOND INT64_C(1000000)
#define CLOCK_DAY (INT64_C(86400) * CLOCK_SECOND)
enum { CLOCK_TEXT = 32 };

int64_t clock_now_us(void);  /* wall clock, UTC */
int64_t clock_mono_us(void); /* monotonic, for deadlines and durations */
int64_t clock_mono_ns(void); /* monotonic, for latencies */

/* RFC 3339 in, any offset; years 0001-9999; false when malformed. Fractions beyond microseconds are cut. */
bool clock_parse(struct str s, int64_t *us);
/* RFC 3339 in UTC, "2026-03-01T12:00:00Z", with a fraction only where it is not zero. out holds CLOCK_TEXT bytes. */
void clock_format(int64_t us, char out[CLOCK_TEXT]);

/* ISO 8601 duration ("P90D", "PT12H", "P1Y2M3DT4H5M6S", "P2W"), positive, at most 1000 years. A year counts 365 days
 * and a month 30 (said in docs): a freshness limit has to be one number. */
bool clock_parse_duration(struct str s, int64_t *us);
/* The same back, in days and smaller: "P90D", "PT12H", "P1DT2H3M4.5S". us >= 0. out holds CLOCK_TEXT bytes. */
void clock_format_duration(int64_t us, char out[CLOCK_TEXT]);

#endif
