/* feed.c - one source's share of a channel: its life, from opening to closing. feed_pause.c asks
 * the producer behind a pausable feed to pause. feed_report.c keeps what is to be reported. */
#include "flow/feed.h"

#include <stdlib.h>
#include <string.h>

#include "flow/chan_internal.h"

/* No state was reported yet. */
#define STATE_NONE UINT32_MAX

#define MAX_MESSAGE_BYTES 256

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
    feed->firm = feed->pausable && chan->limits.overflow <= OVERFLOW_BLOCK;
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

void feed_gap(struct chan *chan, struct feed *feed, uint64_t first, uint64_t last, bool count_unknown)
{
    struct unreported loss = {.count = count_unknown ? 0 : last - first + 1,
                              .first_sequence = first,
                              .last_sequence = last,
                              .reason = LOSS_RESUME_GAP,
                              .count_unknown = count_unknown};
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    feed_add_loss(chan, feed, &loss);
    chan_leave(chan);
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

void feed_let_go(struct feed *feed)
{
    SCRATCH struct deferred deferred;

    if (feed->pausable)
        return; /* nobody waits */
    chan_enter(feed->chan, &deferred);
    list_each(node, safe, &feed->parked_entries)
        entry_let_go(feed->chan, container_of(node, struct entry, in_feed));
    chan_leave(feed->chan);
}
