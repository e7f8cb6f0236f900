#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_write.h"
#include "base/str.h"

enum { FIELDS_MAX = 2000 };

static struct {
    atomic_int level;
    atomic_bool json;
} log_state = {LOG_INFO, false};

static _Thread_local const char *log_request;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_init(enum log_level level, bool json)
{
    log_set_level(level);
    atomic_store_explicit(&log_state.json, json, memory_order_relaxed);
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&log_state.level, (int)level, memory_order_relaxed);
}

bool log_level_parse(const char *s, enum log_level *out)
{
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        if (strcmp(s, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void log_bind(const char *request_id)
{
    log_request = request_id;
}

static bool is_plain(char c)
{
    return (unsigned char)c > ' ' && c != '"' && c != '=' && c != '\\' && c != 0x7F;
}

struct log_quoted log_quote(const char *value)
{
    struct log_quoted q;
    size_t len = value ? strlen(value) : 0;
    bool plain = len > 0;
    for (size_t i = 0; i < len && plain; i++)
        plain = is_plain(value[i]);
    size_t at = 0;
    if (!plain)
        q.s[at++] = '"';
    for (size_t i = 0; i < len && at < sizeof q.s - 3; i++) {
        if (value[i] == '"' || value[i] == '\\')
            q.s[at++] = '\\';
        q.s[at++] = value[i];
    }
    if (!plain)
        q.s[at++] = '"';
    q.s[at] = '\0';
    return q;
}

/* An unquoted value that JSON may carry as it stands: true, false, or a plain decimal of up to 15 digits. */
static bool is_json_literal(struct str v)
{
    if (str_eqc(v, "true") || str_eqc(v, "false"))
        return true;
    size_t i = v.len && v.ptr[0] == '-';
    size_t start = i, dots = 0;
    for (; i < v.len; i++) {
        if (v.ptr[i] == '.' && i > start && dots == 0)
            dots++;
        else if (v.ptr[i] < '0' || v.ptr[i] > '9')
            return false;
    }
    size_t digits = v.len - start - dots;
    if (digits == 0 || digits > 15 || v.ptr[v.len - 1] == '.')
        return false;
    return v.ptr[start] != '0' || v.len == start + 1 || v.ptr[start + 1] == '.';
}

/* Takes one `key=value` off the front of *s; a quoted value is unescaped into `text`. False at the end. */
static bool next_field(struct str *s, struct buf *text, struct str *key, bool *quoted)
{
    *s = str_trim(*s);
    if (s->len == 0)
        return false;
    size_t i = 0;
    while (i < s->len && s->ptr[i] != '=' && s->ptr[i] != ' ')
        i++;
    *key = (struct str){s->ptr, i};
    text->len = 0;
    *quoted = false;
    if (i < s->len && s->ptr[i] == '=') {
        i++;
        *quoted = i < s->len && s->ptr[i] == '"';
        i += *quoted;
        for (; i < s->len && s->ptr[i] != (*quoted ? '"' : ' '); i++) {
            if (*quoted && s->ptr[i] == '\\' && i + 1 < s->len)
                i++;
            buf_putc(text, s->ptr[i]);
        }
        if (*quoted && i < s->len)
            i++;
    }
    s->ptr += i;
    s->len -= i;
    return true;
}

static void put_json(struct buf *line, enum log_level level, const char *msg, struct str fields, const char *now)
{
    struct jsonw w;
    jsonw_init(&w, line);
    jsonw_object(&w);
    jsonw_kcstr(&w, "time", now);
    jsonw_kcstr(&w, "level", level_names[level]);
    jsonw_kcstr(&w, "msg", msg);
    if (log_request)
        jsonw_kcstr(&w, "request_id", log_request);
    struct buf text = {0};
    struct str key;
    bool quoted;
    while (next_field(&fields, &text, &key, &quoted)) {
        char name[64];
        (void)snprintf(name, sizeof name, "%.*s", STR_FMT(key));
        jsonw_key(&w, name);
        if (!quoted && is_json_literal(buf_str(&text)))
            jsonw_raw(&w, buf_str(&text));
        else
            jsonw_str(&w, buf_str(&text));
    }
    buf_free(&text);
    jsonw_object_end(&w);
}

static void put_text(struct buf *line, enum log_level level, const char *msg, struct str fields, const char *now)
{
    buf_printf(line, "%s %-5s %s", now, level_names[level], msg);
    if (fields.len) {
        buf_putc(line, ' ');
        buf_put(line, fields.ptr, fields.len);
    }
    if (log_request)
        buf_printf(line, " request_id=%s", log_request);
    for (size_t i = 0; i < line->len; i++) {
        if ((unsigned char)line->data[i] < ' ' || line->data[i] == 0x7F)
            line->data[i] = ' ';
    }
}

void log_at(enum log_level level, const char *msg, const char *fields_fmt, ...)
{
    if ((int)level < atomic_load_explicit(&log_state.level, memory_order_relaxed))
        return;
    int saved_errno = errno; /* so that logging never disturbs an error being handled */
    char fields[FIELDS_MAX];
    va_list args;
    va_start(args, fields_fmt);
    int n = vsnprintf(fields, sizeof fields, fields_fmt, args);
    va_end(args);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof fields ? (size_t)n : str_utf8_cut((struct str){fields, FIELDS_MAX - 1});
    char now[CLOCK_TEXT];
    clock_format(clock_now_us(), now);
    struct buf line = {0};
    if (atomic_load_explicit(&log_state.json, memory_order_relaxed))
        put_json(&line, level, msg, (struct str){fields, len}, now);
    else
        put_text(&line, level, msg, (struct str){fields, len}, now);
    buf_putc(&line, '\n');
    /* Nobody is left to be told when stderr itself fails. */
    ssize_t ignored = write(STDERR_FILENO, line.data, line.len);
    (void)ignored;
    buf_free(&line);
    errno = saved_errno;
}

void log_err(enum log_level level, const char *msg, const struct err *err)
{
    log_at(level, msg, "code=%s detail=%s raised=%s:%d", err_slug(err), log_quote(err->detail).s,
           err->file ? err->file : "-", err->line);
}
