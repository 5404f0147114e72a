/* subscription.h - subscriptions: what the server keeps for one consumer.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_SUBSCRIPTION_H
#define TRIBUTARY_HUB_SUBSCRIPTION_H

#include "base/peer.h"
#include "event/filter.h"
#include "flow/chan.h"
#include "route/resume_point.h"
#include "hub/subscription_port.h"

struct called;
struct hub;
struct shared_bytes;
struct subscription;

/* Where a stored topic begins that `resume` does not name. */
enum stored_start {
    STORED_AS_OTHERS, /* with `last`: its last so many events; with `resume`, unless
                       * `resume_others_live`: its first event; else live */
    STORED_EARLIEST,  /* the first event that is kept */
    STORED_SEQUENCE,  /* stored_value, at least 1. Where it is kept no more the stream ends: TRIMMED */
    STORED_TIME       /* what was stored at stored_value or later, in ns since 1970 */
};

struct subscription_params {
    struct filter *filter; /* taken over by a successful call */
    struct chan_limits limits;
    struct chan_callbacks callbacks;
    struct bytes name;        /* for people; copied, may be empty */
    const char *peer;         /* copied */
    struct peer_key peer_key; /* whom the subscription is charged to */
    struct bytes request;     /* copied: every activation gets it */
    /* A call that producers answer by their own method: only those that serve it are bound.
     * Retained. NULL: a consumer of events. */
    struct called *called;
    /* The processes that the call has come through: its activations get them. Retained. NULL: it
     * has come through none. */
    struct shared_bytes *via;
    /* The consumer's own, clock_mono_ns(); 0 or INT64_MAX: none. It is passed to activations. */
    int64_t deadline_ns;
    /* Begin with this many matching events of each shared producer's history, and with this many
     * last events of each stored topic. 0: live. */
    uint32_t last;
    /* Drain when an activation had begun and each has ended. Shared producers do not count. */
    bool end_when_all_ended;
    /* Drain when every stored topic that matched at the start has caught up. */
    bool end_when_caught_up;
    enum stored_start stored_start;
    uint64_t stored_value;
    const struct resume_point *resume; /* NULL: live */
    size_t resume_count;
    /* How many sources the token had no space for; above 0 where another server wrote it. A source
     * that is missing may be one of them. */
    uint64_t resume_left_out;
    bool resume_others_live; /* nothing is missed of a source that is missing */
    const struct subscription_port *port;
    void *ctx;
};

struct subscription_result {
    char id[32];
    uint32_t producers_matched; /* so far, where `pending` */
    bool pending;               /* more producers are bound in later turns; bound() follows */
    struct chan *chan;          /* a reference of the caller's own */
};

/* Binds the subscription to every producer that is there and that it wants. Where these are more
 * than this turn of the loop has time for, the result is `pending`: the rest follows in later
 * turns, and then bound() of the port. What `params` points to must stay valid until then.
 *
 * FAULT_NONE: *result_out is filled in, and hub_unsubscribe() must follow in the end.
 * TOO_MANY_SUBSCRIPTIONS, PEER_SUBSCRIPTIONS, TOTAL_FILTER_COST, PEER_FILTER_COST, MEMORY_BUDGET,
 * DRAINING: nothing was taken over. */
MUST_CHECK enum fault_reason hub_subscribe(struct hub *hub, const struct subscription_params *params,
                                           struct subscription **subscription_out,
                                           struct subscription_result *result_out, struct fault *fault);

/* The stream is over. `reason` is NONE for a gentle end. What still waits is dropped for
 * CONSUMER_GONE. Frees the subscription; left() of the port says when. */
void hub_unsubscribe(struct subscription *subscription, enum fault_reason reason);

/* The call has ended before bound() of the port was called. The rest is not bound, and bound()
 * follows at once, so that hub_unsubscribe() can. Does nothing where bound() was called. */
void hub_give_up(struct subscription *subscription);

/* Ends a subscription gently, within `drain_ns`. Where a drain is under way this only brings its
 * deadline nearer. FAULT_NONE, or SUBSCRIPTION_NOT_FOUND. */
MUST_CHECK enum fault_reason hub_finish(struct hub *hub, struct bytes id, enum closing reason,
                                        int64_t drain_ns, struct fault *fault);

/* Ends a subscription at once, with KICKED and the operator's text. FAULT_NONE, or
 * SUBSCRIPTION_NOT_FOUND. */
MUST_CHECK enum fault_reason hub_disconnect(struct hub *hub, struct bytes id, struct bytes reason,
                                            struct fault *fault);

/* Begins to give a live subscription another filter, and takes `filter` over; after bound() of its
 * port, and after selected() of the call before. Returns the revision, which is 1 more than the
 * latest that came into force; selected() of the port follows, perhaps before this returns. Then
 * the subscription may be gone on return. 0: nothing has changed, `filter` stays the caller's, and
 * *fault says why:
 *   FAULT_DRAINING          an end has begun
 *   FAULT_PEER_FILTER_COST, FAULT_TOTAL_FILTER_COST  see filter_charge.h
 *   FAULT_MEMORY_BUDGET     memory is used up, or what the peer may keep (hub/kept_memory.h)
 *
 * Where the port has no selected(), all of it is done on return, however long that takes, and what
 * selected() would say makes the result.
 *
 * What waits stays. chan_mark(revision) is set between the last event that was routed under the old
 * filter and the first under the new one. Producers that match both go on undisturbed; an
 * activation of theirs that has ended is not started again. Producers that match only the new one
 * are bound live. For those that match only the old one the feed ends (ENDED), and an activation is
 * stopped at once. */
uint32_t hub_select(struct subscription *subscription, struct filter *filter, struct fault *fault);

#endif
