/* feed_table.h - the shared feeds of a channel by their sources. For the files of this room.
 *
 * It is a hash table of chained slots. It doubles whenever it has as many feeds as slots; without
 * memory for that its chains get longer. What each put needs is inline.
 *
 * Threads: everything here runs under the channel's lock. */
#ifndef TRIBUTARY_FLOW_FEED_TABLE_H
#define TRIBUTARY_FLOW_FEED_TABLE_H

#include <stdint.h>

#include "flow/feed_internal.h"
#include "flow/source_set.h"

#define FIRST_FEED_SLOTS 4u /* a power of two */

struct feed_table {
    struct feed **slots; /* `first`, or on the heap */
    uint32_t slot_count; /* a power of two */
    uint32_t count;
    struct feed *first[FIRST_FEED_SLOTS];
};

void feed_table_init(struct feed_table *table);
void feed_table_fini(struct feed_table *table); /* the feeds stay */
void feed_table_add(struct feed_table *table, struct feed *feed);
void feed_table_remove(struct feed_table *table, struct feed *feed); /* one that is in the table */

static inline struct feed **feed_table_slot(const struct feed_table *table, const struct source *source)
{
    return &table->slots[source_hash(source) & (table->slot_count - 1)];
}

/* The feed of the source, the latest if there are several. NULL: there is none. */
static inline struct feed *feed_table_find(const struct feed_table *table, const struct source *source)
{
    struct feed *feed = *feed_table_slot(table, source);

    while (feed && feed->source != source)
        feed = feed->next_in_table;
    return feed;
}

#endif
