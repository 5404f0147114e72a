/* group_tick.c - what time does: acks that do not come, retry waits, moves whose time is up. */
#include "base/clock.h"
#include "group/group_delivery.h"
#include "group/group_internal.h"
#include "group/group_source.h"

int64_t group_due_ns(const struct group *group)
{
    const struct heap_node *timer = heap_first(&group->timers);
    int64_t due_ns = timer ? timer->key : INT64_MAX;

    if (!list_empty(&group->revoking))
        due_ns =
            MIN_OF(due_ns, container_of(group->revoking.next, struct group_shard, in_revoking)->deadline_ns);
    list_each(node, following, &group->sources)
        due_ns = MIN_OF(due_ns, group_commit_due_ns(container_of(node, struct group_source, in_sources)));
    return due_ns;
}

struct ticking {
    int64_t now_ns;
    uint32_t left; /* events */
    bool has_silent;
};

static int64_t answer_due_ns(const struct group *group, const struct slot *slot)
{
    return clock_add_ns(slot->time_ns, group->options.ack_wait_ns);
}

static void time_out(struct shard_queue *queue, uint64_t position, struct ticking *ticking)
{
    struct group_source *source = queue->source;
    struct group_member *owner = source->group->shards[queue->shard].owner;
    const struct slot *slot = window_slot(&source->window, position);

    if (!owner->is_silent && owner->heard_ns <= slot->time_ns)
        ticking->has_silent = owner->is_silent = true;
    event_fail(source, position, RETRY_TIMEOUT, -1, ticking->now_ns);
    ticking->left--;
}

static void queue_tick(struct shard_queue *queue, struct ticking *ticking)
{
    struct group *group = queue->source->group;
    const struct window *window = &queue->source->window;
    int64_t due_ns = INT64_MAX;

    while (queue->sent.head) {
        const uint64_t position = link_position(window, queue->sent.head);

        due_ns = answer_due_ns(group, window_slot(window, position));
        if (due_ns > ticking->now_ns)
            break;
        if (ticking->left == 0)
            return; /* its timer stays */
        time_out(queue, position, ticking);
        due_ns = INT64_MAX;
    }
    heap_remove(&group->timers, &queue->timer);
    if (due_ns < INT64_MAX)
        queue_arm(queue, due_ns);
    queue_refresh(queue, ticking->now_ns);
}

/* The shard's time is up. */
static void end_move(struct group *group, struct group_shard *shard, struct ticking *ticking)
{
    const uint32_t number = (uint32_t)(shard - group->shards);

    ticking->left -= MIN_OF(ticking->left, shard->in_flight);
    shard_fail_all(group, number, RETRY_REVOKED, ticking->now_ns);
    CHECK(!shard->is_revoking); /* it has moved with its last event */
}

void group_tick(struct group *group, int64_t now_ns, uint32_t max_events)
{
    struct ticking ticking = {.now_ns = now_ns, .left = max_events};
    struct list *first = NULL;
    struct heap_node *timer = NULL;

    while (ticking.left > 0 && (first = list_first(&group->revoking))) {
        struct group_shard *shard = container_of(first, struct group_shard, in_revoking);

        if (shard->deadline_ns > now_ns)
            break;
        end_move(group, shard, &ticking);
    }
    while (ticking.left > 0 && (timer = heap_first(&group->timers)) && timer->key <= now_ns)
        queue_tick(container_of(timer, struct shard_queue, timer), &ticking);
    if (ticking.has_silent)
        group_reassign(group, now_ns);
}
