/* chan_batch.h - what goes out of a channel: the batch in flight.
 *
 * The taker dequeues a batch, writes it to its peer, and completes it: delivered or lost. At most
 * one batch is in flight.
 *
 * Threads: the taker only, except chan_batch_ready(). */
#ifndef TRIBUTARY_FLOW_CHAN_BATCH_H
#define TRIBUTARY_FLOW_CHAN_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "flow/chan_limits.h"

struct chan;
struct chunk;
struct feed;

/* Zeroed at first. It belongs to the taker. The array is reused, unless it is large. */
struct chan_batch {
    struct chan_batch_entry {
        struct chunk *chunk; /* a reference */
        struct feed *feed;
        uint32_t first, last;
    } * entries;
    uint32_t count, capacity;
    uint32_t events;
    uint64_t bytes;
};

/* Moves waiting events, oldest first, into an empty *batch: at most `max_events` and `max_bytes`. A
 * single event that is larger goes alone. Drops events that are too old. Where events are sorted,
 * it moves those that may go, in the order of their times.
 *
 * Returns true when more events wait that may go, or a mark does. When memory runs out the batch is
 * shorter. */
bool chan_dequeue(struct chan *chan, struct chan_batch *batch, uint32_t max_events, uint64_t max_bytes,
                  int64_t now_ns);

/* Where events are sorted (chan_limits.sort): when chan_dequeue() may give some that it does not
 * give yet, clock_mono_ns(). 0: now. INT64_MAX: nothing waits. readable() is called where the
 * moment comes nearer. */
int64_t chan_due_at(struct chan *chan);

/* Called in place of chan_dequeue() where nothing may be sent: readable() is called again for what
 * comes next. */
void chan_rearm(struct chan *chan);

/* The size of the event that chan_dequeue() would give first. 0: nothing waits. Drops events that
 * are too old. */
uint32_t chan_next_bytes(struct chan *chan);

/* Complete the batch: its events count as delivered, or as dropped for `reason`. Both empty *batch
 * and release its chunks. */
void chan_delivered(struct chan *chan, struct chan_batch *batch);
void chan_lost(struct chan *chan, struct chan_batch *batch, enum loss reason);

void chan_batch_fini(struct chan_batch *batch); /* frees the array of an empty batch */

/* True when gathering any longer would not help: a whole batch waits, or a quarter of what the
 * channel may hold. False when nothing waits. */
bool chan_batch_ready(struct chan *chan, uint32_t batch_events, uint64_t batch_bytes);

#endif
