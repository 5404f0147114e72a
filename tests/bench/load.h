/* load.h - the load generator: what its three processes share.
 *
 * One process holds all producers and one all consumers, each with a single thread on epoll. The
 * parent waits, reads the accounts and prints. They share one mapping. Each field of it has one
 * writer, which the comment above it names. */
#ifndef TRIBUTARY_TESTS_LOAD_H
#define TRIBUTARY_TESTS_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/base.h"
#include "bench/histogram.h"
#include "bench/plan.h"

/* The head of every payload; filler follows. */
struct mark {
    uint64_t time_ns; /* open loop: when the event was due; closed loop: when it was written */
    uint64_t id;      /* mark_who() */
};
#define MARK_NUMBER_BITS 48

/* The producer, and the number of its event, from 0. Where the server counts, the event's sequence
 * is number + 1. */
static inline uint64_t mark_id(uint64_t producer, uint64_t number)
{
    return producer << MARK_NUMBER_BITS | number;
}

enum phase { PHASE_CONNECT, PHASE_WARM_UP, PHASE_MEASURE, PHASE_STOP, PHASE_END };
enum side { SIDE_PRODUCERS = 1, SIDE_CONSUMERS = 2 }; /* bits */

/* What one consumer has received, on a cache line of its own. */
struct totals {
    _Alignas(64) _Atomic uint64_t events;
    _Atomic uint64_t messages;
};

struct load {
    struct plan plan;                                      /* set before the children start */
    int wakeup_producers, wakeup_consumers, wakeup_parent; /* eventfds */

    /* Parent. */
    _Atomic int phase;
    _Atomic int64_t begin_ns, end_ns; /* of the measured time; 0: not yet */

    /* Producers. */
    _Alignas(64) _Atomic uint64_t published;
    uint64_t published_by[MAX_PLAN_PRODUCERS]; /* valid once SIDE_PRODUCERS is in `finished` */
    struct histogram late; /* open loop: the time from when a message was due to its write */

    /* Consumers. */
    /* How many events every consumer that reads has. With a filter: how many the consumer that
     * wants them has. */
    _Alignas(64) _Atomic uint64_t arrived;
    struct histogram latency;

    /* Both children. `wanted`: the producers wait until so much has arrived; 0: they do not
     * wait. */
    _Alignas(64) _Atomic uint64_t wanted;
    _Atomic unsigned ready, finished; /* sides */
    _Atomic int failed;               /* 0: no; 1: `failure` is being written; 2: `failure` is complete */
    char failure[512];

    struct totals totals[]; /* one for each consumer; written by the consumers */
};

/* Any process. Records the first failure; the parent prints it. A run with a failure has no
 * result. */
void load_fail(struct load *load, const char *text, ...) PRINTF_LIKE(2, 3);
static inline bool load_failed(struct load *load)
{
    return atomic_load_explicit(&load->failed, memory_order_relaxed) != 0;
}
void load_wake(int wakeup);
/* Notifies the parent that a side is ready, or has finished. */
void load_notify(struct load *load, _Atomic unsigned *which, enum side side);

/* The two child processes; each returns its exit status. */
int producers_run(struct load *load);
int consumers_run(struct load *load);

#endif
