/* match_chunk.h - matches the events of a chunk to the routes that want them. */
#ifndef TRIBUTARY_ROUTE_MATCH_CHUNK_H
#define TRIBUTARY_ROUTE_MATCH_CHUNK_H

#include <stdbool.h>
#include <stdint.h>

struct chunk;
struct inlet;
struct put_waiter;

/* Puts to each route with a filter that is `second`, or to each one that is not, what it wants of
 * the chunk. Returns how many of them took something. Under the inlet's lock. */
uint32_t match_chunk(struct inlet *inlet, struct chunk *chunk, struct put_waiter *waiter, bool second);

#endif
