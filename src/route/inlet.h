/* inlet.h - the making of inlets, and their states.
 *
 * Threads: the control thread, except what says otherwise. */
#ifndef TRIBUTARY_ROUTE_INLET_H
#define TRIBUTARY_ROUTE_INLET_H

#include "base/status.h"
#include "route/data_path.h"

struct history_bounds;

/* Where a source begins. */
struct inlet_start {
    struct bytes name;
    uint64_t epoch;
    uint64_t last_sequence; /* the first event gets the next one; 0 in a new epoch */
    bool unplaced;          /* another server numbers it, and the last sequence is not known */
    enum inlet_state state;
    uint32_t source_state; /* numbers as in enum producer_state; 0: ACTIVE */
};

/* Makes an inlet without routes. ERR_NO_MEMORY: there is nothing to end. */
MUST_CHECK enum err inlet_init(struct inlet *inlet, const struct inlet_start *start);
void inlet_fini(struct inlet *inlet); /* it must have no routes */

/* Sets the state. A removed inlet stays removed; nothing happens to an inlet that has the state. */
void inlet_set_state(struct inlet *inlet, enum inlet_state state);

/* The source has another state, which is copied: what a channel hears that joins. Others hear it by
 * inlet_report_change(). Returns false where it has that state, with that cause. */
bool inlet_set_source_state(struct inlet *inlet, const struct source_state *state);

/* Makes space for one more route, so that route_link() cannot fail. ERR_NO_MEMORY: nothing has
 * changed. */
MUST_CHECK enum err inlet_reserve(struct inlet *inlet);

/* From now on the inlet keeps a history (history.h), within these bounds; NULL: the usual ones.
 * Where it keeps one already, or memory runs out, nothing changes. */
void inlet_keep_history(struct inlet *inlet, const struct history_bounds *bounds);

#endif
