/* order.c - sorting by time. See the design in order_internal.h. */
#include <stdlib.h>

#include "base/budget.h"
#include "base/clock.h"
#include "event/event_time.h"
#include "flow/chan_internal.h"
#include "flow/order_internal.h"

#define FIRST_CAPACITY 8u

struct order *order_new(void)
{
    struct order *order = calloc(1, sizeof(*order));

    if (order)
        order->sent_ns = order->next_ns = INT64_MIN;
    return order;
}

void order_free(struct order *order)
{
    if (!order)
        return;
    budget_give(COUNT_LIVE_FEED_BYTES, order->capacity * sizeof(*order->nodes));
    free(order->nodes);
    free(order);
}

bool order_add_feed(struct order *order)
{
    const uint32_t capacity = order && order->capacity > 0 ? order->capacity * 2 : FIRST_CAPACITY;
    struct order_node *nodes;
    size_t bytes;

    if (!order || order->feeds < order->capacity) {
        if (order)
            order->feeds++;
        return true;
    }
    bytes = (capacity - order->capacity) * sizeof(*nodes);
    if (!budget_take(COUNT_LIVE_FEED_BYTES, bytes))
        return false;
    nodes = realloc(order->nodes, capacity * sizeof(*nodes));
    if (!nodes) {
        budget_give(COUNT_LIVE_FEED_BYTES, bytes);
        return false;
    }
    order->nodes = nodes;
    order->capacity = capacity;
    order->feeds++;
    return true;
}

/* ---- the heap ---- */

static inline bool goes_before(const struct order_node *a, const struct order_node *b)
{
    if (a->marks != b->marks)
        return a->marks < b->marks;
    return a->time_ns != b->time_ns ? a->time_ns < b->time_ns : a->came_ns < b->came_ns;
}

static inline void place(struct order *order, uint32_t at, struct order_node node)
{
    order->nodes[at] = node;
    node.feed->in_order = at + 1;
}

/* Places the node at `at`, or nearer to the first. */
static void move_up(struct order *order, uint32_t at, struct order_node node)
{
    while (at > 0 && goes_before(&node, &order->nodes[(at - 1) / 2])) {
        place(order, at, order->nodes[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(order, at, node);
}

/* Places the node at `at`, or further from the first. */
static void move_down(struct order *order, uint32_t at, struct order_node node)
{
    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child + 1 < order->count && goes_before(&order->nodes[child + 1], &order->nodes[child]))
            child++;
        if (child >= order->count || !goes_before(&order->nodes[child], &node))
            break;
        place(order, at, order->nodes[child]);
        at = child;
    }
    place(order, at, node);
}

static void replace(struct order *order, uint32_t at, struct order_node node)
{
    if (at > 0 && goes_before(&node, &order->nodes[(at - 1) / 2]))
        move_up(order, at, node);
    else
        move_down(order, at, node);
}

static void remove_node(struct order *order, struct feed *feed)
{
    const uint32_t at = feed->in_order - 1;
    const struct order_node last = order->nodes[--order->count];

    feed->in_order = 0;
    if (at < order->count)
        replace(order, at, last);
}

void order_remove_feed(struct order *order, struct feed *feed)
{
    if (!order)
        return;
    order->feeds--;
    if (feed->in_order > 0)
        remove_node(order, feed);
}

/* ---- times ---- */

/* How far ahead of its arrival the time of an event may be. */
static int64_t max_ahead_ns(const struct chan *chan)
{
    return chan->limits.sort.duration_ns / 2;
}

static int64_t time_of(const struct chan *chan, const struct chunk *chunk, uint32_t event)
{
    const struct sort_window *sort = &chan->limits.sort;
    const struct bytes bytes = chunk_range(chunk, event, event + 1);
    const int64_t named = sort->is_raw ? message_time(bytes, &sort->field) : event_time(bytes, &sort->field);

    return named > 0 && named <= clock_add_ns(chunk->observed_wall_ns, max_ahead_ns(chan))
               ? named
               : chunk->observed_wall_ns;
}

static struct entry *first_entry(const struct feed *feed)
{
    struct list *node = list_first(&feed->waiting_entries);

    return node ? container_of(node, struct entry, in_feed) : NULL;
}

static struct order_node node_of(const struct chan *chan, const struct entry *entry)
{
    const struct range *range = &entry->range;

    return (struct order_node){range->marks, time_of(chan, range->chunk, range->first),
                               range->chunk->observed_mono_ns, range->feed};
}

/* ---- what may go ---- */

/* The entry that waits for longest; something waits. */
static const struct range *oldest(const struct chan *chan)
{
    return &container_of(list_first(&chan->waiting_entries), struct entry, in_chan)->range;
}

static uint64_t above(uint64_t value, uint64_t max)
{
    return value > max ? value - max : 0;
}

/* How many events the window holds too many. */
static uint32_t excess(const struct chan *chan)
{
    const uint64_t events = above(chan->waiting.events, chan->limits.sort.max_events);
    const uint64_t bytes = above(chan->waiting.bytes, chan->limits.max_bytes / 2);

    return (uint32_t)MIN_OF(MAX_OF(events, (uint64_t)(bytes > 0)), UINT32_MAX);
}

/* Nothing more can come that belongs before what is held, or memory is short. */
static bool is_flushed(const struct chan *chan)
{
    return chan->state != CHAN_OPEN || chan->order->nodes[0].marks != chan->marks || budget_is_short();
}

/* How many may go whatever the time is. */
static uint32_t allowed_at_once(const struct chan *chan)
{
    if (is_flushed(chan))
        return UINT32_MAX;
    return MAX_OF(MAX_OF(excess(chan), chan->order->let_go),
                  (uint32_t)(chan->order->nodes[0].time_ns <= chan->order->sent_ns));
}

/* When all that is held then goes. INT64_MAX: never. */
static int64_t let_go_at(const struct chan *chan)
{
    return chan->keys ? clock_add_ns(chan->order->held_since_ns, chan->limits.sort.duration_ns) : INT64_MAX;
}

static int64_t due_by_time(const struct chan *chan)
{
    return clock_add_ns(oldest(chan)->chunk->observed_mono_ns, chan->limits.sort.duration_ns);
}

struct entry *order_first(const struct order *order)
{
    return order->count > 0 ? first_entry(order->nodes[0].feed) : NULL;
}

uint32_t order_allowed(const struct chan *chan, int64_t now_ns)
{
    if (chan->order->count == 0)
        return 0;
    if (now_ns >= let_go_at(chan)) {
        chan->order->let_go = (uint32_t)MIN_OF(chan->waiting.events, UINT32_MAX);
        chan->order->held_since_ns = now_ns;
    }
    return now_ns >= due_by_time(chan) ? UINT32_MAX : allowed_at_once(chan);
}

int64_t order_due_at(const struct chan *chan)
{
    if (chan->order->count == 0)
        return INT64_MAX;
    return allowed_at_once(chan) > 0 ? 0 : MIN_OF(due_by_time(chan), let_go_at(chan));
}

/* ---- the steps of the channel ---- */

void order_enqueued(struct chan *chan)
{
    struct order *order = chan->order;
    const struct entry *entry = container_of(list_last(&chan->waiting_entries), struct entry, in_chan);
    const bool was_empty = order->count == 0;

    if (!order->is_held) {
        order->is_held = true;
        order->held_since_ns = entry->range.chunk->observed_mono_ns;
        order->let_go = 0;
    }
    if (entry->range.feed->in_order == 0)
        move_up(order, order->count++, node_of(chan, entry));
    /* The taker times what it knows of. */
    if (was_empty || allowed_at_once(chan) > 0)
        chan_notify(chan);
}

void order_head_changed(struct chan *chan, struct feed *feed)
{
    struct order *order = chan->order;
    const struct entry *entry = first_entry(feed);

    if (feed->in_order == 0)
        return;
    if (!entry) {
        remove_node(order, feed);
    } else if (order->next_ns != INT64_MIN) {
        order->nodes[0].time_ns = order->next_ns;
        move_down(order, 0, order->nodes[0]);
    } else if (chan->state != CHAN_CLOSED) { /* then nothing goes any more */
        replace(order, feed->in_order - 1, node_of(chan, entry));
    }
    order->next_ns = INT64_MIN;
}

/* The second node; NULL: there is one only. */
static const struct order_node *second(const struct order *order)
{
    const struct order_node *nodes = order->nodes;

    if (order->count < 3)
        return order->count == 2 ? &nodes[1] : NULL;
    return goes_before(&nodes[2], &nodes[1]) ? &nodes[2] : &nodes[1];
}

/* An event is earlier than what has gone. Where no event could have had the time of what has gone,
 * the clock was set back. */
static NOINLINE void count_late(struct chan *chan, const struct chunk *chunk, int64_t time_ns, int64_t now_ns)
{
    struct order *order = chan->order;
    const int64_t wall_ns = clock_add_ns(chunk->observed_wall_ns, now_ns - chunk->observed_mono_ns);

    order->sent_ns = MIN_OF(order->sent_ns, clock_add_ns(wall_ns, max_ahead_ns(chan)));
    if (time_ns >= order->sent_ns)
        return;
    order->late_count++;
    count_add(COUNT_EVENTS_SORTED_LATE, 1);
}

uint32_t order_advance(struct chan *chan, const struct entry *entry, uint32_t max, int64_t now_ns)
{
    struct order *order = chan->order;
    const struct order_node *other = second(order);
    const struct chunk *chunk = entry->range.chunk;
    const bool full = now_ns < due_by_time(chan) && !is_flushed(chan) && excess(chan) > 0;
    struct order_node node = order->nodes[0];
    uint32_t count = 0;

    max = MIN_OF(max, entry->range.last - entry->range.first);
    for (;;) {
        if (node.time_ns < order->sent_ns)
            count_late(chan, chunk, node.time_ns, now_ns);
        order->sent_ns = MAX_OF(order->sent_ns, node.time_ns);
        if (++count == max)
            break;
        node.time_ns = time_of(chan, chunk, entry->range.first + count);
        if (other && goes_before(other, &node)) {
            order->next_ns = node.time_ns;
            break;
        }
    }
    if (full)
        order->full_count += count;
    order->let_go -= MIN_OF(order->let_go, count);
    return count;
}
