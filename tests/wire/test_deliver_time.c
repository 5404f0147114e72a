/* test_deliver_time.c - the pump and the clock: heartbeats, progress, linger, and a peer that does
 * not read. */
#include <stdio.h>
#include <string.h>

#include "flow/chan_stats.h"
#include "flow/put_waiter.h"
#include "lib/chunks.h"
#include "pump_rig.h"

static struct rig rig;

static void close_rig(void)
{
    rig_close(&rig);
}

TestSuite(sender_time, .fini = close_rig);

Test(sender_time, an_idle_pump_sends_heartbeats)
{
    int64_t began_ns = clock_mono_ns();

    rig_open(&rig, NULL, 1);
    rig.settings.heartbeat_ns = 50 * NS_PER_MS;
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started");
    for (int i = 0; i < 4; i++)
        cr_assert_str_eq(rig_read(&rig), "progress 0");
    cr_assert_geq(clock_mono_ns() - began_ns, 200 * NS_PER_MS);
    cr_assert_lt(clock_mono_ns() - began_ns, 10 * NS_PER_S);
}

Test(sender_time, what_is_sent_puts_the_heartbeat_off)
{
    int64_t sent_ns = 0;

    rig_open(&rig, NULL, 1);
    rig.settings.heartbeat_ns = NS_PER_S;
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started");
    for (int i = 0; i < 8; i++) {
        house_watch(&rig.house, 20 * NS_PER_MS);
        sent_ns = clock_mono_ns();
        cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
        cr_assert_not_null(strstr(rig_read(&rig), "a"));
    }
    cr_assert_str_eq(rig_read(&rig), "progress 8");
    cr_assert_geq(clock_mono_ns() - sent_ns, NS_PER_S);
}

Test(sender_time, without_heartbeats_an_idle_pump_is_silent)
{
    rig_open(&rig, NULL, 1);
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started");
    house_watch(&rig.house, 100 * NS_PER_MS);
    cr_assert_eq(rig.progress, 0);
    cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    cr_assert_str_eq(rig_read(&rig), "a1");
}

Test(sender_time, progress_follows_what_moved_once)
{
    int64_t began_ns = clock_mono_ns();

    rig_open(&rig, NULL, 1);
    rig.settings.progress_ns = NS_PER_S;
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started");
    cr_assert_eq(rig_put(&rig, 0, 3, 10), ERR_OK);
    cr_assert_str_eq(rig_read(&rig), "a1-3");
    cr_assert_str_eq(rig_read(&rig), "progress 3");
    cr_assert_geq(clock_mono_ns() - began_ns, NS_PER_S);
    house_watch(&rig.house, 1200 * NS_PER_MS);
    cr_assert_eq(rig.progress, 1, "nothing moved since");
    cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    cr_assert_str_eq(rig_read(&rig), "a4; progress 3",
                     "it is due, so it comes along; a4 is not delivered yet");
}

/* Keeps the wire thread busy until told to stop; `posted`: the task is still the thread's. */
static struct task burning;
static _Atomic bool burns, posted, busy;

static void burn(struct task *task)
{
    for (int64_t until_ns = clock_mono_ns() + NS_PER_MS / 5; clock_mono_ns() < until_ns;)
        continue;
    busy = wire_busy(rig.house.thread);
    if (burns)
        wire_post(rig.house.thread, task);
    else
        posted = false;
}

static void make_busy(void)
{
    burns = posted = true;
    busy = false;
    burning.run = burn;
    wire_post(rig.house.thread, &burning);
    house_until(&rig.house, busy);
}

static void stop_burning(void)
{
    burns = false;
    house_until(&rig.house, !posted);
}

static void begin_with_linger(int64_t linger_ns, uint32_t batch_events)
{
    rig_open(&rig, NULL, 1);
    rig.settings.linger_ns = linger_ns;
    rig.settings.batch_events = batch_events;
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started");
}

Test(sender_time, an_idle_thread_does_not_linger)
{
    int64_t began_ns;

    begin_with_linger(3600 * NS_PER_S, 1000);
    began_ns = clock_mono_ns();
    for (int i = 1; i <= 10; i++) {
        cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
        cr_assert_not_null(rig_read(&rig));
    }
    cr_assert_lt(clock_mono_ns() - began_ns, DEADLINE_NS);
}

/* A machine with other things to do may take the thread's processor away: then the thread is not
 * busy, and need not gather. */
Test(sender_time, a_busy_thread_gathers)
{
    bool gathered = false;

    begin_with_linger(100 * NS_PER_MS, 1000);
    for (int attempt = 0; !gathered; attempt++) {
        int64_t put_ns;
        cr_assert_lt(attempt, 50);
        make_busy();
        put_ns = clock_mono_ns();
        for (int i = 1; i <= 10; i++)
            cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
        cr_assert_not_null(rig_read(&rig));
        gathered = rig.events == 10 && clock_mono_ns() - put_ns >= 100 * NS_PER_MS;
        stop_burning();
        if (rig.events < 10)
            rig_read_events(&rig, 10 - rig.events);
    }
}

/* A heartbeat and a Progress that fall due while it lingers may not make the thread turn around its
 * timers. */
/* A heartbeat and a Progress that fall due while it lingers may not make the thread turn around its
 * timers: it would never end. */
Test(sender_time, what_falls_due_meanwhile_waits_for_the_linger)
{
    bool lingered = false;

    rig_open(&rig, NULL, 1);
    rig.settings.linger_ns = 300 * NS_PER_MS;
    rig.settings.heartbeat_ns = 50 * NS_PER_MS;
    rig.settings.progress_ns = 50 * NS_PER_MS;
    rig_subscribe(&rig);
    for (int attempt = 0; !lingered; attempt++) {
        int64_t put_ns;
        cr_assert_lt(attempt, 50);
        make_busy();
        put_ns = clock_mono_ns();
        cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
        do {
            cr_assert_not_null(rig_read(&rig));
        } while (rig.events == 0);
        lingered = clock_mono_ns() - put_ns >= 300 * NS_PER_MS;
        stop_burning();
    }
}

Test(sender_time, a_full_batch_does_not_wait)
{
    begin_with_linger(3600 * NS_PER_S, 10);
    make_busy();
    cr_assert_eq(rig_put(&rig, 0, 10, 10), ERR_OK);
    cr_assert_str_eq(rig_read(&rig), "a1-10");
    stop_burning();
}

Test(sender_time, an_end_does_not_linger)
{
    begin_with_linger(3600 * NS_PER_S, 1000);
    make_busy();
    cr_assert_eq(rig_put(&rig, 0, 3, 10), ERR_OK);
    chan_drain(rig.chan);
    cr_assert_str_eq(rig_read(&rig), "a1-3");
    cr_assert_null(rig_read(&rig));
    stop_burning();
}

Test(sender_time, who_does_not_read_in_time_is_cut)
{
    char said[600];
    int64_t began_ns;
    struct chan_stats stats;

    rig_open(&rig, NULL, 1);
    rig.settings.write_timeout_ns = NS_PER_S;
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started");
    began_ns = clock_mono_ns();
    rig_stuff(&rig);
    cr_assert_eq(rig_put(&rig, 0, 2, 10), ERR_OK);
    stats = rig_over(&rig);
    cr_assert_geq(clock_mono_ns() - began_ns, NS_PER_S);
    cr_assert_lt(clock_mono_ns() - began_ns, 10 * NS_PER_S);
    cr_assert_eq(rig.lost, 1);
    cr_assert_eq(rig.ended, 0);
    cr_assert_eq(stats.dropped[LOSS_CONSUMER_GONE].events, 1);
    cr_assert_eq(client_end(&rig.client), GRPC_STATUS_RESOURCE_EXHAUSTED);
    client_said(&rig.client, said, sizeof(said));
    cr_assert(strstr(said, fault_text(FAULT_NOT_READING)), "%s", said);
    cr_assert(strstr(said, "1000"), "%s", said);
}

Test(sender_time, who_reads_slowly_but_in_time_is_not_cut)
{
    rig_open(&rig, NULL, 1);
    rig.settings.write_timeout_ns = 2 * NS_PER_S;
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started");
    for (int i = 0; i < 3; i++) {
        rig_stuff(&rig);
        house_watch(&rig.house, 100 * NS_PER_MS);
        cr_assert_not_null(rig_read(&rig));
    }
    cr_assert_eq(rig.lost, 0);
}

static _Atomic int overs;

static void over(struct put_waiter *waiter)
{
    (void)waiter;
    overs++;
}

/* The pump waits for its peer, and keeps the channel's time all the same. */
Test(sender_time, a_stall_lasts_its_time_while_a_message_is_in_flight)
{
    static const struct chan_limits two = {.max_events = 2,
                                           .max_bytes = 1u << 30,
                                           .overflow = OVERFLOW_BLOCK,
                                           .fallback = OVERFLOW_DROP_NEWEST,
                                           .block_timeout_ns = 500 * NS_PER_MS};
    struct put_waiter waiter = {.over = over};
    int64_t began_ns;

    rig_open(&rig, &two, 1);
    rig_subscribe(&rig);
    cr_assert_str_eq(rig_read(&rig), "started");
    rig_stuff(&rig);
    OWNED(chunk_release) struct chunk *chunk = rig_chunk(&rig, 0, 5, 10);
    began_ns = clock_mono_ns();
    put_waiter_begin(&waiter);
    cr_assert_eq(chan_put(rig.chan, rig.feeds[0], chunk, 0, 5, &waiter), ERR_AGAIN);
    cr_assert_eq(put_waiter_end(&waiter), ERR_AGAIN);
    house_until(&rig.house, overs == 1);
    cr_assert_geq(clock_mono_ns() - began_ns, 500 * NS_PER_MS);
    cr_assert_str_eq(rig_read(&rig), "a1");
    cr_assert_str_eq(rig_read(&rig), "lost a 4-6 TIMEOUT; a2-3");
}
