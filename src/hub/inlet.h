/* inlet.h - the data path of one source inside this room: numbers what comes in and walks the outlets.
 *
 *   producer or activation ──▶ inlet ──outlets──▶ outlet ──feed──▶ channel
 *
 * An outlet is one (source, subscription) pair: the route that the inlet walks, and the loop's handle to take it out again. A shared
 * producer has one inlet with an outlet per subscription; an activation has an inlet of its own with one outlet.
 *
 * Only the loop adds and removes outlets, under the inlet's lock; so the loop may read the route without it. Only the loop ever holds more
 * than one inlet's lock (select.c), in the order of their addresses. */
#ifndef TRIBUTARY_HUB_INLET_H
#define TRIBUTARY_HUB_INLET_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "event/sieve.h"
#include "hub/hub.h"

struct history;
struct outlet;
struct producer;
struct resume;

enum inlet_state {
    INLET_OPEN,
    INLET_CLOSED, /* takes nothing: the hub drains, or a session waits for its name */
    INLET_REMOVED /* takes nothing and never will: whoever publishes must find its producer again */
};

struct inlet {
    struct source *source; /* constant */

    /* Any thread, under `lock`. */
    pthread_mutex_t lock;
    enum inlet_state state;
    uint32_t outlet_count, outlet_room;
    uint32_t asking;         /* outlets that do not want every event, */
    struct sieve *sieve;     /* and where they sit; NULL until there is one */
    struct outlet **outlets; /* `first` until more than one is there */
    struct outlet *first[1];
    uint64_t last_sequence;
    _Atomic uint64_t routed; /* up to here everything was put; channels read it */
    struct tally published;
    int64_t last_event_wall_ns;
    struct history *history; /* NULL: none is kept */

    /* Any thread. Below zero for a moment where a stall is over before its offer has returned. */
    _Atomic int32_t blocked;
};

struct outlet {
    /* Constant. */
    struct chan *chan; /* the subscription's reference: it takes its outlets out before it lets go */
    struct feed *feed;
    struct inlet *inlet;

    /* Under the inlet's lock. */
    const struct filter *filter;
    struct filter_part part;
    struct sieve_seat *seat; /* where it asks; NULL: it wants everything */
    bool placed;             /* it is in the route */
    uint32_t place;          /* in inlet->outlets */
    uint64_t took;           /* the first sequence of the last chunk of which it took something */
    /* While a chunk is routed: what was picked for it, see pick.c. */
    struct outlet *next_picked;
    uint32_t first_run, last_run;
    bool picked;

    /* Loop only; of shared producers. */
    struct producer *producer;
    struct subscription *subscription;
    struct list link; /* in subscription->outlets */
};

/* A source of this name in a new epoch, without outlets. ERR_NO_MEMORY: nothing is there to be ended. */
MUST_CHECK enum err inlet_init(struct inlet *inlet, struct bytes name, enum inlet_state state);
void inlet_fini(struct inlet *inlet); /* without outlets */
void inlet_move(struct inlet *inlet, enum inlet_state state);

/* inlet_offer() with the inlet's lock held, which is released. `stall` NULL: nobody waits, and ERR_AGAIN does not come. */
MUST_CHECK enum err inlet_offer_locked(struct inlet *inlet, struct chunk *chunk, struct stall *stall, struct offer *offer_out);

/* Makes the outlet and opens its feed; it is not in the route yet. `pace` as in feed_open().
 *   ERR_NO_MEMORY  nothing was opened */
MUST_CHECK enum err outlet_init(struct outlet *outlet, struct inlet *inlet, struct subscription *subscription,
                                const struct filter_part *part, const struct feed_pace *pace);

void outlet_fini(struct outlet *outlet); /* out of the route; the feed stays */

/* What an outlet needs to be asked, which outlet_init() makes for its first filter: *seat_out, NULL where `part` leaves nothing to ask.
 *   ERR_NO_MEMORY  nothing was made */
MUST_CHECK enum err inlet_seat(struct inlet *inlet, struct outlet *outlet, const struct filter *filter, const struct filter_part *part,
                               struct sieve_seat **seat_out);

/* What a subscription wants of the time before it joined. */
struct since {
    const struct resume *resume; /* NULL: nothing */
    uint32_t last;               /* so many matching events of the history */
};

/* Room for one more outlet, so that outlet_place() cannot fail. ERR_NO_MEMORY: nothing changed. */
MUST_CHECK enum err inlet_reserve(struct inlet *inlet);
void outlet_enter(struct outlet *outlet, const struct since *since); /* into the route; after inlet_reserve() */
void outlet_leave(struct outlet *outlet);                            /* out of the route, if it is there; the feed stays */

/* The same under the inlet's lock, for who changes several inlets at one moment. */
void outlet_place(struct outlet *outlet);
void outlet_take_out(struct outlet *outlet);
/* Another filter from now on, with a seat of inlet_seat(). Returns the seat it had, to be freed. */
struct sieve_seat *outlet_ask(struct outlet *outlet, const struct filter *filter, const struct filter_part *part, struct sieve_seat *seat);

/* ---- pick.c: what the filters want of a chunk ---- */

/* Puts to each outlet that asks what it wants of the chunk. Returns how many of them took something. Under the inlet's lock. */
uint32_t pick_events(struct inlet *inlet, struct chunk *chunk, struct stall *stall);

/* ---- history.c: the latest chunks of a shared source, for `start.last` ---- */

struct history *history_new(void); /* NULL: out of memory */
void history_free(struct history *history);
void history_add(struct history *history, struct chunk *chunk); /* under the inlet's lock, as the next one */
/* Puts the last `most` events that the outlet wants. Under the inlet's lock. */
void history_put(const struct history *history, struct outlet *outlet, uint32_t most);

#endif
