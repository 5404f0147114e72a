/* runner_ends.c - how operations end, or are sent again. Client thread. */
#include <stdlib.h>

#include "client/lib/core/bytes.h"
#include "client/lib/core/status.h"
#include "client/lib/processor/runner_state.h"

#define MAX_DELAY_NS NS_PER_S
#define TICK_STEP_NS (10 * NS_PER_MS)

static struct run *run_of(struct list *node)
{
    return container_of(node, struct run, node);
}

/* Under the lock. */
static bool has_space(const struct tributary_runner *runner)
{
    const uint32_t operations = runner->options.max_operations;
    const size_t bytes = runner->options.max_bytes;

    return runner->held < operations && runner->held <= operations - operations / 8 &&
           runner->held_bytes <= bytes - bytes / 8;
}

/* Takes it out of all lists and out of the bounds. */
static void remove_run(struct tributary_runner *runner, struct run *run)
{
    const uint32_t slot = (uint32_t)run->number & (MAX_RUNNER_OPERATIONS - 1);

    pthread_mutex_lock(&runner->lock);
    list_remove(&run->node); /* it may be in `added`, which other threads append to */
    list_remove(&run->cancel);
    CHECK(runner->slots[slot] == run);
    runner->slots[slot] = NULL;
    runner->free_slots[runner->free_count++] = slot;
    runner->held--;
    runner->held_bytes -= run->charge;
    if (runner->space_waiters > 0 && has_space(runner))
        pthread_cond_broadcast(&runner->space);
    pthread_mutex_unlock(&runner->lock);
}

/* Ends it with a result, of which only the attempts are missing. */
static void finish(struct tributary_runner *runner, struct run *run, struct tributary_runner_result *result)
{
    const bool ok = result->status.code == TRIBUTARY_OK;

    remove_run(runner, run);
    result->attempts = run->attempts;
    if (ok)
        runner->ok++;
    else
        runner->failed++;
    if (run->done)
        run->done(run->ctx, result);
    free(run);
}

/* A result without data. `status` is not set. */
static void begin_result(const struct run *run, bool may_have_run, struct tributary_runner_result *result)
{
    result->data = (struct tributary_bytes){NULL, 0};
    result->batch = 0;
    result->may_have_run = may_have_run || run->may_have_run;
}

void runner_end_with(struct tributary_runner *runner, struct run *run, const struct tributary_status *status,
                     bool may_have_run)
{
    SCRATCH struct tributary_runner_result result;

    begin_result(run, may_have_run, &result);
    result.status = *status;
    finish(runner, run, &result);
}

void runner_end(struct tributary_runner *runner, struct run *run, enum run_ending ending)
{
    static const struct {
        enum tributary_code code;
        const char *reason, *message;
    } endings[] = {
        [RUN_ENDED_CANCELLED] = {TRIBUTARY_CANCELLED, "OPERATION_CANCELLED", "the operation was cancelled"},
        [RUN_ENDED_LATE] = {TRIBUTARY_DEADLINE_EXCEEDED, "DEADLINE", "it could not start within its timeout"},
        [RUN_ENDED_LOST] = {TRIBUTARY_UNAVAILABLE, "CONNECTION_LOST",
                            "the connection to the server was lost"},
        [RUN_ENDED_FREED] = {TRIBUTARY_CANCELLED, "", "the runner was freed before it had ended"},
    };
    SCRATCH struct tributary_runner_result result;

    begin_result(run, run->state == RUN_SENT && runner->connected, &result);
    status_set_reason(&result.status, endings[ending].code, endings[ending].reason, endings[ending].message);
    finish(runner, run, &result);
}

static void copy_text(struct bytes text, char *to, size_t capacity)
{
    const size_t size = MIN_OF(text.size, capacity - 1);

    if (size > 0)
        memcpy(to, text.data, size);
    to[size] = '\0';
}

static bool reason_is(const struct answer *answer, const char *reason)
{
    return bytes_same(answer->error.reason, text_bytes(reason));
}

/* Whether it is worth sending it again. */
static bool may_retry(const struct tributary_runner *runner, const struct run *run,
                      const struct answer *answer)
{
    if (answer->error.code != TRIBUTARY_UNAVAILABLE || run->cancelled)
        return false;
    if (answer->error.may_have_run)
        return run->has_id;
    if (reason_is(answer, "WORKER_LOST"))
        return run->has_id || runner->options.retry_refused;
    return runner->options.retry_refused &&
           (reason_is(answer, "NO_WORKER") || reason_is(answer, "DRAINING") ||
            reason_is(answer, "PROCESSOR_STOPPED"));
}

/* Sends it again after a pause, if that is within its deadline. */
static bool delay(struct tributary_runner *runner, struct run *run)
{
    const int64_t pause_ns = client_backoff_ns(runner->client, run->attempts - 1);
    const int64_t at_ns = clock_mono_ns() + MIN_OF(pause_ns, MAX_DELAY_NS);

    if (at_ns >= run->deadline_ns)
        return false;
    list_remove(&run->node);
    list_append(&runner->delayed, &run->node);
    run->state = RUN_DELAYED;
    run->retry_ns = at_ns;
    runner->earliest_ns = MIN_OF(runner->earliest_ns, at_ns);
    return true;
}

/* The operation of this number, if it is sent. */
static struct run *find_sent(struct tributary_runner *runner, uint64_t number)
{
    const uint32_t slot = (uint32_t)number & (MAX_RUNNER_OPERATIONS - 1);
    struct run *run = NULL;

    if (slot >= runner->options.max_operations)
        return NULL;
    pthread_mutex_lock(&runner->lock);
    run = runner->slots[slot];
    if (run && (run->number != number || run->state != RUN_SENT))
        run = NULL;
    pthread_mutex_unlock(&runner->lock);
    return run;
}

void runner_answered(struct tributary_runner *runner, const struct answer *answer)
{
    struct run *run = find_sent(runner, answer->request);
    SCRATCH struct tributary_runner_result result;

    if (!run)
        return;
    if (answer->failed) {
        if (may_retry(runner, run, answer) && delay(runner, run)) {
            run->may_have_run = run->may_have_run || answer->error.may_have_run;
            return;
        }
        begin_result(run, answer->error.may_have_run, &result);
        result.status.code =
            answer->error.code == TRIBUTARY_OK || answer->error.code > TRIBUTARY_UNAUTHENTICATED
                ? TRIBUTARY_UNKNOWN
                : (enum tributary_code)answer->error.code;
        copy_text(answer->error.reason, result.status.reason, sizeof(result.status.reason));
        copy_text(answer->error.message, result.status.message, sizeof(result.status.message));
    } else {
        begin_result(run, false, &result);
        result.may_have_run = false;
        result.status.code = TRIBUTARY_OK;
        result.status.reason[0] = result.status.message[0] = '\0';
        result.data = from_bytes(answer->data);
        result.batch = answer->batch;
    }
    finish(runner, run, &result);
}

void runner_requeue(struct tributary_runner *runner)
{
    const int64_t now_ns = clock_mono_ns();
    struct list again;
    struct list *node = NULL;

    list_init(&again);
    while ((node = list_first(&runner->sent))) {
        struct run *run = run_of(node);
        const bool left = runner->connected; /* otherwise nothing has left */

        if (run->cancelled) {
            runner_end(runner, run, RUN_ENDED_CANCELLED);
        } else if (left && !run->has_id) {
            runner_end(runner, run, RUN_ENDED_LOST);
        } else if (run->deadline_ns <= now_ns) {
            runner_end(runner, run, left ? RUN_ENDED_LOST : RUN_ENDED_LATE);
        } else {
            run->may_have_run = run->may_have_run || left;
            run->state = RUN_QUEUED;
            runner->earliest_ns = MIN_OF(runner->earliest_ns, run->deadline_ns);
            list_remove(&run->node);
            list_append(&again, &run->node);
        }
    }
    list_move_all(&runner->queued, &again);
    list_move_all(&again, &runner->queued);
}

static void end_list(struct tributary_runner *runner, struct list *list,
                     const struct tributary_status *status)
{
    struct list *node = NULL;

    while ((node = list_first(list))) {
        struct run *run = run_of(node);

        if (status)
            runner_end_with(runner, run, status, run->state == RUN_SENT && runner->connected);
        else
            runner_end(runner, run, RUN_ENDED_FREED);
    }
}

void runner_end_all(struct tributary_runner *runner, const struct tributary_status *status)
{
    struct list *const lists[] = {&runner->sent, &runner->queued, &runner->delayed};
    struct list all;

    /* What a done() submits meanwhile is not among them. */
    runner_collect(runner);
    list_init(&all);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        list_move_all(lists[i], &all);
    end_list(runner, &all, status);
}

void runner_tick(struct tributary_runner *runner, int64_t now_ns)
{
    int64_t earliest_ns = INT64_MAX;

    list_each(node, next, &runner->delayed) {
        struct run *run = run_of(node);

        if (run->retry_ns > now_ns) {
            earliest_ns = MIN_OF(earliest_ns, run->retry_ns);
            continue;
        }
        list_remove(node);
        list_append(&runner->queued, node);
        run->state = RUN_QUEUED;
    }
    list_each(node, next, &runner->queued) {
        struct run *run = run_of(node);

        if (run->deadline_ns > now_ns) {
            earliest_ns = MIN_OF(earliest_ns, run->deadline_ns);
            continue;
        }
        runner_end(runner, run, RUN_ENDED_LATE);
    }
    runner->earliest_ns = earliest_ns == INT64_MAX ? INT64_MAX : MAX_OF(earliest_ns, now_ns + TICK_STEP_NS);
}

bool runner_has_late(struct tributary_runner *runner, int64_t now_ns)
{
    bool late = false;

    list_each(node, next, &runner->sent) {
        const int64_t deadline_ns = run_of(node)->deadline_ns;

        late = late || deadline_ns <= now_ns;
        if (deadline_ns > now_ns)
            runner->earliest_ns = MIN_OF(runner->earliest_ns, MAX_OF(deadline_ns, now_ns + TICK_STEP_NS));
    }
    return late;
}

static void handle_cancel(struct tributary_runner *runner, struct run *run)
{
    run->cancelled = true;
    if (run->state == RUN_SENT)
        list_append(&runner->cancelling, &run->cancel);
    else
        runner_end(runner, run, RUN_ENDED_CANCELLED);
}

void runner_collect(struct tributary_runner *runner)
{
    struct list added;
    struct list *node = NULL;

    list_init(&added);
    pthread_mutex_lock(&runner->lock);
    list_move_all(&runner->added, &added);
    runner->idle = false;
    pthread_mutex_unlock(&runner->lock);
    list_each(each, next, &added) {
        run_of(each)->state = RUN_QUEUED;
        runner->earliest_ns = MIN_OF(runner->earliest_ns, run_of(each)->deadline_ns);
    }
    list_move_all(&added, &runner->queued);
    while (true) {
        pthread_mutex_lock(&runner->lock);
        node = list_first(&runner->cancels);
        if (node)
            list_remove(node);
        pthread_mutex_unlock(&runner->lock);
        if (!node)
            break;
        handle_cancel(runner, container_of(node, struct run, cancel));
    }
}

void runner_count(struct tributary_runner *runner)
{
    if (runner->ok + runner->failed + runner->sent_again == 0)
        return;
    pthread_mutex_lock(&runner->lock);
    runner->stats.ok += runner->ok;
    runner->stats.failed += runner->failed;
    runner->stats.sent_again += runner->sent_again;
    if (runner->flush_waiters > 0)
        pthread_cond_broadcast(&runner->changed);
    pthread_mutex_unlock(&runner->lock);
    runner->ok = runner->failed = runner->sent_again = 0;
}
