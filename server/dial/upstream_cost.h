/* upstream_cost.h - the memory that upstream calls and their connections keep, and who pays for it:
 * the budget, and the peer of the consumer for which a call is opened. The peer whose call makes a
 * connection pays for the connection too, until it is closed.
 *
 * All peers together may keep half of the budget so, and one peer its share of that half
 * (base/peer_charge.h). What no consumer has asked for is charged to the budget alone.
 *
 * Compressed messages of upstreams that wait (upstream_inflate.c) are a kind of their own: all
 * together may keep an eighth of the budget, and those for one peer its share of that.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_DIAL_UPSTREAM_COST_H
#define TRIBUTARY_SERVER_DIAL_UPSTREAM_COST_H

#include "base/peer_charge.h"

struct loop;

struct upstream_costs {
    struct loop *loop; /* for the settings */
    struct peer_charges charges;
    struct peer_charges deflated; /* messages that wait */
};

void upstream_costs_init(struct upstream_costs *costs, struct loop *loop);
void upstream_costs_fini(struct upstream_costs *costs); /* nothing may be charged any more */

/* What one call or connection is charged. Zeroed: nothing. */
struct upstream_cost {
    struct peer_charge of_peer;
    uint64_t bytes; /* of the budget alone */
};

/* `payer`: NO_PEER for what no consumer has asked for. FAULT_NONE, or MEMORY_BUDGET with a bound
 * that names what is in the way; nothing is charged then. */
MUST_CHECK enum fault_reason upstream_cost_add(struct upstream_costs *costs, struct upstream_cost *cost,
                                               struct peer_key payer, uint64_t bytes, struct fault *fault);
/* It keeps so many bytes now, which are not more than before. */
void upstream_cost_reduce(struct upstream_costs *costs, struct upstream_cost *cost, uint64_t bytes);
/* Does nothing where nothing is charged. */
void upstream_cost_give_back(struct upstream_costs *costs, struct upstream_cost *cost);

#endif
