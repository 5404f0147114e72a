/* match_tree.h - the beginnings that filters want of one field: finds all terms that a text begins
 * with.
 *
 * A lookup visits at most one node for each byte of the text, and reads each byte of it at most
 * twice. What other terms there are makes no difference.
 *
 * Threads: the caller's lock. */
#ifndef TRIBUTARY_EVENT_MATCH_TREE_H
#define TRIBUTARY_EVENT_MATCH_TREE_H

#include "event/match_term.h"

/* All terms in and below a node have the same first `depth` bytes. */
struct match_node {
    struct match_term *terms; /* of `depth` bytes, linked by `next`; NULL: it is only a branch */
    uint16_t depth;
    uint16_t child_count, capacity;
    uint8_t ranks[8];              /* children whose byte is below 0, 32, 64 ... */
    uint32_t bytes[8];             /* a bit for each byte, behind the first `depth`, that has a child */
    struct match_node *children[]; /* by byte */
};

/* Adds a term, whose text is not empty. The tree begins as NULL. False: out of memory, and nothing
 * changed. */
MUST_CHECK bool match_tree_add(struct match_node **tree, struct match_term *term);

/* Takes out a term that is in the tree. It cannot fail. */
void match_tree_remove(struct match_node **tree, struct match_term *term);

/* How many bits are set. The processor's own instruction may not be there, and the compiler's
 * function is a call. */
static inline uint32_t bits_set(uint32_t word)
{
    word -= word >> 1 & 0x55555555u;
    word = (word & 0x33333333u) + (word >> 2 & 0x33333333u);
    word = (word + (word >> 4)) & 0x0f0f0f0fu;
    return word * 0x01010101u >> 24;
}

/* Where the child of this byte is, or would be inserted. */
static inline uint32_t match_node_rank(const struct match_node *node, uint8_t byte)
{
    return node->ranks[byte / 32] + bits_set(node->bytes[byte / 32] & (BIT(byte % 32) - 1));
}

static inline bool match_node_has(const struct match_node *node, uint8_t byte)
{
    return (node->bytes[byte / 32] >> byte % 32 & 1) != 0;
}

/* The child that the text leads to; NULL: none. The node's depth is at most the size of the text.
 * Only a comparison with the text of a term shows whether the bytes in between are the same. */
static inline const struct match_node *match_node_child(const struct match_node *node, struct bytes text)
{
    if (node->child_count == 0 || node->depth == text.size)
        return NULL;
    uint8_t byte = text.data[node->depth];
    return match_node_has(node, byte) ? node->children[match_node_rank(node, byte)] : NULL;
}

#endif
