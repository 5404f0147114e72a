/* event_shard.c - see event_shard.h. */
#include "group/event_shard.h"

#include <xxhash.h>

#include "event/event_headers.h"
#include "event/event_view.h"

uint32_t text_shard(struct bytes text, uint32_t shards)
{
    const uint64_t hash = XXH3_64bits(text.data, text.size);

    return (uint32_t)(((unsigned __int128)hash * shards) >> 64); /* even, without a division */
}

uint32_t event_shard(const struct event_view *view, enum shard_by by, const struct pair_name *header,
                     uint32_t shards)
{
    struct bytes text = {NULL, 0};

    switch (by) {
    case SHARD_BY_KEY:
        text = view->key;
        break;
    case SHARD_BY_HEADER:
        event_header(view->headers, header, &text);
        break;
    case SHARD_BY_PRODUCER:
        break;
    }
    return text_shard(text.size > 0 ? text : view->origin, shards);
}
