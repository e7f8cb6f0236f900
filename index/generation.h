/*
 * Generations of the built-in embedder. A collection starts with hashed features (embed.h); when it has grown enough it
 * learns from its own chunks (lsa.h) and moves over: the training and then the new vectors and graphs of all segments
 * are made by the builder beside what is served, and the writer switches all at once, so that a view, and with it a
 * search, never mixes two generations. The one before is kept to go back to.
 *
 * When and from what a collection learns follows from the change log alone: at the change with which the number of
 * chunks ever added reaches a step of the schedule (512 and then each time a quarter more, from 8,192 on each time
 * twice as many), from the chunks that are not retired at that change. So any replica makes the same artefact. They
 * switch when they are done, each in its own time: the reply names the artefact. A set that was superseded by the next
 * one before its turn came is never learned from.
 *
 * While that goes on no checkpoint is written, so that a restart reads the log again from before the change; the switch
 * itself writes one before it is published. Private to index/, the writer's.
 */
#ifndef ASSAY_INDEX_GENERATION_H
#define ASSAY_INDEX_GENERATION_H

#include "index/lsa.h"

struct vindex_collection;
struct build_job;

struct generation {
    struct lsa *lsa, *previous; /* what the vectors are by; what they were by before. NULL: hashed features */
    bool has_previous;
    uint64_t switches;      /* how often the collection moved over */
    uint64_t added;         /* ADD changes applied, ever */
    struct build_job *wait; /* chosen to be learned from, not ordered yet; NULL: none */
    int64_t wait_us;        /* since when one has been waiting, monotonic */
    struct build_job *job;  /* under way: a training, or new vectors */
    struct lsa *next;       /* being moved to, when `moving` */
    bool moving, unsaved;   /* unsaved: a checkpoint was put off */
};

/* How many of the changes can be applied before the collection is to be looked at for learning; *learn says whether it
 * is then (n and false: never in this run). Does not count those that the index has already. */
struct vindex_change;
size_t generation_split(const struct vindex_collection *c, const struct vindex_change *changes, size_t n, bool *learn);
/* Counts the ADDs of a run that is about to be applied. */
void generation_count(struct vindex_collection *c, const struct vindex_change *changes, size_t n);
/* Remembers the present live rows as the next to learn from. */
void generation_choose(struct vindex_collection *c);

/* Orders what is to be done and takes over what is done; true when a publish is due. */
bool generation_step(struct vindex_collection *c);
/* Whether a checkpoint has to wait. */
bool generation_busy(const struct vindex_collection *c);
/* Gives up whatever is under way. */
void generation_cancel(struct vindex_collection *c);
/* Back to hashed features and nothing counted, for an empty collection. */
void generation_clear(struct vindex_collection *c);

#endif
