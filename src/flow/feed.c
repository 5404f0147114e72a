/* feed.c - one source's share of a channel: its life, from opening to closing. feed_pause.c asks
 * the producer behind a pausable feed to pause. feed_report.c keeps what is to be reported. */
#include "flow/feed.h"

#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "flow/chan_internal.h"
#include "flow/order_internal.h"
#include "flow/producer_state.h"
#include "flow/source_loss.h"

struct feed *feed_new(bool pausable)
{
    const struct feed kind = {.pausable = pausable};
    struct feed *feed = budget_calloc(COUNT_LIVE_FEED_BYTES, feed_bytes(&kind));

    if (!feed)
        return NULL;
    feed->pausable = pausable;
    feed->refs = 1;
    list_init(&feed->in_chan);
    list_init(&feed->in_losses);
    list_init(&feed->in_states);
    list_init(&feed->in_moved);
    if (pausable) {
        list_init(&pausable_feed(feed)->catch.in_catches);
        pausable_feed(feed)->held_at = UINT64_MAX;
    }
    list_init(&feed->waiting_entries);
    list_init(&feed->parked_entries);
    feed->state = PRODUCER_ACTIVE;
    feed->reported_state = PRODUCER_ACTIVE;
    return feed;
}

struct feed *feed_add(struct chan *chan, struct feed *feed, struct source *source)
{
    if (!feed)
        return NULL;
    if (chan->weighs_feeds && heap_set(&chan->heaviest, &feed->weight, 0) != ERR_OK) {
        budget_free(COUNT_LIVE_FEED_BYTES, feed, feed_bytes(feed));
        return NULL;
    }
    if (!order_add_feed(chan->order)) {
        heap_remove(&chan->heaviest, &feed->weight);
        budget_free(COUNT_LIVE_FEED_BYTES, feed, feed_bytes(feed));
        return NULL;
    }
    feed->chan = chan;
    feed->source = source_retain(source);
    list_append(&chan->feeds, &feed->in_chan);
    return feed;
}

struct feed *feed_open(struct chan *chan, struct source *source, uint32_t state,
                       const struct pause_port *pause_port)
{
    struct feed *feed = feed_new(!!pause_port);
    SCRATCH struct deferred deferred;

    if (!feed)
        return NULL;
    feed->state = state;
    feed->reported_state = FEED_STATE_NONE;
    feed->firm = feed->pausable && chan->limits.overflow <= OVERFLOW_BLOCK;
    feed->stored = pause_port && pause_port->is_stored;
    if (pause_port)
        pausable_feed(feed)->port = *pause_port;
    chan_enter(chan, &deferred);
    feed = feed_add(chan, feed, source);
    if (feed)
        feed_changed(chan, feed);
    chan_leave(chan);
    return feed;
}

struct unreported feed_gap_loss(uint64_t first, uint64_t last, bool count_unknown)
{
    return (struct unreported){.count = count_unknown ? 0 : last - first + 1,
                               .first_sequence = first,
                               .last_sequence = last,
                               .reason = LOSS_RESUME_GAP,
                               .count_unknown = count_unknown};
}

void feed_gap(struct chan *chan, struct feed *feed, uint64_t first, uint64_t last, bool count_unknown)
{
    const struct unreported loss = feed_gap_loss(first, last, count_unknown);
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    feed_add_loss(chan, feed, &loss);
    chan->gaps++;
    chan_leave(chan);
}

void feed_trimmed(struct chan *chan, struct feed *feed, uint64_t first, uint64_t last, bool count_unknown)
{
    struct unreported loss = feed_gap_loss(first, last, count_unknown);
    SCRATCH struct deferred deferred;

    loss.reason = LOSS_TRIMMED;
    chan_enter(chan, &deferred);
    if (chan->state == CHAN_OPEN)
        feed_add_loss(chan, feed, &loss);
    chan_leave(chan);
}

enum err feed_expired(struct chan *chan, struct feed *feed, struct chunk *chunk, uint32_t first,
                      uint32_t last)
{
    const struct range range = {chunk, feed, first, last, 0};
    SCRATCH struct deferred deferred;
    bool is_open;

    chan_enter(chan, &deferred);
    is_open = chan->state == CHAN_OPEN;
    if (is_open) {
        feed->routed = MAX_OF(feed->routed, chunk_sequence(chunk, last - 1));
        chan_refuse(chan, &range, LOSS_EXPIRED);
    }
    chan_leave(chan);
    return is_open ? ERR_OK : ERR_CLOSED;
}

struct unreported feed_source_loss(const struct source_loss *loss)
{
    return (struct unreported){.count = loss->count,
                               .bytes = loss->bytes,
                               .first_sequence = loss->first_sequence,
                               .last_sequence = loss->last_sequence,
                               .reason = loss->reason,
                               .count_unknown = loss->count_unknown,
                               .upstream = true};
}

void feed_lost_upstream(struct chan *chan, struct feed *feed, const struct source_loss *loss)
{
    const struct unreported unreported = feed_source_loss(loss);
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    if (chan->state == CHAN_OPEN)
        feed_add_loss(chan, feed, &unreported);
    chan_leave(chan);
}

static bool has_cause(const struct feed *feed, uint32_t code, const char *message)
{
    return feed->code == code && strcmp(feed->message ? feed->message : "", message ? message : "") == 0;
}

void feed_state(struct chan *chan, struct feed *feed, const struct source_state *state)
{
    char *text = source_message_copy(state->message);
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    if (!has_cause(feed, state->code, text))
        feed->reported_state = FEED_STATE_NONE;
    feed_set_state(feed, state->state, state->code, text);
    feed_changed(chan, feed);
    chan_leave(chan);
}

void feed_set_state(struct feed *feed, uint32_t state, uint32_t code, char *message)
{
    feed->state = state;
    feed->code = code;
    free(feed->message);
    feed->message = message;
}

void feed_let_go(struct chan *chan, struct feed *feed)
{
    list_each(node, safe, &feed->parked_entries)
        entry_let_go(chan, container_of(node, struct entry, in_feed));
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

void feed_end(struct chan *chan, struct feed *feed, uint32_t state, uint32_t code, char *message)
{
    feed_set_state(feed, state, code, message);
    feed->closed = true;
    feed_changed(chan, feed);
}

void feed_close(struct chan *chan, struct feed *feed, uint32_t state, uint32_t code, const char *message)
{
    char *text = source_message_copy(message);
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    silence(chan, feed, &deferred);
    if (!feed->pausable)
        feed_let_go(chan, feed);
    feed_table_add(&chan->closing, feed);
    feed_end(chan, feed, state, code, text);
    chan_leave(chan);
}

void feed_follow(struct feed *feed, const _Atomic uint64_t *routed)
{
    SCRATCH struct deferred deferred;

    chan_enter(feed->chan, &deferred);
    feed->routed = feed_routed(feed);
    feed->follows = routed;
    feed_touch(feed->chan, feed);
    chan_leave(feed->chan);
}
