/* test_group_shards.c - which shard an event is in, and which member a shard goes to. */
#include <stdio.h>

#include "base/splitmix.h"
#include "event/event_headers.h"
#include "event/event_view.h"
#include "group/balance.h"
#include "group/event_shard.h"
#include "unit/group/group_fixture.h"

TestSuite(group_shards, .timeout = 60);

/* D4 */
Test(group_shards, D4_consecutive_numbers_spread_evenly)
{
    enum { SHARDS = 16, KEYS = 16000 };
    unsigned counts[SHARDS] = {0};

    for (int i = -KEYS / 2; i < KEYS / 2; i++) {
        char key[16];
        const int size = snprintf(key, sizeof(key), "%d", i);
        const uint32_t shard = text_shard((struct bytes){(const uint8_t *)key, (size_t)size}, SHARDS);

        cr_assert_lt(shard, SHARDS);
        counts[shard]++;
    }
    for (unsigned i = 0; i < SHARDS; i++)
        cr_assert(counts[i] > KEYS / SHARDS * 9 / 10 && counts[i] < KEYS / SHARDS * 11 / 10);
}

Test(group_shards, D4_a_shard_is_the_same_in_every_process)
{
    cr_assert_eq(text_shard(text_bytes("order-1"), 1024), 383);
    cr_assert_eq(text_shard(text_bytes(""), 1), 0);
    cr_assert_eq(text_shard((struct bytes){NULL, 0}, 1024), text_shard(text_bytes(""), 1024));
}

Test(group_shards, D4_the_key_the_producer_or_a_header_decides)
{
    static struct event_headers headers; /* none */
    const struct pair_name name = pair_name_of(text_bytes("region"));
    struct event_view view = {.key = text_bytes("k"), .origin = text_bytes("p"), .headers = &headers};

    cr_assert_eq(event_shard(&view, SHARD_BY_KEY, NULL, 1000), text_shard(view.key, 1000));
    cr_assert_eq(event_shard(&view, SHARD_BY_PRODUCER, NULL, 1000), text_shard(view.origin, 1000));
    cr_assert_eq(event_shard(&view, SHARD_BY_HEADER, &name, 1000), text_shard(view.origin, 1000),
                 "without the header the producer decides");
    headers.count = 1;
    headers.entries[0] = text_bytes("\x0a\x06region\x12\x03"
                                    "abc");
    headers.indexed = false;
    cr_assert_eq(event_shard(&view, SHARD_BY_HEADER, &name, 1000), text_shard(text_bytes("abc"), 1000));
    view.key.size = 0;
    cr_assert_eq(event_shard(&view, SHARD_BY_KEY, NULL, 1000), text_shard(view.origin, 1000));
}

/* ---- balance ---- */

enum { MEMBERS = 9, SHARDS = 40 };

/* Checks that it is even, and returns how many shards move. */
static unsigned check_balance(const struct balance_shard *shards, const struct balance_member *members,
                              unsigned eligible)
{
    unsigned counts[MEMBERS] = {0}, moves = 0;

    for (unsigned i = 0; i < SHARDS; i++) {
        cr_assert(members[shards[i].target].is_eligible);
        counts[shards[i].target]++;
        moves += shards[i].target != shards[i].owner;
    }
    for (unsigned i = 0; i < MEMBERS; i++)
        cr_assert(!members[i].is_eligible ||
                  (counts[i] >= SHARDS / eligible && counts[i] <= (SHARDS + eligible - 1) / eligible));
    return moves;
}

/* The fewest shards that must move: what nobody eligible has, and what is beyond anybody's part. */
static unsigned fewest_moves(const struct balance_shard *shards, const struct balance_member *members,
                             unsigned eligible)
{
    unsigned counts[MEMBERS] = {0}, kept = 0, more = SHARDS % eligible;
    const unsigned part = SHARDS / eligible;

    for (unsigned i = 0; i < SHARDS; i++)
        if (shards[i].owner != NO_MEMBER)
            counts[shards[i].owner]++;
    for (unsigned i = 0; i < MEMBERS; i++) {
        if (!members[i].is_eligible)
            continue;
        kept += MIN_OF(counts[i], part);
        if (counts[i] > part && more > 0) {
            kept++;
            more--;
        }
    }
    return SHARDS - kept;
}

Test(group_shards, D16_shards_are_even_and_as_few_as_possible_move)
{
    uint64_t random = 17;
    struct balance_shard shards[SHARDS];
    struct balance_member members[MEMBERS] = {{0}};

    for (unsigned i = 0; i < SHARDS; i++)
        shards[i] = (struct balance_shard){.owner = NO_MEMBER, .target = NO_MEMBER};
    for (unsigned round = 0; round < 2000; round++) {
        unsigned eligible = 0;

        members[splitmix64(&random) % MEMBERS].is_eligible = splitmix64(&random) % 2;
        members[round % MEMBERS].is_eligible = true;
        for (unsigned i = 0; i < MEMBERS; i++)
            eligible += members[i].is_eligible;
        const unsigned fewest = fewest_moves(shards, members, eligible);

        balance_shards(shards, SHARDS, members, MEMBERS);
        cr_assert_eq(check_balance(shards, members, eligible), fewest);
        for (unsigned i = 0; i < SHARDS; i++) /* some moves are done, others are under way */
            if (splitmix64(&random) % 2)
                shards[i].owner = shards[i].target;
    }
}

Test(group_shards, D16_nobody_is_eligible_and_nothing_has_a_target)
{
    struct balance_shard shards[2] = {{.owner = 0, .target = 0}, {.owner = NO_MEMBER, .target = NO_MEMBER}};
    struct balance_member members[1] = {{.is_eligible = false}};

    balance_shards(shards, 2, members, 1);
    cr_assert_eq(shards[0].target, NO_MEMBER);
    cr_assert_eq(shards[1].target, NO_MEMBER);
}

/* ---- moves ---- */

static struct group_assignment assignment;

static uint32_t owned(const struct group_member *member)
{
    group_assignment_of(member, &assignment);
    return assignment.owned_count;
}

static uint32_t revoking(const struct group_member *member)
{
    group_assignment_of(member, &assignment);
    return assignment.revoking_count;
}

Test(group_shards, D16_a_shard_moves_when_its_events_are_settled)
{
    struct group_fixture fixture = group_fixture_new(2);
    struct group_event events[16];

    group_fixture_open(&fixture);
    struct group_member *first = group_fixture_join(&fixture);

    group_fixture_offer(&fixture, 8);
    cr_assert_eq(group_fixture_receive(&fixture, first, events, 16), 8);
    struct group_member *second = group_fixture_join(&fixture);

    cr_assert_eq(owned(first), 1);
    cr_assert_eq(revoking(first), 1);
    cr_assert_eq(assignment.deadline_ns, fixture.now_ns + fixture.options.revoke_wait_ns);
    const uint64_t moving = assignment.revoking[0];

    cr_assert_eq(owned(second), 0);
    group_fixture_offer(&fixture, 2);
    cr_assert_eq(group_fixture_receive(&fixture, first, events, 16), 1,
                 "no new event of the shard that moves");
    cr_assert_eq(group_fixture_receive(&fixture, second, events, 16), 0);
    cr_assert_eq(group_fixture_ack(&fixture, first, 1, 6).count, 6);
    cr_assert_eq(owned(second), 0);
    cr_assert_eq(group_fixture_ack(&fixture, first, 7, 8).count, 2);
    cr_assert_eq(owned(second), 1);
    cr_assert_eq(assignment.owned[0], moving);
    cr_assert_eq(group_fixture_receive(&fixture, second, events, 16), 1);
    cr_assert_eq(events[0].position % 2, moving);
    cr_assert_eq(events[0].attempt, 0);
    group_fixture_fini(&fixture);
}

Test(group_shards, D16_at_the_deadline_events_return_in_order_with_the_next_attempt)
{
    struct group_fixture fixture = group_fixture_new(1);
    struct group_event events[16];

    fixture.options.revoke_wait_ns = NS_PER_S;
    group_fixture_open(&fixture);
    struct group_member *first = group_fixture_join(&fixture);

    group_fixture_offer(&fixture, 6);
    cr_assert_eq(group_fixture_receive(&fixture, first, events, 4), 4);
    cr_assert_eq(group_dispatch(first, fixture.now_ns, events, 16), 2, "these are not sent");
    group_fixture_ack(&fixture, first, 2, 2);
    struct group_member *second = group_fixture_join(&fixture);

    group_leave(first, fixture.now_ns);
    group_fixture_pass(&fixture, NS_PER_S - 1);
    cr_assert_eq(owned(second), 0);
    cr_assert_leq(group_due_ns(fixture.group), fixture.now_ns + 1);
    group_fixture_pass(&fixture, 1);
    cr_assert_eq(owned(second), 1);
    cr_assert_eq(group_sent(first, events, 2, fixture.now_ns), 0, "what was returned must not be sent");
    cr_assert_eq(group_fixture_ack(&fixture, first, 1, 1).answer, GROUP_LATE);
    cr_assert_eq(group_fixture_receive(&fixture, second, events, 16), 5);
    for (unsigned i = 0; i < 5; i++) {
        cr_assert_eq(events[i].position, i == 0 ? 1 : i + 2);
        cr_assert_eq(events[i].attempt, events[i].position <= 4 ? 1 : 0);
    }
    cr_assert_eq(group_fixture_ack(&fixture, first, 1, 1).answer, GROUP_NOT_YOURS);
    struct member_totals totals;

    group_member_totals(first, &totals);
    cr_assert(member_totals_hold(&totals) && totals.accepted == 6 && totals.returned == 2);
    group_remove(first, fixture.now_ns);
    group_fixture_info(&fixture);
    group_fixture_fini(&fixture);
}

Test(group_shards, D16_row_14_what_a_dead_member_had_goes_out_again_at_once)
{
    struct group_fixture fixture = group_fixture_new(4);
    struct group_event events[16];
    unsigned again = 0;

    group_fixture_open(&fixture);
    struct group_member *first = group_fixture_join(&fixture), *second = group_fixture_join(&fixture);

    group_fixture_offer(&fixture, 12);
    cr_assert_eq(group_fixture_receive(&fixture, first, events, 16), 6);
    group_remove(first, fixture.now_ns);
    cr_assert_eq(owned(second), 4);
    cr_assert_eq(group_fixture_receive(&fixture, second, events, 16), 12);
    for (unsigned i = 0; i < 12; i++)
        again += events[i].attempt == 1;
    cr_assert_eq(again, 6);
    cr_assert_eq(group_fixture_info(&fixture).totals.in_flight, 12);
    group_fixture_fini(&fixture);
}

Test(group_shards, D16_the_shards_of_a_silent_member_move_and_come_back)
{
    struct group_fixture fixture = group_fixture_new(2);
    struct group_event events[16];

    group_fixture_open(&fixture);
    struct group_member *frozen = group_fixture_join(&fixture), *well = group_fixture_join(&fixture);

    group_fixture_offer(&fixture, 2);
    cr_assert_eq(group_fixture_receive(&fixture, frozen, events, 16), 1);
    group_fixture_pass(&fixture, fixture.options.ack_wait_ns);
    cr_assert_eq(owned(frozen), 0);
    cr_assert_eq(owned(well), 2);
    cr_assert_eq(group_fixture_receive(&fixture, well, events, 16), 2);
    cr_assert_eq(group_fixture_ack(&fixture, well, 1, 2).count, 2);
    cr_assert_eq(group_fixture_ack(&fixture, frozen, 1, 2).answer, GROUP_ALREADY_SETTLED);
    cr_assert_eq(owned(frozen), 1, "it has said something");
    group_fixture_fini(&fixture);
}

Test(group_shards, D16_who_has_another_assignment_is_said_once)
{
    struct group_fixture fixture = group_fixture_new(2);

    group_fixture_open(&fixture);
    struct group_member *first = group_fixture_join(&fixture);

    cr_assert_eq(group_next_changed(fixture.group), first);
    cr_assert_null(group_next_changed(fixture.group));
    struct group_member *second = group_fixture_join(&fixture);
    const struct group_member *a = group_next_changed(fixture.group), *b = group_next_changed(fixture.group);

    cr_assert((a == first && b == second) || (a == second && b == first));
    cr_assert_null(group_next_changed(fixture.group));
    cr_assert_eq(group_member_ctx(first), &fixture);
    group_fixture_fini(&fixture);
}

Test(group_shards, options_and_counts_have_bounds)
{
    struct group_fixture fixture = group_fixture_new(1);
    struct group_member *member = NULL;
    struct group_source *source = NULL;
    struct group *group = NULL;

    fixture.options.max_members = 1;
    fixture.options.max_sources = 1;
    group_fixture_open(&fixture);
    const struct member_limits limits = {1, 1}, no_events = {0, 1};

    cr_assert_eq(group_join(fixture.group, &no_events, NULL, 0, &member), ERR_INVALID);
    cr_assert_eq(group_join(fixture.group, &limits, NULL, 0, &member), ERR_OK);
    cr_assert_eq(group_join(fixture.group, &limits, NULL, 0, &member), ERR_FULL);
    cr_assert_eq(group_source_open(fixture.group, 1, NULL, &source), ERR_FULL);
    group_source_close(fixture.source, 0);
    cr_assert_eq(group_source_open(fixture.group, 7, &fixture, &source), ERR_OK);
    cr_assert_eq(group_source_next(source), 7);
    cr_assert_eq(group_source_ctx(source), &fixture);
    fixture.options.shards = MAX_GROUP_SHARDS + 1;
    cr_assert_str_eq(group_options_check(&fixture.options), "shards");
    cr_assert_eq(group_new(&fixture.options, &group), ERR_INVALID);
    group_fixture_fini(&fixture);
}
