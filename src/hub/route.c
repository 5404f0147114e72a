/* route.c - a source's way in: numbers what it publishes and pushes it to every channel that wants it.
 *
 * Whoever wants everything of a producer gets the whole chunk by reference, without a look at its events: that is the fast path, and it is
 * the reason why outlets without a wish for this source are not in the route at all. What the others want is picked in pick.c. */
#include "hub/inlet.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "hub/hub_internal.h"

/* Returns how many outlets took at least one event. */
static uint32_t route(struct inlet *inlet, struct chunk *chunk, struct stall *stall)
{
    uint32_t matched = inlet->asking > 0 ? pick_events(inlet, chunk, stall) : 0;

    for (uint32_t i = 0; i < inlet->outlet_count; i++) {
        struct outlet *outlet = inlet->outlets[i];

        if (outlet->part.answer == FILTER_ALL)
            matched += chan_put(outlet->chan, outlet->feed, chunk, 0, chunk->count, stall) != ERR_CLOSED;
    }
    atomic_store_explicit(&inlet->routed, inlet->last_sequence, memory_order_release);
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
    sieve_free(inlet->sieve);
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

enum err inlet_seat(struct inlet *inlet, struct outlet *outlet, const struct filter *filter, const struct filter_part *part,
                    struct sieve_seat **seat_out)
{
    struct sieve_seat *seat = NULL;
    struct sieve *sieve;

    if (part->answer == FILTER_ASK && !inlet->sieve) {
        sieve = sieve_new();
        if (!sieve)
            return ERR_NO_MEMORY;
        pthread_mutex_lock(&inlet->lock);
        inlet->sieve = sieve;
        pthread_mutex_unlock(&inlet->lock);
    }
    if (part->answer == FILTER_ASK && !(seat = sieve_seat_new(filter, part, outlet)))
        return ERR_NO_MEMORY;
    *seat_out = seat;
    return ERR_OK;
}

enum err outlet_init(struct outlet *outlet, struct inlet *inlet, struct subscription *subscription, const struct filter_part *part,
                     const struct feed_pace *pace)
{
    struct sieve_seat *seat;
    struct feed *feed;

    if (inlet_seat(inlet, outlet, subscription->filter, part, &seat) != ERR_OK)
        return ERR_NO_MEMORY;
    feed = feed_open(subscription->chan, inlet->source, PRODUCER_ACTIVE, pace);
    if (!feed) {
        sieve_seat_free(seat);
        return ERR_NO_MEMORY;
    }
    *outlet = (struct outlet){.chan = subscription->chan,
                              .feed = feed,
                              .inlet = inlet,
                              .filter = subscription->filter,
                              .part = *part,
                              .seat = seat,
                              .subscription = subscription};
    list_init(&outlet->link);
    return ERR_OK;
}

void outlet_fini(struct outlet *outlet)
{
    CHECK(!outlet->placed);
    sieve_seat_free(outlet->seat);
    outlet->seat = NULL;
}

static void sit(struct outlet *outlet)
{
    if (!outlet->seat)
        return;
    sieve_sit(outlet->inlet->sieve, outlet->seat);
    outlet->inlet->asking++;
}

static void rise(struct outlet *outlet)
{
    if (!outlet->seat)
        return;
    sieve_rise(outlet->inlet->sieve, outlet->seat);
    outlet->inlet->asking--;
}

void outlet_place(struct outlet *outlet)
{
    struct inlet *inlet = outlet->inlet;

    CHECK(!outlet->placed && inlet->outlet_count < inlet->outlet_room);
    outlet->placed = true;
    outlet->place = inlet->outlet_count;
    inlet->outlets[inlet->outlet_count++] = outlet;
    sit(outlet);
    feed_follow(outlet->feed, &inlet->routed);
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
    rise(outlet);
    feed_follow(outlet->feed, NULL);
}

struct sieve_seat *outlet_ask(struct outlet *outlet, const struct filter *filter, const struct filter_part *part, struct sieve_seat *seat)
{
    struct sieve_seat *before = outlet->seat;

    if (outlet->placed)
        rise(outlet);
    outlet->filter = filter;
    outlet->part = *part;
    outlet->seat = seat;
    if (outlet->placed)
        sit(outlet);
    return before;
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
