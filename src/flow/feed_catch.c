/* feed_catch.c - whether the consumer of a stored topic keeps up.
 *
 * A feed with something to tell is in chan->catches. Very few channels have such a feed, so the
 * taker looks at chan->catch_count first, without the lock. What was noted before the put of an
 * event is seen by who has dequeued that event, because both were under the lock. */
#include "flow/feed_catch.h"

#include "flow/chan_internal.h"

static struct catch *catch_of(struct feed *feed)
{
    CHECK(feed->pausable);
    return &pausable_feed(feed)->catch;
}

/* Every event up to `sequence` was dequeued or reported as lost. */
static bool is_settled(const struct feed *feed, uint64_t sequence)
{
    struct list *oldest = list_first(&feed->waiting_entries);

    if (!list_empty(&feed->in_losses))
        return false;
    if (!oldest)
        oldest = list_first(&feed->parked_entries);
    if (!oldest)
        return true;
    const struct range *range = &container_of(oldest, struct entry, in_feed)->range;
    return chunk_sequence(range->chunk, range->first) > sequence;
}

void feed_caught_up(struct chan *chan, struct feed *feed, uint64_t sequence)
{
    struct catch *catch = catch_of(feed);
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    if (!catch->is_reported || catch->falls) {
        catch->catches = true;
        catch->caught_up = sequence;
        feed_update_catch(chan, feed);
        if (is_settled(feed, sequence))
            chan_notify(chan);
    }
    chan_leave(chan);
}

void feed_fell_behind(struct chan *chan, struct feed *feed, uint64_t sequence)
{
    struct catch *catch = catch_of(feed);
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    catch->catches = false;
    if (catch->is_reported && !catch->falls) {
        catch->falls = true;
        catch->fell_behind = sequence;
        chan_notify(chan);
    }
    feed_update_catch(chan, feed);
    chan_leave(chan);
}

struct catch_report {
    struct chan *chan;
    uint32_t max, count;
    void (*each)(void *ctx, const struct catch_note *note);
    void *ctx;
};

static void give(struct catch_report *report, const struct feed *feed, bool caught_up, uint64_t sequence)
{
    report->each(report->ctx, &(struct catch_note){feed->source, sequence, caught_up});
    report->count++;
}

/* A FellBehind, and then perhaps the CaughtUp after it. */
static void report_feed(struct catch_report *report, struct catch *catch)
{
    struct feed *feed = &container_of(catch, struct pausable_feed, catch)->feed;

    if (catch->falls && (feed->in_flight.events > 0 || report->count < report->max)) {
        give(report, feed, false, catch->fell_behind);
        catch->falls = false;
        catch->is_reported = false;
    }
    if (catch->catches && !catch->falls && report->count < report->max &&
        is_settled(feed, catch->caught_up)) {
        give(report, feed, true, catch->caught_up);
        catch->catches = false;
        catch->is_reported = true;
    }
    feed_update_catch(report->chan, feed);
}

uint32_t chan_catches(struct chan *chan, uint32_t max, void (*each)(void *ctx, const struct catch_note *note),
                      void *ctx)
{
    struct catch_report report = {.chan = chan, .max = max, .each = each, .ctx = ctx};
    SCRATCH struct deferred deferred;

    if (LIKELY(atomic_load_explicit(&chan->catch_count, memory_order_relaxed) == 0))
        return 0;
    chan_enter(chan, &deferred);
    if (chan->state == CHAN_OPEN || chan->state == CHAN_DRAINING) {
        list_each(node, safe, &chan->catches)
            report_feed(&report, container_of(node, struct catch, in_catches));
    }
    chan_leave(chan);
    return report.count;
}
