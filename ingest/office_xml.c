#include "ingest/office_xml.h"

#include <libxml/xmlreader.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct office_xml {
    xmlTextReaderPtr reader;
    bool close_next; /* the current element is empty: its end is the next event */
};

/* libxml2 wants its tables set up before there are threads. */
__attribute__((constructor)) static void prepare_parser(void)
{
    xmlInitParser();
}

struct office_xml *office_xml_open(struct str xml)
{
    if (xml.len > INT_MAX || xml.len == 0)
        return NULL;
    xmlTextReaderPtr reader = xmlReaderForMemory(xml.ptr, (int)xml.len, NULL, NULL,
                                                 XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (!reader)
        return NULL;
    struct office_xml *x = mem_calloc(1, sizeof *x);
    x->reader = reader;
    return x;
}

void office_xml_close(struct office_xml *x)
{
    if (!x)
        return;
    xmlFreeTextReader(x->reader);
    free(x);
}

enum office_event office_xml_next(struct office_xml *x)
{
    if (x->close_next) {
        x->close_next = false;
        return OFFICE_CLOSE;
    }
    int status;
    while ((status = xmlTextReaderRead(x->reader)) == 1) {
        switch (xmlTextReaderNodeType(x->reader)) {
        case XML_READER_TYPE_ELEMENT:
            x->close_next = xmlTextReaderIsEmptyElement(x->reader) == 1;
            return OFFICE_OPEN;
        case XML_READER_TYPE_END_ELEMENT:
            return OFFICE_CLOSE;
        case XML_READER_TYPE_TEXT:
        case XML_READER_TYPE_CDATA:
        case XML_READER_TYPE_SIGNIFICANT_WHITESPACE:
        case XML_READER_TYPE_WHITESPACE:
            return OFFICE_TEXT;
        case XML_READER_TYPE_DOCUMENT_TYPE:
        case XML_READER_TYPE_ENTITY_REFERENCE:
            return OFFICE_FAILED;
        default:
            break;
        }
    }
    return status == 0 ? OFFICE_DONE : OFFICE_FAILED;
}

const char *office_xml_name(const struct office_xml *x)
{
    const xmlChar *name = xmlTextReaderConstName(x->reader);
    return name ? (const char *)name : "";
}

bool office_xml_attr(struct office_xml *x, const char *name, char out[OFFICE_VALUE_MAX])
{
    xmlChar *value = xmlTextReaderGetAttribute(x->reader, (const xmlChar *)name);
    if (!value)
        return false;
    (void)snprintf(out, OFFICE_VALUE_MAX, "%s", (const char *)value);
    xmlFree(value);
    return true;
}

const char *office_xml_text(const struct office_xml *x)
{
    const xmlChar *text = xmlTextReaderConstValue(x->reader);
    return text ? (const char *)text : "";
}
