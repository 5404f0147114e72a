/* chan_stats.c - the totals of a channel and of its feeds. */
#include "flow/chan_stats.h"

#include <inttypes.h>
#include <stdio.h>

#include "flow/chan_internal.h"
#include "flow/order_internal.h"

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

/* Under the lock. */
static void fill(const struct chan *chan, struct chan_stats *stats)
{
    stats->accepted = chan->accepted;
    stats->delivered = chan->delivered;
    stats->queued = add(chan->waiting, chan->in_flight);
    for (int i = 0; i < LOSS_COUNT; i++)
        stats->dropped[i] = chan->dropped[i];
    stats->ended_sources = chan->ended_sources;
    stats->sorted_late = chan->order ? chan->order->late_count : 0;
    stats->sort_full = chan->order ? chan->order->full_count : 0;
    stats->blocked = chan->blocked_count > 0;
    stats->fallback_active = chan->fallback_active;
}

void chan_stats(struct chan *chan, struct chan_stats *stats_out)
{
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    fill(chan, stats_out);
    chan_leave(chan);
}

void chan_condition(struct chan *chan, struct chan_condition *condition_out)
{
    SCRATCH struct deferred deferred;
    struct list *node;

    chan_enter(chan, &deferred);
    fill(chan, &condition_out->stats);
    condition_out->limits = &chan->limits;
    condition_out->waiting = chan->waiting;
    condition_out->in_flight = chan->in_flight;
    condition_out->parked = chan->parked;
    condition_out->blocked_bytes = chan->blocked_bytes;
    condition_out->blocked_ranges = chan->blocked_count;
    condition_out->gaps = chan->gaps;
    condition_out->blocked_since_ns =
        chan->blocked_count > 0 ? chan->blocked_until_ns - chan->limits.block_timeout_ns : INT64_MAX;
    node = list_first(&chan->waiting_entries);
    condition_out->oldest_waiting_ns =
        node ? container_of(node, struct entry, in_chan)->range.chunk->observed_mono_ns : INT64_MAX;
    chan_leave(chan);
}

bool chan_blocks(struct chan *chan, const struct feed *feed, const struct source *source)
{
    SCRATCH struct deferred deferred;
    bool blocks;

    chan_enter(chan, &deferred);
    if (!feed && chan->blocked_count > 0)
        feed = feed_table_find(&chan->shared, source);
    blocks = feed && !list_empty(&feed->parked_entries);
    chan_leave(chan);
    return blocks;
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

static void subtract(struct totals *totals, struct totals part)
{
    totals_sub(totals, part.events, part.bytes);
}

void chan_feeds(struct chan *chan, uint32_t max, void (*each)(void *ctx, const struct feed_stats *stats),
                void *ctx, struct chan_stats *stats_out, struct feed_stats *others_out)
{
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    fill(chan, stats_out);
    *others_out = (struct feed_stats){.accepted = stats_out->accepted,
                                      .delivered = stats_out->delivered,
                                      .dropped = chan_dropped(stats_out),
                                      .queued = stats_out->queued};
    list_each(node, safe, &chan->feeds) {
        struct feed *feed = container_of(node, struct feed, in_chan);
        struct feed_stats stats = {.source = feed->source,
                                   .accepted = feed->accepted,
                                   .delivered = feed->delivered,
                                   .dropped = feed->dropped,
                                   .queued = add(feed->waiting, feed->in_flight)};

        if (max-- == 0)
            break;
        subtract(&others_out->accepted, stats.accepted);
        subtract(&others_out->delivered, stats.delivered);
        subtract(&others_out->dropped, stats.dropped);
        subtract(&others_out->queued, stats.queued);
        each(ctx, &stats);
    }
    chan_leave(chan);
}
