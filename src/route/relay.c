/* relay.c - see relay.h. */
#include "route/relay.h"

#include "base/counters.h"
#include "event/filter.h"
#include "flow/chan.h"
#include "flow/chan_limits.h"
#include "flow/feed.h"
#include "flow/shared_feed.h"
#include "route/data_path.h"
#include "route/offer.h"
#include "route/wildcard_set.h"

/* ---- where a source stands ---- */

/* The source goes on behind this sequence, and skips so many events after it. The first time says
 * where it stands, and what was lost before does not count. Under the lock. */
static void skip_to(struct inlet *inlet, struct relay_place *place, uint64_t sequence, uint64_t holes)
{
    if (inlet->unplaced) {
        inlet->placed_at = sequence;
        *place = (struct relay_place){0};
    } else if (sequence > inlet->last_sequence) {
        place->skipped += sequence - inlet->last_sequence;
    }
    place->skipped += holes;
    inlet->unplaced = false;
    inlet->uncounted = inlet->uncounted || place->skipped > place->lost;
}

/* The same, and nothing is published up to it. */
static void move_to(struct inlet *inlet, struct relay_place *place, uint64_t sequence)
{
    skip_to(inlet, place, sequence, 0);
    if (sequence <= inlet->last_sequence)
        return;
    inlet_publishes(inlet);
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
    skip_to(inlet, place, chunk_sequence(chunk, 0) - 1, holes(chunk));
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
        const struct source_loss *known = route->part.answer == FILTER_BY_EVENT ? &unknown : loss;

        if (route->feed)
            feed_lost_upstream(route->chan, route->feed, known);
        else
            shared_lost(route->chan, route->generation, inlet->source, known);
    }
    for (uint32_t i = 0; i < inlet->wildcard_count; i++)
        shared_lost(inlet->wildcards[i].chan, GENERATION_WILDCARD, inlet->source, loss);
}

/* How many events were reported as lost that come after `sequence`. Those up to there that the
 * source has not published were all reported: it has skipped nothing else. */
static uint64_t lost_after(const struct inlet *inlet, const struct relay_place *place, uint64_t sequence)
{
    const uint64_t ahead = place->lost > place->skipped ? place->lost - place->skipped : 0;
    const uint64_t before = sequence > inlet->last_sequence ? sequence - inlet->last_sequence : 0;

    return ahead > before ? ahead - before : 0;
}

/* What was reported as lost ahead of where the source stands is in a resume gap too: it is not
 * reported twice. */
static struct source_loss without_reported(const struct inlet *inlet, const struct relay_place *place,
                                           const struct source_loss *loss)
{
    struct source_loss rest = *loss;

    if (loss->reason == LOSS_RESUME_GAP && loss->first_sequence > 0)
        rest.count -= MIN_OF(loss->count, lost_after(inlet, place, loss->first_sequence - 1));
    return rest;
}

/* Under the lock. */
static void lose(struct inlet *inlet, struct relay_place *place, const struct source_loss *loss, bool moves)
{
    if (loss->count > 0 || loss->count_unknown)
        report(inlet, loss);
    totals_add(&inlet->lost, loss->count, loss->bytes);
    count_add(COUNT_EVENTS_LOST_UPSTREAM, (int64_t)loss->count);
    if (!place)
        return;
    place->lost += loss->count;
    if (moves && loss->last_sequence > 0)
        move_to(inlet, place, loss->last_sequence);
}

bool inlet_lose(struct inlet *inlet, struct relay_place *place, const struct source_loss *loss, bool moves)
{
    pthread_mutex_lock(&inlet->lock);
    const bool is_open = inlet->state == INLET_OPEN;
    if (is_open) {
        const struct source_loss rest = place && moves ? without_reported(inlet, place, loss) : *loss;

        lose(inlet, place, &rest, moves);
    }
    pthread_mutex_unlock(&inlet->lock);
    return is_open;
}
