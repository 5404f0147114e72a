/* session_port.h - what the hub calls on the server's side of a session. */
#ifndef TRIBUTARY_HUB_SESSION_PORT_H
#define TRIBUTARY_HUB_SESSION_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/fault.h"
#include "base/peer.h"

struct called;
struct shared_bytes;

/* BY_REQUEST is for endpoints. */
enum session_mode { SESSION_SHARED = 1, SESSION_PER_CONSUMER = 2, SESSION_BY_REQUEST = 3 };

/* What follows from the end of an activation: session_end(). */
enum session_end_rule {
    SESSION_END_BY_CODE, /* it is started again unless the code is 0 */
    SESSION_END_RETRY,   /* it is started again, also where the code is 0 */
    SESSION_END_FINAL,   /* it is never started again */
    SESSION_END_EXPIRED  /* the same: it was stopped, and was still there at the deadline */
};

struct activation_params {
    uint64_t activation;
    struct shared_bytes *request; /* retain it to keep it; NULL: empty */
    int64_t deadline_ns;          /* clock_mono_ns(); INT64_MAX: none */
    const char *subscription_id;
    struct called *called; /* the call that it answers; retain it to keep it; NULL: none */
    struct peer_key payer; /* of the consumer, who pays for what the activation needs */
    /* The processes that the consumer's call has come through; retain it to keep it; NULL: none. */
    struct shared_bytes *via;
};

/* How the last upstream call of an endpoint failed. */
struct session_failure {
    uint32_t code;       /* a gRPC status code; 0: none has failed since one was accepted */
    const char *message; /* may be NULL */
    bool was_accepted;   /* false: it failed before */
    int64_t wall_ns;
};

/* All functions but set_paused() are called on the loop, in order. They may call session_end(),
 * session_report() and hub_unregister() of the same session, and nothing else of the hub. What such
 * a call leads to is done after the function has returned. After hub_unregister() none is
 * called. */
struct session_port {
    /* The session is registered and has its name. The first call of all. */
    void (*welcome)(void *ctx, uint64_t epoch);

    /* An activation begins. */
    void (*start)(void *ctx, const struct activation_params *params);

    /* An activation must end by `deadline_ns` (session_end()); then it expires. `deadline_ns` 0: it
     * has ended already. Called at most once for each activation, and never where session_end()
     * has ended it. A later, harder end of an activation that was stopped is not notified, but to
     * endpoints, by another call with `deadline_ns` 0. */
    void (*stop)(void *ctx, uint64_t activation, enum fault_reason reason, int64_t deadline_ns);

    /* The producer of an activation must pause or may resume. Any thread, between the start of the
     * activation and its end. The function may only note the fact. */
    void (*set_paused)(void *ctx, uint64_t activation, bool pause);

    /* A gentle end of the session began. `reason` is REPLACED, REMOVED or DRAINING. Each of its
     * activations is stopped by a call of its own, before or after this one. In mode PER_CONSUMER
     * the session is over when all of them have ended. */
    void (*closing)(void *ctx, enum fault_reason reason, int64_t deadline_ns);

    /* The session is over, and no activation is left. End the call with this fault, then call
     * hub_unregister(). Called once. */
    void (*abort_call)(void *ctx, const struct fault *fault);

    /* Asks how the last upstream call failed, for those who read changes. Called at any moment; it
     * must not call the hub. The message must stay valid until the loop goes on. NULL: no upstream
     * calls are made. */
    struct session_failure (*failure)(void *ctx);
};

#endif
