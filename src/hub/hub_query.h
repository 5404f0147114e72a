/* hub_query.h - what is there: producers in the order of their names, subscriptions in the order of
 * their ids, a page at a time.
 *
 * Threads: the loop only. What a view points to is valid during the call of `each`. */
#ifndef TRIBUTARY_HUB_HUB_QUERY_H
#define TRIBUTARY_HUB_HUB_QUERY_H

#include "base/base.h"
#include "base/fault.h"
#include "event/filter.h"
#include "flow/chan_limits.h"
#include "flow/producer_state.h"
#include "flow/totals.h"
#include "hub/walk_name.h"

struct chan;
struct hub;
struct session_port;

struct producer_view {
    struct bytes name;
    enum producer_state state;
    uint64_t epoch, last_sequence;
    struct totals published;
    uint32_t open_calls, blocked_calls, subscriptions;
    int64_t last_event_wall_ns;
    const char *peer;
    /* Sessions; zero for others. */
    bool is_session, per_consumer;
    bool is_endpoint;                /* a session too */
    const struct session_port *port; /* as in session_params, like the next */
    void *port_ctx;                  /* NULL after hub_unregister(): its last bindings still end */
    const struct pair *labels;
    size_t label_count;
    const struct bytes *topics;
    size_t topic_count;
    uint32_t activations, paused_activations;
    uint64_t expired_activations;
    bool is_topic;               /* a stored topic (src/topic) */
    bool is_relayed;             /* an inner source of an endpoint (relays.h) */
    struct totals lost_upstream; /* of endpoints and these: what the upstream reports as lost, where it
                                  * gives a count */
};

struct subscription_view {
    const char *id;
    struct bytes name;
    const char *peer;
    int64_t started_wall_ns;
    const struct chan_limits *limits;
    const struct subscription_port *port; /* as in subscription_params, like the next */
    void *ctx;
    struct chan *chan;
    uint32_t producers_matched;
    bool draining;
    bool is_added;       /* all its producers are bound, and that was reported */
    bool binding;        /* more producers are still to be bound to it */
    int64_t deadline_ns; /* of its gentle end, clock_mono_ns(); INT64_MAX: there is none */
};

/* A list, a portion at a time. All zero but for `left` it shows from the start. Between two
 * portions objects may come and go: each one that is there all the time is shown once. */
struct hub_list {
    struct bytes pattern;   /* a glob for the names of producers, at most MAX_PATTERN_BYTES */
    struct walk_name after; /* where the next portion goes on: what has this name is not shown */
    uint32_t left;          /* how many are still to be shown */
    bool more;              /* set at the end: so many were shown, and more follow */
};

/* Shows the next few producers: calls `each`. Returns whether to call it again. */
bool hub_producers(struct hub *hub, struct hub_list *list,
                   void (*each)(void *ctx, const struct producer_view *view), void *ctx);

/* FAULT_NONE: `each` was called. Otherwise PRODUCER_NOT_FOUND. */
MUST_CHECK enum fault_reason hub_producer(struct hub *hub, struct bytes name,
                                          void (*each)(void *ctx, const struct producer_view *view),
                                          void *ctx, struct fault *fault);

/* Shows the next subscription: calls `each`. Returns whether to call it again. */
bool hub_subscriptions(struct hub *hub, struct hub_list *list,
                       void (*each)(void *ctx, const struct subscription_view *view), void *ctx);

/* FAULT_NONE: `each` was called. Otherwise SUBSCRIPTION_NOT_FOUND. */
MUST_CHECK enum fault_reason hub_subscription(struct hub *hub, struct bytes id,
                                              void (*each)(void *ctx, const struct subscription_view *view),
                                              void *ctx, struct fault *fault);

#endif
