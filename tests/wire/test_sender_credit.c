/* test_sender_credit.c - what waits for credit that does not come. */
#include "flow/chan_stats.h"
#include "flow/put_waiter.h"
#include "sender_fixture.h"

#define WRITE_TIMEOUT_NS (300 * NS_PER_MS)

static struct sender_fixture fixture;

static void close_fixture(void)
{
    sender_fixture_close(&fixture);
}

TestSuite(sender_credit, .fini = close_fixture);

static struct chan_limits two_block(int64_t block_timeout_ns)
{
    return (struct chan_limits){.max_events = 2,
                                .max_bytes = 1u << 30,
                                .overflow = OVERFLOW_BLOCK,
                                .fallback = OVERFLOW_DROP_OLDEST,
                                .block_timeout_ns = block_timeout_ns};
}

static void act_no_credit(void *ctx)
{
    (void)ctx;
    sender_credit(fixture.sender, 0, 0);
}

static void act_one_event(void *ctx)
{
    (void)ctx;
    sender_credit(fixture.sender, 1, 0);
}

static void act_ten_bytes(void *ctx)
{
    (void)ctx;
    sender_credit(fixture.sender, 0, 10);
}

static void act_end_credit(void *ctx)
{
    (void)ctx;
    sender_end_credit(fixture.sender);
}

/* Opens a call that has granted no credit. */
static void begin(const struct chan_limits *limits, void (*grant)(void *ctx))
{
    sender_fixture_open(&fixture, limits, 1);
    fixture.settings.write_timeout_ns = WRITE_TIMEOUT_NS;
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started");
    wire_fixture_run(&fixture.wire, grant, NULL);
}

static _Atomic int overs;

static void over(struct put_waiter *waiter)
{
    (void)waiter;
    overs++;
}

/* Puts five events, of which three are parked, and waits until the fallback is active. */
static void block(struct put_waiter *waiter)
{
    OWNED(chunk_release) struct chunk *chunk = sender_fixture_chunk(&fixture, 0, 5, 10);

    waiter->over = over;
    put_waiter_begin(waiter);
    cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, 0, 5, waiter), ERR_AGAIN);
    cr_assert_eq(put_waiter_end(waiter), ERR_AGAIN);
    wire_fixture_until(&fixture.wire, overs == 1);
}

static void ends_in_the_write_timeout(void (*grant)(void *ctx))
{
    struct chan_limits limits = two_block(50 * NS_PER_MS);
    struct put_waiter waiter;
    int64_t began_ns;

    begin(&limits, grant);
    began_ns = clock_mono_ns();
    block(&waiter);
    wire_fixture_until(&fixture.wire, fixture.ended == 1);
    cr_assert_geq(clock_mono_ns() - began_ns, 50 * NS_PER_MS + WRITE_TIMEOUT_NS);
    cr_assert_eq(fixture.how, CHAN_BROKEN);
    while (sender_fixture_read(&fixture))
        continue;
    cr_assert_eq(client_status(&fixture.client), GRPC_STATUS_RESOURCE_EXHAUSTED);
    sender_fixture_wait_closed(&fixture);
    chan_close(fixture.chan, LOSS_CONSUMER_GONE);
}

/* Finding 7. */
Test(sender_credit, a_consumer_that_blocks_and_grants_no_credit_falls_back_and_is_ended)
{
    ends_in_the_write_timeout(act_no_credit);
}

Test(sender_credit, too_few_bytes_are_no_credit)
{
    ends_in_the_write_timeout(act_ten_bytes);
}

Test(sender_credit, a_consumer_that_grants_one_event_in_each_timeout_stays)
{
    struct chan_limits limits = two_block(NS_PER_MS);
    struct put_waiter waiter;

    limits.max_events = 20; /* so that the low watermark is far away */
    begin(&limits, act_no_credit);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 20, 10), ERR_OK);
    block(&waiter);
    for (int i = 0; i < 5; i++) {
        wire_fixture_wait(&fixture.wire, WRITE_TIMEOUT_NS / 2);
        wire_fixture_run(&fixture.wire, act_one_event, NULL);
        sender_fixture_read_events(&fixture, 1);
    }
    cr_assert_eq(fixture.ended, 0);
    chan_close(fixture.chan, LOSS_CONSUMER_GONE);
}

Test(sender_credit, a_consumer_that_never_had_anybody_wait_stays)
{
    struct chan_limits limits = two_block(0);

    begin(&limits, act_no_credit);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 5, 10), ERR_OK);
    wire_fixture_wait(&fixture.wire, 2 * WRITE_TIMEOUT_NS);
    cr_assert_eq(fixture.ended, 0);
    chan_close(fixture.chan, LOSS_CONSUMER_GONE);
}

/* Finding 32. */
Test(sender_credit, what_waits_when_no_credit_can_come_is_lost_at_once)
{
    struct chan_stats stats;

    begin(NULL, act_one_event);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 3, 10), ERR_OK);
    sender_fixture_read_events(&fixture, 1);
    wire_fixture_run(&fixture.wire, act_end_credit, NULL);
    cr_assert_str_eq(sender_fixture_read(&fixture), "lost a 2-3 CUT");
    cr_assert_null(sender_fixture_read(&fixture));
    cr_assert_eq(client_status(&fixture.client), GRPC_STATUS_OK);
    stats = sender_fixture_wait_closed(&fixture);
    cr_assert_eq(stats.delivered.events, 1);
    cr_assert_eq(stats.dropped[LOSS_DRAIN_CUT].events, 2);
}

Test(sender_credit, what_the_last_credit_allows_is_delivered)
{
    struct chan_stats stats;

    begin(NULL, act_one_event);
    wire_fixture_run(&fixture.wire, act_end_credit, NULL);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    sender_fixture_read_events(&fixture, 1);
    cr_assert_eq(fixture.ended, 0, "the channel has not ended");
    chan_drain(fixture.chan);
    cr_assert_null(sender_fixture_read(&fixture));
    stats = sender_fixture_wait_closed(&fixture);
    cr_assert_eq(stats.delivered.events, 1);
    cr_assert_eq(stats.dropped[LOSS_DRAIN_CUT].events, 0);
}
