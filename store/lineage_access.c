#include "store/lineage_access.h"

#include "store/stmts.h"
#include "store/tx.h"

/* Kinds are those of enum node_kind. What is asked about and not found is hidden. */
static const struct store_stmt lineage_visible = {
    "lineage_visible",
    "SELECT a.i - 1"
    " FROM unnest($1::smallint[], $2::text[], $3::text[]) WITH ORDINALITY AS a (kind, collection, key, i)"
    " JOIN collections c ON c.name = a.collection"
    " WHERE CASE a.kind"
    "  WHEN 1 THEN EXISTS (SELECT FROM documents d WHERE d.collection_id = c.id AND d.key = a.key"
    "   AND (d.acl IS NULL OR d.acl && $4::text[]))"
    "  WHEN 2 THEN EXISTS (SELECT FROM versions v WHERE v.collection_id = c.id AND v.version = decode(a.key, 'hex'))"
    "   AND NOT EXISTS (SELECT FROM versions v JOIN documents d ON d.collection_id = v.collection_id AND d.id = "
    "v.document_id"
    "    WHERE v.collection_id = c.id AND v.version = decode(a.key, 'hex')"
    "    AND d.acl IS NOT NULL AND NOT d.acl && $4::text[])"
    "  WHEN 3 THEN EXISTS (SELECT FROM chunks k JOIN documents d ON d.collection_id = k.collection_id AND d.id = "
    "k.document_id"
    "   WHERE k.collection_id = c.id AND k.chunk = decode(a.key, 'hex') AND (d.acl IS NULL OR d.acl && $4::text[]))"
    "  WHEN 4 THEN EXISTS (SELECT FROM receipts r WHERE r.collection_id = c.id AND r.id = a.key::uuid AND r.key_id = "
    "$5)"
    "  ELSE false END",
    5};

static bool needs_asking(const struct lineage_node *node)
{
    return node->kind == NODE_DOCUMENT || node->kind == NODE_VERSION || node->kind == NODE_CHUNK ||
           node->kind == NODE_RECEIPT;
}

enum assay_code store_lineage_visible(struct store *s, const struct call *call, const struct lineage_reader *reader,
                                      const struct lineage_node *nodes, size_t n, bool **visible, struct err *err)
{
    size_t *asked = ARENA_ARRAY(call->arena, size_t, n);
    size_t m = 0;
    *visible = ARENA_ARRAY(call->arena, bool, n);
    for (size_t i = 0; i < n; i++) {
        (*visible)[i] = !needs_asking(&nodes[i]);
        if (!(*visible)[i])
            asked[m++] = i;
    }
    if (m == 0)
        return ASSAY_OK;
    struct buf args = {0};
    size_t mark = wire_array(&args, PG_INT2, m);
    for (size_t i = 0; i < m; i++)
        wire_i16(&args, (int)nodes[asked[i]].kind);
    wire_array_end(&args, mark);
    mark = wire_array(&args, PG_TEXT, m);
    for (size_t i = 0; i < m; i++)
        wire_str(&args, nodes[asked[i]].collection);
    wire_array_end(&args, mark);
    mark = wire_array(&args, PG_TEXT, m);
    for (size_t i = 0; i < m; i++)
        wire_str(&args, nodes[asked[i]].key);
    wire_array_end(&args, mark);
    wire_texts(&args, reader->groups);
    wire_str(&args, reader->key_id);
    struct rows rows = {0};
    TRY(store_query(s, call, &lineage_visible, &args, &rows, err));
    for (int i = 0; i < rows.n; i++) {
        struct row r = rows_at(&rows, i, call->arena);
        int64_t at = row_int(&r);
        if (at >= 0 && (size_t)at < m)
            (*visible)[asked[at]] = true;
    }
    return ASSAY_OK;
}

const struct store_stmt *const store_lineage_access_stmts[] = {&lineage_visible, NULL};
