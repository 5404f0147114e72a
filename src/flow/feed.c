/* feed.c - one source's share of a channel: its life, and how the producer behind a pausable feed
 * is asked to pause. What is reported of a feed is in chan_report.c. */
#include "flow/feed.h"

#include <stdlib.h>
#include <string.h>

#include "flow/chan_internal.h"

/* No state was reported yet. */
#define STATE_NONE UINT32_MAX

#define MAX_MESSAGE_BYTES 256

void feed_free(struct chan *chan, struct feed *feed)
{
    list_remove(&feed->in_chan);
    list_remove(&feed->in_losses);
    list_remove(&feed->in_states);
    heap_remove(&chan->heaviest, &feed->weight);
    source_release(feed->source);
    free(feed->unreported_others);
    free(feed->message);
    free(feed);
}

void feed_release(struct chan *chan, struct feed *feed)
{
    CHECK(feed->refs > 0);
    if (--feed->refs == 0)
        feed_free(chan, feed);
}

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
    feed->next_to_announce = chan->deferred->to_announce;
    chan->deferred->to_announce = feed;
}

void feed_announce(struct chan *chan, struct feed *feed)
{
    pthread_mutex_lock(&chan->lock);
    while (pause_is_stale(chan, feed)) {
        bool pause = !feed->paused;

        feed->paused = pause;
        pthread_mutex_unlock(&chan->lock);
        feed->pause_port.set_paused(feed->pause_port.ctx, pause);
        pthread_mutex_lock(&chan->lock);
    }
    feed->announcing = false;
    if (feed->silenced)
        pthread_cond_broadcast(&chan->announced);
    pthread_mutex_unlock(&chan->lock);
}

struct feed *feed_open(struct chan *chan, struct source *source, uint32_t state,
                       const struct pause_port *pause_port)
{
    struct feed *feed = calloc(1, sizeof(*feed));
    SCRATCH struct deferred deferred;
    enum err err = ERR_OK;

    if (!feed)
        return NULL;
    feed->chan = chan;
    feed->refs = 1;
    list_init(&feed->in_chan);
    list_init(&feed->in_losses);
    list_init(&feed->in_states);
    feed->state = state;
    feed->reported_state = STATE_NONE;
    feed->pausable = !!pause_port;
    if (pause_port)
        feed->pause_port = *pause_port;
    list_init(&feed->waiting_entries);
    list_init(&feed->parked_entries);
    chan_enter(chan, &deferred);
    if (chan->weighs_feeds)
        err = heap_set(&chan->heaviest, &feed->weight, 0);
    if (err == ERR_OK) {
        feed->source = source_retain(source);
        list_append(&chan->feeds, &feed->in_chan);
        feed_changed(chan, feed);
    }
    chan_leave(chan);
    if (err != ERR_OK) {
        free(feed);
        return NULL;
    }
    return feed;
}

void feed_state(struct chan *chan, struct feed *feed, uint32_t state)
{
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    feed->state = state;
    feed_changed(chan, feed);
    chan_leave(chan);
}

/* Copies at most `max` bytes of the text. It is cut between characters, because the consumer gets
 * it as text. NULL where the text is empty, or where memory runs out. */
static char *copy_prefix(const char *text, size_t max)
{
    size_t size = text ? strnlen(text, max + 1) : 0;
    char *head;

    if (size > max)
        for (size = max; size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80;)
            size--;
    head = size > 0 ? calloc(1, size + 1) : NULL;
    return head ? memcpy(head, text, size) : NULL;
}

/* Under the channel's lock, which other threads may hold meanwhile. */
static void silence(struct chan *chan, struct feed *feed, struct deferred *deferred)
{
    feed->silenced = true;
    while (feed->announcing)
        pthread_cond_wait(&chan->announced, &chan->lock);
    chan->deferred = deferred;
}

void feed_silence(struct chan *chan, struct feed *feed)
{
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    silence(chan, feed, &deferred);
    chan_leave(chan);
}

void feed_close(struct chan *chan, struct feed *feed, uint32_t state, uint32_t code, const char *message)
{
    char *text = copy_prefix(message, MAX_MESSAGE_BYTES);
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    silence(chan, feed, &deferred);
    feed->state = state;
    feed->code = code;
    feed->message = text;
    feed->closed = true;
    feed_changed(chan, feed);
    chan_leave(chan);
}

void feed_follow(struct feed *feed, const _Atomic uint64_t *routed)
{
    SCRATCH struct deferred deferred;

    chan_enter(feed->chan, &deferred);
    feed->routed = feed_routed(feed);
    feed->follows = routed;
    chan_leave(feed->chan);
}
