/* feed_catch.h - whether the consumer of a stored topic keeps up: what its reader notes, and what
 * the taker reports.
 *
 * A consumer is behind at first. It has caught up once its reader has said so and every event up
 * to there was dequeued or reported as lost. It is told each change once, so CaughtUp and
 * FellBehind alternate, and CaughtUp comes first. A feed keeps at most one of each. What changes
 * back before it was told is not told.
 *
 * Threads: any, under the channel's lock, except chan_catches(). */
#ifndef TRIBUTARY_FLOW_FEED_CATCH_H
#define TRIBUTARY_FLOW_FEED_CATCH_H

#include <stdbool.h>

#include "event/chunk.h"

struct chan;
struct feed;

/* The reader of a pausable feed has put, or filtered out, all that there is up to `sequence`; 0:
 * there was never an event. What follows is put when it is published. Call it before the first put
 * of what follows. */
void feed_caught_up(struct chan *chan, struct feed *feed, uint64_t sequence);

/* The reader goes on from the disk; `sequence` is the first event that comes from there. Call it
 * before the put of that event. */
void feed_fell_behind(struct chan *chan, struct feed *feed, uint64_t sequence);

struct catch_note {
    const struct source *source;
    uint64_t sequence; /* as it was noted */
    bool caught_up;    /* false: it fell behind */
};

/* Reports what changed. Call it after chan_losses() and before chan_states(), and send all of it in
 * the message of the batch. Then a FellBehind comes no later than the first event from its
 * `sequence` on, and a CaughtUp no earlier than the last event up to its `sequence`, and its loss.
 *
 * `max` bounds the notes, but for the FellBehind of sources that have events in flight. The taker
 * only. `each` is as in chan_report.h. Returns how many were reported; at least `max`: there may be
 * more. */
uint32_t chan_catches(struct chan *chan, uint32_t max, void (*each)(void *ctx, const struct catch_note *note),
                      void *ctx);

#endif
