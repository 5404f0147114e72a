/* offer.h - publishing through an inlet.
 *
 * Threads: any. */
#ifndef TRIBUTARY_ROUTE_OFFER_H
#define TRIBUTARY_ROUTE_OFFER_H

#include <stdint.h>

#include "base/base.h"
#include "base/status.h"

struct chunk;
struct inlet;
struct put_waiter;

struct offer {
    uint64_t epoch, first_sequence, last_sequence;
    uint32_t matched; /* channels that wanted at least one of the events */
};

/* Numbers the chunk's events and puts them into every channel that wants them. The chunk must be
 * new: its source and its sequences are set here. A chunk whose first_sequence is above 0 keeps its
 * sequences: they must rise, and be above inlet->last_sequence. The caller keeps its reference.
 * *offer_out is filled in with ERR_OK and ERR_AGAIN.
 *
 *   ERR_OK         every channel accepted it or applied its policy
 *   ERR_AGAIN      the same, but some channels parked a part of it: waiter->over() follows. Offer
 *                  nothing more from this call until then.
 *   ERR_CLOSED     the inlet is closed. Nothing was accepted.
 *   ERR_NOT_FOUND  the inlet was removed. Nothing was accepted, and nothing will be: the caller may
 *                  find its source again, and offer the same chunk there. */
MUST_CHECK enum err inlet_offer(struct inlet *inlet, struct chunk *chunk, struct put_waiter *waiter,
                                struct offer *offer_out);

/* inlet_offer() for a caller that holds the inlet's lock; it is released. With `waiter` NULL nobody
 * waits, and ERR_AGAIN does not come. */
MUST_CHECK enum err inlet_offer_locked(struct inlet *inlet, struct chunk *chunk, struct put_waiter *waiter,
                                       struct offer *offer_out);

/* The caller that offered stops waiting, because of its deadline or because its peer is gone. What
 * the waiter still has parked falls to the fallback of each channel. over() follows, or is being
 * called. */
void inlet_give_up(struct inlet *inlet, const struct put_waiter *waiter);

/* Must follow each ERR_AGAIN, from waiter->over(). */
void inlet_unblocked(struct inlet *inlet);

#endif
