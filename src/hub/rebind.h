/* rebind.h - gives a subscription other bindings, in slices: those of its next filter.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_REBIND_H
#define TRIBUTARY_HUB_REBIND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct filter;
struct producer;
struct subscription;

struct rebind_params {
    struct filter *filter; /* the next one */
    uint32_t cost;         /* what it is charged for this filter (filter_charge.h) */
    uint32_t revision;     /* the mark at which the filter changes */
    bool at_once;
};

/* Begins to give a live subscription the next filter, as subscription->rebind, and takes over
 * params->filter. No select may be under way. When it is over selected_due is set, with
 * selected_reason:
 *   FAULT_NONE           the filter has changed
 *   FAULT_MEMORY_BUDGET  nothing has changed, and the filter is freed
 *   FAULT_DRAINING       rebind_stop() came before the change; the filter is freed when the
 *                        subscription is
 * `at_once`: all is done on return, selected_due is not set, and where the filter has not changed
 * it is the caller's again.
 *
 * The subscription may be gone on return, unless `at_once`.
 *   ERR_NO_MEMORY  nothing was begun or taken over */
MUST_CHECK enum err rebind_begin(struct subscription *subscription, const struct rebind_params *params);

/* Frees the spare bindings of a subscription, where it has any. A select may come meanwhile. */
void rebind_clear(struct subscription *subscription);

/* A new producer was bound for the present filter. Binds it for the next one too, where there is
 * one. */
void rebind_producer(struct producer *producer, struct subscription *subscription);

/* No further step is taken; the spare bindings stay, for bindings_detach(). Where a select was
 * under way selected_due is set. Does nothing where there is no rebind. */
void rebind_stop(struct subscription *subscription);

#endif
