/* heap.h - a binary heap: the node with the smallest key is first. Nodes are embedded in the
 * objects that they order, such as timers by their time, or sources by their queued bytes.
 *
 * A zeroed heap is empty and ready for use, and a zeroed node is in no heap. The heap does not own
 * the objects.
 *
 * Threads: one, or the caller's lock. */
#ifndef TRIBUTARY_BASE_HEAP_H
#define TRIBUTARY_BASE_HEAP_H

#include <stdbool.h>

#include "base/base.h"
#include "base/status.h"

struct heap_node {
    int64_t key;
    size_t place; /* 1-based; 0: the node is in no heap */
};

struct heap {
    struct heap_node **nodes;
    size_t count;
    size_t capacity;
};

/* Takes every node out and frees the heap's array. */
void heap_fini(struct heap *heap);

/* Adds the node with this key, or gives a node that is in the heap this key.
 *   ERR_NO_MEMORY  the node was not in the heap, and still is not */
MUST_CHECK enum err heap_set(struct heap *heap, struct heap_node *node, int64_t key);

/* Makes room for `count` nodes: up to that many, heap_set() does not fail.
 *   ERR_NO_MEMORY  nothing changed */
MUST_CHECK enum err heap_reserve(struct heap *heap, size_t count);

/* Takes the node out. Does nothing if it is in no heap. */
void heap_remove(struct heap *heap, struct heap_node *node);

/* The node with the smallest key; NULL: the heap is empty. */
static inline struct heap_node *heap_first(const struct heap *heap)
{
    return heap->count > 0 ? heap->nodes[0] : NULL;
}

/* Whether the node is in a heap. */
static inline bool heap_holds(const struct heap_node *node)
{
    return node->place > 0;
}

#endif
