/*
 * Structured log on stderr: JSON lines, or readable text on a terminal. Never bodies, keys or text of documents.
 *
 * The log is the one process-wide object (like stderr itself); log_init is called once by main, and the level may
 * be changed at any time (atomic). A line is written with one write(2). Thread-safe.
 */
#ifndef ASSAY_BASE_LOG_H
#define ASSAY_BASE_LOG_H

#include <stdbool.h>

#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_init(enum log_level level, bool json);
void log_set_level(enum log_level level);
bool log_level_parse(const char *s, enum log_level *out); /* debug info warn error */

/* Binds a request id to this thread's further lines until cleared with NULL (thread-local; id must outlive it). */
void log_bind(const char *request_id);

/* A value made safe for key=value: quoted and escaped where it has to be, cut at LOG_QUOTE_MAX. Used in place:
 * log_info("loaded", "path=%s", log_quote(path).s). */
enum { LOG_QUOTE_MAX = 256 };
struct log_quoted {
    char s[LOG_QUOTE_MAX];
};
struct log_quoted log_quote(const char *value);

/* One line: a message and its fields. The fields are one logfmt string built as by printf, `key=value
 * key2="quoted value"`, or "" for none: log_info("migrated", "version=%d name=%s", v, name). Values that may hold
 * blanks or quotes go through log_quote. In JSON mode the fields become members (numbers, true and false unquoted).
 * Control characters never reach the output. Fields are cut at 2,000 bytes. */
void log_at(enum log_level level, const char *msg, const char *fields_fmt, ...) PRINTF_LIKE(3, 4);
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
/* One error line for an err, with where it was raised. */
void log_err(enum log_level level, const char *msg, const struct err *err);

#endif
