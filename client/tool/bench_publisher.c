/* bench_publisher.c - the loop that publishes. Whatever it does besides tributary_publish() is part
 * of every measurement. Therefore it allocates nothing, and reads the clock once in 16 events, or,
 * with a rate or a window of fewer than 16 events, once for each event. */
#include "client/tool/bench_publisher.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/clock.h"
#include "client/tool/link.h"

#define WAIT_NS (100 * NS_PER_MS) /* the longest wait between two checks for the end */
#define POLL_EVERY 16u            /* events */
#define REFUSED_SHOWN 3u

static void on_refused(void *ctx, const struct tributary_refused *refused)
{
    struct bench_publisher *publisher = ctx;

    atomic_store(&publisher->refused_code, (int)refused->code);
    if (atomic_fetch_add(&publisher->refused_seen, 1) < REFUSED_SHOWN)
        fprintf(stderr, "tributary: publisher %u: events %" PRIu64 " to %" PRIu64 " were refused: %s: %s\n",
                publisher->number, refused->first_event, refused->last_event,
                tributary_code_name(refused->code), refused->message);
}

static void on_confirmed(void *ctx, const struct tributary_confirmed *confirmed)
{
    struct bench_publisher *publisher = ctx;

    bench_acks_confirmed(&publisher->acks, confirmed);
}

static void on_interrupted(void *ctx, const struct tributary_status *status, int64_t retry_ns)
{
    const struct bench_publisher *publisher = ctx;

    char what[48];

    snprintf(what, sizeof(what), "publisher %u: not connected", publisher->number);
    if (!publisher->plan->quiet)
        link_interrupted(what, status, retry_ns);
}

enum tributary_code bench_publisher_open(struct bench_publisher *publisher, struct tributary *client,
                                         const char *name)
{
    const struct bench_plan *plan = publisher->plan;
    const struct tributary_publisher_options options = {.producer = name,
                                                        .wait_timeout_ns = WAIT_NS,
                                                        .confirm = plan->confirm,
                                                        .queue_events = plan->window,
                                                        .batch_events = plan->batch,
                                                        .refused = on_refused,
                                                        .confirmed = plan->window > 0 ? on_confirmed : NULL,
                                                        .interrupted = on_interrupted,
                                                        .ctx = publisher};
    struct tributary_status status = {TRIBUTARY_RESOURCE_EXHAUSTED, "", "out of memory"};

    publisher->client = client;
    publisher->mark =
        (struct mark){.producer = (uint16_t)publisher->number, .host = mark_host(), .run = plan->run};
    publisher->payload = malloc(plan->size);
    if (publisher->payload && (plan->window == 0 || bench_acks_init(&publisher->acks, plan->window))) {
        memset(publisher->payload, '.', plan->size);
        tributary_publisher_new(client, &options, &publisher->publisher, &status);
    }
    if (status.code != TRIBUTARY_OK)
        link_failed("publishing", &status);
    return status.code;
}

uint64_t bench_share(const struct bench_plan *plan, uint32_t number)
{
    if (plan->events == 0)
        return UINT64_MAX;
    return plan->events / plan->publishers + (number < plan->events % plan->publishers ? 1 : 0);
}

/* How many events are due together. */
static uint64_t due_together(const struct bench_plan *plan)
{
    return MAX_OF(plan->batch, 1);
}

/* Publishers publish messages in turn: message i of publisher p is message i * publishers + p of
 * all, and the events of one message are due together. */
int64_t bench_due_ns(const struct bench_publisher *publisher, uint64_t number)
{
    const struct bench_plan *plan = publisher->plan;
    const uint64_t together = due_together(plan);
    const uint64_t message = number / together;
    const double turn = (double)message * plan->publishers + publisher->number;

    return plan->began_ns + (int64_t)(turn * (double)together * 1e9 / (double)plan->rate);
}

static bool is_over(const struct bench_plan *plan, int64_t now_ns)
{
    return atomic_load_explicit(&plan->stopping, memory_order_relaxed) || now_ns >= plan->until_ns;
}

/* Waits until an event is due. False: the end came first. */
static bool wait_until(const struct bench_plan *plan, int64_t due_ns)
{
    int64_t now_ns = clock_mono_ns();

    for (; now_ns < due_ns; now_ns = clock_mono_ns()) {
        const int64_t to_ns = MIN_OF(due_ns, now_ns + WAIT_NS);
        const struct timespec to = {to_ns / NS_PER_S, to_ns % NS_PER_S};

        if (is_over(plan, now_ns))
            return false;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &to, NULL);
    }
    return due_ns < plan->until_ns;
}

/* With a small window publishing waits for confirmations: a time that 16 events share would count
 * the waits of those before. */
static bool reads_clock(const struct bench_plan *plan, uint64_t number)
{
    return number % POLL_EVERY == 0 || (plan->window > 0 && plan->window < POLL_EVERY);
}

/* Writes the mark of the next event, and waits until it is due. False: the end has come. With a
 * rate the mark holds the time at which the event was due, so that our own delay counts as
 * latency. */
static bool prepare(struct bench_publisher *publisher, uint64_t number)
{
    const struct bench_plan *plan = publisher->plan;

    if (reads_clock(plan, number)) {
        publisher->mark.time_ns = clock_mono_ns();
        if (is_over(plan, publisher->mark.time_ns))
            return false;
        atomic_store_explicit(&publisher->published, number, memory_order_relaxed);
    }
    if (plan->rate > 0 && number % due_together(plan) == 0) {
        atomic_store_explicit(&publisher->published, number, memory_order_relaxed);
        publisher->due_ns = bench_due_ns(publisher, number);
        if (!wait_until(plan, publisher->due_ns))
            return false;
    }
    if (plan->rate > 0)
        publisher->mark.time_ns = publisher->due_ns;
    bench_acks_due(&publisher->acks, number, publisher->mark.time_ns);
    publisher->mark.number = number;
    mark_write(publisher->payload, &publisher->mark);
    return true;
}

static bool publish(struct bench_publisher *publisher, const struct tributary_event *event)
{
    enum tributary_code code = tributary_publish(publisher->publisher, event);

    while (code == TRIBUTARY_DEADLINE_EXCEEDED && !is_over(publisher->plan, clock_mono_ns()))
        code = tributary_publish(publisher->publisher, event);
    if (code != TRIBUTARY_OK && code != TRIBUTARY_DEADLINE_EXCEEDED)
        publisher->failed = code;
    return code == TRIBUTARY_OK;
}

static void *run(void *argument)
{
    struct bench_publisher *publisher = argument;
    struct bench_plan *plan = publisher->plan;
    const uint64_t share = bench_share(plan, publisher->number);
    struct tributary_event event = plan->event;
    uint64_t number = 0;

    if (plan->rate > 0)
        prctl(PR_SET_TIMERSLACK, 1UL); /* otherwise each sleep may last 50 us longer */
    event.data = (struct tributary_bytes){publisher->payload, plan->size};
    while (number < share && prepare(publisher, number) && publish(publisher, &event))
        number++;
    publisher->done_ns = clock_mono_ns();
    atomic_store(&publisher->published, number);
    atomic_fetch_sub(&plan->running, 1);
    stop_wake(plan->stop);
    return NULL;
}

bool bench_publisher_start(struct bench_publisher *publisher)
{
    atomic_fetch_add(&publisher->plan->running, 1);
    publisher->started = pthread_create(&publisher->thread, NULL, run, publisher) == 0;
    if (!publisher->started)
        atomic_fetch_sub(&publisher->plan->running, 1);
    return publisher->started;
}

void bench_publisher_join(struct bench_publisher *publisher)
{
    if (publisher->started)
        pthread_join(publisher->thread, NULL);
    publisher->started = false;
}

void bench_publisher_close(struct bench_publisher *publisher)
{
    tributary_publisher_free(publisher->publisher);
    tributary_free(publisher->client);
    free(publisher->payload);
    bench_acks_fini(&publisher->acks);
    *publisher = (struct bench_publisher){.plan = publisher->plan};
}
