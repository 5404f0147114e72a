/* group_dispatch.c - events go to members. */
#include "group/group_delivery.h"

#include "base/clock.h"
#include "group/group_internal.h"

/* What one shard gets before the next one has its turn. */
#define TURN_EVENTS 64u

struct dispatching {
    struct group_member *member;
    int64_t now_ns;
    struct group_event *events;
    uint32_t count, capacity;
};

static bool fits(const struct group_member *member, const struct slot *slot)
{
    return member->events < member->limits.max_events &&
           (member->events == 0 || member->bytes + slot->bytes <= member->limits.max_bytes);
}

/* The first waiting event of the queue goes to the member. */
static void dispatch_first(struct dispatching *dispatching, struct shard_queue *queue, uint64_t position)
{
    struct group_source *source = queue->source;
    struct slot *slot = window_slot(&source->window, position);
    struct group_member *member = dispatching->member;

    queue_remove_first(&source->window, queue);
    slot->state = EVENT_QUEUED;
    chain_append(&source->window, &queue->queued, position);
    source->totals.waiting--;
    source->totals.in_flight++;
    source->group->shards[queue->shard].in_flight++;
    member->events++;
    member->bytes += slot->bytes;
    member->totals.accepted++;
    member->totals.queued++;
    dispatching->events[dispatching->count++] = (struct group_event){.source = source,
                                                                     .position = position,
                                                                     .bytes = slot->bytes,
                                                                     .shard = slot->shard,
                                                                     .attempt = slot->attempt};
}

/* One turn of a queue. False: the member is full. */
static bool dispatch_turn(struct dispatching *dispatching, struct shard_queue *queue)
{
    struct window *window = &queue->source->window;
    const uint32_t end = MIN_OF(dispatching->capacity, dispatching->count + TURN_EVENTS);

    while (dispatching->count < end) {
        const uint64_t first = queue_first(window, queue);
        const struct slot *slot = first ? window_slot(window, first) : NULL;

        if (!slot || slot->time_ns > dispatching->now_ns) {
            queue_refresh(queue, dispatching->now_ns); /* it leaves the list */
            return true;
        }
        if (!fits(dispatching->member, slot)) {
            dispatching->member->is_full = true;
            return false;
        }
        dispatch_first(dispatching, queue, first);
    }
    /* The next turn is another queue's. What comes first now may have to wait. */
    list_remove(&queue->in_ready);
    list_append(&dispatching->member->ready, &queue->in_ready);
    queue_refresh(queue, dispatching->now_ns);
    return true;
}

uint32_t group_dispatch(struct group_member *member, int64_t now_ns, struct group_event *events,
                        uint32_t capacity)
{
    struct dispatching dispatching = {
        .member = member, .now_ns = now_ns, .events = events, .capacity = capacity};
    struct list *first = NULL;

    if (member->group->is_paused)
        return 0;
    while (dispatching.count < capacity && (first = list_first(&member->ready)))
        if (!dispatch_turn(&dispatching, container_of(first, struct shard_queue, in_ready)))
            break;
    return dispatching.count;
}

static bool is_queued_at(const struct group_member *member, const struct group_event *event)
{
    const struct group_source *source = event->source;
    const struct window *window = &source->window;

    if (event->position <= window->floor || event->position > window->head)
        return false;
    const struct slot *slot = window_slot(window, event->position);

    return slot->state == EVENT_QUEUED && slot->attempt == event->attempt &&
           source->group->shards[slot->shard].owner == member;
}

uint32_t group_sent(struct group_member *member, struct group_event *events, uint32_t count, int64_t now_ns)
{
    const int64_t due_ns = clock_add_ns(now_ns, member->group->options.ack_wait_ns);
    uint32_t left = 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct group_event event = events[i];
        struct window *window = &event.source->window;
        struct slot *slot = window_slot(window, event.position);
        struct shard_queue *queue = &event.source->queues[event.shard];

        if (!is_queued_at(member, &event))
            continue;
        chain_remove(window, &queue->queued, event.position);
        if (!queue->sent.head)
            queue_arm(queue, due_ns);
        chain_append(window, &queue->sent, event.position);
        slot->state = EVENT_SENT;
        slot->time_ns = now_ns;
        if (slot->first_sent_ns == 0)
            slot->first_sent_ns = now_ns;
        events[left++] = event;
    }
    member->totals.queued -= left;
    member->totals.delivered += left;
    return left;
}

bool group_drop(struct group_member *member, const struct group_event *event, enum event_outcome outcome,
                int64_t now_ns)
{
    CHECK(outcome < OUTCOMES && outcome != OUTCOME_DEAD_LETTERED);
    if (!is_queued_at(member, event))
        return false;
    event_settle(event->source, event->position, outcome, now_ns);
    return true;
}

bool group_put_back(struct group_member *member, const struct group_event *event, int64_t wait_ns,
                    int64_t now_ns)
{
    if (!is_queued_at(member, event))
        return false;
    event_put_back(event->source, event->position, clock_add_ns(now_ns, wait_ns), now_ns);
    return true;
}
