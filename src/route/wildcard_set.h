/* wildcard_set.h - a wildcard set and its members as the files of this room see them. What they are
 * for is in wildcard.h.
 *
 * Threads: what the structs say. */
#ifndef TRIBUTARY_ROUTE_WILDCARD_SET_H
#define TRIBUTARY_ROUTE_WILDCARD_SET_H

#include <pthread.h>
#include <stdbool.h>

#include "base/list.h"
#include "route/data_path.h"

/* Embedded by its owner, who holds the channel as long as it is in a set. */
struct wildcard {
    struct chan *chan;
    uint32_t own_inlets; /* wildcard_inlets() has more; below zero it wraps */
    uint32_t index;      /* in set->present */
    bool in_set;
    bool abandoned;   /* wildcard_sweep() takes it out; changed under the set's lock */
    struct list link; /* in set->abandoned */
};

struct wildcard_set {
    /* The control thread changes the list of inlets, and who gets their events, under `lock`, and
     * may read these without. Other threads read them under `lock`. */
    pthread_mutex_t lock;
    /* Who is not the control thread holds this one while it takes `lock`. So the control thread
     * waits for one other thread at most. */
    pthread_mutex_t others;
    struct list inlets;                    /* struct inlet, by in_set */
    uint32_t inlet_count;                  /* of `inlets` */
    struct list published;                 /* those of `inlets` whose source has published, under `lock` */
    struct inlet *_Atomic newly_published; /* those that are to be added: any thread */
    /* Control thread only: inlets that count for every wildcard, besides its own ones. So an inlet
     * that comes or goes need not go over all wildcards. */
    uint32_t common_inlets;
    uint64_t removals; /* how many inlets were taken out; control thread only */

    struct list reports; /* struct inlet_report; as `inlets` */
    /* All of what was to be reported of the inlet is reported. Not under the set's lock. */
    void (*reported)(struct inlet *inlet);

    struct list abandoned; /* struct wildcard; control thread only */

    /* The present list of wildcards, and memory of the same capacity for the next one. */
    struct wildcard_entry *present, *spare;
    uint32_t count, capacity;
};

/* How many inlets the wildcard gets the events of. Control thread only. */
static inline uint32_t wildcard_inlets(const struct wildcard_set *set, const struct wildcard *wildcard)
{
    return wildcard->in_set ? wildcard->own_inlets + set->common_inlets : 0;
}

/* The source of an inlet with `silent_in` is about to publish for the first time, or begins behind
 * what another server has published. Any thread, under the inlet's lock, before the first put. */
void wildcard_set_published(struct inlet *inlet);

static inline void inlet_publishes(struct inlet *inlet)
{
    if (inlet->silent_in)
        wildcard_set_published(inlet);
}

/* Adds to set->published what is still to be added. The caller holds the set's lock. Under a
 * channel's lock, all sources of which that channel ever got something are there afterwards. */
void wildcard_set_gather(struct wildcard_set *set);

#endif
