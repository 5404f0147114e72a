/* sorted.c - a treap: a search tree by the keys, and a heap by random ranks. The node with the
 * highest rank is the root, so the tree has the shape of one that was built in random order. */
#include "base/sorted.h"

#include <string.h>

#include "base/map.h"

/* xorshift32 (Marsaglia); never 0. It begins with a secret, so a peer that chooses keys cannot
 * choose them to fit the ranks. */
static uint32_t next_rank(struct sorted *sorted)
{
    uint32_t state = sorted->random_state;

    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    sorted->random_state = state;
    return state;
}

/* Where the pointer to this node stands. */
static struct sorted_node **link_of(struct sorted *sorted, struct sorted_node *node)
{
    struct sorted_node *parent = node->parent;

    if (!parent)
        return &sorted->root;
    return parent->left == node ? &parent->left : &parent->right;
}

/* Puts a child into the place of its parent, which becomes its child. The order stays. */
static void rotate_up(struct sorted *sorted, struct sorted_node *child)
{
    struct sorted_node *parent = child->parent;
    struct sorted_node *moved = parent->left == child ? child->right : child->left;

    *link_of(sorted, parent) = child;
    child->parent = parent->parent;
    if (parent->left == child) {
        parent->left = moved;
        child->right = parent;
    } else {
        parent->right = moved;
        child->left = parent;
    }
    parent->parent = child;
    if (moved)
        moved->parent = parent;
}

void sorted_init(struct sorted *sorted, struct bytes (*key)(const struct sorted_node *node))
{
    const struct bytes place = {(const uint8_t *)&sorted, sizeof(sorted)};

    *sorted = (struct sorted){.key = key, .random_state = (uint32_t)map_hash(place) | 1u};
}

void sorted_add(struct sorted *sorted, struct sorted_node *node)
{
    struct bytes key = sorted->key(node);
    struct sorted_node *parent = NULL, **link = &sorted->root;

    CHECK(node->rank == 0);
    while (*link) {
        parent = *link;
        link = bytes_compare(key, sorted->key(parent)) < 0 ? &parent->left : &parent->right;
    }
    *node = (struct sorted_node){.parent = parent, .rank = next_rank(sorted)};
    *link = node;
    while (node->parent && node->parent->rank < node->rank)
        rotate_up(sorted, node);
}

void sorted_remove(struct sorted *sorted, struct sorted_node *node)
{
    struct sorted_node *child;

    if (node->rank == 0)
        return;
    while (node->left && node->right)
        rotate_up(sorted, node->left->rank > node->right->rank ? node->left : node->right);
    child = node->left ? node->left : node->right;
    *link_of(sorted, node) = child;
    if (child)
        child->parent = node->parent;
    *node = (struct sorted_node){.rank = 0};
}

static struct sorted_node *leftmost(struct sorted_node *node)
{
    while (node && node->left)
        node = node->left;
    return node;
}

struct sorted_node *sorted_first(const struct sorted *sorted)
{
    return leftmost(sorted->root);
}

struct sorted_node *sorted_next(struct sorted_node *node)
{
    if (node->right)
        return leftmost(node->right);
    while (node->parent && node->parent->right == node)
        node = node->parent;
    return node->parent;
}

struct sorted_node *sorted_after(const struct sorted *sorted, struct bytes key)
{
    struct sorted_node *node = sorted->root, *found = NULL;

    while (node) {
        bool after = bytes_compare(sorted->key(node), key) > 0;

        if (after)
            found = node;
        node = after ? node->left : node->right;
    }
    return found;
}
