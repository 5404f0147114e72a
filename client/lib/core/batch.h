/* batch.h - one message of a publisher: filled with events, sent, kept until it is confirmed,
 * perhaps sent again.
 *
 * The publisher holds one reference and each send of it another, since the core may read the bytes
 * after the publisher gave up. */
#ifndef TRIBUTARY_CLIENT_BATCH_H
#define TRIBUTARY_CLIENT_BATCH_H

#include <stdatomic.h>
#include <stdbool.h>

#include <grpc/slice.h>

#include "base/base.h"
#include "base/list.h"
#include "tributary/event.h"

struct send_queue;

struct batch {
    struct list node;
    _Atomic uint32_t refs;
    uint8_t *data;
    size_t size, capacity;
    size_t head_size; /* what stands before the events */
    uint32_t events;
    uint64_t first_event;     /* counted in the publisher, from 1 */
    uint64_t number;          /* in the stream that carries it, from 1 */
    int64_t born_ns;          /* clock_mono_ns() of its first event */
    struct send_queue *queue; /* of a session: where it belongs; NULL otherwise */
};

/* Empty but for the producer's name. `capacity` is a guess. NULL: out of memory. */
struct batch *batch_new(struct tributary_bytes producer, size_t capacity);

/* The same with any fields, already encoded, before the events. */
struct batch *batch_new_after(struct tributary_bytes head, size_t capacity);
void batch_release(struct batch *batch); /* any thread; NULL allowed */

/* `size` is event_size(). False: out of memory, and nothing changed. */
bool batch_add(struct batch *batch, const struct tributary_event *event, size_t size);

/* Bytes of the events, as they are charged. */
static inline size_t batch_charge(const struct batch *batch)
{
    return batch->size - batch->head_size;
}

/* A slice over the whole message, with a reference of its own. The batch must not be added to any
 * more. */
grpc_slice batch_slice(struct batch *batch);

#endif
