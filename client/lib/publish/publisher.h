/* publisher.h - the inside of a publisher, shared by publisher.c (the queue: any thread) and
 * publisher_stream.c (the wire: client thread). */
#ifndef TRIBUTARY_CLIENT_PUBLISHER_H
#define TRIBUTARY_CLIENT_PUBLISHER_H

#include "client/lib/core/batch.h"
#include "client/lib/core/client.h"
#include "client/lib/core/stream.h"

/*   RESTING --events--> OPEN --lost--> PAUSED --timer--> OPEN, or RESTING with nothing to send
 *      |                 |  \-refused for good-> FAILED    |
 *      +------free-------+-------------free----------------+--> CLOSING --call ended--> CLOSED */
enum publisher_state {
    PUBLISHER_RESTING,
    PUBLISHER_OPEN,
    PUBLISHER_PAUSED,
    PUBLISHER_FAILED,
    PUBLISHER_CLOSING,
    PUBLISHER_CLOSED,
    PUBLISHER_STATE_COUNT
};

/* When tributary_publish() must wake the client thread. */
enum publisher_wake {
    WAKE_NOT,   /* it will look by itself, when what it does now is done */
    WAKE_FIRST, /* it found nothing: wake it for the first event */
    WAKE_LOAD   /* it lingers: wake it when a message is well filled */
};

#define LOAD_EVENTS 256u  /* a message with this many events, */
#define LOAD_BYTES 16384u /* or bytes, is well filled */

struct tributary_publisher {
    /* Set once. */
    struct tributary *client;
    struct tributary_publisher_options options; /* defaults filled in; `producer` is ours */
    size_t head_size;                           /* of every message: the producer's name */

    /* Client thread only. */
    enum publisher_state state;
    struct stream stream;
    struct list again; /* sent on a stream that was lost; goes first on the next */
    struct list sent;  /* not confirmed on this one */
    /* PAUSED: the next attempt. OPEN: how long to wait for a connection. CLOSING: for the status. */
    struct timer retry;
    struct timer linger;
    uint32_t attempt;      /* since the last confirmation */
    uint64_t batch_number; /* the last one sent on this stream */
    bool connected;        /* this stream carried a message */
    int64_t lost_ns;       /* when such a stream was lost; 0: none was */
    bool loaded;           /* the last message was well filled */

    struct post work;
    struct post end;

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something was settled, or it ended */
    uint32_t waiting;       /* threads that wait on it */
    pthread_cond_t space;   /* a full queue has room again, or it failed */
    uint32_t held_back;     /* threads that wait for that */
    struct list queued;     /* full */
    struct batch *filling;  /* NULL: none */
    size_t capacity_guess;  /* for the next one */
    size_t held_bytes;      /* accepted and not settled */
    uint32_t held_events;
    enum publisher_wake wake;
    enum tributary_code failed; /* OK: it works */
    bool ended;
    struct tributary_published stats;
};

/* Client thread. Sets up what the wire needs; nothing is sent yet. */
void publisher_stream_init(struct tributary_publisher *publisher);

/* Client thread. The batch was confirmed, or refused; lets it go. */
void publisher_complete(struct tributary_publisher *publisher, struct batch *batch, bool confirmed);

/* Client thread. The next message to send, or NULL: then `wake` is set, and the linger timer where
 * it lingers. */
struct batch *publisher_take(struct tributary_publisher *publisher);

/* Client thread. Everything that waits unsent, however little: for giving it up. NULL: nothing
 * waits. */
struct batch *publisher_take_any(struct tributary_publisher *publisher);

#endif
