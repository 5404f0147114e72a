/* publisher.h - the inside of a publisher.
 *
 *   publisher.c         the queue: any thread
 *   publisher_make.c    making and freeing
 *   publisher_stream.c  the call: client thread
 *   publisher_answer.c  what the server answers: client thread */
#ifndef TRIBUTARY_CLIENT_PUBLISHER_H
#define TRIBUTARY_CLIENT_PUBLISHER_H

#include "client/lib/core/batch.h"
#include "client/lib/core/client.h"
#include "client/lib/core/numbering.h"
#include "client/lib/core/stream.h"

/*   IDLE --events--> OPEN --lost--> BACKOFF --timer--> IDLE
 *                     |  `--refused for good--> FAILED
 *                     `--free--> CLOSING --call ended--> CLOSED
 *   Without a call (IDLE, BACKOFF, FAILED), free leads to CLOSED at once. */
enum publisher_state {
    PUBLISHER_IDLE,
    PUBLISHER_OPEN,
    PUBLISHER_BACKOFF,
    PUBLISHER_FAILED,
    PUBLISHER_CLOSING,
    PUBLISHER_CLOSED
};

/* When tributary_publish() must wake the client thread. */
enum publisher_wake {
    WAKE_NOT,   /* never: the client thread is busy, and checks the queue when it is done */
    WAKE_FIRST, /* for the first event: the client thread found nothing to send */
    WAKE_LOAD   /* for a well filled message: the client thread lingers */
};

/* A message is well filled with this many events or bytes. */
#define LOAD_EVENTS 256u
#define LOAD_BYTES 16384u

#define MAX_PUBLISHER_BATCH_BYTES (1u << 20) /* of one message */
#define MIN_PUBLISHER_CAPACITY 2048u         /* of the first message's memory */

struct tributary_publisher {
    /* Set once. */
    struct tributary *client;
    struct tributary_publisher_options options; /* defaults filled in; owns `producer` */
    struct buf head;    /* of every message: the producer's name, what to confirm, and the numbers */
    size_t numbers_end; /* in `head`; 0: there are none */

    /* Client thread only. */
    enum publisher_state state;
    struct stream stream;
    struct list resend; /* sent on a stream that was lost; sent first on the next one */
    struct list sent;   /* sent on this stream and not confirmed */
    /* BACKOFF: the next attempt. OPEN: the limit for the connection. CLOSING: the limit for the
     * status. */
    struct cq_timer retry;
    struct cq_timer linger;
    uint32_t attempt;      /* since the last confirmation */
    uint64_t batch_number; /* the last one sent on this stream */
    uint32_t unanswered;   /* messages in `sent` */
    bool connected;        /* this stream has sent a message */
    int64_t lost_ns;       /* when the last connected stream was lost; 0: none was */
    struct numbering numbering;
    uint64_t stream_duplicates; /* on this stream, by the newest answer */
    bool store_fails;           /* the server cannot store; until a message is confirmed */
    bool is_doomed;             /* the stream is being ended because of `doom`, for good */
    struct tributary_status doom;
    bool loaded; /* the last message was well filled */

    struct post work;
    struct post end;

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a message was completed, or the publisher ended */
    uint32_t flush_waiters; /* threads that wait for `changed` */
    pthread_cond_t space;   /* a full queue has space again, or the publisher failed */
    uint32_t space_waiters; /* threads that wait for `space` */
    struct list queued;     /* full messages */
    struct batch *filling;  /* the message that takes the next event; NULL: none */
    size_t capacity_guess;  /* for the next message */
    size_t held_bytes;      /* accepted, and neither confirmed nor refused */
    uint32_t held_events;
    enum publisher_wake wake;
    enum tributary_code failed; /* publishing fails with this code; OK: it does not fail */
    bool ended;
    struct tributary_publisher_stats stats;
};

/* Sets up the stream, the timers and the posts. Sends nothing yet. */
void publisher_stream_init(struct tributary_publisher *publisher);

/* Handles an answer of the server. False: it cannot be read. */
bool publisher_answered(struct tributary_publisher *publisher, struct bytes message);

/* Handles the messages that were sent on a stream that is lost: they will be sent again. */
void publisher_requeue_sent(struct tributary_publisher *publisher);

/* Reports a batch as refused, counts it and releases it. Sets the numbers of the events. */
void publisher_refuse(struct tributary_publisher *publisher, struct batch *batch,
                      const struct tributary_refused *refusal);

/* Counts a batch as confirmed or refused, and releases it. Client thread. */
void publisher_complete(struct tributary_publisher *publisher, struct batch *batch, bool confirmed);

/* Removes the next message to send from the queue and returns it. NULL: none. Sets `wake`, and the
 * linger timer if a message lingers. Client thread. */
struct batch *publisher_dequeue(struct tributary_publisher *publisher);

/* The same, but it also returns a message that would linger: for refusing everything. NULL: the
 * queue is empty. Client thread. */
struct batch *publisher_dequeue_any(struct tributary_publisher *publisher);

#endif
