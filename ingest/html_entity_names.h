/*
 * Names of HTML's character references. Private to html_entities.c.
 */
#ifndef ASSAY_INGEST_HTML_ENTITY_NAMES_H
#define ASSAY_INGEST_HTML_ENTITY_NAMES_H

#include <assert.h>

enum { HTML_ENTITIES_MODERN = 2019, HTML_ENTITIES_LEGACY = 106, HTML_ENTITY_NAME_MAX = 31 };

struct html_entity_name {
    const char *name, *text;
};

/* Names that need their semicolon, and names that count without one, too. Each sorted by byte. */
extern const struct html_entity_name html_entities_modern[HTML_ENTITIES_MODERN];
extern const struct html_entity_name html_entities_legacy[HTML_ENTITIES_LEGACY];

#endif
