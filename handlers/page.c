#include "handlers/page.h"

const struct json_field page_fields[] = {
    PAGE_FIELDS(struct page_query),
    JSON_FIELDS_END,
};
