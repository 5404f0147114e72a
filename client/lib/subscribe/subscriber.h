/* subscriber.h - the inside of a subscriber.
 *
 *   subscriber.c          what any thread may call
 *   subscriber_stream.c   the call: opens the stream, reads it, opens it again
 *   subscriber_consume.c  the requests of a subscriber that consumes */
#ifndef TRIBUTARY_CLIENT_SUBSCRIBER_H
#define TRIBUTARY_CLIENT_SUBSCRIBER_H

#include "base/buf.h"
#include "client/lib/core/client.h"
#include "client/lib/subscribe/credit.h"
#include "client/lib/subscribe/decode.h"
#include "client/lib/subscribe/resume_state.h"
#include "client/lib/subscribe/subscribe_encode.h"
#include "client/lib/core/stream.h"

/*   OPENING --started--> LIVE --finish--> FINISHING --call ended--> ENDED
 *    ^  | lost, late      | lost             |                        ^
 *  timer|                 |                  | cancel                 |
 *    |  v                 v                  v                        |
 *   BACKOFF <-------------+             CANCELLING ----call ended-----+
 *   Every state but ENDED can be cancelled. An error that is not retryable ends OPENING, LIVE and
 *   FINISHING. */
enum subscriber_state {
    SUBSCRIBER_OPENING,
    SUBSCRIBER_LIVE,
    SUBSCRIBER_BACKOFF,
    SUBSCRIBER_FINISHING,
    SUBSCRIBER_CANCELLING,
    SUBSCRIBER_ENDED
};

/* The part of a subscriber that consumes. */
struct consume {
    /* Set once. */
    bool enabled;

    /* Client thread only. */
    struct credit events, bytes;
    bool bound_sent;        /* the server knows that events are bounded on this stream */
    bool drain_sent;        /* on this stream */
    uint64_t requests;      /* sent on this stream; init is 1 */
    uint64_t select_number; /* of the select that has no answer yet; 0: none */
    struct buf sent_filter; /* the filter of that select */

    /* Any thread, under lock. */
    uint64_t more_events, more_bytes; /* credit by hand that is not granted yet */
    struct buf wanted_filter;         /* the filter of the next select */
    bool wants_select;
};

struct tributary_subscriber {
    /* Set once. */
    struct tributary *client;
    struct tributary_subscriber_callbacks callbacks;
    struct buf request; /* an encoded SubscribeRequest without filter, start and limit */
    bool no_reconnect;
    struct subscribe_start start; /* until there is a position */
    uint64_t limit_events;

    /* Client thread only. */
    enum subscriber_state state;
    struct stream stream;
    struct stream finish_call; /* the call of Finish */
    struct decoder decoder;
    struct buf filter; /* the encoded filter in force */
    bool was_live;     /* a stream of this subscriber has begun */
    /* A stream has begun since the last time that the subscriber began without a position. */
    bool has_unreported_gap;
    uint64_t delivered; /* events, over all streams */
    struct resume_state resume;
    struct buf id; /* of the subscription at the server */
    /* BACKOFF: the next attempt. OPENING: the limit for the start. FINISHING: the limit for the
     * end. */
    struct cq_timer retry;
    struct cq_timer silence; /* LIVE: fires after three heartbeats without a message */
    int64_t silence_ns;      /* 0: no heartbeats */
    int64_t last_message_ns;
    uint32_t attempt;
    struct tributary_status last; /* how the last stream ended */
    bool is_held;                 /* the owner takes no further message: no read, and no new stream */
    struct consume consume;

    struct post begin, work, end;

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool wants_finish, wants_cancel, wants_resume, is_freed;
    int64_t drain_ns;
    bool ended;    /* ended() has returned, and `final` is set */
    bool released; /* nothing on the client thread refers to the subscriber any more */
    struct tributary_status final;
};

void subscriber_stream_init(struct tributary_subscriber *subscriber);

/* For an owner with a queue. subscriber_hold() is called in `applied`: no further message is read,
 * and no new stream is opened, until subscriber_resume(), which any thread may call. The time in
 * between is no silence. */
void subscriber_hold(struct tributary_subscriber *subscriber);
void subscriber_resume(struct tributary_subscriber *subscriber);

/* subscriber_consume.c. Client thread. All but consume_open() do nothing for a subscriber that does
 * not consume. */

/* Sends `init`, the encoded SubscribeRequest, as the first request of a new stream, and frees its
 * bytes. */
void consume_open(struct tributary_subscriber *subscriber, struct buf *init);

/* Sends the next request, if one waits and none is on its way. */
void consume_pump(struct tributary_subscriber *subscriber);

/* A message was handled. */
void consume_handled(struct tributary_subscriber *subscriber);

/* The stream is lost. */
void consume_lost(struct tributary_subscriber *subscriber);
void consume_fini(struct consume *consume);

#endif
