/*
 * A bounded pull reader over one XML member of an office file. Private to ingest/.
 */
#ifndef ASSAY_INGEST_OFFICE_XML_H
#define ASSAY_INGEST_OFFICE_XML_H

#include "base/err.h"
#include "base/str.h"

enum { OFFICE_VALUE_MAX = 256 };
enum office_event { OFFICE_DONE, OFFICE_OPEN, OFFICE_CLOSE, OFFICE_TEXT, OFFICE_FAILED };

struct office_xml;

/* `xml` must outlive the reader. No network, no entities, no DTD: a document type makes it fail. Depth is at most 256
 * (libxml2's own limit). NULL when no reader can be had. */
struct office_xml *office_xml_open(struct str xml);
void office_xml_close(struct office_xml *x);
/* The next event; an empty element gives OPEN and CLOSE. */
enum office_event office_xml_next(struct office_xml *x);
/* Of the current element: its name as written, with prefix ("w:p"). Never NULL. */
const char *office_xml_name(const struct office_xml *x);
/* Of the current element: whether the attribute (with prefix) is there; its value, cut to 255 bytes, goes to out. */
bool office_xml_attr(struct office_xml *x, const char *name, char out[OFFICE_VALUE_MAX]);
/* Of OFFICE_TEXT. Never NULL. */
const char *office_xml_text(const struct office_xml *x);

#endif
