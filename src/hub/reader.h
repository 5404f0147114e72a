/* reader.h - readers: a consumer's own way through what one producer keeps.
 *
 * A binding gets what the producer publishes. A *reader* also gets what it has published before,
 * at the consumer's own pace. It has a route of the producer's inlet, with a feed of its own, and
 * stays linked there; its kind decides whether the route puts (route->put).
 *
 * Each reader belongs to one subscription and one producer. A *spare* one was made for the next
 * filter of its subscription (rebind.h), and puts nothing until that is in force.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_READER_H
#define TRIBUTARY_HUB_READER_H

#include <stdbool.h>

#include "base/fault.h"
#include "base/status.h"
#include "route/route.h"

struct pause_port;
struct producer;
struct reader;
struct subscription;

struct reader_kind {
    /* Between the two the reader puts nothing, and the loop may change the route's filter, or take
     * it out. The loop locks any number of readers, then their inlets. */
    void (*lock)(struct reader *reader);
    void (*unlock)(struct reader *reader);
    /* A spare one puts what is published from now on. Between lock() and unlock(), under the
     * inlet's lock. */
    void (*begin)(struct reader *reader);
    /* Its route is out, and it puts no more. Between lock() and unlock(). */
    void (*stop)(struct reader *reader);
    /* Whether its full channel keeps it from reading on. It locks the inlet. */
    bool (*is_paused)(const struct reader *reader);
    /* The last call. Something of it may still be under way. */
    void (*release)(struct reader *reader);
};

struct reader {
    const struct reader_kind *kind;
    struct producer *producer;
    struct subscription *subscription;
    struct route route;
    struct list in_subscription; /* in ->readers or ->spare_readers */
    struct list in_producer;     /* in producer->readers */
    size_t kept_bytes;           /* that it is charged with (kept_memory.h) */
    bool is_spare;
    bool catches_up; /* its subscription ends when this and others have caught up */
};

/* A new subscription has none. */
void reader_lists_init(struct subscription *subscription, bool end_when_caught_up);

/* Makes the route, which is not linked yet, and its feed, and charges reader->kept_bytes to the
 * subscription's peer. The rest of `reader` is zero but for `kind` and `is_spare`.
 *   ERR_NO_MEMORY  nothing was made */
MUST_CHECK enum err reader_open(struct reader *reader, struct producer *producer,
                                struct subscription *subscription, const struct filter *filter,
                                const struct filter_part *part, const struct pause_port *pause_port);

/* It gets nothing more. Its feed stays with the channel, in the state it is in, and so does its
 * position. It is released. */
void reader_leave(struct reader *reader);

/* The same, and then the feed ends (feed_close()). */
void reader_close(struct reader *reader, uint32_t state);

/* Closes one spare reader. Returns whether there was one. */
bool readers_free_spare(struct subscription *subscription);

/* The walk that binds the subscription is over: in a later turn it may end because all have caught
 * up. So it does not end before its caller knows that it has begun. */
void readers_bound(struct subscription *subscription);

/* It has caught up for the first time. */
void reader_caught_up(struct reader *reader);

/* The subscription is to end for that, and all have caught up that it waits for. */
bool readers_caught_up(const struct subscription *subscription);

/* It can go on no more: its stream ends with this fault. The caller runs the ready list. */
void reader_failed(struct reader *reader, const struct fault *fault);

#endif
