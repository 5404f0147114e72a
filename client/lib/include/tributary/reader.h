/* reader.h - subscribe, and take what arrives when it suits the program: with a timeout, or from an
 * event loop of its own. Part of <tributary/tributary.h>.
 *
 * A reader is a subscriber (subscribe.h) with a queue instead of callbacks. While the queue is
 * full, the client reads nothing more of the stream, and everything else of the client goes on.
 * What the program does not take waits at the server then, where the overflow policy applies.
 *
 *   while (tributary_reader_next(reader, TRIBUTARY_FOREVER, &item) == TRIBUTARY_OK &&
 *          item->kind != TRIBUTARY_ITEM_ENDED)
 *       if (item->kind == TRIBUTARY_ITEM_EVENT)
 *           handle(&item->event);
 *
 * Threads: one at a time may call tributary_reader_next(). */
#ifndef TRIBUTARY_READER_H
#define TRIBUTARY_READER_H

#include "export.h"
#include "subscribe.h"

struct tributary_reader;

/* What an item is, and the member of struct tributary_item that is set. */
enum tributary_item_kind {
    TRIBUTARY_ITEM_STARTED = 1, /* `started`: a stream has begun */
    TRIBUTARY_ITEM_SETTINGS,    /* `settings`: a new filter is in force for what follows */
    TRIBUTARY_ITEM_REFUSED,     /* `refused`: the server did not follow a request */
    TRIBUTARY_ITEM_LOST,        /* `lost` */
    TRIBUTARY_ITEM_EVENT,       /* `event` */
    TRIBUTARY_ITEM_STATUS,      /* `status`: of a producer */
    TRIBUTARY_ITEM_PROGRESS,    /* `progress` */
    TRIBUTARY_ITEM_CLOSING,     /* `closing` */
    TRIBUTARY_ITEM_INTERRUPTED, /* `interrupted`: the stream was lost, and is opened again; of several
                                   that wait one behind the other, the queue keeps the latest */
    TRIBUTARY_ITEM_ENDED,       /* `ended`: the last item */
    TRIBUTARY_ITEM_FELL_BEHIND, /* `topic`: the stream goes on from the disk */
    TRIBUTARY_ITEM_CAUGHT_UP    /* `topic`: the stream has all that there is */
};

struct tributary_interrupted {
    const struct tributary_status *status;
    int64_t retry_ns; /* after which the next attempt is made */
};

/* The members are those of the callbacks in subscribe.h. */
struct tributary_item {
    enum tributary_item_kind kind;
    union {
        struct tributary_started started;
        struct tributary_settings settings;
        struct tributary_request_refused refused;
        struct tributary_lost lost;
        struct tributary_delivery event;
        struct tributary_producer_status status;
        struct tributary_topic_notice topic;
        struct tributary_progress progress;
        struct tributary_closing closing;
        struct tributary_interrupted interrupted;
        const struct tributary_status *ended; /* as of ended() in subscribe.h */
    };
};

/* The bounds of the queue. The client reads no further message while one of them is reached. A
 * message that has come is queued whole: so many events as `max_batch_events` allows. */
struct tributary_reader_options {
    uint32_t max_items; /* 0: 1024 */
    uint64_t max_bytes; /* the memory of the items; 0: 4 MiB */
};

/* Starts a subscriber and its queue. `reader_options` may be NULL. Errors are those of
 * tributary_subscribe(), and
 *   TRIBUTARY_RESOURCE_EXHAUSTED  no memory, or no descriptor */
TRIBUTARY_API enum tributary_code tributary_reader_open(struct tributary *client,
                                                        const struct tributary_subscriber_options *options,
                                                        const struct tributary_reader_options *reader_options,
                                                        struct tributary_reader **reader_out,
                                                        struct tributary_status *status);

/* Takes the next item. It waits for one, at most `timeout_ns`; 0: it does not wait. *item_out is
 * valid until the next call, and until tributary_reader_free(). After TRIBUTARY_ITEM_ENDED, every
 * call returns that item again. Never call this from a callback of the same client.
 *   TRIBUTARY_DEADLINE_EXCEEDED    no item came in time; the item before is valid no more
 *   TRIBUTARY_FAILED_PRECONDITION  this is a callback of the same client; nothing changed */
TRIBUTARY_API enum tributary_code tributary_reader_next(struct tributary_reader *reader, int64_t timeout_ns,
                                                        const struct tributary_item **item_out);

/* A descriptor for poll(), epoll or an event loop: it can be read exactly while an item waits. Do
 * not read it, and do not close it: take items with a timeout of 0 until none is left, or one for
 * each turn of a loop that is level-triggered. The reader owns it. */
TRIBUTARY_API int tributary_reader_fd(const struct tributary_reader *reader);

/* How many items wait. Any thread. */
TRIBUTARY_API uint64_t tributary_reader_waiting(struct tributary_reader *reader);

/* The subscriber, for tributary_subscriber_finish(), _cancel(), _credit() and _select(). The reader
 * owns it: never wait for it while the queue may be full, and never free it. */
TRIBUTARY_API struct tributary_subscriber *tributary_reader_subscriber(struct tributary_reader *reader);

/* Cancels the subscriber if it has not ended, and frees everything. Never call this from a
 * callback. NULL is allowed. */
TRIBUTARY_API void tributary_reader_free(struct tributary_reader *reader);

#endif
