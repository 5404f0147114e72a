/* group_model.c - see group_model.h. */
#include "unit/group/group_model.h"

uint64_t seed, random_state;
int64_t now;
bool paused;
struct group *group;
struct group_options options;
struct model_source sources[SOURCES];
struct model_member members[MEMBERS];
struct model_shard shards[SHARDS];

unsigned roll(unsigned sides)
{
    return (unsigned)(splitmix64(&random_state) % sides);
}

struct model_source *model_source_of(const struct group_source *source)
{
    for (unsigned i = 0; i < SOURCES; i++)
        if (sources[i].source == source)
            return &sources[i];
    HOLDS(false);
    return NULL;
}

static bool is_finished(const struct model_event *event)
{
    return event->state == EVENT_SETTLED;
}

uint64_t model_floor(const struct model_source *source)
{
    uint64_t floor = source->base;

    while (floor < EVENTS && is_finished(&source->events[floor + 1]))
        floor++;
    return floor;
}

uint32_t model_ranges(const struct model_source *source, uint64_t *settled_out)
{
    uint32_t ranges = 0;

    *settled_out = 0;
    for (uint64_t at = model_floor(source) + 1; at <= EVENTS; at++) {
        if (!is_finished(&source->events[at]))
            continue;
        ++*settled_out;
        ranges += !is_finished(&source->events[at - 1]);
    }
    return ranges;
}

static bool is_at(const struct model_event *event, int member)
{
    return (event->state == EVENT_QUEUED || event->state == EVENT_SENT) && event->holder == member;
}

void model_load(int member, uint32_t *events_out, uint64_t *bytes_out)
{
    *events_out = 0;
    *bytes_out = 0;
    for (unsigned i = 0; i < SOURCES; i++)
        for (uint64_t at = sources[i].base + 1; at <= sources[i].head; at++)
            if (is_at(&sources[i].events[at], member)) {
                ++*events_out;
                *bytes_out += sources[i].events[at].bytes;
            }
}

uint64_t model_first(const struct model_source *source, unsigned shard)
{
    for (uint64_t at = source->base + 1; at <= source->head; at++)
        if (source->events[at].state == EVENT_WAITING && source->events[at].shard == shard)
            return at;
    return 0;
}

/* ---- events ---- */

void model_settle(struct model_source *source, uint64_t position, enum event_outcome outcome)
{
    struct model_event *event = &source->events[position];

    HOLDS(event->state != EVENT_SETTLED);
    if (event->state == EVENT_QUEUED) {
        members[event->holder].totals.queued--;
        members[event->holder].totals.dropped++;
    }
    event->state = EVENT_SETTLED;
    event->outcome = outcome;
    event->holder = NOBODY;
    if (outcome < OUTCOMES)
        source->counts[outcome]++;
}

static void wait_again(struct model_source *source, uint64_t position, int64_t min_ns, int64_t max_ns)
{
    struct model_event *event = &source->events[position];

    event->state = EVENT_WAITING;
    event->holder = NOBODY;
    event->ready_min_ns = min_ns;
    event->ready_max_ns = max_ns;
    if (position < source->group_kept)
        model_settle(source, position, OUTCOME_TRIMMED);
}

void model_put_back(struct model_source *source, uint64_t position, int64_t from_ns)
{
    struct model_event *event = &source->events[position];

    HOLDS(event->state == EVENT_QUEUED);
    members[event->holder].totals.queued--;
    members[event->holder].totals.returned++;
    wait_again(source, position, from_ns, from_ns);
}

void model_give_up(struct model_source *source, uint64_t position, bool skip)
{
    struct model_event *event = &source->events[position];

    if (skip) {
        model_settle(source, position, OUTCOME_SKIPPED);
        return;
    }
    event->state = EVENT_DEAD;
    event->holder = NOBODY;
}

void model_fail(struct model_source *source, uint64_t position, unsigned reason, int64_t asked_ns)
{
    const struct retry_policy *policy = &options.retry;
    struct model_event *event = &source->events[position];
    int64_t wait_ns = policy->first_ns;

    HOLDS(event->state == EVENT_SENT);
    event->reason = reason;
    if (event->attempt + 1 >= policy->max_attempts || (policy->unrecoverable >> reason & 1)) {
        model_give_up(source, position, policy->skipped >> reason & 1);
        return;
    }
    event->attempt++;
    for (uint32_t i = 1; i < event->attempt && wait_ns < policy->max_ns; i++)
        wait_ns *= 2;
    wait_ns = MIN_OF(wait_ns, policy->max_ns);
    if (reason == RETRY_TIMEOUT || reason == RETRY_MEMBER_LOST || reason == RETRY_REVOKED)
        wait_again(source, position, 0, 0);
    else if (asked_ns >= 0)
        wait_again(source, position, now + MIN_OF(asked_ns, policy->max_ns),
                   now + MIN_OF(asked_ns, policy->max_ns));
    else
        wait_again(source, position, now + wait_ns - wait_ns / 4, now + wait_ns);
}

void model_lose(int member)
{
    for (unsigned i = 0; i < SOURCES; i++)
        for (uint64_t at = sources[i].base + 1; at <= sources[i].head; at++) {
            if (!is_at(&sources[i].events[at], member))
                continue;
            if (sources[i].events[at].state == EVENT_QUEUED)
                model_put_back(&sources[i], at, 0);
            else
                model_fail(&sources[i], at, RETRY_MEMBER_LOST, -1);
        }
    for (unsigned s = 0; s < SHARDS; s++)
        if (shards[s].owner == member)
            shards[s].owner = NOBODY;
}

static void tick_event(struct model_source *source, uint64_t position)
{
    const struct model_event *event = &source->events[position];
    const struct model_shard *shard = &shards[event->shard];

    if (event->state != EVENT_SENT)
        return;
    if (shard->is_revoking && shard->deadline_ns <= now) {
        model_fail(source, position, RETRY_REVOKED, -1);
    } else if (event->sent_ns + options.ack_wait_ns <= now) {
        if (members[event->holder].heard_ns <= event->sent_ns)
            members[event->holder].is_silent = true;
        model_fail(source, position, RETRY_TIMEOUT, -1);
    }
}

void model_tick(void)
{
    for (unsigned i = 0; i < SOURCES; i++)
        for (uint64_t at = sources[i].base + 1; at <= sources[i].head; at++)
            tick_event(&sources[i], at);
}

/* ---- the assignment ---- */

uint64_t model_generation(void)
{
    static struct group_assignment assignment;

    for (unsigned i = 0; i < MEMBERS; i++)
        if (members[i].member) {
            group_assignment_of(members[i].member, &assignment);
            return assignment.generation;
        }
    return 0;
}

static void read_owners(struct model_shard *read)
{
    static struct group_assignment assignment;

    for (unsigned s = 0; s < SHARDS; s++)
        read[s] = (struct model_shard){.owner = NOBODY};
    for (int i = 0; i < MEMBERS; i++) {
        if (!members[i].member)
            continue;
        group_assignment_of(members[i].member, &assignment);
        for (uint32_t k = 0; k < assignment.owned_count + assignment.revoking_count; k++) {
            const bool owned = k < assignment.owned_count;
            const uint16_t s = owned ? assignment.owned[k] : assignment.revoking[k - assignment.owned_count];

            HOLDS(s < SHARDS && read[s].owner == NOBODY); /* never two owners */
            read[s].owner = i;
            read[s].is_revoking = !owned;
        }
    }
}

static void follow_shard(unsigned s, const struct model_shard *read, uint64_t before, uint64_t after)
{
    struct model_shard *shard = &shards[s];
    const bool moved = read->owner != shard->owner;
    const bool revoked = read->is_revoking && !shard->is_revoking;

    for (unsigned i = 0; i < SOURCES; i++)
        for (uint64_t at = sources[i].base + 1; at <= sources[i].head; at++) {
            const struct model_event *event = &sources[i].events[at];

            if (event->shard != s || shard->owner == NOBODY || !is_at(event, shard->owner))
                continue;
            if ((moved || revoked) && event->state == EVENT_QUEUED)
                model_put_back(&sources[i], at, 0);
            HOLDS(!moved || event->state != EVENT_SENT); /* a shard moves when its events are settled */
        }
    if (moved) {
        shard->before = before;
        shard->after = after;
    }
    if (revoked)
        shard->deadline_ns = now + options.revoke_wait_ns;
    shard->owner = read->owner;
    shard->is_revoking = read->is_revoking;
}

static bool is_eligible(const struct model_member *member, bool any)
{
    return member->member && !member->is_leaving && (!any || !member->is_silent);
}

/* Where no shard moves, the eligible members have as many, or one more. */
static void check_balance(void)
{
    unsigned counts[MEMBERS] = {0}, min = UINT32_MAX, max = 0;
    bool any = false;

    for (unsigned i = 0; i < MEMBERS; i++)
        any |= is_eligible(&members[i], true);
    for (unsigned s = 0; s < SHARDS; s++) {
        if (shards[s].is_revoking)
            return;
        if (shards[s].owner != NOBODY)
            counts[shards[s].owner]++;
    }
    for (unsigned i = 0; i < MEMBERS; i++) {
        if (!is_eligible(&members[i], any)) {
            HOLDS(counts[i] == 0);
            continue;
        }
        min = MIN_OF(min, counts[i]);
        max = MAX_OF(max, counts[i]);
    }
    HOLDS(min == UINT32_MAX || max - min <= 1);
}

/* ---- comparing ---- */

static void check_source(const struct model_source *source)
{
    struct group_source_info info;
    uint64_t settled = 0, in_flight = 0, waiting = 0, assigned = 0;
    const uint64_t floor = model_floor(source);
    const uint32_t ranges = model_ranges(source, &settled);

    for (uint64_t at = source->base + 1; at <= source->head; at++) {
        const enum event_state state = source->events[at].state;

        waiting += state == EVENT_WAITING;
        in_flight += state > EVENT_WAITING && state < EVENT_SETTLED;
    }
    assigned = waiting + in_flight;
    for (unsigned i = 0; i < OUTCOMES; i++)
        assigned += source->counts[i];
    group_source_info(source->source, &info);
    HOLDS(info.floor == floor && info.head == source->head);
    HOLDS(info.ranges == ranges && info.settled_above == settled);
    HOLDS(group_totals_hold(&info.totals) && info.totals.assigned == assigned);
    HOLDS(info.totals.in_flight == in_flight && info.totals.waiting == waiting);
    HOLDS(memcmp(info.totals.settled, source->counts, sizeof(source->counts)) == 0);
    HOLDS(group_lag(source->source, EVENTS) == EVENTS - floor - settled);
    HOLDS(group_source_next(source->source) == source->head + 1);
    if (floor < source->head) {
        const struct model_event *oldest = &source->events[floor + 1];

        HOLDS(info.oldest_state == oldest->state && info.oldest_shard == oldest->shard);
        HOLDS(info.oldest_attempt == oldest->attempt);
        HOLDS(info.oldest_member == (oldest->holder == NOBODY ? NULL : members[oldest->holder].member));
    }
}

/* Whether something may be dispatched to the member for certain. *is_bytes_out: an event has more
 * bytes than what is in flight leaves, and whether others go before it is the group's to decide. */
static bool may_dispatch(int member, bool *is_bytes_out)
{
    uint32_t events = 0;
    uint64_t bytes = 0;
    bool may = false;

    *is_bytes_out = false;
    model_load(member, &events, &bytes);
    if (events >= members[member].limits.max_events)
        return false;
    for (unsigned i = 0; i < SOURCES; i++)
        for (unsigned s = 0; s < SHARDS; s++) {
            const uint64_t first = model_first(&sources[i], s);
            const struct model_event *event = &sources[i].events[first];

            if (shards[s].owner != member || shards[s].is_revoking || !first || event->ready_max_ns > now)
                continue;
            if (events > 0 && bytes + event->bytes > members[member].limits.max_bytes)
                *is_bytes_out = true;
            else
                may = true;
        }
    return may;
}

void model_check_exhausted(int member)
{
    bool is_bytes = false;

    HOLDS(paused || !may_dispatch(member, &is_bytes) || is_bytes);
}

/* No later than that the group must be looked at. */
static int64_t due_ns(void)
{
    int64_t due = INT64_MAX;

    for (unsigned i = 0; i < SOURCES; i++) {
        for (uint64_t at = sources[i].base + 1; at <= sources[i].head; at++)
            if (sources[i].events[at].state == EVENT_SENT)
                due = MIN_OF(due, sources[i].events[at].sent_ns + options.ack_wait_ns);
        for (unsigned s = 0; s < SHARDS; s++) {
            const uint64_t first = model_first(&sources[i], s);

            if (first && sources[i].events[first].ready_min_ns > now)
                due = MIN_OF(due, sources[i].events[first].ready_max_ns);
        }
    }
    for (unsigned s = 0; s < SHARDS; s++)
        if (shards[s].is_revoking)
            due = MIN_OF(due, shards[s].deadline_ns);
    return due;
}

void model_follow(uint64_t generation)
{
    struct model_shard read[SHARDS];
    const uint64_t after = model_generation();

    read_owners(read);
    for (unsigned s = 0; s < SHARDS; s++)
        follow_shard(s, &read[s], generation, after);
}

void model_observe(uint64_t generation)
{
    struct group_member *ready = NULL;

    model_follow(generation);
    check_balance();
    for (unsigned i = 0; i < SOURCES; i++) {
        sources[i].base = model_floor(&sources[i]);
        sources[i].head = MAX_OF(sources[i].head, sources[i].base);
        check_source(&sources[i]);
    }
    while (!paused && (ready = group_next_ready(group)))
        ((struct model_member *)group_member_ctx(ready))->is_ready = true;
    for (int i = 0; i < MEMBERS; i++) {
        struct member_totals totals;
        bool is_bytes = false;

        if (!members[i].member)
            continue;
        group_member_totals(members[i].member, &totals);
        HOLDS(member_totals_hold(&totals) && !memcmp(&totals, &members[i].totals, sizeof(totals)));
        HOLDS(paused || members[i].is_ready || !may_dispatch(i, &is_bytes) || is_bytes ||
              group_due_ns(group) <= now);
    }
    HOLDS(group_due_ns(group) <= due_ns());
}
