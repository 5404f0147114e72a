/* event_headers.c - reads and indexes the headers of one event. */
#include "event/event_headers.h"

#include "event/event_fields.h"
#include "event/field_pass.h"
#include "event/work.h"

/* Reads an entry of the map. Of several names or values in one entry the last one counts. */
static struct pair read_entry(struct bytes entry)
{
    struct bytes parts[ENTRY_FIELDS] = {{NULL, 0}};
    const uint8_t *at = entry.data, *end = entry.data + entry.size;
    struct field part = {.number = 0};

    while (at < end) {
        at = field_pass(at, end, &part);
        COUNT_WORK(1);
        if (part.number < ENTRY_FIELDS)
            parts[part.number] = part.bytes;
    }
    return (struct pair){parts[PB_EVENT_HEADERS_ENTRY_KEY], parts[PB_EVENT_HEADERS_ENTRY_VALUE]};
}

static NOINLINE void index_all(struct event_headers *headers)
{
    headers->indexed = true;
    pair_index_init(&headers->index);
    for (uint32_t i = 0; i < headers->count; i++) {
        struct pair header = read_entry(headers->entries[i]);
        pair_index_add(&headers->index, header.name, header.value);
    }
}

const struct pair_index *event_headers_index(struct event_headers *headers)
{
    if (!headers->indexed)
        index_all(headers);
    return &headers->index;
}

bool event_header(struct event_headers *headers, const struct pair_name *name, struct bytes *value_out)
{
    if (!headers || headers->count == 0)
        return false;
    return pair_index_find(event_headers_index(headers), name, value_out);
}
