/* test_deliver_ends.c - every ending of a pump: its channel's, its call's, and its own while it is
 * being woken. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "flow/chan_stats.h"
#include "pump_rig.h"

static struct rig rig;

static void close_rig(void)
{
    rig_close(&rig);
}

TestSuite(sender_ends, .fini = close_rig);

/* A call whose Started was read. */
static void begin(const struct chan_limits *limits)
{
    rig_open(&rig, limits, 2);
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started");
    rig_landed(&rig);
}

Test(sender_ends, draining_ends_after_everything_was_delivered)
{
    struct chan_stats stats;

    rig_open(&rig, NULL, 2);
    rig.settings.batch_events = 10;
    rig_subscribe(&rig);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(rig_put(&rig, 0, 11, 10), ERR_OK);
        cr_assert_eq(rig_put(&rig, 1, 9, 5000), ERR_OK);
    }
    chan_drain(rig.chan);
    rig_read_events(&rig, 100);
    cr_assert_null(rig_read(&rig));
    cr_assert_eq(client_status(&rig.client), GRPC_STATUS_OK);
    stats = rig_over(&rig);
    cr_assert_eq(rig.ended, 1);
    cr_assert_eq(rig.how, CHAN_DRAINING);
    cr_assert_eq(rig.lost, 0);
    cr_assert_eq(stats.delivered.events, 100);
}

Test(sender_ends, draining_waits_for_the_message_in_flight)
{
    begin(NULL);
    rig_stuff(&rig);
    chan_drain(rig.chan);
    house_watch(&rig.house, 50 * NS_PER_MS);
    cr_assert_eq(rig.ended, 0);
    cr_assert_str_eq(rig_read(&rig), "a1");
    cr_assert_null(rig_read(&rig));
    cr_assert_eq(client_status(&rig.client), GRPC_STATUS_OK);
    cr_assert_eq(rig_over(&rig).delivered.events, 1);
}

Test(sender_ends, draining_an_empty_channel_ends_at_once)
{
    begin(NULL);
    chan_drain(rig.chan);
    cr_assert_null(rig_read(&rig));
    cr_assert_eq(client_status(&rig.client), GRPC_STATUS_OK);
    rig_over(&rig);
    cr_assert_eq(rig.ended, 1);
}

Test(sender_ends, a_channel_that_drained_before_the_pump_began_ends_too)
{
    rig_open(&rig, NULL, 1);
    cr_assert_eq(rig_put(&rig, 0, 2, 10), ERR_OK);
    chan_drain(rig.chan);
    client_open(&rig.client, &rig.house, "/test.Pump/Run");
    cr_assert_str_eq(rig_read(&rig), "started; a1-2");
    cr_assert_null(rig_read(&rig));
    rig_over(&rig);
    cr_assert_eq(rig.ended, 1);
}

static const struct chan_limits strict = {
    .max_events = 5, .max_bytes = 1u << 30, .overflow = OVERFLOW_DISCONNECT};

Test(sender_ends, a_broken_channel_ends_without_what_waits)
{
    struct chan_stats stats;

    begin(&strict);
    rig_stuff(&rig);
    cr_assert_eq(rig_put(&rig, 1, 5, 10), ERR_OK);
    cr_assert_eq(chan_state(rig.chan), CHAN_OPEN);
    cr_assert_eq(rig_put(&rig, 1, 1, 10), ERR_OK, "the put that breaks it");
    cr_assert_eq(chan_state(rig.chan), CHAN_BROKEN);
    cr_assert_str_eq(rig_read(&rig), "a1", "it was on its way");
    cr_assert_null(rig_read(&rig));
    cr_assert_eq(client_status(&rig.client), GRPC_STATUS_RESOURCE_EXHAUSTED);
    stats = rig_over(&rig);
    cr_assert_eq(rig.ended, 1);
    cr_assert_eq(rig.how, CHAN_BROKEN);
    cr_assert_eq(stats.delivered.events, 1);
    cr_assert_eq(stats.queued.events, 5, "whoever closes the channel accounts for them");
    chan_close(rig.chan, LOSS_CONSUMER_GONE);
}

Test(sender_ends, a_closed_channel_tells_what_it_cut)
{
    struct chan_stats stats;

    begin(NULL);
    rig_stuff(&rig);
    cr_assert_eq(rig_put(&rig, 0, 3, 10), ERR_OK);
    cr_assert_eq(rig_put(&rig, 1, 4, 10), ERR_OK);
    chan_close(rig.chan, LOSS_DRAIN_CUT);
    cr_assert_str_eq(rig_read(&rig), "a1");
    cr_assert_str_eq(rig_read(&rig), "lost a 2-4 CUT; lost b 1-4 CUT");
    cr_assert_null(rig_read(&rig));
    cr_assert_eq(client_status(&rig.client), GRPC_STATUS_OK);
    stats = rig_over(&rig);
    cr_assert_eq(rig.ended, 1);
    cr_assert_eq(rig.how, CHAN_CLOSED);
    cr_assert_eq(stats.delivered.events, 1);
    cr_assert_eq(stats.dropped[LOSS_DRAIN_CUT].events, 7);
    cr_assert_eq(stats.queued.events, 0);
}

Test(sender_ends, draining_then_closed_is_closed)
{
    begin(NULL);
    rig_stuff(&rig);
    cr_assert_eq(rig_put(&rig, 1, 4, 10), ERR_OK);
    chan_drain(rig.chan);
    chan_close(rig.chan, LOSS_DRAIN_CUT);
    cr_assert_str_eq(rig_read(&rig), "a1");
    cr_assert_str_eq(rig_read(&rig), "lost b 1-4 CUT");
    cr_assert_null(rig_read(&rig));
    rig_over(&rig);
    cr_assert_eq(rig.how, CHAN_CLOSED);
    cr_assert_eq(rig.ended, 1);
}

static void act_add_a_block(void *ctx)
{
    OWNED(buf_fini) struct buf block = {0};

    buf_bytes(&block, ctx, strlen(ctx));
    sender_block(rig.sender, &block);
}

Test(sender_ends, an_end_waits_for_its_reason)
{
    begin(NULL);
    rig.undecided = true;
    chan_drain(rig.chan);
    house_until(&rig.house, rig.ended == 1);
    house_watch(&rig.house, 20 * NS_PER_MS);
    cr_assert_eq(rig.ended, 1, "nothing happened: it does not ask again");
    rig.undecided = false;
    house_run(&rig.house, act_add_a_block, (void *)(uintptr_t) "\x2a\x02\x08\x01"); /* closing */
    cr_assert_str_eq(rig_read(&rig), "closing");
    cr_assert_null(rig_read(&rig));
    rig_over(&rig);
    cr_assert_eq(rig.ended, 2);
}

Test(sender_ends, what_was_in_flight_when_the_call_was_lost_counts_as_consumer_gone)
{
    struct chan_stats stats;

    begin(NULL);
    rig_stuff(&rig);
    cr_assert_eq(rig_put(&rig, 1, 4, 10), ERR_OK);
    client_cancel(&rig.client);
    stats = rig_over(&rig);
    cr_assert_eq(rig.lost, 1);
    cr_assert_eq(rig.ended, 0);
    cr_assert_eq(stats.delivered.events, 0);
    cr_assert_geq(stats.dropped[LOSS_CONSUMER_GONE].bytes, STUFFING);
    /* Its tag may land before the call's loss is known: then the next message sets out, too, and is
     * lost as well. */
    cr_assert_eq(stats.queued.events + stats.dropped[LOSS_CONSUMER_GONE].events, 5);
    cr_assert(stats.queued.events == 4 || stats.queued.events == 0, "the channel's owner closes it");
    chan_close(rig.chan, LOSS_CONSUMER_GONE);
    cr_assert_eq(rig_over(&rig).dropped[LOSS_CONSUMER_GONE].events, 5);
}

Test(sender_ends, an_idle_pump_survives_the_loss_of_its_call)
{
    begin(NULL);
    client_cancel(&rig.client);
    rig_over(&rig);
    cr_assert_eq(rig.lost, 1);
    cr_assert_eq(rig.ended, 0);
}

static void act_stop(void *ctx)
{
    (void)ctx;
    sender_stop(rig.sender);
}

Test(sender_ends, a_stopped_pump_sends_nothing)
{
    struct chan_stats stats;

    begin(NULL);
    house_run(&rig.house, act_stop, NULL);
    cr_assert_eq(rig_put(&rig, 0, 4, 10), ERR_OK);
    chan_drain(rig.chan);
    house_watch(&rig.house, 20 * NS_PER_MS);
    chan_stats(rig.chan, &stats);
    cr_assert_eq(stats.queued.events, 4);
    cr_assert_eq(rig.ended, 0);
}

Test(sender_ends, a_pump_that_is_stopped_in_flight_counts_it_as_gone)
{
    begin(NULL);
    rig_stuff(&rig);
    house_run(&rig.house, act_stop, NULL);
    cr_assert_str_eq(rig_read(&rig), "a1", "the peer may get it all the same");
    rig_landed(&rig);
    client_cancel(&rig.client);
    cr_assert_eq(rig_over(&rig).dropped[LOSS_CONSUMER_GONE].events, 1);
}

/* Another thread, and the wire thread waits for it: the wake lands between two moments of one
 * tick. */
static void *wake_once(void *ctx)
{
    sender_wake(ctx);
    return NULL;
}

static void wake_from_elsewhere(struct sender *sender)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, wake_once, sender) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static struct post_poll_hook before_look, after_look;

static void wake_before(struct post_poll_hook *ready, int64_t now_ns)
{
    (void)ready;
    (void)now_ns;
    wake_from_elsewhere(rig.sender);
}

/* At this tick's end: a wake from elsewhere, the pump's look, and then `after_look`. The wake is
 * run in the next tick. */
static void act_wake_within_a_tick(void *ctx)
{
    struct buf nothing = {0};

    (void)ctx;
    before_look.post_poll = wake_before;
    list_init(&before_look.link);
    list_init(&after_look.link);
    wire_post_poll(rig.house.thread, &before_look);
    sender_block(rig.sender, &nothing);
    wire_post_poll(rig.house.thread, &after_look);
}

static void wake_again(struct post_poll_hook *ready, int64_t now_ns)
{
    (void)ready;
    (void)now_ns;
    wake_from_elsewhere(rig.sender);
    wake_from_elsewhere(rig.sender);
}

static void act_nothing(void *ctx)
{
    (void)ctx;
}

Test(sender_ends, a_wake_that_overtakes_a_look_is_posted_once)
{
    begin(NULL);
    after_look.post_poll = wake_again;
    house_run(&rig.house, act_wake_within_a_tick, NULL);
    house_run(&rig.house, act_nothing, NULL);
    cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    cr_assert_str_eq(rig_read(&rig), "a1");
}

static void free_it(struct post_poll_hook *ready, int64_t now_ns)
{
    struct sender *sender = atomic_exchange(&rig.sender, NULL);

    (void)ready;
    (void)now_ns;
    sender_stop(sender);
    sender_free(sender);
}

Test(sender_ends, a_pump_is_not_gone_before_its_wake)
{
    begin(NULL);
    after_look.post_poll = free_it;
    house_run(&rig.house, act_wake_within_a_tick, NULL);
    house_run(&rig.house, act_nothing, NULL);
}

static void act_wake_and_free(void *ctx)
{
    (void)ctx;
    wake_from_elsewhere(rig.sender);
    sender_wake(rig.sender); /* its own thread has noticed something, too */
    free_it(NULL, 0);
}

Test(sender_ends, a_pump_can_be_freed_between_its_wake_and_its_look)
{
    begin(NULL);
    house_run(&rig.house, act_wake_and_free, NULL);
    house_run(&rig.house, act_nothing, NULL);
}

static void act_note_and_free(void *ctx)
{
    (void)ctx;
    sender_wake(rig.sender);
    free_it(NULL, 0);
}

Test(sender_ends, a_pump_can_be_freed_with_a_look_ahead)
{
    begin(NULL);
    house_run(&rig.house, act_note_and_free, NULL);
    house_run(&rig.house, act_nothing, NULL);
}

/* Hammers it with wakes until told to stop. */
static _Atomic bool hammering;

static void *hammer(void *ctx)
{
    while (hammering)
        sender_wake(ctx);
    return NULL;
}

Test(sender_ends, a_pump_that_was_woken_until_just_now_can_be_freed)
{
    rig_open(&rig, NULL, 2);
    for (int round = 0; round < 200; round++) {
        pthread_t threads[2];

        if (round > 0)
            client_close(&rig.client);
        rig.closed = 0;
        rig_subscribe(&rig);
        hammering = true;
        for (size_t i = 0; i < ARRAY_LEN(threads); i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, hammer, rig.sender), 0);
        cr_assert_str_eq(rig_read(&rig), "started");
        cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
        rig_read_events(&rig, 1);
        hammering = false;
        for (size_t i = 0; i < ARRAY_LEN(threads); i++)
            pthread_join(threads[i], NULL);
        client_cancel(&rig.client);
        house_until(&rig.house, rig.closed);
    }
}
