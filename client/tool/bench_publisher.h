/* bench_publisher.h - one publisher of a bench: a connection, and a thread that publishes single
 * events as fast as the plan allows. Main thread, where nothing else is said. */
#ifndef TRIBUTARY_TOOL_BENCH_PUBLISHER_H
#define TRIBUTARY_TOOL_BENCH_PUBLISHER_H

#include <pthread.h>
#include <stdatomic.h>

#include "tributary/tributary.h"
#include "client/tool/bench_acks.h"
#include "client/tool/bench_mark.h"
#include "client/tool/stop.h"

/* What all publishers of a run share. Only `stopping` and `running` change after the first thread
 * has started. */
struct bench_plan {
    uint32_t publishers;
    uint64_t events;              /* of all publishers together; 0: no end */
    uint64_t rate;                /* events per second of all together; 0: unlimited */
    uint32_t size;                /* bytes of payload, at least MARK_BYTES */
    int64_t began_ns;             /* the start of the schedule that `rate` makes */
    int64_t until_ns;             /* publishing ends then; INT64_MAX: no end */
    uint64_t run;                 /* mark_run() */
    struct tributary_event event; /* template: every member but the payload */
    /* How events are confirmed, and how many of a publisher may wait for it and go in one message;
     * 0: as the library has it. Confirmations are timed where `window` is given. */
    enum tributary_confirm confirm;
    uint32_t window, batch;
    bool quiet;
    struct stop *stop;        /* woken when a publisher is done */
    _Atomic bool stopping;    /* any thread sets it: publish no more */
    _Atomic uint32_t running; /* number of threads that publish */
};

struct bench_publisher {
    /* Set once. */
    struct bench_plan *plan;
    uint32_t number;
    struct tributary *client; /* owned */
    struct tributary_publisher *publisher;
    uint8_t *payload;
    pthread_t thread;
    bool started;

    /* Publisher thread; after it has ended, any thread. */
    struct mark mark;
    int64_t due_ns;             /* of the message that is being filled; with a rate */
    enum tributary_code failed; /* the error that ended it; TRIBUTARY_OK: none */
    int64_t done_ns;            /* when it had published its last event */

    /* Any thread. */
    _Atomic uint64_t published;    /* updated at least every 16 events */
    _Atomic int refused_code;      /* code of the latest refusal; 0: none */
    _Atomic uint32_t refused_seen; /* number of refusals reported */

    struct bench_acks acks;
};

/* Opens a publisher under the producer name `name`. The publisher owns `client` from then on, also
 * on failure. A failure is printed to standard error. Call bench_publisher_close() in both
 * cases. */
enum tributary_code bench_publisher_open(struct bench_publisher *publisher, struct tributary *client,
                                         const char *name);

/* Starts the thread. False: it could not be started. */
bool bench_publisher_start(struct bench_publisher *publisher);

/* Waits for the thread to end. It ends soon after `stopping` is set. */
void bench_publisher_join(struct bench_publisher *publisher);

/* Frees what the publisher owns. Events that are not confirmed by then count as refused. */
void bench_publisher_close(struct bench_publisher *publisher);

/* The time at which `rate` makes event `number` of this publisher due. With `batch` that many
 * events are due together: they fill a message. */
int64_t bench_due_ns(const struct bench_publisher *publisher, uint64_t number);

/* The number of events that publisher `number` publishes; UINT64_MAX: no end. */
uint64_t bench_share(const struct bench_plan *plan, uint32_t number);

#endif
