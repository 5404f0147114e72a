/* batch_worker.h - what `tributary batch work` does with a batch: it loads the resource from the
 * store, hands it to a command with the operations, and saves the command's answer.
 *
 * An operation whose id has a result in the store is not handed over: it gets that result. Of
 * several with one id in a batch the first one is handed over, and the others get its result. */
#ifndef TRIBUTARY_TOOL_BATCH_WORKER_H
#define TRIBUTARY_TOOL_BATCH_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "backend/sqlite/keyed_store.h"
#include "client/tool/batch_command.h"
#include "tributary/tributary.h"

struct batch_worker {
    /* Set before the first batch. */
    const char *processor;
    struct keyed_store *store;
    struct batch_commands *commands;
    bool quiet;
    void (*store_failed)(void *ctx); /* on a worker's thread: nothing can be saved any more */
    void *ctx;

    _Atomic bool is_abandoned; /* commands are stopped */
};

/* Callbacks of a worker, whose `ctx` is the struct batch_worker. On the worker's threads. */
enum tributary_code batch_worker_load(void *ctx, struct tributary_worker_batch *batch, void **resource_out,
                                      uint64_t *generation_out, struct tributary_status *status);
enum tributary_code batch_worker_save(void *ctx, struct tributary_worker_batch *batch, void *resource,
                                      const struct tributary_worker_operation *const *operations,
                                      size_t count, struct tributary_status *status);
void batch_worker_free_resource(void *ctx, void *resource);

#endif
