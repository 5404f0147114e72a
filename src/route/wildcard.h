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
 * That a source began or ended is reported to the wildcards in portions. So a wildcard may get
 * events of a source before it hears of it.
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
    struct list inlets;   /* struct inlet, by in_set */
    uint32_t inlet_count; /* of `inlets` */
    uint64_t removals;    /* how many inlets were taken out; control thread only */

    struct list reports; /* struct wildcard_report, in the order of what they report; as `inlets` */
    /* All of what was to be reported of the inlet is reported. Not under the set's lock. */
    void (*reported)(struct inlet *inlet);

    struct list abandoned; /* struct wildcard; control thread only */

    /* The present list of wildcards, and memory of the same capacity for the next one. */
    struct wildcard_entry *present, *spare;
    uint32_t count, capacity;
};

/* `reported`: see struct wildcard_set. */
void wildcard_set_init(struct wildcard_set *set, void (*reported)(struct inlet *inlet));
void wildcard_set_fini(struct wildcard_set *set); /* it must have no inlets and no wildcards */

/* Takes the set's lock. Any thread but the control thread. */
void wildcard_set_enter(struct wildcard_set *set);

/* The inlet gets every wildcard of the set. That its source is ACTIVE is to be reported to them:
 * wildcard_set_report(). */
void wildcard_set_add_inlet(struct wildcard_set *set, struct inlet *inlet);

/* Nothing of the inlet reaches its wildcards any more. Its last state is to be reported to them
 * (shared_end()): wildcard_set_report(). `message` must stay valid until that is over; NULL: none.
 * Does nothing where the inlet is in no set. */
void wildcard_set_remove_inlet(struct wildcard_set *set, struct inlet *inlet, uint32_t state, uint32_t code,
                               const char *message);

/* Makes some of the reports that are due, the oldest first, and calls `reported` for an inlet that
 * has no more. Returns whether more are left. */
bool wildcard_set_report(struct wildcard_set *set);
static inline bool inlet_has_reports(const struct inlet *inlet)
{
    return !list_empty(&inlet->report.link);
}

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

/* Whether the wildcard has still to hear that the source of this report has ended. The caller holds
 * the set's lock. */
static inline bool wildcard_awaits_end(const struct wildcard *wildcard, const struct wildcard_report *report)
{
    return report->ended && wildcard->in_set && !wildcard->abandoned && wildcard->index >= report->next &&
           wildcard->index < report->count;
}

/* Whether the wildcard gets the events of an inlet of the set. The caller holds the set's lock. */
static inline bool wildcard_gets(const struct wildcard *wildcard, const struct inlet *inlet)
{
    return wildcard->in_set && !wildcard->abandoned && wildcard->index < inlet->wildcard_count;
}

/* The channel gets nothing more through the set. left() is called for each inlet whose events it
 * got, under the inlet's lock. It says to the channel what becomes of the source: shared_freeze(),
 * shared_end(), or nothing where a route takes over. `hears`: what is still to be reported to the
 * wildcard is reported now. The caller holds the set's lock. Does nothing where the wildcard is in
 * no set. */
void wildcard_remove(struct wildcard_set *set, struct wildcard *wildcard, bool hears,
                     void (*left)(void *ctx, struct inlet *inlet), void *ctx);

/* The channel is to get nothing more through the set, and nobody needs to know where it stood. It
 * still gets events until wildcard_sweep(). The caller holds the set's lock. Does nothing where the
 * wildcard is in no set, or is abandoned already. */
void wildcard_abandon(struct wildcard_set *set, struct wildcard *wildcard);

/* Takes all abandoned wildcards out of the set and appends them to `gone`, by their link. However
 * many they are, it passes through each inlet's lock once. The caller holds the set's lock. */
void wildcard_sweep(struct wildcard_set *set, struct list *gone);

#endif
