/* shared_feed.c - shared feeds, which the channel makes by itself. See shared_feed.h.
 *
 * A put holds a reference to its feed until it is done, so the feed is not given back meanwhile. It
 * is given back where the last thing goes that kept it: a reference (feed_release()), its place
 * among the states (chan_states()), or among those that moved (chan_positions()). */
#include "flow/shared_feed.h"

#include <stdlib.h>

#include "flow/puts_for.h"

static struct feed *make(struct chan *chan, struct source *source)
{
    struct feed *feed = feed_add(chan, feed_new(false), source);

    if (!feed)
        return NULL;
    feed->shared = true;
    feed->follows = &source->routed;
    feed_table_add(&chan->shared, feed);
    return feed;
}

struct feed *shared_feed(struct chan *chan, struct source *source)
{
    struct feed *feed = feed_table_find(&chan->shared, source);

    if (feed)
        return feed;
    feed = make(chan, source);
    if (feed && source_set_remove(&chan->moved_sources, source))
        feed_touch(chan, feed);
    return feed;
}

void shared_state(struct chan *chan, struct source *source, const struct source_state *state)
{
    SCRATCH struct deferred deferred;
    struct feed *feed;
    char *text;

    if (chan->limits.no_states)
        return;
    text = source_message_copy(state->message);
    chan_enter(chan, &deferred);
    feed = chan->resync ? feed_table_find(&chan->shared, source) : shared_feed(chan, source);
    if (feed) {
        feed_set_state(feed, state->state, state->code, text);
        text = NULL;
        feed->reported_state = FEED_STATE_NONE; /* the cause may be another one */
        feed_changed(chan, feed);
    } else {
        chan_resync(chan);
    }
    chan_leave(chan);
    free(text);
}

void shared_begin_many(struct chan *chan)
{
    SCRATCH struct deferred deferred;

    if (chan->limits.no_states)
        return;
    chan_enter(chan, &deferred);
    chan_resync(chan);
    chan_leave(chan);
}

void shared_gap(struct chan *chan, struct source *source, uint64_t first, uint64_t last, bool count_unknown)
{
    const struct unreported loss = feed_gap_loss(first, last, count_unknown);
    SCRATCH struct deferred deferred;
    struct feed *feed;

    chan_enter(chan, &deferred);
    feed = shared_feed(chan, source);
    if (feed)
        feed_add_loss(chan, feed, &loss);
    else
        chan_add_unattributed(chan, &loss);
    chan->gaps++;
    chan_leave(chan);
}

void shared_lost(struct chan *chan, uint32_t generation, struct source *source,
                 const struct source_loss *loss)
{
    const struct unreported unreported = feed_source_loss(loss);
    SCRATCH struct deferred deferred;
    struct feed *feed;

    chan_enter(chan, &deferred);
    if (chan->state == CHAN_OPEN && chan_puts_for(chan, generation)) {
        feed = shared_feed(chan, source);
        if (feed)
            feed_add_loss(chan, feed, &unreported);
        else
            chan_add_unattributed(chan, &unreported);
    }
    chan_leave(chan);
}

/* The position stays where it is, and nobody waits for what is parked. */
static void freeze(struct chan *chan, struct feed *feed)
{
    feed->routed = feed_routed(feed);
    feed->follows = NULL;
    feed_let_go(chan, feed);
}

/* A source whose position was to be reported without a feed gets one again, which keeps it. Without
 * memory for that the position is not reported. */
static struct feed *make_again(struct chan *chan, struct source *source)
{
    struct feed *feed = make(chan, source);

    if (feed)
        feed_touch(chan, feed);
    return feed;
}

/* The feed of a source that puts no more. NULL: nothing is to be kept or reported. */
static struct feed *last_feed(struct chan *chan, struct source *source)
{
    struct feed *feed = feed_table_find(&chan->shared, source);

    return !feed && source_set_remove(&chan->moved_sources, source) ? make_again(chan, source) : feed;
}

bool shared_freeze(struct chan *chan, struct source *source)
{
    SCRATCH struct deferred deferred;
    struct feed *feed;

    chan_enter(chan, &deferred);
    feed = last_feed(chan, source);
    if (feed)
        freeze(chan, feed);
    chan_leave(chan);
    return !!feed;
}

void shared_freeze_all(struct chan *chan)
{
    SCRATCH struct deferred deferred;
    struct source *source;

    chan_enter(chan, &deferred);
    while ((source = source_set_take(&chan->moved_sources))) {
        (void)make_again(chan, source);
        source_release(source);
    }
    list_each(node, safe, &chan->feeds) {
        struct feed *feed = container_of(node, struct feed, in_chan);

        if (feed->shared && !feed->closed)
            freeze(chan, feed);
    }
    chan_leave(chan);
}

/* The feed is closed: it is freed when it has nothing more to give. */
static void close_shared(struct chan *chan, struct feed *feed, uint32_t state, uint32_t code, char *text)
{
    feed_table_remove(&chan->shared, feed);
    feed_table_add(&chan->closing, feed);
    freeze(chan, feed);
    feed_end(chan, feed, state, code, text);
}

void shared_end(struct chan *chan, struct source *source, uint32_t state, uint32_t code, const char *message)
{
    char *text = source_message_copy(message);
    SCRATCH struct deferred deferred;
    struct feed *feed;

    chan_enter(chan, &deferred);
    feed = last_feed(chan, source);
    if (!feed && !chan->limits.no_states && !chan->resync) {
        feed = shared_feed(chan, source);
        if (!feed)
            chan_resync(chan);
    }
    if (feed) {
        close_shared(chan, feed, state, code, text);
        text = NULL;
    } else {
        chan->ended_sources++;
    }
    chan_leave(chan);
    free(text);
}
