/* bench_subscriber.h - one subscriber of a bench: a connection of its own, whose client thread
 * checks and counts the events. Main thread, where nothing else is said. */
#ifndef TRIBUTARY_TOOL_BENCH_SUBSCRIBER_H
#define TRIBUTARY_TOOL_BENCH_SUBSCRIBER_H

#include <stdatomic.h>

#include "client/tool/bench_check.h"
#include "client/tool/stop.h"

/* What all subscribers of a run share. The members up to `stop` are set before the first subscriber
 * is opened. */
struct bench_group {
    uint32_t count; /* number of subscribers */
    uint64_t goal;  /* events for each subscriber, lost ones included; 0: no end */
    bool quiet;
    struct stop *stop;        /* woken when `started` or `done` changes */
    _Atomic uint32_t started; /* subscribers whose stream has started */
    _Atomic uint32_t done;    /* subscribers that reached the goal, or ended */
    _Atomic uint32_t failed;  /* subscribers that ended with an error */
    _Atomic bool begun;       /* a subscriber got an event */
    int64_t cpu_began_ns;     /* report_cpu_ns() at that moment */
};

struct bench_subscriber {
    /* Set once. */
    struct bench_group *group;
    uint32_t number;
    struct tributary *client; /* owned */
    struct tributary_subscriber *subscriber;

    /* Client thread; after bench_subscriber_end(), any thread. */
    struct check check;
    uint64_t messages; /* messages that brought events */
    uint32_t in_message;
    int64_t now_ns, first_ns, last_ns;
    bool has_started, is_done;
    struct tributary_status status; /* set when it has ended */

    /* Any thread; updated once for each message. */
    _Atomic uint64_t events, bytes, faults;
    _Atomic uint32_t reconnects;
};

/* Subscribes. The subscriber owns `client` from then on, also on failure. Set the caller's members
 * of `check` before. A failure is printed to standard error. Call bench_subscriber_close() in both
 * cases. */
enum tributary_code bench_subscriber_open(struct bench_subscriber *subscriber, struct tributary *client,
                                          const struct tributary_subscriber_options *options);

/* Ends the stream and waits for its end. Nothing is counted after that. */
void bench_subscriber_end(struct bench_subscriber *subscriber);

/* Frees what the subscriber owns. */
void bench_subscriber_close(struct bench_subscriber *subscriber);

/* The longest that subscribing may take. */
#define BENCH_START_NS INT64_C(10000000000)

/* Waits until all have subscribed, one has failed, a stop is requested, or BENCH_START_NS has
 * passed. True: all have subscribed. */
bool bench_group_wait(struct bench_group *group);

/* Call it when all have ended. Prints to standard error why one of them failed. Returns the exit
 * code; EXITS_OK where none has failed. */
int bench_group_verdict(const struct bench_group *group, const struct bench_subscriber *subscribers);

#endif
