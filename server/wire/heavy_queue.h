/* heavy_queue.h - work that waits for a thread with time, such as messages to inflate, and whose
 * turn it is.
 *
 * Peers have turns, and within a peer its connections. A turn is a quarter of a millisecond of the
 * thread's time. Who used more, because one piece of work took long, misses turns until that is
 * made up for, as long as others wait. The work of one connection is done in its order.
 *
 * Threads: one. */
#ifndef TRIBUTARY_SERVER_WIRE_HEAVY_QUEUE_H
#define TRIBUTARY_SERVER_WIRE_HEAVY_QUEUE_H

#include <stdbool.h>

#include "base/list.h"
#include "base/map.h"
#include "base/peer.h"

#define HEAVY_TURN_NS INT64_C(250000)

struct heavy_line;

struct heavy_work {
    struct list link;        /* list_init() before the first use */
    struct heavy_line *line; /* while it waits: that of its connection; else NULL */
    void (*run)(struct heavy_work *work);
};

struct heavy_queue {
    struct map lines;  /* of peers and of connections */
    struct list peers; /* lines of peers, the one whose turn it is first */
    uint64_t count;    /* work that waits */
};

void heavy_queue_init(struct heavy_queue *queue);
void heavy_queue_fini(struct heavy_queue *queue); /* nothing may wait */

/* Adds work of a peer and one of its connections. `connection` only tells connections apart; NULL:
 * it is not known, and the peer has one such line.
 *   ERR_NO_MEMORY  nothing was added */
MUST_CHECK enum err heavy_queue_add(struct heavy_queue *queue, struct heavy_work *work, struct peer_key peer,
                                    const void *connection);
/* Takes out work that waits. Does nothing where it does not wait. */
void heavy_queue_remove(struct heavy_queue *queue, struct heavy_work *work);

/* Takes out the work whose turn it is and runs it. Something must wait. `run` may add and remove
 * work. Returns how long it took. */
int64_t heavy_queue_run(struct heavy_queue *queue);

#endif
