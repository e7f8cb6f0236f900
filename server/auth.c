#include "server/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

/*
 * DESIGN: two table slots, one of them current. A reader announces itself at the current slot, makes sure that it is
 * still the current one, reads, and leaves; it takes no lock. A reload fills the other slot once no late reader is left
 * there (readers stay for a microsecond) and then makes it the current one.
 */

static const char key_prefix[] = "assay_";
enum { KEY_PREFIX_LEN = 6, KEY_RANDOM = 32, KEY_LEN = KEY_PREFIX_LEN + 43 };

struct key_entry {
    struct digest hash;
    char id[UUID_TEXT + 1];
    struct str name;
    unsigned scopes; /* with what they imply */
    struct str_list groups;
    int64_t expires_at_us;
};

struct key_table {
    struct arena *arena; /* owns everything below */
    struct key_entry *keys;
    size_t n;
};

struct auth {
    struct store *store;
    struct {
        struct key_table table;
        atomic_int readers;
    } slots[2];
    atomic_int current;
    pthread_mutex_t reload;
};

struct auth *auth_new(struct store *store)
{
    struct auth *a = mem_calloc(1, sizeof *a);
    a->store = store;
    if (pthread_mutex_init(&a->reload, NULL) != 0) {
        log_error("the key table's lock cannot be made", "%s", "");
        abort();
    }
    return a;
}

void auth_free(struct auth *a)
{
    if (!a)
        return;
    arena_free(a->slots[0].table.arena);
    arena_free(a->slots[1].table.arena);
    pthread_mutex_destroy(&a->reload);
    free(a);
}

static unsigned scopes_implied(unsigned scopes)
{
    if (scopes & SCOPE_ADMIN)
        scopes |= SCOPE_READ | SCOPE_WRITE | SCOPE_STEWARD;
    if (scopes & SCOPE_STEWARD)
        scopes |= SCOPE_READ;
    return scopes;
}

static struct str_list groups_copy(struct arena *arena, const struct str_list *from)
{
    struct str_list to = {ARENA_ARRAY(arena, struct str, from->n), from->n};
    for (size_t i = 0; i < from->n; i++)
        to.items[i] = str_dup(arena, from->items[i]);
    return to;
}

static int by_hash(const void *a, const void *b)
{
    const struct key_entry *x = a, *y = b;
    return memcmp(x->hash.b, y->hash.b, DIGEST_LEN);
}

static struct key_table table_build(const struct key_row *rows, size_t n)
{
    struct key_table t = {.arena = arena_new(1024), .n = n};
    t.keys = ARENA_ARRAY(t.arena, struct key_entry, n);
    for (size_t i = 0; i < n; i++) {
        struct key_entry *k = &t.keys[i];
        k->hash = rows[i].hash;
        snprintf(k->id, sizeof k->id, "%.*s", STR_FMT(rows[i].id));
        k->name = str_dup(t.arena, rows[i].name);
        k->scopes = scopes_implied(rows[i].scopes);
        k->groups = groups_copy(t.arena, &rows[i].groups);
        k->expires_at_us = rows[i].expires_at_us;
    }
    if (n > 1)
        qsort(t.keys, n, sizeof *t.keys, by_hash);
    return t;
}

enum assay_code auth_reload(struct auth *a, const struct call *call, struct err *err)
{
    /* Held over the query too: a reload that read older rows must not overtake one that read newer ones. */
    pthread_mutex_lock(&a->reload);
    struct key_row *rows = NULL;
    size_t n = 0;
    enum assay_code code = store_keys_all(a->store, call, &rows, &n, err);
    if (code == ASSAY_OK) {
        int next = 1 - atomic_load(&a->current);
        while (atomic_load(&a->slots[next].readers) != 0)
            sched_yield();
        arena_free(a->slots[next].table.arena);
        a->slots[next].table = table_build(rows, n);
        atomic_store(&a->current, next);
    }
    pthread_mutex_unlock(&a->reload);
    return code;
}

static int reader_enter(struct auth *a)
{
    for (;;) {
        int slot = atomic_load(&a->current);
        atomic_fetch_add(&a->slots[slot].readers, 1);
        if (atomic_load(&a->current) == slot)
            return slot;
        atomic_fetch_sub(&a->slots[slot].readers, 1);
    }
}

/* Binary search over hashes. Its timing tells at most how many leading bits of SHA-256(guess) agree with a stored hash;
 * nobody can steer a guess of 256 random bits towards a hash prefix, so that is worth nothing. The final comparison is
 * constant-time all the same. */
static const struct key_entry *table_find(const struct key_table *t, const struct digest *hash)
{
    size_t lo = 0, hi = t->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (memcmp(t->keys[mid].hash.b, hash->b, DIGEST_LEN) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < t->n && digest_eq_secret(&t->keys[lo].hash, hash) ? &t->keys[lo] : NULL;
}

enum assay_code auth_check(struct auth *a, struct arena *arena, struct str bearer, int64_t now_us,
                           struct principal *out, struct err *err)
{
    if (bearer.len != KEY_LEN || memcmp(bearer.ptr, key_prefix, KEY_PREFIX_LEN) != 0)
        return err_set(err, ASSAY_UNAUTHENTICATED, "unknown-key", "The key is not known or has expired.");
    struct digest hash;
    digest_sha256(bearer.ptr, bearer.len, &hash);
    int slot = reader_enter(a);
    const struct key_entry *k = table_find(&a->slots[slot].table, &hash);
    bool known = k && now_us < k->expires_at_us;
    if (known) {
        memcpy(out->key_id, k->id, sizeof out->key_id);
        out->name = str_dup(arena, k->name);
        out->scopes = k->scopes;
        out->groups = groups_copy(arena, &k->groups);
    }
    atomic_fetch_sub(&a->slots[slot].readers, 1);
    if (!known)
        return err_set(err, ASSAY_UNAUTHENTICATED, "unknown-key", "The key is not known or has expired.");
    return ASSAY_OK;
}

void auth_key_make(char text[AUTH_KEY_TEXT], struct digest *hash)
{
    uint8_t random[KEY_RANDOM];
    digest_random(random, sizeof random);
    memcpy(text, key_prefix, KEY_PREFIX_LEN);
    base64url_encode(random, sizeof random, text + KEY_PREFIX_LEN, AUTH_KEY_TEXT - KEY_PREFIX_LEN);
    digest_sha256(text, strlen(text), hash);
    explicit_bzero(random, sizeof random);
}

/* ---- the first key ---- */

static enum assay_code file_failed(struct err *err, const char *path)
{
    return err_set(err, ASSAY_INTERNAL, NULL, "The admin key file %.150s cannot be written: %s.", path,
                   strerror(errno));
}

/* The name inside its folder has to survive a crash too. */
static bool sync_folder_of(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder =
        slash ? arena_strndup(arena, path, slash == path ? 1 : (size_t)(slash - path)) : arena_strndup(arena, ".", 1);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = fsync(fd) == 0;
    return close(fd) == 0 && ok;
}

/* Writes beside the file and renames over it, so that nobody reads half a key. */
static enum assay_code write_key_file(struct arena *arena, const char *path, const char *key, struct err *err)
{
    char *temp = arena_printf(arena, "%s.new", path);
    char *line = arena_printf(arena, "%s\n", key);
    size_t len = strlen(line);
    if (unlink(temp) != 0 && errno != ENOENT)
        return file_failed(err, temp);
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return file_failed(err, temp);
    bool ok = write(fd, line, len) == (ssize_t)len && fsync(fd) == 0;
    ok = close(fd) == 0 && ok;
    ok = ok && rename(temp, path) == 0 && sync_folder_of(arena, path);
    explicit_bzero(line, len);
    return ok ? ASSAY_OK : file_failed(err, path);
}

enum assay_code auth_bootstrap(struct auth *a, const struct call *call, const char *file, struct err *err)
{
    struct key_row *rows = NULL;
    size_t n = 0;
    TRY(store_keys_all(a->store, call, &rows, &n, err));
    if (n > 0) {
        if (access(file, R_OK) != 0)
            log_warn("keys exist, but the admin key file is not there", "path=%s", log_quote(file).s);
        return ASSAY_OK;
    }
    char text[AUTH_KEY_TEXT], id[UUID_TEXT + 1];
    struct key_row row = {.name = STR_LIT("admin"),
                          .scopes = SCOPE_READ | SCOPE_WRITE | SCOPE_STEWARD | SCOPE_ADMIN | SCOPE_DELEGATE,
                          .created_at_us = clock_now_us(),
                          .expires_at_us = CLOCK_NEVER};
    auth_key_make(text, &row.hash);
    uuid_new(id);
    row.id = str_of(id);
    /* The file first: a crash in between leaves a key that opens nothing, and the next start writes another. The other
     * way round would leave a service that nobody can enter. */
    enum assay_code code = write_key_file(call->arena, file, text, err);
    explicit_bzero(text, sizeof text);
    if (code == ASSAY_OK)
        code = store_key_create(a->store, call, &row, err);
    if (code == ASSAY_CONFLICT) {
        /* Another server of the same database was faster; the key is in its file. */
        log_warn("another server made the admin key", "path=%s", log_quote(file).s);
        unlink(file);
        err_clear(err);
        return ASSAY_OK;
    }
    if (code == ASSAY_OK)
        log_info("wrote the admin key", "path=%s", log_quote(file).s);
    return code;
}
