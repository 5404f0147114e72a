/* feed_pause.c - what only pausable feeds have: how the producer is asked to pause, and to resume
 * (see the design in chan_internal.h), and their place among those with a CaughtUp or a FellBehind
 * to tell. */
#include "flow/chan_internal.h"

/* The producer must be asked for the opposite of what it was asked for last. A closed channel asks
 * for nothing, because no more can be sent to it. */
static bool pause_is_stale(const struct chan *chan, const struct feed *feed)
{
    return feed->paused == list_empty(&feed->parked_entries) && !feed->silenced && chan->state != CHAN_CLOSED;
}

void feed_update_pause(struct chan *chan, struct feed *feed)
{
    if (!feed->pausable)
        return;
    if (pausable_feed(feed)->port.by_result && !list_empty(&feed->parked_entries))
        feed->paused = true;
    if (feed->announcing || !pause_is_stale(chan, feed))
        return;
    feed->announcing = true;
    pausable_feed(feed)->next_to_announce = chan->deferred->to_announce;
    chan->deferred->to_announce = feed;
}

void feed_announce(struct chan *chan, struct feed *feed)
{
    const struct pause_port *port = &pausable_feed(feed)->port;

    pthread_mutex_lock(&chan->lock);
    while (pause_is_stale(chan, feed)) {
        bool pause = !feed->paused;

        feed->paused = pause;
        pthread_mutex_unlock(&chan->lock);
        port->set_paused(port->ctx, pause);
        pthread_mutex_lock(&chan->lock);
    }
    feed->announcing = false;
    if (feed->silenced)
        pthread_cond_broadcast(&chan->announced);
    pthread_mutex_unlock(&chan->lock);
}

void feed_update_catch(struct chan *chan, struct feed *feed)
{
    struct catch *catch = &pausable_feed(feed)->catch;
    const bool wanted = catch->falls || catch->catches, listed = !list_empty(&catch->in_catches);

    if (wanted == listed)
        return;
    if (wanted)
        list_append(&chan->catches, &catch->in_catches);
    else
        list_remove(&catch->in_catches);
    atomic_fetch_add_explicit(&chan->catch_count, wanted ? 1u : UINT32_MAX, memory_order_relaxed);
}

void feed_forget_catch(struct chan *chan, struct feed *feed)
{
    if (!feed->pausable)
        return;
    pausable_feed(feed)->catch.falls = false;
    pausable_feed(feed)->catch.catches = false;
    feed_update_catch(chan, feed);
}
