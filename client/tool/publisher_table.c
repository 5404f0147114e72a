/* publisher_table.c - see publisher_table.h. */
#include "client/tool/publisher_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

struct entry {
    struct map_node node;
    struct list use;
    struct tributary_publisher *publisher;
    uint64_t mark; /* how many events it had accepted at the mark */
    char name[];
};

static struct entry *entry_of(struct list *use)
{
    return container_of(use, struct entry, use);
}

void publisher_table_init(struct publisher_table *table, struct tributary *client,
                          const struct tributary_publisher_options *options)
{
    *table = (struct publisher_table){.client = client, .options = *options};
    map_init(&table->by_name);
    list_init(&table->by_use);
}

static void add_stats(struct tributary_publisher_stats *sum, struct tributary_publisher *publisher)
{
    struct tributary_publisher_stats stats;

    tributary_publisher_stats(publisher, &stats);
    sum->accepted += stats.accepted;
    sum->confirmed += stats.confirmed;
    sum->refused += stats.refused;
    sum->bytes += stats.bytes;
    sum->duplicates += stats.duplicates;
}

static void close_entry(struct publisher_table *table, struct entry *entry)
{
    add_stats(&table->earlier, entry->publisher);
    tributary_publisher_free(entry->publisher);
    map_remove(&table->by_name, &entry->node);
    list_remove(&entry->use);
    free(entry);
    table->count--;
}

/* Makes a publisher, and adds it. There is space for it. */
static enum tributary_code open_entry(struct publisher_table *table, struct tributary_bytes name,
                                      struct tributary_publisher **publisher_out,
                                      struct tributary_status *status)
{
    struct entry *entry = calloc(1, sizeof(*entry) + name.size + 1);
    struct tributary_publisher_options options = table->options;
    enum tributary_code code = TRIBUTARY_RESOURCE_EXHAUSTED;

    if (!entry || map_reserve(&table->by_name) != ERR_OK) {
        free(entry);
        return code;
    }
    if (name.size > 0)
        memcpy(entry->name, name.data, name.size);
    options.producer = entry->name;
    code = tributary_publisher_new(table->client, &options, &entry->publisher, status);
    if (code != TRIBUTARY_OK) {
        free(entry);
        return code;
    }
    entry->node.key = (struct bytes){(const uint8_t *)entry->name, name.size};
    CHECK(map_add(&table->by_name, &entry->node) == ERR_OK); /* reserved */
    list_append(&table->by_use, &entry->use);
    table->count++;
    table->producers++;
    *publisher_out = entry->publisher;
    return TRIBUTARY_OK;
}

enum tributary_code publisher_table_get(struct publisher_table *table, struct tributary_bytes name,
                                        int64_t wait_ns, struct tributary_publisher **publisher_out,
                                        struct tributary_status *status)
{
    struct map_node *node = map_find(&table->by_name, (struct bytes){name.data, name.size});

    if (node) {
        struct entry *entry = container_of(node, struct entry, node);

        list_remove(&entry->use);
        list_append(&table->by_use, &entry->use);
        *publisher_out = entry->publisher;
        return TRIBUTARY_OK;
    }
    if (table->count == MAX_OPEN_PUBLISHERS) {
        struct entry *oldest = entry_of(list_first(&table->by_use));

        if (tributary_publisher_flush(oldest->publisher, wait_ns) != TRIBUTARY_OK)
            return TRIBUTARY_DEADLINE_EXCEEDED;
        close_entry(table, oldest);
    }
    return open_entry(table, name, publisher_out, status);
}

bool publisher_table_flush(struct publisher_table *table, int64_t wait_ns)
{
    const int64_t until_ns = clock_mono_ns() + wait_ns;
    bool done = true;

    list_each(use, safe, &table->by_use) {
        const int64_t left_ns = MAX_OF(until_ns - clock_mono_ns(), 0);

        done = tributary_publisher_flush(entry_of(use)->publisher, left_ns) == TRIBUTARY_OK && done;
    }
    return done;
}

void publisher_table_stats(const struct publisher_table *table, struct tributary_publisher_stats *stats_out)
{
    *stats_out = table->earlier;
    for (struct list *use = table->by_use.next; use != &table->by_use; use = use->next)
        add_stats(stats_out, entry_of(use)->publisher);
}

void publisher_table_mark(struct publisher_table *table)
{
    list_each(use, safe, &table->by_use) {
        struct tributary_publisher_stats stats;

        tributary_publisher_stats(entry_of(use)->publisher, &stats);
        entry_of(use)->mark = stats.accepted;
    }
}

bool publisher_table_mark_is_done(const struct publisher_table *table)
{
    for (const struct list *use = table->by_use.next; use != &table->by_use; use = use->next) {
        const struct entry *entry = container_of(use, struct entry, use);
        struct tributary_publisher_stats stats;

        tributary_publisher_stats(entry->publisher, &stats);
        if (stats.confirmed + stats.refused < entry->mark)
            return false;
    }
    return true;
}

void publisher_table_fini(struct publisher_table *table)
{
    list_each(use, safe, &table->by_use) {
        close_entry(table, entry_of(use));
    }
    map_fini(&table->by_name);
}
