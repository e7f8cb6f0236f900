/*
 * API keys and what they may do. A key is "assay_" + 43 base64url characters (256 random bits); only its SHA-256 is
 * kept.
 *
 * Keys are cached in memory in an immutable sorted table that is replaced whole (pointer swap with hazard protection or
 * reference count), so that checking one asks PostgreSQL for nothing and takes no lock that a reload can hold. Reloaded
 * on SIGHUP, after POST/DELETE /keys, and every minute (another server may have changed them).
 */
#ifndef ASSAY_SERVER_AUTH_H
#define ASSAY_SERVER_AUTH_H

#include "base/call.h"
#include "base/err.h"
#include "base/str.h"
#include "store/keys.h"

struct principal {
    char key_id[UUID_TEXT + 1];
    struct str name;
    unsigned scopes;        /* enum key_scope; admin implies the others but delegate */
    struct str_list groups; /* in the request's arena */
};

struct auth;
struct auth *auth_new(struct store *store);
void auth_free(struct auth *a);
enum assay_code auth_reload(struct auth *a, const struct call *call, struct err *err) MUST_USE;
/* `bearer` is the credential of the Authorization header. ASSAY_UNAUTHENTICATED when unknown or expired. Thread-safe.
 */
enum assay_code auth_check(struct auth *a, struct arena *arena, struct str bearer, int64_t now_us,
                           struct principal *out, struct err *err) MUST_USE;
/* Makes a key: `text` receives the secret (shown once), `hash` what is stored. */
enum { AUTH_KEY_TEXT = 64 };
void auth_key_make(char text[AUTH_KEY_TEXT], struct digest *hash);
/* First start: when no key exists, creates one with every scope and writes it to `file` (mode 0600, fsynced, in one
 * step; the file of an earlier database is replaced). When keys exist and the file does not, only a warning is logged.
 */
enum assay_code auth_bootstrap(struct auth *a, const struct call *call, const char *file, struct err *err) MUST_USE;

#endif
