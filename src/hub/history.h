/* history.h - the latest chunks of a shared source, for `start.last`.
 *
 * Threads: under the inlet's lock, except making and freeing. */
#ifndef TRIBUTARY_HUB_HISTORY_H
#define TRIBUTARY_HUB_HISTORY_H

#include <stdint.h>

struct chunk;
struct history;
struct route;

struct history *history_new(void);                              /* NULL: out of memory */
void history_free(struct history *history);                     /* NULL is allowed */
void history_add(struct history *history, struct chunk *chunk); /* the chunk that comes next */

/* Puts to the route the last `max` events that it wants. */
void history_put(const struct history *history, struct route *route, uint32_t max);

#endif
