/* batch_options.h - how a batch processor loads and saves, its windows and its bounds. Part of
 * <tributary/batch.h>. */
#ifndef TRIBUTARY_BATCH_OPTIONS_H
#define TRIBUTARY_BATCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "status.h"

#define TRIBUTARY_MAX_BATCH_KEY 256 /* bytes, of any value */

/* The batch that load() and save() are called for. Valid during the call. */
struct tributary_batch_call {
    struct tributary_bytes key;
    int64_t deadline_ns; /* CLOCK_MONOTONIC, the same for both. They keep to it themselves. */
};

enum tributary_batch_window {
    /* A batch ends `window_ns` after it began. Operations that start before that belong to it. */
    TRIBUTARY_BATCH_FIXED = 0,
    /* A batch ends as soon as no operation of its key waits, at the latest `window_ns` after it
     * began. What comes while it is saved is the next batch. */
    TRIBUTARY_BATCH_ADAPTIVE = 1
};

/* All zeroes are valid. A callback that fails returns a code, and may fill in the message and the
 * reason of `status`, which is never NULL. */
struct tributary_batch_options {
    /* Makes the resource of a key. NULL: the resource is `resource_bytes` of zeroes; with 0 bytes
     * it is NULL. Where it fails there is no resource, and the batch is not saved. */
    enum tributary_code (*load)(void *ctx, const struct tributary_batch_call *call, void **resource_out,
                                struct tributary_status *status);
    size_t resource_bytes;
    /* Saves it, once for each batch in which an operation has run. NULL: nothing is saved. ABORTED
     * means a conflict: the store has another state than what was loaded. */
    enum tributary_code (*save)(void *ctx, const struct tributary_batch_call *call, void *resource,
                                struct tributary_status *status);
    /* Frees it at last, before the next batch of its key loads; not one that is NULL. One of
     * `resource_bytes` is freed by the library: then it only frees what operations have put into
     * it. NULL: nothing is freed. */
    void (*free)(void *ctx, void *resource);
    void *ctx; /* of these three */

    uint32_t threads; /* for callbacks; 0: one for each processor, at least 2; at most 1024 */
    enum tributary_batch_window window;
    int64_t window_ns;   /* 0: 100 ms; 1 ms to 1 h; it includes the load */
    int64_t deadline_ns; /* of load and save, from the beginning of the batch; 0: 2 * window_ns */
    /* Try a load that failed again until the deadline: after `retry_first_ns` (0: 10 ms), and twice
     * as long after each further failure, at most `retry_max_ns` (0: 1 s), up to a quarter less at
     * random. False: all who wait get the failure. */
    bool retry_load;
    int64_t retry_first_ns, retry_max_ns;
    /* After a save with a conflict: load again and run the operations of the batch again, so many
     * times at most. 0: all of them get the failure, as after any other failure of save(). */
    uint32_t max_reloads;
    /* Bounds; 0 means the default. A batch that is full ends at once. */
    uint64_t max_operations;    /* of a batch; 10000 */
    uint64_t max_bytes;         /* of them; 16 MiB */
    uint64_t max_waiters;       /* operations of one key that have not started; 100000 */
    uint64_t max_waiting_bytes; /* of them; 64 MiB; one alone may have more, up to max_bytes */
    uint64_t max_keys;          /* keys that have a batch or a waiter; 1000000 */
    uint64_t max_batches;       /* that have begun; other keys wait for their turn; max_keys */
    /* Operations are refused where a batch is full, or max_batches have begun. False: they wait. */
    bool refuse_when_full;
};

#endif
