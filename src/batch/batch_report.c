/* batch_report.c - reports change a batch; what follows from that is decided in batch_step.c. */
#include "batch/batch_report.h"

#include "base/clock.h"
#include "base/retry_wait.h"
#include "batch/batch_step.h"

/* A load failed, the first one or one of a reload. */
static void load_failed(struct keyed_batch *batch)
{
    struct batch_engine *engine = batch->engine;
    const struct batch_settings *settings = &engine->settings;
    const int64_t wait_ns = retry_wait_ns(settings->retry_first_ns, settings->retry_max_ns,
                                          ++batch->load_failures, &engine->random);

    if (settings->retry_load && !engine->stopping &&
        clock_add_ns(engine->now_ns, wait_ns) < batch->deadline_ns) {
        batch->retry_ns = engine->now_ns + wait_ns;
        fsm_move(&keyed_batch_machine, batch, BACKOFF);
    } else {
        batch->failed = true;
    }
}

static void loaded(struct keyed_batch *batch)
{
    fsm_move(&keyed_batch_machine, batch, OPEN);
    batch->load_failures = 0;
    if (batch->started > 0) {
        batch->again = batch->operations.next;
    } else if (batch->engine->now_ns >= batch->until_ns) {
        batch->closes_idle = true;
        batch->until_ns = clock_add_ns(batch->engine->now_ns, batch->engine->settings.window_ns);
    }
}

void batch_loaded(struct keyed_batch *batch, bool ok)
{
    struct batch_engine *engine = batch->engine;

    CHECK(batch->state == LOADING && !batch->failed);
    batch_engine_enter(engine);
    batch->load_ns += engine->now_ns - batch->since_ns;
    if (ok)
        loaded(batch);
    else
        load_failed(batch);
    keyed_batch_ready(batch);
    batch_engine_step(engine);
}

void batch_began(struct keyed_batch *batch)
{
    struct batch_engine *engine = batch->engine;

    CHECK(batch->state == LOADING && !batch->failed);
    batch_engine_enter(engine);
    batch->since_ns = engine->now_ns;
    if (batch->loads == 1) {
        batch->started_ns = engine->now_ns;
        batch->until_ns = clock_add_ns(engine->now_ns, engine->settings.window_ns);
        batch->deadline_ns = clock_add_ns(engine->now_ns, engine->settings.deadline_ns);
        batch->expired = false;
    }
    keyed_batch_ready(batch);
    batch_engine_step(engine);
}

bool batch_needs_load(const struct keyed_batch *batch)
{
    return keyed_batch_is_wanted(batch);
}

void batch_not_loaded(struct keyed_batch *batch)
{
    struct batch_engine *engine = batch->engine;

    CHECK(batch->state == LOADING && !batch->failed && batch->started == 0);
    batch_engine_enter(engine);
    batch->skipped = true;
    batch->loads--;
    keyed_batch_ready(batch);
    batch_engine_step(engine);
}

void batch_operated(struct batch_operation *operation, bool ok)
{
    struct keyed_batch *batch = operation->batch;
    struct batch_engine *engine = batch->engine;

    CHECK(operation->state == OPERATION_RUNNING && batch->running > 0);
    batch_engine_enter(engine);
    operation->state = OPERATION_RAN;
    operation->failed = !ok;
    batch->running--;
    batch_forget_ahead(batch);
    keyed_batch_ready(batch);
    batch_engine_step(engine);
}

void batch_withdrawn(struct batch_operation *operation)
{
    struct keyed_batch *batch = operation->batch;
    struct batch_engine *engine = batch->engine;

    CHECK(operation->state == OPERATION_RUNNING && batch->reloads == 0);
    batch_engine_enter(engine);
    list_remove(&operation->node);
    operation->state = OPERATION_NEW;
    operation->batch = NULL;
    batch->running--;
    batch_forget_ahead(batch);
    batch->started--;
    batch->bytes -= operation->bytes;
    if (batch->state == SAVING && batch->started == 0) {
        batch->save = SAVE_DONE;
        batch->saves--;
    }
    keyed_batch_ready(batch);
    batch_engine_step(engine);
}

static bool may_reload(const struct keyed_batch *batch)
{
    return batch->reloads < batch->engine->settings.max_reloads && batch->engine->now_ns < batch->deadline_ns;
}

void batch_saved(struct keyed_batch *batch, enum batch_save result)
{
    struct batch_engine *engine = batch->engine;

    CHECK(batch->state == SAVING && batch->save == SAVE_CALLED && batch->running == 0);
    batch_engine_enter(engine);
    batch->save_ns += engine->now_ns - batch->since_ns;
    if (result == BATCH_SAVE_OK)
        batch->save = SAVE_DONE;
    else
        batch->save = result == BATCH_SAVE_CONFLICT && may_reload(batch) ? SAVE_AGAIN : SAVE_FAILED;
    keyed_batch_ready(batch);
    batch_engine_step(engine);
}

void batch_unloaded(struct keyed_batch *batch)
{
    struct batch_engine *engine = batch->engine;

    CHECK(batch->state == UNLOADING && !batch->unloaded);
    if (!engine->stepping)
        batch_engine_enter(engine);
    batch->unloaded = true;
    keyed_batch_ready(batch);
    batch_engine_step(engine);
}

void batch_lost(struct keyed_batch *batch)
{
    struct batch_engine *engine = batch->engine;

    CHECK(batch->state != PENDING && batch->state != OVER);
    batch_engine_enter(engine);
    batch->lost = true;
    batch->running = 0;
    batch_forget_ahead(batch);
    keyed_batch_ready(batch);
    batch_engine_step(engine);
}

static void wait_again(struct keyed_batch *batch, struct batch_operation *operation)
{
    list_remove(&operation->node);
    list_append(batch->waiting.next, &operation->node); /* in front of the first */
    if (operation->state == OPERATION_RUNNING)
        batch->running--;
    operation->state = OPERATION_WAITING;
    operation->failed = false;
    batch->started--;
    batch->bytes -= operation->bytes;
    batch->waiters++;
    batch->engine->waiters++;
    batch->waiting_bytes += operation->bytes;
}

void batch_return_unsent(struct keyed_batch *batch, bool (*was_sent)(const struct batch_operation *))
{
    struct list *node = batch->operations.prev;

    while (node != &batch->operations) {
        struct batch_operation *operation = container_of(node, struct batch_operation, node);

        node = node->prev;
        if (!was_sent(operation))
            wait_again(batch, operation);
    }
}

struct bytes batch_key(const struct keyed_batch *batch)
{
    return batch->node.key;
}

int64_t batch_deadline_ns(const struct keyed_batch *batch)
{
    return batch->deadline_ns;
}

void *batch_user(struct keyed_batch *batch)
{
    return batch->user;
}
