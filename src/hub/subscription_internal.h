/* subscription_internal.h - subscriptions as the files of this room see them.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_SUBSCRIPTION_INTERNAL_H
#define TRIBUTARY_HUB_SUBSCRIPTION_INTERNAL_H

#include "base/ctx.h"
#include "flow/chan_limits.h"
#include "hub/hub_internal.h"
#include "hub/subscription_port.h"

struct subscription {
    struct hub *hub;
    struct ctx ctx;
    struct list link;   /* in hub->subscriptions */
    struct map_node id; /* in hub->ids */
    struct filter *filter;
    struct chan *chan;
    struct chan_limits limits;
    const struct subscription_port *port;
    void *port_ctx;
    struct list bindings; /* to shared producers */
    uint32_t binding_count;
    struct list activations;
    uint32_t activation_count;
    uint32_t expired_activations; /* they did not stop in time */
    bool ends_with_activations;
    bool begun;    /* an activation was there under the present filter */
    uint32_t held; /* above 0: subscription_update() does nothing; the holder calls it later */
    uint32_t revision;
    struct timer deadline;
    bool draining;             /* the port was notified */
    enum closing closing;      /* why it ends gently; 0: it does not, so far */
    const struct fault *fault; /* what a hard end says that comes now; NULL: its reason alone */
    int64_t started_wall_ns;
    char id_text[32];
    const char *peer; /* in `texts`, like the following */
    struct bytes request, name;
    uint8_t texts[];
};

/* NULL: *fault says SUBSCRIPTION_NOT_FOUND. */
struct subscription *subscription_find(struct hub *hub, struct bytes id, struct fault *fault);

/* An activation has ended. If it was the last one, the channel's drain or the subscription's end
 * may have waited for it. The subscription may be gone afterwards. */
void subscription_update(struct subscription *subscription);

#endif
