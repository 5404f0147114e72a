/* test_sender_ends.c - every ending of a sender: its channel ends, its call ends, or it is freed
 * while another thread wakes it. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "flow/chan_stats.h"
#include "sender_fixture.h"

static struct sender_fixture fixture;

static void close_fixture(void)
{
    sender_fixture_close(&fixture);
}

TestSuite(sender_ends, .fini = close_fixture);

/* Opens a call and reads its Started note. */
static void begin(const struct chan_limits *limits)
{
    sender_fixture_open(&fixture, limits, 2);
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started");
    sender_fixture_wait_sent(&fixture);
}

Test(sender_ends, a_draining_channel_ends_after_everything_was_delivered)
{
    struct chan_stats stats;

    sender_fixture_open(&fixture, NULL, 2);
    fixture.settings.batch_events = 10;
    sender_fixture_subscribe(&fixture);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(sender_fixture_put(&fixture, 0, 11, 10), ERR_OK);
        cr_assert_eq(sender_fixture_put(&fixture, 1, 9, 5000), ERR_OK);
    }
    chan_drain(fixture.chan);
    sender_fixture_read_events(&fixture, 100);
    cr_assert_null(sender_fixture_read(&fixture));
    cr_assert_eq(client_status(&fixture.client), GRPC_STATUS_OK);
    stats = sender_fixture_wait_closed(&fixture);
    cr_assert_eq(fixture.ended, 1);
    cr_assert_eq(fixture.how, CHAN_DRAINING);
    cr_assert_eq(fixture.lost, 0);
    cr_assert_eq(stats.delivered.events, 100);
}

Test(sender_ends, a_draining_channel_waits_for_the_message_in_flight)
{
    begin(NULL);
    sender_fixture_fill_window(&fixture);
    chan_drain(fixture.chan);
    wire_fixture_wait(&fixture.wire, 50 * NS_PER_MS);
    cr_assert_eq(fixture.ended, 0);
    cr_assert_str_eq(sender_fixture_read(&fixture), "a1");
    cr_assert_null(sender_fixture_read(&fixture));
    cr_assert_eq(client_status(&fixture.client), GRPC_STATUS_OK);
    cr_assert_eq(sender_fixture_wait_closed(&fixture).delivered.events, 1);
}

Test(sender_ends, an_empty_channel_that_drains_ends_at_once)
{
    begin(NULL);
    chan_drain(fixture.chan);
    cr_assert_null(sender_fixture_read(&fixture));
    cr_assert_eq(client_status(&fixture.client), GRPC_STATUS_OK);
    sender_fixture_wait_closed(&fixture);
    cr_assert_eq(fixture.ended, 1);
}

Test(sender_ends, a_channel_that_drains_before_the_sender_begins_ends_too)
{
    sender_fixture_open(&fixture, NULL, 1);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 2, 10), ERR_OK);
    chan_drain(fixture.chan);
    client_open(&fixture.client, &fixture.wire, "/test.Sender/Run");
    cr_assert_str_eq(sender_fixture_read(&fixture), "started; a1-2");
    cr_assert_null(sender_fixture_read(&fixture));
    sender_fixture_wait_closed(&fixture);
    cr_assert_eq(fixture.ended, 1);
}

Test(sender_ends, the_last_message_of_a_draining_channel_has_the_last_progress)
{
    sender_fixture_open(&fixture, NULL, 1);
    fixture.wants_last = true;
    sender_fixture_subscribe(&fixture);
    cr_assert_str_eq(sender_fixture_read(&fixture), "started");
    sender_fixture_wait_sent(&fixture);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 2, 10), ERR_OK);
    cr_assert_str_eq(sender_fixture_read(&fixture), "a1-2");
    sender_fixture_wait_sent(&fixture);
    chan_drain(fixture.chan);
    cr_assert_str_eq(sender_fixture_read(&fixture), "progress 2");
    cr_assert_null(sender_fixture_read(&fixture));
    sender_fixture_wait_closed(&fixture);
    cr_assert_eq(fixture.last_progress, 1, "once");
    cr_assert_eq(fixture.ended, 1);
}

Test(sender_ends, the_message_that_reaches_the_limit_has_the_last_progress)
{
    sender_fixture_open(&fixture, NULL, 1);
    fixture.wants_last = true;
    fixture.settings.limit_events = 3;
    cr_assert_eq(sender_fixture_put(&fixture, 0, 5, 10), ERR_OK);
    client_open(&fixture.client, &fixture.wire, "/test.Sender/Run");
    cr_assert_str_eq(sender_fixture_read(&fixture), "started; a1-3; progress 0");
    cr_assert_null(sender_fixture_read(&fixture));
    sender_fixture_wait_closed(&fixture);
    cr_assert_eq(fixture.last_progress, 1);
}

static const struct chan_limits strict = {
    .max_events = 5, .max_bytes = 1u << 30, .overflow = OVERFLOW_DISCONNECT};

Test(sender_ends, a_broken_channel_ends_without_the_events_that_wait)
{
    struct chan_stats stats;

    begin(&strict);
    sender_fixture_fill_window(&fixture);
    cr_assert_eq(sender_fixture_put(&fixture, 1, 5, 10), ERR_OK);
    cr_assert_eq(chan_state(fixture.chan), CHAN_OPEN);
    cr_assert_eq(sender_fixture_put(&fixture, 1, 1, 10), ERR_OK, "the put that breaks the channel");
    cr_assert_eq(chan_state(fixture.chan), CHAN_BROKEN);
    cr_assert_str_eq(sender_fixture_read(&fixture), "a1", "it was in flight");
    cr_assert_null(sender_fixture_read(&fixture));
    cr_assert_eq(client_status(&fixture.client), GRPC_STATUS_RESOURCE_EXHAUSTED);
    stats = sender_fixture_wait_closed(&fixture);
    cr_assert_eq(fixture.ended, 1);
    cr_assert_eq(fixture.how, CHAN_BROKEN);
    cr_assert_eq(stats.delivered.events, 1);
    cr_assert_eq(stats.queued.events, 5, "chan_close() accounts for them");
    chan_close(fixture.chan, LOSS_CONSUMER_GONE);
}

Test(sender_ends, a_closed_channel_reports_the_events_that_it_dropped)
{
    struct chan_stats stats;

    begin(NULL);
    sender_fixture_fill_window(&fixture);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 3, 10), ERR_OK);
    cr_assert_eq(sender_fixture_put(&fixture, 1, 4, 10), ERR_OK);
    chan_close(fixture.chan, LOSS_DRAIN_CUT);
    cr_assert_str_eq(sender_fixture_read(&fixture), "a1");
    cr_assert_str_eq(sender_fixture_read(&fixture), "lost a 2-4 CUT; lost b 1-4 CUT");
    cr_assert_null(sender_fixture_read(&fixture));
    cr_assert_eq(client_status(&fixture.client), GRPC_STATUS_OK);
    stats = sender_fixture_wait_closed(&fixture);
    cr_assert_eq(fixture.ended, 1);
    cr_assert_eq(fixture.how, CHAN_CLOSED);
    cr_assert_eq(stats.delivered.events, 1);
    cr_assert_eq(stats.dropped[LOSS_DRAIN_CUT].events, 7);
    cr_assert_eq(stats.queued.events, 0);
}

Test(sender_ends, a_channel_that_is_closed_while_it_drains_ends_as_closed)
{
    begin(NULL);
    sender_fixture_fill_window(&fixture);
    cr_assert_eq(sender_fixture_put(&fixture, 1, 4, 10), ERR_OK);
    chan_drain(fixture.chan);
    chan_close(fixture.chan, LOSS_DRAIN_CUT);
    cr_assert_str_eq(sender_fixture_read(&fixture), "a1");
    cr_assert_str_eq(sender_fixture_read(&fixture), "lost b 1-4 CUT");
    cr_assert_null(sender_fixture_read(&fixture));
    sender_fixture_wait_closed(&fixture);
    cr_assert_eq(fixture.how, CHAN_CLOSED);
    cr_assert_eq(fixture.ended, 1);
}

static void act_add_note(void *ctx)
{
    OWNED(buf_fini) struct buf note = {0};

    buf_bytes(&note, ctx, strlen(ctx));
    sender_add_note(fixture.sender, &note);
}

Test(sender_ends, an_end_without_a_reason_is_asked_again_after_the_next_note)
{
    begin(NULL);
    fixture.undecided = true;
    chan_drain(fixture.chan);
    wire_fixture_until(&fixture.wire, fixture.ended == 1);
    wire_fixture_wait(&fixture.wire, 20 * NS_PER_MS);
    cr_assert_eq(fixture.ended, 1, "nothing happened, so ended() is not called again");
    fixture.undecided = false;
    wire_fixture_run(&fixture.wire, act_add_note, (void *)(uintptr_t) "\x2a\x02\x08\x01"); /* closing */
    cr_assert_str_eq(sender_fixture_read(&fixture), "closing");
    cr_assert_null(sender_fixture_read(&fixture));
    sender_fixture_wait_closed(&fixture);
    cr_assert_eq(fixture.ended, 2);
}

Test(sender_ends, events_in_flight_count_as_consumer_gone_when_the_call_is_lost)
{
    struct chan_stats stats;

    begin(NULL);
    sender_fixture_fill_window(&fixture);
    cr_assert_eq(sender_fixture_put(&fixture, 1, 4, 10), ERR_OK);
    client_cancel(&fixture.client);
    stats = sender_fixture_wait_closed(&fixture);
    cr_assert_eq(fixture.lost, 1);
    cr_assert_eq(fixture.ended, 0);
    cr_assert_eq(stats.delivered.events, 0);
    cr_assert_geq(stats.dropped[LOSS_CONSUMER_GONE].bytes, FILLER_BYTES);
    /* The write may complete before the loss of the call is known. Then the next message is sent,
     * too, and is lost as well. */
    cr_assert_eq(stats.queued.events + stats.dropped[LOSS_CONSUMER_GONE].events, 5);
    cr_assert(stats.queued.events == 4 || stats.queued.events == 0, "the sender leaves them in the channel");
    chan_close(fixture.chan, LOSS_CONSUMER_GONE);
    cr_assert_eq(sender_fixture_wait_closed(&fixture).dropped[LOSS_CONSUMER_GONE].events, 5);
}

Test(sender_ends, an_idle_sender_survives_the_loss_of_its_call)
{
    begin(NULL);
    client_cancel(&fixture.client);
    sender_fixture_wait_closed(&fixture);
    cr_assert_eq(fixture.lost, 1);
    cr_assert_eq(fixture.ended, 0);
}

static void act_stop(void *ctx)
{
    (void)ctx;
    sender_stop(fixture.sender);
}

Test(sender_ends, a_stopped_sender_sends_nothing)
{
    struct chan_stats stats;

    begin(NULL);
    wire_fixture_run(&fixture.wire, act_stop, NULL);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 4, 10), ERR_OK);
    chan_drain(fixture.chan);
    wire_fixture_wait(&fixture.wire, 20 * NS_PER_MS);
    chan_stats(fixture.chan, &stats);
    cr_assert_eq(stats.queued.events, 4);
    cr_assert_eq(fixture.ended, 0);
}

Test(sender_ends, events_in_flight_count_as_consumer_gone_when_the_sender_is_stopped)
{
    begin(NULL);
    sender_fixture_fill_window(&fixture);
    wire_fixture_run(&fixture.wire, act_stop, NULL);
    cr_assert_str_eq(sender_fixture_read(&fixture), "a1", "the peer may still get it");
    sender_fixture_wait_sent(&fixture);
    client_cancel(&fixture.client);
    cr_assert_eq(sender_fixture_wait_closed(&fixture).dropped[LOSS_CONSUMER_GONE].events, 1);
}

static void act_finish_and_end(void *ctx)
{
    (void)ctx;
    sender_end(fixture.sender);
    call_finish(fixture.call, NULL);
}

/* Finding 26. */
Test(sender_ends, a_message_in_flight_at_the_end_counts_as_delivered_when_it_was_read)
{
    struct chan_stats stats;

    begin(NULL);
    sender_fixture_fill_window(&fixture);
    cr_assert_eq(sender_fixture_put(&fixture, 1, 4, 10), ERR_OK);
    wire_fixture_run(&fixture.wire, act_finish_and_end, NULL);
    chan_close(fixture.chan, LOSS_CONSUMER_GONE);
    cr_assert(sender_fixture_in_flight(&fixture));
    cr_assert_str_eq(sender_fixture_read(&fixture), "a1");
    cr_assert_null(sender_fixture_read(&fixture));
    cr_assert_eq(client_status(&fixture.client), GRPC_STATUS_OK);
    stats = sender_fixture_wait_closed(&fixture);
    cr_assert_eq(stats.delivered.events, 1);
    cr_assert_eq(stats.dropped[LOSS_CONSUMER_GONE].events, 4);
    cr_assert_eq(fixture.ended, 0);
}

/* Finding 26. The peer had only half a second to read on, and then heard nothing of the loss. */
Test(sender_ends, a_closed_channel_waits_for_the_message_in_flight_to_report_what_it_dropped)
{
    begin(NULL);
    sender_fixture_fill_window(&fixture);
    cr_assert_eq(sender_fixture_put(&fixture, 1, 4, 10), ERR_OK);
    chan_close(fixture.chan, LOSS_DRAIN_CUT);
    wire_fixture_wait(&fixture.wire, 700 * NS_PER_MS);
    cr_assert_eq(fixture.ended, 0);
    cr_assert_str_eq(sender_fixture_read(&fixture), "a1");
    cr_assert_str_eq(sender_fixture_read(&fixture), "lost b 1-4 CUT");
    cr_assert_null(sender_fixture_read(&fixture));
    cr_assert_eq(client_status(&fixture.client), GRPC_STATUS_OK);
    sender_fixture_wait_closed(&fixture);
}

/* Wakes the sender from another thread, while the wire thread waits: the wake comes at this point
 * of the turn. */
static void *wake_once(void *ctx)
{
    sender_wake(ctx);
    return NULL;
}

static void wake_from_another_thread(struct sender *sender)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, wake_once, sender) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static struct post_poll_hook before_decision, after_decision;

static void wake_before(struct post_poll_hook *hook, int64_t now_ns)
{
    (void)hook;
    (void)now_ns;
    wake_from_another_thread(fixture.sender);
}

/* At the end of this turn run, in this order: a wake from another thread, the sender's decision,
 * and `after_decision`. The task of the wake runs in the next turn. */
static void act_wake_within_a_turn(void *ctx)
{
    struct buf nothing = {0};

    (void)ctx;
    before_decision.post_poll = wake_before;
    list_init(&before_decision.link);
    list_init(&after_decision.link);
    cq_add_post_poll_hook(wire_cq(fixture.wire.thread), &before_decision);
    sender_add_note(fixture.sender, &nothing);
    cq_add_post_poll_hook(wire_cq(fixture.wire.thread), &after_decision);
}

static void wake_again(struct post_poll_hook *hook, int64_t now_ns)
{
    (void)hook;
    (void)now_ns;
    wake_from_another_thread(fixture.sender);
    wake_from_another_thread(fixture.sender);
}

static void act_nothing(void *ctx)
{
    (void)ctx;
}

Test(sender_ends, wakes_around_a_decision_post_the_task_once)
{
    begin(NULL);
    after_decision.post_poll = wake_again;
    wire_fixture_run(&fixture.wire, act_wake_within_a_turn, NULL);
    wire_fixture_run(&fixture.wire, act_nothing, NULL);
    cr_assert_eq(sender_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_str_eq(sender_fixture_read(&fixture), "a1");
}

static void free_it(struct post_poll_hook *hook, int64_t now_ns)
{
    struct sender *sender = atomic_exchange(&fixture.sender, NULL);

    (void)hook;
    (void)now_ns;
    sender_stop(sender);
    sender_free(sender);
}

Test(sender_ends, a_sender_is_freed_only_after_its_posted_wake_has_run)
{
    begin(NULL);
    after_decision.post_poll = free_it;
    wire_fixture_run(&fixture.wire, act_wake_within_a_turn, NULL);
    wire_fixture_run(&fixture.wire, act_nothing, NULL);
}

static void act_wake_and_free(void *ctx)
{
    (void)ctx;
    wake_from_another_thread(fixture.sender);
    sender_wake(fixture.sender); /* and from its own thread */
    free_it(NULL, 0);
}

Test(sender_ends, a_sender_can_be_freed_between_its_wake_and_its_decision)
{
    begin(NULL);
    wire_fixture_run(&fixture.wire, act_wake_and_free, NULL);
    wire_fixture_run(&fixture.wire, act_nothing, NULL);
}

static void act_wake_here_and_free(void *ctx)
{
    (void)ctx;
    sender_wake(fixture.sender);
    free_it(NULL, 0);
}

Test(sender_ends, a_sender_can_be_freed_before_its_post_poll_hook_runs)
{
    begin(NULL);
    wire_fixture_run(&fixture.wire, act_wake_here_and_free, NULL);
    wire_fixture_run(&fixture.wire, act_nothing, NULL);
}

/* Wakes the sender all the time, until `waking` is false. */
static _Atomic bool waking;

static void *wake_all_the_time(void *ctx)
{
    while (waking)
        sender_wake(ctx);
    return NULL;
}

Test(sender_ends, a_sender_can_be_freed_right_after_other_threads_woke_it)
{
    sender_fixture_open(&fixture, NULL, 2);
    for (int round = 0; round < 200; round++) {
        pthread_t threads[2];

        if (round > 0)
            client_close(&fixture.client);
        fixture.closed = 0;
        sender_fixture_subscribe(&fixture);
        waking = true;
        for (size_t i = 0; i < ARRAY_LEN(threads); i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, wake_all_the_time, fixture.sender), 0);
        cr_assert_str_eq(sender_fixture_read(&fixture), "started");
        cr_assert_eq(sender_fixture_put(&fixture, 0, 1, 10), ERR_OK);
        sender_fixture_read_events(&fixture, 1);
        waking = false;
        for (size_t i = 0; i < ARRAY_LEN(threads); i++)
            pthread_join(threads[i], NULL);
        client_cancel(&fixture.client);
        wire_fixture_until(&fixture.wire, fixture.closed);
    }
}
