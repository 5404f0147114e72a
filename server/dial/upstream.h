/* upstream.h - one upstream call: from its opening to its end, what it receives, and where that
 * goes. When to open another one is the endpoint's business.
 *
 *   NEW --begin--> OPENING --first message sent, received--> ACCEPTED --+--> OVER
 *                     `--failed, cancelled------------------------------'
 *
 * Threads: the loop, except where a function says otherwise. The call itself lives on the thread of
 * its plan. */
#ifndef TRIBUTARY_SERVER_DIAL_UPSTREAM_H
#define TRIBUTARY_SERVER_DIAL_UPSTREAM_H

#include "base/base.h"
#include "base/fault.h"
#include "base/list.h"
#include "base/map.h"
#include "base/peer.h"
#include "server/dial/peer_words.h"
#include "server/dial/upstream_plan.h"

struct called;
struct cascade;
struct session;
struct shared_bytes;
struct upstream;

/* How a call ended. */
struct upstream_end {
    uint32_t code; /* 0 to 16 */
    bool was_accepted;
    bool has_expired; /* it was stopped, and cancelled at the deadline */
    int64_t wall_ns;
    char message[PEER_WORDS_BYTES + 1]; /* valid UTF-8, printable */
};

/* What an endpoint hears of its calls. On the loop. */
struct upstream_port {
    /* The upstream has taken the call. At most once, before ended(). */
    void (*accepted)(void *ctx, struct upstream *upstream);
    /* The call is over. It offers nothing any more. Once after upstream_begin(). */
    void (*ended)(void *ctx, struct upstream *upstream, const struct upstream_end *end);
};

/* For whom a call is. */
struct upstream_target {
    struct session *session;
    uint64_t activation;          /* with SHARED 0 */
    bool is_shared;               /* for several consumers: a full channel blocks it, else it pauses it */
    struct shared_bytes *request; /* the consumer's; retained; NULL: empty */
    const char *subscription_id;  /* copied; "" for all consumers */
    int64_t deadline_ns;          /* the consumer's, clock_mono_ns(); INT64_MAX: none */
    struct called *called;        /* the call that it answers (served_call.h); NULL: none */
    struct peer_key payer;        /* NO_PEER: no consumer has asked for it */
    struct shared_bytes *via;     /* marks of the processes that it is made for; NULL: none */
    /* What takes its messages, those of another tributary (cascade.h). It outlives the call, and
     * has no other open call. NULL: the session gets them. */
    struct cascade *cascade;
};

/* The endpoint's places for the call. */
struct upstream_places {
    struct list in_endpoint;
    struct list waiting; /* for upstream_begin() */
    struct map_node by_activation;
};

/* The payer is charged until the call is over (upstream_cost.h). The reference is the caller's:
 * upstream_forget(). NULL: memory, the budget or the payer's share of it is used up; *fault says
 * which. */
struct upstream *upstream_new(const struct upstream_plan *plan, const struct upstream_target *target,
                              const struct upstream_port *port, void *ctx, struct fault *fault);
/* The same before upstream_begin(): the call never comes. NULL is allowed. */
void upstream_discard(struct upstream *upstream);
/* Gives the caller's reference back. The call may go on. NULL is allowed. */
void upstream_forget(struct upstream *upstream);

struct upstream_places *upstream_places(struct upstream *upstream);
struct upstream *upstream_of_list(struct list *in_endpoint);
struct upstream *upstream_of_waiting(struct list *waiting);
struct upstream *upstream_of_map(struct map_node *by_activation);
const uint64_t *upstream_activation(const struct upstream *upstream); /* valid as long as the call */
bool upstream_is_stopped(const struct upstream *upstream);            /* by one of the two below */
bool upstream_is_served(const struct upstream *upstream);             /* it answers a call */
bool upstream_was_refused(const struct upstream *upstream); /* a message of it, in a call that has ended */

/* Opens the call, unless it was stopped or cancelled before: then it has ended. */
void upstream_begin(struct upstream *upstream);

/* No more is wanted. A call of Upstream.Produce is told so, and cancelled at the deadline; any
 * other call is cancelled. Later calls are ignored, but for upstream_cancel(). */
void upstream_stop(struct upstream *upstream, enum fault_reason reason, int64_t deadline_ns);
void upstream_cancel(struct upstream *upstream);

/* Any thread. The call is not read while it is paused. */
void upstream_set_paused(struct upstream *upstream, bool pause);

#endif
