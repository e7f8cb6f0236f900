/*
 * Generations of a collection's index: each an embedder and what the index is built with. One is active (served); one
 * may be on its way (building, paused, ready), and one be kept to go back to (previous).
 */
#ifndef ASSAY_STORE_GENERATIONS_H
#define ASSAY_STORE_GENERATIONS_H

#include "store/store.h"

enum generation_state {
    GENERATION_BUILDING,
    GENERATION_PAUSED,
    GENERATION_READY,
    GENERATION_ACTIVE,
    GENERATION_PREVIOUS,
    GENERATION_CANCELLED,
    GENERATION_DROPPED,
    GENERATION_STATE_COUNT
};
extern const char *const generation_state_names[GENERATION_STATE_COUNT + 1];
/* Does it have an index? */
bool generation_open(enum generation_state s);

struct generation_row {
    int32_t collection, number;
    struct str embedder_json, index_json;
    struct digest embedder; /* its identity */
    enum generation_state state;
    bool manual;                  /* waits for a request to be served */
    struct str error;             /* "" when nothing is wrong */
    int64_t done_seq, filled_seq; /* see migrations/0001_init.sql */
    struct str created_by;
    int64_t created_at_us, ready_at_us, served_at_us, ended_at_us; /* CLOCK_NEVER: not yet */
};
struct generation_new {
    struct str embedder_json, index_json;
    struct digest embedder;
    bool manual;
};
/* ASSAY_CONFLICT "generation-under-way" when one is building, paused or ready. */
enum assay_code store_generation_create(struct store *s, const struct call *call, int32_t collection,
                                        const struct generation_new *in, struct generation_row *out,
                                        struct err *err) MUST_USE;
/* ASSAY_NOT_FOUND "unknown-generation". */
enum assay_code store_generation_get(struct store *s, const struct call *call, int32_t collection, int32_t number,
                                     struct generation_row *out, struct err *err) MUST_USE;
/* Newest first, before the number `before` (0: from the newest). only_open: those that have an index. */
enum assay_code store_generation_list(struct store *s, const struct call *call, int32_t collection, int32_t before,
                                      bool only_open, size_t limit, struct generation_row **out, size_t *n,
                                      struct err *err) MUST_USE;

enum generation_move {
    GENERATION_PAUSE,     /* building or ready -> paused, `why` becomes its error */
    GENERATION_RESUME,    /* paused -> building */
    GENERATION_CANCEL,    /* building, paused, ready -> cancelled */
    GENERATION_ARRIVE,    /* building -> ready */
    GENERATION_CUT_OVER,  /* ready -> active, the active one becomes the previous, the previous one is dropped */
    GENERATION_ROLL_BACK, /* active -> previous, and the previous one becomes active */
    GENERATION_DROP       /* previous -> dropped */
};
/* One transaction, with a row in the audit trail. ASSAY_CONFLICT "generation-state" when its state forbids it,
 * "nothing-to-roll-back-to" when there is no previous one. */
enum assay_code store_generation_move(struct store *s, const struct call *call, int32_t collection, int32_t number,
                                      enum generation_move move, struct str why, struct generation_row *out,
                                      struct err *err) MUST_USE;
/* This server's index of it stands at `seq`. Never goes back. */
enum assay_code store_generation_progress(struct store *s, const struct call *call, int32_t collection, int32_t number,
                                          int64_t seq, struct err *err) MUST_USE;

#endif
