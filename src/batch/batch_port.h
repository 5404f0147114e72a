/* batch_port.h - what a batch engine and its owner have in common: operations, records, the port.
 *
 * Threads: as batch_engine.h. */
#ifndef TRIBUTARY_BATCH_BATCH_PORT_H
#define TRIBUTARY_BATCH_BATCH_PORT_H

#include <stdbool.h>

#include "base/base.h"
#include "base/list.h"

struct keyed_batch;

/* How the operations of a batch ended. */
enum batch_outcome {
    BATCH_SAVED,       /* those with `failed` have failed alone */
    BATCH_LOAD_FAILED, /* nothing is saved */
    BATCH_SAVE_FAILED,
    BATCH_LOST,      /* who ran them is gone: nobody knows what was saved */
    BATCH_STOPPED,   /* they had not started when the engine was stopped */
    BATCH_NOT_LOADED /* nobody waited any more when the first load was to begin: there are none */
};

enum batch_operation_state { OPERATION_NEW, OPERATION_WAITING, OPERATION_RUNNING, OPERATION_RAN };

/* Embedded in what the owner of the engine runs. All zero at first, but for `bytes`. */
struct batch_operation {
    struct list node;
    struct keyed_batch *batch; /* of the key; valid until the operation has ended */
    uint64_t bytes;            /* what it counts in the bounds */
    enum batch_operation_state state;
    bool failed;
};

/* One batch that is over. Times are clock_mono_ns(). */
struct batch_record {
    struct bytes key; /* valid during the call */
    int64_t started_ns;
    int64_t load_ns, save_ns; /* all attempts together, without the waits between them */
    int64_t total_ns;
    uint64_t operations; /* that have started */
    uint32_t loads, saves;
    enum batch_outcome outcome;
};

/* All but `expired` and `unwanted` must be set. They must not call the engine, except for
 * reports. */
struct batch_port {
    void (*load)(void *ctx, struct keyed_batch *batch);
    void (*operate)(void *ctx, struct keyed_batch *batch, struct batch_operation *operation);
    void (*save)(void *ctx, struct keyed_batch *batch);
    /* The resource that was loaded is no longer needed: the batch ends, or loads again, when
     * batch_unloaded() is reported. Not after batch_lost(). */
    void (*unload)(void *ctx, struct keyed_batch *batch);
    /* `operations` are over, and the callee's: it moves them out of the list before it returns.
     * With BATCH_LOAD_FAILED, those that waited are among them. The batch is over, too, and
     * batch_user() is zeroed or freed afterwards. Only where `record` is NULL the batch goes on:
     * then they had not started, and the engine was stopped. Others of the same key may follow. */
    void (*ended)(void *ctx, struct keyed_batch *batch, struct list *operations, enum batch_outcome outcome,
                  const struct batch_record *record);
    /* The deadline has passed, and a report is missing. Once for a batch. It stays as it is until
     * the report. May be NULL. */
    void (*expired)(void *ctx, struct keyed_batch *batch);
    /* Nobody waits any more for the load that was called. Once for a load. The owner may give it
     * up with batch_not_loaded(), now or later. May be NULL. */
    void (*unwanted)(void *ctx, struct keyed_batch *batch);
    int64_t (*now_ns)(void *ctx); /* it never goes back */
    /* batch_engine_tick() should be called at that time, and not at the one before; INT64_MAX:
     * never. A time that has come: again at once. */
    void (*wake_at)(void *ctx, int64_t at_ns);
    /* After batch_engine_stop(): the last batch is over. Once. */
    void (*stopped)(void *ctx);
    void *ctx;
};

#endif
