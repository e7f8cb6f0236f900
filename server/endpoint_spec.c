#include "server/endpoint_spec.h"

#include <string.h>

/* Only as much of a URL as is needed to refuse what must not be called or stored: a scheme other than http and https,
 * credentials (they would be in PostgreSQL for everyone to read), a query or fragment (a path is appended). */
static const char *base_url_problem(struct str url)
{
    size_t scheme = str_starts(url, "https://") ? 8 : str_starts(url, "http://") ? 7 : 0;
    if (scheme == 0)
        return "It must start with http:// or https://.";
    const char *end = url.ptr + url.len;
    const char *slash = memchr(url.ptr + scheme, '/', url.len - scheme);
    const char *authority_end = slash ? slash : end;
    if (authority_end == url.ptr + scheme)
        return "It names no host.";
    if (memchr(url.ptr + scheme, '@', (size_t)(authority_end - url.ptr) - scheme))
        return "Credentials do not belong here; name a key by key_name.";
    for (const char *p = url.ptr; p < end; p++) {
        if (*p == '?' || *p == '#')
            return "It must have neither query nor fragment.";
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 127 || *p == '\\')
            return "It may hold printable ASCII only.";
    }
    return NULL;
}

enum assay_code endpoint_spec_check(struct arena *a, const char *pointer, struct str *base_url, struct str key_name,
                                    struct err *err)
{
    while (base_url->len > 0 && base_url->ptr[base_url->len - 1] == '/')
        base_url->len--;
    const char *problem = base_url_problem(*base_url);
    if (problem)
        return err_add_field(err, arena_printf(a, "%s/base_url", pointer), "%s", problem);
    if (key_name.len > 0 && !str_is_name(key_name, key_name.len))
        return err_add_field(err, arena_printf(a, "%s/key_name", pointer), "%s",
                             "It may hold letters, digits, '.', '_' and '-' only.");
    return ASSAY_OK;
}
