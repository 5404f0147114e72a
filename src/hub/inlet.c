/* inlet.c - a source's way in: numbers what it publishes and puts it into every channel that wants
 * it.
 *
 * A route that wants everything of a producer gets the whole chunk by reference, and no event is
 * looked at. That is the fast path. It is also why routes that want nothing of a source are not in
 * its inlet at all. What routes with a filter want is picked in match_chunk.c. */
#include "hub/inlet_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/fsm.h"
#include "flow/chan.h"
#include "flow/put_waiter.h"
#include "hub/history.h"
#include "hub/match_chunk.h"
#include "hub/producer.h"

static const struct fsm machine = {
    .name = "inlet",
    .states = {[INLET_OPEN] = {"OPEN", BIT(INLET_CLOSED) | BIT(INLET_REMOVED)},
               [INLET_CLOSED] = {"CLOSED", BIT(INLET_OPEN) | BIT(INLET_REMOVED)},
               [INLET_REMOVED] = {"REMOVED", 0}},
};

/* Returns how many routes took at least one event. */
static uint32_t push_chunk(struct inlet *inlet, struct chunk *chunk, struct put_waiter *waiter)
{
    uint32_t matched = inlet->filtered_count > 0 ? match_chunk(inlet, chunk, waiter) : 0;

    for (uint32_t i = 0; i < inlet->route_count; i++) {
        struct route *route = inlet->routes[i];

        if (route->part.answer == FILTER_ALL)
            matched += chan_put(route->chan, route->feed, chunk, 0, chunk->count, waiter) != ERR_CLOSED;
    }
    atomic_store_explicit(&inlet->routed, inlet->last_sequence, memory_order_release);
    return matched;
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
    chunk->first_sequence = inlet->last_sequence + 1;
    chunk->observed_wall_ns = clock_wall_ns();
    chunk->observed_mono_ns = clock_mono_ns();
    inlet->last_sequence += chunk->count;
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
    for (uint32_t i = 0; i < inlet->route_count; i++)
        chan_give_up(inlet->routes[i]->chan, inlet->routes[i]->feed, waiter);
    pthread_mutex_unlock(&inlet->lock);
}

void inlet_unblocked(struct inlet *inlet)
{
    atomic_fetch_sub_explicit(&inlet->blocked, 1, memory_order_relaxed);
}

enum err inlet_init(struct inlet *inlet, struct bytes name, enum inlet_state state)
{
    struct source *source = source_new(name, clock_epoch_ns());

    if (!source)
        return ERR_NO_MEMORY;
    *inlet = (struct inlet){
        .source = source, .state = state, .routes = inlet->first, .route_capacity = ARRAY_LEN(inlet->first)};
    CHECK(pthread_mutex_init(&inlet->lock, NULL) == 0);
    return ERR_OK;
}

void inlet_fini(struct inlet *inlet)
{
    CHECK(inlet->route_count == 0);
    if (inlet->routes != inlet->first)
        free(inlet->routes);
    history_free(inlet->history);
    matcher_free(inlet->matcher);
    source_release(inlet->source);
    pthread_mutex_destroy(&inlet->lock);
}

void inlet_set_state(struct inlet *inlet, enum inlet_state state)
{
    pthread_mutex_lock(&inlet->lock);
    if (fsm_allows(&machine, inlet->state, state))
        fsm_move(&machine, inlet, state);
    pthread_mutex_unlock(&inlet->lock);
}

enum err inlet_reserve(struct inlet *inlet)
{
    uint32_t capacity = MAX_OF(inlet->route_capacity * 2, 4u);
    struct route **routes, **before = inlet->routes;

    if (inlet->route_count < inlet->route_capacity)
        return ERR_OK;
    routes = calloc(capacity, sizeof(struct route *));
    if (!routes)
        return ERR_NO_MEMORY;
    memcpy(routes, before, inlet->route_count * sizeof(struct route *));
    pthread_mutex_lock(&inlet->lock);
    inlet->routes = routes;
    inlet->route_capacity = capacity;
    pthread_mutex_unlock(&inlet->lock);
    if (before != inlet->first)
        free(before);
    return ERR_OK;
}
