/* feed_table.c - see feed_table.h. */
#include "flow/feed_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"

void feed_table_init(struct feed_table *table)
{
    *table = (struct feed_table){.slots = table->first, .slot_count = ARRAY_LEN(table->first)};
}

void feed_table_fini(struct feed_table *table)
{
    if (table->slots != table->first)
        free(table->slots);
    feed_table_init(table);
}

static void push(struct feed_table *table, struct feed *feed)
{
    struct feed **slot = feed_table_slot(table, feed->source);

    feed->next_in_table = *slot;
    *slot = feed;
}

/* Doubles the table, if there is memory. */
static void grow(struct feed_table *table)
{
    const struct feed_table before = *table;
    struct feed **slots = calloc(before.slot_count, 2 * sizeof(struct feed *));

    if (!slots)
        return;
    table->slots = slots;
    table->slot_count = 2 * before.slot_count;
    for (uint32_t i = 0; i < before.slot_count; i++) {
        struct feed *feed = before.slots == table->first ? table->first[i] : before.slots[i];

        while (feed) {
            struct feed *next = feed->next_in_table;

            push(table, feed);
            feed = next;
        }
    }
    if (before.slots != table->first)
        free(before.slots);
    memset(table->first, 0, sizeof(table->first));
}

void feed_table_add(struct feed_table *table, struct feed *feed)
{
    if (table->count == table->slot_count)
        grow(table);
    push(table, feed);
    table->count++;
}

/* An empty table gives up what many feeds needed. */
void feed_table_remove(struct feed_table *table, struct feed *feed)
{
    struct feed **at = feed_table_slot(table, feed->source);

    while (*at != feed)
        at = &(*at)->next_in_table;
    *at = feed->next_in_table;
    feed->next_in_table = NULL;
    if (--table->count == 0)
        feed_table_fini(table);
}
