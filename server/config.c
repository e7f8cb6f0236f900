#include "server/config.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

/* Where `make install` puts migrations and the contract. */
#ifndef ASSAY_SHARE_DIR
#define ASSAY_SHARE_DIR "/usr/local/share/assay"
#endif

enum { CONFIG_FILE_MAX = 256 * 1024, CONFIG_VALUE_MAX = 4096, CONFIG_NAME_MAX = 64 };

enum setting_type { SET_TEXT, SET_INT, SET_BYTES, SET_SHARE, SET_LEVEL, SET_FORMAT };

struct setting {
    const char *name;
    enum setting_type type;
    size_t offset;
    double min, max; /* of numbers */
    const char *preset;
    bool secret;
    const char *help;
};

#define TEXT(name, member, preset, help)                                                                               \
    {                                                                                                                  \
        name, SET_TEXT, offsetof(struct config, member), 0, 0, preset, false, help                                     \
    }
#define SECRET(name, member, preset, help)                                                                             \
    {                                                                                                                  \
        name, SET_TEXT, offsetof(struct config, member), 0, 0, preset, true, help                                      \
    }
#define INT(name, min, max, preset, help)                                                                              \
    {                                                                                                                  \
#name, SET_INT, offsetof(struct config, name), min, max, preset, false, help                                   \
    }
#define BYTES(name, min, max, preset, help)                                                                            \
    {                                                                                                                  \
#name, SET_BYTES, offsetof(struct config, name), min, max, preset, false, help                                 \
    }

static const struct setting settings[] = {
    SECRET("database_url", database_url, "postgresql:///assay", "PostgreSQL, as libpq reads it"),
    TEXT("listen", listen, "127.0.0.1:8080", "address:port or [v6]:port; port 0 takes any free one and logs it"),
    TEXT("data_dir", data_dir, "/var/lib/assay", "index files, spool and the admin key"),
    TEXT("migrations_dir", migrations_dir, ASSAY_SHARE_DIR "/migrations", "the numbered SQL files"),
    TEXT("openapi_file", openapi_file, ASSAY_SHARE_DIR "/openapi.json", "the contract served at /openapi.json"),
    TEXT("tls_cert", tls_cert, "", "certificate chain, PEM; empty: plain HTTP"),
    TEXT("tls_key", tls_key, "", "private key of tls_cert, PEM"),
    TEXT("admin_key_file", admin_key_file, "",
         "where the first start writes the admin key; empty: <data_dir>/admin.key"),
    TEXT("pid_file", pid_file, "", "written at start, removed at the end; empty: none"),
    TEXT("endpoint_keys_file", endpoint_keys_file, "", "`name = secret` lines, mode 0600, for embedding endpoints"),
    TEXT("models_dir", models_dir, "", "where the folders of static embedding models are; empty: none"),
    TEXT("namespace", namespace_, "assay", "OpenLineage namespace of Assay's own data sets"),
    {"log_format", SET_FORMAT, offsetof(struct config, log_format), 0, 0, "auto", false,
     "json, text, or auto: text on a terminal"},
    {"log_level", SET_LEVEL, offsetof(struct config, log_level), 0, 0, "info", false, "debug, info, warn or error"},
    INT(http_threads, 0, 256, "0", "threads that speak HTTP and search; 0: one per CPU"),
    INT(worker_threads, 1, 256, "16", "threads for whatever waits for PostgreSQL, files or endpoints"),
    INT(pool_size, 1, 256, "16", "PostgreSQL connections at most"),
    INT(build_threads, 0, 256, "0", "OpenMP threads of an index build; 0: all CPUs but one"),
    INT(connection_max, 8, 1000000, "1024", "open client connections"),
    INT(connection_per_ip_max, 0, 1000000, "0", "open connections of one address; 0: no limit"),
    INT(idle_timeout_s, 1, 86400, "60", "after which a silent connection is closed"),
    INT(request_timeout_s, 1, 86400, "30", "a request's deadline, and how long a body may take to arrive"),
    INT(drain_timeout_s, 0, 3600, "20", "how long a stop waits for requests under way"),
    BYTES(query_cache_bytes, 0, 17179869184, "32M", "vectors of repeated queries that endpoints embedded; 0: none"),
    BYTES(body_max, 1024, 1073741824, "16M", "bytes of a JSON body"),
    BYTES(bulk_line_max, 1024, 1073741824, "16M", "bytes of one NDJSON line"),
    BYTES(bulk_body_max, 0, 1e15, "0", "bytes of one NDJSON stream; 0: no limit"),
    INT(header_max, 4096, 1048576, "32768", "bytes of all headers of a request"),
    INT(statement_timeout_ms, 10, 3600000, "30000", "of one SQL statement"),
    INT(connect_timeout_s, 1, 300, "5", "of one connection attempt to PostgreSQL"),
    INT(sweep_interval_s, 1, 86400, "60", "how often staleness is recorded"),
    INT(checkpoint_interval_s, 1, 86400, "60", "how often the index is written to disk"),
    INT(poll_interval_ms, 10, 60000, "500", "how often the change log is looked at when nobody calls"),
    INT(head_max, 0, 10000000, "0", "rows searched exactly before a segment is built; 0: the index's default"),
    INT(ef_search, 0, 4096, "0", "beam of the HNSW search; 0: the index's default"),
    {"receipt_sample", SET_SHARE, offsetof(struct config, receipt_sample), 0, 1, "1", false,
     "share of searches whose receipt is kept, 0 to 1"},
};
enum { SETTING_COUNT = sizeof settings / sizeof settings[0] };

/* Names that belong to clients (the demo writes them for `. run.env`) or to the way this file is found. */
static const char *const foreign_variables[] = {"ASSAY_CONFIG", "ASSAY_URL", "ASSAY_KEY", NULL};

static const struct setting *setting_find(const char *name)
{
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (strcmp(settings[i].name, name) == 0)
            return &settings[i];
    return NULL;
}

/* A decimal number, for SET_BYTES with an optional binary multiple k, M or G. */
static bool parse_number(const struct setting *s, const char *text, int64_t *out)
{
    struct str digits = str_trim(str_of(text));
    int64_t unit = 1;
    if (s->type == SET_BYTES && digits.len > 1) {
        char last = digits.ptr[digits.len - 1];
        unit = last == 'k' || last == 'K' ? INT64_C(1) << 10
               : last == 'M'              ? INT64_C(1) << 20
               : last == 'G'              ? INT64_C(1) << 30
                                          : 1;
        digits.len -= unit > 1;
    }
    if (!str_to_i64(digits, out) || *out > INT64_MAX / unit || *out < 0)
        return false;
    *out *= unit;
    return (double)*out >= s->min && (double)*out <= s->max;
}

static bool parse_share(const char *text, double *out)
{
    char *end = NULL;
    errno = 0;
    *out = strtod(text, &end);
    return errno == 0 && end != text && *end == '\0' && isfinite(*out) && *out >= 0 && *out <= 1;
}

static enum assay_code apply_number(const struct setting *s, const char *value, const char *where, char *target,
                                    struct err *err)
{
    int64_t n = 0;
    if (!parse_number(s, value, &n))
        return err_set(err, ASSAY_INVALID, NULL, "%s: %s must be a whole number from %.0f to %.0f, not \"%.60s\"",
                       where, s->name, s->min, s->max, value);
    if (s->type == SET_INT) {
        int small = (int)n; /* the table's ranges fit an int */
        memcpy(target, &small, sizeof small);
    } else {
        memcpy(target, &n, sizeof n);
    }
    return ASSAY_OK;
}

/* Writes one value into the configuration. `where` names the place for the error: a variable or a line of the file. */
static enum assay_code apply(struct arena *a, const struct setting *s, const char *value, const char *where,
                             struct config *out, struct err *err)
{
    char *target = (char *)out + s->offset;
    if (strlen(value) > CONFIG_VALUE_MAX)
        return err_set(err, ASSAY_INVALID, NULL, "%s: %s is longer than %d bytes", where, s->name, CONFIG_VALUE_MAX);
    switch (s->type) {
    case SET_INT:
    case SET_BYTES:
        return apply_number(s, value, where, target, err);
    case SET_SHARE: {
        double share = 0;
        if (!parse_share(value, &share))
            return err_set(err, ASSAY_INVALID, NULL, "%s: %s must be a number from 0 to 1, not \"%.60s\"", where,
                           s->name, value);
        memcpy(target, &share, sizeof share);
        return ASSAY_OK;
    }
    case SET_LEVEL: {
        enum log_level level = LOG_INFO;
        if (!log_level_parse(value, &level))
            return err_set(err, ASSAY_INVALID, NULL, "%s: log_level must be debug, info, warn or error, not \"%.60s\"",
                           where, value);
        memcpy(target, &level, sizeof level);
        return ASSAY_OK;
    }
    case SET_FORMAT:
        if (strcmp(value, "auto") != 0 && strcmp(value, "json") != 0 && strcmp(value, "text") != 0)
            return err_set(err, ASSAY_INVALID, NULL, "%s: log_format must be auto, json or text, not \"%.60s\"", where,
                           value);
        break;
    case SET_TEXT:
        break;
    }
    const char *copy = arena_strndup(a, value, strlen(value));
    memcpy(target, &copy, sizeof copy);
    return ASSAY_OK;
}

/* ---- the file ---- */

static enum assay_code read_whole_file(struct arena *a, const char *path, struct str *out, struct err *err)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(err, ASSAY_INVALID, NULL, "the configuration file %.120s cannot be read: %s", path,
                       strerror(errno));
    char *text = arena_alloc(a, CONFIG_FILE_MAX + 1);
    size_t n = fread(text, 1, CONFIG_FILE_MAX + 1, f);
    bool failed = ferror(f) != 0;
    if (fclose(f) != 0 || failed)
        return err_set(err, ASSAY_INVALID, NULL, "the configuration file %.120s cannot be read", path);
    if (n > CONFIG_FILE_MAX)
        return err_set(err, ASSAY_INVALID, NULL, "the configuration file %.120s is longer than %d bytes", path,
                       CONFIG_FILE_MAX);
    *out = (struct str){text, n};
    return ASSAY_OK;
}

static enum assay_code apply_line(struct arena *a, struct str line, const char *where, bool seen[SETTING_COUNT],
                                  struct config *out, struct err *err)
{
    line = str_trim(line);
    if (line.len == 0 || line.ptr[0] == '#')
        return ASSAY_OK;
    const char *eq = memchr(line.ptr, '=', line.len);
    if (!eq)
        return err_set(err, ASSAY_INVALID, NULL, "%s: expected `name = value`", where);
    struct str name = str_trim((struct str){line.ptr, (size_t)(eq - line.ptr)});
    struct str value = str_trim((struct str){eq + 1, line.len - (size_t)(eq + 1 - line.ptr)});
    if (memchr(line.ptr, '\0', line.len))
        return err_set(err, ASSAY_INVALID, NULL, "%s: a NUL byte", where);
    const struct setting *s = setting_find(str_cstr(a, name));
    if (!s)
        return err_set(err, ASSAY_INVALID, NULL, "%s: there is no setting named \"%.*s\" (see assayd --help)", where,
                       (int)(name.len > CONFIG_NAME_MAX ? CONFIG_NAME_MAX : name.len), name.ptr);
    if (seen[s - settings])
        return err_set(err, ASSAY_INVALID, NULL, "%s: %s is set twice", where, s->name);
    seen[s - settings] = true;
    return apply(a, s, str_cstr(a, value), where, out, err);
}

static enum assay_code apply_file(struct arena *a, const char *path, struct config *out, struct err *err)
{
    struct str text = {0};
    TRY(read_whole_file(a, path, &text, err));
    bool seen[SETTING_COUNT] = {false};
    size_t at = 0;
    for (int number = 1; at < text.len; number++) {
        const char *line = text.ptr + at;
        const char *end = memchr(line, '\n', text.len - at);
        size_t len = end ? (size_t)(end - line) : text.len - at;
        const char *where = arena_printf(a, "%.120s, line %d", path, number);
        TRY(apply_line(a, (struct str){line, len}, where, seen, out, err));
        at += len + 1;
    }
    return ASSAY_OK;
}

/* ---- the environment ---- */

static bool is_foreign(const char *variable, size_t len)
{
    for (size_t i = 0; foreign_variables[i]; i++)
        if (strlen(foreign_variables[i]) == len && memcmp(foreign_variables[i], variable, len) == 0)
            return true;
    return false;
}

static enum assay_code apply_variable(struct arena *a, const char *variable, struct config *out, struct err *err)
{
    const char *eq = strchr(variable, '=');
    if (!eq || strncmp(variable, "ASSAY_", 6) != 0 || is_foreign(variable, (size_t)(eq - variable)))
        return ASSAY_OK;
    size_t len = (size_t)(eq - variable) - 6;
    char name[CONFIG_NAME_MAX + 1];
    const struct setting *s = NULL;
    if (len <= CONFIG_NAME_MAX) {
        bool upper = true;
        for (size_t i = 0; i < len; i++) {
            char c = variable[6 + i];
            upper = upper && !(c >= 'a' && c <= 'z');
            name[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        }
        name[len] = '\0';
        s = upper ? setting_find(name) : NULL;
    }
    const char *where = arena_strndup(a, variable, (size_t)(eq - variable));
    if (!s)
        return err_set(err, ASSAY_INVALID, NULL, "the environment variable %.80s names no setting (see assayd --help)",
                       where);
    return apply(a, s, eq + 1, where, out, err);
}

static const char *variable_get(char *const *environ_, const char *name)
{
    size_t n = strlen(name);
    for (char *const *e = environ_; e && *e; e++)
        if (strncmp(*e, name, n) == 0 && (*e)[n] == '=')
            return *e + n + 1;
    return NULL;
}

/* ---- what one setting alone cannot say ---- */

static enum assay_code check_listen(const char *listen, struct err *err)
{
    const char *colon = strrchr(listen, ':');
    int64_t port = -1;
    bool bracket = listen[0] == '[';
    bool ok = colon && str_to_i64(str_of(colon + 1), &port) && port >= 0 && port <= 65535 && colon[1] != '+' &&
              colon[1] != '-';
    if (ok && bracket)
        ok = colon > listen + 2 && colon[-1] == ']';
    else if (ok)
        ok = memchr(listen, ':', (size_t)(colon - listen)) == NULL;
    if (!ok)
        return err_set(err, ASSAY_INVALID, NULL,
                       "listen must be address:port or [v6]:port with a port up to 65535, not \"%.80s\"", listen);
    return ASSAY_OK;
}

static enum assay_code finish(struct arena *a, struct config *c, struct err *err)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int n = cpus < 1 ? 1 : cpus > 256 ? 256 : (int)cpus;
    if (c->http_threads == 0)
        c->http_threads = n;
    if (c->build_threads == 0)
        c->build_threads = n > 1 ? n - 1 : 1;
    if (c->data_dir[0] == '\0')
        return err_set(err, ASSAY_INVALID, NULL, "data_dir must not be empty");
    if (c->database_url[0] == '\0')
        return err_set(err, ASSAY_INVALID, NULL, "database_url must not be empty");
    if ((c->tls_cert[0] == '\0') != (c->tls_key[0] == '\0'))
        return err_set(err, ASSAY_INVALID, NULL, "tls_cert and tls_key go together: set both or neither");
    if (c->namespace_[0] == '\0')
        return err_set(err, ASSAY_INVALID, NULL, "namespace must not be empty");
    if (c->admin_key_file[0] == '\0')
        c->admin_key_file = arena_printf(a, "%s/admin.key", c->data_dir);
    return check_listen(c->listen, err);
}

enum assay_code config_load(struct arena *a, const char *file, char *const *environ_, struct config *out,
                            struct err *err)
{
    *out = (struct config){0};
    for (size_t i = 0; i < SETTING_COUNT; i++)
        TRY(apply(a, &settings[i], settings[i].preset, "default", out, err));
    if (!file)
        file = variable_get(environ_, "ASSAY_CONFIG");
    if (file && file[0] != '\0')
        TRY(apply_file(a, file, out, err));
    for (char *const *e = environ_; e && *e; e++)
        TRY(apply_variable(a, *e, out, err));
    return finish(a, out, err);
}

void config_help(FILE *to)
{
    fputs("Settings: ASSAY_<NAME> in the environment, over `name = value` lines of the file that --config or "
          "ASSAY_CONFIG\n"
          "names, over the default. Sizes take k, M and G. ASSAY_URL and ASSAY_KEY are clients' and are ignored.\n\n",
          to);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const char *preset = settings[i].preset[0] ? settings[i].preset : "\"\"";
        fprintf(to, "  %-22s %s (default %s)\n", settings[i].name, settings[i].help, preset);
    }
}

static void print_value(const struct setting *s, const struct config *c, FILE *to)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    const char *from = (const char *)c + s->offset;
    switch (s->type) {
    case SET_TEXT:
    case SET_FORMAT: {
        const char *text = NULL;
        memcpy(&text, from, sizeof text);
        fputs(s->secret && text[0] ? "(hidden)" : text, to);
        break;
    }
    case SET_INT: {
        int n = 0;
        memcpy(&n, from, sizeof n);
        fprintf(to, "%d", n);
        break;
    }
    case SET_BYTES: {
        int64_t n = 0;
        memcpy(&n, from, sizeof n);
        fprintf(to, "%lld", (long long)n);
        break;
    }
    case SET_SHARE: {
        double share = 0;
        memcpy(&share, from, sizeof share);
        fprintf(to, "%g", share);
        break;
    }
    case SET_LEVEL:
        fputs(levels[c->log_level], to);
        break;
    }
}

void config_print(const struct config *c, FILE *to)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        fprintf(to, "%s = ", settings[i].name);
        print_value(&settings[i], c, to);
        fputc('\n', to);
    }
}
