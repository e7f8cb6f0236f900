#include "index/visible.h"

#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"

static void *copied(const void *p, size_t n)
{
    void *q = mem_alloc(n > 0 ? n : 1);
    if (n > 0) {
        memcpy(q, p, n);
    }
    return q;
}

static size_t blocks(size_t n)
{
    return (n + VIS_BLOCK - 1) / VIS_BLOCK;
}

/* ---- the pieces: references, copies on write ---- */

static bool drop(atomic_int *refs)
{
    return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

static void hold(atomic_int *refs)
{
    atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
}

/* Whether the writer's is the only reference: then nobody else can gain one, and it may be changed in place. */
static bool alone(const atomic_int *refs)
{
    return atomic_load_explicit(refs, memory_order_acquire) == 1;
}

static void rows_unref(struct vis_rows *r)
{
    if (r != NULL && drop(&r->refs)) {
        free(r->state);
        free(r->live);
        free(r->active);
        free(r->servable);
        free(r->block_min);
        free(r);
    }
}

static void age_unref(struct vis_age *a)
{
    if (a != NULL && drop(&a->refs)) {
        free(a->modified);
        free(a->deadline);
        free(a);
    }
}

static void token_unref(struct acl_token *t)
{
    if (drop(&t->refs)) {
        roaring_bitmap_free(t->rows);
        free(t);
    }
}

static void acl_unref(struct vis_acl *a)
{
    if (a != NULL && drop(&a->refs)) {
        for (size_t i = 0; i < a->n_tokens; i++) {
            token_unref(a->tokens[i]);
        }
        free(a->tokens);
        free(a->everyone);
        free(a);
    }
}

void vis_ref(const struct seg_vis *v)
{
    hold(&v->rows->refs);
    hold(&v->age->refs);
    hold(&v->acl->refs);
}

void vis_unref(struct seg_vis *v)
{
    rows_unref(v->rows);
    age_unref(v->age);
    acl_unref(v->acl);
    *v = (struct seg_vis){0};
}

static struct vis_rows *rows_edit(struct seg_vis *v)
{
    if (!alone(&v->rows->refs)) {
        struct vis_rows *old = v->rows, *r = mem_alloc(sizeof(*r));
        size_t words = bits_words(old->n) * sizeof(uint64_t);
        memcpy(r, old, sizeof(*r));
        atomic_init(&r->refs, 1);
        r->state = copied(old->state, old->n);
        r->live = copied(old->live, words);
        r->active = copied(old->active, words);
        r->servable = copied(old->servable, words);
        r->block_min = copied(old->block_min, blocks(old->n) * sizeof(int64_t));
        rows_unref(old);
        v->rows = r;
    }
    return v->rows;
}

static struct vis_age *age_edit(struct seg_vis *v, size_t n)
{
    if (!alone(&v->age->refs)) {
        struct vis_age *old = v->age, *a = mem_alloc(sizeof(*a));
        atomic_init(&a->refs, 1);
        a->modified = copied(old->modified, n * sizeof(int64_t));
        a->deadline = copied(old->deadline, n * sizeof(int64_t));
        age_unref(old);
        v->age = a;
    }
    return v->age;
}

static struct vis_acl *acl_edit(struct seg_vis *v, size_t n)
{
    if (!alone(&v->acl->refs)) {
        struct vis_acl *old = v->acl, *a = mem_alloc(sizeof(*a));
        memcpy(a, old, sizeof(*a));
        atomic_init(&a->refs, 1);
        a->everyone = copied(old->everyone, bits_words(n) * sizeof(uint64_t));
        a->cap_tokens = old->n_tokens;
        a->tokens = copied(old->tokens, old->n_tokens * sizeof(struct acl_token *));
        for (size_t i = 0; i < a->n_tokens; i++) {
            hold(&a->tokens[i]->refs);
        }
        acl_unref(old);
        v->acl = a;
    }
    return v->acl;
}

void vis_init(struct seg_vis *v, const struct segment *s)
{
    struct vis_rows *r = mem_calloc(1, sizeof(*r));
    atomic_init(&r->refs, 1);
    r->n = s->n;
    r->by_state[CHUNK_PENDING] = s->n;
    r->expired_upto = INT64_MIN;
    r->next_deadline = CLOCK_NEVER;
    r->state = mem_calloc(s->n, 1);
    r->live = mem_calloc(bits_words(s->n), sizeof(uint64_t));
    r->active = mem_calloc(bits_words(s->n), sizeof(uint64_t));
    r->servable = mem_calloc(bits_words(s->n), sizeof(uint64_t));
    r->block_min = mem_alloc(blocks(s->n) * sizeof(int64_t));
    bits_fill(r->live, s->n);
    for (size_t i = 0; i < blocks(s->n); i++) {
        r->block_min[i] = CLOCK_NEVER;
    }
    struct vis_age *a = mem_calloc(1, sizeof(*a));
    atomic_init(&a->refs, 1);
    a->modified = mem_calloc(s->n, sizeof(int64_t));
    a->deadline = mem_calloc(s->n, sizeof(int64_t));
    for (size_t i = 0; i < s->n; i++) {
        r->live_length += s->length[i];
        a->deadline[i] = CLOCK_NEVER;
    }
    struct vis_acl *acl = mem_calloc(1, sizeof(*acl));
    atomic_init(&acl->refs, 1);
    acl->everyone = mem_calloc(bits_words(s->n), sizeof(uint64_t));
    bits_fill(acl->everyone, s->n);
    acl->n_public = s->n;
    *v = (struct seg_vis){r, a, acl};
}

/* ---- rows ---- */

/* Brings the derived bits of one row up to date with its state, source and deadline. Minima are only ever lowered here:
 * one that is too low costs a second look, one that is too high would serve a stale row. */
static void derive(struct vis_rows *r, const struct vis_age *a, const struct segment *s, size_t row,
                   const struct sources *sources)
{
    const struct source *source = sources_find(sources, s->source[row]);
    bool active =
        r->state[row] == CHUNK_ACTIVE && source != NULL && source->active && a->deadline[row] > r->expired_upto;
    if (active != bits_get(r->active, row)) {
        bits_put(r->active, row, active);
        r->active_count += active ? 1 : SIZE_MAX;
    }
    int64_t *min = &r->block_min[row / VIS_BLOCK];
    if (active && a->deadline[row] < *min) {
        *min = a->deadline[row];
        r->next_deadline = *min < r->next_deadline ? *min : r->next_deadline;
    }
}

void vis_set_state(struct seg_vis *v, const struct segment *s, size_t row, enum chunk_state state,
                   const struct sources *sources)
{
    struct vis_rows *r = rows_edit(v);
    bool was_live = r->state[row] != CHUNK_RETIRED, live = state != CHUNK_RETIRED;
    r->by_state[r->state[row]]--;
    r->by_state[state]++;
    r->state[row] = (uint8_t)state;
    if (was_live != live) {
        bits_put(r->live, row, live);
        r->live_length = live ? r->live_length + s->length[row] : r->live_length - s->length[row];
    }
    bits_put(r->servable, row, state == CHUNK_ACTIVE || state == CHUNK_QUARANTINED);
    derive(r, v->age, s, row, sources);
}

void vis_set_age(struct seg_vis *v, const struct segment *s, size_t row, int64_t modified_at_us,
                 const struct sources *sources)
{
    struct vis_age *a = age_edit(v, s->n);
    a->modified[row] = modified_at_us;
    a->deadline[row] = sources_deadline(sources, s->source[row], modified_at_us);
    derive(rows_edit(v), a, s, row, sources);
}

void vis_set_sources(struct seg_vis *v, const struct segment *s, const struct sources *sources)
{
    struct vis_age *a = age_edit(v, s->n);
    struct vis_rows *r = rows_edit(v);
    for (size_t i = 0; i < s->n; i++) {
        a->deadline[i] = sources_deadline(sources, s->source[i], a->modified[i]);
        derive(r, a, s, i, sources);
    }
}

void vis_expire(struct seg_vis *v, const struct segment *s, int64_t now_us)
{
    if (v->rows->next_deadline > now_us) {
        return;
    }
    struct vis_rows *r = rows_edit(v);
    r->next_deadline = CLOCK_NEVER;
    for (size_t b = 0; b < blocks(s->n); b++) {
        if (r->block_min[b] <= now_us) {
            size_t end = (b + 1) * VIS_BLOCK < s->n ? (b + 1) * VIS_BLOCK : s->n;
            r->block_min[b] = CLOCK_NEVER;
            for (size_t row = b * VIS_BLOCK; row < end; row++) {
                int64_t deadline = v->age->deadline[row];
                if (!bits_get(r->active, row)) {
                    continue;
                }
                if (deadline <= now_us) {
                    bits_put(r->active, row, false);
                    r->active_count--;
                } else if (deadline < r->block_min[b]) {
                    r->block_min[b] = deadline;
                }
            }
        }
        r->next_deadline = r->block_min[b] < r->next_deadline ? r->block_min[b] : r->next_deadline;
    }
    r->expired_upto = now_us > r->expired_upto ? now_us : r->expired_upto;
}

/* ---- access ---- */

struct acl_key acl_key(struct str token)
{
    struct digest d;
    struct acl_key key;
    digest_sha256(token.ptr != NULL ? token.ptr : "", token.len, &d);
    memcpy(key.b, d.b, sizeof(key.b));
    return key;
}

static size_t token_lower(const struct vis_acl *acl, const struct acl_key *key)
{
    size_t lo = 0, hi = acl->n_tokens;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (memcmp(acl->tokens[mid]->key.b, key->b, ACL_KEY) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static const struct acl_token *token_find(const struct vis_acl *acl, const struct acl_key *key)
{
    size_t at = token_lower(acl, key);
    bool found = at < acl->n_tokens && memcmp(acl->tokens[at]->key.b, key->b, ACL_KEY) == 0;
    return found ? acl->tokens[at] : NULL;
}

static struct acl_token *token_new(const struct acl_key *key, roaring_bitmap_t *rows)
{
    struct acl_token *t = mem_alloc(sizeof(*t));
    atomic_init(&t->refs, 1);
    t->key = *key;
    t->rows = rows;
    if (t->rows == NULL) {
        abort(); /* CRoaring gives NULL when memory ran out: as fatal as it is in mem_alloc */
    }
    return t;
}

/* The token at a place, ready to be changed. */
static struct acl_token *token_edit(struct vis_acl *acl, size_t at)
{
    struct acl_token *t = acl->tokens[at];
    if (!alone(&t->refs)) {
        acl->tokens[at] = token_new(&t->key, roaring_bitmap_copy(t->rows));
        token_unref(t);
    }
    return acl->tokens[at];
}

static void token_insert(struct vis_acl *acl, size_t at, struct acl_token *t)
{
    if (acl->n_tokens == acl->cap_tokens) {
        acl->cap_tokens = acl->cap_tokens * 2 + 8;
        acl->tokens = mem_realloc(acl->tokens, acl->cap_tokens * sizeof(*acl->tokens));
    }
    memmove(&acl->tokens[at + 1], &acl->tokens[at], (acl->n_tokens - at) * sizeof(*acl->tokens));
    acl->tokens[at] = t;
    acl->n_tokens++;
}

static void acl_allow(struct vis_acl *acl, const struct acl_key *key, size_t row)
{
    size_t at = token_lower(acl, key);
    if (at == acl->n_tokens || memcmp(acl->tokens[at]->key.b, key->b, ACL_KEY) != 0) {
        token_insert(acl, at, token_new(key, roaring_bitmap_create()));
    }
    roaring_bitmap_add(token_edit(acl, at)->rows, (uint32_t)row);
}

static void acl_everyone(struct vis_acl *acl, size_t row, bool everyone)
{
    if (bits_get(acl->everyone, row) != everyone) {
        bits_put(acl->everyone, row, everyone);
        acl->n_public += everyone ? 1 : SIZE_MAX;
    }
}

void vis_set_acl(struct seg_vis *v, const struct segment *s, size_t row, bool has_acl, struct str_list list)
{
    if (!has_acl && bits_get(v->acl->everyone, row)) {
        return;
    }
    struct vis_acl *acl = acl_edit(v, s->n);
    if (!bits_get(acl->everyone, row)) {
        for (size_t i = 0; i < acl->n_tokens; i++) {
            if (roaring_bitmap_contains(acl->tokens[i]->rows, (uint32_t)row)) {
                roaring_bitmap_remove(token_edit(acl, i)->rows, (uint32_t)row);
            }
        }
    }
    acl_everyone(acl, row, !has_acl);
    for (size_t i = 0; has_acl && i < list.n; i++) {
        struct acl_key key = acl_key(list.items[i]);
        acl_allow(acl, &key, row);
    }
}

static bool add_row(uint32_t row, void *out)
{
    bits_put(out, row, true);
    return true;
}

void vis_acl_add(const struct vis_acl *acl, const struct acl_key *key, uint64_t *out)
{
    const struct acl_token *t = token_find(acl, key);
    if (t != NULL) {
        roaring_iterate(t->rows, add_row, out);
    }
}

/* ---- merging and checking ---- */

struct remap {
    struct vis_acl *out;
    const struct acl_key *key;
    const uint32_t *map;
};

static bool remap_row(uint32_t row, void *ctx)
{
    struct remap *r = ctx;
    if (r->map[row] != INVERTED_DROPPED) {
        acl_allow(r->out, r->key, r->map[row]);
    }
    return true;
}

static void merge_tokens(struct vis_acl *out, size_t n, const struct seg_vis *in, uint32_t input,
                         const struct seg_origin *origins)
{
    size_t bytes = in->rows->n * sizeof(uint32_t);
    uint32_t *map = mem_alloc(bytes);
    memset(map, 0xff, bytes);
    for (size_t row = 0; row < n; row++) {
        if (origins[row].input == input) {
            map[origins[row].row] = (uint32_t)row;
        }
    }
    for (size_t t = 0; t < in->acl->n_tokens; t++) {
        struct remap r = {out, &in->acl->tokens[t]->key, map};
        roaring_iterate(in->acl->tokens[t]->rows, remap_row, &r);
    }
    free(map);
}

void vis_merge(struct seg_vis *out, const struct segment *s, const struct seg_vis *in, size_t n_in,
               const struct seg_origin *origins, const struct sources *sources)
{
    vis_init(out, s);
    for (size_t i = 0; i < n_in; i++) {
        out->rows->expired_upto =
            in[i].rows->expired_upto > out->rows->expired_upto ? in[i].rows->expired_upto : out->rows->expired_upto;
    }
    for (size_t row = 0; row < s->n; row++) {
        const struct seg_vis *from = &in[origins[row].input];
        size_t old = origins[row].row;
        vis_set_state(out, s, row, (enum chunk_state)from->rows->state[old], sources);
        vis_set_age(out, s, row, from->age->modified[old], sources);
        if (!bits_get(from->acl->everyone, old)) {
            acl_everyone(out->acl, row, false);
        }
    }
    /* Tokens from each input's own bitmaps: a row's list need not be searched for. */
    for (size_t i = 0; i < n_in; i++) {
        if (in[i].acl->n_tokens > 0) {
            merge_tokens(out->acl, s->n, &in[i], (uint32_t)i, origins);
        }
    }
}

bool vis_may_see(const struct seg_vis *v, const struct segment *s, size_t row, const struct sources *sources,
                 const struct viewer *who)
{
    enum chunk_state state = (enum chunk_state)v->rows->state[row];
    if (who->steward) {
        if (state != CHUNK_ACTIVE && state != CHUNK_QUARANTINED) {
            return false;
        }
    } else {
        const struct source *source = sources_find(sources, s->source[row]);
        if (state != CHUNK_ACTIVE || source == NULL || !source->active || who->now_us >= v->age->deadline[row]) {
            return false;
        }
    }
    bool allowed = bits_get(v->acl->everyone, row);
    for (size_t i = 0; i < who->n_keys && !allowed; i++) {
        const struct acl_token *t = token_find(v->acl, &who->keys[i]);
        allowed = t != NULL && roaring_bitmap_contains(t->rows, (uint32_t)row);
    }
    return allowed;
}

size_t vis_bytes(const struct seg_vis *v)
{
    size_t n = v->rows->n, bytes = sizeof(*v->rows) + sizeof(*v->age) + sizeof(*v->acl);
    bytes += n + 4 * bits_words(n) * sizeof(uint64_t) + 2 * n * sizeof(int64_t) + blocks(n) * sizeof(int64_t);
    for (size_t i = 0; i < v->acl->n_tokens; i++) {
        bytes += sizeof(struct acl_token) + roaring_bitmap_portable_size_in_bytes(v->acl->tokens[i]->rows);
    }
    return bytes;
}

/* ---- files ---- */

static bool put_row(uint32_t row, void *out)
{
    buf_put(out, &row, sizeof(row));
    return true;
}

void vis_acl_write(const struct vis_acl *acl, size_t n, struct buf *out)
{
    uint64_t count = 0;
    for (size_t i = 0; i < acl->n_tokens; i++) {
        count += roaring_bitmap_is_empty(acl->tokens[i]->rows) ? 0 : 1;
    }
    buf_put(out, acl->everyone, bits_words(n) * sizeof(uint64_t));
    buf_put(out, &count, sizeof(count));
    for (size_t i = 0; i < acl->n_tokens; i++) {
        const struct acl_token *t = acl->tokens[i];
        uint64_t rows = roaring_bitmap_get_cardinality(t->rows);
        if (rows == 0) {
            continue;
        }
        buf_put(out, t->key.b, ACL_KEY);
        buf_put(out, &rows, sizeof(rows));
        buf_reserve(out, (size_t)rows * sizeof(uint32_t));
        roaring_iterate(t->rows, put_row, out);
    }
}

/* Plain row numbers and not Roaring's own format: each is checked, and the bitmap is then sound by construction. */
static bool token_read(struct vis_acl *acl, size_t n, struct str bytes, size_t *used)
{
    struct acl_key key;
    uint64_t count = 0;
    if (bytes.len - *used < ACL_KEY + sizeof(count)) {
        return false;
    }
    memcpy(key.b, bytes.ptr + *used, ACL_KEY);
    memcpy(&count, bytes.ptr + *used + ACL_KEY, sizeof(count));
    *used += ACL_KEY + sizeof(count);
    if (count == 0 || count > (bytes.len - *used) / sizeof(uint32_t) ||
        (acl->n_tokens > 0 && memcmp(acl->tokens[acl->n_tokens - 1]->key.b, key.b, ACL_KEY) >= 0)) {
        return false;
    }
    token_insert(acl, acl->n_tokens, token_new(&key, roaring_bitmap_create()));
    roaring_bitmap_t *rows = acl->tokens[acl->n_tokens - 1]->rows;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t row = 0;
        memcpy(&row, bytes.ptr + *used, sizeof(row));
        *used += sizeof(row);
        if (row >= n) {
            return false;
        }
        roaring_bitmap_add(rows, row);
    }
    return true;
}

bool vis_acl_read(struct seg_vis *v, size_t n, struct str bytes, size_t *used)
{
    size_t words = bits_words(n) * sizeof(uint64_t);
    uint64_t count = 0;
    if (bytes.len < words + sizeof(count)) {
        return false;
    }
    struct vis_acl *acl = mem_calloc(1, sizeof(*acl));
    atomic_init(&acl->refs, 1);
    acl->everyone = copied(bytes.ptr, words);
    memcpy(&count, bytes.ptr + words, sizeof(count));
    *used = words + sizeof(count);
    bool ok = (n & 63) == 0 || (acl->everyone[n >> 6] >> (n & 63)) == 0;
    for (uint64_t i = 0; i < count && ok; i++) {
        ok = token_read(acl, n, bytes, used);
    }
    acl->n_public = ok ? bits_count(acl->everyone, n) : 0;
    if (!ok) {
        acl_unref(acl);
        return false;
    }
    acl_unref(v->acl);
    v->acl = acl;
    return true;
}
