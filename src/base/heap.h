/* heap.h - what is smallest first: timers by their moment, sources by what they hold. Nodes are
 * embedded; one thread, or the caller's lock. */
#ifndef TRIBUTARY_BASE_HEAP_H
#define TRIBUTARY_BASE_HEAP_H

#include <stdbool.h>

#include "base/base.h"
#include "base/status.h"

struct heap_node {
    int64_t key;
    size_t place; /* 1-based; 0: not in a heap */
};

struct heap {
    struct heap_node **nodes;
    size_t count;
    size_t capacity;
};

void heap_fini(struct heap *heap);

/* Puts the node in, or moves it where it already is.
 *   ERR_NO_MEMORY  only when it was not in: it still is not */
MUST_CHECK enum err heap_set(struct heap *heap, struct heap_node *node, int64_t key);
void heap_remove(struct heap *heap, struct heap_node *node); /* nothing where it is not in */

static inline struct heap_node *heap_first(const struct heap *heap)
{
    return heap->count > 0 ? heap->nodes[0] : NULL;
}

static inline bool heap_holds(const struct heap_node *node)
{
    return node->place > 0;
}

#endif
