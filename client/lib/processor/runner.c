/* runner.c - what any thread may call: submit, wait, run, cancel, flush, stats. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/threads.h"
#include "client/lib/core/status.h"
#include "client/lib/processor/runner_state.h"

static enum tributary_code full(struct tributary_status *status, const char *bound, size_t max)
{
    status_format(status, TRIBUTARY_RESOURCE_EXHAUSTED, "%s: %zu are in flight, as many as may be", bound,
                  max);
    if (status)
        strcpy(status->reason, "RUNNER_FULL");
    return TRIBUTARY_RESOURCE_EXHAUSTED;
}

/* Under the lock. */
static enum tributary_code check_space(const struct tributary_runner *runner, size_t charge,
                                       struct tributary_status *status)
{
    const struct tributary_runner_options *options = &runner->options;

    if (runner->is_freed)
        return status_set(status, TRIBUTARY_CANCELLED, "the runner is being freed");
    if (runner->held >= options->max_operations)
        return full(status, "max_operations", options->max_operations);
    if (runner->held > 0 && runner->held_bytes + charge > options->max_bytes)
        return full(status, "max_bytes", options->max_bytes);
    return TRIBUTARY_OK;
}

/* Under the lock. Gives it a number and a slot, which are free. Returns whether the client thread
 * must be woken. */
static bool add(struct tributary_runner *runner, struct run *run)
{
    const uint32_t slot = runner->free_slots[--runner->free_count];

    run->number = ++runner->last_number << RUNNER_SLOT_BITS | slot;
    runner->slots[slot] = run;
    runner->held++;
    runner->held_bytes += run->charge;
    runner->stats.submitted++;
    list_append(&runner->added, &run->node);

    const bool wake = runner->idle || run->deadline_ns < runner->tick_ns;

    runner->idle = false;
    return wake;
}

/* A random id, which is copied into `made`; or that of the operation. False: there is no
 * randomness. */
static bool choose_id(struct tributary_runner *runner, const struct tributary_runner_operation *operation,
                      uint8_t made[RUNNER_ID_BYTES], struct tributary_bytes *id_out)
{
    bool good = true;

    *id_out = operation->operation_id;
    if (id_out->size > 0 || !runner->options.make_operation_ids)
        return true;
    pthread_mutex_lock(&runner->lock);
    if (runner->id_count == 0) {
        good = getrandom(runner->ids, sizeof(runner->ids), 0) == (ssize_t)sizeof(runner->ids);
        runner->id_count = good ? RUNNER_IDS : 0;
    }
    if (good)
        memcpy(made, runner->ids[--runner->id_count], RUNNER_ID_BYTES);
    pthread_mutex_unlock(&runner->lock);
    *id_out = (struct tributary_bytes){made, RUNNER_ID_BYTES};
    return good;
}

static int64_t deadline_ns(const struct tributary_runner *runner, int64_t timeout_ns)
{
    const int64_t chosen_ns = timeout_ns == 0 ? runner->options.timeout_ns : timeout_ns;

    return chosen_ns < 0 ? INT64_MAX : clock_from_now_ns(chosen_ns);
}

enum tributary_code tributary_runner_submit(struct tributary_runner *runner,
                                            const struct tributary_runner_operation *operation,
                                            uint64_t *number_out, struct tributary_status *status)
{
    const char *fault = run_fault(operation);
    enum tributary_code code = TRIBUTARY_OK;
    struct tributary_bytes id;
    uint8_t made[RUNNER_ID_BYTES];
    struct run *run = NULL;
    bool wake = false;

    if (fault)
        return status_set(status, TRIBUTARY_INVALID_ARGUMENT, fault);
    if (!choose_id(runner, operation, made, &id))
        return status_set(status, TRIBUTARY_INTERNAL, "the system has no random bytes");
    run = run_new(runner->options.processor, operation, id);
    if (!run)
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "out of memory");
    run->deadline_ns = deadline_ns(runner, operation->timeout_ns);
    pthread_mutex_lock(&runner->lock);
    code = check_space(runner, run->charge, status);
    if (code == TRIBUTARY_OK) {
        wake = add(runner, run);
        if (number_out)
            *number_out = run->number;
    }
    pthread_mutex_unlock(&runner->lock);
    if (code != TRIBUTARY_OK) {
        free(run);
        return code;
    }
    if (wake)
        client_post(runner->client, &runner->work);
    return status_set(status, TRIBUTARY_OK, "");
}

/* Under the lock. The counterpart of has_space() in runner_ends.c: an eighth is free, and `charge`
 * bytes are. */
static bool is_full(const struct tributary_runner *runner, size_t charge)
{
    const uint32_t operations = runner->options.max_operations;
    const size_t bytes = runner->options.max_bytes;

    return runner->held > 0 &&
           (runner->held >= operations || runner->held > operations - operations / 8 ||
            runner->held_bytes > bytes - bytes / 8 || runner->held_bytes + charge > bytes);
}

static enum tributary_code wait_until(struct tributary_runner *runner, size_t charge, int64_t until_ns)
{
    bool in_time = true;

    if (on_client_thread(runner->client))
        return TRIBUTARY_FAILED_PRECONDITION;
    pthread_mutex_lock(&runner->lock);
    runner->space_waiters++;
    while (in_time && is_full(runner, charge))
        in_time = cond_wait_until(&runner->space, &runner->lock, until_ns);
    runner->space_waiters--;
    in_time = !is_full(runner, charge);
    pthread_mutex_unlock(&runner->lock);
    return in_time ? TRIBUTARY_OK : TRIBUTARY_DEADLINE_EXCEEDED;
}

enum tributary_code tributary_runner_wait(struct tributary_runner *runner, int64_t timeout_ns)
{
    return wait_until(runner, 0, clock_from_now_ns(timeout_ns));
}

/* On the stack of who waits for an operation. */
struct outcome {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done; /* under lock */
    struct tributary_runner_result *result;
};

static void on_done(void *ctx, const struct tributary_runner_result *result)
{
    struct outcome *outcome = ctx;
    struct tributary_runner_result *copy = outcome->result;
    void *data = result->data.size > 0 ? malloc(result->data.size) : NULL;

    pthread_mutex_lock(&outcome->lock);
    *copy = *result;
    copy->data = (struct tributary_bytes){NULL, 0};
    if (data) {
        memcpy(data, result->data.data, result->data.size);
        copy->data = (struct tributary_bytes){data, result->data.size};
    } else if (result->data.size > 0) {
        status_set(&copy->status, TRIBUTARY_RESOURCE_EXHAUSTED,
                   "it is saved, but there is no memory for its result");
    }
    outcome->done = true;
    pthread_cond_signal(&outcome->changed);
    pthread_mutex_unlock(&outcome->lock); /* `outcome` may be gone from here on */
}

/* Submits it; while there is no space, it waits for that. */
static enum tributary_code submit_in_time(struct tributary_runner *runner,
                                          const struct tributary_runner_operation *operation,
                                          struct tributary_status *status)
{
    const int64_t until_ns = deadline_ns(runner, operation->timeout_ns);
    struct tributary_runner_operation left = *operation;
    const size_t charge =
        operation->key.size + MAX_OF(operation->operation_id.size, RUNNER_ID_BYTES) + operation->data.size;

    while (tributary_runner_submit(runner, &left, NULL, status) == TRIBUTARY_RESOURCE_EXHAUSTED &&
           strcmp(status->reason, "RUNNER_FULL") == 0) {
        if (wait_until(runner, charge, until_ns) != TRIBUTARY_OK)
            return status_set(status, TRIBUTARY_DEADLINE_EXCEEDED,
                              "the runner had no space for it within its timeout");
        if (until_ns != INT64_MAX)
            left.timeout_ns = MAX_OF(until_ns - clock_mono_ns(), 1);
    }
    return status->code;
}

enum tributary_code tributary_runner_run(struct tributary_runner *runner,
                                         const struct tributary_runner_operation *operation,
                                         struct tributary_runner_result *result_out)
{
    struct tributary_runner_operation waited = *operation;
    SCRATCH struct tributary_runner_result result;
    struct outcome outcome = {.result = &result};

    memset(&result, 0, sizeof(result));
    if (on_client_thread(runner->client)) {
        status_set(&result.status, TRIBUTARY_FAILED_PRECONDITION, "a callback must not wait");
    } else {
        waited.done = on_done;
        waited.ctx = &outcome;
        CHECK(pthread_mutex_init(&outcome.lock, NULL) == 0);
        cond_init(&outcome.changed);
        if (submit_in_time(runner, &waited, &result.status) == TRIBUTARY_OK) {
            pthread_mutex_lock(&outcome.lock);
            while (!outcome.done)
                cond_wait_until(&outcome.changed, &outcome.lock, INT64_MAX);
            pthread_mutex_unlock(&outcome.lock);
        }
        pthread_cond_destroy(&outcome.changed);
        pthread_mutex_destroy(&outcome.lock);
    }
    *result_out = result;
    return result.status.code;
}

void tributary_runner_result_free(struct tributary_runner_result *result)
{
    free((void *)(uintptr_t)result->data.data);
    result->data = (struct tributary_bytes){NULL, 0};
}

void tributary_runner_cancel(struct tributary_runner *runner, uint64_t number)
{
    const uint32_t slot = (uint32_t)number & (MAX_RUNNER_OPERATIONS - 1);
    struct run *run = NULL;

    if (slot >= runner->options.max_operations)
        return;
    pthread_mutex_lock(&runner->lock);
    run = runner->slots[slot];
    if (run && (run->number != number || run->cancel_asked))
        run = NULL;
    if (run) {
        run->cancel_asked = true;
        list_append(&runner->cancels, &run->cancel);
    }
    pthread_mutex_unlock(&runner->lock);
    if (run)
        client_post(runner->client, &runner->work);
}

/* Under the lock. Whether one of the first `last` operations holds a slot. The slots before
 * `*slot_inout` hold none of them, and never will: the search goes on there. */
static bool holds_first(const struct tributary_runner *runner, uint64_t last, uint32_t *slot_inout)
{
    for (; *slot_inout < runner->options.max_operations; ++*slot_inout) {
        const struct run *run = runner->slots[*slot_inout];

        if (run && run->number >> RUNNER_SLOT_BITS <= last)
            return true;
    }
    return false;
}

enum tributary_code tributary_runner_flush(struct tributary_runner *runner, int64_t timeout_ns)
{
    const int64_t until_ns = clock_from_now_ns(timeout_ns);
    const struct tributary_runner_stats *stats = &runner->stats;
    uint64_t last = 0, goal = 0;
    uint32_t slot = 0;
    bool in_time = true;

    if (on_client_thread(runner->client))
        return TRIBUTARY_FAILED_PRECONDITION;
    pthread_mutex_lock(&runner->lock);
    last = runner->last_number;
    runner->flush_waiters++;
    while (in_time && holds_first(runner, last, &slot))
        in_time = cond_wait_until(&runner->changed, &runner->lock, until_ns);
    /* done() follows after the slot is free, and the count after done(). */
    goal = stats->submitted - runner->held;
    while (in_time && stats->ok + stats->failed < goal)
        in_time = cond_wait_until(&runner->changed, &runner->lock, until_ns);
    runner->flush_waiters--;
    in_time = !holds_first(runner, last, &slot) && stats->ok + stats->failed >= goal;
    pthread_mutex_unlock(&runner->lock);
    return in_time ? TRIBUTARY_OK : TRIBUTARY_DEADLINE_EXCEEDED;
}

void tributary_runner_stats(struct tributary_runner *runner, struct tributary_runner_stats *stats_out)
{
    pthread_mutex_lock(&runner->lock);
    *stats_out = runner->stats;
    stats_out->in_flight = (uint32_t)(runner->stats.submitted - runner->stats.ok - runner->stats.failed);
    pthread_mutex_unlock(&runner->lock);
}
