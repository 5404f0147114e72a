/* wildcard.h - wildcards: the channels that get everything of every shared source.
 *
 * A route is a pair, and costs memory for each. A wildcard wants every event of every inlet of a
 * *wildcard set*, so the set holds one list of wildcards, and each of its inlets points to it. A
 * pair costs nothing until the channel has something to keep for the source
 * (flow/shared_feed.h).
 *
 * An inlet sees a change of the list under its own lock: the control thread makes the new list,
 * passes through the lock of each inlet to hand it over, and takes the old list for the next
 * change. So it is exact for each source which events a wildcard gets.
 *
 * Threads: the control thread. Others may call wildcard_gets() under the set's lock. */
#ifndef TRIBUTARY_ROUTE_WILDCARD_H
#define TRIBUTARY_ROUTE_WILDCARD_H

#include <pthread.h>
#include <stdbool.h>

#include "base/list.h"
#include "base/status.h"
#include "route/data_path.h"

struct route;

/* Embedded by its owner, who holds the channel as long as it is in a set. */
struct wildcard {
    struct chan *chan;
    uint32_t inlet_count; /* whose events it gets */
    uint32_t index;       /* in set->present */
    bool in_set;
};

struct wildcard_set {
    /* The control thread changes the list of inlets, and who gets their events, under `lock`, and
     * may read these without. Other threads read them under `lock`. */
    pthread_mutex_t lock;
    struct list inlets; /* struct inlet, by in_set */

    /* The present list of wildcards, and memory of the same capacity for the next one. */
    struct wildcard_entry *present, *spare;
    uint32_t count, capacity;
};

void wildcard_set_init(struct wildcard_set *set);
void wildcard_set_fini(struct wildcard_set *set); /* it must have no inlets and no wildcards */

/* The inlet gets every wildcard of the set. Its state is reported to them (shared_begin()). */
void wildcard_set_add_inlet(struct wildcard_set *set, struct inlet *inlet);

/* Nothing of the inlet reaches its wildcards any more. Reports its last state to them
 * (shared_end()). Does nothing where the inlet is in no set. */
void wildcard_set_remove_inlet(struct wildcard_set *set, struct inlet *inlet, uint32_t state, uint32_t code,
                               const char *message);

/* From now on the channel gets everything of each inlet for which joins() is true. Their state is
 * reported to it (shared_begin()). The caller holds the set's lock.
 *   ERR_NO_MEMORY  nothing has changed */
MUST_CHECK enum err wildcard_add(struct wildcard_set *set, struct wildcard *wildcard, struct chan *chan,
                                 bool (*joins)(const struct inlet *inlet));

/* wildcard_add() where the wildcard takes over from routes of the channel that want everything, so
 * that the channel misses nothing and gets nothing twice. next_route() gives each of them, then
 * NULL. It is no longer linked afterwards, unless its inlet can have no new wildcard. */
MUST_CHECK enum err wildcard_take_over(struct wildcard_set *set, struct wildcard *wildcard, struct chan *chan,
                                       struct route *(*next_route)(void *ctx), void *ctx);

/* Whether the wildcard gets the events of an inlet of the set. The caller holds the set's lock. */
static inline bool wildcard_gets(const struct wildcard *wildcard, const struct inlet *inlet)
{
    return wildcard->in_set && wildcard->index < inlet->wildcard_count;
}

/* The channel gets nothing more through the set. left() is called for each inlet whose events it
 * got, under the inlet's lock; `keeps`: the channel has a feed that knows its position in the
 * source. The caller holds the set's lock. Does nothing where the wildcard is in no set. */
void wildcard_remove(struct wildcard_set *set, struct wildcard *wildcard,
                     void (*left)(void *ctx, struct inlet *inlet, bool keeps), void *ctx);

/* wildcard_remove() where a route takes over from the wildcard in each inlet, so that the channel
 * misses nothing and gets nothing twice. next_route() gives the linkable route of the inlet. */
void wildcard_replace(struct wildcard_set *set, struct wildcard *wildcard,
                      struct route *(*next_route)(void *ctx, struct inlet *inlet), void *ctx);

#endif
