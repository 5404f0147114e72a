/* numbered_inlet.h - an inlet that a session offers to by a number: that of an activation, or of a
 * shared call.
 *
 * Threads: see struct session. */
#ifndef TRIBUTARY_HUB_NUMBERED_INLET_H
#define TRIBUTARY_HUB_NUMBERED_INLET_H

#include "route/data_path.h"

struct numbered_inlet {
    struct numbered_inlet *next; /* in its slot of the session's table, under the session's lock */
    uint64_t number;             /* 0: not started; the loop sets it while it is in no table */
    bool in_table;               /* offers find it; loop only */
    struct inlet inlet;
};

#endif
