/* feed.h - a feed: one source's share of a channel, with its own order, totals, losses and state.
 *
 * A *shared* feed belongs to a producer that all consumers share. What BLOCK refuses of it is
 * parked, its putter waits in a put waiter, and block_timeout_ns bounds that wait.
 *
 * A *pausable* feed belongs to an activation, or to the reader of a stored topic. Its putter never
 * waits. What BLOCK refuses of it is parked without a timeout, up to the reserve, and its producer
 * is asked to pause. An active fallback does not touch what it has parked.
 *
 * Threads: any, under the channel's lock. */
#ifndef TRIBUTARY_FLOW_FEED_H
#define TRIBUTARY_FLOW_FEED_H

#include <stdatomic.h>
#include <stdbool.h>

#include "event/chunk.h"
#include "flow/chan_port.h"
#include "flow/source_state.h"

struct chan;
struct feed;
struct source_loss;

/* The reserve: what a pausable feed may still park after it was asked to pause, beside the put that
 * opened the pause. Beyond it, everything that the feed has parked and what it puts next fall to
 * the fallback. They are lost for the fallback's own reason. */
#define FEED_RESERVE_EVENTS 1024u
#define FEED_RESERVE_BYTES (256u * 1024u)

/* Opens a feed for `source`, which is retained. The caller must hold the channel. `pause_port` is
 * copied; NULL makes a shared feed. `state` is the source's first state (numbers as in the API's
 * enum ProducerState); chan_states() reports it like a change.
 * Returns NULL when memory runs out. */
struct feed *feed_open(struct chan *chan, struct source *source, uint32_t state,
                       const struct pause_port *pause_port);

/* The source has another state, or another cause of it, which is copied. chan_states() reports the
 * latest one only. */
void feed_state(struct chan *chan, struct feed *feed, const struct source_state *state);

/* The producer behind a pausable feed is not asked to pause or to resume any more. Waits for a
 * set_paused() call that is being made. */
void feed_silence(struct chan *chan, struct feed *feed);

/* The source will put no more. The caller may not use the feed afterwards.
 *
 * `state` (REMOVED, ENDED) and the cause are reported once the feed's last entry was dequeued and
 * its losses were reported; then the feed is freed. What it has parked stays parked and is admitted
 * as space comes. `code` 0 means that there is no cause. `message` may be NULL; it is copied, at
 * most 256 bytes of it. Silences the feed (feed_silence()). Who waits for what a shared feed has
 * parked is notified, as if that was admitted. */
void feed_close(struct chan *chan, struct feed *feed, uint32_t state, uint32_t code, const char *message);

/* Gives the feed a sequence to read its position from. It means: everything of the source up to
 * *routed was put, or was filtered out. The putter stores it after its puts (release). So a putter
 * that has nothing to put for this feed does not have to take the channel's lock.
 *
 * The feed reads `routed` until another pointer, or NULL, is given. Then the last value that it
 * read holds. Calls come in the putter's order. */
void feed_follow(struct feed *feed, const _Atomic uint64_t *routed);

/* The reader of a stored topic does not know yet where it begins: until feed_placed() the feed has
 * no position, and chan_all_positions() returns false. Only before its first put. */
void feed_unplaced(struct chan *chan, struct feed *feed);
void feed_placed(struct chan *chan, struct feed *feed);

/* Adds a resume gap: events [first, last] that this consumer missed before it came. It is reported
 * as a loss and is in no total. */
void feed_gap(struct chan *chan, struct feed *feed, uint64_t first, uint64_t last, bool count_unknown);

/* Adds events [first, last] of a stored topic that retention or deletion removed before they were
 * put (TRIMMED). They are reported, and are in no total. `count_unknown`: nobody knows how many of
 * them the consumer wanted. */
void feed_trimmed(struct chan *chan, struct feed *feed, uint64_t first, uint64_t last, bool count_unknown);

/* Counts events [first, last) of the chunk as accepted and dropped (EXPIRED): their time had passed
 * before the source would have put them. It comes in the order of the puts to this feed.
 *   ERR_CLOSED  as that of chan_put() */
MUST_CHECK enum err feed_expired(struct chan *chan, struct feed *feed, struct chunk *chunk, uint32_t first,
                                 uint32_t last);

/* Adds events that were lost before the source put them. They are reported, and are in no total.
 * Does nothing where the channel accepts nothing. */
void feed_lost_upstream(struct chan *chan, struct feed *feed, const struct source_loss *loss);

#endif
