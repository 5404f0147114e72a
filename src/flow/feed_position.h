/* feed_position.h - how far a consumer has come in a source. For the files of this room.
 *
 * Threads: everything here runs under the channel's lock. */
#ifndef TRIBUTARY_FLOW_FEED_POSITION_H
#define TRIBUTARY_FLOW_FEED_POSITION_H

#include <stdint.h>

#include "flow/feed_internal.h"

/* Record number `at` of a feed's losses: 0 is the first one, the others go by unreported_slot().
 * NULL: there is none. */
static inline struct unreported *feed_record(struct feed *feed, uint32_t at)
{
    if (at == 0)
        return &feed->unreported;
    return feed->unreported_others ? &feed->unreported_others[at] : NULL;
}

/* How far the closed feeds of the source let its position be: a source that was left and selected
 * again may have events in one of them. UINT64_MAX: as far as it likes. */
uint64_t feed_earlier_position(const struct chan *chan, const struct source *source);

/* Its reader does not know yet where it begins (feed_unplaced()). */
bool feed_is_unplaced(struct feed *feed);

/* Everything of the source up to here was dequeued, filtered out, or reported as lost. 0: nobody
 * knows. */
uint64_t feed_position(const struct chan *chan, struct feed *feed);

/* The channel closes, and drops what it has. The positions of stored topics stay before that: who
 * resumes reads it again. */
void chan_hold_positions(struct chan *chan);

#endif
