/* due_queue.h - moments at which something is due: an activation that stops has had its time, or
 * one that failed is tried again.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_DUE_QUEUE_H
#define TRIBUTARY_HUB_DUE_QUEUE_H

#include "base/heap.h"
#include "base/status.h"
#include "loop/loop.h"

struct ready_list;

struct due_queue {
    struct loop *loop;
    struct ready_list *ready;
    struct heap moments;
    struct timer timer;
    struct slice slice; /* what is due now, one by one */
    void (*due)(struct heap_node *node);
};

/* Calls `due` for each node whose moment has come; the node is out of the queue then. Afterwards
 * ready_run(). */
void due_queue_init(struct due_queue *queue, struct loop *loop, struct ready_list *ready,
                    void (*due)(struct heap_node *node));
void due_queue_fini(struct due_queue *queue); /* it must be empty */

/* Sets the moment of a node (clock_mono_ns()), whether it is in the queue or not.
 *   ERR_NO_MEMORY  the node was not in the queue, and still is not */
MUST_CHECK enum err due_queue_set(struct due_queue *queue, struct heap_node *node, int64_t at_ns);

/* Does nothing where the node is not in the queue. */
void due_queue_remove(struct due_queue *queue, struct heap_node *node);

#endif
