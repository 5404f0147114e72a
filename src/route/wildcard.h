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
 * That a source began, changed or ended is reported to the wildcards in portions (inlet_report.h).
 * So a wildcard may get events of a source before it hears of it.
 *
 * Threads: the control thread. Others may call wildcard_gets() under the set's lock. */
#ifndef TRIBUTARY_ROUTE_WILDCARD_H
#define TRIBUTARY_ROUTE_WILDCARD_H

#include "base/status.h"
#include "flow/source_state.h"
#include "route/wildcard_set.h"

struct route;

/* `reported`: see struct wildcard_set. */
void wildcard_set_init(struct wildcard_set *set, void (*reported)(struct inlet *inlet));
void wildcard_set_fini(struct wildcard_set *set); /* it must have no inlets and no wildcards */

/* Takes the set's lock. Any thread but the control thread. */
void wildcard_set_enter(struct wildcard_set *set);

/* The inlet gets every wildcard of the set. The state of its source is to be reported to them:
 * inlet_reports_step(). */
void wildcard_set_add_inlet(struct wildcard_set *set, struct inlet *inlet);

/* Nothing of the inlet reaches its wildcards any more. Its last state is to be reported to them
 * (shared_end()): inlet_reports_step(). The message must stay valid until that is over. Does
 * nothing where the inlet is in no set. */
void wildcard_set_remove_inlet(struct wildcard_set *set, struct inlet *inlet, const struct source_state *end);

/* From now on the channel gets everything of each inlet for which joins() is true. Their state is
 * reported to it (shared_state()). The caller holds the set's lock.
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
static inline bool wildcard_awaits_end(const struct wildcard *wildcard, const struct inlet_report *report)
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
