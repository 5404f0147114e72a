/* publisher_table.h - a publisher for each of many producers. A bounded number of them is open:
 * when one more is needed, the one that was not used for the longest time is closed, once all of
 * its events are done. Main thread. */
#ifndef TRIBUTARY_TOOL_PUBLISHER_TABLE_H
#define TRIBUTARY_TOOL_PUBLISHER_TABLE_H

#include "base/list.h"
#include "base/map.h"
#include "tributary/tributary.h"

#define MAX_OPEN_PUBLISHERS 256u

struct publisher_table {
    struct tributary *client;
    struct tributary_publisher_options options; /* of each, but for the producer */
    struct map by_name;
    struct list by_use;                       /* the one that was used last stands last */
    size_t count;                             /* open ones */
    uint64_t producers;                       /* names that were asked for; one may count again */
    struct tributary_publisher_stats earlier; /* of those that were closed */
};

/* `options` is copied; its callbacks get its `ctx`. */
void publisher_table_init(struct publisher_table *table, struct tributary *client,
                          const struct tributary_publisher_options *options);

/* Finds the publisher of a producer, or makes one. The name has no NUL; an empty one leaves the
 * choice to the server. The publisher is valid until the next call.
 *   TRIBUTARY_DEADLINE_EXCEEDED  one must be closed first, and `wait_ns` was not enough; try again
 *   others                       as tributary_publisher_new() */
enum tributary_code publisher_table_get(struct publisher_table *table, struct tributary_bytes name,
                                        int64_t wait_ns, struct tributary_publisher **publisher_out,
                                        struct tributary_status *status);

/* As tributary_publisher_flush(), for all. False: some events are not done. */
bool publisher_table_flush(struct publisher_table *table, int64_t wait_ns);

/* The sums of all: accepted, confirmed, refused and bytes. */
void publisher_table_stats(const struct publisher_table *table, struct tributary_publisher_stats *stats_out);

/* Remembers what each has accepted so far; and whether all of that is confirmed or refused. */
void publisher_table_mark(struct publisher_table *table);
bool publisher_table_mark_is_done(const struct publisher_table *table);

/* Frees all publishers. Flush first. */
void publisher_table_fini(struct publisher_table *table);

#endif
