#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/auth.h"

/* The store, as far as auth.c knows it: the linker takes these in place of store/keys.c. */
static struct key_row *stored;
static size_t n_stored;
static enum assay_code create_code;
static struct key_row created;

enum assay_code store_keys_all(struct store *s, const struct call *call, struct key_row **out, size_t *n,
                               struct err *err)
{
    (void)s, (void)call, (void)err;
    *out = stored;
    *n = n_stored;
    return ASSAY_OK;
}

enum assay_code store_key_create(struct store *s, const struct call *call, const struct key_row *in, struct err *err)
{
    (void)s, (void)call;
    created = *in;
    created.id = created.name = (struct str){0};
    return create_code == ASSAY_OK ? ASSAY_OK : err_set(err, create_code, NULL, "no");
}

enum { KEYS = 50 };
static char texts[KEYS][AUTH_KEY_TEXT];
static struct key_row rows[KEYS];
static struct arena *arena;
static struct call call;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new(4096);
    call = (struct call){.arena = arena, .deadline_us = CLOCK_NEVER, .request_id = "t", .actor = "test"};
    for (int i = 0; i < KEYS; i++) {
        auth_key_make(texts[i], &rows[i].hash);
        rows[i].id = STR_LIT("01890000-0000-7000-8000-000000000000");
        rows[i].name = str_of(arena_printf(arena, "key%d", i));
        rows[i].scopes = SCOPE_READ;
        rows[i].expires_at_us = CLOCK_NEVER;
    }
    stored = rows;
    n_stored = KEYS;
    create_code = ASSAY_OK;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static struct auth *loaded(void)
{
    struct auth *a = auth_new(NULL);
    struct err err = {0};
    assert_int_equal(auth_reload(a, &call, &err), ASSAY_OK);
    return a;
}

static enum assay_code check(struct auth *a, struct str key, struct principal *out)
{
    struct err err = {0};
    enum assay_code code = auth_check(a, arena, key, 1000, out, &err);
    err_clear(&err);
    return code;
}

static void test_auth_key_make__is_long_and_new(void **state)
{
    (void)state;
    struct digest hash;
    assert_int_equal(strlen(texts[0]), 49);
    assert_memory_equal(texts[0], "assay_", 6);
    assert_string_not_equal(texts[0], texts[1]);
    digest_sha256(texts[0], 49, &hash);
    assert_true(digest_eq(&hash, &rows[0].hash));
}

static void test_auth_check__finds_every_key_and_no_other(void **state)
{
    (void)state;
    struct auth *a = loaded();
    struct principal who;
    char other[AUTH_KEY_TEXT];
    struct digest hash;
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(check(a, str_of(texts[i]), &who), ASSAY_OK);
        assert_true(str_eq(who.name, rows[i].name));
    }
    auth_key_make(other, &hash);
    assert_int_equal(check(a, str_of(other), &who), ASSAY_UNAUTHENTICATED);
    assert_int_equal(check(a, STR_LIT(""), &who), ASSAY_UNAUTHENTICATED);
    assert_int_equal(check(a, (struct str){texts[0], 48}, &who), ASSAY_UNAUTHENTICATED);
    texts[0][48] = texts[0][48] == 'A' ? 'E' : 'A';
    assert_int_equal(check(a, str_of(texts[0]), &who), ASSAY_UNAUTHENTICATED);
    auth_free(a);
}

static void test_auth_check__expires_to_the_microsecond(void **state)
{
    (void)state;
    struct principal who;
    rows[3].expires_at_us = 1000;
    rows[4].expires_at_us = 1001;
    struct auth *a = loaded();
    assert_int_equal(check(a, str_of(texts[3]), &who), ASSAY_UNAUTHENTICATED);
    assert_int_equal(check(a, str_of(texts[4]), &who), ASSAY_OK);
    auth_free(a);
}

static void test_auth_check__scopes_imply_no_more_than_they_should(void **state)
{
    (void)state;
    static const struct {
        unsigned has, means;
    } table[] = {{SCOPE_READ, SCOPE_READ},
                 {SCOPE_WRITE, SCOPE_WRITE},
                 {SCOPE_STEWARD, SCOPE_STEWARD | SCOPE_READ},
                 {SCOPE_ADMIN, SCOPE_ADMIN | SCOPE_READ | SCOPE_WRITE | SCOPE_STEWARD},
                 {SCOPE_DELEGATE, SCOPE_DELEGATE}};
    for (int i = 0; i < 5; i++)
        rows[i].scopes = table[i].has;
    struct auth *a = loaded();
    for (int i = 0; i < 5; i++) {
        struct principal who;
        assert_int_equal(check(a, str_of(texts[i]), &who), ASSAY_OK);
        assert_int_equal(who.scopes, table[i].means);
    }
    auth_free(a);
}

static void test_auth_reload__forgets_deleted_keys(void **state)
{
    (void)state;
    struct auth *a = loaded();
    struct principal who;
    struct err err = {0};
    n_stored = 1;
    assert_int_equal(auth_reload(a, &call, &err), ASSAY_OK);
    assert_int_equal(check(a, str_of(texts[0]), &who), ASSAY_OK);
    assert_int_equal(check(a, str_of(texts[1]), &who), ASSAY_UNAUTHENTICATED);
    n_stored = 0;
    assert_int_equal(auth_reload(a, &call, &err), ASSAY_OK);
    assert_int_equal(check(a, str_of(texts[0]), &who), ASSAY_UNAUTHENTICATED);
    auth_free(a);
}

struct storm {
    struct auth *auth;
    atomic_bool stop;
    atomic_int wrong;
};

static void *keep_checking(void *arg)
{
    struct storm *s = arg;
    struct arena *mine = arena_new(4096);
    for (int i = 0; !atomic_load(&s->stop); i = (i + 1) % KEYS) {
        struct principal who;
        struct err err = {0};
        if (auth_check(s->auth, mine, str_of(texts[i]), 1000, &who, &err) != ASSAY_OK ||
            !str_eq(who.name, rows[i].name))
            atomic_fetch_add(&s->wrong, 1);
        err_clear(&err);
        arena_reset(mine);
    }
    arena_free(mine);
    return NULL;
}

static void test_auth_check__never_misses_during_reloads(void **state)
{
    (void)state;
    struct storm s = {.auth = loaded()};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, keep_checking, &s), 0);
    for (int i = 0; i < 300; i++) {
        struct err err = {0};
        assert_int_equal(auth_reload(s.auth, &call, &err), ASSAY_OK);
    }
    atomic_store(&s.stop, true);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&s.wrong), 0);
    auth_free(s.auth);
}

static void test_auth_bootstrap__writes_one_private_file(void **state)
{
    (void)state;
    char dir[] = "/tmp/assay-auth-XXXXXX";
    struct err err = {0};
    struct stat st;
    char line[128] = "";
    assert_non_null(mkdtemp(dir));
    char *path = arena_printf(arena, "%s/admin.key", dir);
    struct auth *a = auth_new(NULL);
    n_stored = 0;
    assert_int_equal(auth_bootstrap(a, &call, path, &err), ASSAY_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    fclose(f);
    line[strcspn(line, "\n")] = '\0';
    struct digest hash;
    digest_sha256(line, strlen(line), &hash);
    assert_true(digest_eq(&hash, &created.hash)); /* what is stored is the hash of what is in the file */
    assert_int_equal(created.scopes, 31);
    /* A new database with the file of an old one: replaced. */
    assert_int_equal(auth_bootstrap(a, &call, path, &err), ASSAY_OK);
    assert_false(digest_eq(&hash, &created.hash));
    /* Another server was faster: no file that opens nothing stays behind. */
    create_code = ASSAY_CONFLICT;
    assert_int_equal(auth_bootstrap(a, &call, path, &err), ASSAY_OK);
    assert_int_not_equal(access(path, F_OK), 0);
    /* Keys exist: nothing is made. */
    n_stored = KEYS;
    assert_int_equal(auth_bootstrap(a, &call, path, &err), ASSAY_OK);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(rmdir(dir), 0);
    auth_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_auth_key_make__is_long_and_new, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_auth_check__finds_every_key_and_no_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_auth_check__expires_to_the_microsecond, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_auth_check__scopes_imply_no_more_than_they_should, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_auth_reload__forgets_deleted_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_auth_check__never_misses_during_reloads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_auth_bootstrap__writes_one_private_file, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
