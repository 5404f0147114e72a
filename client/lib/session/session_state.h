/* session_state.h - the inside of a session: session_core.c (what any thread may call), lanes.c
 * (queues), session_stream.c (the wire), session_commands.c (what the server says), session_words.c
 * (what we say, and what an end means). */
#ifndef TRIBUTARY_CLIENT_SESSION_STATE_H
#define TRIBUTARY_CLIENT_SESSION_STATE_H

#include "base/buf.h"
#include "base/map.h"
#include "client/lib/core/batch.h"
#include "client/lib/core/client.h"
#include "client/lib/core/stream.h"

/*   OPENING --welcome--> LIVE --finish, closing--> LEAVING --call ended--> ENDED
 *    ^  | lost, late      | lost                    |  | cancel             ^
 *  timer|                 |                         |  v                    |
 *    |  v                 v      closing, lost      | CANCELLING --ended----+
 *   PAUSED <--------------+<------------------------+
 *   Every state but ENDED may be cancelled; an error that does not pass ends OPENING, LIVE and LEAVING.
 */
enum session_state {
    SESSION_OPENING,
    SESSION_LIVE,
    SESSION_LEAVING,
    SESSION_PAUSED,
    SESSION_CANCELLING,
    SESSION_ENDED,
    SESSION_STATE_COUNT
};

/* Why the server closes the registration, if it does. */
enum session_closing { CLOSING_NOT, CLOSING_REPLACED, CLOSING_REMOVED, CLOSING_DRAINING };

/* When emitting must wake the client thread. */
enum session_wake {
    SESSION_WAKE_NOT,   /* it will look by itself, when what it does now is done */
    SESSION_WAKE_FIRST, /* it found nothing to send */
    SESSION_WAKE_LOAD   /* it lingers: wake it when a message is well filled */
};

#define SHARED_QUEUE UINT64_C(0)

/* The queue of one activation, or of the shared stream. Everything under the session's lock. */
struct send_queue {
    struct map_node node; /* by `id`, while events may be emitted */
    struct list link;     /* in session->queues: all of them, also those that are only waited for */
    struct list ready;    /* in session->ready: has something to send, and may */
    uint64_t id;
    struct list queued;    /* full messages, and perhaps the end */
    struct batch *filling; /* NULL: none */
    size_t capacity_guess;
    size_t held_bytes; /* emitted and not confirmed */
    uint32_t held_events;
    uint32_t unconfirmed; /* messages in session->sent */
    /* clock_mono_ns(): a stop's deadline, after which a pause counts no more; 0: none */
    int64_t stop_at_ns;
    bool paused;
    bool ended;  /* its end is queued or sent */
    bool gone;   /* not in the map any more: freed with its last message */
    bool loaded; /* its last message was well filled */
    bool full;   /* an emit failed: capacity() is to be called */
};

struct tributary_session {
    /* Set once. */
    struct tributary *client;
    struct tributary_session_callbacks callbacks;
    struct tributary_session_options options; /* defaults filled in; texts are not ours after the beginning */
    struct buf hello;                         /* a RegisterRequest */

    /* Client thread only. */
    enum session_state state;
    struct stream stream;
    struct timer
        retry; /* PAUSED: the next attempt. OPENING: how long to wait for a beginning. LEAVING: for what waits, then for the end. */
    struct timer linger; /* also for stops whose deadline is near */
    struct list sent;    /* not confirmed on this stream */
    uint32_t attempt;
    uint64_t message_number; /* the last one sent on this stream, hello included */
    bool hello_sent;         /* hello left: there is a connection */
    bool half_closed;
    bool expired;   /* LEAVING: the time for what waits is over */
    bool finishing; /* we want to end, as against: the server wants us to */
    enum session_closing closing;
    struct tributary_status last; /* how the stream ended */

    struct post begin, work, end;

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something was settled, or it ended */
    uint32_t waiting;       /* threads that wait on it */
    struct map by_id;
    struct list queues;
    struct list ready;
    bool hold_shared;           /* the server drains: shared events wait for the next registration */
    enum tributary_code sealed; /* nothing more is emitted, for this reason; OK: it goes on */
    enum session_wake wake;
    bool wants_finish, wants_cancel, is_freed;
    int64_t drain_ns;
    bool ended;    /* ended() has returned, and `final` is set */
    bool released; /* nothing on the client thread knows of it any more */
    struct tributary_status final;
    struct tributary_session_stats stats;
};

/* session_stream.c. Client thread, but for the first. */
void session_stream_init(struct tributary_session *session);
/* sends the next message where one waits and none is on its way */
void session_pump(struct tributary_session *session);
void session_close_gently(struct tributary_session *session, int64_t patience_ns);
void session_welcomed(struct tributary_session *session, uint64_t epoch);

/* session_commands.c. Client thread. False: the message cannot be read. */
bool session_handle_commands(struct tributary_session *session, struct bytes message);

#endif
