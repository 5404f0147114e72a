/* test_group_deliveries.c - events go to a member, and are acked, nacked, extended or late. */
#include "unit/group/group_fixture.h"

TestSuite(group_deliveries, .timeout = 60);

static const struct group_nack retry = {.verb = NACK_RETRY, .reason = RETRY_FAILED};

static struct group_range one(const struct group_fixture *fixture, uint64_t position)
{
    return (struct group_range){.source = fixture->source, .first = position, .last = position};
}

Test(group_deliveries, S14_a_single_ack_a_range_and_a_cumulative_one)
{
    struct group_fixture fixture = group_fixture_new(2);
    struct group_event events[16];

    group_fixture_open(&fixture);
    struct group_member *odd = group_fixture_join(&fixture), *even = NULL;

    group_fixture_offer(&fixture, 12);
    even = group_fixture_join(&fixture);
    if (group_fixture_receive(&fixture, odd, events, 16) == 6 && events[0].position == 2) {
        struct group_member *other = odd;

        odd = even;
        even = other;
    }
    group_fixture_receive(&fixture, odd, events, 16);
    group_fixture_receive(&fixture, even, events, 16);
    cr_assert_eq(group_fixture_ack(&fixture, odd, 5, 5).count, 1);
    cr_assert_eq(group_fixture_ack(&fixture, odd, 3, 9).count, 3, "3, 7 and 9: others' are not touched");
    cr_assert_eq(group_fixture_ack(&fixture, even, 0, 8).count, 4);
    const struct group_source_info info = group_fixture_info(&fixture);

    cr_assert_eq(info.floor, 0);
    cr_assert_eq(info.settled_above, 8);
    cr_assert_eq(info.ranges, 1);
    cr_assert_eq(group_fixture_ack(&fixture, odd, 0, UINT64_MAX).count, 2);
    cr_assert_eq(group_fixture_info(&fixture).floor, 9);
    group_fixture_fini(&fixture);
}

Test(group_deliveries, S14_a_bad_ack_is_answered_and_changes_nothing)
{
    struct group_fixture fixture = group_fixture_new(2);
    struct group_event events[16];

    group_fixture_open(&fixture);
    struct group_member *first = group_fixture_join(&fixture), *second = group_fixture_join(&fixture);

    group_fixture_offer(&fixture, 6);
    cr_assert_eq(group_fixture_receive(&fixture, first, events, 2), 2);
    const uint64_t a = events[0].position, b = events[1].position;

    cr_assert_eq(group_dispatch(first, fixture.now_ns, events, 1), 1);
    cr_assert_eq(group_fixture_ack(&fixture, second, a, a).answer, GROUP_NOT_YOURS);
    cr_assert_eq(group_fixture_ack(&fixture, first, 7, 9).answer, GROUP_UNKNOWN);
    cr_assert_eq(group_fixture_ack(&fixture, first, events[0].position, events[0].position).answer,
                 GROUP_UNKNOWN, "it was never sent");
    cr_assert_eq(group_fixture_ack(&fixture, first, 2, 1).answer, GROUP_INVALID);
    cr_assert_eq(group_fixture_nack(&fixture, first, a, (struct group_nack){.verb = NACK_VERBS}).answer,
                 GROUP_INVALID);
    cr_assert_eq(group_fixture_nack(&fixture, first, a, (struct group_nack){.reason = 64}).answer,
                 GROUP_INVALID);
    cr_assert_eq(group_fixture_info(&fixture).totals.in_flight, 3);
    cr_assert_eq(group_fixture_ack(&fixture, first, b, b).answer, GROUP_SETTLED);
    cr_assert_eq(group_fixture_ack(&fixture, first, b, b).answer, GROUP_ALREADY_SETTLED);
    group_fixture_fini(&fixture);
}

Test(group_deliveries, S14_a_timeout_redelivers_with_the_next_attempt_and_an_extend_holds_it_off)
{
    struct group_fixture fixture = group_fixture_new(1);
    struct group_event events[16];
    const int64_t wait_ns = fixture.options.ack_wait_ns;

    group_fixture_open(&fixture);
    struct group_member *member = group_fixture_join(&fixture);

    group_fixture_offer(&fixture, 2);
    group_fixture_receive(&fixture, member, events, 16);
    group_fixture_pass(&fixture, wait_ns - 1);
    const struct group_range second = one(&fixture, 2);

    cr_assert_eq(group_extend(member, &second, fixture.now_ns).count, 1);
    group_fixture_pass(&fixture, 1);
    cr_assert_eq(group_fixture_ack(&fixture, member, 1, 1).answer, GROUP_LATE);
    cr_assert_eq(group_fixture_receive(&fixture, member, events, 16), 1);
    cr_assert(events[0].position == 1 && events[0].attempt == 1);
    cr_assert_eq(group_fixture_ack(&fixture, member, 1, 2).count, 2);
    cr_assert_eq(group_fixture_info(&fixture).floor, 2);
    group_fixture_fini(&fixture);
}

Test(group_deliveries, S14_a_shorter_ack_wait_holds_for_what_is_in_flight)
{
    struct group_fixture fixture = group_fixture_new(1);
    struct group_event events[4];

    group_fixture_open(&fixture);
    struct group_member *member = group_fixture_join(&fixture);

    group_fixture_offer(&fixture, 1);
    group_fixture_receive(&fixture, member, events, 4);
    fixture.options.shards = 2;
    cr_assert_eq(group_update(fixture.group, &fixture.options), ERR_INVALID);
    fixture.options.shards = 1;
    fixture.options.ack_wait_ns = NS_PER_S;
    cr_assert_eq(group_update(fixture.group, &fixture.options), ERR_OK);
    cr_assert_eq(group_due_ns(fixture.group), fixture.now_ns + NS_PER_S);
    group_fixture_pass(&fixture, NS_PER_S);
    cr_assert_eq(group_fixture_receive(&fixture, member, events, 4), 1);
    cr_assert_eq(events[0].attempt, 1);
    group_fixture_fini(&fixture);
}

Test(group_deliveries, S14_row_43_time_that_stands_still_redelivers_nothing)
{
    struct group_fixture fixture = group_fixture_new(4);
    struct group_event events[16];

    group_fixture_open(&fixture);
    struct group_member *member = group_fixture_join(&fixture);

    group_fixture_offer(&fixture, 8);
    group_fixture_receive(&fixture, member, events, 16);
    for (unsigned i = 0; i < 1000; i++)
        group_fixture_pass(&fixture, 0);
    cr_assert_eq(group_fixture_info(&fixture).totals.waiting, 0);
    group_fixture_pass(&fixture, NS_PER_S * 3600); /* the machine slept */
    cr_assert_eq(group_fixture_receive(&fixture, member, events, 16), 8, "each of them once");
    cr_assert_eq(group_fixture_receive(&fixture, member, events, 16), 0);
    group_fixture_fini(&fixture);
}

Test(group_deliveries, S14_a_retry_holds_back_its_shard_and_no_other)
{
    struct group_fixture fixture = group_fixture_new(2);
    struct group_event events[16];

    group_fixture_open(&fixture);
    struct group_member *member = group_fixture_join(&fixture);

    group_fixture_offer(&fixture, 2);
    group_fixture_receive(&fixture, member, events, 16);
    const struct group_nack later = {.verb = NACK_RETRY_AFTER, .after_ns = NS_PER_S};

    cr_assert_eq(group_fixture_nack(&fixture, member, 1, later).count, 1);
    group_fixture_offer(&fixture, 4);
    cr_assert_eq(group_fixture_receive(&fixture, member, events, 16), 2);
    cr_assert(events[0].position == 4 && events[1].position == 6);
    cr_assert_eq(group_due_ns(fixture.group), fixture.now_ns + NS_PER_S);
    group_fixture_pass(&fixture, NS_PER_S);
    cr_assert_eq(group_fixture_receive(&fixture, member, events, 16), 3);
    cr_assert(events[0].position == 1 && events[0].attempt == 1);
    cr_assert(events[1].position == 3 && events[2].position == 5);
    group_fixture_fini(&fixture);
}

Test(group_deliveries, S14_the_next_attempt_is_due_also_behind_one_that_has_just_gone)
{
    struct group_fixture fixture = group_fixture_new(1);
    const struct group_nack now = {.verb = NACK_RETRY_AFTER};
    const struct group_nack later = {.verb = NACK_RETRY_AFTER, .after_ns = NS_PER_S};
    struct group_event events[4];

    group_fixture_open(&fixture);
    struct group_member *member = group_fixture_join(&fixture);

    group_fixture_offer(&fixture, 2);
    group_fixture_receive(&fixture, member, events, 4);
    group_fixture_nack(&fixture, member, 1, now);
    group_fixture_nack(&fixture, member, 2, later);
    group_fixture_pass(&fixture, 0);
    cr_assert_eq(group_fixture_receive(&fixture, member, events, 1), 1);
    cr_assert_leq(group_due_ns(fixture.group), fixture.now_ns + NS_PER_S);
    group_fixture_pass(&fixture, NS_PER_S);
    cr_assert_eq(group_next_ready(fixture.group), member);
    group_fixture_fini(&fixture);
}

Test(group_deliveries, S14_skip_settles_and_a_dead_letter_waits_for_its_commit)
{
    struct group_fixture fixture = group_fixture_new(1);
    struct group_dead_letter letter;
    struct group_event events[16];
    struct buf state = {0};

    group_fixture_open(&fixture);
    struct group_member *member = group_fixture_join(&fixture);

    group_fixture_offer(&fixture, 3);
    group_fixture_receive(&fixture, member, events, 16);
    group_fixture_nack(&fixture, member, 1, (struct group_nack){.verb = NACK_DEAD_LETTER, .reason = 33});
    group_fixture_nack(&fixture, member, 2, (struct group_nack){.verb = NACK_SKIP});
    group_fixture_ack(&fixture, member, 3, 3);
    cr_assert_eq(group_fixture_ack(&fixture, member, 1, 1).answer, GROUP_ALREADY_SETTLED);
    cr_assert_eq(group_fixture_info(&fixture).floor, 0, "S8: its dead letter is not written");
    cr_assert_eq(group_fixture_info(&fixture).totals.in_flight, 1);
    for (int ok = 0; ok <= 1; ok++) {
        struct group_commit commit = {.state = &state, .letters = &letter, .capacity = 1};

        cr_assert_eq(group_commit_begin(fixture.source, &commit), ERR_OK);
        cr_assert_eq(commit.count, 1, "S8: where the write has failed, it comes again");
        cr_assert(letter.position == 1 && letter.attempts == 1 && letter.reason == 33);
        cr_assert_eq(letter.first_ns, fixture.now_ns);
        group_commit_done(fixture.source, commit.number, ok, fixture.now_ns);
        cr_assert_eq(group_fixture_info(&fixture).floor, ok ? 3 : 0);
    }
    cr_assert_eq(group_fixture_info(&fixture).totals.settled[OUTCOME_DEAD_LETTERED], 1);
    cr_assert_eq(group_fixture_info(&fixture).totals.settled[OUTCOME_SKIPPED], 1);
    buf_fini(&state);
    group_fixture_fini(&fixture);
}

/* Fails an event until it does not come any more. Returns how often it came. */
static unsigned attempts_of(struct group_fixture *fixture, struct group_nack nack)
{
    struct group_event events[4];
    struct group_member *member = group_fixture_join(fixture);
    unsigned attempts = 0;

    group_fixture_offer(fixture, 1);
    while (group_fixture_receive(fixture, member, events, 4) == 1) {
        cr_assert_eq(events[0].attempt, attempts);
        attempts++;
        cr_assert_eq(group_fixture_nack(fixture, member, 1, nack).count, 1);
        group_fixture_pass(fixture, 60 * NS_PER_S);
    }
    return attempts;
}

/* S7, S8: the first attempt counts. */
Test(group_deliveries, S7_after_the_last_attempt_it_is_a_dead_letter)
{
    for (unsigned max = 1; max < 8; max++) {
        struct group_fixture fixture = group_fixture_new(1);

        fixture.options.retry.max_attempts = max;
        group_fixture_open(&fixture);
        cr_assert_eq(attempts_of(&fixture, retry), max);
        cr_assert_eq(group_fixture_info(&fixture).oldest_state, EVENT_DEAD);
        group_fixture_fini(&fixture);
    }
}

Test(group_deliveries, S7_an_unrecoverable_reason_has_one_attempt)
{
    struct group_fixture fixture = group_fixture_new(1);

    group_fixture_open(&fixture);
    cr_assert_eq(
        attempts_of(&fixture, (struct group_nack){.verb = NACK_RETRY, .reason = RETRY_UNRECOVERABLE}), 1);
    cr_assert_eq(group_fixture_info(&fixture).oldest_state, EVENT_DEAD);
    group_fixture_fini(&fixture);
}

Test(group_deliveries, D9_what_cannot_be_parsed_is_skipped_by_choice)
{
    struct group_fixture fixture = group_fixture_new(1);

    fixture.options.retry.skipped = BIT(RETRY_UNPARSEABLE);
    group_fixture_open(&fixture);
    cr_assert_eq(attempts_of(&fixture, (struct group_nack){.verb = NACK_RETRY, .reason = RETRY_UNPARSEABLE}),
                 1);
    cr_assert_eq(group_fixture_info(&fixture).floor, 1, "even as the last one it does not hold the floor");
    cr_assert_eq(group_fixture_info(&fixture).totals.settled[OUTCOME_SKIPPED], 1);
    group_fixture_fini(&fixture);
}

Test(group_deliveries, S7_waits_grow_with_jitter_and_have_a_bound)
{
    const struct retry_policy policy = {.max_attempts = 100, .first_ns = 1000, .max_ns = 10000};
    uint64_t random = 7;
    int64_t wait_ns = 0;
    bool differs = false;

    for (uint32_t attempts = 1; attempts < 20; attempts++) {
        const int64_t full_ns = attempts < 5 ? 1000 << (attempts - 1) : 10000;
        const int64_t before_ns = wait_ns;

        cr_assert_eq(retry_decide(&policy, attempts, RETRY_FAILED, -1, &random, &wait_ns), RETRY_AGAIN);
        cr_assert(wait_ns > full_ns * 3 / 4 - 1 && wait_ns <= full_ns);
        differs |= attempts > 6 && wait_ns != before_ns;
    }
    cr_assert(differs);
    cr_assert_eq(retry_decide(&policy, 1, RETRY_TIMEOUT, -1, &random, &wait_ns), RETRY_AGAIN);
    cr_assert_eq(wait_ns, 0);
    cr_assert_eq(retry_decide(&policy, 1, RETRY_FAILED, INT64_MAX, &random, &wait_ns), RETRY_AGAIN);
    cr_assert_eq(wait_ns, policy.max_ns);
}

/* D15, D3 */
Test(group_deliveries, D15_a_batch_that_failed_comes_again_in_order)
{
    struct group_fixture fixture = group_fixture_new(1);
    struct group_event events[64];

    group_fixture_open(&fixture);
    struct group_member *member = group_fixture_join(&fixture);

    group_fixture_offer(&fixture, 40);
    group_fixture_receive(&fixture, member, events, 30);
    for (uint64_t i = 30; i > 0; i--) /* in the worst order */
        if (i % 3 != 0)
            group_fixture_nack(&fixture, member, i, (struct group_nack){.verb = NACK_RETRY_AFTER});
        else
            group_fixture_ack(&fixture, member, i, i);
    cr_assert_eq(group_fixture_receive(&fixture, member, events, 64), 30);
    for (unsigned i = 1; i < 30; i++)
        cr_assert_gt(events[i].position, events[i - 1].position);
    cr_assert(events[19].attempt == 1 && events[20].attempt == 0 && events[20].position == 31);
    group_fixture_fini(&fixture);
}

Test(group_deliveries, D3_a_member_has_no_more_in_flight_than_it_allows)
{
    struct group_fixture fixture = group_fixture_new(2);
    const struct member_limits limits = {5, 35};
    struct group_member *member = NULL;
    struct group_event events[16];

    group_fixture_open(&fixture);
    cr_assert_eq(group_join(fixture.group, &limits, NULL, fixture.now_ns, &member), ERR_OK);
    group_fixture_offer(&fixture, 9); /* of 10 bytes */
    cr_assert_eq(group_next_ready(fixture.group), member);
    cr_assert_eq(group_fixture_receive(&fixture, member, events, 16), 3);
    cr_assert_null(group_next_ready(fixture.group));
    const uint64_t position = events[0].position;

    group_fixture_ack(&fixture, member, position, position);
    cr_assert_eq(group_next_ready(fixture.group), member);
    cr_assert_eq(group_fixture_receive(&fixture, member, events, 16), 1);
    group_fixture_ack(&fixture, member, 0, UINT64_MAX);
    cr_assert_eq(group_offer(fixture.source, (struct group_offered[]){{1000, 0}}, 1, fixture.now_ns), ERR_OK);
    while (group_fixture_receive(&fixture, member, events, 16) > 0)
        group_fixture_ack(&fixture, member, 0, UINT64_MAX);
    cr_assert_eq(group_fixture_info(&fixture).floor, 10, "a large one went alone");
    group_fixture_fini(&fixture);
}

static void offer_one(struct group_fixture *fixture, struct group_source *source,
                      struct group_offered offered)
{
    cr_assert_eq(group_offer(source, &offered, 1, fixture->now_ns), ERR_OK);
}

/* A member is full because of one large event, which goes: what is behind it may be dispatched. */
Test(group_deliveries, D3_a_member_is_ready_again_when_what_did_not_fit_is_gone)
{
    for (unsigned how = 0; how < 2; how++) {
        struct group_fixture fixture = group_fixture_new(2);
        const struct member_limits limits = {10, 30};
        struct group_source *other = NULL;
        struct group_member *member = NULL;
        struct group_event events[4];

        group_fixture_open(&fixture);
        cr_assert_eq(group_source_open(fixture.group, 1, NULL, &other), ERR_OK);
        cr_assert_eq(group_join(fixture.group, &limits, NULL, fixture.now_ns, &member), ERR_OK);
        offer_one(&fixture, fixture.source, (struct group_offered){20, 0});
        cr_assert_eq(group_fixture_receive(&fixture, member, events, 4), 1);
        offer_one(&fixture, other, (struct group_offered){25, 0});
        offer_one(&fixture, other, (struct group_offered){5, how == 0 ? 0 : 1});
        offer_one(&fixture, fixture.source, (struct group_offered){5, 1});
        cr_assert_eq(group_next_ready(fixture.group), member);
        cr_assert_eq(group_dispatch(member, fixture.now_ns, events, 4), 0);
        cr_assert_null(group_next_ready(fixture.group));
        if (how == 0)
            group_trim(other, 2, fixture.now_ns);
        else
            group_seek(other, 1, fixture.now_ns);
        cr_assert_eq(group_next_ready(fixture.group), member);
        cr_assert_eq(group_dispatch(member, fixture.now_ns, events, 4), how == 0 ? 2 : 1);
        group_fixture_fini(&fixture);
    }
}

Test(group_deliveries, the_server_drops_what_it_did_not_send)
{
    struct group_fixture fixture = group_fixture_new(1);
    struct group_event events[4];
    struct member_totals totals;

    group_fixture_open(&fixture);
    struct group_member *member = group_fixture_join(&fixture);

    group_fixture_offer(&fixture, 3);
    cr_assert_eq(group_dispatch(member, fixture.now_ns, events, 4), 3);
    cr_assert(group_drop(member, &events[0], OUTCOME_EXPIRED, fixture.now_ns));
    cr_assert(group_drop(member, &events[1], OUTCOME_DUPLICATE, fixture.now_ns));
    cr_assert_not(group_drop(member, &events[1], OUTCOME_DUPLICATE, fixture.now_ns));
    cr_assert_eq(group_sent(member, events, 3, fixture.now_ns), 1);
    cr_assert_eq(events[0].position, 3);
    group_member_totals(member, &totals);
    cr_assert(member_totals_hold(&totals) && totals.dropped == 2 && totals.delivered == 1);
    cr_assert_eq(group_fixture_info(&fixture).floor, 2);
    group_fixture_fini(&fixture);
}

Test(group_deliveries, the_server_puts_back_what_it_cannot_send_now)
{
    struct group_fixture fixture = group_fixture_new(1);
    struct group_event events[4];

    group_fixture_open(&fixture);
    struct group_member *member = group_fixture_join(&fixture);

    group_fixture_offer(&fixture, 2);
    cr_assert_eq(group_dispatch(member, fixture.now_ns, events, 1), 1);
    cr_assert(group_put_back(member, &events[0], NS_PER_MS, fixture.now_ns));
    cr_assert_not(group_put_back(member, &events[0], NS_PER_MS, fixture.now_ns));
    cr_assert_eq(group_dispatch(member, fixture.now_ns, events, 4), 0, "it holds back its shard");
    group_fixture_pass(&fixture, NS_PER_MS);
    cr_assert_eq(group_fixture_receive(&fixture, member, events, 4), 2);
    cr_assert(events[0].position == 1 && events[0].attempt == 0);
    group_fixture_fini(&fixture);
}

Test(group_deliveries, while_it_is_paused_nothing_is_dispatched)
{
    struct group_fixture fixture = group_fixture_new(1);
    struct group_event events[4];

    group_fixture_open(&fixture);
    struct group_member *member = group_fixture_join(&fixture);

    group_pause(fixture.group);
    group_fixture_offer(&fixture, 3);
    cr_assert_null(group_next_ready(fixture.group));
    cr_assert_eq(group_fixture_receive(&fixture, member, events, 4), 0);
    group_resume(fixture.group);
    cr_assert_eq(group_next_ready(fixture.group), member);
    cr_assert_eq(group_fixture_receive(&fixture, member, events, 4), 3);
    group_fixture_fini(&fixture);
}

Test(group_deliveries, a_wide_range_is_done_in_steps)
{
    enum { EVENTS = 10000 };
    struct group_fixture fixture = group_fixture_new(8);
    static struct group_event events[EVENTS];
    struct group_range range = {.first = 0, .last = UINT64_MAX};
    uint32_t count = 0, calls = 0;

    group_fixture_open(&fixture);
    struct group_member *member = group_fixture_join(&fixture);

    group_fixture_offer(&fixture, EVENTS);
    cr_assert_eq(group_fixture_receive(&fixture, member, events, EVENTS), EVENTS);
    range.source = fixture.source;
    do {
        const struct group_result result = group_ack(member, &range, fixture.now_ns);

        cr_assert_eq(result.answer, GROUP_SETTLED);
        count += result.count;
        range.first = result.next;
        calls++;
    } while (range.first > 0);
    cr_assert(count == EVENTS && calls == 3);
    group_fixture_fini(&fixture);
}
