/*
 * The insides of a collection. Everything here is the writer's, except what says otherwise. Private to index/.
 */
#ifndef ASSAY_INDEX_COLLECTION_H
#define ASSAY_INDEX_COLLECTION_H

#include <pthread.h>
#include <stdatomic.h>

#include "index/builder.h"
#include "index/generation.h"
#include "index/view.h"

enum {
    HEAD_MAX = 4096,         /* flat rows before a segment is sealed, unless configured */
    EF_SEARCH = 128,         /* beam, unless configured */
    WRITE_BYTES = 256 << 20, /* a segment of this size is not left to the next checkpoint, unless configured */
    FLAT_FAN = 8,            /* as many flat segments of one size class are merged at once */
    CODED_ROWS = 1024,       /* and have 8-bit codes from so many rows on, for scans while they wait for a graph */
    SEALED_FAN = 4,          /* and as many sealed ones, in the background */
    EXTEND_PART = 16, /* the largest sealed segment takes in new rows that are at least one in this many of its own */
    EXTEND_IDLE = 64, /* the same when nothing was applied for IDLE_US */
    IDLE_ROWS = 256,  /* and then as few flat rows are sealed */
    IDLE_US = 2000000,
    UNWATCHED = 32,      /* times head_max flat rows may gather while changes come in and nobody searches */
    WATCHED_US = 500000, /* how exactly it is known when somebody last did */
    TOMBSTONES_PART = 3  /* a sealed segment with more than one retired row in this many is rewritten */
};

struct vindex {
    struct vindex_config cfg; /* defaults filled in */
    char *dir;                /* what cfg.dir points to */
    int lock_fd;
    struct builder *builder;
};

/* A segment as the writer holds it. */
struct held {
    struct view_seg vs;
    bool building; /* input of the job under way: neither merged nor dropped until it ends */
    /* While the collection moves to another embedder: the same rows with its vectors (NULL: none was live). */
    bool remade;
    struct segment *remake;
    struct seg_origin *remake_origins;
};

struct vindex_collection {
    struct vindex *v;
    struct vindex_spec spec; /* parameters: defaults filled in */
    char *dir;
    struct held *segs;
    size_t n, cap;
    struct sources *sources;
    int64_t seq;
    struct digest commit;
    struct words *words;
    struct embedder *embedder;
    struct generation gen;
    struct build_job *job;           /* NULL: none under way */
    size_t failed_rows;              /* flat rows when a build last failed: not tried again before there are more */
    int64_t applied_us;              /* when changes were last applied, monotonic */
    atomic_int_fast64_t searched_us; /* when the vector leg was last used, monotonic, within WATCHED_US; readers' */
    bool merge_failed;               /* no merge of sealed segments before a build has succeeded again */
    uint64_t next_file;
    size_t mapped;      /* bytes that moved from memory to files, ever */
    bool dirty;         /* something is not on disk yet */
    struct views views; /* shared with readers */
    atomic_int_fast64_t builds, merges, checkpoints;
    atomic_size_t disk_bytes;
    atomic_bool learning;      /* generation_busy, for vindex_stats */
    pthread_mutex_t wait_lock; /* vindex_wait's: guards waited_seq alone */
    pthread_cond_t wait_cond;
    int64_t waited_seq;
};

/* Adds a segment, taking over the caller's references. */
void held_add(struct vindex_collection *c, struct segment *seg, const struct seg_vis *vis);
/* Drops the segments marked in `gone` (c->n flags). */
void held_drop(struct vindex_collection *c, const bool *gone);
/* How its graphs are built. */
static inline struct graph_params collection_graph_params(const struct vindex_collection *c)
{
    return (struct graph_params){
        .m = c->spec.params.m, .ef_construction = c->spec.params.ef_construction, .threads = c->v->cfg.build_threads};
}
/* Whether the vectors of sealed segments are left on disk. */
static inline bool collection_cold(const struct vindex_collection *c)
{
    return c->spec.params.precision == VINDEX_I8;
}
/* Makes the writer's present state the view that searches see, and wakes whoever waits for it. */
void collection_publish(struct vindex_collection *c);

/* Merges small flat segments and orders background builds; takes over a finished one. True when a publish is due. */
bool collection_compact(struct vindex_collection *c);
/* Waits for the job under way and throws its result away. */
void collection_cancel_job(struct vindex_collection *c);

/* Drops every segment and source, back to sequence 0; nothing is published. */
void collection_empty(struct vindex_collection *c);

/* Disk. files_load fills an empty collection, or leaves it empty (said in the log) when anything is amiss.
 * files_save puts segments that it has written in the place of what was in memory: a publish is due, also when it
 * fails. */
void files_load(struct vindex_collection *c);
enum assay_code files_save(struct vindex_collection *c, struct err *err) MUST_USE;
enum assay_code files_remove_all(struct vindex_collection *c, struct err *err) MUST_USE;

#endif
