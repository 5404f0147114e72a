/* test_sender_time.c - the sender and the clock: heartbeats, progress, linger, and a peer that does
 * not read. */
#include <stdio.h>
#include <string.h>

#include "flow/chan_stats.h"
#include "flow/put_waiter.h"
#include "grpc/op.h"
#include "lib/chunks.h"
#include "sender_fixture.h"

static struct sender_fixture fixture;

static void close_fixture(void)
{
    sender_fixture_close(&fixture);
}

TestSuite(sender_time, .fini = close_fixture);

Test(sender_time, an_idle_sender_sends_heartbeats)
{
    int64_t began_ns = clock_mono_ns();

    sender_fixture_open(&fixture, NULL, 1);
    fixture.settings.heartbeat_ns = 50 * NS_PER_MS;
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started");
    for (int i = 0; i < 4; i++)
        cr_assert_str_eq(sender_fixture_read(&fixture), "progress 0");
    cr_assert_geq(clock_mono_ns() - began_ns, 200 * NS_PER_MS);
    cr_assert_lt(clock_mono_ns() - began_ns, 10 * NS_PER_S);
}

Test(sender_time, every_message_delays_the_next_heartbeat)
{
    int64_t sent_ns = 0;

    sender_fixture_open(&fixture, NULL, 1);
    fixture.settings.heartbeat_ns = NS_PER_S;
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started");
    for (int i = 0; i < 8; i++) {
        wire_fixture_wait(&fixture.wire, 20 * NS_PER_MS);
        sent_ns = clock_mono_ns();
        cr_assert_eq(sender_fixture_put(&fixture, 0, 1, 10), ERR_OK);
        cr_assert_not_null(strstr(sender_fixture_read(&fixture), "a"));
    }
    cr_assert_str_eq(sender_fixture_read(&fixture), "progress 8");
    cr_assert_geq(clock_mono_ns() - sent_ns, NS_PER_S);
}

Test(sender_time, an_idle_sender_without_heartbeats_sends_nothing)
{
    sender_fixture_open(&fixture, NULL, 1);
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started");
    wire_fixture_wait(&fixture.wire, 100 * NS_PER_MS);
    cr_assert_eq(fixture.progress, 0);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_str_eq(sender_fixture_read(&fixture), "a1");
}

Test(sender_time, progress_is_sent_once_after_events)
{
    int64_t began_ns = clock_mono_ns();

    sender_fixture_open(&fixture, NULL, 1);
    fixture.settings.progress_ns = NS_PER_S;
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started");
    cr_assert_eq(sender_fixture_put(&fixture, 0, 3, 10), ERR_OK);
    cr_assert_str_eq(sender_fixture_read(&fixture), "a1-3");
    cr_assert_str_eq(sender_fixture_read(&fixture), "progress 3");
    cr_assert_geq(clock_mono_ns() - began_ns, NS_PER_S);
    wire_fixture_wait(&fixture.wire, 1200 * NS_PER_MS);
    cr_assert_eq(fixture.progress, 1, "nothing moved since the last Progress");
    cr_assert_eq(sender_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_str_eq(sender_fixture_read(&fixture), "a4; progress 3",
                     "a Progress is due, so it comes with the event; a4 is not delivered yet");
}

/* Empty batches on a call that never connects complete at once. Each starts again while `burns`, so
 * that each turn handles as many completions as it may. */
static struct op burn_ops[64];
static grpc_call *burn_call;
static _Atomic uint32_t burning;
static _Atomic bool burns, busy;

static void burn(struct op *op)
{
    CHECK(grpc_call_start_batch(burn_call, NULL, 0, op, NULL) == GRPC_CALL_OK);
}

static void on_burnt(struct op *op, bool ok)
{
    (void)ok;
    for (int64_t until_ns = clock_mono_ns() + 10 * NS_PER_US; clock_mono_ns() < until_ns;)
        continue;
    busy = wire_busy(fixture.wire.thread);
    if (burns)
        burn(op);
    else
        burning--;
}

static void make_busy(void)
{
    struct cq_thread *cq = wire_cq(fixture.wire.thread);
    grpc_channel *lame = grpc_lame_client_channel_create("burn", GRPC_STATUS_UNAVAILABLE, "");

    burn_call = grpc_channel_create_call(lame, NULL, GRPC_PROPAGATE_DEFAULTS, cq_thread_queue(cq),
                                         grpc_slice_from_static_string("/burn"), NULL,
                                         gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    grpc_channel_destroy(lame);
    busy = false;
    burns = true;
    burning = sizeof(burn_ops) / sizeof(burn_ops[0]);
    for (uint32_t i = 0; i < sizeof(burn_ops) / sizeof(burn_ops[0]); i++) {
        burn_ops[i].done = on_burnt;
        burn(&burn_ops[i]);
    }
    wire_fixture_until(&fixture.wire, busy);
}

static void stop_burning(void)
{
    burns = false;
    wire_fixture_until(&fixture.wire, burning == 0);
    grpc_call_unref(burn_call);
}

static void begin_with_linger(int64_t linger_ns, uint32_t batch_events)
{
    sender_fixture_open(&fixture, NULL, 1);
    fixture.settings.linger_ns = linger_ns;
    fixture.settings.batch_events = batch_events;
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started");
}

Test(sender_time, an_idle_thread_does_not_linger)
{
    int64_t began_ns;

    begin_with_linger(3600 * NS_PER_S, 1000);
    began_ns = clock_mono_ns();
    for (int i = 1; i <= 10; i++) {
        cr_assert_eq(sender_fixture_put(&fixture, 0, 1, 10), ERR_OK);
        cr_assert_not_null(sender_fixture_read(&fixture));
    }
    cr_assert_lt(clock_mono_ns() - began_ns, DEADLINE_NS);
}

/* On a machine with other work, the thread may not get enough processor time to count as busy. Then
 * it need not gather, so the test tries again. */
Test(sender_time, a_thread_that_is_behind_gathers)
{
    bool gathered = false;

    begin_with_linger(100 * NS_PER_MS, 1000);
    for (int attempt = 0; !gathered; attempt++) {
        int64_t put_ns;
        cr_assert_lt(attempt, 50);
        make_busy();
        put_ns = clock_mono_ns();
        for (int i = 1; i <= 10; i++)
            cr_assert_eq(sender_fixture_put(&fixture, 0, 1, 10), ERR_OK);
        cr_assert_not_null(sender_fixture_read(&fixture));
        gathered = fixture.events == 10 && clock_mono_ns() - put_ns >= 100 * NS_PER_MS;
        stop_burning();
        if (fixture.events < 10)
            sender_fixture_read_events(&fixture, 10 - fixture.events);
    }
}

/* Each turn takes a fraction of a millisecond and handles no operation. */
static struct post_poll_hook spin_hook;
static _Atomic bool spins, is_spinning;

static void add_spin_hook(void *ctx)
{
    (void)ctx;
    list_init(&spin_hook.link);
    cq_add_post_poll_hook(wire_cq(fixture.wire.thread), &spin_hook);
}

static void on_spin(struct post_poll_hook *hook, int64_t now_ns)
{
    while (clock_mono_ns() < now_ns + 100 * NS_PER_US)
        continue;
    busy = wire_busy(fixture.wire.thread);
    if (spins)
        cq_add_post_poll_hook(wire_cq(fixture.wire.thread), hook);
    else
        is_spinning = false;
}

static void make_busy_without_operations(void)
{
    busy = false;
    spins = true;
    is_spinning = true;
    spin_hook.post_poll = on_spin;
    wire_fixture_run(&fixture.wire, add_spin_hook, NULL);
    wire_fixture_until(&fixture.wire, busy);
}

static void stop_spinning(void)
{
    spins = false;
    wire_fixture_until(&fixture.wire, !is_spinning);
}

/* Puts `events` events one by one while the thread is busy and not behind. Returns whether they
 * came as one message, after the linger. */
static bool is_gathered(uint32_t events)
{
    const int64_t put_ns = clock_mono_ns();

    for (uint32_t i = 0; i < events; i++)
        cr_assert_eq(sender_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_not_null(sender_fixture_read(&fixture));
    if (fixture.events < events) {
        sender_fixture_read_events(&fixture, events - fixture.events);
        return false;
    }
    return clock_mono_ns() - put_ns >= 100 * NS_PER_MS;
}

/* 100 events in a linger of 100 ms, or in three of them, are many. A machine with other work may
 * delay the test itself, so it tries again. */
Test(sender_time, a_busy_thread_gathers_for_a_consumer_that_gets_many_events)
{
    bool gathered = false;

    begin_with_linger(100 * NS_PER_MS, 1000);
    make_busy_without_operations();
    for (int attempt = 0; !gathered; attempt++) {
        cr_assert_lt(attempt, 50);
        cr_assert_eq(sender_fixture_put(&fixture, 0, 100, 10), ERR_OK);
        sender_fixture_read_events(&fixture, 100);
        wire_fixture_wait(&fixture.wire, 110 * NS_PER_MS);
        cr_assert_eq(sender_fixture_put(&fixture, 0, 1, 10), ERR_OK);
        sender_fixture_read_events(&fixture, 1);
        gathered = is_gathered(10);
    }
    stop_spinning();
}

Test(sender_time, a_busy_thread_does_not_gather_for_a_consumer_that_gets_few_events)
{
    int64_t began_ns;

    begin_with_linger(3600 * NS_PER_S, 1000);
    make_busy_without_operations();
    began_ns = clock_mono_ns();
    for (int i = 1; i <= 10; i++) {
        cr_assert_eq(sender_fixture_put(&fixture, 0, 1, 10), ERR_OK);
        cr_assert_not_null(sender_fixture_read(&fixture));
    }
    cr_assert_lt(clock_mono_ns() - began_ns, DEADLINE_NS);
    stop_spinning();
}

/* A heartbeat or a Progress that is due while the sender lingers must not arm a timer in the past:
 * the thread would fire it without end. */
Test(sender_time, a_heartbeat_that_is_due_while_it_lingers_waits_for_the_events)
{
    bool lingered = false;

    sender_fixture_open(&fixture, NULL, 1);
    fixture.settings.linger_ns = 300 * NS_PER_MS;
    fixture.settings.heartbeat_ns = 50 * NS_PER_MS;
    fixture.settings.progress_ns = 50 * NS_PER_MS;
    sender_fixture_subscribe(&fixture);
    for (int attempt = 0; !lingered; attempt++) {
        int64_t put_ns;
        cr_assert_lt(attempt, 50);
        make_busy();
        put_ns = clock_mono_ns();
        cr_assert_eq(sender_fixture_put(&fixture, 0, 1, 10), ERR_OK);
        do {
            cr_assert_not_null(sender_fixture_read(&fixture));
        } while (fixture.events == 0);
        lingered = clock_mono_ns() - put_ns >= 300 * NS_PER_MS;
        stop_burning();
    }
}

Test(sender_time, a_full_batch_does_not_linger)
{
    begin_with_linger(3600 * NS_PER_S, 10);
    make_busy();
    cr_assert_eq(sender_fixture_put(&fixture, 0, 10, 10), ERR_OK);
    cr_assert_str_eq(sender_fixture_read(&fixture), "a1-10");
    stop_burning();
}

Test(sender_time, a_draining_channel_does_not_linger)
{
    begin_with_linger(3600 * NS_PER_S, 1000);
    make_busy();
    cr_assert_eq(sender_fixture_put(&fixture, 0, 3, 10), ERR_OK);
    chan_drain(fixture.chan);
    cr_assert_str_eq(sender_fixture_read(&fixture), "a1-3");
    cr_assert_null(sender_fixture_read(&fixture));
    stop_burning();
}

Test(sender_time, a_peer_that_does_not_read_within_the_write_timeout_is_aborted)
{
    char status_message[600];
    int64_t began_ns;
    struct chan_stats stats;

    sender_fixture_open(&fixture, NULL, 1);
    fixture.settings.write_timeout_ns = NS_PER_S;
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started");
    began_ns = clock_mono_ns();
    sender_fixture_fill_window(&fixture);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 2, 10), ERR_OK);
    stats = sender_fixture_wait_closed(&fixture);
    cr_assert_geq(clock_mono_ns() - began_ns, NS_PER_S);
    cr_assert_lt(clock_mono_ns() - began_ns, 10 * NS_PER_S);
    cr_assert_eq(fixture.lost, 1);
    cr_assert_eq(fixture.ended, 0);
    cr_assert_eq(stats.dropped[LOSS_CONSUMER_GONE].events, 1);
    cr_assert_eq(client_end(&fixture.client), GRPC_STATUS_RESOURCE_EXHAUSTED);
    client_status_message(&fixture.client, status_message, sizeof(status_message));
    cr_assert(strstr(status_message, fault_text(FAULT_NOT_READING)), "%s", status_message);
    cr_assert(strstr(status_message, "1000"), "%s", status_message);
}

Test(sender_time, a_peer_that_reads_slowly_but_in_time_is_not_aborted)
{
    sender_fixture_open(&fixture, NULL, 1);
    fixture.settings.write_timeout_ns = 2 * NS_PER_S;
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started");
    for (int i = 0; i < 3; i++) {
        sender_fixture_fill_window(&fixture);
        wire_fixture_wait(&fixture.wire, 100 * NS_PER_MS);
        cr_assert_not_null(sender_fixture_read(&fixture));
    }
    cr_assert_eq(fixture.lost, 0);
}

static _Atomic int overs;

static void over(struct put_waiter *waiter)
{
    (void)waiter;
    overs++;
}

/* The sender waits for its peer, and still times the channel. */
Test(sender_time, the_block_timeout_passes_while_a_message_is_in_flight)
{
    static const struct chan_limits two = {.max_events = 2,
                                           .max_bytes = 1u << 30,
                                           .overflow = OVERFLOW_BLOCK,
                                           .fallback = OVERFLOW_DROP_NEWEST,
                                           .block_timeout_ns = 500 * NS_PER_MS};
    struct put_waiter waiter = {.over = over};
    int64_t began_ns;

    sender_fixture_open(&fixture, &two, 1);
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started");
    sender_fixture_fill_window(&fixture);
    OWNED(chunk_release) struct chunk *chunk = sender_fixture_chunk(&fixture, 0, 5, 10);
    began_ns = clock_mono_ns();
    put_waiter_begin(&waiter);
    cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, 0, 5, &waiter), ERR_AGAIN);
    cr_assert_eq(put_waiter_end(&waiter), ERR_AGAIN);
    wire_fixture_until(&fixture.wire, overs == 1);
    cr_assert_geq(clock_mono_ns() - began_ns, 500 * NS_PER_MS);
    cr_assert_str_eq(sender_fixture_read(&fixture), "a1");
    cr_assert_str_eq(sender_fixture_read(&fixture), "lost a 4-6 TIMEOUT; a2-3");
}
