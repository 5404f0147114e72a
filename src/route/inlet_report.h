/* inlet_report.h - what the channels of an inlet hear of its source: that it began, that its state
 * has changed, that it ended. It is reported in portions, because they may be many.
 *
 * A channel hears each state that is the latest one when it is its turn, so it may miss earlier
 * ones, and it hears the last one of all. Who joins hears the present one at once. After the end
 * nothing is reported. A channel whose filter changes meanwhile may hear a state twice.
 *
 * Threads: the control thread. */
#ifndef TRIBUTARY_ROUTE_INLET_REPORT_H
#define TRIBUTARY_ROUTE_INLET_REPORT_H

#include <stdbool.h>

#include "flow/source_state.h"
#include "route/wildcard_set.h"

/* The wildcards of an inlet, which has just come into the set, are to hear the state of its source.
 * The caller holds the set's lock, here and with inlet_report_end(). */
void inlet_report_begin(struct wildcard_set *set, struct inlet *inlet);

/* The source has another state, which is copied. All channels are to hear it, those of wildcards
 * and those of routes: inlet_reports_step(). Does nothing where the source has that state, with
 * that cause. Where the inlet is in no set, only who joins hears it. */
void inlet_report_change(struct wildcard_set *set, struct inlet *inlet, const struct source_state *state);

/* `count` wildcards, which get no more of the inlet, are to hear that its source ended. That takes
 * the place of what was not reported yet, to routes too. */
void inlet_report_end(struct wildcard_set *set, struct inlet *inlet, uint32_t count,
                      const struct source_state *end);

/* Makes some of the reports that are due, and calls set->reported() for an inlet that has no more.
 * Returns whether more are left. */
bool inlet_reports_step(struct wildcard_set *set);

static inline bool inlet_has_reports(const struct inlet *inlet)
{
    return !list_empty(&inlet->report.link);
}

/* A wildcard is about to leave the list of the set. `hears`: what is still to be reported to it is
 * reported now. The caller holds the set's lock. */
void inlet_reports_leave(struct wildcard_set *set, const struct wildcard *wildcard, bool hears);

#endif
