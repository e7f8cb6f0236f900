#include "server/version.h"

/* The build may name both (-DASSAY_VERSION, -DASSAY_COMMIT). */
#ifndef ASSAY_VERSION
#define ASSAY_VERSION "0.1.0"
#endif
#ifndef ASSAY_COMMIT
#define ASSAY_COMMIT "unknown"
#endif

const char *version_string(void)
{
    return ASSAY_VERSION;
}

const char *version_commit(void)
{
    return ASSAY_COMMIT;
}
