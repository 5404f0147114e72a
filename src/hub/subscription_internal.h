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
#include "base/shared_bytes.h"
#include "base/sorted.h"
#include "event/filter.h"
#include "flow/chan_limits.h"
#include "hub/hub_parts.h"
#include "hub/left_positions.h"
#include "hub/ready.h"
#include "hub/subscription_port.h"
#include "loop/loop.h"
#include "route/wildcard.h"

struct bind_walk;
struct called;
struct rebind;
struct drained_positions;
struct hub;
struct peer_count;

struct subscription {
    struct hub *hub;
    struct ready ready;
    uint32_t refs;
    struct ctx ctx;
    struct sorted_node by_id; /* in hub->subscriptions */
    struct map_node id;       /* in hub->ids */
    struct filter *filter;
    struct chan *chan;
    struct chan_limits limits;
    const struct subscription_port *port;
    void *port_ctx;
    struct peer_count *charge; /* of its peer */
    uint64_t kept_bytes;       /* that its peer is charged with (kept_memory.h) */
    uint64_t route_bytes;      /* of these */
    uint32_t filter_cost;      /* what it is charged for its filter (filter_charge.h) */
    struct bind_walk *walk;    /* binds it to the producers that are there; NULL: it is over */
    /* What it wants of the time before, while the walk goes on; else NULL. */
    const struct start_point *start_point;
    uint64_t bound_until; /* its walk binds the producers up to this number (producer->bound) */
    bool binds_later;     /* the walk binds the producers that are added now */
    bool bound_due;       /* it was over after hub_subscribe(), and bound() is to be called */
    bool selected_due;    /* selected() is to be called, with this reason */
    enum fault_reason selected_reason;
    /* To shared producers. The loop changes these under the lock of the hub's wildcard set. */
    struct wildcard wildcard;   /* it wants everything, unless a select has changed that */
    struct list bindings;       /* of one that is no wildcard */
    struct list spare_bindings; /* which do not put: of the next filter, or of the one before */
    uint32_t spare_count;
    uint32_t generation;     /* of the routes of `bindings` */
    struct rebind *rebind;   /* NULL: neither its filter nor its kind of bindings changes */
    const struct list *seen; /* in `bindings`: the last that the rebind has seen; NULL: none */
    uint64_t left_set;       /* removals of the wildcard set when a select took it out */
    /* What the match entries of spare bindings look for, where that is not `filter`. NULL: none. */
    struct filter *spare_filter;
    struct left_positions left_positions;
    bool keeps_positions; /* `left_positions` is filled in: a gentle end has begun */
    /* The hub drains, and it was a wildcard, with this index, when that began; else NULL. */
    const struct drained_positions *drained;
    uint32_t drained_index;
    uint32_t binding_count;
    struct list readers, spare_readers;         /* reader.h */
    uint32_t reader_count;                      /* of both */
    uint32_t catching_up;                       /* readers whose catching up it waits for */
    bool ends_when_caught_up, is_due_caught_up; /* the second: it may end for that now */
    struct task catch_up;                       /* sets the second; it holds a reference */
    struct slice detach;                        /* takes bindings and readers out */
    bool detaching;                             /* `detach` waits for its turn; it holds a reference */
    struct list activations;
    struct list to_end; /* activations whose end is still to be requested */
    uint32_t activation_count;
    uint32_t retrying_count;      /* of these, those that wait to be started again */
    uint32_t expired_activations; /* they did not stop in time */
    bool ends_with_activations;
    bool begun; /* an activation was there under the present filter */
    uint32_t revision;
    struct timer deadline;
    bool is_added; /* that was reported */
    bool closing_called, abort_called;
    bool late;                     /* the deadline of the gentle end has passed */
    bool late_ends;                /* and its activations end for that */
    bool unsubscribed;             /* the port is not called any more */
    bool left_called;              /* left() of the port */
    bool left;                     /* unsubscribed, and the hub does not know it any more */
    enum fault_reason left_reason; /* as hub_unsubscribe() was told */
    enum closing closing;          /* why it ends gently; 0: it does not, so far */
    struct fault *fault;           /* what a hard end says; NULL: its reason alone */
    int64_t started_wall_ns;
    char id_text[32];
    struct shared_bytes *request; /* NULL: empty */
    struct shared_bytes *via;     /* NULL: none */
    struct called *called;        /* NULL: a consumer of events */
    const char *peer;             /* in `texts`, like the name */
    struct bytes name;
    uint8_t texts[];
};

/* An empty tree of subscriptions by their ids. */
void subscriptions_init(struct sorted *subscriptions);

/* The first subscription whose id comes after `id` (empty: the first of all). NULL: there is none.
 * A walk over all subscriptions in portions remembers the last id. */
struct subscription *subscription_after(struct hub *hub, struct bytes id);

/* How many producers it gets events of. */
static inline uint32_t subscription_producers(const struct subscription *subscription)
{
    return wildcard_inlets(hub_wildcards(subscription->hub), &subscription->wildcard) +
           subscription->binding_count + subscription->reader_count + subscription->activation_count;
}

/* NULL: *fault says SUBSCRIPTION_NOT_FOUND. */
struct subscription *subscription_find(struct hub *hub, struct bytes id, struct fault *fault);

#endif
