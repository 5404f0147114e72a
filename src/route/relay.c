/* relay.c - see relay.h. */
#include "route/relay.h"

#include "base/counters.h"
#include "event/filter.h"
#include "flow/chan.h"
#include "flow/shared_feed.h"
#include "route/data_path.h"
#include "route/offer.h"

/* ---- where a source stands ---- */

/* The source goes on behind this sequence. The first one says where it stands. Under the lock. */
static void skip_to(struct inlet *inlet, struct relay_place *place, uint64_t sequence)
{
    if (inlet->unplaced)
        inlet->placed_at = sequence;
    else if (sequence > inlet->last_sequence)
        place->skipped += sequence - inlet->last_sequence;
    inlet->unplaced = false;
    inlet->uncounted = inlet->uncounted || place->skipped > place->lost;
}

/* The same, and nothing is published up to it. */
static void move_to(struct inlet *inlet, struct relay_place *place, uint64_t sequence)
{
    skip_to(inlet, place, sequence);
    if (sequence <= inlet->last_sequence)
        return;
    inlet->last_sequence = sequence;
    atomic_store_explicit(&inlet->source->routed, sequence, memory_order_release);
}

void inlet_place(struct inlet *inlet, struct relay_place *place, uint64_t sequence)
{
    pthread_mutex_lock(&inlet->lock);
    move_to(inlet, place, sequence);
    pthread_mutex_unlock(&inlet->lock);
}

uint64_t inlet_sequence(struct inlet *inlet)
{
    pthread_mutex_lock(&inlet->lock);
    const uint64_t sequence = inlet->last_sequence;
    pthread_mutex_unlock(&inlet->lock);
    return sequence;
}

/* ---- events ---- */

/* How many events of the chunk were published before. */
static uint32_t repeated(const struct chunk *chunk, uint64_t last_sequence)
{
    uint32_t count = 0;

    while (count < chunk->count && chunk_sequence(chunk, count) <= last_sequence)
        count++;
    return count;
}

/* What the chunk skips in itself. */
static uint64_t holes(const struct chunk *chunk)
{
    return chunk_sequence(chunk, chunk->count - 1) - chunk_sequence(chunk, 0) + 1 - chunk->count;
}

static enum err relay(struct inlet *inlet, struct relay_place *place, struct chunk *chunk,
                      struct put_waiter *waiter)
{
    struct offer unused;

    pthread_mutex_lock(&inlet->lock);
    place->skipped += holes(chunk);
    skip_to(inlet, place, chunk_sequence(chunk, 0) - 1);
    return inlet_offer_locked(inlet, chunk, waiter, &unused);
}

enum err inlet_relay(struct inlet *inlet, struct relay_place *place, struct chunk *chunk,
                     struct put_waiter *waiter)
{
    const uint32_t first = repeated(chunk, inlet->last_sequence); /* nobody else changes that */
    OWNED(chunk_release) struct chunk *rest = NULL;

    count_add(COUNT_EVENTS_REPEATED, first);
    if (first == 0)
        return relay(inlet, place, chunk, waiter);
    if (first == chunk->count)
        return ERR_OK;
    if (chunk_copy(chunk, first, chunk->count, &rest) != ERR_OK)
        return ERR_NO_MEMORY;
    return relay(inlet, place, rest, waiter);
}

/* ---- losses ---- */

/* Nobody knows how many of them a filter would have passed. */
static struct source_loss without_count(const struct source_loss *loss)
{
    struct source_loss unknown = *loss;

    unknown.count = 0;
    unknown.bytes = 0;
    unknown.count_unknown = true;
    return unknown;
}

static void report(struct inlet *inlet, const struct source_loss *loss)
{
    const struct source_loss unknown = without_count(loss);

    for (uint32_t i = 0; i < inlet->route_count; i++) {
        const struct route *route = inlet->routes[i];

        shared_lost(route->chan, route->generation, inlet->source,
                    route->part.answer == FILTER_BY_EVENT ? &unknown : loss);
    }
    for (uint32_t i = 0; i < inlet->wildcard_count; i++)
        shared_lost(inlet->wildcards[i].chan, GENERATION_WILDCARD, inlet->source, loss);
}

bool inlet_lose(struct inlet *inlet, struct relay_place *place, const struct source_loss *loss, bool moves)
{
    pthread_mutex_lock(&inlet->lock);
    const bool is_open = inlet->state == INLET_OPEN;
    if (is_open) {
        report(inlet, loss);
        totals_add(&inlet->lost, loss->count, loss->bytes);
        if (place) {
            place->lost += loss->count;
            if (moves && loss->last_sequence > 0)
                move_to(inlet, place, loss->last_sequence);
        }
    }
    pthread_mutex_unlock(&inlet->lock);
    if (is_open)
        count_add(COUNT_EVENTS_LOST_UPSTREAM, (int64_t)loss->count);
    return is_open;
}
