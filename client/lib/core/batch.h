/* batch.h - one message of a publisher or a session. It is filled with events, sent, and kept until
 * the server confirms it; after a lost connection it may be sent again.
 *
 * The owner holds one reference. Each send holds another one, because gRPC core may read the bytes
 * after the owner released the batch. */
#ifndef TRIBUTARY_CLIENT_BATCH_H
#define TRIBUTARY_CLIENT_BATCH_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/base.h"
#include "base/list.h"
#include "grpc/slices.h"
#include "tributary/event.h"

struct send_queue;

struct batch {
    struct list node;
    _Atomic uint32_t refs;
    uint8_t *data;
    size_t size, capacity;
    size_t head_size; /* the bytes before the events */
    uint32_t events;
    uint64_t first_event;     /* its number in the publisher, counted from 1 */
    uint64_t number;          /* of this message in the stream that carries it, counted from 1 */
    uint64_t first_number;    /* of its first event, for the server (numbering.h); 0: none yet */
    size_t numbers_end;       /* where the field with its numbers ends; 0: it has none */
    bool unsure;              /* it was sent on a stream that was lost: the server may have it */
    int64_t born_ns;          /* when its first event came; clock_mono_ns() */
    struct send_queue *queue; /* the queue that it belongs to, in a session; NULL in a publisher */
};

/* Creates a batch that holds `head`, which is encoded fields, and no event. `capacity` is a guess
 * in bytes. NULL: out of memory. */
struct batch *batch_new(struct tributary_bytes head, size_t capacity);
void batch_release(struct batch *batch); /* any thread; NULL allowed */

/* Whether gRPC core holds no reference, so that the bytes may change. */
bool batch_is_ours(const struct batch *batch);

/* Returns a copy that is in no list. NULL: out of memory. */
struct batch *batch_copy(const struct batch *batch);

/* Appends an event. `size` is event_size(). False: out of memory, and nothing changed. */
bool batch_add(struct batch *batch, const struct tributary_event *event, size_t size);

/* The bytes of the events, as the queue's bound counts them. */
static inline size_t batch_charge(const struct batch *batch)
{
    return batch->size - batch->head_size;
}

/* Returns a slice over the whole message. The slice holds a reference to the batch. Add no more
 * events afterwards. */
grpc_slice batch_slice(struct batch *batch);

#endif
