/* batch_engine.c - admits, cancels, ticks and stops. */
#include "batch/batch_engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "batch/batch_step.h"

struct batch_engine *batch_engine_new(const struct batch_settings *settings, const struct batch_port *port,
                                      size_t user_bytes)
{
    struct batch_engine *engine = calloc(1, sizeof(*engine));

    if (!engine)
        return NULL;
    engine->settings = *settings;
    engine->port = *port;
    engine->user_bytes = user_bytes;
    engine->wake_ns = INT64_MAX;
    engine->random = (uint64_t)(uintptr_t)engine;
    engine->all_keys = settings->all_keys ? settings->all_keys : &engine->own_keys;
    map_init(&engine->keys);
    list_init(&engine->ready);
    list_init(&engine->turns);
    list_init(&engine->begun);
    list_init(&engine->stops);
    return engine;
}

void batch_engine_free(struct batch_engine *engine)
{
    if (!engine)
        return;
    CHECK(engine->keys.count == 0);
    heap_fini(&engine->timers);
    map_fini(&engine->keys);
    free(engine);
}

static enum fault_reason over(struct fault *fault, enum fault_reason reason, const char *field,
                              uint64_t value, uint64_t max)
{
    char bound[96];

    snprintf(bound, sizeof(bound), "at most %" PRIu64 " (%s)", max, field);
    return fault_number(fault, reason, field, value, bound);
}

/* Where the batch of a key must take the operation at once. */
static enum fault_reason check_space(const struct batch_engine *engine, const struct keyed_batch *batch,
                                     const struct batch_operation *operation, struct fault *fault)
{
    const struct batch_settings *settings = &engine->settings;

    if (!settings->refuse_when_full)
        return FAULT_NONE;
    if (!batch) {
        return engine->batches < settings->max_batches ? FAULT_NONE
                                                       : over(fault, FAULT_TOO_MANY_BATCHES, "max_batches",
                                                              engine->batches + 1, settings->max_batches);
    }

    /* A closed batch has no space any more: those that wait are the next one. */
    const uint64_t operations = batch->waiters + (batch->closed ? 0 : batch->started) + 1;
    const uint64_t bytes = batch->waiting_bytes + (batch->closed ? 0 : batch->bytes) + operation->bytes;

    if (operations > settings->max_operations)
        return over(fault, FAULT_BATCH_FULL, "max_operations", operations, settings->max_operations);
    return bytes <= settings->max_bytes
               ? FAULT_NONE
               : over(fault, FAULT_BATCH_FULL, "max_bytes", bytes, settings->max_bytes);
}

static enum fault_reason check_waiting(const struct batch_settings *settings, const struct keyed_batch *batch,
                                       const struct batch_operation *operation, struct fault *fault)
{
    const uint64_t waiters = batch->waiters + batch->ahead;
    const uint64_t bytes = batch->waiting_bytes + batch->ahead_bytes;

    if (waiters >= settings->max_waiters)
        return over(fault, FAULT_TOO_MANY_WAITERS, "max_waiters", waiters + 1, settings->max_waiters);
    if (bytes > 0 && bytes + operation->bytes > settings->max_waiting_bytes)
        return over(fault, FAULT_WAITING_BYTES, "max_waiting_bytes", bytes + operation->bytes,
                    settings->max_waiting_bytes);
    return FAULT_NONE;
}

static enum fault_reason check(const struct batch_engine *engine, struct bytes key,
                               const struct keyed_batch *batch, const struct batch_operation *operation,
                               struct fault *fault)
{
    const struct batch_settings *settings = &engine->settings;

    if (engine->stopping)
        return fault_set(fault, FAULT_PROCESSOR_STOPPED, NULL, NULL);
    if (batch_key_check(key, fault))
        return fault->reason;
    if (operation->bytes > settings->max_bytes)
        return over(fault, FAULT_OPERATION_TOO_LARGE, "max_bytes", operation->bytes, settings->max_bytes);
    if (batch && check_waiting(settings, batch, operation, fault))
        return fault->reason;
    return check_space(engine, batch, operation, fault);
}

/* The bound may be that of several engines, on several threads: the place is reserved first. */
static enum fault_reason reserve_key(struct batch_engine *engine, struct fault *fault)
{
    const uint64_t max = engine->settings.max_keys;

    if (atomic_fetch_add(engine->all_keys, 1) < max)
        return FAULT_NONE;
    atomic_fetch_sub(engine->all_keys, 1);
    return over(fault, FAULT_TOO_MANY_KEYS, "max_keys", max + 1, max);
}

static struct keyed_batch *add_key(struct batch_engine *engine, struct bytes key, struct fault *fault)
{
    struct keyed_batch *batch = NULL;

    if (reserve_key(engine, fault))
        return NULL;
    batch = keyed_batch_new(engine, key);
    if (!batch) {
        atomic_fetch_sub(engine->all_keys, 1);
        fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    }
    return batch;
}

static void append(struct keyed_batch *batch, struct batch_operation *operation)
{
    operation->batch = batch;
    operation->state = OPERATION_WAITING;
    operation->failed = false;
    list_append(&batch->waiting, &operation->node);
    batch->waiters++;
    batch->waiting_bytes += operation->bytes;
    batch->engine->waiters++;
}

enum fault_reason batch_engine_run(struct batch_engine *engine, struct bytes key,
                                   struct batch_operation *operation, struct fault *fault)
{
    struct map_node *node = map_find(&engine->keys, key);
    struct keyed_batch *batch = node ? container_of(node, struct keyed_batch, node) : NULL;
    const enum fault_reason reason = check(engine, key, batch, operation, fault);

    if (reason)
        return reason;
    if (batch && !batch_heeds_waiters(batch)) {
        append(batch, operation);
        return FAULT_NONE;
    }
    batch_engine_enter(engine);
    if (!batch)
        batch = add_key(engine, key, fault);
    if (!batch)
        return fault->reason;
    append(batch, operation);
    keyed_batch_ready(batch);
    batch_engine_step(engine);
    return FAULT_NONE;
}

bool batch_engine_cancel(struct batch_operation *operation)
{
    if (operation->state != OPERATION_WAITING)
        return false;

    struct keyed_batch *batch = operation->batch;
    struct batch_engine *engine = batch->engine;

    batch_engine_enter(engine);
    list_remove(&operation->node);
    operation->state = OPERATION_NEW;
    operation->batch = NULL;
    batch->waiters--;
    batch->waiting_bytes -= operation->bytes;
    engine->waiters--;
    keyed_batch_ready(batch);
    batch_engine_step(engine);
    return true;
}

/* The next key whose time has come, or which is to be stopped. NULL: there is none. */
static struct keyed_batch *next_due(struct batch_engine *engine)
{
    struct heap_node *timer = heap_first(&engine->timers);
    struct list *stop = NULL;

    if (timer && timer->key <= engine->now_ns) {
        heap_remove(&engine->timers, timer);
        return container_of(timer, struct keyed_batch, timer);
    }
    stop = list_first(&engine->stops);
    if (!stop)
        return NULL;
    list_remove(stop);
    return container_of(stop, struct keyed_batch, turn);
}

static void step_due(struct batch_engine *engine)
{
    struct keyed_batch *batch = NULL;

    for (uint64_t i = 0; i < engine->settings.max_steps && (batch = next_due(engine)); i++)
        keyed_batch_ready(batch);
    batch_engine_step(engine);
}

void batch_engine_tick(struct batch_engine *engine)
{
    batch_engine_enter(engine);
    engine->wake_ns = INT64_MIN; /* that time has been: wake_at() is called in any case */
    step_due(engine);
}

void batch_engine_stop(struct batch_engine *engine)
{
    if (engine->stopping)
        return;
    engine->stopping = true;
    list_move_all(&engine->turns, &engine->stops);
    list_move_all(&engine->begun, &engine->stops);
    batch_engine_enter(engine);
    step_due(engine);
}

void batch_engine_stats(const struct batch_engine *engine, struct batch_stats *stats_out)
{
    *stats_out = (struct batch_stats){engine->keys.count, engine->batches, engine->waiters + engine->ahead};
}
