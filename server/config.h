/*
 * Settings: one table of name, type, range, default, secrecy and help (config.c). Read from the environment
 * (ASSAY_<NAME>) over a file (`name = value` lines, # comments; ASSAY_CONFIG or --config) over defaults. Unknown
 * ASSAY_* variables and unknown names in the file are errors. `assayd --help` lists them all, --print-config shows the
 * values in force with secrets redacted.
 */
#ifndef ASSAY_SERVER_CONFIG_H
#define ASSAY_SERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"

struct config {
    const char *database_url; /* libpq URL; secret (may hold a password) */
    const char *listen;       /* address:port, [v6]:port; port 0: any free one, logged */
    const char *data_dir;     /* index files, spool, admin key */
    const char *migrations_dir, *openapi_file;
    const char *tls_cert, *tls_key; /* both or neither */
    const char *admin_key_file;     /* default <data_dir>/admin.key */
    const char *pid_file;           /* "" for none */
    const char
        *endpoint_keys_file; /* `name = secret` lines, mode 0600: keys for embedding endpoints, referred to by name */
    const char *models_dir;  /* folders of static embedding models; "" for none */
    const char *log_format;  /* auto json text */
    enum log_level log_level;
    int http_threads, worker_threads, pool_size, build_threads;
    int connection_max, connection_per_ip_max, idle_timeout_s;
    int request_timeout_s; /* a handler's deadline; also how long a body may take to arrive */
    int drain_timeout_s;
    int64_t query_cache_bytes; /* of vectors of queries that endpoints embedded; 0: none is kept */
    int64_t body_max;          /* bytes of a buffered JSON body */
    int64_t bulk_line_max;     /* bytes of one NDJSON line */
    int64_t bulk_body_max;     /* bytes of one NDJSON stream; 0: no limit */
    int header_max;            /* bytes of all headers */
    int statement_timeout_ms, connect_timeout_s;
    int sweep_interval_s, checkpoint_interval_s, poll_interval_ms;
    int head_max, ef_search;
    double receipt_sample;  /* share of searches whose receipt is kept, 0..1 */
    const char *namespace_; /* OpenLineage namespace shown for Assay's own data sets */
};

/* Everything is arena-owned. ASSAY_INVALID with one clear sentence in err->detail. */
enum assay_code config_load(struct arena *a, const char *file, char *const *environ_, struct config *out,
                            struct err *err) MUST_USE;
void config_help(FILE *to);
void config_print(const struct config *c, FILE *to);

#endif
