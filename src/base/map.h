/* map.h - a hash map from names to objects. Nodes are embedded in the objects, so adding one
 * allocates nothing but, now and then, a larger table.
 *
 * A key is any sequence of bytes and is compared as a whole. The hash is SipHash-1-3 with a secret
 * of the process, so a peer that chooses names cannot make them collide on purpose.
 *
 * Threads: one, or the caller's lock. */
#ifndef TRIBUTARY_BASE_MAP_H
#define TRIBUTARY_BASE_MAP_H

#include "base/base.h"
#include "base/status.h"

struct map_node {
    struct map_node *next;
    uint64_t hash;
    struct bytes key; /* the owner's memory; must not change while the node is in the map */
};

struct map {
    struct map_node **slots;
    size_t slot_count;
    size_t count;
};

/* Makes an empty map. A zeroed map is one too. */
void map_init(struct map *map);

/* Frees the table. The objects stay the owner's, and are not touched. */
void map_fini(struct map *map);

/* Makes space for one more node, so that the next map_add() cannot fail.
 *   ERR_NO_MEMORY  nothing changed */
MUST_CHECK enum err map_reserve(struct map *map);

/* Makes space for `count` nodes in an empty map, so that adding them cannot fail and moves nothing.
 * The table then has fewer than twice as many slots, or 16.
 *   ERR_NO_MEMORY  nothing changed */
MUST_CHECK enum err map_reserve_many(struct map *map, size_t count);

/* Adds a node whose `key` is set. The map must not contain the key.
 *   ERR_NO_MEMORY  nothing changed */
MUST_CHECK enum err map_add(struct map *map, struct map_node *node);

/* The node with this key; NULL: there is none. */
struct map_node *map_find(const struct map *map, struct bytes key);

/* Takes out a node that is in the map. */
void map_remove(struct map *map, struct map_node *node);

/* The node after `node`, in no particular order. NULL asks for the first, and is returned after the
 * last. The map must not change during such a walk. */
struct map_node *map_next(const struct map *map, struct map_node *node);

/* Walks over all nodes; the body may free its own, and then map_fini() must follow. (Taking out the
 * first one again and again would look at every empty slot again and again.) */
#define map_each(node, following, map)                                                                       \
    for (struct map_node *node = map_next(map, NULL), *following = node ? map_next(map, node) : NULL; node;  \
         node = following, following = node ? map_next(map, node) : NULL)

/* The hash that the map uses. Any thread. */
uint64_t map_hash(struct bytes key);

/* SipHash-1-3: one round for each word, and three at the end. Any thread. */
uint64_t siphash13(const uint64_t key[2], struct bytes bytes);

#endif
