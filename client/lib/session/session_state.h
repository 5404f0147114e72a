/* session_state.h - the inside of a session.
 *
 *   session.c           what any thread may call
 *   session_state.c     its states
 *   send_queue.c        the send queues
 *   session_stream.c    the call: registers, sends, registers again
 *   session_commands.c  what the server sends
 *   session_answer.c    what of it confirms and refuses messages
 *   session_encode.c    what the session sends
 *   session_ending.c    what the end of a registration means */
#ifndef TRIBUTARY_CLIENT_SESSION_STATE_H
#define TRIBUTARY_CLIENT_SESSION_STATE_H

#include "base/buf.h"
#include "base/heap.h"
#include "base/map.h"
#include "client/lib/core/client.h"
#include "client/lib/core/numbering.h"
#include "client/lib/core/stream.h"
#include "client/lib/session/session_ending.h"

struct fsm;

/*   OPENING --welcome--> LIVE --finish, closing--> LEAVING --call ended--> ENDED
 *    ^  | lost, late      | lost                    |  | cancel             ^
 *  timer|                 |                         |  v                    |
 *    |  v                 v      closing, lost      | CANCELLING --ended----+
 *   BACKOFF <-------------+<------------------------+
 *   Every state but ENDED can be cancelled. An error that is not retryable ends OPENING, LIVE and
 *   LEAVING. */
enum session_state {
    SESSION_OPENING,
    SESSION_LIVE,
    SESSION_LEAVING,
    SESSION_BACKOFF,
    SESSION_CANCELLING,
    SESSION_ENDED
};

/* When an emit must wake the client thread. */
enum session_wake {
    SESSION_WAKE_NOT,   /* never: the client thread is busy, and checks the queues when it is done */
    SESSION_WAKE_FIRST, /* for the first event: the client thread found nothing to send */
    SESSION_WAKE_LOAD   /* for a well filled message: the client thread lingers */
};

struct tributary_session {
    /* Set once. */
    struct tributary *client;
    struct tributary_session_callbacks callbacks;
    struct tributary_session_options options; /* defaults filled in; without the texts */
    struct buf hello;                         /* an encoded RegisterRequest */
    uint8_t numbers[MAX_NUMBERS_SIZE];        /* before the events of a shared message */
    size_t numbers_size;                      /* 0: they are not numbered */

    /* Client thread only. */
    enum session_state state;
    struct stream stream;
    /* BACKOFF: the next attempt. OPENING: the limit for the welcome. LEAVING: the limit for waiting
     * events, then for the status. */
    struct cq_timer retry;
    struct cq_timer linger; /* also for stops whose deadline is near */
    struct list sent;       /* messages of this stream that are not confirmed */
    uint32_t unanswered;    /* of them, those of the shared stream */
    uint32_t attempt;
    struct numbering numbering;
    bool is_doomed; /* the stream is being ended because of `doom`, for good */
    struct tributary_status doom;
    uint64_t message_number; /* the last one sent on this stream; hello is 1 */
    bool hello_sent;         /* hello has left, so there is a connection */
    bool half_closed;
    bool expired;   /* LEAVING: the limit for waiting events has passed */
    bool finishing; /* the end is ours; otherwise it is the server's */
    enum session_closing closing;
    struct tributary_status last; /* how the last stream ended */

    struct post begin, work, end;

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a message was completed, or the session ended */
    uint32_t flush_waiters; /* threads that wait for `changed` until everything is confirmed */
    struct map by_id;       /* send queues by their number */
    struct list queues;     /* all of them */
    struct list ready;      /* those whose next message can be sent now */
    struct heap lingering;  /* those whose next message waits for more events, by when it may be sent */
    struct heap stopping;   /* those that are paused and must stop, by when their pause ends */
    uint32_t waiting;       /* how many have a message that waits to be sent, whether it may or not */
    uint64_t visits;        /* queues that were looked at for a message: tests count the work by it */
    bool hold_shared;       /* the server drains: shared events wait for the next registration */
    enum tributary_code emit_code; /* emitting fails with this code; OK: it does not fail */
    enum session_wake wake;
    bool wants_finish, wants_cancel, is_freed;
    int64_t drain_ns;
    bool ended;    /* ended() has returned, and `final` is set */
    bool released; /* nothing on the client thread refers to the session any more */
    struct tributary_status final;
    struct tributary_session_stats stats;
};

/* session_state.c. Client thread. */
extern const struct fsm session_machine;

/* The server welcomed the session. */
void session_welcomed(struct tributary_session *session, uint64_t epoch);

/* From now on the session leaves: what waits is sent for at most `limit_ns`, then the registration
 * ends. session_pump() must follow. */
void session_leave_within(struct tributary_session *session, int64_t limit_ns);

/* session_stream.c. */
void session_stream_init(struct tributary_session *session);

/* Sends the next message, if one waits and none is on its way. Client thread. */
void session_pump(struct tributary_session *session);

/* session_commands.c. Client thread. False: the message cannot be decoded. */
bool session_handle_commands(struct tributary_session *session, struct bytes message);

#endif
