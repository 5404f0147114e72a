/* bench_acks.h - how long a publisher of a bench waits for its confirmations. */
#ifndef TRIBUTARY_TOOL_BENCH_ACKS_H
#define TRIBUTARY_TOOL_BENCH_ACKS_H

#include <stdbool.h>

#include "client/tool/bench_histogram.h"
#include "tributary/tributary.h"

/* DESIGN. `due_ns` has the time of each event that is not confirmed yet. Up to `window` events wait
 * for their confirmation; when they are confirmed, as many more may be published before the
 * callback has read the times of the first ones. So the ring holds two windows and one event. */
struct bench_acks {
    int64_t *due_ns; /* NULL: nothing is measured */
    size_t size;
    struct histogram latency; /* client thread; after the publisher was flushed, any thread */
};

/* Sets up the ring. False: out of memory. Call bench_acks_fini() in both cases. */
bool bench_acks_init(struct bench_acks *acks, uint32_t window);
void bench_acks_fini(struct bench_acks *acks);

/* Notes when event `number`, counted from 0, was due. Before it is published. Publisher thread. */
static inline void bench_acks_due(struct bench_acks *acks, uint64_t number, int64_t due_ns)
{
    if (acks->due_ns)
        acks->due_ns[number % acks->size] = due_ns;
}

/* Counts the latency of what was confirmed. Client thread. */
void bench_acks_confirmed(struct bench_acks *acks, const struct tributary_confirmed *confirmed);

/* The processor time that the server has used, where it runs on this machine: process `pid` is a
 * tributaryd. -1: it does not. */
int64_t bench_server_cpu_ns(uint32_t pid);

/* The process of the server, as it says itself. 0: it does not answer. */
uint32_t bench_server_pid(struct tributary *client);

#endif
