/* subscriber.h - the inside of a subscriber: subscriber.c (what any thread may call),
 * subscriber_stream.c (the wire: client thread) and subscriber_consume.c (the steps of one that
 * consumes). */
#ifndef TRIBUTARY_CLIENT_SUBSCRIBER_H
#define TRIBUTARY_CLIENT_SUBSCRIBER_H

#include "base/buf.h"
#include "client/lib/core/client.h"
#include "client/lib/subscribe/credit.h"
#include "client/lib/subscribe/decode.h"
#include "client/lib/core/stream.h"

/*   OPENING --started--> LIVE --finish--> FINISHING --call ended--> ENDED
 *    ^  | lost, late      | lost             |                        ^
 *  timer|                 |                  | cancel                 |
 *    |  v                 v                  v                        |
 *   PAUSED <--------------+             CANCELLING ----call ended-----+
 *   Every state but ENDED may be cancelled; an error that does not pass ends OPENING, LIVE and FINISHING.
 */
enum subscriber_state {
    SUBSCRIBER_OPENING,
    SUBSCRIBER_LIVE,
    SUBSCRIBER_PAUSED,
    SUBSCRIBER_FINISHING,
    SUBSCRIBER_CANCELLING,
    SUBSCRIBER_ENDED,
    SUBSCRIBER_STATE_COUNT
};

/* Of a subscriber that consumes. */
struct consume {
    /* Set once. */
    bool on;

    /* Client thread only. */
    struct credit events, bytes;
    bool bound_sent;      /* the stream knows that events are bounded */
    bool drain_sent;      /* on this stream */
    uint64_t steps;       /* sent on this stream, init included */
    uint64_t select_step; /* the number of the select that was not answered yet; 0: none */
    struct buf chosen;    /* its selectors */

    /* Any thread, under lock. */
    uint64_t more_events, more_bytes;
    struct buf wanted; /* selectors to be told */
    bool wants_select;
};

struct tributary_subscriber {
    /* Set once. */
    struct tributary *client;
    struct tributary_subscriber_callbacks callbacks;
    struct buf request; /* without selectors, start and limit */
    bool no_reconnect;
    uint32_t start_last;
    uint64_t limit_events;

    /* Client thread only. */
    enum subscriber_state state;
    struct stream stream;
    struct stream finisher; /* the call of Finish */
    struct decoder decoder;
    struct buf selectors; /* in force */
    bool was_live;        /* a stream of this subscriber has begun */
    uint64_t delivered;   /* events, over all streams */
    struct buf token;     /* the newest; empty: none */
    bool token_is_ours;   /* it came by a stream of this subscriber */
    struct buf id;        /* of the subscription at the server */
    /* PAUSED: the next attempt. OPENING: how long to wait for a beginning. FINISHING: for the end. */
    struct timer retry;
    struct timer silence; /* LIVE: no message for three heartbeats */
    int64_t silence_ns;   /* 0: no heartbeats */
    int64_t last_message_ns;
    uint32_t attempt;
    struct tributary_status last; /* how the stream ended */
    struct consume consume;

    struct post begin, work, end;

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool wants_finish, wants_cancel, is_freed;
    int64_t drain_ns;
    bool ended;    /* ended() has returned, and `final` is set */
    bool released; /* nothing on the client thread knows of it any more */
    struct tributary_status final;
};

void subscriber_stream_init(struct tributary_subscriber *subscriber);

/* subscriber_consume.c. Client thread. They do nothing for a subscriber that does not consume, but
 * for the first, which takes the request of a new stream over. */
void consume_open(struct tributary_subscriber *subscriber, struct buf *init);
/* sends the next step where one waits and none is on its way */
void consume_pump(struct tributary_subscriber *subscriber);
void consume_handled(struct tributary_subscriber *subscriber); /* a message was handled */
void consume_lost(struct tributary_subscriber *subscriber);    /* the stream is gone */
void consume_fini(struct consume *consume);

#endif
