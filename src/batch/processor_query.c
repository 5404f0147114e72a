/* processor_query.c - see processor_query.h. */
#include "batch/processor_query.h"

#include "batch/processor_internal.h"

struct batch_processor *batch_processors_after(struct batch_processors *processors, struct bytes name)
{
    struct batch_processor *found = NULL;

    pthread_mutex_lock(&processors->lock);
    struct sorted_node *node = sorted_after(&processors->by_name, name);

    if (node) {
        found = container_of(node, struct batch_processor, by_name);
        batch_processor_retain(found);
    }
    pthread_mutex_unlock(&processors->lock);
    return found;
}

void batch_processor_view(const struct batch_processor *processor, struct processor_view *view_out,
                          void (*each)(void *ctx, const struct processor_worker_view *worker), void *ctx)
{
    struct batch_stats stats;

    batch_engine_stats(processor->engine, &stats);
    *view_out = (struct processor_view){.name = batch_processor_name(processor),
                                        .settings = &processor->settings,
                                        .keys = stats.keys,
                                        .batches = stats.batches,
                                        .waiters = stats.waiters,
                                        .saved = processor->saved,
                                        .failed = processor->failed,
                                        .operations = processor->operations};
    list_each(node, next, &processor->workers) {
        const struct batch_worker *worker = container_of(node, struct batch_worker, node);
        const struct processor_worker_view view = {.name = shared_bytes_view(worker->name),
                                                   .peer = worker->peer,
                                                   .draining = worker->draining,
                                                   .batches = (uint32_t)worker->numbers.count,
                                                   .max_batches = worker->max_batches,
                                                   .saved = worker->saved,
                                                   .failed = worker->failed,
                                                   .operations = worker->operations};

        each(ctx, &view);
    }
}
