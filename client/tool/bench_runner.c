/* bench_runner.c - the loop that submits, and what becomes of the operations. */
#include "client/tool/bench_runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/tool/bench_stamp.h"
#include "client/tool/link.h"

#define WAIT_NS (100 * NS_PER_MS) /* the longest wait between two checks for the end */

/* One operation in flight. */
struct sent {
    struct bench_runner *runner;
    int64_t due_ns;
};

/* Client thread. */
static void on_done(void *ctx, const struct tributary_runner_result *result)
{
    struct sent *sent = ctx;
    struct bench_runner *runner = sent->runner;
    const int64_t now_ns = clock_mono_ns();
    const int64_t began_ns = stamp_read(result->data);

    if (result->status.code == TRIBUTARY_OK) {
        histogram_add(&runner->latency, now_ns - sent->due_ns);
        if (began_ns > 0 && runner->plan->window_ns > 0)
            histogram_add(&runner->over_window, now_ns - began_ns - runner->plan->window_ns);
        runner->last_ns = now_ns;
    } else if (runner->failure.code == TRIBUTARY_OK) {
        runner->failure = result->status;
    }
    runner->may_have_run += result->may_have_run;
    atomic_fetch_add_explicit(&runner->ended, 1, memory_order_relaxed);
    free(sent);
}

static void on_interrupted(void *ctx, const struct tributary_status *status, int64_t retry_ns)
{
    const struct bench_runner *runner = ctx;
    char what[48];

    snprintf(what, sizeof(what), "runner %u: not connected", runner->number);
    if (!runner->plan->quiet)
        link_interrupted(what, status, retry_ns);
}

enum tributary_code bench_runner_open(struct bench_runner *runner, struct tributary *client)
{
    const struct runner_plan *plan = runner->plan;
    const struct tributary_runner_options options = {.processor = plan->processor,
                                                     .max_operations = plan->in_flight,
                                                     .max_bytes = SIZE_MAX / 2,
                                                     .make_operation_ids = plan->with_ids,
                                                     .retry_refused = true,
                                                     .interrupted = on_interrupted,
                                                     .ctx = runner};
    struct tributary_status status = {TRIBUTARY_RESOURCE_EXHAUSTED, "", "out of memory"};

    runner->client = client;
    runner->payload = malloc(plan->size);
    if (runner->payload) {
        memset(runner->payload, '.', plan->size);
        tributary_runner_new(client, &options, &runner->runner, &status);
    }
    if (status.code != TRIBUTARY_OK)
        link_failed("running operations", &status);
    return status.code;
}

static uint64_t share_of(const struct runner_plan *plan, uint32_t number)
{
    if (plan->operations == 0)
        return UINT64_MAX;
    return plan->operations / plan->runners + (number < plan->operations % plan->runners ? 1 : 0);
}

static bool is_over(const struct runner_plan *plan, int64_t now_ns)
{
    return atomic_load_explicit(&plan->stopping, memory_order_relaxed) || now_ns >= plan->until_ns;
}

/* When operation `number` of this runner is due; it waits until then. Without a rate, that is now.
 * 0: the end came first. */
static int64_t await_due(const struct bench_runner *runner, uint64_t number)
{
    const struct runner_plan *plan = runner->plan;
    const double turn = (double)number * plan->runners + runner->number;
    const int64_t due_ns = plan->rate > 0 ? plan->began_ns + (int64_t)(turn * 1e9 / (double)plan->rate) : 0;
    int64_t now_ns = clock_mono_ns();

    for (; now_ns < due_ns; now_ns = clock_mono_ns()) {
        const int64_t to_ns = MIN_OF(due_ns, now_ns + WAIT_NS);
        const struct timespec to = {to_ns / NS_PER_S, to_ns % NS_PER_S};

        if (is_over(plan, now_ns))
            return 0;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &to, NULL);
    }
    if (is_over(plan, now_ns))
        return 0;
    return plan->rate > 0 ? due_ns : now_ns;
}

/* Submits an operation; where there is no space, it waits for that. False: the end came first, or
 * it failed. */
static bool submit(struct bench_runner *runner, const struct tributary_runner_operation *operation)
{
    struct tributary_status status;
    enum tributary_code code = tributary_runner_submit(runner->runner, operation, NULL, &status);

    while (code == TRIBUTARY_RESOURCE_EXHAUSTED && !is_over(runner->plan, clock_mono_ns())) {
        tributary_runner_wait(runner->runner, WAIT_NS);
        code = tributary_runner_submit(runner->runner, operation, NULL, &status);
    }
    if (code != TRIBUTARY_OK && code != TRIBUTARY_RESOURCE_EXHAUSTED) {
        runner->failed = code;
        link_failed("submitting", &status);
    }
    return code == TRIBUTARY_OK;
}

/* False: the end. */
static bool submit_next(struct bench_runner *runner, uint64_t number)
{
    const struct runner_plan *plan = runner->plan;
    const int64_t due_ns = await_due(runner, number);
    struct tributary_runner_operation operation = {.done = on_done};
    struct sent *sent = NULL;
    char key[32];
    int key_size = 0;

    if (due_ns == 0 || !(sent = malloc(sizeof(*sent))))
        return false;
    *sent = (struct sent){runner, due_ns};
    stamp_write(runner->payload, due_ns);
    key_size = snprintf(key, sizeof(key), "key-%u",
                        (unsigned)((number * plan->runners + runner->number) % plan->keys));
    operation.key = (struct tributary_bytes){key, (size_t)key_size};
    operation.data = (struct tributary_bytes){runner->payload, plan->size};
    operation.ctx = sent;
    if (submit(runner, &operation))
        return true;
    free(sent);
    return false;
}

static void *run(void *argument)
{
    struct bench_runner *runner = argument;
    struct runner_plan *plan = runner->plan;
    const uint64_t share = share_of(plan, runner->number);
    uint64_t number = 0;

    if (plan->rate > 0)
        prctl(PR_SET_TIMERSLACK, 1UL); /* otherwise each sleep may last 50 us longer */
    while (number < share && submit_next(runner, number))
        atomic_store_explicit(&runner->submitted, ++number, memory_order_relaxed);
    runner->done_ns = clock_mono_ns();
    atomic_fetch_sub(&plan->running, 1);
    stop_wake(plan->stop);
    return NULL;
}

bool bench_runner_start(struct bench_runner *runner)
{
    atomic_fetch_add(&runner->plan->running, 1);
    runner->started = pthread_create(&runner->thread, NULL, run, runner) == 0;
    if (!runner->started)
        atomic_fetch_sub(&runner->plan->running, 1);
    return runner->started;
}

void bench_runner_join(struct bench_runner *runner)
{
    if (runner->started)
        pthread_join(runner->thread, NULL);
    runner->started = false;
}

void bench_runner_add_stats(const struct bench_runner *runner, struct tributary_runner_stats *sum)
{
    struct tributary_runner_stats one;

    tributary_runner_stats(runner->runner, &one);
    sum->submitted += one.submitted;
    sum->ok += one.ok;
    sum->failed += one.failed;
    sum->in_flight += one.in_flight;
    sum->sent_again += one.sent_again;
    sum->messages += one.messages;
    sum->reconnects += one.reconnects;
}

void bench_runner_end(struct bench_runner *runner)
{
    tributary_runner_free(runner->runner);
    runner->runner = NULL;
}

void bench_runner_close(struct bench_runner *runner)
{
    bench_runner_end(runner);
    tributary_free(runner->client);
    free(runner->payload);
    runner->client = NULL;
    runner->payload = NULL;
}
