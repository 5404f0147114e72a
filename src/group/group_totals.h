/* group_totals.h - the two identities of a group, which hold at every moment.
 *
 *   a group    assigned = acknowledged + dead-lettered + skipped + trimmed + expired + duplicates
 *                         + in flight + waiting
 *   a member   accepted = delivered + dropped + queued + returned
 *
 * Threads: any; values. */
#ifndef TRIBUTARY_GROUP_GROUP_TOTALS_H
#define TRIBUTARY_GROUP_GROUP_TOTALS_H

#include <stdbool.h>
#include <stdint.h>

#include "group/event_state.h"

/* Events of a source since its last seek. */
struct group_totals {
    uint64_t assigned;
    uint64_t settled[OUTCOMES]; /* by enum event_outcome */
    uint64_t in_flight;         /* at a member, or on their way to the dead letters */
    uint64_t waiting;           /* for a member, or for their next attempt */
};

/* Events of a member since it came. */
struct member_totals {
    uint64_t accepted;  /* were dispatched to it */
    uint64_t delivered; /* of these: were sent */
    uint64_t dropped;   /* were settled by the server, and not sent */
    uint64_t queued;    /* are dispatched, and neither sent nor anything else */
    uint64_t returned;  /* were taken back and not sent */
};

/* Whether the identity holds. */
bool group_totals_hold(const struct group_totals *totals);
bool member_totals_hold(const struct member_totals *totals);

/* Adds the events of one source to those of a group. */
void group_totals_add(struct group_totals *sum, const struct group_totals *totals);

#endif
