/* worker_policy.h - what holds for a processor of keyed batches. Part of <tributary/worker.h>.
 *
 * The first worker of a processor decides; one that asks for something else is refused while others
 * work. 0 means the default, which the comment names. */
#ifndef TRIBUTARY_WORKER_POLICY_H
#define TRIBUTARY_WORKER_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "batch_options.h"

struct tributary_worker_policy {
    enum tributary_batch_window window; /* FIXED is the default */
    int64_t window_ns;                  /* 100 ms; 1 ms to 1 h; it includes the load */
    int64_t
        deadline_ns; /* from the beginning of a batch until it should be saved; 2 * window_ns; up to 2 h */
    /* A load that failed is tried again until the deadline. False: all who wait get the failure. */
    bool retry_load;
    /* After a save that answered ABORTED: load again and run the operations again, so many times at
     * most. 0: all of them get the failure. At most 1000 */
    uint32_t max_reloads;
    uint64_t max_operations;    /* of a batch; 10000, which is the most */
    uint64_t max_bytes;         /* of them; 16 MiB */
    uint64_t max_waiters;       /* operations of one key that have not started; 100000, the most */
    uint64_t max_waiting_bytes; /* of them; 64 MiB */
    uint64_t max_keys;          /* keys that have a batch or a waiter; 1000000 */
};

#endif
