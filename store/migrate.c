/* Numbered migrations: NNNN_name.sql, from 0001 on without a gap, forward only, each in a transaction of its own. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "store/pool.h"
#include "store/stmts.h"
#include "store/tx.h"

enum { MIGRATIONS_MAX = 9999, MIGRATION_BYTES_MAX = 4 << 20, NUMBER_DIGITS = 4 };

struct migration {
    int version;
    const char *name; /* the file's */
    char *sql;
    struct digest sha256;
};

static const struct store_stmt migrate_lock = {"migrate_lock", "SELECT pg_try_advisory_lock(1095979841)", 0};
static const struct store_stmt migrate_unlock = {"migrate_unlock", "SELECT pg_advisory_unlock(1095979841)", 0};
static const struct store_stmt migrate_applied = {
    "migrate_applied", "SELECT version, name, sha256 FROM schema_migrations ORDER BY version", 0};
static const struct store_stmt migrate_record = {
    "migrate_record", "INSERT INTO schema_migrations (version, name, sha256, applied_at) VALUES ($1, $2, $3, $4)", 4};

static const char bookkeeping[] =
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    " version integer NOT NULL, name text NOT NULL, sha256 bytea NOT NULL, applied_at timestamptz NOT NULL,"
    " CONSTRAINT schema_migrations_pkey PRIMARY KEY (version));"
    "COMMENT ON TABLE schema_migrations IS 'Migrations that were applied to this database.';"
    "COMMENT ON COLUMN schema_migrations.version IS 'Number of the file.';"
    "COMMENT ON COLUMN schema_migrations.name IS 'Name of the file.';"
    "COMMENT ON COLUMN schema_migrations.sha256 IS 'SHA-256 of the file as applied.';"
    "COMMENT ON COLUMN schema_migrations.applied_at IS 'When it was applied.'";

static enum assay_code read_file(struct arena *a, const char *dir, struct migration *m, struct err *err)
{
    FILE *f = fopen(arena_printf(a, "%s/%s", dir, m->name), "rb");
    if (!f)
        return err_set(err, ASSAY_INTERNAL, NULL, "Migration %s cannot be opened.", m->name);
    m->sql = arena_alloc(a, MIGRATION_BYTES_MAX + 1);
    size_t n = fread(m->sql, 1, MIGRATION_BYTES_MAX, f);
    bool whole = feof(f) && !ferror(f);
    (void)fclose(f);
    if (!whole)
        return err_set(err, ASSAY_INTERNAL, NULL, "Migration %s cannot be read.", m->name);
    m->sql[n] = '\0';
    digest_sha256(m->sql, n, &m->sha256);
    return ASSAY_OK;
}

static int is_migration(const struct dirent *e)
{
    size_t n = strlen(e->d_name);
    return n > NUMBER_DIGITS + sizeof "_.sql" - 1 && strspn(e->d_name, "0123456789") == NUMBER_DIGITS &&
           e->d_name[NUMBER_DIGITS] == '_' && strcmp(e->d_name + n - 4, ".sql") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static enum assay_code read_migrations(struct arena *a, const char *dir, struct migration **out, int *n,
                                       struct err *err)
{
    struct dirent **entries = NULL;
    int found = scandir(dir, &entries, is_migration, by_name);
    if (found <= 0) {
        free(entries);
        return err_set(err, ASSAY_INTERNAL, NULL, "There are no migrations in the configured directory.");
    }
    enum assay_code code = ASSAY_OK;
    *out = ARENA_ARRAY(a, struct migration, (size_t)found);
    *n = found;
    for (int i = 0; i < found; i++) {
        struct migration *m = &(*out)[i];
        int64_t version;
        m->name = arena_strndup(a, entries[i]->d_name, strlen(entries[i]->d_name));
        if (code == ASSAY_OK && (!str_to_i64((struct str){m->name, NUMBER_DIGITS}, &version) || version != i + 1))
            code =
                err_set(err, ASSAY_CONFLICT, "migration-gap", "Migration %04d is missing before %s.", i + 1, m->name);
        if (code == ASSAY_OK)
            code = read_file(a, dir, m, err);
        m->version = i + 1;
        free(entries[i]);
    }
    free(entries);
    return code;
}

/* Compares what was applied with the files. *done: how many are applied. */
static enum assay_code compare(struct tx *tx, const struct migration *files, int n, int *done, struct err *err)
{
    struct rows rows = {0};
    TRY(tx_exec(tx, &migrate_applied, NULL, &rows, err));
    if (rows.n > n)
        return err_set(err, ASSAY_CONFLICT, "schema-newer",
                       "The database has %d migrations, this program knows %d: it is older than the schema.", rows.n,
                       n);
    for (int i = 0; i < rows.n; i++) {
        struct row r = rows_at(&rows, i, tx_arena(tx));
        int version = (int)row_int(&r);
        struct str name = row_str(&r);
        struct digest sha256 = row_digest(&r);
        if (version != i + 1)
            return err_set(err, ASSAY_CONFLICT, "migration-gap", "Migration %04d was never applied.", i + 1);
        if (!str_eqc(name, files[i].name) || !digest_eq(&sha256, &files[i].sha256))
            return err_set(err, ASSAY_CONFLICT, "migration-changed",
                           "Migration %s is not what was applied to this database as %.*s.", files[i].name,
                           STR_FMT(name));
    }
    *done = rows.n;
    return ASSAY_OK;
}

static enum assay_code apply(struct tx *tx, const struct migration *m, struct err *err)
{
    struct conn *c = tx->conn;
    TRY(conn_command(c, "migrate", "BEGIN; SET LOCAL statement_timeout = 0", err));
    int wait_ms = c->wait_ms;
    c->wait_ms = 3600 * 1000; /* a migration of a large table takes the time it takes */
    enum assay_code code = conn_command(c, m->name, m->sql, err);
    c->wait_ms = wait_ms;
    if (code == ASSAY_OK) {
        struct buf args = {0};
        wire_i32(&args, m->version);
        wire_cstr(&args, m->name);
        wire_digest(&args, &m->sha256);
        wire_time(&args, clock_now_us());
        code = tx_exec(tx, &migrate_record, &args, NULL, err);
    }
    if (code == ASSAY_OK)
        code = conn_command(c, "migrate", "COMMIT", err);
    if (code == ASSAY_OK)
        log_info("migrated", "version=%d name=%s", m->version, m->name);
    return code;
}

static enum assay_code take_lock(struct tx *tx, struct err *err)
{
    for (;;) {
        struct rows rows = {0};
        TRY(tx_exec(tx, &migrate_lock, NULL, &rows, err));
        struct row r = rows_at(&rows, 0, tx_arena(tx));
        if (row_bool(&r))
            return ASSAY_OK;
        if (clock_mono_us() > tx->call->deadline_us)
            return err_set(err, ASSAY_UNAVAILABLE, "migrating", "Another server is migrating the database.");
        struct timespec ts = {.tv_nsec = 50 * 1000 * 1000};
        (void)nanosleep(&ts, NULL);
    }
}

struct migrate_work {
    const char *dir;
    int *applied;
};

static enum assay_code migrate_body(struct tx *tx, void *ctx, struct err *err)
{
    struct migrate_work *w = ctx;
    struct migration *files = NULL;
    int n = 0, done = 0;
    *w->applied = 0;
    TRY(read_migrations(tx_arena(tx), w->dir, &files, &n, err));
    TRY(take_lock(tx, err));
    enum assay_code code = conn_command(tx->conn, "migrate", bookkeeping, err);
    if (code == ASSAY_OK)
        code = compare(tx, files, n, &done, err);
    for (int i = done; code == ASSAY_OK && files && i < n; i++) {
        code = apply(tx, &files[i], err);
        *w->applied += code == ASSAY_OK;
    }
    if (code == ASSAY_OK)
        return tx_exec(tx, &migrate_unlock, NULL, NULL, err);
    struct err ignored = {0};
    if (conn_command(tx->conn, "migrate", "ROLLBACK", &ignored) != ASSAY_OK ||
        tx_exec(tx, &migrate_unlock, NULL, NULL, &ignored) != ASSAY_OK)
        log_warn("migration lock kept", "until=disconnect");
    err_clear(&ignored);
    return code;
}

enum assay_code store_migrate(struct store *s, const struct call *call, int *applied, struct err *err)
{
    struct migrate_work w = {s->cfg.migrations_dir, applied};
    return store_with(s, call, "migrate", migrate_body, &w, err);
}

const struct store_stmt *const store_migrate_stmts[] = {&migrate_lock, &migrate_unlock, &migrate_applied,
                                                        &migrate_record, NULL};
