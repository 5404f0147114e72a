/* processor_query.h - processors and their workers, for people.
 *
 * Threads: any. */
#ifndef TRIBUTARY_BATCH_PROCESSOR_QUERY_H
#define TRIBUTARY_BATCH_PROCESSOR_QUERY_H

#include "batch/processor.h"

/* The processor with the smallest name after `name`; an empty name: the first one. It is retained.
 * NULL: there is none. */
struct batch_processor *batch_processors_after(struct batch_processors *processors, struct bytes name);

/* Valid within the lock. */
struct processor_view {
    struct bytes name;
    const struct batch_settings *settings;
    uint64_t keys, batches, waiters;
    uint64_t saved, failed, operations;
};
struct processor_worker_view {
    struct bytes name;
    const char *peer;
    bool draining;
    uint32_t batches, max_batches;
    uint64_t saved, failed, operations;
};

/* Within the lock. `each` is called for each worker, in the order in which they came. */
void batch_processor_view(const struct batch_processor *processor, struct processor_view *view_out,
                          void (*each)(void *ctx, const struct processor_worker_view *worker), void *ctx);

#endif
