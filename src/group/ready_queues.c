/* ready_queues.c - which queues may be dispatched from, and whom a shard goes to. */
#include "group/group_internal.h"

#include "base/clock.h"

void member_ready(struct group_member *member)
{
    if (list_empty(&member->in_ready))
        list_append(&member->group->ready_members, &member->in_ready);
}

void member_not_full(struct group_member *member)
{
    if (!member->is_full)
        return;
    member->is_full = false;
    if (!list_empty(&member->ready))
        member_ready(member);
}

void member_changed(struct group_member *member)
{
    if (list_empty(&member->in_changed))
        list_append(&member->group->changed, &member->in_changed);
}

void queue_arm(struct shard_queue *queue, int64_t at_ns)
{
    if (!heap_holds(&queue->timer) || at_ns < queue->timer.key)
        CHECK(heap_set(&queue->source->group->timers, &queue->timer, at_ns) == ERR_OK);
}

void queue_refresh(struct shard_queue *queue, int64_t now_ns)
{
    struct group *group = queue->source->group;
    const struct window *window = &queue->source->window;
    const struct group_shard *shard = &group->shards[queue->shard];
    const uint64_t first = queue_first(window, queue);
    const int64_t from_ns = first ? window_slot(window, first)->time_ns : 0;

    if (first && from_ns > now_ns)
        queue_arm(queue, from_ns);
    if (!first || from_ns > now_ns || !shard->owner || shard->is_revoking) {
        const bool was_ready = !list_empty(&queue->in_ready);

        list_remove(&queue->in_ready);
        if (was_ready && shard->owner)
            member_not_full(shard->owner); /* it may be full because of this queue's first event */
        return;
    }
    if (list_empty(&queue->in_ready)) {
        list_append(&shard->owner->ready, &queue->in_ready);
        if (!shard->owner->is_full)
            member_ready(shard->owner);
    }
}

void shard_refresh(struct group *group, uint32_t shard, int64_t now_ns)
{
    list_each(node, following, &group->sources)
        queue_refresh(&container_of(node, struct group_source, in_sources)->queues[shard], now_ns);
}

void shard_move(struct group *group, uint32_t number, int64_t now_ns)
{
    struct group_shard *shard = &group->shards[number];

    CHECK(shard->in_flight == 0);
    list_remove(&shard->in_revoking);
    shard->is_revoking = false;
    if (shard->owner)
        member_changed(shard->owner);
    shard->owner = shard->target;
    shard->granted = ++group->generation;
    if (shard->owner)
        member_changed(shard->owner);
    shard_refresh(group, number, now_ns);
}
