/*
 * Finding a place in JSON text without building a tree: for bodies whose bulk is one array. The text need not be valid;
 * what is found is only trusted once the rest has been parsed with the array cut out. Pure.
 */
#ifndef ASSAY_BASE_JSON_SCAN_H
#define ASSAY_BASE_JSON_SCAN_H

#include "base/str.h"

/* The first byte in [p, end) that is no white space, or end. */
const char *json_scan_space(const char *p, const char *end);
/* Behind the closing quote of the string that opens at p, or end. */
const char *json_scan_string(const char *p, const char *end);
/* The '[' of the top object's member `name`, or NULL when it has none or another kind of value. A name spelt with
 * escapes is not found. */
const char *json_scan_array(struct str text, const char *name);

#endif
