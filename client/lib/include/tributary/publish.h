/* publish.h - publishing events. Part of <tributary/tributary.h>.
 *
 * A publisher packs events into messages by itself. While it is idle an event leaves at once; while
 * a message is on its way, what arrives is packed into the next one. It keeps what it sent until
 * the server confirmed it. When the connection is lost, it connects again, with growing pauses, and
 * sends everything that was not confirmed once more.
 *
 * So an event is taken *at least once*: after a lost connection the events that the server had
 * taken, but not yet confirmed, come twice, under new sequence numbers. Set `event.id` where
 * consumers must tell. Order is kept within a publisher. */
#ifndef TRIBUTARY_PUBLISH_H
#define TRIBUTARY_PUBLISH_H

struct tributary_publisher;

/* What a full queue does to tributary_publish(). */
enum tributary_full {
    TRIBUTARY_FULL_WAIT, /* it waits, for at most `wait_timeout_ns` */
    TRIBUTARY_FULL_FAIL  /* it fails with RESOURCE_EXHAUSTED at once */
};

/* Events that were accepted by tributary_publish() and will not be delivered. Valid during the
 * callback. */
struct tributary_refused {
    /* the server's; or UNAVAILABLE: given up after `give_up_ns`; CANCELLED: the publisher was freed */
    enum tributary_code code;
    const char *reason; /* the server's ErrorInfo.reason, or empty */
    const char *message;
    uint64_t first_event; /* events are counted from 1 in the order in which they were accepted */
    uint64_t last_event;
};

struct tributary_publisher_options {
    /* the producer's name; NULL or empty: the caller's identity, else `anonymous`; at most 256
       bytes */
    const char *producer;
    /* bytes that may wait or be unconfirmed; 0: 8 MiB; one event is always taken when nothing waits */
    size_t queue_bytes;
    uint32_t queue_events; /* events, likewise; 0: 262144 */
    /* a message is sent when it is this large; 0: 128 KiB; at most 1 MiB; a larger event goes alone */
    uint32_t batch_bytes;
    uint32_t batch_events; /* or holds this many events; 0: 4096; at most 65536 */
    /* under load, how long a small message waits for more; never while idle; 0: 1 ms; at most 1 s */
    int64_t linger_ns;
    /* events not confirmed after this long without a connection are refused; 0: 60 s;
       TRIBUTARY_NONE: never */
    int64_t give_up_ns;
    enum tributary_full full; /* WAIT by default */
    int64_t wait_timeout_ns;  /* 0 or TRIBUTARY_NONE: without limit */

    /* Client thread. NULL is allowed for each. */
    void (*refused)(void *ctx, const struct tributary_refused *refused);
    /* The connection was lost, or could not be made; it is tried again after `retry_ns`. Events
     * stay queued. */
    void (*interrupted)(void *ctx, const struct tributary_status *status, int64_t retry_ns);
    void *ctx;
};

/* Figures of a publisher. accepted = confirmed + refused + waiting, at all times. */
struct tributary_published {
    uint64_t accepted;      /* events that tributary_publish() took */
    uint64_t confirmed;     /* taken by the server */
    uint64_t refused;       /* reported by refused() */
    uint64_t bytes;         /* of the accepted events, on the wire */
    uint64_t messages;      /* sent, those sent again included */
    uint64_t reconnects;    /* lost connections so far */
    uint64_t epoch;         /* the producer's, by the newest answer; 0: not known yet */
    uint64_t last_sequence; /* of the newest confirmed event, by the newest answer */
};

/*   TRIBUTARY_INVALID_ARGUMENT    an option is out of its bounds
 *   TRIBUTARY_RESOURCE_EXHAUSTED  no memory
 * Everything in `options` is copied. */
TRIBUTARY_API enum tributary_code tributary_publisher_new(struct tributary *client,
                                                          const struct tributary_publisher_options *options,
                                                          struct tributary_publisher **publisher_out,
                                                          struct tributary_status *status);

/* Takes one event over into the queue: everything is copied before it returns. Checks what the
 * server would refuse, so that one bad event never takes those packed with it along.
 *   TRIBUTARY_INVALID_ARGUMENT    the event breaks a bound of `struct tributary_event`; nothing was taken
 *   TRIBUTARY_RESOURCE_EXHAUSTED  the queue is full and `full` is FAIL; or no memory; nothing was taken
 *   TRIBUTARY_DEADLINE_EXCEEDED   the queue stayed full for `wait_timeout_ns`; nothing was taken
 *   TRIBUTARY_FAILED_PRECONDITION the queue is full and this is a callback, which must not wait; nothing was taken
 *   others                        the publisher has failed for good with this code (a bad producer name); nothing was taken
 */
TRIBUTARY_API enum tributary_code tributary_publish(struct tributary_publisher *publisher,
                                                    const struct tributary_event *event);

/* Waits until everything accepted before this call is confirmed or refused. Never from a callback
 * (FAILED_PRECONDITION).
 *   TRIBUTARY_OK                 all of it was confirmed, or reported as refused
 *   TRIBUTARY_DEADLINE_EXCEEDED  some of it is still waiting, and stays queued */
TRIBUTARY_API enum tributary_code tributary_flush(struct tributary_publisher *publisher, int64_t timeout_ns);

TRIBUTARY_API void tributary_publisher_stats(struct tributary_publisher *publisher,
                                             struct tributary_published *figures_out);

/* Why one event would be refused, in words; empty where it would be taken. For messages after
 * INVALID_ARGUMENT. Static text. */
TRIBUTARY_API const char *tributary_event_fault(const struct tributary_event *event);

/* Ends the publisher: what is not confirmed is refused with CANCELLED, so flush before. Waits until
 * its last callback has returned; never call it from a callback. NULL is allowed. */
TRIBUTARY_API void tributary_publisher_free(struct tributary_publisher *publisher);

#endif
