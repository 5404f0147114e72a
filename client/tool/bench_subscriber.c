/* bench_subscriber.c - the callbacks of a subscriber, all on the client thread. What they do is
 * part of every measurement. Therefore they read the clock once for each message and once in 64
 * events, and write the members that other threads read once for each message. */
#include "client/tool/bench_subscriber.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "client/tool/bench_report.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"

#define CLOCK_EVERY 64u /* events of a message */

static void done(struct bench_subscriber *subscriber)
{
    if (subscriber->is_done)
        return;
    subscriber->is_done = true;
    atomic_fetch_add(&subscriber->group->done, 1);
    stop_wake(subscriber->group->stop);
}

static void check_goal(struct bench_subscriber *subscriber)
{
    const struct check_stats *stats = &subscriber->check.stats;
    const uint64_t goal = subscriber->group->goal;

    if (goal > 0 && stats->events + stats->lost >= goal)
        done(subscriber);
}

static void on_started(void *ctx, const struct tributary_started *started)
{
    struct bench_subscriber *subscriber = ctx;

    (void)started;
    if (subscriber->has_started)
        return;
    subscriber->has_started = true;
    subscriber->check.since_wall_ns = clock_wall_ns();
    atomic_fetch_add(&subscriber->group->started, 1);
    stop_wake(subscriber->group->stop);
}

static void read_clock(struct bench_subscriber *subscriber)
{
    subscriber->now_ns = clock_mono_ns();
    if (subscriber->first_ns != 0)
        return;
    subscriber->first_ns = subscriber->now_ns;
    if (!atomic_exchange(&subscriber->group->begun, true))
        subscriber->group->cpu_began_ns = report_cpu_ns();
}

static void on_event(void *ctx, const struct tributary_delivery *delivery)
{
    struct bench_subscriber *subscriber = ctx;

    if (subscriber->is_done)
        return;
    if (subscriber->in_message++ % CLOCK_EVERY == 0)
        read_clock(subscriber);
    check_event(&subscriber->check, delivery, subscriber->now_ns);
    check_goal(subscriber);
}

static void on_lost(void *ctx, const struct tributary_lost *lost)
{
    struct bench_subscriber *subscriber = ctx;

    if (subscriber->is_done)
        return;
    if (subscriber->check.stats.lost == 0 && !subscriber->group->quiet)
        fprintf(stderr,
                "tributary: subscriber %u: lost %" PRIu64 " events: %s (further losses are only counted)\n",
                subscriber->number, lost->count, tributary_loss_name(lost->reason));
    check_lost(&subscriber->check, lost);
    check_goal(subscriber);
}

static void on_applied(void *ctx)
{
    struct bench_subscriber *subscriber = ctx;
    const struct check_stats *stats = &subscriber->check.stats;

    atomic_store_explicit(&subscriber->faults,
                          stats->lost + stats->holes + stats->sequence_holes + stats->disorder,
                          memory_order_relaxed);
    if (subscriber->in_message == 0)
        return;
    subscriber->messages++;
    subscriber->in_message = 0;
    subscriber->last_ns = subscriber->now_ns;
    atomic_store_explicit(&subscriber->events, stats->events, memory_order_relaxed);
    atomic_store_explicit(&subscriber->bytes, stats->bytes, memory_order_relaxed);
}

static void on_interrupted(void *ctx, const struct tributary_status *status, int64_t retry_ns)
{
    struct bench_subscriber *subscriber = ctx;
    char what[56];

    snprintf(what, sizeof(what), "subscriber %u: the stream was lost", subscriber->number);
    atomic_fetch_add(&subscriber->reconnects, 1);
    if (!subscriber->group->quiet)
        link_interrupted(what, status, retry_ns);
}

static bool has_failed(const struct bench_subscriber *subscriber)
{
    return subscriber->status.code != TRIBUTARY_OK && subscriber->status.code != TRIBUTARY_CANCELLED;
}

static void on_ended(void *ctx, const struct tributary_status *status)
{
    struct bench_subscriber *subscriber = ctx;

    subscriber->status = *status;
    if (has_failed(subscriber))
        atomic_fetch_add(&subscriber->group->failed, 1);
    done(subscriber);
}

enum tributary_code bench_subscriber_open(struct bench_subscriber *subscriber, struct tributary *client,
                                          const struct tributary_subscriber_options *options)
{
    const struct tributary_subscriber_callbacks callbacks = {
        .started = on_started,
        .event = on_event,
        .lost = on_lost,
        .applied = on_applied,
        .interrupted = on_interrupted,
        .ended = on_ended,
        .ctx = subscriber,
    };
    struct tributary_status status;

    subscriber->client = client;
    check_init(&subscriber->check);
    if (tributary_subscribe(client, options, &callbacks, &subscriber->subscriber, &status) != TRIBUTARY_OK)
        link_failed("subscribing", &status);
    return status.code;
}

void bench_subscriber_end(struct bench_subscriber *subscriber)
{
    tributary_subscriber_free(subscriber->subscriber);
    subscriber->subscriber = NULL;
}

void bench_subscriber_close(struct bench_subscriber *subscriber)
{
    bench_subscriber_end(subscriber);
    tributary_free(subscriber->client);
    subscriber->client = NULL;
    if (subscriber->group)
        check_fini(&subscriber->check);
}

bool bench_group_wait(struct bench_group *group)
{
    const int64_t until_ns = clock_mono_ns() + BENCH_START_NS;

    while (atomic_load(&group->started) < group->count) {
        const int64_t left_ns = until_ns - clock_mono_ns();

        if (left_ns <= 0 || atomic_load(&group->failed) > 0 || stop_requested(group->stop))
            return false;
        stop_wait(group->stop, -1, left_ns);
    }
    return true;
}

int bench_group_verdict(const struct bench_group *group, const struct bench_subscriber *subscribers)
{
    const uint32_t started = atomic_load(&group->started);

    for (uint32_t i = 0; i < group->count; i++) {
        if (has_failed(&subscribers[i]))
            return link_failed("the stream ended", &subscribers[i].status);
    }
    if (started == group->count || group->stop->signals > 0)
        return EXITS_OK;
    fprintf(stderr, "tributary: only %u of %u subscribers could subscribe within %" PRId64 " s\n", started,
            group->count, BENCH_START_NS / NS_PER_S);
    return EXITS_UNAVAILABLE;
}
