/* subscription_internal.h - subscriptions as the files of this room see them.
 *
 * A subscription lives until hub_unsubscribe() and until its last activation has ended. The ready
 * list may hold it a while longer.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_SUBSCRIPTION_INTERNAL_H
#define TRIBUTARY_HUB_SUBSCRIPTION_INTERNAL_H

#include "base/ctx.h"
#include "base/map.h"
#include "event/filter.h"
#include "flow/chan_limits.h"
#include "hub/ready.h"
#include "hub/subscription_port.h"
#include "loop/loop.h"

struct hub;
struct peer_count;

struct subscription {
    struct hub *hub;
    struct ready ready;
    uint32_t refs;
    struct ctx ctx;
    struct list link;   /* in hub->subscriptions */
    struct map_node id; /* in hub->ids */
    struct filter *filter;
    struct chan *chan;
    struct chan_limits limits;
    const struct subscription_port *port;
    void *port_ctx;
    struct peer_count *charge; /* of its peer */
    struct list bindings;      /* to shared producers */
    uint32_t binding_count;
    struct list activations;
    uint32_t activation_count;
    uint32_t expired_activations; /* they did not stop in time */
    bool ends_with_activations;
    bool begun; /* an activation was there under the present filter */
    uint32_t revision;
    struct timer deadline;
    bool closing_called, abort_called;
    bool late;                     /* the deadline of the gentle end has passed */
    bool unsubscribed;             /* the port is not called any more */
    bool left;                     /* unsubscribed, and the hub does not know it any more */
    enum fault_reason left_reason; /* as hub_unsubscribe() was told */
    enum closing closing;          /* why it ends gently; 0: it does not, so far */
    struct fault *fault;           /* what a hard end says; NULL: its reason alone */
    int64_t started_wall_ns;
    char id_text[32];
    const char *peer; /* in `texts`, like the following */
    struct bytes request, name;
    uint8_t texts[];
};

/* NULL: *fault says SUBSCRIPTION_NOT_FOUND. */
struct subscription *subscription_find(struct hub *hub, struct bytes id, struct fault *fault);

#endif
