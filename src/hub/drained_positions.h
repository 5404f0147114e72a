/* drained_positions.h - where every shared producer stood when the hub's drain had closed its
 * inlet. All subscriptions that were wildcards then share it: each of them stands there too, but
 * for what its channel still holds. So a drain costs a walk over the producers, and not one for
 * each subscription.
 *
 * Threads: the loop makes it and frees it. It does not change in between. */
#ifndef TRIBUTARY_HUB_DRAINED_POSITIONS_H
#define TRIBUTARY_HUB_DRAINED_POSITIONS_H

#include <stdbool.h>
#include <stdint.h>

struct hub;
struct source;

struct drained_positions {
    uint32_t count;
    struct drained_position {
        struct source *source; /* a reference */
        uint64_t sequence;
        uint32_t wildcard_count; /* the first so many wildcards got its events */
    } list[];
};

/* Takes the positions, and notes in each subscription that is a wildcard that it shares them.
 * Closes every inlet that is still open. NULL: there is no memory, and each subscription keeps its
 * own. */
struct drained_positions *drained_positions_take(struct hub *hub);
void drained_positions_free(struct drained_positions *positions); /* NULL allowed */

#endif
