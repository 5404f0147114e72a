/* test_group_commits.c - the floor, the ranges above it, and what a store keeps of them. */
#include <endian.h>
#include <xxhash.h>

#include "base/buf.h"
#include "base/splitmix.h"
#include "unit/group/group_fixture.h"

TestSuite(group_commits, .timeout = 60);

static struct buf commit(struct group_fixture *fixture, struct group_dead_letter *letters, uint32_t capacity,
                         struct group_commit *commit_out)
{
    struct buf state = {0};

    *commit_out = (struct group_commit){.state = &state, .letters = letters, .capacity = capacity};
    cr_assert_eq(group_commit_begin(fixture->source, commit_out), ERR_OK);
    commit_out->state = NULL;
    return state;
}

static struct buf commit_all(struct group_fixture *fixture)
{
    struct group_commit done;
    struct group_dead_letter letters[64];
    struct buf state = commit(fixture, letters, 64, &done);

    group_commit_done(fixture->source, done.number, true, fixture->now_ns);
    return state;
}

/* Another life of the group, with what the store has. */
static struct group_fixture restored(const struct group_fixture *before, const struct buf *state)
{
    struct group_fixture fixture = *before;

    group_fixture_open(&fixture);
    cr_assert_eq(group_source_restore(fixture.source, (struct bytes){state->data, state->size}), ERR_OK);
    return fixture;
}

Test(group_commits, D7_nothing_is_committed_past_an_unfinished_event)
{
    struct group_fixture fixture = group_fixture_new(2);
    struct group_event events[16];

    group_fixture_open(&fixture);
    struct group_member *member = group_fixture_join(&fixture);

    group_fixture_offer(&fixture, 6); /* odd and even ones: two shards */
    cr_assert_eq(group_fixture_receive(&fixture, member, events, 16), 6);
    for (uint64_t position = 2; position <= 6; position += 2)
        group_fixture_ack(&fixture, member, position, position);
    OWNED(buf_fini) struct buf state = commit_all(&fixture);
    struct group_source_info info = group_fixture_info(&fixture);

    cr_assert_eq(info.committed, 0);
    cr_assert_eq(info.ranges, 3);
    cr_assert_eq(info.oldest_shard, 1);
    cr_assert_eq(info.oldest_member, member);
    cr_assert_eq(group_lag(fixture.source, 6), 3);
    struct group_fixture again = restored(&fixture, &state);

    member = group_fixture_join(&again);
    group_fixture_offer(&again, 6);
    cr_assert_eq(group_fixture_receive(&again, member, events, 16), 3, "what was acknowledged is remembered");
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(events[i].position, 1 + 2 * i);
    group_fixture_ack(&again, member, 1, 6);
    info = group_fixture_info(&again);
    cr_assert_eq(info.floor, 6);
    cr_assert_eq(info.totals.settled[OUTCOME_ACKNOWLEDGED], 6);
    group_fixture_fini(&fixture);
    group_fixture_fini(&again);
}

Test(group_commits, D8_commits_are_coalesced_and_rise)
{
    enum { EVENTS = 100000, BATCH = 512 };
    struct group_fixture fixture = group_fixture_new(16);
    struct group_event events[BATCH];
    uint64_t random = 8, last = 0, commits = 0;

    fixture.options.commit_ns = NS_PER_S;
    group_fixture_open(&fixture);
    struct group_member *member = group_fixture_join(&fixture);

    while (group_fixture_info(&fixture).floor < EVENTS) {
        const uint64_t rest = EVENTS + 1 - group_source_next(fixture.source);

        group_fixture_offer(&fixture, (uint32_t)MIN_OF(rest, BATCH));
        const uint32_t count = group_fixture_receive(&fixture, member, events, BATCH);

        for (uint32_t i = count; i > 0; i--) { /* in any order */
            const uint32_t other = (uint32_t)(splitmix64(&random) % i);
            const uint64_t position = events[other].position;

            events[other] = events[i - 1];
            cr_assert_eq(group_fixture_ack(&fixture, member, position, position).count, 1);
        }
        if (group_commit_due_ns(fixture.source) <= fixture.now_ns) {
            OWNED(buf_fini) struct buf state = commit_all(&fixture);

            cr_assert_gt(group_fixture_info(&fixture).committed, last);
            last = group_fixture_info(&fixture).committed;
            commits++;
        }
    }
    cr_assert(commits > 50 && commits < 200);
    cr_assert_geq(group_commit_due_ns(fixture.source), fixture.now_ns);
    group_fixture_fini(&fixture);
}

Test(group_commits, D8_a_commit_is_due_after_a_time_and_one_at_a_time)
{
    struct group_fixture fixture = group_fixture_new(1);
    struct group_event events[4];
    struct group_commit first, second;

    group_fixture_open(&fixture);
    struct group_member *member = group_fixture_join(&fixture);

    cr_assert_eq(group_commit_due_ns(fixture.source), INT64_MAX);
    group_fixture_offer(&fixture, 2);
    group_fixture_receive(&fixture, member, events, 4);
    group_fixture_ack(&fixture, member, 1, 1);
    cr_assert_eq(group_commit_due_ns(fixture.source), fixture.now_ns + fixture.options.commit_ns);
    OWNED(buf_fini) struct buf state = commit(&fixture, NULL, 0, &first);

    second = (struct group_commit){.state = &state};
    cr_assert_eq(group_commit_begin(fixture.source, &second), ERR_AGAIN);
    group_commit_done(fixture.source, first.number, false, fixture.now_ns);
    cr_assert_eq(group_fixture_info(&fixture).committed, 0);
    cr_assert_eq(group_commit_due_ns(fixture.source), fixture.now_ns + fixture.options.commit_ns);
    group_fixture_fini(&fixture);
}

Test(group_commits, D14_a_stuck_shard_stops_the_intake_of_its_source_only)
{
    struct group_fixture fixture = group_fixture_new(4);
    struct group_source *other = NULL;
    struct group_event events[128];

    fixture.options.max_window = 100;
    group_fixture_open(&fixture);
    struct group_member *member = group_fixture_join(&fixture);

    group_fixture_offer(&fixture, 100);
    cr_assert_eq(group_fixture_receive(&fixture, member, events, 128), 100);
    group_fixture_ack(&fixture, member, 2, 100); /* 1 is stuck */
    cr_assert_eq(group_source_space(fixture.source), 0);
    cr_assert_eq(group_offer(fixture.source, &(struct group_offered){1, 0}, 1, fixture.now_ns), ERR_FULL);
    cr_assert_eq(group_pass(fixture.source, 1, OUTCOME_FOREIGN, fixture.now_ns), ERR_FULL);
    cr_assert_eq(group_source_open(fixture.group, 1, NULL, &other), ERR_OK);
    cr_assert_eq(group_source_space(other), 100);
    cr_assert_eq(group_offer(other, &(struct group_offered){1, 1}, 1, fixture.now_ns), ERR_OK);
    cr_assert_eq(group_fixture_receive(&fixture, member, events, 128), 1);
    cr_assert_eq(group_ack(member, &(struct group_range){.source = other, .last = 1}, fixture.now_ns).count,
                 1);
    cr_assert_lt(group_commit_due_ns(other), INT64_MAX);
    group_fixture_ack(&fixture, member, 1, 1);
    cr_assert_eq(group_source_space(fixture.source), 100);
    group_fixture_fini(&fixture);
}

Test(group_commits, D14_ranges_are_bounded_and_the_highest_are_forgotten)
{
    struct group_fixture fixture = group_fixture_new(1);
    struct group_event events[64];

    fixture.options.max_ranges = 3;
    group_fixture_open(&fixture);
    struct group_member *member = group_fixture_join(&fixture);

    group_fixture_offer(&fixture, 20);
    group_fixture_receive(&fixture, member, events, 64);
    for (uint64_t position = 2; position <= 20; position += 2)
        group_fixture_ack(&fixture, member, position, position);
    cr_assert_eq(group_source_space(fixture.source), 0);
    OWNED(buf_fini) struct buf state = commit_all(&fixture);
    struct group_fixture again = restored(&fixture, &state);

    cr_assert_eq(group_fixture_info(&again).ranges, 3);
    cr_assert_eq(group_fixture_info(&again).totals.settled[OUTCOME_ACKNOWLEDGED], 3);
    cr_assert_eq(group_source_space(again.source), 6, "what is open between the ranges may come");
    group_fixture_offer(&again, 6);
    member = group_fixture_join(&again);
    cr_assert_eq(group_fixture_receive(&again, member, events, 64), 3);
    group_fixture_ack(&again, member, 1, 5);
    cr_assert_eq(group_fixture_info(&again).floor, 6);
    group_fixture_fini(&fixture);
    group_fixture_fini(&again);
}

Test(group_commits, damaged_and_hostile_states_are_refused)
{
    struct group_fixture fixture = group_fixture_new(1);
    struct group_event events[64];

    group_fixture_open(&fixture);
    struct group_member *member = group_fixture_join(&fixture);

    group_fixture_offer(&fixture, 40);
    group_fixture_receive(&fixture, member, events, 64);
    group_fixture_ack(&fixture, member, 1, 5);
    group_fixture_ack(&fixture, member, 9, 30);
    OWNED(buf_fini) struct buf state = commit_all(&fixture);
    struct group_fixture again = fixture;

    group_fixture_open(&again);
    for (size_t size = 0; size < state.size; size++)
        cr_assert_eq(group_source_restore(again.source, (struct bytes){state.data, size}), ERR_INVALID);
    for (size_t bit = 0; bit < 8 * state.size; bit++) {
        state.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(group_source_restore(again.source, (struct bytes){state.data, state.size}), ERR_INVALID);
        state.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_assert_eq(group_source_next(again.source), 1, "nothing has changed");
    cr_assert_eq(group_source_restore(again.source, (struct bytes){state.data, state.size}), ERR_OK);
    cr_assert_eq(group_source_next(again.source), 6);
    group_fixture_fini(&fixture);
    group_fixture_fini(&again);
}

/* Whoever can write the state can write its hash, too. */
static void sign(struct buf *state)
{
    const size_t size = state->size - sizeof(uint64_t);
    const uint64_t hash = htole64(XXH3_64bits(state->data, size));

    memcpy(state->data + size, &hash, sizeof(hash));
}

Test(group_commits, states_with_the_right_hash_and_any_content_are_refused_or_whole)
{
    struct group_fixture fixture = group_fixture_new(1);
    uint64_t random = 11;
    unsigned refused = 0;

    group_fixture_open(&fixture);
    for (unsigned round = 0; round < 30000; round++) {
        struct buf state = {0};

        buf_byte(&state, 1);
        for (uint64_t left = 8 + splitmix64(&random) % 12; left > 0; left--) {
            const uint64_t word = splitmix64(&random);

            buf_byte(&state, (uint8_t)(word >> 8 & (word % 5 ? 7 : 255)));
        }
        buf_extend(&state, sizeof(uint64_t));
        sign(&state);
        const enum err err = group_source_restore(fixture.source, (struct bytes){state.data, state.size});

        buf_fini(&state);
        if (err) {
            cr_assert_eq(err, ERR_INVALID);
            refused++;
            continue;
        }
        const struct group_source_info info = group_fixture_info(&fixture);

        cr_assert(info.floor == info.head && info.ranges <= info.settled_above);
        cr_assert_leq(info.settled_above, MAX_GROUP_WINDOW);
        cr_assert_eq(group_source_next(fixture.source), info.floor + 1);
        group_source_close(fixture.source, fixture.now_ns);
        cr_assert_eq(group_source_open(fixture.group, 1, NULL, &fixture.source), ERR_OK);
    }
    cr_assert(refused > 10000 && refused < 29900);
    group_fixture_fini(&fixture);
}

Test(group_commits, a_seek_forgets_all_and_old_acks_are_stale)
{
    struct group_fixture fixture = group_fixture_new(1);
    static struct group_assignment assignment;
    struct group_event events[64];
    struct group_commit late;

    group_fixture_open(&fixture);
    struct group_member *member = group_fixture_join(&fixture);

    group_fixture_offer(&fixture, 10);
    group_fixture_receive(&fixture, member, events, 5);
    group_assignment_of(member, &assignment);
    group_fixture_ack(&fixture, member, 1, 2);
    OWNED(buf_fini) struct buf state = commit(&fixture, NULL, 0, &late);

    group_seek(fixture.source, 2, fixture.now_ns);
    group_commit_done(fixture.source, late.number, true, fixture.now_ns); /* of the time before */
    cr_assert_eq(group_fixture_info(&fixture).totals.assigned, 0);
    cr_assert_eq(group_fixture_info(&fixture).committed, 1);
    cr_assert_lt(group_commit_due_ns(fixture.source), INT64_MAX, "the store must hear of it");
    cr_assert_eq(group_source_next(fixture.source), 2);
    group_fixture_offer(&fixture, 4);
    cr_assert_eq(group_fixture_receive(&fixture, member, events, 64), 4);
    const struct group_range range = {
        .source = fixture.source, .first = 3, .last = 3, .generation = assignment.generation};

    cr_assert_eq(group_ack(member, &range, fixture.now_ns).answer, GROUP_STALE);
    group_fixture_fini(&fixture);
}

Test(group_commits, a_source_is_closed_with_all_that_it_has)
{
    struct group_fixture fixture = group_fixture_new(2);
    struct group_source *other = NULL;
    struct group_event events[8];
    struct member_totals totals;
    struct group_totals all;

    group_fixture_open(&fixture);
    cr_assert_eq(group_source_open(fixture.group, 1, NULL, &other), ERR_OK);
    struct group_member *member = group_fixture_join(&fixture);

    group_fixture_offer(&fixture, 8);
    cr_assert_eq(group_offer(other, &(struct group_offered){1, 0}, 1, fixture.now_ns), ERR_OK);
    cr_assert_eq(group_fixture_receive(&fixture, member, events, 4), 4);
    group_fixture_nack(&fixture, member, events[0].position, (struct group_nack){.verb = NACK_DEAD_LETTER});
    group_fixture_nack(&fixture, member, events[1].position,
                       (struct group_nack){.verb = NACK_RETRY_AFTER, .after_ns = NS_PER_S});
    cr_assert_eq(group_dispatch(member, fixture.now_ns, events, 2), 2, "not sent");
    group_source_close(fixture.source, fixture.now_ns);
    group_member_totals(member, &totals);
    cr_assert(member_totals_hold(&totals) && totals.queued == 0 && totals.returned >= 1);
    group_totals_of(fixture.group, &all);
    cr_assert(group_totals_hold(&all) && all.assigned == 1);
    fixture.source = other;
    group_fixture_pass(&fixture, 10 * fixture.options.ack_wait_ns);
    group_fixture_receive(&fixture, member, events, 8);
    group_fixture_ack(&fixture, member, 1, 1);
    cr_assert_eq(group_fixture_info(&fixture).floor, 1);
    group_fixture_fini(&fixture);
}

Test(group_commits, D9_what_is_passed_over_does_not_hold_the_floor)
{
    struct group_fixture fixture = group_fixture_new(1);
    struct group_event events[8];

    group_fixture_open(&fixture);
    struct group_member *member = group_fixture_join(&fixture);

    cr_assert_eq(group_pass(fixture.source, 1000000, OUTCOME_TRIMMED, fixture.now_ns), ERR_OK);
    group_fixture_offer(&fixture, 3);
    cr_assert_eq(group_pass(fixture.source, 2, OUTCOME_FOREIGN, fixture.now_ns), ERR_OK);
    group_fixture_receive(&fixture, member, events, 1);
    group_trim(fixture.source, 1000003, fixture.now_ns); /* keeps the third of them */
    struct group_source_info info = group_fixture_info(&fixture);

    cr_assert_eq(info.floor, 1000000);
    cr_assert_eq(info.totals.settled[OUTCOME_TRIMMED], 1000001);
    cr_assert_eq(info.totals.assigned, 1000003);
    group_fixture_pass(&fixture, fixture.options.ack_wait_ns);
    info = group_fixture_info(&fixture);
    cr_assert_eq(info.floor, 1000002, "what was returned is not kept any more");
    group_fixture_receive(&fixture, member, events, 8);
    group_fixture_ack(&fixture, member, 0, UINT64_MAX);
    info = group_fixture_info(&fixture);
    cr_assert_eq(info.floor, 1000005);
    struct group_totals totals;

    group_totals_of(fixture.group, &totals);
    cr_assert(group_totals_hold(&totals) && totals.assigned == info.totals.assigned);
    group_fixture_fini(&fixture);
}
