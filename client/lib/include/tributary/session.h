/* session.h - registering as a producer that is asked. Part of <tributary/tributary.h>.
 *
 * A session holds a producer's name for as long as its registration lives. In mode SHARED it
 * publishes one stream for everybody: activation 0. In mode PER_CONSUMER it is asked for each
 * consumer apart: start() brings the consumer's request, what is emitted for that activation
 * reaches that consumer only, and it goes on until one side ends it: stop(), or
 * tributary_session_end().
 *
 * When the connection is lost, or the server goes away, the session registers again, with growing
 * pauses. It does not where the server said that it is not wanted: REPLACED, REMOVED, NAME_TAKEN.
 * Shared events that were not confirmed are then sent once more, so they are taken *at least once*;
 * activations end with the registration that they belong to. */
#ifndef TRIBUTARY_SESSION_H
#define TRIBUTARY_SESSION_H

#include "publish.h"

struct tributary_session;

enum tributary_mode {
    TRIBUTARY_MODE_SHARED = 1,      /* one stream of events for all consumers */
    TRIBUTARY_MODE_PER_CONSUMER = 2 /* one activation for each consumer that matches */
};

enum tributary_on_duplicate {
    TRIBUTARY_ON_DUPLICATE_REPLACE = 1, /* the newer session takes the name */
    TRIBUTARY_ON_DUPLICATE_REJECT = 2   /* the newer one is refused: ALREADY_EXISTS */
};

enum tributary_handover {
    /* the older session has ended, at the latest after 1 s, before the newer one starts */
    TRIBUTARY_HANDOVER_STOP_FIRST = 1,
    TRIBUTARY_HANDOVER_START_FIRST = 2 /* both may speak for a moment */
};

struct tributary_activation {
    uint64_t activation;            /* its number: above 0, never used twice in a registration */
    struct tributary_bytes request; /* the consumer's, unchanged */
    uint64_t deadline_unix_nano;    /* the consumer's; 0: none */
    struct tributary_bytes subscription_id;
};

/* Client thread; each may be NULL. Views are valid during the call. */
struct tributary_session_callbacks {
    /* The name is ours: again after each new registration. */
    void (*registered)(void *ctx, uint64_t epoch);
    void (*start)(void *ctx, const struct tributary_activation *activation);
    /* The activation is not wanted any more. `reason` is as in ErrorInfo: CANCELLED, DEADLINE,
     * KICKED, FINISHED, DRAINING, REMOVED; or LOST: the registration is gone. With a deadline, what
     * is emitted until then still counts, and tributary_session_end() should follow. 0: it is over,
     * nothing more is taken, and no callback for it follows. Not called after
     * tributary_session_end(). */
    void (*stop)(void *ctx, uint64_t activation, const char *reason, uint64_t deadline_unix_nano);
    /* The consumer is behind: what is emitted waits in the queue of the activation until it goes
     * on. A good moment to produce less. */
    void (*paused)(void *ctx, uint64_t activation);
    void (*resumed)(void *ctx, uint64_t activation);
    /* A full queue that failed an emit (TRIBUTARY_FULL_FAIL) is half empty again. */
    void (*writable)(void *ctx, uint64_t activation);
    /* The registration ends gently: REPLACED, REMOVED or DRAINING. What waits is still sent, then
     * it is closed. */
    void (*closing)(void *ctx, const char *reason, uint64_t deadline_unix_nano);
    /* The registration is gone, and made again after `retry_ns`. */
    void (*interrupted)(void *ctx, const struct tributary_status *status, int64_t retry_ns);
    /* Once, and last. OK: finished. CANCELLED: cancelled here. ABORTED (REPLACED),
     * FAILED_PRECONDITION (REMOVED), ALREADY_EXISTS (NAME_TAKEN) or another error: it is not
     * registered again. */
    void (*ended)(void *ctx, const struct tributary_status *status);
    void *ctx;
};

struct tributary_session_options {
    const char *name;                      /* 1 to 256 bytes, printable */
    const struct tributary_header *labels; /* at most 64; selectors may ask for them */
    size_t label_count;
    const char *const *topics; /* at most 64; for people */
    size_t topic_count;
    enum tributary_mode mode;                 /* 0: SHARED */
    enum tributary_on_duplicate on_duplicate; /* 0: REPLACE */
    enum tributary_handover handover;         /* 0: STOP_FIRST */
    /* bytes of one activation that may wait or be unconfirmed; 0: 1 MiB, in mode SHARED 8 MiB */
    size_t queue_bytes;
    uint32_t queue_events; /* events, likewise; 0: 4096, in mode SHARED 262144 */
    uint32_t batch_bytes;  /* as in tributary_publisher_options, as are the next four */
    uint32_t batch_events;
    int64_t linger_ns;
    enum tributary_full full;
    int64_t wait_timeout_ns;
    bool no_reconnect; /* the first loss of the connection ends it, with UNAVAILABLE */
};

/* accepted = confirmed + dropped + waiting, at all times. */
struct tributary_session_stats {
    uint64_t accepted;  /* events that tributary_session_emit() took */
    uint64_t confirmed; /* dealt with by the server */
    /* their activation was stopped, or the session ended, before they were confirmed */
    uint64_t dropped;
    uint64_t bytes;         /* of the accepted events, on the wire */
    uint64_t messages;      /* sent */
    uint64_t registrations; /* how often the name became ours */
    uint64_t started;       /* activations so far */
    uint32_t activations;   /* that have not ended */
    uint64_t epoch;         /* of the newest registration; 0: none yet */
};

/* Begins. Everything in `options` and `callbacks` is copied.
 *   TRIBUTARY_INVALID_ARGUMENT    an option is out of its bounds; the server checks the rest and answers by ended()
 *   TRIBUTARY_RESOURCE_EXHAUSTED  no memory */
TRIBUTARY_API enum tributary_code tributary_register(struct tributary *client,
                                                     const struct tributary_session_options *options,
                                                     const struct tributary_session_callbacks *callbacks,
                                                     struct tributary_session **session_out,
                                                     struct tributary_status *status);

/* Takes one event over into the queue of an activation (0: the shared stream): everything is copied
 * before it returns. Order is kept within an activation. The shared stream's events may come before
 * the registration does.
 *   TRIBUTARY_INVALID_ARGUMENT    the event breaks a bound of `struct tributary_event`; nothing was taken
 *   TRIBUTARY_NOT_FOUND           no such activation: it was never started, was stopped, or has ended
 *   TRIBUTARY_RESOURCE_EXHAUSTED  the queue is full and `full` is FAIL: writable() follows; or no memory; nothing was taken
 *   TRIBUTARY_DEADLINE_EXCEEDED   the queue stayed full for `wait_timeout_ns`; nothing was taken
 *   TRIBUTARY_FAILED_PRECONDITION the queue is full and this is a callback, which must not wait; nothing was taken
 *   others                        the session has ended, or is closing, with this code; nothing was taken
 */
TRIBUTARY_API enum tributary_code tributary_session_emit(struct tributary_session *session,
                                                         uint64_t activation,
                                                         const struct tributary_event *event);

/* Says that an activation has ended: after what was emitted for it. OK: it is complete; the server
 * may ask again after an error. `message` is cut to 1024 bytes; NULL: none. No callback for it
 * follows.
 *   TRIBUTARY_NOT_FOUND           no such activation, or the shared stream: that one ends with the session
 *   TRIBUTARY_RESOURCE_EXHAUSTED  no memory */
TRIBUTARY_API enum tributary_code tributary_session_end(struct tributary_session *session,
                                                        uint64_t activation, enum tributary_code code,
                                                        const char *message);

/* Waits until everything accepted before this call is confirmed or dropped. Never from a callback
 * (FAILED_PRECONDITION).
 *   TRIBUTARY_DEADLINE_EXCEEDED  some of it is still waiting, and stays queued */
TRIBUTARY_API enum tributary_code tributary_session_flush(struct tributary_session *session,
                                                          int64_t timeout_ns);

TRIBUTARY_API void tributary_session_stats(struct tributary_session *session,
                                           struct tributary_session_stats *figures_out);

/* Ends gently: what waits is sent, for at most `drain_ns` (0: 5 s; TRIBUTARY_NONE: nothing more),
 * then ended() says OK. Not registered at the moment: ended() says CANCELLED at once. Does not
 * wait; a second call changes nothing. */
TRIBUTARY_API void tributary_session_finish(struct tributary_session *session, int64_t drain_ns);

/* Ends at once: ended() says CANCELLED. Does not wait; a second call changes nothing. */
TRIBUTARY_API void tributary_session_cancel(struct tributary_session *session);

/* Waits until ended() has returned, and says what it said. Never from a callback.
 *   TRIBUTARY_DEADLINE_EXCEEDED with status->reason "STILL_RUNNING": it has not ended, `status` says only that
 */
TRIBUTARY_API enum tributary_code tributary_session_wait(struct tributary_session *session,
                                                         int64_t timeout_ns, struct tributary_status *status);

/* Cancels where it has not ended, and waits until its last callback has returned. Never from a
 * callback. NULL is allowed. */
TRIBUTARY_API void tributary_session_free(struct tributary_session *session);

#endif
