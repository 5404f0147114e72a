/* shed.c - what a channel gives up when the memory budget of the process is short. */
#include "base/budget.h"
#include "flow/chan_internal.h"

/* Entries that may not be shed are passed over. So many of them in one call. */
#define MAX_PASSED_OVER 4096u

struct shedding {
    uint64_t max_bytes; /* as chan_shed() got them */
    uint32_t max_entries;
    uint32_t dropped;
};

void chan_trim(struct chan *chan)
{
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    if (chan->order && chan->waiting.events > 0 && budget_is_short())
        chan_notify(chan); /* what is held to be sorted may go */
    chan_leave(chan);      /* it frees what an idle channel does not need while the budget is short */
}

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

/* Drops all of an entry. Returns whether that may go on. */
static bool drop(struct chan *chan, struct entry *entry, struct shedding *shedding)
{
    chan_drop(chan, entry, entry->range.last - entry->range.first, LOSS_BUDGET);
    shedding->dropped++;
    return shedding->dropped < shedding->max_entries && chan->sheddable > shedding->max_bytes;
}

/* The oldest entries of the feeds that hold most, until one of these must keep its oldest. Returns
 * whether more is to be dropped. */
static bool shed_heaviest(struct chan *chan, struct shedding *shedding)
{
    struct entry *entry;

    while (chan->weighs_feeds && chan->waiting.events > 0) {
        entry = oldest_of(&chan_heaviest(chan)->waiting_entries);
        if (!entry || entry->pinned == 0)
            break;
        if (!drop(chan, entry, shedding))
            return false;
    }
    return true;
}

/* The oldest entries of all. */
static void shed_oldest(struct chan *chan, struct shedding *shedding)
{
    uint32_t passed_over = 0;

    list_each(node, safe, &chan->waiting_entries) {
        struct entry *entry = container_of(node, struct entry, in_chan);

        if (entry->pinned > 0 ? !drop(chan, entry, shedding) : ++passed_over > MAX_PASSED_OVER)
            return;
    }
}

static bool disconnects(const struct chan_limits *limits)
{
    return limits->overflow == OVERFLOW_DISCONNECT ||
           (limits->overflow == OVERFLOW_BLOCK && limits->fallback == OVERFLOW_DISCONNECT);
}

uint32_t chan_shed(struct chan *chan, uint64_t max_bytes, uint32_t max_entries)
{
    SCRATCH struct deferred deferred;
    struct shedding shedding = {max_bytes, max_entries, 0};

    chan_enter(chan, &deferred);
    if (max_entries > 0 && chan->sheddable > max_bytes && shed_heaviest(chan, &shedding))
        shed_oldest(chan, &shedding);
    if (shedding.dropped > 0) {
        if (disconnects(&chan->limits))
            chan_break(chan);
        chan_update(chan);
        chan_notify_again(chan); /* the loss is reported, with or without credit */
    }
    chan_leave(chan);
    return shedding.dropped;
}
