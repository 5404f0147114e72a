/* bench_subscriber.h - one subscriber of a bench: a connection of its own, whose thread checks and
 * counts what comes. */
#ifndef TRIBUTARY_TOOL_BENCH_SUBSCRIBER_H
#define TRIBUTARY_TOOL_BENCH_SUBSCRIBER_H

#include <stdatomic.h>

#include "client/tool/bench_check.h"
#include "client/tool/stop.h"

/* What all subscribers of a run share. */
struct bench_crowd {
    uint32_t count; /* subscribers */
    uint64_t goal;  /* events of each subscriber, lost ones included; 0: no end */
    bool quiet;
    struct stop *stop;        /* rung when something below changes */
    _Atomic uint32_t started; /* subscribers that have subscribed */
    _Atomic uint32_t done;    /* that have reached the goal, or ended */
    _Atomic uint32_t failed;  /* that ended by themselves, not with OK */
    _Atomic bool begun;       /* somebody got an event */
    int64_t cpu_began_ns;     /* report_cpu_ns() then */
};

struct bench_subscriber {
    /* Set once. */
    struct bench_crowd *crowd;
    uint32_t number;
    struct tributary *client; /* ours */
    struct tributary_subscriber *subscriber;

    /* Client thread; any thread after it has ended. */
    struct check check;
    uint64_t messages; /* that brought events */
    uint32_t in_message;
    int64_t now_ns, first_ns, last_ns;
    bool has_started, is_done;
    struct tributary_status status; /* how it ended */

    /* Any thread: as of the latest message. */
    _Atomic uint64_t events, bytes, faults;
    _Atomic uint32_t reconnects;
};

/* Takes the client over, and subscribes; `check` of the subscriber says what is not to be checked.
 * On failure standard error says why, and bench_subscriber_close() is called all the same. */
enum tributary_code bench_subscriber_open(struct bench_subscriber *subscriber, struct tributary *client,
                                          const struct tributary_subscriber_options *options);

/* Nothing more is counted. Waits until it has ended. */
void bench_subscriber_end(struct bench_subscriber *subscriber);

void bench_subscriber_close(struct bench_subscriber *subscriber);

/* How long subscribing may take. */
#define BENCH_START_NS INT64_C(10000000000)

/* Main thread. Waits until all have subscribed, one has failed, somebody asks to stop, or
 * BENCH_START_NS passed. True: all have. */
bool bench_crowd_wait(struct bench_crowd *crowd);

/* Main thread, when all have ended: why one of them failed, on standard error. The exit code;
 * EXITS_OK where none has. */
int bench_crowd_verdict(const struct bench_crowd *crowd, const struct bench_subscriber *subscribers);

#endif
