/* source_set.h - a set of sources that takes little memory: a pointer for each. For the files of
 * this room.
 *
 * It is a hash table with open addressing. It doubles at seven eighths, and an empty one has no
 * memory. Its memory is in the budget, with that of feeds.
 *
 * Threads: everything here runs under the channel's lock. */
#ifndef TRIBUTARY_FLOW_SOURCE_SET_H
#define TRIBUTARY_FLOW_SOURCE_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "event/chunk.h"

/* Zeroed it is empty and ready for use. */
struct source_set {
    struct source **slots; /* NULL: empty */
    uint32_t slot_count;   /* a power of two, or 0 */
    uint32_t count;
    uint32_t next; /* where source_set_take() goes on */
};

/* The hash of a source's address. Sources are blocks of malloc(): the lowest four bits are always
 * the same. */
static inline uint32_t source_hash(const struct source *source)
{
    return (uint32_t)((((uintptr_t)source >> 4) * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

/* Adds a source that is not in the set, and retains it. False: memory or budget is used up, and
 * nothing changed. */
MUST_CHECK bool source_set_add(struct source_set *set, struct source *source);

/* Takes the source out and releases it. False: it was not in the set. */
bool source_set_remove(struct source_set *set, const struct source *source);

/* Takes one source out, whose reference is the caller's then. NULL: the set is empty. The sources
 * come in turns: one that is added again and again keeps no other one back. */
struct source *source_set_take(struct source_set *set);

void source_set_fini(struct source_set *set); /* releases all; the set is empty afterwards */

#endif
