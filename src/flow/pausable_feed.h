/* pausable_feed.h - what only the feed of an activation has (feed.h). For the files of this room.
 *
 * Threads: everything here runs under the channel's lock, except feed_announce(). */
#ifndef TRIBUTARY_FLOW_PAUSABLE_FEED_H
#define TRIBUTARY_FLOW_PAUSABLE_FEED_H

#include "flow/feed_internal.h"

/* There may be very many shared feeds, so only pausable ones have these. */
struct pausable_feed {
    struct feed feed;
    struct pause_port port;   /* constant */
    struct totals max_parked; /* what opened the pause, plus the reserve */
    struct feed *next_to_announce;
};

static inline struct pausable_feed *pausable_feed(struct feed *feed)
{
    return container_of(feed, struct pausable_feed, feed);
}

/* What the feed has parked has changed. A pausable feed whose producer must hear of it is put on
 * the list of feeds to announce. */
void feed_update_pause(struct chan *chan, struct feed *feed);

/* Calls set_paused() until the producer knows the present state. Without the lock; the feed may be
 * gone afterwards. */
void feed_announce(struct chan *chan, struct feed *feed);

#endif
