/* hub_matches.h - the producers of one subscription, for those who ask what limits it.
 *
 * Threads: the loop only. What a view points to is valid during the call of `each`. */
#ifndef TRIBUTARY_HUB_HUB_MATCHES_H
#define TRIBUTARY_HUB_HUB_MATCHES_H

#include "base/base.h"
#include "base/fault.h"
#include "flow/producer_state.h"

struct chan;
struct hub;
struct inlet;
struct session_port;

/* So many producers one call looks at. It takes some 0.3 us for each. */
#define MAX_MATCHES 128u

/* A producer, as one subscription has it. */
struct match_view {
    struct bytes name;
    const struct inlet *inlet; /* that it shares with others, for hub_blocking(); NULL: it shares none */
    bool is_endpoint;
    bool is_member;         /* it shares a call with those who ask for the same: BY_REQUEST */
    bool retries;           /* of an endpoint: the hub opens its call again, at `retry_at_ns` */
    bool looks_into_events; /* the filter wants some of its events only */
    bool paused;            /* it was asked to pause */
    bool waits;             /* it has failed, and is started again at `retry_at_ns` */
    int64_t retry_at_ns;    /* clock_mono_ns(); INT64_MAX: not known */
    enum producer_state state;
    uint32_t code;              /* the cause of the state; 0: none */
    const char *message;        /* of the cause; NULL: none */
    uint64_t number;            /* where the endpoint itself opens the call again: of that call */
    uint64_t published;         /* events, to all its consumers */
    int64_t last_event_wall_ns; /* 0: never */
    uint32_t blocked_calls;     /* of a member: of the call that it shares */
    /* Of an endpoint; NULL: it is none. As in struct producer_view. */
    const struct session_port *port;
    void *port_ctx;
};

/* Calls `each` for the first MAX_MATCHES producers of the subscription. First come those that serve
 * it alone. FAULT_NONE, or SUBSCRIPTION_NOT_FOUND. */
MUST_CHECK enum fault_reason hub_matches(struct hub *hub, struct bytes id,
                                         void (*each)(void *ctx, const struct match_view *view), void *ctx,
                                         struct fault *fault);

/* The id of a subscription whose full buffer blocks this producer now, and that does not have
 * the channel `except`. Looks at 128 of its subscriptions at most. NULL: none was found. */
const char *hub_blocking(const struct match_view *view, const struct chan *except);

#endif
