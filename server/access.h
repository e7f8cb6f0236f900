/*
 * May this key see this document? One rule for every way to read one: stewards see all; anyone else sees what has no
 * access list, and what lists one of the key's groups. What may not be seen is answered as if it were not there.
 */
#ifndef ASSAY_SERVER_ACCESS_H
#define ASSAY_SERVER_ACCESS_H

#include "server/auth.h"

bool access_steward(const struct principal *who);
bool access_allows(const struct principal *who, bool has_acl, const struct str_list *acl);

#endif
