/* map.h - names to objects. Nodes are embedded in what they name; the map never allocates per
 * entry.
 *
 * Keys are any bytes, compared whole; hashing is keyed with a secret of the process (SipHash-1-3),
 * so chosen names cannot collide by design. One thread, or the caller's lock. */
#ifndef TRIBUTARY_BASE_MAP_H
#define TRIBUTARY_BASE_MAP_H

#include "base/base.h"
#include "base/status.h"

struct map_node {
    struct map_node *next;
    uint64_t hash;
    struct bytes key; /* points into the owner; must not change while it is in the map */
};

struct map {
    struct map_node **slots;
    size_t slot_count;
    size_t count;
};

void map_init(struct map *map);
void map_fini(struct map *map); /* the nodes are the owner's */

/* `node->key` must be set. The key must not be in the map.
 *   ERR_NO_MEMORY  nothing changed */
MUST_CHECK enum err map_add(struct map *map, struct map_node *node);
struct map_node *map_find(const struct map *map, struct bytes key); /* NULL: not there */
void map_remove(struct map *map, struct map_node *node);            /* must be in the map */

/* Walks all nodes in no order: start with NULL; NULL ends. The map must not change meanwhile. */
struct map_node *map_next(const struct map *map, struct map_node *node);

uint64_t map_hash(struct bytes key); /* any thread */

/* SipHash with one round per word and three at the end, as map_hash() uses it. */
uint64_t siphash13(const uint64_t key[2], struct bytes bytes);

#endif
