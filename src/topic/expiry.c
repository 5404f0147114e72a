/* expiry.c - see expiry.h. */
#include "topic/expiry.h"

#include "base/clock.h"
#include "event/chunk.h"
#include "flow/feed.h"
#include "route/data_path.h"
#include "topic/event_marks.h"

/* 0: never. */
static int64_t expires_ns(const struct chunk *chunk, uint32_t event)
{
    struct bytes bytes = chunk_range(chunk, event, event + 1);
    struct event_marks marks;

    return event_marks_next(&bytes, &marks) ? marks.expires_wall_ns : 0;
}

static bool has_expired(const struct chunk *chunk, uint32_t event, int64_t now_ns)
{
    const int64_t at_ns = expires_ns(chunk, event);

    return at_ns > 0 && at_ns < now_ns;
}

enum err expiry_put(struct route *route, struct chunk *chunk, uint32_t first, uint32_t last,
                    enum err (*put)(struct route *route, struct chunk *chunk, uint32_t first, uint32_t last))
{
    const int64_t now_ns = clock_wall_ns();
    enum err err = ERR_OK;

    for (uint32_t end; first < last && err == ERR_OK; first = end) {
        const bool is_lost = has_expired(chunk, first, now_ns);

        for (end = first + 1; end < last && has_expired(chunk, end, now_ns) == is_lost;)
            end++;
        err = is_lost ? feed_expired(route->chan, route->feed, chunk, first, end)
                      : put(route, chunk, first, end);
    }
    return err;
}
