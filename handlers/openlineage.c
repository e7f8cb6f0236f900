#include "handlers/openlineage.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

enum { POINTER_MAX = 96 };

/* Where a member stands. */
struct place {
    const json_t *object;
    const char *prefix; /* pointer of the object */
    struct err *err;
    bool failed;
};

static void problem(struct place *p, const char *name, const char *what)
{
    char pointer[POINTER_MAX];
    (void)snprintf(pointer, sizeof pointer, "%s/%s", p->prefix, name);
    (void)err_add_field(p->err, pointer, "%s", what);
    p->failed = true;
}

static struct str text(const json_t *v)
{
    return (struct str){json_string_value(v), json_string_length(v)};
}

/* A string of 1..max bytes; "" when it is not required and absent or null. */
static struct str read_text(struct place *p, const char *name, size_t max, bool required)
{
    const json_t *v = json_object_get(p->object, name);
    if (!v || json_is_null(v)) {
        if (required)
            problem(p, name, "is required");
        return STR_LIT("");
    }
    struct str s = text(v);
    if (!json_is_string(v) || s.len == 0 || s.len > max) {
        char what[64];
        (void)snprintf(what, sizeof what, "must be a string of 1 to %zu bytes", max);
        problem(p, name, what);
        return STR_LIT("");
    }
    return s;
}

/* RFC 3986, section 3.1: a scheme and a colon. More than that would refuse producers that are in use. */
static bool is_uri(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (c == ':')
            return i > 0;
        if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.')))
            return false;
    }
    return false;
}

static struct str read_uri(struct place *p, const char *name, bool required)
{
    struct str s = read_text(p, name, OPENLINEAGE_URI_MAX, required);
    if (s.len && !is_uri(s))
        problem(p, name, "must be a URI");
    return s;
}

/* Facets may be anything that is an object of objects. */
static void check_facets(struct place *p)
{
    const json_t *facets = json_object_get(p->object, "facets");
    if (facets && !json_is_null(facets) && !json_is_object(facets))
        problem(p, "facets", "must be an object");
}

/* A member that is an object with namespace and name: a job or a dataset. */
static void read_named(struct place *parent, const json_t *v, const char *prefix, struct str *ns, struct str *name)
{
    struct place p = {.object = v, .prefix = prefix, .err = parent->err};
    if (!json_is_object(v)) {
        (void)err_add_field(p.err, prefix, "must be an object");
        parent->failed = true;
        return;
    }
    *ns = read_text(&p, "namespace", OPENLINEAGE_NAME_MAX, true);
    *name = read_text(&p, "name", OPENLINEAGE_NAME_MAX, true);
    check_facets(&p);
    parent->failed |= p.failed;
}

static const struct lineage_dataset_ref *read_datasets(struct arena *a, struct place *p, const char *name, size_t *n)
{
    const json_t *list = json_object_get(p->object, name);
    *n = 0;
    if (!list || json_is_null(list))
        return NULL;
    if (!json_is_array(list) || json_array_size(list) > OPENLINEAGE_DATASETS_MAX) {
        problem(p, name, "must be an array of at most 1000 datasets");
        return NULL;
    }
    *n = json_array_size(list);
    struct lineage_dataset_ref *out = ARENA_ARRAY(a, struct lineage_dataset_ref, *n);
    for (size_t i = 0; i < *n; i++) {
        char prefix[POINTER_MAX];
        (void)snprintf(prefix, sizeof prefix, "/%s/%zu", name, i);
        read_named(p, json_array_get(list, i), prefix, &out[i].ns, &out[i].name);
    }
    return out;
}

static void read_type(struct place *p, struct lineage_event *out)
{
    static const char *const types[] = {"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"};
    out->event_type = read_text(p, "eventType", 16, false);
    bool known = out->event_type.len == 0;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        known |= str_eqc(out->event_type, types[i]);
    if (!known)
        problem(p, "eventType", "must be one of: START, RUNNING, COMPLETE, ABORT, FAIL, OTHER");
}

static void read_run(struct place *p, const json_t *run, struct lineage_event *out)
{
    struct place at = {.object = run, .prefix = "/run", .err = p->err};
    if (!json_is_object(run)) {
        problem(p, "run", "must be an object");
        return;
    }
    out->run_id = read_text(&at, "runId", UUID_TEXT, true);
    if (out->run_id.len && !uuid_valid(out->run_id))
        problem(&at, "runId", "must be a UUID");
    check_facets(&at);
    p->failed |= at.failed;
}

/* The three kinds: what an event has decides which it is. */
static void read_kind(struct arena *a, struct place *p, struct lineage_event *out)
{
    const json_t *run = json_object_get(p->object, "run"), *job = json_object_get(p->object, "job");
    const json_t *dataset = json_object_get(p->object, "dataset");
    if (dataset && !run && !job) {
        struct lineage_dataset_ref *ref = ARENA_NEW(a, struct lineage_dataset_ref);
        read_named(p, dataset, "/dataset", &ref->ns, &ref->name);
        out->outputs = ref;
        out->n_outputs = 1;
        return;
    }
    if (dataset)
        problem(p, "dataset", "cannot stand beside job or run");
    if (!job) {
        problem(p, "job", "is required, unless the event is about a dataset");
        return;
    }
    read_named(p, job, "/job", &out->job_ns, &out->job_name);
    if (run)
        read_run(p, run, out);
    out->inputs = read_datasets(a, p, "inputs", &out->n_inputs);
    out->outputs = read_datasets(a, p, "outputs", &out->n_outputs);
}

enum assay_code openlineage_read(struct arena *a, const json_t *json, struct lineage_event *out, struct err *err)
{
    struct place p = {.object = json, .prefix = "", .err = err};
    *out = (struct lineage_event){.run_id = STR_LIT(""), .job_ns = STR_LIT(""), .job_name = STR_LIT("")};
    if (!json_is_object(json))
        return err_set(err, ASSAY_INVALID, NULL, "an OpenLineage event is a JSON object");
    struct str time = read_text(&p, "eventTime", 64, true);
    if (time.len && !clock_parse(time, &out->event_time_us))
        problem(&p, "eventTime", "must be an RFC 3339 time with an offset");
    out->producer = read_uri(&p, "producer", true);
    out->schema_url = read_uri(&p, "schemaURL", false);
    read_type(&p, out);
    read_kind(a, &p, out);
    if (p.failed)
        return ASSAY_INVALID;
    struct buf canonical = {0};
    json_canonical(json, &canonical);
    out->raw_json = str_dup(a, buf_str(&canonical));
    buf_free(&canonical);
    return ASSAY_OK;
}
