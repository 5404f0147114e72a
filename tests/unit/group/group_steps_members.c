/* group_steps_members.c - members come, get events, answer, and go. */
#include "unit/group/group_steps.h"

uint64_t acknowledged;

static void join(int i)
{
    struct model_member *member = &members[i];

    *member = (struct model_member){.limits = {1 + roll(20), 1 + roll(400)}, .heard_ns = now};
    HOLDS(group_join(group, &member->limits, member, now, &member->member) == ERR_OK);
}

static void check_dispatched(int i, const struct group_event *event)
{
    struct model_source *source = model_source_of(event->source);
    struct model_event *known = &source->events[event->position];
    uint32_t events = 0;
    uint64_t bytes = 0;

    model_load(i, &events, &bytes);
    HOLDS(known->state == EVENT_WAITING && known->ready_min_ns <= now && event->position <= source->head);
    HOLDS(shards[known->shard].owner == i && !shards[known->shard].is_revoking);
    HOLDS(model_first(source, known->shard) == event->position); /* in order */
    HOLDS(event->shard == known->shard && event->bytes == known->bytes && event->attempt == known->attempt);
    HOLDS(events < members[i].limits.max_events);
    HOLDS(events == 0 || bytes + event->bytes <= members[i].limits.max_bytes);
    known->state = EVENT_QUEUED;
    known->holder = i;
    members[i].totals.accepted++;
    members[i].totals.queued++;
    members[i].channel[members[i].channel_count++] = *event;
}

static void dispatch(int i)
{
    struct group_event events[16];
    const uint32_t capacity = MIN_OF(1 + roll(16), IN_CHANNEL - members[i].channel_count);
    const uint32_t count = group_dispatch(members[i].member, now, events, capacity);

    HOLDS(!paused || count == 0);
    for (uint32_t k = 0; k < count; k++)
        check_dispatched(i, &events[k]);
    if (count == capacity)
        return;
    model_check_exhausted(i);
    members[i].is_ready = paused && members[i].is_ready;
}

static bool is_valid(int i, const struct group_event *event)
{
    const struct model_event *known = &model_source_of(event->source)->events[event->position];

    return known->state == EVENT_QUEUED && known->holder == i && known->attempt == event->attempt;
}

/* The server drops the first event of the channel, or puts it back. It stays in the channel. */
static void refuse_first(int i)
{
    struct model_member *member = &members[i];
    const struct group_event *event = &member->channel[0];
    struct model_source *source = model_source_of(event->source);
    const bool valid = is_valid(i, event);
    const int64_t wait_ns = (int64_t)roll(500000);

    if (roll(2)) {
        HOLDS(group_drop(member->member, event, OUTCOME_EXPIRED, now) == valid);
        if (valid)
            model_settle(source, event->position, OUTCOME_EXPIRED);
    } else {
        HOLDS(group_put_back(member->member, event, wait_ns, now) == valid);
        if (valid)
            model_put_back(source, event->position, now + wait_ns);
    }
}

/* The first events of the channel are sent. */
static void send_some(int i, unsigned count)
{
    struct model_member *member = &members[i];
    struct group_event events[IN_CHANNEL];
    uint32_t left = 0, known = 0;

    if (member->channel_count > 0 && roll(12) == 0) {
        refuse_first(i);
        return;
    }
    count = MIN_OF(count, member->channel_count);
    memcpy(events, member->channel, count * sizeof(events[0]));
    left = group_sent(member->member, events, count, now);
    for (unsigned k = 0; k < count; k++) {
        const struct group_event *event = &member->channel[k];
        struct model_event *state = &model_source_of(event->source)->events[event->position];

        if (!is_valid(i, event))
            continue;
        HOLDS(known < left && events[known].position == event->position &&
              events[known].source == event->source);
        known++;
        state->state = EVENT_SENT;
        state->was_sent = true;
        state->sent_ns = now;
        member->totals.queued--;
        member->totals.delivered++;
    }
    HOLDS(known == left);
    member->channel_count -= count;
    memmove(member->channel, member->channel + count, member->channel_count * sizeof(member->channel[0]));
}

static enum group_answer expected_answer(int i, const struct group_range *range, uint64_t position)
{
    const struct model_source *source = model_source_of(range->source);
    const struct model_event *event = &source->events[position];
    const struct model_shard *shard = &shards[event->shard];

    if (position <= model_floor(source))
        return GROUP_ALREADY_SETTLED;
    if (position > source->head)
        return GROUP_UNKNOWN;
    if (event->state >= EVENT_DEAD)
        return GROUP_ALREADY_SETTLED;
    if (event->state != EVENT_WAITING && shard->owner != i)
        return GROUP_NOT_YOURS;
    if (event->state != EVENT_SENT)
        return event->was_sent ? GROUP_LATE : GROUP_UNKNOWN;
    return range->generation > 0 && range->generation < shard->after ? GROUP_STALE : GROUP_SETTLED;
}

/* What the group must say of a range. */
static enum group_answer explanation(int i, const struct group_range *range)
{
    const struct model_source *source = model_source_of(range->source);
    const uint64_t first = MAX_OF(range->first, model_floor(source) + 1);
    enum group_answer answer = GROUP_UNKNOWN;

    if (range->first > range->last)
        return GROUP_INVALID;
    if (range->last < first)
        return GROUP_ALREADY_SETTLED;
    for (uint64_t at = MIN_OF(range->last, source->head); at >= first; at--) {
        answer = expected_answer(i, range, at);
        if (answer == GROUP_SETTLED)
            return answer;
    }
    return answer;
}

enum reply { ACK, NACK, EXTEND };

static void reply_to(struct model_source *source, uint64_t position, enum reply reply,
                     const struct group_nack *nack)
{
    struct model_event *event = &source->events[position];

    if (reply == ACK) {
        model_settle(source, position, OUTCOME_ACKNOWLEDGED);
        acknowledged++;
    } else if (reply == EXTEND) {
        event->sent_ns = now;
    } else if (nack->verb == NACK_RETRY || nack->verb == NACK_RETRY_AFTER) {
        model_fail(source, position, nack->reason, nack->verb == NACK_RETRY ? -1 : nack->after_ns);
    } else {
        event->reason = nack->verb == NACK_DEAD_LETTER ? nack->reason : event->reason;
        model_give_up(source, position, nack->verb == NACK_SKIP);
    }
}

static void answer(int i, const struct group_range *range, enum reply reply)
{
    struct model_source *source = model_source_of(range->source);
    const struct group_nack nack = {.verb = roll(NACK_VERBS), .reason = roll(3), .after_ns = roll(4000000)};
    const enum group_answer explained = explanation(i, range);
    struct group_result result;
    uint64_t positions[EVENTS];
    uint32_t count = 0;

    for (uint64_t at = MAX_OF(range->first, 1); at <= range->last && at <= EVENTS; at++)
        if (expected_answer(i, range, at) == GROUP_SETTLED)
            positions[count++] = at;
    if (reply == ACK)
        result = group_ack(members[i].member, range, now);
    else if (reply == NACK)
        result = group_nack(members[i].member, range, &nack, now);
    else
        result = group_extend(members[i].member, range, now);
    HOLDS(result.count == count && result.next == 0);
    HOLDS(result.answer == explained);
    for (uint32_t k = 0; k < count; k++)
        reply_to(source, positions[k], reply, &nack);
    members[i].heard_ns = now;
    members[i].is_silent = false;
}

static void answer_something(int i)
{
    struct model_source *source = &sources[roll(SOURCES)];
    const uint64_t first = 1 + roll((unsigned)source->head + 2);
    const struct group_range range = {.source = source->source,
                                      .first = roll(8) ? first : 0,
                                      .last = roll(20) ? first + (roll(2) ? 0 : roll(10)) : first - 1,
                                      .generation = roll(2) ? members[i].generation : 0};

    answer(i, &range, roll(3) ? ACK : roll(2) ? NACK : EXTEND);
}

static void remember_generation(int i)
{
    static struct group_assignment assignment;

    group_assignment_of(members[i].member, &assignment);
    members[i].generation = assignment.generation;
}

void member_step(int i)
{
    struct model_member *member = &members[i];

    if (!member->member) {
        join(i);
        return;
    }
    switch (roll(16)) {
    case 0:
        if (roll(2)) {
            model_lose(i);
            group_remove(member->member, now);
            *member = (struct model_member){.member = NULL};
        } else {
            group_leave(member->member, now);
            member->is_leaving = true;
        }
        break;
    case 1:
        remember_generation(i);
        break;
    case 2:
    case 3:
    case 4:
    case 5:
        dispatch(i);
        break;
    case 6:
    case 7:
    case 8:
    case 9:
        send_some(i, 1 + roll(12));
        break;
    default:
        answer_something(i);
    }
}

void member_work(int i)
{
    struct model_member *member = &members[i];
    uint64_t generation = model_generation();

    if (!member->member) {
        join(i);
    } else if (member->is_leaving) {
        model_lose(i);
        group_remove(member->member, now);
        *member = (struct model_member){.member = NULL};
    } else {
        dispatch(i);
        send_some(i, IN_CHANNEL);
    }
    model_observe(generation);
    for (unsigned k = 0; k < SOURCES && member->member; k++) {
        generation = model_generation();
        answer(i, &(struct group_range){.source = sources[k].source, .last = EVENTS}, ACK);
        model_observe(generation);
    }
}
