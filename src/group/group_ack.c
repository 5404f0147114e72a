/* group_ack.c - what members say about events that were sent to them. */
#include "group/group_delivery.h"

#include "group/group_internal.h"

/* Why an event is not this member's to settle. GROUP_SETTLED: it is. */
static enum group_answer judge(const struct group_member *member, const struct group_range *range,
                               const struct slot *slot)
{
    const struct group_shard *shard = &member->group->shards[slot->shard];

    switch ((enum event_state)slot->state) {
    case EVENT_WAITING:
        return slot->first_sent_ns ? GROUP_LATE : GROUP_UNKNOWN;
    case EVENT_QUEUED:
        if (shard->owner != member)
            return GROUP_NOT_YOURS;
        return slot->first_sent_ns ? GROUP_LATE : GROUP_UNKNOWN;
    case EVENT_SENT:
        if (shard->owner != member)
            return GROUP_NOT_YOURS;
        return range->generation > 0 && range->generation < shard->granted ? GROUP_STALE : GROUP_SETTLED;
    case EVENT_FREE: /* the floor has just passed it */
    case EVENT_DEAD:
    case EVENT_COMMITTING:
    case EVENT_SETTLED:
        break;
    }
    return GROUP_ALREADY_SETTLED;
}

/* What is done with each event, and with what. */
struct action {
    void (*apply)(struct group_source *source, uint64_t position, const struct action *action);
    const struct group_nack *nack;
    int64_t now_ns;
};

static struct group_result for_each(const struct group_member *member, const struct group_range *range,
                                    const struct action *action)
{
    struct window *window = &range->source->window;
    struct group_result result = {.answer = GROUP_SETTLED};
    const uint64_t first = MAX_OF(range->first, window->floor + 1);
    uint64_t last = MIN_OF(range->last, window->head);

    if (range->first > range->last)
        return (struct group_result){.answer = GROUP_INVALID};
    if (range->last <= window->floor)
        return (struct group_result){.answer = GROUP_ALREADY_SETTLED};
    if (first > last)
        return (struct group_result){.answer = GROUP_UNKNOWN};
    if (last - first >= GROUP_RANGE_STEP) {
        result.next = first + GROUP_RANGE_STEP;
        last = result.next - 1;
    }
    for (uint64_t position = first; position <= last; position++) {
        const enum group_answer answer = judge(member, range, window_slot(window, position));

        if (answer == GROUP_SETTLED) {
            action->apply(range->source, position, action);
            result.count++;
        } else if (result.answer == GROUP_SETTLED) {
            result.answer = answer;
        }
    }
    if (result.count > 0)
        result.answer = GROUP_SETTLED;
    return result;
}

/* A sign of life. */
static void note_heard(struct group_member *member, int64_t now_ns)
{
    member->heard_ns = now_ns;
    if (member->is_silent) {
        member->is_silent = false;
        group_reassign(member->group, now_ns);
    }
}

static struct group_result settle(struct group_member *member, const struct group_range *range,
                                  const struct action *action)
{
    const struct group_result result = for_each(member, range, action);

    note_heard(member, action->now_ns);
    return result;
}

static void acknowledge(struct group_source *source, uint64_t position, const struct action *action)
{
    event_settle(source, position, OUTCOME_ACKNOWLEDGED, action->now_ns);
}

struct group_result group_ack(struct group_member *member, const struct group_range *range, int64_t now_ns)
{
    const struct action action = {.apply = acknowledge, .now_ns = now_ns};

    return settle(member, range, &action);
}

static void fail(struct group_source *source, uint64_t position, const struct action *action)
{
    const struct group_nack *nack = action->nack;

    switch (nack->verb) {
    case NACK_RETRY:
        event_fail(source, position, nack->reason, -1, action->now_ns);
        break;
    case NACK_RETRY_AFTER:
        event_fail(source, position, nack->reason, nack->after_ns, action->now_ns);
        break;
    case NACK_DEAD_LETTER:
        window_slot(&source->window, position)->reason = (uint8_t)nack->reason;
        event_give_up(source, position, RETRY_DEAD_LETTER, action->now_ns);
        break;
    case NACK_SKIP:
        event_give_up(source, position, RETRY_SKIP, action->now_ns);
        break;
    case NACK_VERBS:
        break;
    }
}

struct group_result group_nack(struct group_member *member, const struct group_range *range,
                               const struct group_nack *nack, int64_t now_ns)
{
    const struct action action = {.apply = fail, .nack = nack, .now_ns = now_ns};

    if (nack->verb >= NACK_VERBS || nack->reason >= MAX_RETRY_REASONS || nack->after_ns < 0)
        return (struct group_result){.answer = GROUP_INVALID};
    return settle(member, range, &action);
}

/* The sent events stand in the order of their times. */
static void extend(struct group_source *source, uint64_t position, const struct action *action)
{
    struct slot *slot = window_slot(&source->window, position);
    struct shard_queue *queue = &source->queues[slot->shard];

    chain_remove(&source->window, &queue->sent, position);
    chain_append(&source->window, &queue->sent, position);
    slot->time_ns = action->now_ns;
}

struct group_result group_extend(struct group_member *member, const struct group_range *range, int64_t now_ns)
{
    const struct action action = {.apply = extend, .now_ns = now_ns};

    return settle(member, range, &action);
}
