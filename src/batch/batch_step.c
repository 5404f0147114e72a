/* batch_step.c - see batch_step.h. */
#include "batch/batch_step.h"

/* Whether it is decided now if another operation starts: not while one runs that the next waits
 * for. */
static bool is_free(const struct keyed_batch *batch)
{
    return batch->running == 0 || batch->engine->settings.pipelined;
}

bool batch_heeds_waiters(const struct keyed_batch *batch)
{
    return batch->state == OPEN && is_free(batch);
}

/* When the batch must be stepped although nobody reports. */
static int64_t due_ns(const struct keyed_batch *batch)
{
    int64_t due = INT64_MAX;

    if (batch->state == BACKOFF)
        return batch->retry_ns;
    if (batch->state == OPEN && is_free(batch) && !batch->closed && !batch->closes_idle)
        due = batch->until_ns;
    if (batch->engine->port.expired && !batch->expired)
        due = MIN_OF(due, batch->deadline_ns);
    return due;
}

static void set_timer(struct keyed_batch *batch)
{
    const int64_t due = due_ns(batch);

    if (due == INT64_MAX)
        heap_remove(&batch->engine->timers, &batch->timer);
    else if (!heap_holds(&batch->timer) || batch->timer.key != due)
        CHECK(heap_set(&batch->engine->timers, &batch->timer, due) == ERR_OK); /* reserved */
}

static const struct batch_operation *first_waiting(const struct keyed_batch *batch)
{
    const struct list *first = list_first(&batch->waiting);

    return first ? container_of(first, struct batch_operation, node) : NULL;
}

bool batch_is_over(const struct keyed_batch *batch)
{
    const struct batch_settings *settings = &batch->engine->settings;
    const struct batch_operation *first = first_waiting(batch);

    if (batch->engine->stopping || batch->started >= settings->max_operations)
        return true;
    if (first && batch->bytes + first->bytes > settings->max_bytes)
        return true;
    if (batch->engine->now_ns >= batch->until_ns && (batch->started > 0 || !first))
        return true;
    return batch->closes_idle && !first;
}

struct batch_operation *batch_start_waiting(struct keyed_batch *batch)
{
    struct batch_operation *operation = container_of(batch->waiting.next, struct batch_operation, node);

    list_remove(&operation->node);
    list_append(&batch->operations, &operation->node);
    batch->waiters--;
    batch->engine->waiters--;
    batch->waiting_bytes -= operation->bytes;
    batch->bytes += operation->bytes;
    batch->started++;
    return operation;
}

/* The operation that runs now. NULL: none may. */
static struct batch_operation *start_next(struct keyed_batch *batch)
{
    struct list *node = batch->again;

    if (node) {
        batch->again = node->next == &batch->operations ? NULL : node->next;
        return container_of(node, struct batch_operation, node);
    }
    return batch->closed || list_empty(&batch->waiting) ? NULL : batch_start_waiting(batch);
}

static void save(struct keyed_batch *batch)
{
    struct batch_engine *engine = batch->engine;

    fsm_move(&keyed_batch_machine, batch, SAVING);
    batch->save = SAVE_CALLED;
    batch->saves++;
    batch->since_ns = engine->now_ns;
    engine->port.save(engine->port.ctx, batch);
}

/* The functions below return whether the batch goes on: otherwise it may have been freed. */

static bool end(struct keyed_batch *batch, enum batch_outcome outcome)
{
    keyed_batch_end(batch, outcome);
    return false;
}

static bool step_unloading(struct keyed_batch *batch)
{
    if (!batch->unloaded)
        return true;
    if (batch->save != SAVE_AGAIN)
        return end(batch, batch->save == SAVE_FAILED ? BATCH_SAVE_FAILED : BATCH_SAVED);
    batch->reloads++;
    keyed_batch_load(batch);
    return true;
}

static bool unload(struct keyed_batch *batch)
{
    fsm_move(&keyed_batch_machine, batch, UNLOADING);
    batch->unloaded = false;
    batch->engine->port.unload(batch->engine->port.ctx, batch);
    return step_unloading(batch);
}

/* Whether the present call may do one step more. */
static bool may_step(struct batch_engine *engine)
{
    if (engine->steps == 0)
        return false;
    engine->steps--;
    return true;
}

/* Starts what may start, the first one in any case: whoever steps the batch has paid for that. */
static bool step_open(struct keyed_batch *batch)
{
    struct batch_engine *engine = batch->engine;

    for (bool first = true; is_free(batch); first = false) {
        if (!first && !may_step(engine)) {
            keyed_batch_ready(batch);
            return true;
        }
        batch->closed = batch->closed || batch_is_over(batch);

        struct batch_operation *operation = start_next(batch);

        if (!operation)
            break;
        operation->state = OPERATION_RUNNING;
        operation->failed = false;
        batch->running++;
        engine->port.operate(engine->port.ctx, batch, operation);
    }
    if (!batch->closed || !is_free(batch))
        return true;
    if (batch->started > 0) {
        save(batch);
        return true;
    }
    return unload(batch);
}

static bool step_saving(struct keyed_batch *batch)
{
    return batch->save == SAVE_CALLED || unload(batch);
}

static bool step_loading(struct keyed_batch *batch)
{
    if (batch->skipped)
        return end(batch, batch->loads > 0 ? BATCH_LOAD_FAILED : BATCH_NOT_LOADED);
    if (batch->failed)
        return end(batch, BATCH_LOAD_FAILED);
    if (batch->engine->port.unwanted && !batch->unwanted && !keyed_batch_is_wanted(batch)) {
        batch->unwanted = true;
        batch->engine->port.unwanted(batch->engine->port.ctx, batch);
    }
    return true;
}

static bool step_pending(struct keyed_batch *batch)
{
    struct batch_engine *engine = batch->engine;

    if (list_empty(&batch->waiting)) {
        keyed_batch_free(batch);
        return false;
    }
    if (engine->batches < engine->settings.max_batches && engine->turns.next == &batch->turn)
        keyed_batch_begin(batch);
    return true;
}

static bool step_backoff(struct keyed_batch *batch)
{
    if (batch->started == 0 && list_empty(&batch->waiting))
        return end(batch, BATCH_LOAD_FAILED);
    if (batch->engine->now_ns >= batch->retry_ns || batch->engine->stopping) /* a stop does not wait */
        keyed_batch_load(batch);
    return true;
}

static enum batch_outcome lost_outcome(const struct keyed_batch *batch)
{
    if (batch->save == SAVE_DONE)
        return BATCH_SAVED;
    return batch->save == SAVE_FAILED ? BATCH_SAVE_FAILED : BATCH_LOST;
}

static bool step(struct keyed_batch *batch)
{
    if (batch->lost)
        return end(batch, lost_outcome(batch));
    switch (batch->state) {
    case PENDING:
        return step_pending(batch);
    case LOADING:
        return step_loading(batch);
    case BACKOFF:
        return step_backoff(batch);
    case OPEN:
        return step_open(batch);
    case SAVING:
        return step_saving(batch);
    case UNLOADING:
        return step_unloading(batch);
    case OVER:
        break;
    }
    return true;
}

static void check_deadline(struct keyed_batch *batch)
{
    struct batch_engine *engine = batch->engine;

    if (!engine->port.expired || batch->expired || engine->now_ns < batch->deadline_ns ||
        batch->state == PENDING || batch->state == BACKOFF)
        return;
    batch->expired = true;
    engine->port.expired(engine->port.ctx, batch);
}

/* After a stop those that wait end, slice by slice. Whether none is left. */
static bool stop_waiters(struct keyed_batch *batch)
{
    struct batch_engine *engine = batch->engine;
    struct list *node = NULL, handed_back;

    if (!engine->stopping || list_empty(&batch->waiting))
        return true;
    list_init(&handed_back);
    do {
        node = list_first(&batch->waiting);
        list_remove(node);
        list_append(&handed_back, node);
        batch->waiters--;
        batch->waiting_bytes -= container_of(node, struct batch_operation, node)->bytes;
        engine->waiters--;
    } while (!list_empty(&batch->waiting) && may_step(engine));
    keyed_batch_hand_back(&handed_back);
    engine->port.ended(engine->port.ctx, batch, &handed_back, BATCH_STOPPED, NULL);
    CHECK(list_empty(&handed_back));
    return list_empty(&batch->waiting);
}

static void step_batch(struct keyed_batch *batch)
{
    if (!stop_waiters(batch)) {
        keyed_batch_ready(batch);
        return;
    }
    if (!step(batch))
        return;
    check_deadline(batch);
    if (batch->state != PENDING)
        set_timer(batch);
}

void batch_engine_enter(struct batch_engine *engine)
{
    engine->now_ns = engine->port.now_ns(engine->port.ctx);
}

static void set_wake(struct batch_engine *engine)
{
    const struct heap_node *first = heap_first(&engine->timers);
    const bool goes_on = !list_empty(&engine->ready) || !list_empty(&engine->stops);
    int64_t wake_ns = first ? first->key : INT64_MAX;

    if (goes_on)
        wake_ns = MIN_OF(wake_ns, engine->now_ns);
    if (wake_ns == engine->wake_ns)
        return;
    engine->wake_ns = wake_ns;
    engine->port.wake_at(engine->port.ctx, wake_ns);
}

void batch_engine_step(struct batch_engine *engine)
{
    struct list *node = NULL;

    if (engine->stepping)
        return; /* the call below goes on */
    engine->stepping = true;
    engine->steps = engine->settings.max_steps;
    while ((node = list_first(&engine->ready)) && may_step(engine)) {
        list_remove(node);
        step_batch(container_of(node, struct keyed_batch, ready));
    }
    engine->stepping = false;
    set_wake(engine);
    if (engine->stopping && !engine->stopped && engine->keys.count == 0) {
        engine->stopped = true;
        engine->port.stopped(engine->port.ctx);
    }
}
