/* batch_fixture.c - see batch_fixture.h. */
#include "unit/client_batch/batch_fixture.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

int64_t fixture_now_ns(void)
{
    return clock_mono_ns();
}

void fixture_rest(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

static void wait_until(int64_t at_ns)
{
    const struct timespec at = {.tv_sec = at_ns / NS_PER_S, .tv_nsec = at_ns % NS_PER_S};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL))
        continue;
}

static void gate_init(struct gate *gate)
{
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->changed, NULL);
}

static void gate_pass(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->waiting++;
    pthread_cond_broadcast(&gate->changed);
    while (gate->closed)
        pthread_cond_wait(&gate->changed, &gate->lock);
    gate->waiting--;
    pthread_mutex_unlock(&gate->lock);
}

void gate_close(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->closed = true;
    pthread_mutex_unlock(&gate->lock);
}

void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->closed = false;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

void gate_await(struct gate *gate, unsigned count)
{
    pthread_mutex_lock(&gate->lock);
    while (gate->waiting < count)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static void enter(struct batch_fixture *fixture, unsigned key)
{
    if (atomic_fetch_add(&fixture->running[key], 1) > 0)
        atomic_store(&fixture->overlap, true);
}

static void leave(struct batch_fixture *fixture, unsigned key)
{
    atomic_fetch_sub(&fixture->running[key], 1);
}

static unsigned key_of(const struct tributary_batch_call *call)
{
    char name[8] = {0};

    cr_assert_lt(call->key.size, sizeof(name));
    memcpy(name, call->key.data, call->key.size);
    return (unsigned)strtoul(name, NULL, 10);
}

/* Whether this attempt fails. */
static bool fails(_Atomic int *failures)
{
    int left = atomic_load(failures);

    while (left > 0 && !atomic_compare_exchange_weak(failures, &left, left - 1))
        continue;
    return left != 0;
}

static enum tributary_code load(void *ctx, const struct tributary_batch_call *call, void **resource_out,
                                struct tributary_status *status)
{
    struct batch_fixture *fixture = ctx;
    const unsigned key = key_of(call);
    enum tributary_code code = TRIBUTARY_OK;

    enter(fixture, key);
    atomic_fetch_add(&fixture->loads, 1);
    atomic_store(&fixture->deadline_of_load_ns, call->deadline_ns);
    gate_pass(&fixture->load_gate);
    if (fixture->load_wait_ns > 0)
        wait_until(clock_from_now_ns(fixture->load_wait_ns));
    if (fails(&fixture->load_failures)) {
        if (fixture->until_deadline)
            wait_until(call->deadline_ns);
        code = atomic_load(&fixture->load_code);
        snprintf(status->message, sizeof(status->message), "the disk is gone");
    } else {
        struct balance *balance = malloc(sizeof(*balance));

        *balance = (struct balance){key, fixture->stored[key]};
        *resource_out = balance;
    }
    leave(fixture, key);
    return code;
}

static enum tributary_code save(void *ctx, const struct tributary_batch_call *call, void *resource,
                                struct tributary_status *status)
{
    struct batch_fixture *fixture = ctx;
    const unsigned key = key_of(call);
    enum tributary_code code = TRIBUTARY_OK;

    enter(fixture, key);
    atomic_fetch_add(&fixture->saves, 1);
    atomic_store(&fixture->deadline_of_save_ns, call->deadline_ns);
    gate_pass(&fixture->save_gate);
    if (fixture->save_wait_ns > 0)
        wait_until(clock_from_now_ns(fixture->save_wait_ns));
    if (fails(&fixture->save_failures)) {
        if (fixture->until_deadline)
            wait_until(call->deadline_ns);
        code = atomic_load(&fixture->save_code);
        snprintf(status->message, sizeof(status->message), "the disk is full");
    } else if (resource) {
        fixture->stored[key] = ((struct balance *)resource)->value;
    }
    leave(fixture, key);
    return code;
}

static void free_balance(void *ctx, void *resource)
{
    struct batch_fixture *fixture = ctx;

    const bool loaded = !fixture->options.resource_bytes; /* else its key is not known */
    const unsigned key = loaded ? ((struct balance *)resource)->key : 0;

    atomic_fetch_add(&fixture->frees, 1);
    if (!loaded)
        return;
    enter(fixture, key);
    if (key == 0)
        gate_pass(&fixture->free_gate);
    free(resource);
    leave(fixture, key);
}

void batch_fixture_open(struct batch_fixture *fixture)
{
    struct tributary_batch_options *options = &fixture->options;
    struct tributary_status status;

    gate_init(&fixture->load_gate);
    gate_init(&fixture->save_gate);
    gate_init(&fixture->free_gate);
    gate_init(&fixture->run_gate);
    gate_init(&fixture->done_gate);
    if (!options->resource_bytes)
        options->load = load;
    options->save = save;
    options->free = free_balance;
    options->ctx = fixture;
    cr_assert_eq(tributary_batch_new(options, &fixture->batch, &status), TRIBUTARY_OK, "%s", status.message);
}

void batch_fixture_close(struct batch_fixture *fixture)
{
    tributary_batch_free(fixture->batch);
    fixture->batch = NULL;
    cr_assert_not(atomic_load(&fixture->overlap), "two callbacks of one key ran at a time");
}

static enum tributary_code add(void *ctx, void *resource, struct tributary_status *status)
{
    struct addition *addition = ctx;
    struct batch_fixture *fixture = addition->fixture;
    struct balance *balance = resource;

    enter(fixture, addition->key);
    atomic_fetch_add(&fixture->runs, 1);
    atomic_fetch_add(&addition->runs, 1);
    if (addition->gate)
        gate_pass(addition->gate);
    if (addition->code == TRIBUTARY_OK)
        balance->value += addition->amount;
    else
        snprintf(status->message, sizeof(status->message), "not with me");
    leave(fixture, addition->key);
    return addition->code;
}

static void on_done(void *ctx, const struct tributary_status *status)
{
    struct addition *addition = ctx;

    if (addition->done_gate)
        gate_pass(addition->done_gate);
    if (addition->done_cancels)
        tributary_batch_cancel(addition->done_cancels);
    addition->status = *status;
    atomic_store(&addition->done, true);
}

static struct tributary_batch_operation operation_of(struct addition *addition)
{
    snprintf(addition->name, sizeof(addition->name), "%u", addition->key % FIXTURE_KEYS);
    return (struct tributary_batch_operation){.key = tributary_text(addition->name),
                                              .operate = add,
                                              .done = on_done,
                                              .ctx = addition,
                                              .cancel = addition->cancel};
}

enum tributary_code addition_run(struct addition *addition)
{
    const struct tributary_batch_operation operation = operation_of(addition);

    return tributary_batch_run(addition->fixture->batch, &operation,
                               addition->timeout_ns ? addition->timeout_ns : TRIBUTARY_FOREVER,
                               &addition->status);
}

enum tributary_code addition_submit(struct addition *addition)
{
    const struct tributary_batch_operation operation = operation_of(addition);

    return tributary_batch_submit(addition->fixture->batch, &operation, &addition->status);
}

static void *run_addition(void *ctx)
{
    struct addition *addition = ctx;

    addition_run(addition);
    atomic_store(&addition->done, true);
    return NULL;
}

void addition_start(struct addition *addition)
{
    cr_assert_eq(pthread_create(&addition->thread, NULL, run_addition, addition), 0);
}

enum tributary_code addition_join(struct addition *addition)
{
    pthread_join(addition->thread, NULL);
    return addition->status.code;
}
