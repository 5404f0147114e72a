/* chan_stats.c - the totals of a channel and of its feeds. */
#include "flow/chan_stats.h"

#include <inttypes.h>
#include <stdio.h>

#include "flow/chan_internal.h"

struct totals chan_dropped(const struct chan_stats *stats)
{
    struct totals dropped = {0};

    for (int i = 0; i < LOSS_COUNT; i++)
        totals_add(&dropped, stats->dropped[i].events, stats->dropped[i].bytes);
    return dropped;
}

static struct totals add(struct totals a, struct totals b)
{
    return (struct totals){a.events + b.events, a.bytes + b.bytes};
}

void chan_stats(struct chan *chan, struct chan_stats *stats_out)
{
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    stats_out->accepted = chan->accepted;
    stats_out->delivered = chan->delivered;
    stats_out->queued = add(chan->waiting, chan->in_flight);
    for (int i = 0; i < LOSS_COUNT; i++)
        stats_out->dropped[i] = chan->dropped[i];
    stats_out->blocked = chan->blocked_count > 0;
    stats_out->fallback_active = chan->fallback_active;
    chan_leave(chan);
}

void chan_too_slow(struct chan *chan, struct fault *fault)
{
    struct chan_stats stats;
    char bound[96];

    chan_stats(chan, &stats);
    if (chan->limits.overflow == OVERFLOW_BLOCK && chan->limits.fallback != OVERFLOW_DISCONNECT) {
        fault_set(fault, FAULT_TOO_SLOW, "credit",
                  "shared producers were blocked, and then none came in the write timeout");
        return;
    }
    snprintf(bound, sizeof(bound), "at most %" PRIu32 " events and %" PRIu64 " bytes wait; lost",
             chan->limits.max_events, chan->limits.max_bytes);
    fault_number(fault, FAULT_TOO_SLOW, "buffer", chan_dropped(&stats).events + stats.queued.events, bound);
}

void chan_feeds(struct chan *chan, uint32_t max, void (*each)(void *ctx, const struct feed_stats *stats),
                void *ctx)
{
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    list_each(node, safe, &chan->feeds) {
        struct feed *feed = container_of(node, struct feed, in_chan);
        struct feed_stats stats = {.source = feed->source,
                                   .accepted = feed->accepted,
                                   .delivered = feed->delivered,
                                   .dropped = feed->dropped,
                                   .queued = add(feed->waiting, feed->in_flight)};

        if (max-- == 0)
            break;
        each(ctx, &stats);
    }
    chan_leave(chan);
}
