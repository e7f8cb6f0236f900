#include "base/json_scan.h"

#include <string.h>

const char *json_scan_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

const char *json_scan_string(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++)
        p += *p == '\\' && p + 1 < end;
    return p < end ? p + 1 : end;
}

const char *json_scan_array(struct str text, const char *name)
{
    const char *p = text.ptr, *end = text.len ? p + text.len : p;
    size_t len = strlen(name);
    int depth = 0;
    bool at_key = false;
    while (p < end) {
        if (*p == '"') {
            const char *next = json_scan_string(p, end);
            bool found = depth == 1 && at_key && (size_t)(next - p) == len + 2 && memcmp(p + 1, name, len) == 0;
            p = json_scan_space(next, end);
            if (!found || p == end || *p != ':')
                continue;
            p = json_scan_space(p + 1, end);
            return p < end && *p == '[' ? p : NULL;
        }
        if (*p == '{' || *p == '[')
            depth++;
        else if (*p == '}' || *p == ']')
            depth--;
        at_key = depth == 1 && (*p == ',' || *p == '{' || (at_key && *p != ':'));
        p++;
    }
    return NULL;
}
