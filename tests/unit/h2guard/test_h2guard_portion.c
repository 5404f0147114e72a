/* test_h2guard_portion.c - turns, portions, debt, and the budget of a second (finding 2). */
#include <criterion/criterion.h>

#include "h2guard_fixture.h"

#define COST(item) h2guard_defaults.prices[H2GUARD_ITEM_##item].cost

/* A connection with stream 1 open, and no debt. */
static void open_with(struct h2guard_fixture *fixture, int64_t turn_cost, int64_t second_cost)
{
    fixture_init(fixture);
    fixture->limits.turn_cost = turn_cost;
    fixture->limits.second_cost = second_cost;
    fixture->limits.max_unanswered = UINT32_MAX;
    fixture_open(fixture, H2GUARD_SERVER, BARE);
    put_client_start(&fixture->in, 0);
    put_headers(&fixture->in, 1, 0);
    cr_assert_neq(fixture_feed(fixture, WHOLE).decision, H2GUARD_END);
    fixture->now_ns += 10 * SECOND_NS;
    do
        h2guard_turn(fixture->guard, fixture->now_ns);
    while (h2guard_portion(fixture->guard) == 0);
}

/* With the limits of production. */
static void open_default(struct h2guard_fixture *fixture)
{
    open_with(fixture, h2guard_defaults.turn_cost, h2guard_defaults.second_cost);
}

static struct h2guard_verdict offer(struct h2guard_fixture *fixture, size_t from)
{
    return h2guard_in(fixture->guard, (struct bytes){fixture->in.data + from, fixture->in.size - from});
}

/* How many bytes of many PINGs pass in one turn. */
static size_t pings_in_a_turn(int64_t turn_cost)
{
    struct h2guard_fixture fixture;
    struct h2guard_verdict verdict;

    open_with(&fixture, turn_cost, 100 * turn_cost);
    for (int i = 0; i < 100; i++)
        put_zeros(&fixture.in, FRAME_PING, 0, 0, 8);
    verdict = offer(&fixture, 0);
    cr_assert_eq(verdict.decision, H2GUARD_WAIT);
    fixture_close(&fixture);
    return verdict.passed;
}

Test(h2guard_portion, stops_at_the_first_byte_at_which_nothing_is_left)
{
    const int64_t ping = COST(IDLE_PING) + 8;

    cr_assert_eq(pings_in_a_turn(10 * ping), 10 * 17, "ten PINGs use it exactly");
    cr_assert_eq(pings_in_a_turn(10 * ping - 1), 10 * 17 - 1, "one byte less");
    cr_assert_eq(pings_in_a_turn(10 * ping - 8), 9 * 17 + 9, "the tenth header uses the last of it");
    cr_assert_eq(pings_in_a_turn(9 * ping + 1), 9 * 17 + 9, "and more");
}

Test(h2guard_portion, is_smaller_in_a_short_turn_and_never_larger)
{
    const int64_t ping = COST(IDLE_PING) + 8;
    struct h2guard_fixture fixture;

    open_with(&fixture, 4 * ping, 400 * ping);
    for (int i = 0; i < 100; i++)
        put_zeros(&fixture.in, FRAME_PING, 0, 0, 8);
    h2guard_short_turn(fixture.guard, fixture.now_ns, 2 * ping);
    cr_assert_eq(offer(&fixture, 0).passed, 2 * 17);
    h2guard_short_turn(fixture.guard, fixture.now_ns, INT64_MAX);
    cr_assert_eq(offer(&fixture, 2 * 17).passed, 4 * 17, "the limit holds");
    fixture_close(&fixture);
}

Test(h2guard_portion, takes_what_an_item_cost_too_much_from_the_next_turns)
{
    struct h2guard_fixture fixture;
    size_t done = 0;
    uint64_t turns = 0;

    open_with(&fixture, 1000, INT64_C(1) << 36);
    for (uint32_t stream = 3; stream < 203; stream += 2)
        put_headers(&fixture.in, stream, 0);
    uint64_t before = h2guard_stats(fixture.guard)->total.cost;
    while (done < fixture.in.size) {
        done += offer(&fixture, done).passed;
        uint64_t cost = h2guard_stats(fixture.guard)->total.cost - before;
        turns++;
        cr_assert_leq(cost, turns * 1000 + COST(OPEN), "after %llu turns", (unsigned long long)turns);
        h2guard_turn(fixture.guard, fixture.now_ns);
    }
    cr_assert_geq(turns, 100 * COST(OPEN) / 1000);
    fixture_close(&fixture);
}

Test(h2guard_portion, stops_inside_of_a_frame_with_many_messages)
{
    struct h2guard_fixture fixture;
    struct h2guard_verdict verdict;

    open_default(&fixture);
    put_frame_head(&fixture.in, FRAME_DATA, 0, 1, 16380);
    for (int i = 0; i < 16380 / 6; i++) {
        put_prefix(&fixture.in, 0, 1);
        buf_byte(&fixture.in, 0);
    }
    h2guard_turn(fixture.guard, fixture.now_ns);
    verdict = offer(&fixture, 0);
    cr_assert_eq(verdict.decision, H2GUARD_WAIT);
    uint64_t messages = fixture_count(&fixture, H2GUARD_ITEM_MESSAGE);
    cr_assert_eq(messages, (400000 - COST(DATA)) / (COST(MESSAGE) + 6) + 1);
    fixture_close(&fixture);
}

/* Feeds `in` as a caller would: it reads what the portion allows, and keeps what did not pass.
 * Returns the largest rest that a read left, of all reads but the first `skipped` ones. */
static size_t read_all(struct h2guard_fixture *fixture, size_t skipped)
{
    size_t done = 0, held = 0, worst = 0, reads = 0;

    while (done < fixture->in.size) {
        size_t portion;
        h2guard_turn(fixture->guard, fixture->now_ns);
        fixture->turns++;
        fixture->now_ns += 500 * 1000;
        while (done < fixture->in.size && (portion = h2guard_portion(fixture->guard)) > 0) {
            bool is_rest = held > 0;
            size_t size = is_rest ? held : MIN_OF(portion, fixture->in.size - done);
            struct h2guard_verdict verdict =
                h2guard_in(fixture->guard, (struct bytes){fixture->in.data + done, size});
            cr_assert_neq(verdict.decision, H2GUARD_END, "%s", h2guard_reason_name(verdict.reason));
            cr_assert_leq(portion, fixture->limits.max_read_bytes);
            done += verdict.passed;
            held = size - verdict.passed;
            cr_assert_lt(held, fixture->limits.max_read_bytes);
            if (!is_rest && ++reads > skipped)
                worst = MAX_OF(worst, held);
        }
    }
    return worst;
}

Test(h2guard_portion, grows_with_a_peer_that_sends_large_frames)
{
    struct h2guard_fixture fixture;

    open_default(&fixture);
    cr_assert_eq(h2guard_portion(fixture.guard) > 0, true);
    for (int i = 0; i < 2000; i++)
        put_message_frame(&fixture.in, 1, 0, 16379);
    cr_assert_leq(read_all(&fixture, 8), 16 * 1024, "a frame at most, once the portion has grown");
    h2guard_turn(fixture.guard, fixture.now_ns);
    cr_assert_eq(h2guard_portion(fixture.guard), fixture.limits.max_read_bytes);
    cr_assert_lt(fixture.turns, 2000 * 16384 / 300000, "most turns pass more than 300 kB");
    fixture_close(&fixture);
}

Test(h2guard_portion, rises_to_twice_its_size_at_most)
{
    struct h2guard_fixture fixture;
    size_t before;

    open_default(&fixture);
    for (int i = 0; i < 100; i++)
        put_message_frame(&fixture.in, 1, 0, 1);
    offer(&fixture, 0);
    h2guard_turn(fixture.guard, fixture.now_ns);
    before = h2guard_portion(fixture.guard);
    cr_assert_lt(before, 5000, "small messages have made it small");
    buf_clear(&fixture.in);
    put_message_frame(&fixture.in, 1, 0, 16379);
    while (before < fixture.limits.max_read_bytes) {
        offer(&fixture, 0);
        h2guard_turn(fixture.guard, fixture.now_ns);
        size_t portion = h2guard_portion(fixture.guard);
        cr_assert_gt(portion, before);
        cr_assert_leq(portion, 2 * before + 1000, "%zu after %zu", portion, before);
        before = portion;
    }
    fixture_close(&fixture);
}

Test(h2guard_portion, loses_no_fraction_of_a_point_in_turns_that_follow_quickly)
{
    struct h2guard_fixture fixture;

    open_default(&fixture);
    for (int i = 0; i < 9999; i++)
        put_zeros(&fixture.in, FRAME_PRIORITY, 0, 1, 5);
    fixture_feed(&fixture, WHOLE);
    for (int i = 0; i < 10000; i++) { /* a fortieth of a point each */
        fixture.now_ns += 10 * 1000;
        h2guard_turn(fixture.guard, fixture.now_ns);
    }
    for (int i = 0; i < 251; i++)
        put_zeros(&fixture.in, FRAME_PRIORITY, 0, 1, 5);
    cr_assert_neq(fixture_feed(&fixture, WHOLE).decision, H2GUARD_END);
    put_zeros(&fixture.in, FRAME_PRIORITY, 0, 1, 5);
    fixture_ends(&fixture, H2GUARD_FLOOD_PRIORITY);
    fixture_close(&fixture);
}

Test(h2guard_portion, leaves_a_small_rest_under_a_flood_of_small_frames)
{
    struct h2guard_fixture fixture;

    open_default(&fixture);
    for (int i = 0; i < 2000; i++)
        put_message_frame(&fixture.in, 1, 0, 16379);
    read_all(&fixture, 0);
    buf_clear(&fixture.in);
    for (int i = 0; i < 100000; i++) /* the smallest messages that are not waste */
        put_message_frame(&fixture.in, 1, 0, 1);
    fixture.now_ns += SECOND_NS;
    cr_assert_lt(read_all(&fixture, 1), fixture.limits.min_read_bytes);
    fixture_close(&fixture);
}

Test(h2guard_portion, is_not_worth_a_read_when_little_is_left)
{
    struct h2guard_fixture fixture;

    open_default(&fixture);
    put_message_frame(&fixture.in, 1, 0, 200000);
    put_message_frame(&fixture.in, 1, 0, 200000);
    cr_assert_eq(h2guard_in(fixture.guard, (struct bytes){fixture.in.data, 375000}).decision, H2GUARD_PASS);
    cr_assert_eq(h2guard_portion(fixture.guard), 0, "20 kB are left, and a byte has cost 24 so far");
    fixture_close(&fixture);
}

Test(h2guard_portion, waits_for_the_second_when_its_budget_is_used)
{
    struct h2guard_fixture fixture;
    struct h2guard_verdict verdict;
    size_t done = 0;

    open_with(&fixture, 400000, 1000000); /* two and a half turns */
    for (int i = 0; i < 200; i++)
        put_message_frame(&fixture.in, 1, 0, 16379);
    fixture.now_ns += 10 * SECOND_NS;
    for (int turn = 0; turn < 3; turn++) {
        h2guard_turn(fixture.guard, fixture.now_ns);
        verdict = offer(&fixture, done);
        cr_assert_eq(verdict.decision, H2GUARD_WAIT);
        done += verdict.passed;
        if (turn < 2)
            cr_assert_eq(h2guard_wait_ns(fixture.guard), 0, "the next turn has a portion");
    }
    cr_assert_eq(fixture.counters.turn_waits, 2);
    cr_assert_eq(fixture.counters.second_waits, 1);
    cr_assert_eq(h2guard_portion(fixture.guard), 0);
    int64_t wait_ns = h2guard_wait_ns(fixture.guard);
    cr_assert(wait_ns > 390 * 1000000 && wait_ns < 410 * 1000000, "%lld: 400 ms give a turn's portion",
              (long long)wait_ns);
    fixture.now_ns += wait_ns;
    h2guard_turn(fixture.guard, fixture.now_ns);
    verdict = offer(&fixture, done);
    cr_assert_gt(verdict.passed, 300000);
    cr_assert_eq(fixture.counters.turn_waits + fixture.counters.second_waits, 4);
    fixture_close(&fixture);
}

Test(h2guard_portion, counts_the_turn)
{
    struct h2guard_fixture fixture;
    const struct h2guard_stats *stats;
    struct h2guard_at_turn before = {0, 0};

    open_default(&fixture);
    stats = h2guard_stats(fixture.guard);
    for (int i = 0; i < 3; i++) {
        before = (struct h2guard_at_turn){stats->total.bytes, stats->total.cost};
        put_message_frame(&fixture.in, 1, 0, 50);
        fixture.now_ns += SECOND_NS / 4;
        fixture_passes(&fixture);
        stats = h2guard_stats(fixture.guard);
        cr_assert_eq(stats->at_turn.bytes, before.bytes);
        cr_assert_eq(stats->at_turn.cost, before.cost);
        cr_assert_gt(stats->total.bytes, before.bytes + 50);
        cr_assert_gt(stats->total.cost, before.cost);
    }
    fixture.now_ns += SECOND_NS / 4;
    h2guard_turn(fixture.guard, fixture.now_ns);
    cr_assert_eq(stats->total.bytes, stats->at_turn.bytes);
    fixture_close(&fixture);
}

Test(h2guard_portion, a_connection_that_used_its_turn_can_be_late)
{
    struct h2guard_fixture fixture;
    struct h2guard_verdict verdict;

    open_with(&fixture, 100000, INT64_C(1) << 36);
    put_zeros(&fixture.in, FRAME_HEADERS, 0, 1, 30);
    verdict = offer(&fixture, 0);
    cr_assert_eq(verdict.decision, H2GUARD_PASS);
    cr_assert_eq(h2guard_portion(fixture.guard), 0, "so few bytes are not worth a read in this turn");
    verdict = h2guard_check(fixture.guard, fixture.now_ns + 6 * SECOND_NS);
    cr_assert_eq(verdict.reason, H2GUARD_HEADER_TIMEOUT);
    fixture_close(&fixture);
}

Test(h2guard_portion, on_probation_the_first_bytes_wait)
{
    struct h2guard_fixture fixture;

    fixture_init(&fixture);
    fixture.limits.turn_cost = h2guard_defaults.turn_cost;
    fixture.limits.second_cost = h2guard_defaults.second_cost;
    fixture_open(&fixture, H2GUARD_SERVER, BARE);
    h2guard_begin_probation(fixture.guard, SECOND_NS / 2);
    h2guard_turn(fixture.guard, fixture.now_ns);
    cr_assert_eq(h2guard_portion(fixture.guard), 0);
    int64_t wait_ns = h2guard_wait_ns(fixture.guard);
    cr_assert(wait_ns >= SECOND_NS / 2 && wait_ns < SECOND_NS / 2 + SECOND_NS / 1000, "%lld ns",
              (long long)wait_ns);
    fixture.now_ns += wait_ns;
    put_client_start(&fixture.in, 0);
    fixture_passes(&fixture);
    fixture_close(&fixture);
}

Test(h2guard_portion, on_probation_it_may_waste_a_sixteenth)
{
    for (int on_probation = 0; on_probation < 2; on_probation++) {
        struct h2guard_fixture fixture;
        int64_t pings = 0;

        open_with(&fixture, INT64_C(1) << 30, INT64_C(1) << 36);
        if (on_probation)
            h2guard_begin_probation(fixture.guard, 1000);
        for (; pings < 100000 && h2guard_stats(fixture.guard)->total.waste < 20000; pings++) {
            put_zeros(&fixture.in, FRAME_PRIORITY, 0, 1, 5);
            if (fixture_feed(&fixture, WHOLE).decision == H2GUARD_END)
                break;
        }
        cr_assert_eq(pings, on_probation ? 625 : 10000);
        fixture_close(&fixture);
    }
}
