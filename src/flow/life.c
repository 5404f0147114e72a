/* life.c - the channel's life: making and freeing it, its lock, its feeds, its states. Putting is in put.c, taking in take.c, telling in
 * tell.c.
 *
 *   OPEN --drain--> DRAINING --close--> CLOSED
 *     |---break---> BROKEN ----close------^
 *     `-------------close-----------------'        */
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "flow/chan_internal.h"

/* No state was told yet. */
#define STATE_NONE UINT32_MAX

#define MESSAGE_BYTES_MOST 256

/* Above this many, entries are given back whenever none of them is in use. */
#define ENTRIES_KEPT 1024

static const unsigned allowed[CHAN_STATE_COUNT] = {
    [CHAN_OPEN] = BIT(CHAN_DRAINING) | BIT(CHAN_BROKEN) | BIT(CHAN_CLOSED),
    [CHAN_DRAINING] = BIT(CHAN_CLOSED),
    [CHAN_BROKEN] = BIT(CHAN_CLOSED),
    [CHAN_CLOSED] = 0,
};

/* False: not from here; nothing changed. */
static bool move(struct chan *chan, enum chan_state state)
{
    if (!(allowed[chan->state] & BIT(state)))
        return false;
    chan->state = state;
    chan_ring_anyway(chan);
    return true;
}

static void free_slabs(struct slab *slab)
{
    while (slab) {
        struct slab *next = slab->next;

        free(slab);
        slab = next;
    }
}

void chan_enter(struct chan *chan, struct after *after)
{
    after->over = NULL;
    after->slabs = NULL;
    after->ring = false;
    after->dead_count = 0;
    pthread_mutex_lock(&chan->lock);
    chan->after = after;
}

void chan_leave(struct chan *chan)
{
    struct after *after = chan->after;

    (void)chan_line_passed(chan);
    if (chan->entries_used == 0 && chan->entries_room > ENTRIES_KEPT) {
        after->slabs = chan->slabs;
        chan->slabs = NULL;
        chan->free_entries = NULL;
        chan->entries_room = 0;
    }
    chan->after = NULL;
    pthread_mutex_unlock(&chan->lock);

    while (after->over) {
        struct stall *stall = after->over;

        after->over = stall->next;
        stall->over(stall); /* the stall may be gone after this */
    }
    if (after->ring)
        chan->watch.readable(chan->watch.ctx);
    for (uint32_t i = 0; i < after->dead_count; i++)
        chunk_release(after->dead[i]);
    free_slabs(after->slabs);
}

void chan_ring_anyway(struct chan *chan)
{
    chan->after->ring = true;
}

void chan_ring(struct chan *chan)
{
    if (!chan->armed)
        return;
    chan->armed = false;
    chan->after->ring = true;
}

void chan_break(struct chan *chan)
{
    move(chan, CHAN_BROKEN);
}

/* Seldom more than a few die at once; then it is better to release under the lock than to keep a list without a bound. */
void chan_bury(struct chan *chan, struct chunk *chunk)
{
    if (chan->after->dead_count < DEAD_MOST)
        chan->after->dead[chan->after->dead_count++] = chunk;
    else
        chunk_release(chunk);
}

static void feed_free(struct chan *chan, struct feed *feed)
{
    list_remove(&feed->in_chan);
    list_remove(&feed->in_losses);
    list_remove(&feed->in_moved);
    list_remove(&feed->in_states);
    heap_remove(&chan->heaviest, &feed->weight);
    source_release(feed->source);
    free(feed->untold_others);
    free(feed->message);
    free(feed);
}

void feed_release(struct chan *chan, struct feed *feed)
{
    CHECK(feed->refs > 0);
    if (--feed->refs == 0)
        feed_free(chan, feed);
}

/* Everything that waits or is parked falls, for `reason`. */
static void drop_all(struct chan *chan, enum loss reason)
{
    struct list *node;

    while ((node = list_first(&chan->waiting_entries))) {
        struct entry *entry = container_of(node, struct entry, in_chan);

        chan_drop(chan, entry, entry->range.last - entry->range.first, reason);
    }
    while ((node = list_first(&chan->parked_entries))) {
        struct range range = chan_unpark(chan, container_of(node, struct entry, in_chan));

        chan_refuse(chan, &range, reason);
        range_release(chan, &range);
    }
    chan->latched = false;
}

struct chan *chan_new(const struct chan_limits *limits, const struct chan_watch *watch)
{
    struct chan *chan = calloc(1, sizeof(*chan));

    CHECK(limits->max_events > 0 && limits->max_bytes > 0 && limits->max_age_ns >= 0 && limits->block_timeout_ns >= 0);
    CHECK(limits->overflow < OVERFLOW_COUNT);
    CHECK(limits->overflow > OVERFLOW_BLOCK || (limits->fallback > OVERFLOW_BLOCK && limits->fallback < OVERFLOW_LATEST_PER_KEY));
    if (!chan)
        return NULL;
    if (pthread_mutex_init(&chan->lock, NULL) != 0) {
        free(chan);
        return NULL;
    }
    atomic_init(&chan->refs, 1);
    chan->limits = *limits;
    chan->watch = *watch;
    chan->weighs = limits->overflow == OVERFLOW_BY_FEED || limits->overflow == OVERFLOW_DROP_OLDEST ||
                   limits->overflow == OVERFLOW_LATEST_PER_KEY ||
                   (limits->overflow == OVERFLOW_BLOCK && limits->fallback == OVERFLOW_DROP_OLDEST);
    chan->armed = true;
    chan->stall_until_ns = INT64_MAX;
    list_init(&chan->waiting_entries);
    list_init(&chan->parked_entries);
    list_init(&chan->feeds);
    list_init(&chan->losses);
    list_init(&chan->moved);
    list_init(&chan->states);
    count_add(COUNT_LIVE_CHANNELS, 1);
    return chan;
}

struct chan *chan_retain(struct chan *chan)
{
    atomic_fetch_add_explicit(&chan->refs, 1, memory_order_relaxed);
    return chan;
}

void chan_release(struct chan *chan)
{
    struct after after;

    if (!chan || atomic_fetch_sub_explicit(&chan->refs, 1, memory_order_acq_rel) != 1)
        return;
    chan_enter(chan, &after);
    CHECK(chan->flying.events == 0);
    drop_all(chan, LOSS_CONSUMER_GONE);
    list_each(node, safe, &chan->feeds)
        feed_free(chan, container_of(node, struct feed, in_chan));
    after.ring = false; /* the taker let go: nobody is there to look */
    chan_leave(chan);
    heap_fini(&chan->heaviest);
    free_slabs(chan->slabs);
    pthread_mutex_destroy(&chan->lock);
    free(chan);
    count_add(COUNT_LIVE_CHANNELS, -1);
}

struct feed *feed_open(struct chan *chan, struct source *source, uint32_t state, const struct feed_pace *pace)
{
    struct feed *feed = calloc(1, sizeof(*feed));
    struct after after;
    enum err err = ERR_OK;

    if (!feed)
        return NULL;
    feed->chan = chan;
    feed->refs = 1;
    list_init(&feed->in_chan);
    list_init(&feed->in_losses);
    list_init(&feed->in_moved);
    list_init(&feed->in_states);
    feed->state = state;
    feed->state_told = STATE_NONE;
    feed->paced = pace != NULL;
    if (pace)
        feed->pace = *pace;
    list_init(&feed->waiting_entries);
    list_init(&feed->parked_entries);
    chan_enter(chan, &after);
    if (chan->weighs)
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
    struct after after;

    chan_enter(chan, &after);
    feed->state = state;
    feed_changed(chan, feed);
    chan_leave(chan);
}

/* The first `most` bytes at most, cut between characters: the consumer gets it as text. NULL where there is nothing or no memory for it. */
static char *text_cut(const char *text, size_t most)
{
    size_t size = text ? strnlen(text, most + 1) : 0;

    if (size > most)
        for (size = most; size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80;)
            size--;
    return size > 0 ? strndup(text, size) : NULL;
}

void feed_close(struct chan *chan, struct feed *feed, uint32_t state, uint32_t code, const char *message)
{
    char *text = text_cut(message, MESSAGE_BYTES_MOST);
    struct after after;

    chan_enter(chan, &after);
    feed->state = state;
    feed->code = code;
    feed->message = text;
    feed->closed = true;
    feed_changed(chan, feed);
    chan_leave(chan);
}

void feed_routed(struct feed *feed, uint64_t sequence)
{
    struct after after;

    if (sequence <= feed->routed)
        return;
    chan_enter(feed->chan, &after);
    feed->routed = sequence;
    feed_moved(feed->chan, feed);
    chan_leave(feed->chan);
}

enum chan_state chan_state(struct chan *chan)
{
    struct after after;
    enum chan_state state;

    chan_enter(chan, &after);
    state = chan->state;
    chan_leave(chan);
    return state;
}

void chan_drain(struct chan *chan)
{
    struct after after;
    struct list *node;

    chan_enter(chan, &after);
    if (move(chan, CHAN_DRAINING)) {
        while ((node = list_first(&chan->parked_entries))) {
            struct range range = chan_unpark(chan, container_of(node, struct entry, in_chan));

            chan_wait(chan, &range);
            range_release(chan, &range);
        }
        chan->latched = false;
    }
    chan_leave(chan);
}

void chan_close(struct chan *chan, enum loss reason)
{
    struct after after;

    chan_enter(chan, &after);
    if (move(chan, CHAN_CLOSED))
        drop_all(chan, reason);
    chan_leave(chan);
}

bool chan_idle(struct chan *chan)
{
    struct after after;
    bool idle;

    chan_enter(chan, &after);
    idle = chan->waiting.events == 0 && chan->parked.events == 0 && chan->flying.events == 0;
    chan_leave(chan);
    return idle;
}
