/* API keys (hashed), idempotency records, the audit trail. */
#ifndef ASSAY_STORE_KEYS_H
#define ASSAY_STORE_KEYS_H

#include "store/store.h"

enum key_scope { SCOPE_READ = 1, SCOPE_WRITE = 2, SCOPE_STEWARD = 4, SCOPE_ADMIN = 8, SCOPE_DELEGATE = 16 };

struct key_row {
    struct str id; /* uuid */
    struct str name;
    struct digest hash; /* SHA-256 of the key's text; never leaves the server */
    unsigned scopes;    /* enum key_scope bits */
    struct str_list groups;
    int64_t created_at_us, expires_at_us; /* CLOCK_NEVER: does not expire */
};
/* Keys that are neither deleted nor expired. */
enum assay_code store_keys_all(struct store *s, const struct call *call, struct key_row **out, size_t *n,
                               struct err *err) MUST_USE;
enum assay_code store_key_create(struct store *s, const struct call *call, const struct key_row *in,
                                 struct err *err) MUST_USE; /* CONFLICT "key-exists" by name */
enum assay_code store_key_delete(struct store *s, const struct call *call, struct str id, struct err *err) MUST_USE;

/* Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07). Begin: *state says what to do. */
enum idempotency_state { IDEM_NEW, IDEM_RUNNING, IDEM_DONE, IDEM_OTHER_PAYLOAD };
struct idempotency_row {
    enum idempotency_state state;
    int status; /* with IDEM_DONE */
    struct str body, content_type;
};
enum assay_code store_idempotency_begin(struct store *s, const struct call *call, struct str key_id, struct str route,
                                        struct str idem_key, const struct digest *fingerprint,
                                        struct idempotency_row *out, struct err *err) MUST_USE;
/* status 0 forgets the record (the attempt failed in a way that may be tried again). Kept for 24 h. */
enum assay_code store_idempotency_end(struct store *s, const struct call *call, struct str key_id, struct str route,
                                      struct str idem_key, int status, struct str content_type, struct str body,
                                      struct err *err) MUST_USE;

/* Appends to the audit table; used by every write that a person or a rule decides. detail_json never holds text or
 * keys. */
enum assay_code store_audit(struct store *s, const struct call *call, int32_t collection, const char *action,
                            struct str target, struct str detail_json, struct err *err) MUST_USE;

#endif
