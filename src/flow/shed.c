/* shed.c - what a channel gives up when the memory budget of the process is short. */
#include "flow/chan_internal.h"

/* Entries that may not be shed are passed over. So many of them in one call. */
#define MAX_PASSED_OVER 4096u

uint64_t chan_sheddable(struct chan *chan)
{
    uint64_t bytes;

    pthread_mutex_lock(&chan->lock);
    bytes = chan->sheddable;
    pthread_mutex_unlock(&chan->lock);
    return bytes;
}

static struct entry *oldest_of(const struct list *entries)
{
    struct list *node = list_first(entries);

    return node ? container_of(node, struct entry, in_feed) : NULL;
}

static struct entry *oldest_of_all(const struct chan *chan)
{
    uint32_t passed_over = 0;

    list_each(node, safe, &chan->waiting_entries) {
        struct entry *entry = container_of(node, struct entry, in_chan);

        if (entry->pinned > 0)
            return entry;
        if (passed_over++ == MAX_PASSED_OVER)
            break;
    }
    return NULL;
}

/* The next entry to drop. NULL: there is none. */
static struct entry *choose(struct chan *chan)
{
    struct entry *entry = NULL;

    if (chan->weighs_feeds && chan->waiting.events > 0)
        entry = oldest_of(&chan_heaviest(chan)->waiting_entries);
    return entry && entry->pinned > 0 ? entry : oldest_of_all(chan);
}

static bool disconnects(const struct chan_limits *limits)
{
    return limits->overflow == OVERFLOW_DISCONNECT ||
           (limits->overflow == OVERFLOW_BLOCK && limits->fallback == OVERFLOW_DISCONNECT);
}

uint32_t chan_shed(struct chan *chan, uint64_t max_bytes, uint32_t max_entries)
{
    SCRATCH struct deferred deferred;
    struct entry *entry;
    uint32_t dropped = 0;

    chan_enter(chan, &deferred);
    while (dropped < max_entries && chan->sheddable > max_bytes && (entry = choose(chan))) {
        chan_drop(chan, entry, entry->range.last - entry->range.first, LOSS_BUDGET);
        dropped++;
    }
    if (dropped > 0) {
        if (disconnects(&chan->limits))
            chan_break(chan);
        chan_update(chan);
        chan_notify_again(chan); /* the loss is reported, with or without credit */
    }
    chan_leave(chan);
    return dropped;
}
