/* sorted.h - objects in the order of their keys. Nodes are embedded in the objects, so adding one
 * allocates nothing and cannot fail.
 *
 * A key is any sequence of bytes. Keys are compared byte by byte, and a key comes before another
 * one that begins with it. Adding, removing and finding take time that grows with the logarithm of
 * the number of nodes, whatever the keys are: the tree is a treap, whose ranks are random.
 *
 * A walk may be left and taken up again later: sorted_after() with the last key goes on where it
 * was, whatever came and went in between.
 *
 * Threads: one, or the caller's lock. */
#ifndef TRIBUTARY_BASE_SORTED_H
#define TRIBUTARY_BASE_SORTED_H

#include <stdbool.h>

#include "base/base.h"

struct sorted_node {
    struct sorted_node *parent, *left, *right;
    uint32_t rank; /* 0: in no tree */
};

struct sorted {
    struct sorted_node *root;
    struct bytes (*key)(const struct sorted_node *node); /* must not change while it is in the tree */
    uint32_t random_state;
};

/* An empty tree. `key` gives the key of a node. */
void sorted_init(struct sorted *sorted, struct bytes (*key)(const struct sorted_node *node));

/* Adds a node, which is all zero or was removed. No node may have the same key. */
void sorted_add(struct sorted *sorted, struct sorted_node *node);

/* Takes the node out. Does nothing where it is in no tree. */
void sorted_remove(struct sorted *sorted, struct sorted_node *node);

/* The node with the smallest key; NULL: the tree is empty. */
struct sorted_node *sorted_first(const struct sorted *sorted);

/* The node that follows; NULL: it is the last one. */
struct sorted_node *sorted_next(struct sorted_node *node);

/* Walks over all nodes in order. The body must not change the tree. */
#define sorted_each(node, sorted)                                                                            \
    for (struct sorted_node *node = sorted_first(sorted); node; node = sorted_next(node))

/* The node with the smallest key that comes after `key`, whether a node has that key or not. NULL:
 * there is none. An empty key stands before all keys that are not empty. */
struct sorted_node *sorted_after(const struct sorted *sorted, struct bytes key);

#endif
