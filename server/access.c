#include "server/access.h"

bool access_steward(const struct principal *who)
{
    return (who->scopes & (SCOPE_STEWARD | SCOPE_ADMIN)) != 0;
}

bool access_allows(const struct principal *who, bool has_acl, const struct str_list *acl)
{
    if (!has_acl || access_steward(who))
        return true;
    for (size_t i = 0; i < acl->n; i++)
        for (size_t j = 0; j < who->groups.n; j++)
            if (str_eq(acl->items[i], who->groups.items[j]))
                return true;
    return false;
}
