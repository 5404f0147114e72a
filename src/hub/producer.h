/* producer.h - producers as callers see them: finding one, publishing to it, removing it.
 *
 * A call finds or opens the inlet of a producer, offers chunks to it, and leaves it at its end. */
#ifndef TRIBUTARY_HUB_PRODUCER_H
#define TRIBUTARY_HUB_PRODUCER_H

#include <stdint.h>

#include "base/base.h"
#include "base/fault.h"
#include "base/status.h"

struct chunk;
struct hub;
struct inlet;
struct producer_view;
struct put_waiter;

/* Numbers as in the API's enum ProducerState. */
enum producer_state {
    PRODUCER_IDLE = 1,
    PRODUCER_ACTIVE = 3,
    PRODUCER_BLOCKED = 4,
    PRODUCER_DRAINING = 6,
    PRODUCER_ENDED = 7,
    PRODUCER_REMOVED = 8
};

/* Any thread. Returns the inlet of the transient producer of this name and counts a call on it:
 * inlet_leave() must follow. NULL: there is none; call hub_inlet_open() on the loop. */
struct inlet *hub_inlet_find(struct hub *hub, struct bytes name, const char *peer);

/* Loop. Finds the transient producer, or makes it, and counts a call on it. `name` must have passed
 * name_check(). `peer` is copied and may be NULL.
 *
 * FAULT_NONE: inlet_leave() must follow. NAME_TAKEN (a session has the name), TOO_MANY_PRODUCERS,
 * MEMORY_BUDGET, DRAINING: nothing was made, and *inlet_out is untouched. */
MUST_CHECK enum fault_reason hub_inlet_open(struct hub *hub, struct bytes name, const char *peer,
                                            struct inlet **inlet_out, struct fault *fault);

/* Any thread. The call that found or opened the inlet has ended. */
void inlet_leave(struct inlet *inlet);

struct offer {
    uint64_t epoch, first_sequence, last_sequence;
    uint32_t matched; /* subscriptions that wanted at least one of the events */
};

/* Any thread. Numbers the chunk's events and puts them into every channel that wants them. The
 * chunk must be new: its source and its sequences are set here. The caller keeps its reference.
 * *offer_out is filled in with ERR_OK and ERR_AGAIN.
 *
 *   ERR_OK         every channel accepted it or applied its policy
 *   ERR_AGAIN      the same, but some channels parked a part of it: waiter->over() follows. Offer
 *                  nothing more from this call until then.
 *   ERR_CLOSED     the hub is draining. Nothing was accepted.
 *   ERR_NOT_FOUND  the producer was removed, or a session has its name now. Nothing was accepted.
 *                  Leave this inlet, find or open it again, and offer the same chunk: the producer
 *                  comes back in a new epoch, or is refused with NAME_TAKEN. */
MUST_CHECK enum err inlet_offer(struct inlet *inlet, struct chunk *chunk, struct put_waiter *waiter,
                                struct offer *offer_out);

/* Any thread. The caller that offered stops waiting, because of its deadline or because its peer is
 * gone. What the waiter still has parked falls to the fallback of each channel. over() follows, or
 * is being called. */
void inlet_give_up(struct inlet *inlet, const struct put_waiter *waiter);

/* Any thread. Must follow each ERR_AGAIN, from waiter->over(). */
void inlet_unblocked(struct inlet *inlet);

/* Loop. Removes a producer of any kind. Its name is free at once, and a session that waits for the
 * name is removed too. A session ends within `drain_ns`, then it is aborted (0: at once). A
 * transient producer goes at once, and comes back with its next batch.
 *
 * FAULT_NONE: `each` was called with what the producer was. PRODUCER_NOT_FOUND: nothing has
 * changed. */
MUST_CHECK enum fault_reason hub_remove(struct hub *hub, struct bytes name, int64_t drain_ns,
                                        void (*each)(void *ctx, const struct producer_view *view), void *ctx,
                                        struct fault *fault);

#endif
