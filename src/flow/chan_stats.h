/* chan_stats.h - the totals of a channel and of its feeds.
 *
 * Threads: any, under the channel's lock. */
#ifndef TRIBUTARY_FLOW_CHAN_STATS_H
#define TRIBUTARY_FLOW_CHAN_STATS_H

#include <stdbool.h>

#include "base/fault.h"
#include "flow/chan_limits.h"
#include "flow/totals.h"

struct chan;
struct feed;
struct source;

struct chan_stats {
    struct totals accepted, delivered, queued;
    struct totals dropped[LOSS_COUNT]; /* by reason */
    uint64_t ended_sources;            /* shared sources that ended and have no position any more */
    uint64_t sorted_late;              /* events that went after one with a later time */
    uint64_t sort_full;                /* that were not held for the whole window, because it was full */
    bool blocked;                      /* a shared feed has something parked */
    bool fallback_active;
};
void chan_stats(struct chan *chan, struct chan_stats *stats_out);

/* How a channel is at one moment, for those who ask what limits it. */
struct chan_condition {
    struct chan_stats stats;
    const struct chan_limits *limits; /* the channel's; valid as long as the channel is held */
    struct totals waiting, in_flight;
    struct totals parked;    /* of shared and of pausable feeds */
    uint64_t blocked_bytes;  /* of these, of shared feeds */
    uint32_t blocked_ranges; /* parked ranges of shared feeds */
    uint32_t gaps;           /* resume gaps that were reported so far */
    /* clock_mono_ns(); INT64_MAX: it does not hold. */
    int64_t blocked_since_ns;  /* since when shared feeds have something parked */
    int64_t oldest_waiting_ns; /* when the oldest event that waits was published */
};
void chan_condition(struct chan *chan, struct chan_condition *condition_out);

/* Whether something of this feed is parked; `feed` NULL: of the shared feed of the source. Then its
 * putters wait, unless the feed is pausable. */
bool chan_blocks(struct chan *chan, const struct feed *feed, const struct source *source);

struct totals chan_dropped(const struct chan_stats *stats); /* all reasons together */

/* Fills in what a consumer is told whose channel was broken: TOO_SLOW. By DISCONNECT: with the
 * bounds of the channel and what is lost. With another policy it granted no credit. */
void chan_too_slow(struct chan *chan, struct fault *fault);

struct feed_stats {
    const struct source *source; /* valid during the call */
    struct totals accepted, delivered, dropped, queued;
};
/* Calls `each` for at most `max` feeds. It runs under the lock and may only write down what it is
 * given. *stats_out is of the same moment. *others_out has what none of these feeds counts, without
 * a source: of sources that are idle now, or that `max` left out. */
void chan_feeds(struct chan *chan, uint32_t max, void (*each)(void *ctx, const struct feed_stats *stats),
                void *ctx, struct chan_stats *stats_out, struct feed_stats *others_out);

#endif
