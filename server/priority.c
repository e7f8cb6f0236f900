#include "server/priority.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

enum { SLICE_NS = 100000 };

/* The kernel's struct sched_attr, first version; no header of both Debian releases has it without clashing with
 * another.
 */
struct slice_attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

void priority_lower(int nice)
{
    if (setpriority(PRIO_PROCESS, (id_t)gettid(), nice) != 0)
        log_debug("a thread keeps its priority", "errno=%d", errno);
}

void priority_slices(bool brief)
{
    struct slice_attr attr = {.size = sizeof attr};
    if (syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0) != 0 || attr.policy != SCHED_OTHER)
        return;
    attr.size = sizeof attr;
    attr.runtime = brief ? SLICE_NS : 0;
    attr.flags = 0;
    if (syscall(SYS_sched_setattr, 0, &attr, 0) != 0)
        log_debug("slices stay as they are", "errno=%d", errno);
}
