/* bench_publisher.h - one publisher of a bench: a connection, a thread that publishes single events
 * as fast as it may. */
#ifndef TRIBUTARY_TOOL_BENCH_PUBLISHER_H
#define TRIBUTARY_TOOL_BENCH_PUBLISHER_H

#include <pthread.h>
#include <stdatomic.h>

#include "tributary/tributary.h"
#include "client/tool/bench_mark.h"
#include "client/tool/stop.h"

/* What all publishers of a run share. Written before the first thread starts, but for the last
 * two. */
struct bench_plan {
    uint32_t publishers;
    uint64_t events;              /* all together; 0: no end */
    uint64_t rate;                /* events per second, all together; 0: as fast as it goes */
    uint32_t size;                /* bytes of payload, at least MARK_BYTES */
    int64_t began_ns;             /* from which the schedule of `rate` counts */
    int64_t until_ns;             /* the end; INT64_MAX: none */
    uint64_t run;                 /* mark_run() */
    struct tributary_event event; /* what every event says, without its payload */
    bool quiet;
    struct stop *stop;        /* rung when a publisher is done */
    _Atomic bool stopping;    /* any thread: no more */
    _Atomic uint32_t running; /* threads that publish */
};

struct bench_publisher {
    /* Set once. */
    struct bench_plan *plan;
    uint32_t number;
    struct tributary *client; /* ours */
    struct tributary_publisher *publisher;
    uint8_t *payload;
    pthread_t thread;
    bool started;

    /* Its thread; any thread after that has ended. */
    struct mark mark;
    enum tributary_code failed; /* why it published no more */
    int64_t done_ns;            /* when it had published its last */

    /* Any thread. */
    _Atomic uint64_t published;    /* now and then */
    _Atomic int refused_code;      /* of the latest refused events */
    _Atomic uint32_t refused_seen; /* reports of them */
};

/* Takes the client over. `name` is the producer's. On failure standard error says why, and
 * bench_publisher_close() is called all the same. */
enum tributary_code bench_publisher_open(struct bench_publisher *publisher, struct tributary *client,
                                         const char *name);

/* Starts the thread. False: there is none. */
bool bench_publisher_start(struct bench_publisher *publisher);

/* Waits for the thread, which ends soon after `stopping`. */
void bench_publisher_join(struct bench_publisher *publisher);

/* What is not confirmed is refused. */
void bench_publisher_close(struct bench_publisher *publisher);

/* When event `number` of this publisher is due, by `rate`. */
int64_t bench_due_ns(const struct bench_publisher *publisher, uint64_t number);

/* How many of all events are this publisher's; UINT64_MAX: no end. */
uint64_t bench_share(const struct bench_plan *plan, uint32_t number);

#endif
