/* history.h - the latest chunks of a source, for routes that begin with some of them.
 *
 * All histories of the process share one lock, which is taken last. So history_shed() may take
 * chunks out of any of them.
 *
 * Threads: under the inlet's lock, except making, freeing and history_shed(). */
#ifndef TRIBUTARY_ROUTE_HISTORY_H
#define TRIBUTARY_ROUTE_HISTORY_H

#include <stdint.h>

#include "base/base.h"

struct chunk;
struct history;
struct route;

/* How much is kept of each source. Keeping it costs each offer some 100 ns beside its 250, so a
 * server where nobody asks does not pay. While more than half of the process's budget for chunks is
 * used, nothing is added, and what is kept gives way, that of the sources first which have been
 * quiet for longest. */
#define HISTORY_EVENTS 1024u
#define HISTORY_BYTES (1024u * 1024u)

struct history_bounds {
    uint32_t events;
    uint64_t bytes;
};

/* `bounds` NULL: the two above. NULL: out of memory. */
struct history *history_new(const struct history_bounds *bounds);
void history_free(struct history *history);                     /* NULL is allowed */
void history_add(struct history *history, struct chunk *chunk); /* the chunk that comes next */

/* Forgets all: what comes next does not follow on it. NULL is allowed. */
void history_clear(struct history *history);

/* Gives up chunks, at most `max`: the oldest of the sources that have been quiet for longest.
 * Returns how many it gave up. Any thread, with no lock of an inlet or channel that could wait for
 * this one. */
uint32_t history_shed(uint32_t max);

/* Puts to the route what it wants of the events from `sequence` on, until its put() returns
 * something else than ERR_OK. False: the history does not reach back to there, and nothing was put.
 * `history` NULL: there is none. */
MUST_CHECK bool history_put_from(const struct history *history, struct route *route, uint64_t sequence);

/* Puts to the route the last `max` events that it wants. */
void history_put(const struct history *history, struct route *route, uint32_t max);

#endif
