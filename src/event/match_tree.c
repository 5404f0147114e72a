/* match_tree.c - a radix tree of texts, one level for each byte where texts differ or one ends.
 *
 * A node does not hold the bytes between its parent and itself: a lookup compares them with the
 * text of a term, where it comes to a node with terms. Every leaf has terms, and a node without
 * terms has two children or more. So a tree has at most twice as many nodes as texts. */
#include "event/match_tree.h"

#include <stdlib.h>

static struct match_node *node_new(size_t depth, uint16_t capacity)
{
    struct match_node *node = calloc(1, sizeof(*node) + capacity * sizeof(node->children[0]));

    if (!node)
        return NULL;
    node->depth = (uint16_t)depth;
    node->capacity = capacity;
    return node;
}

/* Any term in or below the node: they all have the same first `depth` bytes. */
static const struct match_term *any_term(const struct match_node *node)
{
    while (!node->terms)
        node = node->children[0];
    return node->terms;
}

/* Adds a child to a node that has the capacity. */
static void child_add(struct match_node *node, uint8_t byte, struct match_node *child)
{
    uint32_t rank = match_node_rank(node, byte);

    for (uint32_t i = node->child_count; i > rank; i--)
        node->children[i] = node->children[i - 1];
    node->children[rank] = child;
    node->child_count++;
    node->bytes[byte / 32] |= BIT(byte % 32);
    for (uint32_t word = byte / 32 + 1; word < ARRAY_LEN(node->ranks); word++)
        node->ranks[word]++;
}

static void child_remove(struct match_node *node, uint8_t byte)
{
    uint32_t rank = match_node_rank(node, byte);

    node->child_count--;
    for (uint32_t i = rank; i < node->child_count; i++)
        node->children[i] = node->children[i + 1];
    node->bytes[byte / 32] &= ~BIT(byte % 32);
    for (uint32_t word = byte / 32 + 1; word < ARRAY_LEN(node->ranks); word++)
        node->ranks[word]--;
}

/* Makes space for one more child. The node may move. False: out of memory. */
static bool child_reserve(struct match_node **link)
{
    struct match_node *node = *link;
    uint32_t capacity = node->capacity < 2 ? 2 : node->capacity * 2u;

    if (node->child_count < node->capacity)
        return true;
    node = realloc(node, sizeof(*node) + capacity * sizeof(node->children[0]));
    if (!node)
        return false;
    node->capacity = (uint16_t)capacity;
    *link = node;
    return true;
}

/* How many bytes the term has in common with the terms of the tree that are nearest to it. */
static size_t bytes_in_common(const struct match_node *node, struct bytes text)
{
    size_t same = 0;

    while (node->depth < text.size && match_node_has(node, text.data[node->depth]))
        node = node->children[match_node_rank(node, text.data[node->depth])];
    struct bytes other = any_term(node)->text;
    while (same < text.size && same < other.size && text.data[same] == other.data[same])
        same++;
    return same;
}

static struct match_node *leaf_new(struct match_term *term)
{
    struct match_node *leaf = node_new(term->text.size, 0);

    if (leaf) {
        term->next = NULL;
        leaf->terms = term;
    }
    return leaf;
}

/* Puts a node of `depth` bytes between *link and what links to it. The term becomes its own, or
 * gets a leaf below it. */
static bool split(struct match_node **link, size_t depth, struct match_term *term)
{
    struct match_node *below = *link, *leaf = NULL, *node = node_new(depth, 2);

    if (!node)
        return false;
    child_add(node, any_term(below)->text.data[depth], below);
    if (depth == term->text.size) {
        term->next = NULL;
        node->terms = term;
    } else {
        leaf = leaf_new(term);
        if (!leaf) {
            free(node);
            return false;
        }
        child_add(node, term->text.data[depth], leaf);
    }
    *link = node;
    return true;
}

bool match_tree_add(struct match_node **tree, struct match_term *term)
{
    struct bytes text = term->text;
    struct match_node **link = tree;
    struct match_node *leaf;

    CHECK(text.size > 0);
    if (!*tree) {
        *tree = leaf_new(term);
        return *tree;
    }
    size_t same = bytes_in_common(*tree, text);
    while ((*link)->depth < same && match_node_has(*link, text.data[(*link)->depth]))
        link = &(*link)->children[match_node_rank(*link, text.data[(*link)->depth])];
    if ((*link)->depth > same)
        return split(link, same, term);
    if ((*link)->depth == text.size) {
        term->next = (*link)->terms;
        (*link)->terms = term;
        return true;
    }
    leaf = leaf_new(term);
    if (!leaf || !child_reserve(link)) {
        free(leaf);
        return false;
    }
    child_add(*link, text.data[(*link)->depth], leaf);
    return true;
}

/* A node that only leads to its one child is replaced by the child. */
static void shorten(struct match_node **link)
{
    struct match_node *node = *link;

    if (node->terms || node->child_count != 1)
        return;
    *link = node->children[0];
    free(node);
}

void match_tree_remove(struct match_node **tree, struct match_term *term)
{
    struct bytes text = term->text;
    struct match_node **link = tree, **parent = NULL;
    struct match_term **at;

    while ((*link)->depth < text.size) {
        CHECK(match_node_has(*link, text.data[(*link)->depth]));
        parent = link;
        link = &(*link)->children[match_node_rank(*link, text.data[(*link)->depth])];
    }
    struct match_node *node = *link;
    for (at = &node->terms; *at != term; at = &(*at)->next)
        CHECK(*at);
    *at = term->next;
    if (node->terms || node->child_count > 1)
        return;
    if (node->child_count == 1) {
        shorten(link);
        return;
    }
    free(node);
    if (!parent) {
        *tree = NULL;
        return;
    }
    child_remove(*parent, text.data[(*parent)->depth]);
    shorten(parent);
}
