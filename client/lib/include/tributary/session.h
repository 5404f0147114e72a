/* session.h - register as a producer that stays connected. Part of <tributary/tributary.h>.
 *
 * A session holds a producer's name while it is registered. It has one of two modes.
 *   SHARED        One stream of events for all consumers. Its activation number is 0.
 *   PER_CONSUMER  One activation for each consumer. start() brings the consumer's request. Events
 *                 that are emitted for that activation reach this consumer only. An activation
 *                 lasts until the server calls stop() or the program tributary_session_end().
 *
 * When the connection is lost, or the server goes away, the session registers again, with growing
 * pauses. It does not register again after REPLACED, REMOVED or NAME_TAKEN.
 *
 * Delivery of shared events is *at least once*: after a new registration the session sends all
 * unconfirmed events once more. With `confirm` STORED it is *exactly once* (confirm.h). Activations
 * end with their registration. */
#ifndef TRIBUTARY_SESSION_H
#define TRIBUTARY_SESSION_H

#include <stdbool.h>

#include "export.h"
#include "publish.h"
#include "session_callbacks.h"

struct tributary_session;

enum tributary_mode {
    TRIBUTARY_MODE_SHARED = 1,      /* one stream of events for all consumers */
    TRIBUTARY_MODE_PER_CONSUMER = 2 /* one activation for each consumer that matches */
};

/* What happens when a newer session registers under the same name. */
enum tributary_on_duplicate {
    TRIBUTARY_ON_DUPLICATE_REPLACE = 1, /* the newer session takes the name */
    TRIBUTARY_ON_DUPLICATE_REJECT = 2   /* the newer session is refused: ALREADY_EXISTS */
};

/* How the name passes from an older session to a newer one. */
enum tributary_handover {
    /* the newer session starts after the older one has ended, which takes at most 1 s */
    TRIBUTARY_HANDOVER_STOP_FIRST = 1,
    TRIBUTARY_HANDOVER_START_FIRST = 2 /* for a moment both may emit */
};

struct tributary_session_options {
    const char *name;                      /* 1 to 256 bytes, printable */
    const struct tributary_header *labels; /* at most 64; selectors can match them */
    size_t label_count;
    const char *const *topics; /* at most 64; for people */
    size_t topic_count;
    enum tributary_mode mode;                 /* 0: SHARED */
    enum tributary_on_duplicate on_duplicate; /* 0: REPLACE */
    enum tributary_handover handover;         /* 0: STOP_FIRST */
    /* The bounds of each activation's queue, which holds waiting and unconfirmed events. */
    size_t queue_bytes;    /* 0: 1 MiB; 8 MiB in mode SHARED */
    uint32_t queue_events; /* 0: 4096; 262144 in mode SHARED */
    /* These five are as in tributary_publisher_options. */
    uint32_t batch_bytes;
    uint32_t batch_events;
    int64_t linger_ns;
    enum tributary_when_full when_full;
    int64_t wait_timeout_ns;
    /* These three as well, in mode SHARED. `confirm` is left to the server, or STORED; then all
     * shared events must be of stored topics, and they are numbered. */
    uint32_t window;
    enum tributary_confirm confirm;
    struct tributary_numbering numbering;
    bool no_reconnect; /* the first loss of the connection ends the session, with UNAVAILABLE */
};

/* At all times: accepted = confirmed + dropped + events in the queues. Refused events count as
 * dropped. */
struct tributary_session_stats {
    uint64_t accepted;      /* events that tributary_session_emit() accepted */
    uint64_t confirmed;     /* events that the server confirmed */
    uint64_t dropped;       /* events whose activation, or session, ended before they were confirmed */
    uint64_t bytes;         /* of the accepted events, as they are encoded */
    uint64_t messages;      /* sent */
    uint64_t registrations; /* how often the session got its name */
    uint64_t started;       /* activations so far */
    uint32_t activations;   /* activations that have not ended */
    uint64_t epoch;         /* of the newest registration; 0: none yet */
    uint64_t duplicates;    /* confirmed events that had been stored before */
    uint64_t life;          /* of the numbers; 0: without numbers */
};

/* Starts a session. It copies everything in `options` and `callbacks`. The server checks what is
 * not checked here, and refuses it through ended().
 *   TRIBUTARY_INVALID_ARGUMENT    an option is out of its bounds; `status` names it
 *   TRIBUTARY_RESOURCE_EXHAUSTED  no memory */
TRIBUTARY_API enum tributary_code tributary_register(struct tributary *client,
                                                     const struct tributary_session_options *options,
                                                     const struct tributary_session_callbacks *callbacks,
                                                     struct tributary_session **session_out,
                                                     struct tributary_status *status);

/* Puts a copy of one event into the queue of an activation; 0 is the shared stream. Order is kept
 * within an activation. A program may emit shared events before registered(). A call that fails
 * accepted nothing.
 *   TRIBUTARY_INVALID_ARGUMENT     the event breaks a bound; tributary_event_fault() says which
 *   TRIBUTARY_NOT_FOUND            no such activation: it never started, was stopped, or has ended
 *   TRIBUTARY_RESOURCE_EXHAUSTED   the queue is full and `when_full` is FAIL: writable() follows;
 *                                  or no memory
 *   TRIBUTARY_DEADLINE_EXCEEDED    the queue stayed full for `wait_timeout_ns`
 *   TRIBUTARY_FAILED_PRECONDITION  the queue is full, and this is a callback, which must not wait
 *   others                         the session has ended, or is ending, with this code */
TRIBUTARY_API enum tributary_code tributary_session_emit(struct tributary_session *session,
                                                         uint64_t activation,
                                                         const struct tributary_event *event);

/* Ends an activation, behind all events that were emitted for it. Code OK: the answer is complete.
 * After an error the server may start an activation again. `message` is shortened to 1024 bytes;
 * NULL: none. No callback for the activation follows.
 *   TRIBUTARY_NOT_FOUND           no such activation, or 0: the shared stream ends with the session
 *   TRIBUTARY_RESOURCE_EXHAUSTED  no memory; the activation goes on */
TRIBUTARY_API enum tributary_code tributary_session_end(struct tributary_session *session,
                                                        uint64_t activation, enum tributary_code code,
                                                        const char *message);

/* Waits until all events that were accepted before this call are confirmed or dropped.
 *   TRIBUTARY_DEADLINE_EXCEEDED    some are not; they stay in their queues
 *   TRIBUTARY_FAILED_PRECONDITION  this is a callback, which must not wait */
TRIBUTARY_API enum tributary_code tributary_session_flush(struct tributary_session *session,
                                                          int64_t timeout_ns);

TRIBUTARY_API void tributary_session_stats(struct tributary_session *session,
                                           struct tributary_session_stats *stats_out);

/* Ends the session gently. Waiting events are sent for at most `drain_ns` (0: 5 s;
 * TRIBUTARY_NONE: nothing more is sent). Then ended() is called with OK. If the session is not
 * registered at the moment, ended() is called with CANCELLED at once. Does not wait. A second
 * call changes nothing. */
TRIBUTARY_API void tributary_session_finish(struct tributary_session *session, int64_t drain_ns);

/* Ends the session at once: ended() is called with CANCELLED. Does not wait. A second call changes
 * nothing. */
TRIBUTARY_API void tributary_session_cancel(struct tributary_session *session);

/* Waits until ended() has returned. Returns its code and sets *status to its status. Never call
 * this from a callback.
 *   TRIBUTARY_DEADLINE_EXCEEDED, and "STILL_RUNNING" in status->reason: it has not ended in time */
TRIBUTARY_API enum tributary_code tributary_session_wait(struct tributary_session *session,
                                                         int64_t timeout_ns, struct tributary_status *status);

/* Cancels the session if it has not ended, waits until its last callback has returned, and frees
 * it. Never call this from a callback. NULL is allowed. */
TRIBUTARY_API void tributary_session_free(struct tributary_session *session);

#endif
