/* offer.c - a source's way in: numbers what it publishes and puts it into every channel that wants
 * it.
 *
 * A route that wants everything of a source gets the whole chunk by reference, and no event is
 * looked at. That is the fast path. It is also why routes that want nothing of a source are not in
 * its inlet at all. What routes with a filter want is picked in match_chunk.c. */
#include "route/offer.h"

#include "base/clock.h"
#include "base/counters.h"
#include "flow/put_waiter.h"
#include "flow/shared_feed.h"
#include "route/data_path.h"
#include "route/history.h"
#include "route/match_chunk.h"
#include "route/route_put.h"
#include "route/wildcard_set.h"

/* Puts the chunk through the routes that are `second`, or through those that are not. Returns how
 * many of them took at least one event. */
static INLINE uint32_t push_to_routes(struct inlet *inlet, struct chunk *chunk, struct put_waiter *waiter,
                                      bool second)
{
    uint32_t matched = 0;

    if (inlet->filtered_count > 0 && (second || inlet->second_count < inlet->route_count))
        matched = match_chunk(inlet, chunk, waiter, second);
    for (uint32_t i = 0; i < inlet->route_count; i++) {
        struct route *route = inlet->routes[i];

        if (route->part.answer == FILTER_ALL && route->second == second)
            matched += route_put(route, chunk, 0, chunk->count, waiter) != ERR_CLOSED;
    }
    return matched;
}

/* Returns how many routes took at least one event. */
static uint32_t push_chunk(struct inlet *inlet, struct chunk *chunk, struct put_waiter *waiter)
{
    uint32_t matched = push_to_routes(inlet, chunk, waiter, false);

    for (uint32_t i = 0; i < inlet->wildcard_count; i++)
        matched += chan_put_shared(inlet->wildcards[i].chan, GENERATION_WILDCARD, chunk, 0, chunk->count,
                                   waiter) != ERR_CLOSED;
    if (inlet->second_count > 0)
        matched += push_to_routes(inlet, chunk, waiter, true);
    atomic_store_explicit(&inlet->source->routed, inlet->last_sequence, memory_order_release);
    return matched;
}

/* The chunk has its sequences already. */
static NOINLINE uint64_t last_of_numbered(struct inlet *inlet, const struct chunk *chunk)
{
    const uint64_t first = chunk_sequence(chunk, 0);

    CHECK(first > inlet->last_sequence);
    if (inlet->on_hole && first != inlet->last_sequence + 1)
        inlet->on_hole(inlet);
    return chunk_sequence(chunk, chunk->count - 1);
}

enum err inlet_offer_locked(struct inlet *inlet, struct chunk *chunk, struct put_waiter *waiter,
                            struct offer *offer_out)
{
    uint32_t bytes = chunk_bytes(chunk, 0, chunk->count);
    enum inlet_state state = inlet->state;
    enum err err = ERR_OK;

    CHECK(!chunk->source);
    if (state != INLET_OPEN) {
        pthread_mutex_unlock(&inlet->lock);
        return state == INLET_REMOVED ? ERR_NOT_FOUND : ERR_CLOSED;
    }
    chunk->source = source_retain(inlet->source);
    chunk->observed_wall_ns = clock_wall_ns();
    chunk->observed_mono_ns = clock_mono_ns();
    inlet_publishes(inlet);
    if (LIKELY(chunk->first_sequence == 0)) {
        chunk->first_sequence = inlet->last_sequence + 1;
        inlet->last_sequence += chunk->count;
    } else {
        inlet->last_sequence = last_of_numbered(inlet, chunk);
    }
    inlet->last_event_wall_ns = chunk->observed_wall_ns;
    inlet->published.events += chunk->count;
    inlet->published.bytes += bytes;
    if (inlet->history)
        history_add(inlet->history, chunk);

    if (waiter)
        put_waiter_begin(waiter);
    *offer_out = (struct offer){.epoch = inlet->source->epoch,
                                .first_sequence = chunk->first_sequence,
                                .last_sequence = inlet->last_sequence};
    offer_out->matched = push_chunk(inlet, chunk, waiter);
    if (waiter)
        err = put_waiter_end(waiter);
    if (err == ERR_AGAIN)
        atomic_fetch_add_explicit(&inlet->blocked, 1, memory_order_relaxed);
    pthread_mutex_unlock(&inlet->lock);

    count_add(COUNT_CHUNKS_IN, 1);
    count_add(COUNT_EVENTS_IN, chunk->count);
    count_add(COUNT_BYTES_IN, bytes);
    return err;
}

enum err inlet_offer(struct inlet *inlet, struct chunk *chunk, struct put_waiter *waiter,
                     struct offer *offer_out)
{
    pthread_mutex_lock(&inlet->lock);
    return inlet_offer_locked(inlet, chunk, waiter, offer_out);
}

void inlet_give_up(struct inlet *inlet, const struct put_waiter *waiter)
{
    pthread_mutex_lock(&inlet->lock);
    for (uint32_t i = 0; i < inlet->route_count; i++) {
        struct route *route = inlet->routes[i];

        if (route->feed)
            chan_give_up(route->chan, route->feed, waiter);
        else
            shared_give_up(route->chan, inlet->source, waiter);
    }
    for (uint32_t i = 0; i < inlet->wildcard_count; i++)
        shared_give_up(inlet->wildcards[i].chan, inlet->source, waiter);
    pthread_mutex_unlock(&inlet->lock);
}

void inlet_unblocked(struct inlet *inlet)
{
    atomic_fetch_sub_explicit(&inlet->blocked, 1, memory_order_relaxed);
}
