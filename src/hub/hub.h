/* hub.h - where every producer's inlet meets every consumer's channel: the one owner of producers
 * and subscriptions.
 *
 * Control (open, subscribe, finish, drain, list) runs on the loop. Data does not: inlet_offer()
 * runs on any thread, under the inlet's own lock, which orders a source's sequence numbers and its
 * pushes alike. The loop changes an inlet's routes under that same lock, so nobody ever reads a
 * stale route, and a producer's end comes after its last chunk.
 *
 * Lock order: hub names, then session, then inlet, then channel. */
#ifndef TRIBUTARY_HUB_HUB_H
#define TRIBUTARY_HUB_HUB_H

#include "base/base.h"
#include "base/ctx.h"
#include "base/fault.h"
#include "base/status.h"
#include "event/chunk.h"
#include "event/filter.h"
#include "flow/chan.h"
#include "loop/loop.h"

struct hub;
struct inlet;
struct subscription;

/* Numbers as in the API's enum ProducerState. */
enum producer_state {
    PRODUCER_IDLE = 1,
    PRODUCER_ACTIVE = 3,
    PRODUCER_BLOCKED = 4,
    PRODUCER_DRAINING = 6,
    PRODUCER_ENDED = 7,
    PRODUCER_REMOVED = 8
};

/* Numbers as in the API's enum ClosingReason. */
enum closing {
    CLOSING_SERVER_DRAINING = 1,
    CLOSING_FINISHED = 2,
    CLOSING_DISCONNECTED = 3,
    CLOSING_ALL_ENDED = 4
};

/* What is kept of each shared producer for `start.last`, from the first subscription on that asks
 * for it: keeping it costs each offer some 100 ns beside its 250, so a server where nobody asks
 * does not pay. Nothing is kept beyond half of the process's budget for chunks. */
#define HISTORY_EVENTS 1024u
#define HISTORY_BYTES (1024u * 1024u)

struct hub_limits {
    uint32_t max_producers;
    uint32_t max_subscriptions;
    bool history; /* from the start; otherwise from the first subscription on that asks for `last` */
    int64_t transient_forget_ns; /* after the last call of a transient producer ended */
};

MUST_CHECK struct status hub_new(struct loop *loop, const struct hub_limits *limits, struct hub **hub_out);
/* loop; after every subscription and session ended and every inlet was left by its calls */
void hub_free(struct hub *hub);

/* ---- producers ---- */

/* Any thread. The inlet of this name with a call counted on it, or NULL: then ask hub_inlet_open()
 * on the loop. */
struct inlet *hub_inlet_find(struct hub *hub, struct bytes name, const char *peer);

/* Loop. Finds or makes a transient producer, with a call counted on it. `name` must have passed
 * name_check(). */
MUST_CHECK enum fault_reason hub_inlet_open(struct hub *hub, struct bytes name, const char *peer,
                                            struct inlet **inlet_out, struct fault *fault);

/* Any thread. The call that found or opened the inlet has ended. */
void inlet_leave(struct inlet *inlet);

struct offer {
    uint64_t epoch, first_sequence, last_sequence;
    uint32_t matched; /* subscriptions that wanted at least one of the events */
};

/* Any thread. Numbers the chunk's events and pushes them to every channel that wants them; the
 * chunk stays the caller's to release. It must be new: its source and sequences are set here.
 * *offer_out is filled in with OK and AGAIN.
 *
 *   ERR_OK         every channel took it or applied its policy
 *   ERR_AGAIN      the same, but some hold part of it outside: stall->over() follows; offer nothing more from this call until then
 *   ERR_CLOSED     the hub is draining: nothing was taken
 *   ERR_NOT_FOUND  the producer was removed, or a session took its name: nothing was taken. Leave this inlet, and find or open it again
 * with the same chunk: it comes back in a new epoch, or is refused with NAME_TAKEN */
MUST_CHECK enum err inlet_offer(struct inlet *inlet, struct chunk *chunk, struct put_waiter *waiter,
                                struct offer *offer_out);

/* Any thread. Whoever offered waits no longer (its deadline, or it left): what the stall still
 * holds falls to each channel's fallback. over() follows, or is being called. */
void inlet_give_up(struct inlet *inlet, const struct put_waiter *waiter);

/* Any thread. Must follow each ERR_AGAIN, from stall->over(). */
void inlet_unblocked(struct inlet *inlet);

/* ---- sessions: producers that dialled in ---- */

struct session;

enum session_mode { SESSION_SHARED = 1, SESSION_PER_CONSUMER = 2 };

struct session_params {
    struct bytes name;         /* must have passed name_check() */
    const struct pair *labels; /* copied */
    size_t label_count;
    const struct bytes *topics; /* copied */
    size_t topic_count;
    enum session_mode mode;
    bool reject_duplicate; /* otherwise REPLACE */
    /* otherwise STOP_FIRST: until the older session has ended, or was cut after 1 s, this one waits */
    bool start_first;
    const char *peer;
    const struct session_port *port;
    void *ctx;
};

struct activation_params {
    uint64_t activation;
    struct bytes request; /* valid during the call */
    int64_t deadline_ns;  /* clock_mono_ns(); INT64_MAX: none */
    const char *subscription_id;
};

/* What a session is told. All but `set_paused` on the loop, in order; `set_paused` on any thread,
 * for an activation between its start and its end. Only session_end() and hub_unregister() of the
 * same session may be called from within, and not from within `set_paused`, which may only note the
 * fact. After hub_unregister() nothing is told. */
struct session_port {
    void (*welcome)(void *ctx, uint64_t epoch); /* registered, and the name is its own: first of all */
    void (*start)(void *ctx, const struct activation_params *params);
    /* End it by `deadline_ns` (session_end()), or it is cut; `deadline_ns` 0: it is cut already. At
     * most once per activation, never after its end. A later, harder end of an activation that was
     * told to stop is not told. */
    void (*stop)(void *ctx, uint64_t activation, enum fault_reason reason, int64_t deadline_ns);
    void (*set_paused)(void *ctx, uint64_t activation, bool pause);
    /* A gentle end of the session began (why: REPLACED, REMOVED, DRAINING); all its activations are
     * stopped, each told apart, before or after this. In mode PER_CONSUMER it is over when they
     * have ended. */
    void (*closing)(void *ctx, enum fault_reason reason, int64_t deadline_ns);
    /* The session is over: end the call with this fault, then hub_unregister(). Once. After the
     * last activation has ended, or was cut. */
    void (*abort_call)(void *ctx, const struct fault *fault);
};

/* Loop. FAULT_NONE: hub_unregister() must follow in the end. NAME_TAKEN, TOO_MANY_PRODUCERS,
 * MEMORY_BUDGET, DRAINING: nothing was registered. A transient producer of this name is replaced at
 * once: its inlet is removed, its next call is refused with NAME_TAKEN while the session lives. */
MUST_CHECK enum fault_reason hub_register(struct hub *hub, const struct session_params *params,
                                          struct session **session_out, struct fault *fault);

/* Loop. The call has ended, however: what it published stays queued, its activations have ended:
 * with OK where `reason` is NONE, otherwise with UNAVAILABLE. Frees the session when its last offer
 * has returned and its last stall is over. */
void hub_unregister(struct session *session, enum fault_reason reason);

/* Any thread; until hub_unregister(). Offers to the shared inlet (activation 0, with a stall as
 * inlet_offer()), or to one activation (`waiter` NULL: it never waits).
 *
 *   ERR_OK         as inlet_offer()
 *   ERR_AGAIN      as inlet_offer(): session_unblocked() must follow
 *   ERR_CLOSED     the activation was cut or has ended, the session is over, was not welcomed yet, or the hub drains: the events were
 * dropped (counted), which is no error of the producer's
 *   ERR_NOT_FOUND  it was never started
 *   ERR_INVALID    activation 0 in mode PER_CONSUMER, or another one in mode SHARED */
MUST_CHECK enum err session_offer(struct session *session, uint64_t activation, struct chunk *chunk,
                                  struct put_waiter *waiter, struct offer *offer_out);
/* as inlet_give_up(); until hub_unregister() */
void session_give_up(struct session *session, const struct put_waiter *waiter);
/* as inlet_unblocked(), also after hub_unregister(); any thread */
void session_unblocked(struct session *session);

/* Loop. The producer says that an activation has ended, asked or unasked; after its last offer.
 * `code` 0: complete. Otherwise it failed: while consumer and session go on it is started again, as
 * another activation, after a second and then after up to 30 (but for `end_when_all_ended`: there a
 * failure is an end). Unknown or ended already: nothing. */
void session_end(struct session *session, uint64_t activation, uint32_t code, const char *message);

/* Loop. Removes a producer of any kind; its name is free at once, and who waits for it is removed
 * too. A session ends within `drain_ns`, or is cut (0: at once); a transient producer goes at once,
 * and comes back with its next batch. FAULT_NONE: `each` was called with what it was; or
 * PRODUCER_NOT_FOUND, and nothing changed. */
struct producer_view;
MUST_CHECK enum fault_reason hub_remove(struct hub *hub, struct bytes name, int64_t drain_ns,
                                        void (*each)(void *ctx, const struct producer_view *view), void *ctx,
                                        struct fault *fault);

/* ---- subscriptions: the loop only ---- */

/* What a subscription tells whoever serves it; called on the loop, each at most once, and just
 * before the channel drains or closes: whoever finds it at its end without having heard of either
 * yet will hear. hub_unsubscribe() may be called from within. */
struct subscription_port {
    /* A gentle end began: nothing of shared producers will be put into the channel any more; what
     * waits, and what activations still send until they have ended, may be delivered until
     * `deadline_ns` (clock_mono_ns()). Then the channel is closed, and the rest is DRAIN_CUT. A
     * nearer deadline that comes later is not told. */
    void (*closing)(void *ctx, enum closing reason, int64_t deadline_ns);
    /* A hard end: end the call with this fault, then hub_unsubscribe(). */
    void (*abort_call)(void *ctx, const struct fault *fault);
};

struct resume_point { /* where an earlier stream stood; decoded from a resume token */
    struct bytes source;
    uint64_t epoch, sequence;
};

struct subscription_params {
    struct filter *filter; /* the subscription's from a successful call on */
    struct chan_limits limits;
    struct chan_callbacks callbacks;
    struct bytes name; /* for people; may be empty */
    const char *peer;
    struct bytes request; /* copied: every activation gets it */
    /* clock_mono_ns(), the consumer's own; 0 or INT64_MAX: none. Passed to activations */
    int64_t deadline_ns;
    /* start with so many matching events of each shared producer's history; 0: live */
    uint32_t last;
    /* drain when an activation had begun and each has ended; shared producers do not count */
    bool end_when_all_ended;
    const struct resume_point *resume; /* NULL: live */
    size_t resume_count;
    /* sources that the token had no room for: whoever is not in it may be one of them */
    uint64_t resume_left_out;
    const struct subscription_port *port;
    void *ctx;
};

struct subscription_result {
    char id[32];
    uint32_t producers_matched;
    struct chan *chan; /* the caller's own reference */
};

/* FAULT_NONE: *result_out is filled in; hub_unsubscribe() must follow in the end. Otherwise
 * TOO_MANY_SUBSCRIPTIONS, MEMORY_BUDGET or DRAINING; nothing was taken over. */
MUST_CHECK enum fault_reason hub_subscribe(struct hub *hub, const struct subscription_params *params,
                                           struct subscription **subscription_out,
                                           struct subscription_result *result_out, struct fault *fault);

/* The stream is over, however it ended: `reason` NONE for a gentle end. What still waits is dropped
 * as CONSUMER_GONE. Frees it. */
void hub_unsubscribe(struct subscription *subscription, enum fault_reason reason);

/* FAULT_NONE, or SUBSCRIPTION_NOT_FOUND. A drain that is under way only gets a nearer deadline. */
MUST_CHECK enum fault_reason hub_finish(struct hub *hub, struct bytes id, enum closing reason,
                                        int64_t drain_ns, struct fault *fault);
MUST_CHECK enum fault_reason hub_disconnect(struct hub *hub, struct bytes id, struct bytes reason,
                                            struct fault *fault);

/* Loop. New selectors for a live subscription: takes over `filter`. What waits stays;
 * chan_mark(revision) stands exactly between what was routed under the old filter and under the
 * new. Returns the revision (1 for the first). Producers that match still go on undisturbed,
 * activations that ended meanwhile are not started again; new ones join live; of those that no
 * longer match the feed ends (ENDED), and an activation is stopped at once. After an end began, or
 * without memory: nothing changes, 0, and `filter` stays the caller's. */
uint32_t hub_select(struct subscription *subscription, struct filter *filter);

/* ---- the whole ---- */

/* Loop. Refuses new producers, subscriptions, and events of shared producers, then drains every
 * subscription, its activations with it, and every session until `drain_ns` from now. When the last
 * subscription is gone the sessions that are left are cut, and then `emptied` is called once
 * (loop): from within, where there is none. A second drain only brings the deadline nearer. */
void hub_drain(struct hub *hub, int64_t drain_ns, void (*emptied)(void *ctx), void *ctx);
bool hub_draining(const struct hub *hub); /* any thread */

/* ---- looking: the loop only; what is pointed to is valid during the call ---- */

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
    const struct pair *labels;
    size_t label_count;
    const struct bytes *topics;
    size_t topic_count;
    uint32_t activations, paused_activations;
    uint64_t expired_activations;
};

struct subscription_view {
    const char *id;
    struct bytes name;
    const char *peer;
    int64_t started_wall_ns;
    const struct chan_limits *limits;
    void *ctx; /* as in the wish */
    struct chan *chan;
    uint32_t producers_matched;
    bool draining;
};

/* In the order of names, those after `after` (empty: from the start) that match `pattern` (empty:
 * all), at most `max`. Returns true when more follow. */
bool hub_producers(struct hub *hub, struct bytes pattern, struct bytes after, uint32_t max,
                   void (*each)(void *ctx, const struct producer_view *view), void *ctx);
MUST_CHECK enum fault_reason hub_producer(struct hub *hub, struct bytes name,
                                          void (*each)(void *ctx, const struct producer_view *view),
                                          void *ctx, struct fault *fault);
/* In the order of ids. */
bool hub_subscriptions(struct hub *hub, struct bytes after, uint32_t max,
                       void (*each)(void *ctx, const struct subscription_view *view), void *ctx);
MUST_CHECK enum fault_reason hub_subscription(struct hub *hub, struct bytes id,
                                              void (*each)(void *ctx, const struct subscription_view *view),
                                              void *ctx, struct fault *fault);

#endif
