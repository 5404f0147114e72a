/* batch_settings.h - the window, the policies and the bounds of a batch engine.
 *
 * A plain value. Threads: any. */
#ifndef TRIBUTARY_BATCH_BATCH_SETTINGS_H
#define TRIBUTARY_BATCH_BATCH_SETTINGS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/base.h"
#include "base/fault.h"

#define MAX_BATCH_KEY_BYTES 256u

/* TOO_LONG, with the field `key`, or FAULT_NONE. */
MUST_CHECK enum fault_reason batch_key_check(struct bytes key, struct fault *fault);

/* When a batch ends, and its resource is saved. */
enum batch_window {
    /* `window_ns` after it began. An operation that starts before that belongs to it. */
    BATCH_FIXED,
    /* As soon as no operation waits; at the latest `window_ns` after it began. What comes while it
     * is saved is the next batch. */
    BATCH_ADAPTIVE
};

/* 0 means the default in brackets; false, for what is a bool. Bounds hold for one engine. */
struct batch_settings {
    enum batch_window window; /* [BATCH_FIXED] */
    int64_t window_ns;        /* [100 ms] 1 ms to 1 h */
    /* From the beginning of a batch: load and save should be done. Whoever loads or saves keeps to
     * it; the engine only reports it. [2 x window_ns] window_ns to 2 h */
    int64_t deadline_ns;
    /* A load that failed is tried again, after `retry_first_ns` [10 ms], twice as long after each
     * further failure, at most `retry_max_ns` [1 s], until the deadline. False: everybody who waits
     * gets the failure. */
    bool retry_load;
    int64_t retry_first_ns, retry_max_ns; /* 1 ms to 1 h */
    /* After a save that found a conflict: load again and run the operations again, at most so many
     * times and not after the deadline. [0] at most 1000 */
    uint64_t max_reloads;
    /* A batch with so many operations, or bytes of them, ends at once. */
    uint64_t max_operations; /* [10000] */
    uint64_t max_bytes;      /* [16 MiB]; a larger operation is refused */
    /* Of one key: operations that have not started. */
    uint64_t max_waiters;       /* [100000] */
    uint64_t max_waiting_bytes; /* [64 MiB]; one operation alone may have more, up to max_bytes */
    uint64_t max_keys;          /* keys that have a batch or a waiter [1000000] */
    _Atomic uint64_t *all_keys; /* the number of them, of several engines together; NULL: of one */
    uint64_t max_batches;       /* batches that have begun; other keys wait for their turn [max_keys] */
    /* Of one call of the engine: a step looks at a key once, starts one operation, or hands one
     * back at a stop. The others follow in calls of batch_engine_tick(). [256] */
    uint64_t max_steps;
    /* An operation that the batch of its key has no space for, or that would begin a batch beyond
     * `max_batches`, is refused. False: it waits. */
    bool refuse_when_full;
    /* Operations start without waiting for the one before: whoever runs them keeps their order.
     * save() may be called before all of them are reported. */
    bool pipelined;
};

/* Puts in the defaults and checks the bounds. FAULT_NONE, or FAULT_OUT_OF_BOUNDS with the field. */
MUST_CHECK enum fault_reason batch_settings_complete(struct batch_settings *settings, struct fault *fault);

#endif
