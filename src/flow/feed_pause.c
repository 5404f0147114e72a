/* feed_pause.c - how the producer behind a pausable feed is asked to pause, and to resume. See the
 * design in chan_internal.h. */
#include "flow/chan_internal.h"

/* The producer must be asked for the opposite of what it was asked for last. A closed channel asks
 * for nothing, because no more can be sent to it. */
static bool pause_is_stale(const struct chan *chan, const struct feed *feed)
{
    return feed->paused == list_empty(&feed->parked_entries) && !feed->silenced && chan->state != CHAN_CLOSED;
}

void feed_update_pause(struct chan *chan, struct feed *feed)
{
    if (!feed->pausable || feed->announcing || !pause_is_stale(chan, feed))
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
