/* wanted.c - see wanted.h. */
#include "route/wanted.h"

#include "event/chunk_origin.h"
#include "event/peek.h"
#include "route/data_path.h"

bool route_wants(const struct route *route, const struct chunk *chunk, uint32_t event)
{
    SCRATCH struct event_headers headers;
    struct event_view view;

    if (route->part.answer == FILTER_ALL)
        return true;
    event_peek(chunk_range(chunk, event, event + 1), &view, &headers);
    view.origin = chunk_origin(chunk);
    return filter_event(route->filter, &route->part, &view);
}

enum err route_put_wanted(struct route *route, struct chunk *chunk, uint32_t first,
                          enum err (*put)(struct route *route, struct chunk *chunk, uint32_t first,
                                          uint32_t last))
{
    enum err err = ERR_OK;

    if (route->part.answer == FILTER_ALL && first < chunk->count)
        return put(route, chunk, first, chunk->count);
    for (uint32_t last; first < chunk->count && err == ERR_OK; first = last + 1) {
        for (last = first; last < chunk->count && route_wants(route, chunk, last);)
            last++;
        if (first < last)
            err = put(route, chunk, first, last);
    }
    return err;
}
