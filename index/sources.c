/*
 * The table of a collection's sources: immutable, replaced when one changes.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "index/visible.h"

struct sources *sources_new(void)
{
    struct sources *s = mem_calloc(1, sizeof(*s));
    atomic_init(&s->refs, 1);
    return s;
}

struct sources *sources_ref(struct sources *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

static void name_free(struct str name)
{
    free((void *)(uintptr_t)name.ptr);
}

void sources_unref(struct sources *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    for (size_t i = 0; i < s->n; i++) {
        name_free(s->items[i].name);
    }
    free(s->items);
    free(s);
}

static size_t lower(const struct sources *s, int32_t id)
{
    size_t lo = 0, hi = s->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->items[mid].id < id) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

const struct source *sources_find(const struct sources *s, int32_t id)
{
    size_t at = lower(s, id);
    return at < s->n && s->items[at].id == id ? &s->items[at] : NULL;
}

static struct source copy_of(const struct source *s)
{
    struct source c = *s;
    c.name = (struct str){mem_strndup(s->name.ptr != NULL ? s->name.ptr : "", s->name.len), s->name.len};
    return c;
}

struct sources *sources_with(struct sources *s, const struct source *source, bool *changed)
{
    size_t at = lower(s, source->id);
    bool known = at < s->n && s->items[at].id == source->id;
    *changed = !known || s->items[at].active != source->active || s->items[at].max_age_us != source->max_age_us;
    struct sources *next = sources_new();
    next->n = known ? s->n : s->n + 1;
    next->items = mem_calloc(next->n, sizeof(*next->items));
    for (size_t i = 0, from = 0; i < next->n; i++) {
        if (i == at) {
            next->items[i] = copy_of(source);
            from += known ? 1 : 0;
        } else {
            next->items[i] = copy_of(&s->items[from++]);
        }
    }
    sources_unref(s);
    return next;
}

int64_t sources_deadline(const struct sources *s, int32_t id, int64_t modified_at_us)
{
    const struct source *source = sources_find(s, id);
    int64_t deadline = 0;
    if (source == NULL || source->max_age_us == CLOCK_NEVER) {
        return CLOCK_NEVER;
    }
    if (__builtin_add_overflow(modified_at_us, source->max_age_us, &deadline)) {
        return modified_at_us < 0 ? INT64_MIN : CLOCK_NEVER;
    }
    return deadline;
}
