#include "index/inverted.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/arena.h"

static uint64_t prefix_of(struct str key)
{
    uint64_t p = 0;
    for (size_t i = 0; i < 8; i++) {
        p = (p << 8) | (i < key.len ? (unsigned char)key.ptr[i] : 0);
    }
    return p;
}

static int key_cmp(struct str a, struct str b)
{
    int c = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

struct str inverted_key(const struct inverted *v, size_t i)
{
    return (struct str){v->keys + v->key_at[i], (size_t)(v->key_at[i + 1] - v->key_at[i])};
}

size_t inverted_lower(const struct inverted *v, struct str key)
{
    uint64_t p = prefix_of(key);
    size_t lo = 0, hi = v->n_keys;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        bool less = v->prefix[mid] != p ? v->prefix[mid] < p : key_cmp(inverted_key(v, mid), key) < 0;
        if (less) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

bool inverted_find(const struct inverted *v, struct str key, size_t *at)
{
    *at = inverted_lower(v, key);
    return *at < v->n_keys && key_cmp(inverted_key(v, *at), key) == 0;
}

bool inverted_valid(const struct inverted *v, size_t keys_bytes, size_t n_rows)
{
    if (v->key_at[0] != 0 || v->key_at[v->n_keys] != keys_bytes || v->post_at[0] != 0 ||
        v->post_at[v->n_keys] != v->n_posts) {
        return false;
    }
    for (size_t i = 0; i < v->n_keys; i++) {
        if (v->key_at[i] > v->key_at[i + 1] || v->post_at[i] > v->post_at[i + 1]) {
            return false;
        }
    }
    for (size_t i = 0; i < v->n_keys; i++) {
        struct str key = inverted_key(v, i);
        if (v->prefix[i] != prefix_of(key) || (i > 0 && key_cmp(inverted_key(v, i - 1), key) >= 0)) {
            return false;
        }
    }
    for (size_t i = 0; i < v->n_keys; i++) {
        size_t from = (size_t)v->post_at[i], to = (size_t)v->post_at[i + 1];
        bool ascending = true;
        for (size_t k = from + 1; k < to; k++) {
            ascending &= v->rows[k - 1] < v->rows[k];
        }
        if (!ascending || (to > from && v->rows[to - 1] >= n_rows)) {
            return false;
        }
    }
    return true;
}

/* ---- building ---- */

struct built_key {
    uint64_t at, hash;
    uint32_t len, rank;
    uint32_t last_row;  /* of the newest posting, + 1; 0: none */
    uint32_t last_post; /* its place */
    uint64_t posts;
};

struct built_post {
    uint32_t key, row;
    uint16_t freq;
};

struct inverted_builder {
    struct buf bytes; /* of the keys */
    struct built_key *keys;
    size_t n_keys, cap_keys;
    struct built_post *posts;
    size_t n_posts, cap_posts;
    uint32_t *table; /* open addressing, key number + 1 */
    size_t table_size;
};

struct inverted_builder *inverted_builder_new(void)
{
    struct inverted_builder *b = mem_calloc(1, sizeof(*b));
    b->table_size = 1024;
    b->table = mem_calloc(b->table_size, sizeof(*b->table));
    return b;
}

void inverted_builder_free(struct inverted_builder *b)
{
    if (b == NULL) {
        return;
    }
    buf_free(&b->bytes);
    free(b->keys);
    free(b->posts);
    free(b->table);
    free(b);
}

static void table_grow(struct inverted_builder *b)
{
    free(b->table);
    b->table_size *= 2;
    b->table = mem_calloc(b->table_size, sizeof(*b->table));
    for (size_t i = 0; i < b->n_keys; i++) {
        size_t slot = b->keys[i].hash & (b->table_size - 1);
        while (b->table[slot] != 0) {
            slot = (slot + 1) & (b->table_size - 1);
        }
        b->table[slot] = (uint32_t)i + 1;
    }
}

static uint32_t intern(struct inverted_builder *b, struct str key)
{
    uint64_t hash = XXH3_64bits(key.ptr, key.len);
    size_t slot = hash & (b->table_size - 1);
    for (; b->table[slot] != 0; slot = (slot + 1) & (b->table_size - 1)) {
        const struct built_key *k = &b->keys[b->table[slot] - 1];
        if (k->hash == hash && k->len == key.len && memcmp(b->bytes.data + k->at, key.ptr, key.len) == 0) {
            return b->table[slot] - 1;
        }
    }
    if (b->n_keys == b->cap_keys) {
        b->cap_keys = b->cap_keys ? b->cap_keys * 2 : 512;
        b->keys = mem_realloc(b->keys, b->cap_keys * sizeof(*b->keys));
    }
    uint32_t id = (uint32_t)b->n_keys++;
    b->keys[id] = (struct built_key){.at = b->bytes.len, .hash = hash, .len = (uint32_t)key.len};
    buf_put(&b->bytes, key.ptr, key.len);
    b->table[slot] = id + 1;
    if (b->n_keys * 2 > b->table_size) {
        table_grow(b);
    }
    return id;
}

void inverted_add(struct inverted_builder *b, struct str key, uint32_t row, uint16_t freq)
{
    assert(key.len > 0 && key.len <= INVERTED_KEY_MAX);
    uint32_t id = intern(b, key);
    struct built_key *k = &b->keys[id];
    if (k->last_row == row + 1) {
        struct built_post *post = &b->posts[k->last_post];
        uint32_t sum = (uint32_t)post->freq + freq;
        post->freq = (uint16_t)(sum > UINT16_MAX ? UINT16_MAX : sum);
        return;
    }
    assert(k->last_row <= row);
    if (b->n_posts == b->cap_posts) {
        b->cap_posts = b->cap_posts ? b->cap_posts * 2 : 2048;
        b->posts = mem_realloc(b->posts, b->cap_posts * sizeof(*b->posts));
    }
    k->last_row = row + 1;
    k->last_post = (uint32_t)b->n_posts;
    k->posts++;
    b->posts[b->n_posts++] = (struct built_post){id, row, freq};
}

/* ---- finished arrays ---- */

static void put_u64(struct buf *b, uint64_t v)
{
    buf_put(b, &v, sizeof(v));
}

static void owned_key(struct inverted_owned *o, struct str key, uint64_t post_at)
{
    put_u64(&o->prefix, prefix_of(key));
    put_u64(&o->key_at, o->keys.len);
    put_u64(&o->post_at, post_at);
    buf_put(&o->keys, key.ptr, key.len);
}

static void owned_seal(struct inverted_owned *o, bool with_freq)
{
    o->v.n_keys = o->prefix.len / sizeof(uint64_t);
    o->v.n_posts = o->rows.len / sizeof(uint32_t);
    put_u64(&o->key_at, o->keys.len);
    put_u64(&o->post_at, o->v.n_posts);
    o->v.prefix = (const uint64_t *)(const void *)o->prefix.data;
    o->v.key_at = (const uint64_t *)(const void *)o->key_at.data;
    o->v.keys = o->keys.data;
    o->v.post_at = (const uint64_t *)(const void *)o->post_at.data;
    o->v.rows = (const uint32_t *)(const void *)o->rows.data;
    o->v.freq = with_freq ? (const uint16_t *)(const void *)o->freq.data : NULL;
}

struct sort_key {
    uint64_t prefix;
    struct str key;
    uint32_t id;
};

static int sort_key_cmp(const void *pa, const void *pb)
{
    const struct sort_key *a = pa, *b = pb;
    if (a->prefix != b->prefix) {
        return a->prefix < b->prefix ? -1 : 1;
    }
    return key_cmp(a->key, b->key);
}

void inverted_finish(struct inverted_builder *b, bool with_freq, struct inverted_owned *out)
{
    *out = (struct inverted_owned){0};
    struct sort_key *order = mem_alloc((b->n_keys + 1) * sizeof(*order));
    for (size_t i = 0; i < b->n_keys; i++) {
        struct str key = {b->bytes.data + b->keys[i].at, b->keys[i].len};
        order[i] = (struct sort_key){prefix_of(key), key, (uint32_t)i};
    }
    if (b->n_keys > 0) {
        qsort(order, b->n_keys, sizeof(*order), sort_key_cmp);
    }
    uint64_t *next = mem_alloc((b->n_keys + 1) * sizeof(*next));
    uint64_t at = 0;
    for (size_t i = 0; i < b->n_keys; i++) {
        owned_key(out, order[i].key, at);
        next[order[i].id] = at;
        at += b->keys[order[i].id].posts;
    }
    buf_reserve(&out->rows, b->n_posts * sizeof(uint32_t));
    buf_reserve(&out->freq, with_freq ? b->n_posts * sizeof(uint16_t) : 0);
    uint32_t *rows = (uint32_t *)(void *)out->rows.data;
    uint16_t *freq = with_freq ? (uint16_t *)(void *)out->freq.data : NULL;
    for (size_t i = 0; i < b->n_posts; i++) {
        uint64_t place = next[b->posts[i].key]++;
        rows[place] = b->posts[i].row;
        if (freq != NULL) {
            freq[place] = b->posts[i].freq;
        }
    }
    out->rows.len = b->n_posts * sizeof(uint32_t);
    out->freq.len = with_freq ? b->n_posts * sizeof(uint16_t) : 0;
    free(next);
    free(order);
    owned_seal(out, with_freq);
}

/* ---- merging ---- */

static int post_cmp(const void *pa, const void *pb)
{
    uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;
    return (a > b) - (a < b);
}

enum { GATHER_MIN = 1024 };
struct gathered {
    uint64_t *posts; /* row << 16 | frequency */
    size_t n, cap;
    bool ascending;
};

static void gather_posts(struct gathered *g, const struct inverted_input *in, size_t key)
{
    const struct inverted *v = in->from;
    size_t from = (size_t)v->post_at[key], to = (size_t)v->post_at[key + 1];
    if (g->n + (to - from) > g->cap) {
        g->cap = (g->n + (to - from)) * 2;
        g->posts = mem_realloc(g->posts, g->cap * sizeof(*g->posts));
    }
    for (size_t i = from; i < to; i++) {
        uint32_t row = in->map[v->rows[i]];
        if (row == INVERTED_DROPPED) {
            continue;
        }
        uint64_t post = ((uint64_t)row << 16) | (v->freq != NULL ? v->freq[i] : 0);
        if (g->n > 0 && g->posts[g->n - 1] > post) {
            g->ascending = false;
        }
        g->posts[g->n++] = post;
    }
}

static void owned_posts(struct inverted_owned *o, struct str key, struct gathered *g, bool with_freq)
{
    if (g->n == 0) {
        return;
    }
    if (!g->ascending) {
        qsort(g->posts, g->n, sizeof(*g->posts), post_cmp);
    }
    owned_key(o, key, o->rows.len / sizeof(uint32_t));
    buf_reserve(&o->rows, g->n * sizeof(uint32_t));
    for (size_t i = 0; i < g->n; i++) {
        uint32_t row = (uint32_t)(g->posts[i] >> 16);
        buf_put(&o->rows, &row, sizeof(row));
        if (with_freq) {
            uint16_t freq = (uint16_t)(g->posts[i] & UINT16_MAX);
            buf_put(&o->freq, &freq, sizeof(freq));
        }
    }
}

static int cursor_cmp(const struct inverted *a, size_t i, const struct inverted *b, size_t j)
{
    if (a->prefix[i] != b->prefix[j]) {
        return a->prefix[i] < b->prefix[j] ? -1 : 1;
    }
    return key_cmp(inverted_key(a, i), inverted_key(b, j));
}

void inverted_merge(const struct inverted_input *in, size_t n, bool with_freq, struct inverted_owned *out)
{
    *out = (struct inverted_owned){0};
    size_t *cursor = mem_calloc(n + 1, sizeof(*cursor));
    struct gathered g = {.posts = mem_alloc(GATHER_MIN * sizeof(*g.posts)), .cap = GATHER_MIN};
    for (;;) {
        size_t least = n;
        for (size_t i = 0; i < n; i++) {
            if (cursor[i] < in[i].from->n_keys &&
                (least == n || cursor_cmp(in[i].from, cursor[i], in[least].from, cursor[least]) < 0)) {
                least = i;
            }
        }
        if (least == n) {
            break;
        }
        size_t at = cursor[least];
        struct str key = inverted_key(in[least].from, at);
        g.n = 0;
        g.ascending = true;
        for (size_t i = 0; i < n; i++) {
            if (cursor[i] < in[i].from->n_keys &&
                (i == least || cursor_cmp(in[i].from, cursor[i], in[least].from, at) == 0)) {
                gather_posts(&g, &in[i], cursor[i]);
                cursor[i]++;
            }
        }
        owned_posts(out, key, &g, with_freq);
    }
    free(g.posts);
    free(cursor);
    owned_seal(out, with_freq);
}
