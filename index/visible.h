/*
 * Who may see which rows of a segment, and until when: the part of a row that changes. Three reference-counted pieces
 * per segment, each copied when it is changed while a published view still holds it (so a state change copies bits, not
 * access lists):
 *   rows  state of each row, and the sets derived from it: live, active, servable
 *   age   modified_at and the deadline that follows from the source's max_age
 *   acl   for everyone, or one Roaring bitmap of rows for each group token
 * Editing is the writer's; everything else any thread's.
 */
#ifndef ASSAY_INDEX_VISIBLE_H
#define ASSAY_INDEX_VISIBLE_H

#include <roaring/roaring.h>
#include <stdatomic.h>

#include "index/bits.h"
#include "index/segment.h"
#include "index/vindex.h"

/* ---- sources: one table for a collection, replaced when one changes ---- */
struct source {
    int32_t id;
    bool active;
    int64_t max_age_us;
    struct str name; /* malloc'd */
};
struct sources {
    atomic_int refs;
    size_t n;
    struct source *items; /* ascending ids */
};
struct sources *sources_new(void);
struct sources *sources_ref(struct sources *s);
void sources_unref(struct sources *s);
const struct source *sources_find(const struct sources *s, int32_t id); /* NULL: unknown, hence not served */
/* A copy with one source set; gives up the reference to `s`. *changed: whether any deadline or visibility differs. */
struct sources *sources_with(struct sources *s, const struct source *source, bool *changed);
/* modified_at + max_age, CLOCK_NEVER when it does not age; saturates. */
int64_t sources_deadline(const struct sources *s, int32_t id, int64_t modified_at_us);

/* ---- one segment ---- */
enum { VIS_BLOCK = 1024 /* rows that share one earliest deadline */, ACL_KEY = 16 };

struct vis_rows {
    atomic_int refs;
    size_t n, by_state[CHUNK_STATE_COUNT], active_count;
    uint64_t live_length;  /* eighths of words of the live rows */
    int64_t expired_upto;  /* rows with a deadline up to here have left `active` */
    int64_t next_deadline; /* not after the earliest deadline among `active` */
    uint8_t *state;
    uint64_t *live;     /* not retired: what statistics count */
    uint64_t *active;   /* state active, source active, deadline after expired_upto */
    uint64_t *servable; /* active or quarantined by state alone: what a steward may ask for */
    int64_t *block_min; /* as next_deadline, for each VIS_BLOCK rows */
};
struct vis_age {
    atomic_int refs;
    int64_t *modified, *deadline;
};
/* A token is known by the first 16 bytes of its SHA-256: no table of strings to grow, and nobody can make two collide.
 */
struct acl_key {
    uint8_t b[ACL_KEY];
};
struct acl_token {
    atomic_int refs;
    struct acl_key key;
    roaring_bitmap_t *rows;
};
struct vis_acl {
    atomic_int refs;
    size_t n_public, n_tokens, cap_tokens;
    uint64_t *everyone;
    struct acl_token **tokens; /* ascending keys */
};
struct seg_vis {
    struct vis_rows *rows;
    struct vis_age *age;
    struct vis_acl *acl;
};

struct acl_key acl_key(struct str token);

/* Visibility of a new segment, all rows pending, for everyone and never aging; then set row by row. */
void vis_init(struct seg_vis *v, const struct segment *s);
void vis_ref(const struct seg_vis *v);
void vis_unref(struct seg_vis *v); /* zeroes it; safe on a zeroed one */

void vis_set_state(struct seg_vis *v, const struct segment *s, size_t row, enum chunk_state state,
                   const struct sources *sources);
void vis_set_age(struct seg_vis *v, const struct segment *s, size_t row, int64_t modified_at_us,
                 const struct sources *sources);
void vis_set_acl(struct seg_vis *v, const struct segment *s, size_t row, bool has_acl, struct str_list acl);
/* Recomputes what depends on the sources. */
void vis_set_sources(struct seg_vis *v, const struct segment *s, const struct sources *sources);
/* Takes rows out of `active` whose deadline is not after now_us. */
void vis_expire(struct seg_vis *v, const struct segment *s, int64_t now_us);
/* Visibility of a merged segment from that of its inputs. */
void vis_merge(struct seg_vis *out, const struct segment *s, const struct seg_vis *in, size_t n_in,
               const struct seg_origin *origins, const struct sources *sources);

/* Adds the rows that a token may see to `out`. */
void vis_acl_add(const struct vis_acl *acl, const struct acl_key *key, uint64_t *out);

/* A caller, as far as rows are concerned. */
struct viewer {
    const struct acl_key *keys;
    size_t n_keys;
    bool steward; /* include_quarantined */
    int64_t now_us;
};
/* The last check before a row is returned, from the row's own state and not from any derived set. */
bool vis_may_see(const struct seg_vis *v, const struct segment *s, size_t row, const struct sources *sources,
                 const struct viewer *who) MUST_USE;
size_t vis_bytes(const struct seg_vis *v);

/* For files. */
void vis_acl_write(const struct vis_acl *acl, size_t n, struct buf *out);
/* Replaces the acl part; false when the bytes are not one (then unchanged). *used: bytes consumed. */
bool vis_acl_read(struct seg_vis *v, size_t n, struct str bytes, size_t *used) MUST_USE;

#endif
