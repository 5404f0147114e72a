/* route.c - a source's way in: numbers what it publishes and pushes it to every channel that wants it.
 *
 * Whoever wants everything of a producer gets the whole chunk by reference, without a look at its events: that is the fast path, and it is
 * the reason why outlets without a wish for this source are not in the route at all. The others are asked event by event, and get maximal
 * runs. */
#include "hub/inlet.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "hub/hub_internal.h"

/* Events are read for the filters in blocks of so many, once for all outlets that ask. */
#define BLOCK_EVENTS 64u

/* A run smaller than this is copied where its chunk pins more than so many times its bytes. */
#define COPY_BYTES_MOST 1024u
#define COPY_PINNED_TIMES 4u

static void put(struct outlet *outlet, struct chunk *chunk, uint32_t first, uint32_t last, struct stall *stall)
{
    if (chan_put(outlet->chan, outlet->feed, chunk, first, last, stall) != ERR_CLOSED)
        outlet->took = true;
}

/* Puts the open run, which then is empty. */
static void put_run(struct outlet *outlet, struct chunk *chunk, struct stall *stall)
{
    OWNED(chunk_release) struct chunk *copy = NULL;
    uint32_t first = outlet->run_first, last = outlet->run_after;
    uint32_t bytes;

    if (first == last)
        return;
    outlet->run_first = last;
    bytes = chunk_bytes(chunk, first, last);
    /* Without memory for a copy, the reference does as well: it only pins more. */
    if (bytes < COPY_BYTES_MOST && chunk->pinned > (uint64_t)bytes * COPY_PINNED_TIMES && chunk_copy(chunk, first, last, &copy) == ERR_OK)
        put(outlet, copy, 0, last - first, stall);
    else
        put(outlet, chunk, first, last, stall);
}

/* Lets the open run grow by each event that matches, and puts it at each one that does not follow it. */
static void ask(struct outlet *outlet, struct chunk *chunk, const struct event_view *views, uint32_t first, uint32_t count,
                struct stall *stall)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!filter_event(outlet->filter, &outlet->part, &views[i]))
            continue;
        if (outlet->run_after != first + i) {
            put_run(outlet, chunk, stall);
            outlet->run_first = first + i;
        }
        outlet->run_after = first + i + 1;
    }
}

static void route_asking(struct inlet *inlet, struct chunk *chunk, struct stall *stall)
{
    SCRATCH struct event_view views[BLOCK_EVENTS];

    for (uint32_t i = 0; i < inlet->outlet_count; i++) {
        inlet->outlets[i]->run_first = 0;
        inlet->outlets[i]->run_after = 0;
    }
    for (uint32_t first = 0; first < chunk->count; first += BLOCK_EVENTS) {
        uint32_t count = MIN_OF(chunk->count - first, BLOCK_EVENTS);

        for (uint32_t i = 0; i < count; i++)
            event_view(chunk_range(chunk, first + i, first + i + 1), &views[i]);
        for (uint32_t i = 0; i < inlet->outlet_count; i++)
            if (inlet->outlets[i]->part.answer == FILTER_ASK)
                ask(inlet->outlets[i], chunk, views, first, count, stall);
    }
    for (uint32_t i = 0; i < inlet->outlet_count; i++)
        put_run(inlet->outlets[i], chunk, stall);
}

/* Returns how many outlets took at least one event. */
static uint32_t route(struct inlet *inlet, struct chunk *chunk, struct stall *stall)
{
    uint32_t matched = 0;

    for (uint32_t i = 0; i < inlet->outlet_count; i++) {
        struct outlet *outlet = inlet->outlets[i];

        outlet->took = false;
        if (outlet->part.answer == FILTER_ALL)
            put(outlet, chunk, 0, chunk->count, stall);
    }
    if (inlet->asking > 0)
        route_asking(inlet, chunk, stall);
    for (uint32_t i = 0; i < inlet->outlet_count; i++) {
        feed_routed(inlet->outlets[i]->feed, inlet->last_sequence);
        matched += inlet->outlets[i]->took;
    }
    return matched;
}

enum err inlet_offer_locked(struct inlet *inlet, struct chunk *chunk, struct stall *stall, struct offer *offer_out)
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

    if (stall)
        stall_begin(stall);
    *offer_out =
        (struct offer){.epoch = inlet->source->epoch, .first_sequence = chunk->first_sequence, .last_sequence = inlet->last_sequence};
    offer_out->matched = route(inlet, chunk, stall);
    if (stall)
        err = stall_end(stall);
    if (err == ERR_AGAIN)
        atomic_fetch_add_explicit(&inlet->blocked, 1, memory_order_relaxed);
    pthread_mutex_unlock(&inlet->lock);

    count_add(COUNT_CHUNKS_IN, 1);
    count_add(COUNT_EVENTS_IN, chunk->count);
    count_add(COUNT_BYTES_IN, bytes);
    return err;
}

enum err inlet_offer(struct inlet *inlet, struct chunk *chunk, struct stall *stall, struct offer *offer_out)
{
    pthread_mutex_lock(&inlet->lock);
    return inlet_offer_locked(inlet, chunk, stall, offer_out);
}

void inlet_give_up(struct inlet *inlet, const struct stall *stall)
{
    pthread_mutex_lock(&inlet->lock);
    for (uint32_t i = 0; i < inlet->outlet_count; i++)
        chan_give_up(inlet->outlets[i]->chan, inlet->outlets[i]->feed, stall);
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
    *inlet = (struct inlet){.source = source, .state = state, .outlets = inlet->first, .outlet_room = ARRAY_LEN(inlet->first)};
    CHECK(pthread_mutex_init(&inlet->lock, NULL) == 0);
    return ERR_OK;
}

void inlet_fini(struct inlet *inlet)
{
    CHECK(inlet->outlet_count == 0);
    if (inlet->outlets != inlet->first)
        free(inlet->outlets);
    history_free(inlet->history);
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

/* ---- outlets ---- */

enum err inlet_reserve(struct inlet *inlet)
{
    uint32_t room = MAX_OF(inlet->outlet_room * 2, 4u);
    struct outlet **outlets, **before = inlet->outlets;

    if (inlet->outlet_count < inlet->outlet_room)
        return ERR_OK;
    outlets = calloc(room, sizeof(struct outlet *));
    if (!outlets)
        return ERR_NO_MEMORY;
    memcpy(outlets, before, inlet->outlet_count * sizeof(struct outlet *));
    pthread_mutex_lock(&inlet->lock);
    inlet->outlets = outlets;
    inlet->outlet_room = room;
    pthread_mutex_unlock(&inlet->lock);
    if (before != inlet->first)
        free(before);
    return ERR_OK;
}

enum err outlet_init(struct outlet *outlet, struct inlet *inlet, struct subscription *subscription, const struct filter_part *part,
                     const struct feed_pace *pace)
{
    struct feed *feed = feed_open(subscription->chan, inlet->source, PRODUCER_ACTIVE, pace);

    if (!feed)
        return ERR_NO_MEMORY;
    *outlet = (struct outlet){.chan = subscription->chan,
                              .feed = feed,
                              .inlet = inlet,
                              .filter = subscription->filter,
                              .part = *part,
                              .subscription = subscription};
    list_init(&outlet->link);
    return ERR_OK;
}

void outlet_place(struct outlet *outlet)
{
    struct inlet *inlet = outlet->inlet;

    CHECK(!outlet->placed && inlet->outlet_count < inlet->outlet_room);
    outlet->placed = true;
    outlet->place = inlet->outlet_count;
    inlet->outlets[inlet->outlet_count++] = outlet;
    inlet->asking += outlet->part.answer == FILTER_ASK;
    feed_routed(outlet->feed, inlet->last_sequence);
}

void outlet_take_out(struct outlet *outlet)
{
    struct inlet *inlet = outlet->inlet;
    struct outlet *last;

    if (!outlet->placed)
        return;
    outlet->placed = false;
    last = inlet->outlets[--inlet->outlet_count];
    inlet->outlets[outlet->place] = last;
    last->place = outlet->place;
    inlet->asking -= outlet->part.answer == FILTER_ASK;
}

void outlet_ask(struct outlet *outlet, const struct filter *filter, const struct filter_part *part)
{
    if (outlet->placed) {
        outlet->inlet->asking -= outlet->part.answer == FILTER_ASK;
        outlet->inlet->asking += part->answer == FILTER_ASK;
    }
    outlet->filter = filter;
    outlet->part = *part;
}

void outlet_enter(struct outlet *outlet, const struct since *since)
{
    struct inlet *inlet = outlet->inlet;

    /* Under the same lock as the puts, so that what was missed ends exactly where the first put begins. */
    pthread_mutex_lock(&inlet->lock);
    if (since && since->resume)
        resume_joined(since->resume, outlet, inlet->source, inlet->last_sequence);
    if (since && inlet->history)
        history_put(inlet->history, outlet, since->last);
    outlet_place(outlet);
    pthread_mutex_unlock(&inlet->lock);
}

/* Whoever offers holds the lock: when this returns, nobody puts through the outlet any more. */
void outlet_leave(struct outlet *outlet)
{
    pthread_mutex_lock(&outlet->inlet->lock);
    outlet_take_out(outlet);
    pthread_mutex_unlock(&outlet->inlet->lock);
}
