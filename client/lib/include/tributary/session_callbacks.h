/* session_callbacks.h - what a session reports. Part of <tributary/tributary.h>. */
#ifndef TRIBUTARY_SESSION_CALLBACKS_H
#define TRIBUTARY_SESSION_CALLBACKS_H

#include "confirm.h"
#include "event.h"
#include "status.h"

/* One consumer that a PER_CONSUMER session serves. Valid during the callback. */
struct tributary_activation {
    uint64_t activation;            /* its number: above 0, and used once in a registration */
    struct tributary_bytes request; /* the consumer's, unchanged */
    uint64_t deadline_unix_nano;    /* the consumer's; 0: none */
    struct tributary_bytes subscription_id;
};

/* Callbacks, on the client thread. Each may be NULL. What they are given is valid during the
 * call. */
struct tributary_session_callbacks {
    /* The session holds its name. Called again after each new registration. */
    void (*registered)(void *ctx, uint64_t epoch);
    /* A consumer wants events: emit them with this activation's number, then call
     * tributary_session_end(). Without this callback every activation ends with CANCELLED. */
    void (*start)(void *ctx, const struct tributary_activation *activation);
    /* Nobody wants the activation's events any more. `reason` is CANCELLED, DEADLINE,
     * NOT_READING, TOO_SLOW, KICKED, FINISHED, DRAINING, REMOVED or REPLACED, as in ErrorInfo, or
     * LOST: the registration is gone.
     * With a deadline, events that are emitted before it still count, and
     * tributary_session_end() should follow.
     * With deadline 0 the activation is over: emitting fails, and no callback for it follows.
     * This is not called after tributary_session_end(). */
    void (*stop)(void *ctx, uint64_t activation, const char *reason, uint64_t deadline_unix_nano);
    /* The consumer is slow. Emitted events wait in the activation's queue until resumed(). This
     * is a good time to produce less. */
    void (*paused)(void *ctx, uint64_t activation);
    void (*resumed)(void *ctx, uint64_t activation);
    /* A queue that was full, so that an emit failed (TRIBUTARY_WHEN_FULL_FAIL), is down at its low
     * watermark, half of its bounds. */
    void (*writable)(void *ctx, uint64_t activation);
    /* Shared events were refused because of a stored topic: nothing of their message was accepted.
     * The session goes on. */
    void (*refused)(void *ctx, const struct tributary_refused *refused);
    /* Shared events were confirmed, with `confirm` STORED. */
    void (*confirmed)(void *ctx, const struct tributary_confirmed *confirmed);
    /* The server ends the registration gently: `reason` is REPLACED, REMOVED or DRAINING. Waiting
     * events are still sent until the deadline. */
    void (*closing)(void *ctx, const char *reason, uint64_t deadline_unix_nano);
    /* The registration is gone. The session registers again after `retry_ns`. */
    void (*interrupted)(void *ctx, const struct tributary_status *status, int64_t retry_ns);
    /* The session has ended and does not register again. This is called once, and last.
     *   OK                   tributary_session_finish() was called
     *   CANCELLED            tributary_session_cancel() was called
     *   ABORTED              REPLACED: another session took the name; or PUBLISHER_FENCED: a
     *                        publisher with the same id and a higher life was here
     *   FAILED_PRECONDITION  REMOVED: an operator removed the producer
     *   ALREADY_EXISTS       NAME_TAKEN: another session holds the name
     *   others               an error */
    void (*ended)(void *ctx, const struct tributary_status *status);
    void *ctx;
};

#endif
