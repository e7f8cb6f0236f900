#include "server/problem.h"

#include <stdio.h>

void problem_members(struct jsonw *w, const struct err *err)
{
    char type[128];
    snprintf(type, sizeof type, "urn:assay:problem:%s", err_slug(err));
    jsonw_kcstr(w, "type", type);
    jsonw_kcstr(w, "title", err_title(err->code));
    jsonw_kint(w, "status", err_status(err->code));
    jsonw_kcstr(w, "detail", err->detail[0] ? err->detail : err_title(err->code));
    if (err->n_fields > 0) {
        jsonw_key(w, "errors");
        jsonw_array(w);
        for (size_t i = 0; i < err->n_fields; i++) {
            jsonw_object(w);
            jsonw_kcstr(w, "pointer", err->fields[i].pointer);
            jsonw_kcstr(w, "detail", err->fields[i].detail);
            jsonw_object_end(w);
        }
        jsonw_array_end(w);
    }
}

void problem_write(struct jsonw *w, const struct err *err)
{
    jsonw_object(w);
    problem_members(w, err);
    jsonw_object_end(w);
}
