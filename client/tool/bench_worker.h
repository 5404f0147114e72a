/* bench_worker.h - the worker of `bench batch`: it loads nothing, answers each operation with the
 * stamp of the first one of its batch, and sleeps in place of a save. */
#ifndef TRIBUTARY_TOOL_BENCH_WORKER_H
#define TRIBUTARY_TOOL_BENCH_WORKER_H

#include <stdatomic.h>

#include "client/tool/stop.h"
#include "tributary/tributary.h"

struct bench_worker {
    /* Set by the owner. */
    struct stop *stop; /* woken when the worker is welcome, or has ended */
    int64_t save_delay_ns;
    bool quiet;

    struct tributary *client; /* owned */
    struct tributary_worker *worker;
    _Atomic bool welcome;
    _Atomic int ended; /* 0: it has not; else one more than its code */
};

/* Opens it, with the processor, the policy, `max_batches` and `threads` of `options`. It owns
 * `client` from then on, also on failure, which is printed. Call bench_worker_close() in both
 * cases. */
enum tributary_code bench_worker_open(struct bench_worker *worker, struct tributary *client,
                                      const struct tributary_worker_options *options);

/* Waits until it is welcome, or has ended, or a stop is requested. True: it is welcome. */
bool bench_worker_wait(struct bench_worker *worker);

/* Finishes its batches, and frees it. */
void bench_worker_close(struct bench_worker *worker);

#endif
