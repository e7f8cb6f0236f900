/* What this binary is. Static strings. */
#ifndef ASSAY_SERVER_VERSION_H
#define ASSAY_SERVER_VERSION_H

const char *version_string(void); /* "0.1.0" */
const char *version_commit(void); /* short commit id the build was made from, "unknown" outside a checkout */

#endif
