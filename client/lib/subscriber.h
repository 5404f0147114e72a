/* subscriber.h - the inside of a subscriber: subscriber.c (what any thread may call) and subscriber_stream.c (the wire: client thread). */
#ifndef TRIBUTARY_CLIENT_SUBSCRIBER_H
#define TRIBUTARY_CLIENT_SUBSCRIBER_H

#include "base/buf.h"
#include "client/lib/client.h"
#include "client/lib/decode.h"
#include "client/lib/stream.h"

/*   OPENING --started--> LIVE --finish--> FINISHING --call ended--> ENDED
 *    ^  | lost, late      | lost             |                        ^
 *  timer|                 |                  | cancel                 |
 *    |  v                 v                  v                        |
 *   PAUSED <--------------+             CANCELLING ----call ended-----+
 *   Every state but ENDED may be cancelled; an error that does not pass ends OPENING, LIVE and FINISHING. */
enum subscriber_state {
    SUBSCRIBER_OPENING,
    SUBSCRIBER_LIVE,
    SUBSCRIBER_PAUSED,
    SUBSCRIBER_FINISHING,
    SUBSCRIBER_CANCELLING,
    SUBSCRIBER_ENDED,
    SUBSCRIBER_STATE_COUNT
};

struct tributary_subscriber {
    /* Set once. */
    struct tributary *client;
    struct tributary_watch watch;
    struct buf request; /* without the start */
    bool no_reconnect;

    /* Client thread only. */
    enum subscriber_state state;
    struct stream stream;
    struct stream finisher; /* the call of Finish */
    struct decoder decoder;
    struct buf token;     /* the newest; empty: none */
    bool token_is_ours;   /* it came by a stream of this subscriber */
    struct buf id;        /* of the subscription at the server */
    struct timer retry;   /* PAUSED: the next attempt. OPENING: how long to wait for a beginning. FINISHING: for the end. */
    struct timer silence; /* LIVE: no message for three heartbeats */
    int64_t silence_ns;   /* 0: no heartbeats */
    int64_t last_message_ns;
    uint32_t attempt;
    struct tributary_status last; /* how the stream ended */

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

#endif
