#include "base/node_id.h"

#include <assert.h>
#include <string.h>

#include "base/digest.h"

struct kind_row {
    const char *name;
    const char *type;
    const char *scheme;
};

static const struct kind_row kinds[NODE_KIND_COUNT] = {
    [NODE_SOURCE] = {"source", "DATASET", "dataset"},
    [NODE_DOCUMENT] = {"document", "DATASET", "dataset"},
    [NODE_VERSION] = {"version", "DATASET", "dataset"},
    [NODE_CHUNK] = {"chunk", "DATASET", "dataset"},
    [NODE_RECEIPT] = {"receipt", "DATASET", "dataset"},
    [NODE_PIPELINE] = {"pipeline", "JOB", "job"},
    [NODE_RUN] = {"run", "RUN", "run"},
    [NODE_DATASET] = {"dataset", "DATASET", "dataset"},
    [NODE_JOB] = {"job", "JOB", "job"},
};

static struct str tail(struct str s, size_t from)
{
    return (struct str){s.ptr + from, s.len - from};
}

static bool find(struct str s, char c, size_t *at)
{
    const char *p = s.len ? memchr(s.ptr, c, s.len) : NULL;
    if (p)
        *at = (size_t)(p - s.ptr);
    return p != NULL;
}

/* Takes a trailing "#<uuid>" off. Any other '#' belongs to the key: document keys may be URLs with fragments. */
static void split_version(struct str *s, struct str *version)
{
    *version = (struct str){0};
    if (s->len <= UUID_TEXT || s->ptr[s->len - UUID_TEXT - 1] != '#')
        return;
    struct str candidate = tail(*s, s->len - UUID_TEXT);
    if (uuid_valid(candidate)) {
        *version = candidate;
        s->len -= UUID_TEXT + 1;
    }
}

static bool starts_port_or_authority(struct str s)
{
    return str_starts(s, "//") || (s.len && s.ptr[0] >= '0' && s.ptr[0] <= '9');
}

/* Splits "<ns>:<name>" as Marquez does: at the only ':', or at the first one not followed by "//" or a digit. */
static bool split_name(struct str s, struct str *ns, struct str *name)
{
    size_t at;
    if (!find(s, ':', &at))
        return false;
    size_t next;
    bool several = find(tail(s, at + 1), ':', &next);
    while (several && starts_port_or_authority(tail(s, at + 1))) {
        if (!find(tail(s, at + 1), ':', &next))
            return false;
        at += next + 1;
    }
    *ns = (struct str){s.ptr, at};
    *name = tail(s, at + 1);
    return ns->len > 0 && name->len > 0;
}

static bool key_valid(enum node_kind kind, struct str key)
{
    struct digest ignored;
    switch (kind) {
    case NODE_VERSION:
    case NODE_CHUNK:
    case NODE_PIPELINE:
        return digest_from_hex(key, &ignored);
    case NODE_RECEIPT:
    case NODE_RUN:
        return uuid_valid(key);
    case NODE_SOURCE:
    case NODE_DOCUMENT:
    case NODE_DATASET:
    case NODE_JOB:
    case NODE_KIND_COUNT:
        break;
    }
    return key.len > 0;
}

/* "<collection>/<kind>/<key>"; the key may hold slashes and colons. */
static bool parse_own(struct str name, bool job, struct node_id *out)
{
    size_t slash;
    if (!find(name, '/', &slash) || slash == 0)
        return false;
    out->collection = (struct str){name.ptr, slash};
    struct str rest = tail(name, slash + 1);
    if (!find(rest, '/', &slash))
        return false;
    struct str kind = {rest.ptr, slash};
    out->key = tail(rest, slash + 1);
    for (int k = NODE_SOURCE; k <= NODE_PIPELINE; k++) {
        if (str_eqc(kind, kinds[k].name)) {
            out->kind = (enum node_kind)k;
            return job == (k == NODE_PIPELINE) && key_valid(out->kind, out->key);
        }
    }
    return false;
}

bool node_id_parse(struct str text, struct node_id *out)
{
    struct node_id id = {0};
    split_version(&text, &id.version);
    if (str_starts(text, "run:")) {
        id.kind = NODE_RUN;
        id.key = id.name = tail(text, 4);
        if (!key_valid(id.kind, id.key))
            return false;
        *out = id;
        return true;
    }
    bool job = str_starts(text, "job:");
    if (!job && !str_starts(text, "dataset:"))
        return false;
    struct str rest = tail(text, job ? 4 : 8);
    /* Our own ids are split at the namespace we know, so that no colon or digit after it can mislead. */
    if (str_starts(rest, "assay:")) {
        id.ns = (struct str){rest.ptr, 5};
        id.name = tail(rest, 6);
        if (!parse_own(id.name, job, &id))
            return false;
    } else {
        if (!split_name(rest, &id.ns, &id.name))
            return false;
        id.kind = job ? NODE_JOB : NODE_DATASET;
        id.key = rest;
    }
    *out = id;
    return true;
}

void node_id_format(struct buf *out, enum node_kind kind, struct str collection, struct str key)
{
    assert((unsigned)kind < NODE_KIND_COUNT);
    buf_puts(out, kinds[kind].scheme);
    buf_putc(out, ':');
    if (kind <= NODE_PIPELINE) {
        buf_puts(out, "assay:");
        buf_put(out, collection.ptr, collection.len);
        buf_putc(out, '/');
        buf_puts(out, kinds[kind].name);
        buf_putc(out, '/');
    }
    buf_put(out, key.ptr, key.len);
}

const char *node_kind_name(enum node_kind kind)
{
    assert((unsigned)kind < NODE_KIND_COUNT);
    return kinds[kind].name;
}

const char *node_kind_type(enum node_kind kind)
{
    assert((unsigned)kind < NODE_KIND_COUNT);
    return kinds[kind].type;
}
