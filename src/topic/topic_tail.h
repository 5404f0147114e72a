/* topic_tail.h - the way of what was committed to the consumers that keep up, in the order of the
 * commits.
 *
 * The backend answers appends in the order in which it has committed them. The publisher's done()
 * adds its events to the tail, on the backend's thread, and wakes the publisher. Any thread then
 * delivers what the tail has, one thread at a time. So publishers pay for the consumers of their
 * topics, and the backend's thread pays for none.
 *
 * Threads: any. */
#ifndef TRIBUTARY_TOPIC_TOPIC_TAIL_H
#define TRIBUTARY_TOPIC_TOPIC_TAIL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "base/list.h"

struct chunk;
struct inlet;

/* One call of topic_tail_deliver() delivers no more than this, and what it has begun. */
#define TAIL_EVENTS_AT_ONCE 16384u

/* Events of one append that were stored in one topic. Embedded by the publisher. */
struct committed {
    struct list in_tail;
    /* A reference, which the tail gives up. Its events from `first` on were stored, up to its end.
     * Nobody else uses it from topic_tail_add() on. */
    struct chunk *chunk;
    uint32_t first;     /* above 0: the events before it were duplicates */
    uint64_t first_seq; /* of event `first` */
    bool expires;       /* one of the events does at some time */
    /* Once, with no lock held: the tail is done with it. It was offered, or its topic is gone. The
     * publisher counts on that: while its events wait here, they are part of what it has under
     * way. So the tail needs no bound of its own. */
    void (*over)(struct committed *committed);
};

struct topic_tail {
    pthread_mutex_t lock;
    struct list waiting; /* struct committed */
    bool is_delivering;
    /* No later event that was offered expires. So chunks of others are not looked into. */
    _Atomic uint64_t last_expiring;
};

void topic_tail_init(struct topic_tail *tail);
/* Nobody delivers any more. What waits is over, undelivered. */
void topic_tail_fini(struct topic_tail *tail);

/* In the order of the commits. It does not block, and delivers nothing. */
void topic_tail_add(struct topic_tail *tail, struct committed *committed);

/* Offers what waits to the topic's inlet (inlet_offer() with sequences), unless another thread does
 * so already, which then offers this too. The caller holds a reference to the topic. True: more
 * waits than one call delivers; call it again soon, after other work. */
MUST_CHECK bool topic_tail_deliver(struct topic_tail *tail, struct inlet *inlet);

#endif
