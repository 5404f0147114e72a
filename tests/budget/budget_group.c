/* budget_group.c - the job of a consumer group of 4 members with 16 shards: events of a batch are
 * offered, dispatched, sent, and acked, as one range by each member; then a commit, if it is due.
 * The number behind the kind is the number of events of a batch. */
#include "budget.h"

#include "group/event_shard.h"
#include "group/group.h"
#include "group/group_delivery.h"
#include "group/group_query.h"
#include "group/group_source.h"

#define MEMBERS 4u
#define MAX_EVENTS 4096u

static struct {
    struct budget_shape shape;
    struct group *group;
    struct group_source *source;
    struct group_member *members[MEMBERS];
    struct group_event events[MAX_EVENTS];
    struct group_offered offered[MAX_EVENTS];
    struct buf commit;
    int64_t now_ns;
    uint64_t acked; /* in all rounds */
} state;

static void open_job(const struct budget_shape *shape)
{
    const struct member_limits limits = {.max_events = MAX_EVENTS, .max_bytes = 64u << 20};
    struct group_options options;

    group_options_default(&options);
    state.shape = *shape;
    state.now_ns = 1;
    state.acked = 0;
    CHECK(shape->messages * shape->events <= MAX_EVENTS);
    CHECK(group_new(&options, &state.group) == ERR_OK);
    CHECK(group_source_open(state.group, 1, NULL, &state.source) == ERR_OK);
    for (uint32_t i = 0; i < MEMBERS; i++)
        CHECK(group_join(state.group, &limits, NULL, state.now_ns, &state.members[i]) == ERR_OK);
}

static void commit_due(void)
{
    struct group_dead_letter letter;
    struct group_commit commit = {.state = &state.commit, .letters = &letter, .capacity = 1};

    if (group_commit_due_ns(state.source) > state.now_ns)
        return;
    buf_clear(&state.commit);
    if (group_commit_begin(state.source, &commit) == ERR_OK)
        group_commit_done(state.source, commit.number, true, state.now_ns);
}

static void offer(uint32_t count)
{
    uint64_t position = group_source_next(state.source);

    for (uint32_t i = 0; i < count; i++, position++)
        state.offered[i] = (struct group_offered){
            .bytes = 128,
            .shard = (uint16_t)text_shard((struct bytes){(const uint8_t *)&position, sizeof(position)}, 16)};
    CHECK(group_offer(state.source, state.offered, count, state.now_ns) == ERR_OK);
}

static void group_round(void)
{
    struct group_range all = {.source = state.source, .last = UINT64_MAX};

    state.now_ns++;
    offer(state.shape.messages * state.shape.events);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        const uint32_t count = group_dispatch(state.members[i], state.now_ns, state.events, MAX_EVENTS);

        group_sent(state.members[i], state.events, count, state.now_ns);
    }
    for (uint32_t i = 0; i < MEMBERS; i++) {
        const struct group_result result = group_ack(state.members[i], &all, state.now_ns);

        CHECK(result.next == 0);
        state.acked += result.count;
    }
    commit_due();
}

static void finish(void)
{
    struct group_source_info info;

    group_source_info(state.source, &info);
    CHECK(info.floor == state.acked && info.head == state.acked);
}

static void close_job(void)
{
    group_free(state.group);
    buf_fini(&state.commit);
}

static const struct budget_job group_job = {
    .open = open_job, .round = group_round, .finish = finish, .close = close_job};

static const struct budget_case cases[] = {
    {"group-1024", &group_job, {.messages = 16, .events = 64}},
    {"group-64", &group_job, {.messages = 1, .events = 64}},
};

int main(int argc, char **argv)
{
    return budget_main(cases, ARRAY_LEN(cases), argc, argv);
}
