/* load.h - the load generator: what its three processes share, and what a protocol must be able to
 * do.
 *
 * One process holds all producers, one all consumers, each with a single thread on epoll; the
 * parent waits, reads the accounts and prints. They meet in one shared mapping. Each field there
 * has one writer, named beside it. */
#ifndef TRIBUTARY_TESTS_LOAD_H
#define TRIBUTARY_TESTS_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/base.h"
#include "bench/histogram.h"
#include "bench/plan.h"

/* The head of every payload; the rest is filler. */
struct mark {
    uint64_t time_ns; /* open loop: when it was due; closed loop: when it was written */
    uint64_t who;     /* mark_who() */
};
#define MARK_NUMBER_BITS 48

/* The producer and its event's number, from 0; where the server counts, the event's sequence is
 * number + 1. */
static inline uint64_t mark_who(uint64_t producer, uint64_t number)
{
    return producer << MARK_NUMBER_BITS | number;
}

enum phase { PHASE_CONNECT, PHASE_WARM_UP, PHASE_MEASURE, PHASE_STOP, PHASE_END };
enum side { SIDE_PRODUCERS = 1, SIDE_CONSUMERS = 2 }; /* bits */

/* What one consumer has received. On a cache line of its own. */
struct totals {
    _Alignas(64) _Atomic uint64_t events;
    _Atomic uint64_t messages;
};

struct load {
    struct plan plan;                                /* settled before anybody else is there */
    int bell_producers, bell_consumers, bell_parent; /* eventfds */

    /* Parent. */
    _Atomic int phase;
    _Atomic int64_t begin_ns, end_ns; /* of the measured time; 0: not yet */

    /* Producers. */
    _Alignas(64) _Atomic uint64_t published;
    uint64_t published_by[MAX_PLAN_PRODUCERS]; /* valid once SIDE_PRODUCERS is in `finished` */
    struct histogram late;                     /* open loop: from when a message was due to its write */

    /* Consumers. */
    /* events that every consumer that reads has; with a filter: that the one who wants them has */
    _Alignas(64) _Atomic uint64_t landed;
    struct histogram latency;

    /* Both. `wanted`: the producers wait until so much has landed; 0: they do not. */
    _Alignas(64) _Atomic uint64_t wanted;
    _Atomic unsigned ready, finished; /* sides */
    _Atomic int failed;               /* 0 no, 1 being written, 2 `failure` is there */
    char failure[512];

    struct totals tallies[]; /* one for each consumer; consumers */
};

/* Notes the first failure, for the parent to tell; a run with one is no result. Any process. */
void load_fail(struct load *load, const char *text, ...) PRINTF_LIKE(2, 3);
static inline bool load_failed(struct load *load)
{
    return atomic_load_explicit(&load->failed, memory_order_relaxed) != 0;
}
void load_ring(int wakeup);
/* Tells the parent that a side is ready, or has finished. */
void load_tell(struct load *load, _Atomic unsigned *which, enum side side);

/* The two child processes; each returns its exit status. */
int producers_run(struct load *load);
int consumers_run(struct load *load);

#endif
