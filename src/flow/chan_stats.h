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
struct source;

struct chan_stats {
    struct totals accepted, delivered, queued;
    struct totals dropped[LOSS_COUNT]; /* by reason */
    uint64_t ended_sources;            /* shared sources that ended and have no position any more */
    bool blocked;                      /* a shared feed has something parked */
    bool fallback_active;
};
void chan_stats(struct chan *chan, struct chan_stats *stats_out);
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
