/* inlet.c - a producer's way in: numbers what it publishes and pushes it to every channel that wants it.
 *
 * Whoever wants everything of a producer gets the whole chunk by reference, without a look at its events: that is the fast path, and it is
 * the reason why outlets without a wish for this producer are not in the route at all. The others are asked event by event, and get maximal
 * runs. */
#include "hub/hub_internal.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/counters.h"

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
    struct event_view views[BLOCK_EVENTS];

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

enum err inlet_offer(struct inlet *inlet, struct chunk *chunk, struct stall *stall, struct offer *offer_out)
{
    uint32_t bytes = chunk_bytes(chunk, 0, chunk->count);
    enum err err;

    CHECK(!chunk->source);
    pthread_mutex_lock(&inlet->lock);
    if (inlet->closed) {
        pthread_mutex_unlock(&inlet->lock);
        return ERR_CLOSED;
    }
    chunk->source = source_retain(inlet->source);
    chunk->first_sequence = inlet->last_sequence + 1;
    chunk->observed_wall_ns = clock_wall_ns();
    chunk->observed_mono_ns = clock_mono_ns();
    inlet->last_sequence += chunk->count;
    inlet->last_event_wall_ns = chunk->observed_wall_ns;
    inlet->published.events += chunk->count;
    inlet->published.bytes += bytes;

    stall_begin(stall);
    *offer_out =
        (struct offer){.epoch = inlet->source->epoch, .first_sequence = chunk->first_sequence, .last_sequence = inlet->last_sequence};
    offer_out->matched = route(inlet, chunk, stall);
    err = stall_end(stall);
    if (err == ERR_AGAIN)
        atomic_fetch_add_explicit(&inlet->blocked, 1, memory_order_relaxed);
    pthread_mutex_unlock(&inlet->lock);

    count_add(COUNT_MESSAGES_IN, 1);
    count_add(COUNT_EVENTS_IN, chunk->count);
    count_add(COUNT_BYTES_IN, bytes);
    return err;
}

void inlet_unblocked(struct inlet *inlet)
{
    atomic_fetch_sub_explicit(&inlet->blocked, 1, memory_order_relaxed);
}

void inlet_close(struct inlet *inlet)
{
    pthread_mutex_lock(&inlet->lock);
    inlet->closed = true;
    pthread_mutex_unlock(&inlet->lock);
}

struct inlet *inlet_new(struct hub *hub, struct bytes name)
{
    struct inlet *inlet = calloc(1, sizeof(*inlet));

    if (!inlet)
        return NULL;
    inlet->source = source_new(name, clock_epoch_ns());
    if (!inlet->source) {
        free(inlet);
        return NULL;
    }
    inlet->hub = hub;
    inlet->name.key = source_name(inlet->source);
    list_init(&inlet->left);
    CHECK(pthread_mutex_init(&inlet->lock, NULL) == 0);
    return inlet;
}

void inlet_free(struct inlet *inlet)
{
    CHECK(inlet->outlet_count == 0 && !heap_holds(&inlet->idle));
    free(inlet->outlets);
    source_release(inlet->source);
    pthread_mutex_destroy(&inlet->lock);
    free(inlet);
}

/* Under the inlet's lock. */
static enum err add(struct inlet *inlet, struct outlet *outlet)
{
    if (inlet->outlet_count == inlet->outlet_room) {
        uint32_t room = MAX_OF(inlet->outlet_room * 2, 4u);
        struct outlet **outlets = reallocarray(inlet->outlets, room, sizeof(struct outlet *));

        if (!outlets)
            return ERR_NO_MEMORY;
        inlet->outlets = outlets;
        inlet->outlet_room = room;
    }
    outlet->place = inlet->outlet_count;
    inlet->outlets[inlet->outlet_count++] = outlet;
    inlet->asking += outlet->part.answer == FILTER_ASK;
    return ERR_OK;
}

enum err outlet_open(struct inlet *inlet, struct subscription *subscription, const struct filter_part *part, const struct resume *resume)
{
    struct outlet *outlet = calloc(1, sizeof(*outlet));
    enum err err;

    if (!outlet)
        return ERR_NO_MEMORY;
    *outlet = (struct outlet){
        .chan = subscription->chan, .filter = subscription->filter, .part = *part, .inlet = inlet, .subscription = subscription};
    outlet->feed = feed_open(outlet->chan, inlet->source, PRODUCER_ACTIVE);
    if (!outlet->feed) {
        free(outlet);
        return ERR_NO_MEMORY;
    }
    pthread_mutex_lock(&inlet->lock);
    err = add(inlet, outlet);
    if (err == ERR_OK) {
        /* Under the same lock as the puts, so that what was missed ends exactly where the first put begins. */
        if (resume)
            resume_joined(resume, outlet, inlet->source, inlet->last_sequence);
        feed_routed(outlet->feed, inlet->last_sequence);
    }
    pthread_mutex_unlock(&inlet->lock);
    if (err != ERR_OK) {
        feed_close(outlet->chan, outlet->feed, PRODUCER_REMOVED);
        free(outlet);
        return err;
    }
    list_append(&subscription->outlets, &outlet->link);
    subscription->outlet_count++;
    count_add(COUNT_LIVE_OUTLETS, 1);
    return ERR_OK;
}

void outlet_detach(struct outlet *outlet)
{
    struct inlet *inlet = outlet->inlet;
    struct outlet *last;

    pthread_mutex_lock(&inlet->lock);
    last = inlet->outlets[--inlet->outlet_count];
    inlet->outlets[outlet->place] = last;
    last->place = outlet->place;
    inlet->asking -= outlet->part.answer == FILTER_ASK;
    pthread_mutex_unlock(&inlet->lock);
    list_remove(&outlet->link);
    outlet->subscription->outlet_count--;
    free(outlet);
    count_add(COUNT_LIVE_OUTLETS, -1);
}

void outlet_remove(struct outlet *outlet)
{
    struct chan *chan = outlet->chan;
    struct feed *feed = outlet->feed;

    outlet_detach(outlet);
    feed_close(chan, feed, PRODUCER_REMOVED);
}
