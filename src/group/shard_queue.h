/* shard_queue.h - the open events of one shard in one source, in order. Inside of src/group only.
 *
 * *Fresh* events were never delivered, and stand in the order of their positions. *Returned* ones
 * were dispatched before, so they come before all fresh ones: a pairing heap by position, within
 * the slots. *Queued* ones are at the owner of the shard and not sent; *sent* ones may have been
 * received, and stand in the order of their times.
 *
 * The first waiting event holds back all others of its queue: while it waits for its next attempt,
 * nothing of the queue is dispatched. So the order of a shard holds whatever fails.
 *
 * Threads: one, or the caller's lock. */
#ifndef TRIBUTARY_GROUP_SHARD_QUEUE_H
#define TRIBUTARY_GROUP_SHARD_QUEUE_H

#include "base/heap.h"
#include "base/list.h"
#include "group/window.h"

/* Slots, linked in both directions. */
struct slot_chain {
    uint32_t head, tail; /* links; 0: it is empty */
};

struct group_source;

struct shard_queue {
    struct group_source *source;
    struct slot_chain fresh, queued, sent;
    uint32_t returned; /* the root of the heap; 0: it is empty */
    uint32_t shard;
    struct list in_ready;   /* in the list of the shard's owner, while something may be dispatched */
    struct heap_node timer; /* when something of it is due; it may be too early */
};

void chain_append(struct window *window, struct slot_chain *chain, uint64_t position);
void chain_remove(struct window *window, struct slot_chain *chain, uint64_t position);

/* Adds an event that was dispatched before. O(1). */
void queue_return(struct window *window, struct shard_queue *queue, uint64_t position);

/* The first waiting event. 0: nothing waits. O(1). */
static inline uint64_t queue_first(const struct window *window, const struct shard_queue *queue)
{
    const uint32_t link = queue->returned ? queue->returned : queue->fresh.head;

    return link ? link_position(window, link) : 0;
}

/* Takes the first waiting event out. O(1), or O(log) of the returned ones (amortised). */
void queue_remove_first(struct window *window, struct shard_queue *queue);

#endif
