/* pair_index.h - pairs of a name and a value, found by name: the headers of an event, the labels of
 * a producer.
 *
 * The caller provides the memory, and need not clear it. Names and values are not copied.
 *
 * Threads: one. */
#ifndef TRIBUTARY_EVENT_PAIR_INDEX_H
#define TRIBUTARY_EVENT_PAIR_INDEX_H

#include "base/base.h"

#define MAX_PAIRS 64u /* headers of an event, labels of a producer */

struct pair {
    struct bytes name;
    struct bytes value; /* a glob in a selector, a plain value elsewhere */
};

/* A name and its hash, which a filter computes once. */
struct pair_name {
    struct bytes text;
    uint32_t hash;
};

struct pair_name pair_name_of(struct bytes text);

struct pair_index {
    uint64_t secret; /* of the hash */
    uint32_t count;
    uint8_t slots[2 * MAX_PAIRS]; /* the number of a pair and 1; 0: none */
    uint32_t hashes[MAX_PAIRS];
    struct pair pairs[MAX_PAIRS];
};

/* Makes the index empty. */
void pair_index_init(struct pair_index *index);

/* Adds a pair. At most MAX_PAIRS fit. Of two pairs with one name the last one counts. */
void pair_index_add(struct pair_index *index, struct bytes name, struct bytes value);

/* Finds the value of a name. False: there is none, and *value_out is unchanged. */
bool pair_index_find(const struct pair_index *index, const struct pair_name *name, struct bytes *value_out);

#endif
