/* group_steps_sources.c - events come and go, commits, seeks, restarts. */
#include "group/event_shard.h"
#include "unit/group/group_steps.h"

static bool is_foreign(uint64_t position)
{
    return position % 11 == 3;
}

void open_sources(void)
{
    for (unsigned i = 0; i < SOURCES; i++) {
        struct model_source *source = &sources[i];
        struct model_state *state = &source->durable;

        HOLDS(group_source_open(group, 1, source, &source->source) == ERR_OK);
        source->base = source->head = state->exists ? state->floor : 0;
        state->finished = source->base;
        for (uint64_t at = source->base + 1; at <= EVENTS; at++)
            state->finished += state->is_finished[at];
        source->group_kept = source->kept;
        source->is_committing = source->has_sought = false;
        for (uint64_t at = 1; at <= EVENTS; at++) {
            source->events[at] = (struct model_event){.holder = NOBODY};
            if (at > source->base && state->is_finished[at])
                source->events[at] = (struct model_event){
                    .holder = NOBODY, .state = EVENT_SETTLED, .outcome = OUTCOME_FOREIGN};
        }
        memset(source->counts, 0, sizeof(source->counts));
        if (state->exists) {
            memcpy(source->counts, state->counts, sizeof(source->counts));
            HOLDS(group_source_restore(source->source,
                                       (struct bytes){state->bytes.data, state->bytes.size}) == ERR_OK);
        }
        group_trim(source->source, source->kept, now);
    }
}

/* ---- intake, retention, commits ---- */

static uint32_t expected_space(const struct model_source *source)
{
    uint64_t settled = 0, end = model_floor(source) + options.max_window;

    if (model_ranges(source, &settled) >= options.max_ranges) {
        uint64_t top = EVENTS; /* the last event that is settled */

        while (top > source->head && source->events[top].state != EVENT_SETTLED)
            top--;
        end = MIN_OF(end, top);
    }
    return end > source->head ? (uint32_t)(end - source->head) : 0;
}

static void pass(struct model_source *source, uint64_t count, enum event_outcome outcome)
{
    HOLDS(group_pass(source->source, count, outcome, now) == ERR_OK);
    for (uint64_t at = source->head + 1; at <= source->head + count; at++)
        if (source->events[at].state != EVENT_SETTLED)
            model_settle(source, at, outcome);
    source->head += count;
}

static uint16_t shard_of(uint64_t position)
{
    return (uint16_t)text_shard((struct bytes){(const uint8_t *)&position, sizeof(position)}, SHARDS);
}

static void offer(struct model_source *source, uint32_t space)
{
    struct group_offered offered[EVENTS];
    const uint64_t first = source->head + 1;
    uint32_t count = 0;

    for (; count < space && first + count <= EVENTS && !is_foreign(first + count) && count < 1 + roll(12);
         count++) {
        struct model_event *event = &source->events[first + count];
        const uint16_t shard = shard_of(first + count);

        offered[count] =
            (struct group_offered){.bytes = 1 + (uint32_t)((first + count) % 50), .shard = shard};
        if (event->state != EVENT_SETTLED)
            *event = (struct model_event){
                .state = EVENT_WAITING, .holder = NOBODY, .bytes = offered[count].bytes, .shard = shard};
    }
    HOLDS(group_offer(source->source, offered, count, now) == ERR_OK);
    source->head += count;
}

void intake(struct model_source *source)
{
    const uint64_t next = source->head + 1;
    const uint32_t space = group_source_space(source->source);

    HOLDS(space == expected_space(source));
    if (next > EVENTS)
        return;
    if (space == 0) {
        HOLDS(group_offer(source->source, &(struct group_offered){1, 0}, 1, now) == ERR_FULL);
        return;
    }
    if (next < source->kept)
        pass(source, MIN_OF(source->kept - next, space), OUTCOME_TRIMMED);
    else if (is_foreign(next))
        pass(source, 1, OUTCOME_FOREIGN);
    else if (roll(20) == 0)
        pass(source, 1, OUTCOME_DUPLICATE);
    else
        offer(source, space);
}

void trim(struct model_source *source)
{
    source->kept = MIN_OF(EVENTS, MAX_OF(source->kept, model_floor(source) + roll(12)));
    source->group_kept = MAX_OF(source->group_kept, source->kept);
    group_trim(source->source, source->kept, now);
    for (uint64_t at = 1; at <= source->head && at < source->kept; at++)
        if (source->events[at].state == EVENT_WAITING)
            model_settle(source, at, OUTCOME_TRIMMED);
}

/* What a store gets, as the model sees it. */
static void snapshot(struct model_source *source)
{
    struct model_state *state = &source->pending;
    const uint64_t base = source->base;
    uint32_t ranges = 0;

    state->exists = true;
    state->floor = base;
    state->finished = 0;
    memcpy(state->counts, source->counts, sizeof(state->counts));
    for (uint64_t at = base + 1; at <= EVENTS; at++) {
        const struct model_event *event = &source->events[at];
        const bool is_finished = event->state == EVENT_SETTLED || event->state == EVENT_COMMITTING;

        state->is_finished[at] = is_finished;
        state->finished += is_finished;
        if (state->floor == at - 1 && is_finished)
            state->floor = at;
        ranges += is_finished && state->floor != at && source->events[at - 1].state != EVENT_SETTLED &&
                  source->events[at - 1].state != EVENT_COMMITTING;
        if (!is_finished)
            continue;
        if (ranges > options.max_ranges) { /* left out */
            state->is_finished[at] = false;
            if (event->state == EVENT_SETTLED && event->outcome < OUTCOMES)
                state->counts[event->outcome]--;
        } else if (event->state == EVENT_COMMITTING) {
            state->counts[OUTCOME_DEAD_LETTERED]++;
        }
    }
    state->finished += base;
}

void begin_commit(struct model_source *source)
{
    struct group_dead_letter letters[3];
    struct group_commit commit = {
        .state = &source->pending.bytes, .letters = letters, .capacity = 1 + roll(3)};
    const bool is_due = group_commit_due_ns(source->source) <= now;

    if (source->is_committing) {
        HOLDS(group_commit_begin(source->source, &commit) == ERR_AGAIN);
        return;
    }
    buf_clear(&source->pending.bytes);
    HOLDS(group_commit_begin(source->source, &commit) == ERR_OK);
    for (uint32_t i = 0; i < commit.count; i++) {
        struct model_event *event = &source->events[letters[i].position];

        HOLDS(event->state == EVENT_DEAD && event->attempt + 1 == letters[i].attempts);
        HOLDS(event->reason == letters[i].reason && event->was_sent);
        event->state = EVENT_COMMITTING;
    }
    snapshot(source);
    HOLDS(!is_due || !source->durable.exists || source->has_sought ||
          source->pending.floor > source->durable.floor ||
          (source->pending.floor == source->durable.floor &&
           source->pending.finished > source->durable.finished));
    source->is_committing = true;
    source->commit = commit.number;
}

void end_commit(struct model_source *source, bool ok)
{
    if (!source->is_committing)
        return;
    group_commit_done(source->source, source->commit, ok, now);
    source->is_committing = false;
    for (unsigned at = 1; at <= EVENTS; at++) {
        struct model_event *event = &source->events[at];

        if (event->state == EVENT_COMMITTING && ok)
            model_settle(source, at, OUTCOME_DEAD_LETTERED);
        else if (event->state == EVENT_COMMITTING)
            event->state = EVENT_DEAD;
    }
    if (ok) {
        const struct model_state before = source->durable;

        source->durable = source->pending;
        source->pending = before;
        source->has_sought = false;
    }
}

void seek(struct model_source *source)
{
    const uint64_t first = 1 + roll((unsigned)source->head + 1);

    group_seek(source->source, first, now);
    for (unsigned at = 1; at <= EVENTS; at++) {
        struct model_event *event = &source->events[at];

        if (event->state == EVENT_QUEUED) {
            members[event->holder].totals.queued--;
            members[event->holder].totals.returned++;
        }
        *event = (struct model_event){.holder = NOBODY};
    }
    memset(source->counts, 0, sizeof(source->counts));
    source->base = source->head = first - 1;
    source->group_kept = MIN_OF(source->group_kept, first);
    source->is_committing = false;
    source->has_sought = true;
    for (unsigned s = 0; s < SHARDS; s++)
        if (shards[s].owner != NOBODY)
            shards[s].after = model_generation();
}

/* The program is killed. What was on its way to the disk may be there. */
void restart(void)
{
    group_free(group);
    HOLDS(group_new(&options, &group) == ERR_OK);
    paused = false;
    for (unsigned i = 0; i < SOURCES; i++)
        if (sources[i].is_committing && roll(2)) {
            const struct model_state before = sources[i].durable;

            sources[i].durable = sources[i].pending;
            sources[i].pending = before;
            sources[i].has_sought = false;
        }
    memset(members, 0, sizeof(members));
    for (unsigned s = 0; s < SHARDS; s++)
        shards[s] = (struct model_shard){.owner = NOBODY};
    open_sources();
}
