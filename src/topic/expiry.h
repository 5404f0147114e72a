/* expiry.h - events of a topic whose `expires_unix_nano` has passed when they are put.
 *
 * Threads: any. */
#ifndef TRIBUTARY_TOPIC_EXPIRY_H
#define TRIBUTARY_TOPIC_EXPIRY_H

#include <stdint.h>

#include "base/status.h"

struct chunk;
struct route;

/* Calls put() for the runs of events [first, last) that have not expired, and counts the others as
 * lost (EXPIRED), in their order. Reads each of them. Stops at what is not ERR_OK, and returns it.
 * Under the lock under which the route puts. */
MUST_CHECK enum err expiry_put(struct route *route, struct chunk *chunk, uint32_t first, uint32_t last,
                               enum err (*put)(struct route *route, struct chunk *chunk, uint32_t first,
                                               uint32_t last));

#endif
