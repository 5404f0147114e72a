/* pick.h - what the filters of an inlet's routes want of a chunk. */
#ifndef TRIBUTARY_HUB_PICK_H
#define TRIBUTARY_HUB_PICK_H

#include <stdint.h>

struct chunk;
struct inlet;
struct put_waiter;

/* Puts to each route with a filter what it wants of the chunk. Returns how many of them took
 * something. Under the inlet's lock. */
uint32_t pick_events(struct inlet *inlet, struct chunk *chunk, struct put_waiter *waiter);

#endif
