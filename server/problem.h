/*
 * One problem as JSON (RFC 9457), for replies that hold several: each rejected line of a bulk has its own.
 */
#ifndef ASSAY_SERVER_PROBLEM_H
#define ASSAY_SERVER_PROBLEM_H

#include "base/err.h"
#include "base/json_write.h"

/* Writes the members "type","title","status","detail","errors":[{"pointer","detail"}] into an open object. */
void problem_members(struct jsonw *w, const struct err *err);
/* The same as an object of its own. */
void problem_write(struct jsonw *w, const struct err *err);

#endif
