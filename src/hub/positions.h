/* positions.h - where a subscription stands in every source that it gets. */
#ifndef TRIBUTARY_HUB_POSITIONS_H
#define TRIBUTARY_HUB_POSITIONS_H

#include <stdbool.h>
#include <stdint.h>

#define POSITIONS_UNKNOWN UINT64_MAX

struct source;
struct subscription;

/* Gives every position above 0 (chan_all_positions()), until `each` returns false. `each` may only
 * write down what it is given. After a gentle end has begun, sources that the subscription has left
 * keep the position that they had then. Returns how many sources could not be kept so; or
 * POSITIONS_UNKNOWN: where a stored topic begins is not known yet, and not all were given.
 *
 * Threads: any, from hub_subscribe() until hub_unsubscribe(). */
uint64_t hub_positions(struct subscription *subscription,
                       bool (*each)(void *ctx, const struct source *source, uint64_t sequence), void *ctx);

/* Gives at most `max` positions of sources that have moved since they were given last, or since the
 * subscription was bound to them, and of which there is no feed: only filtered events came. A
 * position may be given that chan_positions() has given before. `each` may only write down what it
 * is given. Returns how many there were. It walks over all bindings.
 *
 * Threads: any one, from hub_subscribe() until hub_unsubscribe(). */
uint32_t hub_filtered_positions(struct subscription *subscription, uint32_t max,
                                void (*each)(void *ctx, const struct source *source, uint64_t sequence),
                                void *ctx);

#endif
