/* subscription_port.h - what the hub calls on the server's side of a subscription. */
#ifndef TRIBUTARY_HUB_SUBSCRIPTION_PORT_H
#define TRIBUTARY_HUB_SUBSCRIPTION_PORT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/fault.h"

/* Why a subscription ends gently. Numbers as in the API's enum ClosingReason. */
enum closing {
    CLOSING_SERVER_DRAINING = 1,
    CLOSING_FINISHED = 2,
    CLOSING_DISCONNECTED = 3,
    CLOSING_ALL_ENDED = 4,
    CLOSING_CAUGHT_UP = 5
};

/* closing() and abort_call() are called on the loop, at most once, and before the channel drains or
 * closes. So a taker that finds its channel at the end before it was notified will be notified.
 *
 * hub_unsubscribe() may be called from within, and nothing else of the hub. What it leads to is
 * done after the function has returned. */
struct subscription_port {
    /* The producers are bound, so many of them (struct subscription_result). Called where
     * hub_subscribe() said `pending`, before the two others. NULL: hub_subscribe() binds them all
     * at once, however long that takes. */
    void (*bound)(void *ctx, uint32_t producers_matched);

    /* A select is over. Called once for each one that hub_select() has accepted, before left(),
     * and also after hub_unsubscribe(): who waits for it may go on. NONE: the filter has changed,
     * and the mark is set. Else nothing has changed: MEMORY_BUDGET, or DRAINING where an end came
     * first. NULL: hub_select() does everything at once. */
    void (*selected)(void *ctx, enum fault_reason reason);

    /* A gentle end began. Shared producers put nothing more into the channel. What waits may be
     * delivered until `deadline_ns` (clock_mono_ns()), and so may what activations still send until
     * they have ended. Then the channel is closed, and the rest is lost for DRAIN_CUT. A nearer
     * deadline that comes later is not notified. */
    void (*closing)(void *ctx, enum closing reason, int64_t deadline_ns);

    /* A hard end. End the call with this fault, then call hub_unsubscribe(). Where it comes after
     * the deadline of a gentle end, the channel is closed already. */
    void (*abort_call)(void *ctx, const struct fault *fault);

    /* The last call, once, after hub_unsubscribe(), and after selected() where that is due: from
     * within it, or in a later turn where the subscription has many producers or activations. Until
     * then callbacks of the channel may be called. NULL: nobody needs to know. */
    void (*left)(void *ctx);

    /* Loop. Appends the settings in force, as the API's message Settings, for an operator who asks.
     * NULL: there are none to show. The hub does not call it. */
    void (*settings)(void *ctx, struct buf *settings);
};

#endif
