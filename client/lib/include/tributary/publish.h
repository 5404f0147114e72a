/* publish.h - publish events. Part of <tributary/tributary.h>.
 *
 * A publisher packs events into messages. When nothing is on its way, an event leaves at once.
 * Events that come while a message is on its way go into the next message. The publisher keeps
 * every message until the server confirms it. When the connection is lost, it connects again, with
 * growing pauses, and sends all unconfirmed messages once more.
 *
 * With `confirm` STORED delivery is *exactly once*: confirm.h says what it needs. Otherwise it is
 * *at least once*. The server may have received a message whose confirmation was lost
 * with the connection. The events of such a message arrive twice, under new sequence numbers. Set
 * `event.id` if your consumers must recognise them. A publisher keeps the order of its events. */
#ifndef TRIBUTARY_PUBLISH_H
#define TRIBUTARY_PUBLISH_H

#include "confirm.h"
#include "event.h"
#include "export.h"
#include "status.h"

struct tributary;
struct tributary_publisher;

/* What a call does when the queue is full. */
enum tributary_when_full {
    TRIBUTARY_WHEN_FULL_WAIT, /* it waits, for at most `wait_timeout_ns` */
    TRIBUTARY_WHEN_FULL_FAIL  /* it fails with RESOURCE_EXHAUSTED at once */
};

struct tributary_publisher_options {
    /* the producer's name, at most 256 bytes; NULL or empty: the caller's identity, else
     * `anonymous` */
    const char *producer;
    /* The bounds of the queue, which holds waiting and unconfirmed events. An empty queue takes any
     * event. */
    size_t queue_bytes;    /* 0: 8 MiB */
    uint32_t queue_events; /* 0: 262144 */
    /* A message is sent when it has this many bytes or events. A larger event goes alone. */
    uint32_t batch_bytes;  /* 0: 128 KiB; at most 1 MiB */
    uint32_t batch_events; /* 0: 4096; at most 65536 */
    /* how long a small message waits for more events, under load only; 0: 1 ms; at most 1 s */
    int64_t linger_ns;
    /* an unconfirmed event is refused after this long without a connection, or without a store that
     * works; 0: 60 s; TRIBUTARY_NONE: never */
    int64_t give_up_ns;
    /* how many messages may be sent and not confirmed; 0: 256 with `confirm` STORED, else as many
     * as the queue holds; at most 65536 */
    uint32_t window;
    enum tributary_confirm confirm; /* the default leaves it to the server */
    struct tributary_numbering numbering;
    enum tributary_when_full when_full; /* the default is WAIT */
    int64_t wait_timeout_ns;            /* 0 or TRIBUTARY_NONE: no limit */

    /* Callbacks, on the client thread. Each may be NULL. */
    void (*refused)(void *ctx, const struct tributary_refused *refused);
    void (*confirmed)(void *ctx, const struct tributary_confirmed *confirmed);
    /* The connection was lost or could not be made. The events stay in the queue. The publisher
     * tries again after `retry_ns`. */
    void (*interrupted)(void *ctx, const struct tributary_status *status, int64_t retry_ns);
    void *ctx;
};

/* At all times: accepted = confirmed + refused + events in the queue. */
struct tributary_publisher_stats {
    uint64_t accepted;      /* events that tributary_publish() accepted */
    uint64_t confirmed;     /* events that the server confirmed */
    uint64_t refused;       /* events that refused() reported */
    uint64_t bytes;         /* of the accepted events, as they are encoded */
    uint64_t messages;      /* sent; a message that was sent again counts again */
    uint64_t reconnects;    /* lost connections so far */
    uint64_t epoch;         /* the producer's, by the newest answer of the server; 0: not known yet */
    uint64_t last_sequence; /* of the newest confirmed event, by the newest answer */
    uint64_t duplicates;    /* confirmed events that had been stored before */
    uint64_t life;          /* of the numbers; 0: without numbers */
};

/* Creates a publisher. It copies everything in `options`.
 *   TRIBUTARY_INVALID_ARGUMENT    an option is out of its bounds; `status` names it
 *   TRIBUTARY_RESOURCE_EXHAUSTED  no memory */
TRIBUTARY_API enum tributary_code tributary_publisher_new(struct tributary *client,
                                                          const struct tributary_publisher_options *options,
                                                          struct tributary_publisher **publisher_out,
                                                          struct tributary_status *status);

/* Puts a copy of one event into the queue. It checks all bounds of an event first, so a bad event
 * cannot make the server refuse the message that others share. A call that fails accepted nothing.
 *   TRIBUTARY_INVALID_ARGUMENT     the event breaks a bound; tributary_event_fault() says which
 *   TRIBUTARY_RESOURCE_EXHAUSTED   the queue is full and `when_full` is FAIL; or no memory
 *   TRIBUTARY_DEADLINE_EXCEEDED    the queue stayed full for `wait_timeout_ns`
 *   TRIBUTARY_FAILED_PRECONDITION  the queue is full, and this is a callback, which must not wait
 *   TRIBUTARY_CANCELLED            the publisher is being freed, and this is a callback
 *   others                         the publisher has failed for good with this code, such as for a
 *                                  bad producer name */
TRIBUTARY_API enum tributary_code tributary_publish(struct tributary_publisher *publisher,
                                                    const struct tributary_event *event);

/* Waits until all events that were accepted before this call are confirmed or refused.
 *   TRIBUTARY_OK                   all of them are
 *   TRIBUTARY_DEADLINE_EXCEEDED    some are not; they stay in the queue
 *   TRIBUTARY_FAILED_PRECONDITION  this is a callback, which must not wait */
TRIBUTARY_API enum tributary_code tributary_publisher_flush(struct tributary_publisher *publisher,
                                                            int64_t timeout_ns);

TRIBUTARY_API void tributary_publisher_stats(struct tributary_publisher *publisher,
                                             struct tributary_publisher_stats *stats_out);

/* Returns the bound that an event breaks, in words, for a message after INVALID_ARGUMENT. Returns
 * an empty text for a valid event. The text is static. */
TRIBUTARY_API const char *tributary_event_fault(const struct tributary_event *event);

/* Ends the publisher. Unconfirmed events are refused with CANCELLED, so flush first. Waits until
 * the last callback has returned. Never call this from a callback. NULL is allowed. */
TRIBUTARY_API void tributary_publisher_free(struct tributary_publisher *publisher);

#endif
