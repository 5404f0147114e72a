/* processor_life.c - how processors come, stop and go, and how operations get into them. */
#include "batch/processor.h"

#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/counters.h"
#include "batch/processor_internal.h"
#include "batch/worker_leave.h"

void processor_operation_fini(struct processor_operation *operation)
{
    batch_error_release(operation->error);
    operation->error = NULL;
    operation->result_dropped = false;
    budget_give(COUNT_LIVE_BATCH_BYTES, operation->result.size);
    buf_fini(&operation->result);
}

static struct bytes name_of(const struct sorted_node *node)
{
    return batch_processor_name(container_of(node, struct batch_processor, by_name));
}

struct batch_processors *batch_processors_new(struct loop *loop, const struct batch_record_port *records)
{
    struct batch_processors *processors = calloc(1, sizeof(*processors));

    if (!processors)
        return NULL;
    processors->loop = loop;
    processors->records = *records;
    sorted_init(&processors->by_name, name_of);
    CHECK(pthread_mutex_init(&processors->lock, NULL) == 0);
    map_init(&processors->processors);
    return processors;
}

void batch_processors_free(struct batch_processors *processors)
{
    if (!processors)
        return;
    CHECK(processors->processors.count == 0);
    map_fini(&processors->processors);
    peer_counts_fini(&processors->peers);
    pthread_mutex_destroy(&processors->lock);
    free(processors);
}

void batch_processor_retain(struct batch_processor *processor)
{
    atomic_fetch_add_explicit(&processor->references, 1, memory_order_relaxed);
}

void batch_processor_release(struct batch_processor *processor)
{
    if (!processor || atomic_fetch_sub_explicit(&processor->references, 1, memory_order_acq_rel) > 1)
        return;
    batch_engine_free(processor->engine);
    pthread_mutex_destroy(&processor->lock);
    count_add(COUNT_LIVE_BATCH_PROCESSORS, -1);
    free(processor);
}

struct bytes batch_processor_name(const struct batch_processor *processor)
{
    return (struct bytes){processor->name, processor->name_size};
}

/* ---- the loop's timer ---- */

static void on_timer(struct timer *timer)
{
    struct batch_processor *processor = container_of(timer, struct batch_processor, timer);

    batch_processor_lock(processor);
    processor->timer_ns = INT64_MAX;
    batch_engine_tick(processor->engine);
    processor_step_leaving(processor);
    processor_check_aborts(processor, clock_mono_ns());
    batch_processor_unlock(processor);
    batch_processor_release(processor);
}

/* Loop: arms the timer for what is due. Within the lock. */
static void set_timer(struct batch_processor *processor)
{
    const int64_t due_ns = processor->retired ? INT64_MAX : processor_due_ns(processor);
    const bool was_armed = processor->timer.loop;

    processor->timer_ns = due_ns;
    if (due_ns == INT64_MAX) {
        timer_stop(&processor->timer);
    } else if (timer_start(processor->all->loop, &processor->timer, due_ns - clock_mono_ns()) == ERR_OK) {
        if (!was_armed)
            batch_processor_retain(processor);
        return;
    }
    processor->timer_ns = INT64_MAX;
    if (was_armed) /* the task that runs this has another reference */
        atomic_fetch_sub_explicit(&processor->references, 1, memory_order_relaxed);
}

static void on_timer_task(struct task *task)
{
    struct batch_processor *processor = container_of(task, struct batch_processor, timer_task);

    pthread_mutex_lock(&processor->lock);
    processor->timer_posted = false;
    set_timer(processor);
    pthread_mutex_unlock(&processor->lock);
    batch_processor_release(processor);
}

static void post_timer(struct batch_processor *processor)
{
    if (processor->timer_posted)
        return;
    processor->timer_posted = true;
    batch_processor_retain(processor);
    loop_post(processor->all->loop, &processor->timer_task);
}

/* ---- coming and going ---- */

static struct batch_processor *processor_new(struct batch_processors *all, struct bytes name,
                                             const struct batch_settings *settings)
{
    struct batch_processor *processor = calloc(1, sizeof(*processor) + name.size);
    struct batch_port port = processor_port;

    if (!processor)
        return NULL;
    port.ctx = processor;
    processor->engine = batch_engine_new(settings, &port, sizeof(struct worker_batch));
    if (!processor->engine) {
        free(processor);
        return NULL;
    }
    processor->all = all;
    processor->settings = *settings;
    atomic_init(&processor->references, 1);
    CHECK(pthread_mutex_init(&processor->lock, NULL) == 0);
    list_init(&processor->workers);
    list_init(&processor->leaving);
    list_init(&processor->aborting);
    processor->engine_wake_ns = INT64_MAX;
    processor->timer_ns = INT64_MAX;
    processor->timer.fired = on_timer;
    processor->timer_task.run = on_timer_task;
    processor->name_size = name.size;
    memcpy(processor->name, name.data, name.size);
    processor->node.key = (struct bytes){processor->name, name.size};
    count_add(COUNT_LIVE_BATCH_PROCESSORS, 1);
    return processor;
}

static bool is_idle(const struct batch_processor *processor)
{
    struct batch_stats stats;

    if (processor->worker_count > 0 || !list_empty(&processor->leaving))
        return false;
    batch_engine_stats(processor->engine, &stats);
    return stats.keys == 0;
}

/* Nobody works for it, and nobody waits. Without a lock, because that of `all` comes first. */
static void retire(struct batch_processor *processor)
{
    struct batch_processors *all = processor->all;
    bool retired = false;

    pthread_mutex_lock(&all->lock);
    pthread_mutex_lock(&processor->lock);
    if (!processor->retired && is_idle(processor)) {
        retired = true;
        processor->retired = true;
        map_remove(&all->processors, &processor->node);
        sorted_remove(&all->by_name, &processor->by_name);
        if (processor->timer_ns != INT64_MAX)
            post_timer(processor); /* the loop disarms it */
    }
    pthread_mutex_unlock(&processor->lock);
    pthread_mutex_unlock(&all->lock);
    if (retired)
        batch_processor_release(processor);
}

void batch_processor_lock(struct batch_processor *processor)
{
    pthread_mutex_lock(&processor->lock);
}

static void note_stopped(struct batch_processors *all);

void batch_processor_unlock(struct batch_processor *processor)
{
    processor_drop_left(processor);
    const bool idle = !processor->retired && is_idle(processor);
    const bool stopped = processor->stopping && processor->is_stopped;
    struct batch_processors *all = processor->all;

    if (stopped)
        processor->stopping = false; /* it is reported once */
    if (processor_due_ns(processor) < processor->timer_ns)
        post_timer(processor);
    pthread_mutex_unlock(&processor->lock);
    if (idle)
        retire(processor);
    if (stopped)
        note_stopped(all);
}

enum fault_reason processor_open(struct batch_processors *all, struct bytes name,
                                 const struct batch_settings *settings,
                                 struct batch_processor **processor_out, struct fault *fault)
{
    struct map_node *node = map_find(&all->processors, name);
    struct batch_processor *processor = node ? container_of(node, struct batch_processor, node) : NULL;

    if (all->stopping)
        return fault_set(fault, FAULT_PROCESSOR_STOPPED, NULL, NULL);
    if (!processor) {
        processor = processor_new(all, name, settings);
        if (!processor || map_add(&all->processors, &processor->node)) {
            batch_processor_release(processor);
            return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
        }
        sorted_add(&all->by_name, &processor->by_name);
    }
    pthread_mutex_lock(&processor->lock);
    *processor_out = processor;
    return FAULT_NONE;
}

enum fault_reason batch_processors_find(struct batch_processors *processors, struct bytes name,
                                        struct batch_processor **processor_out, struct fault *fault)
{
    struct batch_processor *found = NULL;
    bool stopping;

    pthread_mutex_lock(&processors->lock);
    struct map_node *node = map_find(&processors->processors, name);

    stopping = processors->stopping;
    if (node && !stopping) {
        found = container_of(node, struct batch_processor, node);
        batch_processor_retain(found);
    }
    pthread_mutex_unlock(&processors->lock);
    if (stopping)
        return fault_set(fault, FAULT_PROCESSOR_STOPPED, NULL, NULL);
    if (!found)
        return fault_bytes(fault, FAULT_NO_WORKER, "processor", name, NULL);
    *processor_out = found;
    return FAULT_NONE;
}

/* ---- operations ---- */

static bool accepts(const struct batch_processor *processor)
{
    list_each(node, next, &processor->workers) {
        const struct batch_worker *worker = container_of(node, struct batch_worker, node);

        if (!worker->draining && !worker->fault)
            return true;
    }
    return false;
}

enum fault_reason batch_processor_run(struct batch_processor *processor, struct bytes key,
                                      struct processor_operation *operation, struct fault *fault)
{
    if (processor->is_stopped || processor->stopping)
        return fault_set(fault, FAULT_PROCESSOR_STOPPED, NULL, NULL);
    if (processor->retired || !accepts(processor))
        return fault_bytes(fault, FAULT_NO_WORKER, "processor", batch_processor_name(processor), NULL);
    operation->in_engine = (struct batch_operation){.bytes = operation->data.size + operation->id.size};
    return batch_engine_run(processor->engine, key, &operation->in_engine, fault);
}

static bool cancel(struct processor_operation *operation)
{
    struct batch_operation *in_engine = &operation->in_engine;

    if (in_engine->state == OPERATION_WAITING)
        return batch_engine_cancel(in_engine);
    if (in_engine->state != OPERATION_RUNNING)
        return false;

    struct worker_batch *work = batch_user(in_engine->batch);

    if (operation->batch == work->number || work->is_reload)
        return false; /* it was sent */
    list_remove(&operation->node);
    if (work->sent_count == 0 && list_empty(&work->unsent))
        work->to_finish = false; /* unload() follows, perhaps in a later slice */
    batch_withdrawn(in_engine);
    return true;
}

bool batch_processor_cancel(struct processor_operation *operation)
{
    if (!cancel(operation))
        return false;
    processor_operation_fini(operation); /* of an attempt before */
    return true;
}

/* ---- the stop ---- */

static void on_all_stopped(struct task *task)
{
    struct batch_processors *all = container_of(task, struct batch_processors, stopped_task);

    all->stopped(all->stopped_ctx);
}

static void note_stopped(struct batch_processors *all)
{
    pthread_mutex_lock(&all->lock);
    const bool last = --all->not_stopped == 0;

    pthread_mutex_unlock(&all->lock);
    if (!last)
        return;
    all->stopped_task.run = on_all_stopped;
    loop_post(all->loop, &all->stopped_task);
}

void processor_wake_workers(struct batch_processor *processor)
{
    list_each(node, next, &processor->workers) {
        struct batch_worker *worker = container_of(node, struct batch_worker, node);

        worker->port.wake(worker->port.ctx);
    }
}

static void stop(struct batch_processor *processor, int64_t until_ns)
{
    batch_processor_lock(processor);
    processor->stopping = true;
    processor->stop_ns = until_ns;
    processor_step_leaving(processor);
    processor_wake_workers(processor);
    batch_engine_stop(processor->engine);
    batch_processor_unlock(processor);
}

void batch_processors_stop(struct batch_processors *processors, int64_t until_ns, void (*stopped)(void *ctx),
                           void *ctx)
{
    struct batch_processor **each = NULL;
    size_t count = 0;

    pthread_mutex_lock(&processors->lock);
    processors->stopping = true;
    processors->stopped = stopped;
    processors->stopped_ctx = ctx;
    each = calloc(processors->processors.count + 1, sizeof(struct batch_processor *));
    CHECK(each);
    for (struct map_node *node = map_next(&processors->processors, NULL); node;
         node = map_next(&processors->processors, node)) {
        each[count] = container_of(node, struct batch_processor, node);
        batch_processor_retain(each[count++]);
    }
    processors->not_stopped = count + 1;
    pthread_mutex_unlock(&processors->lock);
    for (size_t i = 0; i < count; i++) {
        stop(each[i], until_ns);
        batch_processor_release(each[i]);
    }
    free(each);
    note_stopped(processors);
}
