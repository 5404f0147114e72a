/* shared_feed.h - shared feeds, which the channel makes by itself.
 *
 * A shared source is one whose events many channels get. Most of these pairs are idle most of the
 * time. So a channel makes the feed of a shared source when there is something to keep for it, and
 * gives it back when nothing is: no event waits, is parked or is in flight, and no loss and no
 * state is to be reported. Where there is no feed the source's position is source->routed, because
 * everything up to there was dealt with. If it is still to be reported (chan_positions()) the
 * channel keeps the source in a set, or, of a few sources, the feed.
 *
 * chan_put() makes the feed of a chunk's source. Without memory for a feed the events are accepted
 * and dropped for BUDGET, and reported in a loss without a source. A state for which there is no
 * memory is reported as RESYNC.
 *
 * At most MAX_SHARED_STATES states of shared sources wait to be reported. One more, and RESYNC
 * takes the place of them all.
 *
 * Threads: any, under the channel's lock. For one source, calls and puts come one after another;
 * only shared_state() may come while the source puts. */
#ifndef TRIBUTARY_FLOW_SHARED_FEED_H
#define TRIBUTARY_FLOW_SHARED_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "event/chunk.h"
#include "flow/source_loss.h"
#include "flow/source_state.h"

#define MAX_SHARED_STATES 1024u

struct chan;
struct put_waiter;

/* Reports the state of a source that the channel gets, or is about to get: its first one, or
 * another one. chan_states() reports the latest one, with its cause. Does nothing where
 * chan_limits.no_states says that nobody wants to know. Not after shared_end(). */
void shared_state(struct chan *chan, struct source *source, const struct source_state *state);

/* What shared_state() of more than MAX_SHARED_STATES sources leads to, in one step: RESYNC, where
 * states are wanted. For a channel that is about to get so many. */
void shared_begin_many(struct chan *chan);

/* Adds a resume gap, as feed_gap() does. */
void shared_gap(struct chan *chan, struct source *source, uint64_t first, uint64_t last, bool count_unknown);

/* Adds events that were lost before the source published them here, for one route of the channel
 * (chan_put_shared()). They are reported, and are in no total. Not between two puts of one chunk.
 * Does nothing where the channel accepts nothing, or where routes of this generation do not put. */
void shared_lost(struct chan *chan, uint32_t generation, struct source *source,
                 const struct source_loss *loss);

/* The channel gets no more of the source, which may go on. Its position in the channel follows
 * source->routed no more. Who waits for what is parked is notified, as if that was admitted; it
 * stays parked, within the block timeout. Returns false where there is no feed to keep the
 * position: it is source->routed at this moment. */
bool shared_freeze(struct chan *chan, struct source *source);

/* The same for every shared feed of the channel, whose sources all put no more. */
void shared_freeze_all(struct chan *chan);

/* The same for a source that has ended. Its last state is reported as feed_close() says. */
void shared_end(struct chan *chan, struct source *source, uint32_t state, uint32_t code, const char *message);

/* chan_give_up() for the source's feed, where there is one. */
void shared_give_up(struct chan *chan, struct source *source, const struct put_waiter *waiter);

#endif
