/* taker.h - takes the events of one subscription on the loop and gives them to its owner in
 * batches: a group, a keyed batch, an outbox relay. It does for an owner on the loop what the
 * sender does for a gRPC call.
 *
 * The taker subscribes, and gives its owner one batch at a time. The owner completes each batch, at
 * once or in a later turn, for example when a worker has written it. Meanwhile nothing is taken:
 * events wait in the channel, under its bounds and its overflow policy, as for a consumer that does
 * not read.
 *
 * A taker gives at most one batch in each turn of the loop, and a batch is bounded. So one taker
 * with much to give delays nobody else on the loop.
 *
 * Port calls come from a task of the taker and never from within a function of this file. So the
 * owner may call every function of this file, and of the hub, from within its port.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_TAKER_H
#define TRIBUTARY_HUB_TAKER_H

#include "event/encode.h"
#include "flow/chan_batch.h"
#include "flow/chan_report.h"
#include "hub/subscription.h"
#include "loop/loop.h"

/* The most in one batch. The bytes are those of its events; a larger event comes alone. Losses and
 * states that do not fit come with the next batch. */
#define MAX_TAKER_EVENTS 1024u
#define MAX_TAKER_BYTES (256u * 1024u)
#define MAX_TAKER_LOSSES 2048u
#define MAX_TAKER_STATES 16u

struct taker;

/* One batch, in the order in which the owner should see it: the mark, the losses, the events, the
 * states. Each part may be empty, but not all of them. Everything is valid until
 * taker_complete(), on any thread. */
struct taker_batch {
    /* All events from here on were chosen by the filter of this taker_select(); 0: no change. */
    uint32_t mark;
    /* Events that the owner will not get: dropped, too old, or missed before it came. */
    const struct lost_note *losses;
    uint32_t loss_count;
    const struct chan_batch *events; /* those of one source are in order */
    const struct feed_change *states;
    uint32_t state_count;
};

struct taker_port {
    /* A batch. taker_complete() must follow, from within or later, whatever happens meanwhile. No
     * deadline does without it: until then the subscription stays, and a drain of the hub that has
     * begun does not end. */
    void (*batch)(void *ctx, const struct taker_batch *batch);
    /* A gentle end began: `reason`. What waits still comes, until `deadline_ns` (clock_mono_ns());
     * the rest is lost for DRAIN_CUT. At most once, also while a batch is in flight. NULL: the
     * owner does not need to know. */
    void (*closing)(void *ctx, enum closing reason, int64_t deadline_ns);
    /* The subscription is over. Once, as the last call; no batch is in flight. The taker is freed
     * afterwards, and must not be used any more, from within this call on.
     *
     * `fault` has reason NONE after a gentle end, also one that its deadline cut short, and after
     * taker_close(). Otherwise it says why: TOO_SLOW (the policy DISCONNECT), KICKED and so on. */
    void (*ended)(void *ctx, const struct fault *fault);
};

struct taker_params {
    struct subscription_params subscription; /* its callbacks, port and ctx are the taker's */
    uint32_t max_events;                     /* of one batch; 1 to MAX_TAKER_EVENTS */
    uint32_t max_bytes;                      /* of one batch; 1 to MAX_TAKER_BYTES */
    const struct taker_port *port;           /* not copied */
    void *ctx;
};

/* Subscribes. `loop` is the hub's.
 *
 * FAULT_NONE: the subscription's filter was taken over. The first port call comes in a later turn;
 * ended() must have come before hub_free(). TOO_MANY_SUBSCRIPTIONS, MEMORY_BUDGET, DRAINING:
 * nothing was taken over, and *taker_out is untouched. */
MUST_CHECK enum fault_reason taker_open(struct hub *hub, struct loop *loop, const struct taker_params *params,
                                        struct taker **taker_out, struct fault *fault);

/* Completes the batch in flight; its memory is gone after this. `delivered`: its events count as
 * delivered. Otherwise they count as dropped, for CONSUMER_GONE, which is not reported. An owner
 * that wants to try again completes later. */
void taker_complete(struct taker *taker, bool delivered);

/* The owner can take no events for now, or again. A taker that is paused gives no events. It still
 * gives losses and states, because a feed whose producer is gone stays until they were given. A new
 * taker is not paused. Idempotent. */
void taker_pause(struct taker *taker);
void taker_resume(struct taker *taker);

/* Ends the subscription. No further batch comes. A batch in flight must still be completed; then
 * ended() follows. What waits counts as dropped, for CONSUMER_GONE. Idempotent. To have what waits
 * delivered first, call hub_finish(). */
void taker_close(struct taker *taker);

/* Changes the filter, as hub_select() does. 0: *fault says why, and `filter` stays the caller's. */
uint32_t taker_select(struct taker *taker, struct filter *filter, struct fault *fault);

const char *taker_id(const struct taker *taker); /* of the subscription, for hub_finish() */
/* For chan_positions() and chan_stats(). Retain the channel to use it after ended(). A position
 * that is read while a batch is in flight includes that batch. */
struct chan *taker_chan(const struct taker *taker);

#endif
