/* relay_queue.h - memory that many consumers share, and the queue of what one consumer is still to
 * be sent.
 *
 * Threads: one. */
#ifndef TRIBUTARY_TESTS_RELAY_QUEUE_H
#define TRIBUTARY_TESTS_RELAY_QUEUE_H

#include <stdbool.h>

#include "base/base.h"

enum { SLAB_BYTES = 256 << 10 };

/* The buffer into which a producer's connection is read. Unused slabs are used again, the latest
 * first, since it is still in the processor's cache. */
struct slab {
    uint32_t references;
    struct slab *next; /* the next unused slab */
    uint8_t bytes[SLAB_BYTES];
};

struct slab *slab_new(void); /* one reference; NULL: memory ran out */
struct slab *slab_retain(struct slab *slab);
void slab_release(struct slab *slab); /* NULL allowed */
void slab_free_spent(void);

/* A part of a slab. A queue holds such parts in order. */
struct range {
    struct slab *slab;
    const uint8_t *data;
    size_t size;
};

struct queue {
    struct range *ranges; /* a ring of `capacity`, a power of two; the first is at first % capacity */
    size_t first, count, capacity;
    size_t bytes;
};

void queue_fini(struct queue *queue);
/* Adds a range, and takes a reference to its slab. Merges it with the last range if it follows
 * that. False: memory ran out. */
MUST_CHECK bool queue_add(struct queue *queue, struct slab *slab, struct bytes piece);

enum queue_state { QUEUE_EMPTY, QUEUE_WAITS, QUEUE_LOST };
/* Writes until everything is written or the socket takes no more (QUEUE_WAITS). */
enum queue_state queue_write(struct queue *queue, int fd);

#endif
