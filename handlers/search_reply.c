/* A search's answer as JSON. */
#include "handlers/search_reply.h"

#include "base/clock.h"
#include "base/node_id.h"

/* Scores are written with eight decimals: more than any comparison of hits needs, and many times cheaper than the
 * shortest text that reads back as the same double. */
static void write_decimal(struct jsonw *w, const char *key, double v)
{
    enum { DECIMALS = 8, SCALE = 100000000 };
    char text[40];
    jsonw_key(w, key);
    if (!(v > -1e9 && v < 1e9)) {
        jsonw_double(w, v);
        return;
    }
    uint64_t scaled = (uint64_t)((v < 0 ? -v : v) * SCALE + 0.5);
    uint64_t whole = scaled / SCALE, fraction = scaled % SCALE;
    char *p = text + sizeof text;
    for (int i = 0; i < DECIMALS; i++, fraction /= 10) {
        if (p != text + sizeof text || fraction % 10 != 0)
            *--p = (char)('0' + fraction % 10);
    }
    if (p != text + sizeof text)
        *--p = '.';
    do {
        *--p = (char)('0' + whole % 10);
        whole /= 10;
    } while (whole);
    if (v < 0 && scaled)
        *--p = '-';
    jsonw_raw(w, (struct str){p, (size_t)(text + sizeof text - p)});
}

/* The index keeps no difference between empty and absent. */
static void write_text(struct jsonw *w, const char *key, struct str s)
{
    jsonw_kstr(w, key, s.len ? s : STR_LIT(""));
}

static void write_optional(struct jsonw *w, const char *key, struct str s)
{
    jsonw_kstr(w, key, s.len ? s : (struct str){0});
}

static void write_provenance(struct jsonw *w, const struct search *s, const struct vindex_hit *h)
{
    char hex[DIGEST_HEX + 1];
    struct buf id = {0};
    digest_hex(&h->chunk, hex);
    node_id_format(&id, NODE_CHUNK, s->collection->name, (struct str){hex, DIGEST_HEX});
    jsonw_key(w, "provenance");
    jsonw_object(w);
    jsonw_kdigest(w, "pipeline", &h->pipeline);
    write_text(w, "run", h->run);
    jsonw_kdigest(w, "embedder", s->result.learned ? &s->result.embedder : &s->collection->embedder);
    jsonw_kint(w, "generation", s->collection->generation->number);
    jsonw_kstr(w, "node_id", buf_str(&id));
    jsonw_object_end(w);
    buf_free(&id);
}

/* place: the hit's before it was reranked; 0: it was not. */
static void write_hit_explain(struct jsonw *w, const struct vindex_hit *h, int place)
{
    static const char *const legs[] = {"vector", "lexical"};
    const int ranks[] = {h->vector_rank, h->lexical_rank};
    const double scores[] = {h->vector_score, h->lexical_score};
    jsonw_key(w, "explain");
    jsonw_object(w);
    for (size_t i = 0; i < sizeof legs / sizeof *legs; i++) {
        jsonw_key(w, legs[i]);
        if (ranks[i] == 0) {
            jsonw_null(w);
            continue;
        }
        jsonw_object(w);
        jsonw_kint(w, "rank", ranks[i]);
        write_decimal(w, "score", scores[i]);
        jsonw_object_end(w);
    }
    write_decimal(w, "base_score", h->base_score);
    write_decimal(w, "quality_factor", h->quality_factor);
    write_decimal(w, "freshness_factor", h->freshness_factor);
    if (place > 0) {
        jsonw_key(w, "rerank");
        jsonw_object(w);
        jsonw_kint(w, "rank_before", place);
        write_decimal(w, "score", h->score);
        jsonw_object_end(w);
    }
    jsonw_object_end(w);
}

/* Of a blocked source, or past its deadline and not yet recorded by the sweeper: held back all the same. */
static void write_state(struct jsonw *w, const struct search *s, enum chunk_state state, bool source_active,
                        int64_t fresh_until_us)
{
    bool held = state == CHUNK_ACTIVE && (!source_active || fresh_until_us <= s->query.now_us);
    jsonw_kcstr(w, "state", chunk_state_name(held ? CHUNK_QUARANTINED : state));
}

static void write_side(struct jsonw *w, const struct search *s, const struct vindex_hit *h, const char *key,
                       const struct vindex_neighbour *items, size_t n)
{
    jsonw_key(w, key);
    jsonw_array(w);
    for (size_t i = 0; i < n; i++) {
        jsonw_object(w);
        jsonw_kdigest(w, "chunk", &items[i].chunk);
        write_text(w, "heading", items[i].heading);
        write_text(w, "text", items[i].text);
        jsonw_kspan(w, "span", items[i].from, items[i].to);
        if (items[i].page > 0)
            jsonw_kint(w, "page", items[i].page);
        write_state(w, s, items[i].state, h->source_active, items[i].fresh_until_us);
        jsonw_object_end(w);
    }
    jsonw_array_end(w);
}

static void write_context(struct jsonw *w, const struct search *s, const struct vindex_hit *h)
{
    jsonw_key(w, "context");
    jsonw_object(w);
    write_side(w, s, h, "before", h->before, h->n_before);
    write_side(w, s, h, "after", h->after, h->n_after);
    jsonw_object_end(w);
}

static void write_highlights(struct jsonw *w, const struct vindex_hit *h)
{
    jsonw_key(w, "highlights");
    jsonw_array(w);
    for (size_t i = 0; i < h->n_highlights; i++) {
        jsonw_array(w);
        jsonw_int(w, (int64_t)h->highlights[i].from);
        jsonw_int(w, (int64_t)h->highlights[i].to);
        jsonw_array_end(w);
    }
    jsonw_array_end(w);
}

static void write_hit(struct jsonw *w, const struct search *s, size_t i)
{
    const struct vindex_hit *h = &s->result.hits[i];
    jsonw_object(w);
    jsonw_kdigest(w, "chunk", &h->chunk);
    jsonw_kstr(w, "document", h->document);
    jsonw_kdigest(w, "version", &h->version);
    write_optional(w, "uri", h->uri);
    write_text(w, "title", h->title);
    write_text(w, "heading", h->heading);
    write_text(w, "text", h->text);
    jsonw_kspan(w, "span", h->from, h->to);
    if (h->page > 0)
        jsonw_kint(w, "page", h->page);
    write_decimal(w, "score", h->score);
    write_decimal(w, "quality", h->quality);
    write_state(w, s, h->state, h->source_active, h->fresh_until_us);
    jsonw_ktime(w, "fresh_until", h->fresh_until_us);
    jsonw_kstr(w, "source", h->source);
    jsonw_kraw(w, "metadata", h->metadata_json.len ? h->metadata_json : STR_LIT("{}"));
    write_text(w, "language", h->language);
    write_text(w, "media_type", h->media_type);
    write_provenance(w, s, h);
    if (s->in.context > 0)
        write_context(w, s, h);
    if (s->in.explain)
        write_hit_explain(w, h, s->places ? s->places[i] : 0);
    if (s->in.highlight)
        write_highlights(w, h);
    jsonw_object_end(w);
}

static void write_fusion(struct jsonw *w, const struct search *s)
{
    jsonw_key(w, "fusion");
    if (s->in.mode != VINDEX_HYBRID) {
        jsonw_null(w);
        return;
    }
    jsonw_object(w);
    jsonw_kcstr(w, "method", ranking_method_names[s->ranking.method]);
    if (s->ranking.method == FUSE_RRF)
        write_decimal(w, "k", s->ranking.k);
    if (s->ranking.method == FUSE_ADAPTIVE)
        write_decimal(w, "vector_weight", s->result.vector_weight);
    jsonw_key(w, "weights");
    jsonw_object(w);
    write_decimal(w, "vector", s->ranking.vector_weight);
    write_decimal(w, "lexical", s->ranking.lexical_weight);
    jsonw_object_end(w);
    jsonw_object_end(w);
}

static void write_rerank(struct jsonw *w, const struct search *s)
{
    jsonw_key(w, "rerank");
    if (!s->in.rerank) {
        jsonw_null(w);
        return;
    }
    jsonw_object(w);
    jsonw_kbool(w, "applied", !s->rerank_error);
    jsonw_kint(w, "candidates", (int64_t)s->reranked);
    jsonw_kstr(w, "model", s->collection->rules.reranker.model);
    jsonw_kcstr(w, "error", s->rerank_error);
    jsonw_object_end(w);
}

static void write_explain(struct jsonw *w, const struct search *s)
{
    jsonw_key(w, "explain");
    jsonw_object(w);
    jsonw_kcstr(w, "mode", search_mode_names[s->in.mode]);
    jsonw_kcstr(w, "plan", s->result.plan);
    jsonw_kint(w, "eligible", (int64_t)s->result.eligible);
    jsonw_kint(w, "seq", s->result.seq);
    jsonw_kint(w, "generation", s->collection->generation->number);
    write_fusion(w, s);
    write_rerank(w, s);
    write_decimal(w, "quality_weight", s->ranking.quality_weight);
    jsonw_key(w, "freshness_half_life");
    if (s->ranking.half_life_us > 0) {
        char text[CLOCK_TEXT];
        clock_format_duration(s->ranking.half_life_us, text);
        jsonw_cstr(w, text);
    } else {
        jsonw_null(w);
    }
    jsonw_object_end(w);
}

void search_reply_write(struct jsonw *w, const struct search *s)
{
    static const struct digest none;
    jsonw_object(w);
    jsonw_key(w, "hits");
    jsonw_array(w);
    for (size_t i = 0; i < s->result.n; i++)
        write_hit(w, s, i);
    jsonw_array_end(w);
    jsonw_kcstr(w, "receipt", s->receipt);
    jsonw_key(w, "commit");
    if (digest_eq(&s->result.commit, &none))
        jsonw_null(w);
    else
        jsonw_digest(w, &s->result.commit);
    if (s->in.explain)
        write_explain(w, s);
    write_decimal(w, "took_ms", (double)s->took_us / 1000.0);
    jsonw_kbool(w, "degraded", s->degraded);
    jsonw_object_end(w);
}
