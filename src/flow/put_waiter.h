/* put_waiter.h - a putter's wait for the channels that parked a part of what it offered.
 *
 * One offer goes to many channels. The putter calls put_waiter_begin(), then chan_put() for each
 * channel, then put_waiter_end(). */
#ifndef TRIBUTARY_FLOW_PUT_WAITER_H
#define TRIBUTARY_FLOW_PUT_WAITER_H

#include <stdatomic.h>

#include "base/base.h"
#include "base/status.h"

/* Embedded by the putter. It must live until put_waiter_end() has returned ERR_OK, or until over()
 * was called. */
struct put_waiter {
    /* Parked entries that name this waiter; plus one between begin and end. */
    _Atomic uint32_t waiting;
    struct put_waiter *next; /* the channel's own: it links waiters whose wait is over */
    /* Tells the putter that nothing of its offer is parked any more. Called exactly once after
     * put_waiter_end() returned ERR_AGAIN (or while it returns), on any thread, with no lock of a
     * channel held. The waiter may be freed by it. */
    void (*over)(struct put_waiter *waiter);
};

void put_waiter_begin(struct put_waiter *waiter);

/* Ends the round of puts.
 *   ERR_OK     no channel parked anything; over() will not be called
 *   ERR_AGAIN  over() will be called, or is being called right now */
MUST_CHECK enum err put_waiter_end(struct put_waiter *waiter);

#endif
