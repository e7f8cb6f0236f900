/* What a node of the lineage graph says of itself. Never the text of a document. */
#include <string.h>

#include "base/json_write.h"
#include "store/lineage_nodes.h"
#include "store/stmts.h"

/* Every statement: the nodes of one kind in (collections, keys), out come position, collection's name, data, acl. */
#define ASKED " FROM unnest($1::integer[], $2::text[]) WITH ORDINALITY AS f (c, key, ord)"
#define DATA(kind, name)                                                                                               \
    "json_strip_nulls(json_build_object('namespace', 'assay', 'kind', '" kind "', 'name', " name ", "
#define STATE_NAME(column) "(ARRAY['pending', 'active', 'quarantined', 'retired'])[" column " + 1]"
#define OF_COLLECTION " JOIN collections k ON k.id = f.c"

static const struct store_stmt node_sources = {
    "node_sources",
    "SELECT f.ord - 1, k.name, " DATA(
        "source",
        "s.name") "'createdAt', rfc3339(s.created_at), 'updatedAt',"
                  " rfc3339(s.updated_at), 'active', s.active, 'blockReason', nullif(s.block_reason, ''), 'owner', "
                  "nullif(s.owner, ''),"
                  " 'contact', nullif(s.contact, ''), 'licence', nullif(s.licence, ''), 'description', "
                  "nullif(s.description, ''),"
                  " 'maxAge', nullif(s.max_age, ''), 'trust', s.trust)), false, NULL::text[]" ASKED OF_COLLECTION
                  " JOIN sources s ON s.collection_id = f.c AND s.name = f.key",
    2};
static const struct store_stmt node_documents = {
    "node_documents",
    "SELECT f.ord - 1, k.name, " DATA(
        "document", "d.key") "'createdAt', rfc3339(d.created_at), 'updatedAt',"
                             " rfc3339(d.updated_at), 'source', s.name, 'version', encode(d.version, 'hex'), 'uri', "
                             "nullif(v.uri, ''), 'title',"
                             " v.title, 'mediaType', v.media_type, 'modifiedAt', rfc3339(d.modified_at), 'freshUntil', "
                             "rfc3339(d.deadline),"
                             " 'deletedAt', rfc3339(d.deleted_at))), d.acl IS NOT NULL, d.acl" ASKED OF_COLLECTION
                             " JOIN documents d ON d.collection_id = f.c AND d.key = f.key"
                             " JOIN versions v ON v.collection_id = d.collection_id AND v.document_id = d.id AND "
                             "v.version = d.version"
                             " JOIN sources s ON s.collection_id = d.collection_id AND s.id = d.source_id",
    2};
static const struct store_stmt node_versions = {
    "node_versions",
    "SELECT f.ord - 1, k.name, " DATA(
        "version",
        "f.key") "'createdAt', rfc3339(v.ingested_at), 'retiredAt',"
                 " rfc3339(v.retired_at), 'document', d.key, 'uri', nullif(v.uri, ''), 'title', v.title, 'mediaType', "
                 "v.media_type,"
                 " 'language', v.language, 'bytes', v.bytes, 'bytesHash', encode(v.bytes_hash, 'hex'), 'chunks', "
                 "v.chunks,"
                 " 'pipeline', encode(v.pipeline, 'hex'), 'run', v.run)), d.acl IS NOT NULL, d.acl" ASKED OF_COLLECTION
                 " JOIN versions v ON v.collection_id = f.c AND v.version = decode(f.key, 'hex')"
                 " JOIN documents d ON d.collection_id = v.collection_id AND d.id = v.document_id",
    2};
static const struct store_stmt node_chunks = {
    "node_chunks",
    "SELECT f.ord - 1, k.name, " DATA(
        "chunk",
        "f.key") "'createdAt', rfc3339(c.created_at), 'document', d.key,"
                 " 'version', encode(c.version, 'hex'), 'span', json_build_array(c.span_from, c.span_to), 'page', "
                 "nullif(c.page, 0),"
                 " 'tokens', c.tokens, 'state', " STATE_NAME(
                     "c.state") ", 'quality', c.quality, 'freshUntil', rfc3339(d.deadline),"
                                " 'pipeline', encode(c.pipeline, 'hex'), 'run', c.run)), d.acl IS NOT NULL, d.acl" ASKED
                                    OF_COLLECTION
                                " JOIN chunks c ON c.collection_id = f.c AND c.chunk = decode(f.key, 'hex')"
                                " JOIN documents d ON d.collection_id = c.collection_id AND d.id = c.document_id",
    2};
static const struct store_stmt node_receipts = {
    "node_receipts",
    "SELECT f.ord - 1, k.name, " DATA(
        "receipt", "f.key") "'createdAt', rfc3339(r.at), 'commit',"
                            " encode(r.commit, 'hex'), 'seq', r.seq, 'mode', (ARRAY['hybrid', 'vector', "
                            "'lexical'])[r.mode + 1], 'k', r.k,"
                            " 'exact', r.exact, 'degraded', r.degraded)), false, NULL::text[]" ASKED OF_COLLECTION
                            " JOIN receipts r ON r.collection_id = f.c AND r.id = f.key::uuid",
    2};
static const struct store_stmt node_pipelines = {
    "node_pipelines",
    "SELECT f.ord - 1, k.name, " DATA("pipeline", "f.key") "'createdAt', rfc3339(p.created_at), 'declaration',"
                                                           " p.declaration)), false, NULL::text[]" ASKED OF_COLLECTION
                                                           " JOIN pipelines p ON p.id = decode(f.key, 'hex')",
    2};
/* A run's node id names no collection: one probe of the key for each. */
static const struct store_stmt node_runs = {
    "node_runs",
    "SELECT f.ord - 1, '', " DATA(
        "run", "f.key") "'collection', k.name, 'createdAt', rfc3339(r.started_at), 'endedAt',"
                        " rfc3339(r.finished_at), 'state', CASE WHEN r.finished_at IS NULL THEN 'RUNNING' WHEN r.ok "
                        "THEN 'COMPLETED'"
                        " ELSE 'FAILED' END, 'operation', (ARRAY['ingest', 'delete', 'sweep'])[r.kind + 1], 'pipeline',"
                        " encode(r.pipeline, 'hex'), 'actor', r.actor, 'stats', r.stats)), false, NULL::text[]" ASKED
                        " CROSS JOIN collections k JOIN runs r ON r.collection_id = k.id AND r.id = f.key::uuid WHERE "
                        "$1::integer[] IS NOT NULL",
    2};

static const struct store_stmt *const by_kind[NODE_KIND_COUNT] = {
    [NODE_SOURCE] = &node_sources, [NODE_DOCUMENT] = &node_documents, [NODE_VERSION] = &node_versions,
    [NODE_CHUNK] = &node_chunks,   [NODE_RECEIPT] = &node_receipts,   [NODE_PIPELINE] = &node_pipelines,
    [NODE_RUN] = &node_runs,
};

static enum assay_code fill_kind(struct tx *tx, enum node_kind kind, struct walk_node *nodes, struct lineage_node *out,
                                 size_t n, struct err *err)
{
    struct buf args = {0};
    struct rows rows = {0};
    size_t *at = ARENA_ARRAY(tx_arena(tx), size_t, n), m = 0;
    for (size_t i = 0; i < n; i++)
        if (nodes[i].id.kind == kind)
            at[m++] = i;
    if (m == 0)
        return ASSAY_OK;
    size_t mark = wire_array(&args, PG_INT4, m);
    for (size_t i = 0; i < m; i++)
        wire_i32(&args, nodes[at[i]].id.collection);
    wire_array_end(&args, mark);
    mark = wire_array(&args, PG_TEXT, m);
    for (size_t i = 0; i < m; i++)
        wire_str(&args, nodes[at[i]].id.key);
    wire_array_end(&args, mark);
    TRY(tx_exec(tx, by_kind[kind], &args, &rows, err));
    for (int i = 0; i < rows.n; i++) {
        struct row r = rows_at(&rows, i, tx_arena(tx));
        size_t node = at[row_int(&r)];
        nodes[node].found = true;
        out[node].collection = row_str(&r);
        out[node].data_json = row_str(&r);
        out[node].has_acl = row_bool(&r);
        out[node].acl = row_texts(&r);
    }
    return ASSAY_OK;
}

/* Foreign nodes, and our own that edges speak of but no table knows. */
static struct str plain_data(struct arena *a, const struct walk_node *node)
{
    struct node_id id = {.ns = STR_LIT("assay"), .name = node->id.key};
    struct buf text = {0}, json = {0};
    struct jsonw w;
    if (node->id.kind == NODE_DATASET || node->id.kind == NODE_JOB) {
        node_id_format(&text, node->id.kind, (struct str){0}, node->id.key);
        if (!node_id_parse(buf_str(&text), &id))
            id = (struct node_id){.ns = STR_LIT(""), .name = node->id.key};
    }
    jsonw_init(&w, &json);
    jsonw_object(&w);
    jsonw_kstr(&w, "namespace", id.ns);
    jsonw_kcstr(&w, "kind", node_kind_name(node->id.kind));
    jsonw_kstr(&w, "name", id.name);
    jsonw_object_end(&w);
    struct str out = str_dup(a, buf_str(&json));
    buf_free(&text);
    buf_free(&json);
    return out;
}

enum assay_code lineage_fill(struct tx *tx, struct walk_node *nodes, struct lineage_node *out, size_t n,
                             struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        out[i].kind = nodes[i].id.kind;
        out[i].key = nodes[i].id.key;
        out[i].collection = STR_LIT("");
    }
    for (int kind = 0; kind < NODE_KIND_COUNT; kind++)
        if (by_kind[kind])
            TRY(fill_kind(tx, (enum node_kind)kind, nodes, out, n, err));
    for (size_t i = 0; i < n; i++)
        if (!nodes[i].found)
            out[i].data_json = plain_data(tx_arena(tx), &nodes[i]);
    return ASSAY_OK;
}

const struct store_stmt *const store_lineage_data_stmts[] = {
    &node_sources, &node_documents, &node_versions, &node_chunks, &node_receipts, &node_pipelines, &node_runs, NULL};
