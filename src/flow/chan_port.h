/* chan_port.h - what a channel calls: its taker, and the producers behind its pausable feeds. */
#ifndef TRIBUTARY_FLOW_CHAN_PORT_H
#define TRIBUTARY_FLOW_CHAN_PORT_H

#include <stdbool.h>

struct chan_callbacks {
    /* Tells the taker that there is something to get: an entry, a loss, a state or a mark. Any
     * thread, possibly under a lock of the putter's, so it may only note the fact.
     *
     * It is called once after each chan_dequeue() or chan_rearm(), and once at first. Two things
     * are notified again even so, because the taker may be waiting for its peer: shared feeds
     * became blocked, which must be timed; and the channel changed its state. It is never called
     * from within chan_dequeue(). */
    void (*readable)(void *ctx);
    void *ctx;
};

/* Asks the producer behind a pausable feed to pause and to resume. Such a producer cannot wait in a
 * put waiter, because events for other channels come down the same call. */
struct pause_port {
    /* True: a part of what was put is parked; send no more. False: nothing is parked any more.
     *
     * Any thread. Calls alternate, one at a time, with no lock of the channel held. The function
     * may only note the fact; it may not take a lock under which the channel is called. No call
     * begins after chan_close(). feed_silence() and feed_close() wait for a call that is being
     * made, so none runs after they have returned. */
    void (*set_paused)(void *ctx, bool pause);
    void *ctx;
    /* The putter knows by ERR_AGAIN that it must pause. So set_paused() is called with false only:
     * once after each put that returned ERR_AGAIN while nothing was parked, perhaps before that put
     * returns. */
    bool by_result;
    /* The reader of a stored topic: it can read again what the channel has dropped. So where the
     * channel closes, what it still had does not count as dealt with, though it is reported. */
    bool is_stored;
};

#endif
