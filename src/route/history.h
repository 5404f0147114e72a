/* history.h - the latest chunks of a source, for `start.last`.
 *
 * Threads: under the inlet's lock, except making and freeing. */
#ifndef TRIBUTARY_ROUTE_HISTORY_H
#define TRIBUTARY_ROUTE_HISTORY_H

#include <stdint.h>

struct chunk;
struct history;
struct route;

/* How much is kept of each source. Keeping it costs each offer some 100 ns beside its 250, so a
 * server where nobody asks does not pay. Nothing is kept while more than half of the process's
 * budget for chunks is used. */
#define HISTORY_EVENTS 1024u
#define HISTORY_BYTES (1024u * 1024u)

struct history *history_new(void);                              /* NULL: out of memory */
void history_free(struct history *history);                     /* NULL is allowed */
void history_add(struct history *history, struct chunk *chunk); /* the chunk that comes next */

/* Puts to the route the last `max` events that it wants. */
void history_put(const struct history *history, struct route *route, uint32_t max);

#endif
