#include "store/edges.h"

#include "store/stmts.h"

static const struct store_stmt edges_insert = {
    "edges_insert",
    "INSERT INTO lineage_edges (from_collection, from_kind, from_key, to_collection, to_kind, to_key, created_at)"
    " SELECT f.c, f.k, f.key, f.tc, f.tk, f.tkey, $7::timestamptz"
    " FROM unnest($1::integer[], $2::smallint[], $3::text[], $4::integer[], $5::smallint[], $6::text[])"
    "      AS f (c, k, key, tc, tk, tkey)"
    " ON CONFLICT DO NOTHING",
    7};

static void wire_ends(struct buf *args, const struct edge_put *edges, size_t n, bool to)
{
    size_t mark = wire_array(args, PG_INT4, n);
    for (size_t i = 0; i < n; i++)
        wire_i32(args, to ? edges[i].to.collection : edges[i].from.collection);
    wire_array_end(args, mark);
    mark = wire_array(args, PG_INT2, n);
    for (size_t i = 0; i < n; i++)
        wire_i16(args, (int)(to ? edges[i].to.kind : edges[i].from.kind));
    wire_array_end(args, mark);
    mark = wire_array(args, PG_TEXT, n);
    for (size_t i = 0; i < n; i++)
        wire_str(args, to ? edges[i].to.key : edges[i].from.key);
    wire_array_end(args, mark);
}

enum assay_code edges_put(struct tx *tx, const struct edge_put *edges, size_t n, int64_t now_us, struct err *err)
{
    struct buf args = {0};
    if (n == 0)
        return ASSAY_OK;
    wire_ends(&args, edges, n, false);
    wire_ends(&args, edges, n, true);
    wire_time(&args, now_us);
    return tx_exec(tx, &edges_insert, &args, NULL, err);
}

struct str edge_key_lower(struct arena *a, struct str key)
{
    char *out = arena_strndup(a, key.ptr ? key.ptr : "", key.len);
    for (size_t i = 0; i < key.len; i++)
        if (out[i] >= 'A' && out[i] <= 'Z')
            out[i] = (char)(out[i] + ('a' - 'A'));
    return (struct str){out, key.len};
}

const struct store_stmt *const store_edges_stmts[] = {&edges_insert, NULL};
