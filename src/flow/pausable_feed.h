/* pausable_feed.h - what only pausable feeds have (feed.h). For the files of this room.
 *
 * Threads: everything here runs under the channel's lock, except feed_announce(). */
#ifndef TRIBUTARY_FLOW_PAUSABLE_FEED_H
#define TRIBUTARY_FLOW_PAUSABLE_FEED_H

#include "flow/feed_internal.h"

/* What the consumer of a stored topic is still to be told (feed_catch.h). */
struct catch
{
    struct list in_catches; /* in chan->catches, while there is something */
    bool falls, catches;    /* a FellBehind and, after it, a CaughtUp, at these sequences */
    bool is_reported;       /* that it has caught up, and no FellBehind since */
    uint64_t fell_behind, caught_up;
};

/* There may be very many shared feeds, so only pausable ones have these. */
struct pausable_feed {
    struct feed feed;
    struct pause_port port;   /* constant */
    struct totals max_parked; /* what opened the pause, plus the reserve */
    struct feed *next_to_announce;
    struct catch catch;
    /* The position is no further: what came behind it was dropped when the channel closed. */
    uint64_t held_at;
    bool unplaced; /* feed_unplaced() */
};

static inline struct pausable_feed *pausable_feed(struct feed *feed)
{
    return container_of(feed, struct pausable_feed, feed);
}

/* Puts the feed on the list chan->catches, or takes it off, as it has something to tell or not. */
void feed_update_catch(struct chan *chan, struct feed *feed);
/* It has nothing to tell any more. Does nothing for a shared feed. */
void feed_forget_catch(struct chan *chan, struct feed *feed);

/* What the feed has parked has changed. A pausable feed whose producer must hear of it is put on
 * the list of feeds to announce. */
void feed_update_pause(struct chan *chan, struct feed *feed);

/* Calls set_paused() until the producer knows the present state. Without the lock; the feed may be
 * gone afterwards. */
void feed_announce(struct chan *chan, struct feed *feed);

#endif
