/* event_moves.c - what may become of one event. Every total is counted here. */
#include "group/group_internal.h"

/* The shard has one event less at its owner. A shard that moves goes with the last one. */
static void leave_shard(struct group *group, uint32_t number, const struct slot *slot, int64_t now_ns)
{
    struct group_shard *shard = &group->shards[number];
    struct group_member *owner = shard->owner;

    shard->in_flight--;
    owner->events--;
    owner->bytes -= slot->bytes;
    member_not_full(owner);
    if (shard->in_flight == 0 && shard->is_revoking)
        shard_move(group, number, now_ns);
}

void source_unsaved(struct group_source *source, uint64_t count, int64_t now_ns)
{
    if (source->unsaved == 0)
        source->unsaved_since_ns = now_ns;
    source->unsaved += count;
}

static void count_settled(struct group_source *source, uint64_t position, enum event_outcome outcome,
                          int64_t now_ns)
{
    source->totals.settled[outcome]++;
    source_unsaved(source, 1, now_ns);
    window_settle(&source->window, position, outcome);
}

/* Out of the chain that holds it. A queued event counts at its member, as returned or dropped. */
static void leave_chain(struct group_source *source, uint64_t position, bool returns)
{
    struct slot *slot = window_slot(&source->window, position);
    struct shard_queue *queue = &source->queues[slot->shard];
    struct member_totals *totals = &source->group->shards[slot->shard].owner->totals;

    if (slot->state == EVENT_SENT) {
        chain_remove(&source->window, &queue->sent, position);
        return;
    }
    CHECK(slot->state == EVENT_QUEUED);
    chain_remove(&source->window, &queue->queued, position);
    totals->queued--;
    totals->returned += returns;
    totals->dropped += !returns;
}

void event_settle(struct group_source *source, uint64_t position, enum event_outcome outcome, int64_t now_ns)
{
    const struct slot slot = *window_slot(&source->window, position);

    leave_chain(source, position, false);
    source->totals.in_flight--;
    count_settled(source, position, outcome, now_ns);
    leave_shard(source->group, slot.shard, &slot, now_ns);
}

void event_settle_waiting(struct shard_queue *queue, enum event_outcome outcome, int64_t now_ns)
{
    struct group_source *source = queue->source;
    const uint64_t position = queue_first(&source->window, queue);

    queue_remove_first(&source->window, queue);
    source->totals.waiting--;
    count_settled(source, position, outcome, now_ns);
}

/* Out of its chain already: it waits until `from_ns`, unless the topic does not keep it. */
static void wait_again(struct group_source *source, uint64_t position, int64_t from_ns, int64_t now_ns)
{
    struct slot *slot = window_slot(&source->window, position);
    struct shard_queue *queue = &source->queues[slot->shard];
    const struct slot before = *slot;

    source->totals.in_flight--;
    if (position < source->first_kept) {
        count_settled(source, position, OUTCOME_TRIMMED, now_ns);
    } else {
        source->totals.waiting++;
        slot->state = EVENT_WAITING;
        slot->time_ns = from_ns;
        queue_return(&source->window, queue, position);
        queue_refresh(queue, now_ns);
    }
    leave_shard(source->group, before.shard, &before, now_ns);
}

void event_put_back(struct group_source *source, uint64_t position, int64_t from_ns, int64_t now_ns)
{
    leave_chain(source, position, true);
    wait_again(source, position, from_ns, now_ns);
}

void event_give_up(struct group_source *source, uint64_t position, enum retry_verdict verdict, int64_t now_ns)
{
    struct slot *slot = window_slot(&source->window, position);
    const struct slot before = *slot;

    if (verdict == RETRY_SKIP) {
        event_settle(source, position, OUTCOME_SKIPPED, now_ns);
        return;
    }
    leave_chain(source, position, true);
    slot->state = EVENT_DEAD;
    slot->outcome = OUTCOME_DEAD_LETTERED;
    chain_append(&source->window, &source->dead, position);
    source->dead_count++;
    source_unsaved(source, 1, now_ns);
    leave_shard(source->group, before.shard, &before, now_ns);
}

void event_fail(struct group_source *source, uint64_t position, unsigned reason, int64_t asked_ns,
                int64_t now_ns)
{
    struct group *group = source->group;
    struct slot *slot = window_slot(&source->window, position);
    int64_t wait_ns = 0;

    slot->reason = (uint8_t)reason;
    const enum retry_verdict verdict =
        retry_decide(&group->options.retry, slot->attempt + 1u, reason, asked_ns, &group->random, &wait_ns);

    if (verdict != RETRY_AGAIN) {
        event_give_up(source, position, verdict, now_ns);
        return;
    }
    leave_chain(source, position, true);
    slot->attempt++;
    wait_again(source, position, wait_ns > 0 ? now_ns + wait_ns : 0, now_ns);
}

void shard_put_back_queued(struct group *group, uint32_t shard, int64_t now_ns)
{
    list_each(node, following, &group->sources) {
        struct group_source *source = container_of(node, struct group_source, in_sources);
        struct shard_queue *queue = &source->queues[shard];

        while (queue->queued.head)
            event_put_back(source, link_position(&source->window, queue->queued.head), 0, now_ns);
    }
}

void shard_fail_all(struct group *group, uint32_t shard, unsigned reason, int64_t now_ns)
{
    list_each(node, following, &group->sources) {
        struct group_source *source = container_of(node, struct group_source, in_sources);
        struct shard_queue *queue = &source->queues[shard];

        while (queue->sent.head)
            event_fail(source, link_position(&source->window, queue->sent.head), reason, -1, now_ns);
    }
}
