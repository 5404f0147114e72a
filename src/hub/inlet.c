/* inlet.c - a source's way in: numbers what it publishes and pushes it to every channel that wants
 * it.
 *
 * Whoever wants everything of a producer gets the whole chunk by reference, without a look at its
 * events: that is the fast path, and it is the reason why routes without a wish for this source are
 * not in the route at all. What the others want is picked in pick.c. */
#include "hub/inlet.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"

/* Returns how many routes took at least one event. */
static uint32_t push_chunk(struct inlet *inlet, struct chunk *chunk, struct put_waiter *waiter)
{
    uint32_t matched = inlet->filtered_count > 0 ? pick_events(inlet, chunk, waiter) : 0;

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

void inlet_move(struct inlet *inlet, enum inlet_state state)
{
    pthread_mutex_lock(&inlet->lock);
    if (inlet->state != INLET_REMOVED)
        inlet->state = state;
    pthread_mutex_unlock(&inlet->lock);
}

/* ---- routes ---- */

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

enum err inlet_match_entry(struct inlet *inlet, struct route *route, const struct filter *filter,
                           const struct filter_part *part, struct match_entry **entry_out)
{
    struct match_entry *entry = NULL;
    struct matcher *matcher;

    if (part->answer == FILTER_BY_EVENT && !inlet->matcher) {
        matcher = matcher_new();
        if (!matcher)
            return ERR_NO_MEMORY;
        pthread_mutex_lock(&inlet->lock);
        inlet->matcher = matcher;
        pthread_mutex_unlock(&inlet->lock);
    }
    if (part->answer == FILTER_BY_EVENT && !(entry = match_entry_new(filter, part, route)))
        return ERR_NO_MEMORY;
    *entry_out = entry;
    return ERR_OK;
}

enum err route_init(struct route *route, struct inlet *inlet, struct chan *chan, const struct filter *filter,
                    const struct filter_part *part, const struct pause_port *pause_port)
{
    struct match_entry *entry;
    struct feed *feed;

    if (inlet_match_entry(inlet, route, filter, part, &entry) != ERR_OK)
        return ERR_NO_MEMORY;
    feed = feed_open(chan, inlet->source, PRODUCER_ACTIVE, pause_port);
    if (!feed) {
        match_entry_free(entry);
        return ERR_NO_MEMORY;
    }
    *route = (struct route){
        .chan = chan, .feed = feed, .inlet = inlet, .filter = filter, .part = *part, .entry = entry};
    list_init(&route->link);
    return ERR_OK;
}

void route_fini(struct route *route)
{
    CHECK(!route->placed);
    match_entry_free(route->entry);
    route->entry = NULL;
}

static void start_matching(struct route *route)
{
    if (!route->entry)
        return;
    matcher_add(route->inlet->matcher, route->entry);
    route->inlet->filtered_count++;
}

static void stop_matching(struct route *route)
{
    if (!route->entry)
        return;
    matcher_remove(route->inlet->matcher, route->entry);
    route->inlet->filtered_count--;
}

void route_link(struct route *route)
{
    struct inlet *inlet = route->inlet;

    CHECK(!route->placed && inlet->route_count < inlet->route_capacity);
    route->placed = true;
    route->place = inlet->route_count;
    inlet->routes[inlet->route_count++] = route;
    start_matching(route);
    feed_follow(route->feed, &inlet->routed);
}

void route_unlink(struct route *route)
{
    struct inlet *inlet = route->inlet;
    struct route *last;

    if (!route->placed)
        return;
    route->placed = false;
    last = inlet->routes[--inlet->route_count];
    inlet->routes[route->place] = last;
    last->place = route->place;
    stop_matching(route);
    feed_follow(route->feed, NULL);
}

struct match_entry *route_set_filter(struct route *route, const struct filter *filter,
                                     const struct filter_part *part, struct match_entry *entry)
{
    struct match_entry *before = route->entry;

    if (route->placed)
        stop_matching(route);
    route->filter = filter;
    route->part = *part;
    route->entry = entry;
    if (route->placed)
        start_matching(route);
    return before;
}

/* Whoever offers holds the lock: when this returns, nobody puts through the route any more. */
void route_leave(struct route *route)
{
    pthread_mutex_lock(&route->inlet->lock);
    route_unlink(route);
    pthread_mutex_unlock(&route->inlet->lock);
}
