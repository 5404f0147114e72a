/* filter_charge.h - what the filters of all subscriptions, and those of each peer, cost together.
 *
 * A subscription is charged match_entry_cost() of its filter, from the moment when it gets it until
 * its last route is taken out. While a select is under way it has two, and is charged for the one
 * that costs more. The sum bounds what one event costs, beyond its deliveries: each
 * matcher evaluates each filter at most once. Filters that are alike are evaluated together, and
 * are charged one by one nevertheless.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_FILTER_CHARGE_H
#define TRIBUTARY_HUB_FILTER_CHARGE_H

#include "base/fault.h"

struct filter;
struct subscription;

/* Whether the subscription, which has `charge` of its peer, may have this filter in place of the
 * one that it has now. One that costs no more always may. FAULT_NONE, and *cost_out is for
 * filter_charge_set(). Otherwise PEER_FILTER_COST or TOTAL_FILTER_COST, with the cost of the filter
 * as value, and a bound that says how much is used and may be used. */
MUST_CHECK enum fault_reason filter_charge_check(const struct subscription *subscription,
                                                 const struct filter *filter, uint32_t *cost_out,
                                                 struct fault *fault);

/* Charges the subscription `cost` in place of what it was charged; 0: gives it back. */
void filter_charge_set(struct subscription *subscription, uint32_t cost);

#endif
