/* bench_runner.h - one runner of `bench batch`: a connection, and a thread that submits operations
 * as fast as the plan allows. Main thread, where nothing else is said. */
#ifndef TRIBUTARY_TOOL_BENCH_RUNNER_H
#define TRIBUTARY_TOOL_BENCH_RUNNER_H

#include <pthread.h>
#include <stdatomic.h>

#include "client/tool/bench_histogram.h"
#include "client/tool/stop.h"
#include "tributary/tributary.h"

/* What all runners of a run share. Only `stopping` and `running` change after the first thread has
 * started. */
struct runner_plan {
    const char *processor;
    uint32_t runners, keys, size, in_flight;
    uint64_t operations; /* of all runners together; 0: no end */
    uint64_t rate;       /* per second of all together; 0: unlimited */
    int64_t window_ns;   /* of a FIXED window; 0: ADAPTIVE, or not known */
    int64_t began_ns;    /* the start of the schedule that `rate` makes */
    int64_t until_ns;    /* submitting ends then; INT64_MAX: no end */
    bool with_ids, quiet;
    struct stop *stop; /* woken when a runner is done */
    _Atomic bool stopping;
    _Atomic uint32_t running; /* number of threads that submit */
};

struct bench_runner {
    /* Set once. */
    struct runner_plan *plan;
    uint32_t number;
    struct tributary *client; /* owned */
    struct tributary_runner *runner;
    uint8_t *payload;
    pthread_t thread;
    bool started;

    /* The runner's thread; after it has ended, any thread. */
    enum tributary_code failed; /* the error that ended it; TRIBUTARY_OK: none */
    int64_t done_ns;            /* when it had submitted its last operation */

    /* The client's thread; after the runner was freed, any thread. */
    struct histogram latency;     /* from when it was due until its end */
    struct histogram over_window; /* from the end of the window until its end */
    uint64_t may_have_run;
    int64_t last_ns;                 /* when the last one ended */
    struct tributary_status failure; /* of the first one that failed; code OK: none did */

    /* Any thread. */
    _Atomic uint64_t submitted, ended;
};

/* Opens a runner. It owns `client` from then on, also on failure, which is printed. Call
 * bench_runner_close() in both cases. */
enum tributary_code bench_runner_open(struct bench_runner *runner, struct tributary *client);

/* Starts the thread. False: it could not be started. */
bool bench_runner_start(struct bench_runner *runner);
/* Waits for the thread to end. It ends soon after `stopping` is set. */
void bench_runner_join(struct bench_runner *runner);

/* Adds the counts of a runner that is still open. */
void bench_runner_add_stats(const struct bench_runner *runner, struct tributary_runner_stats *sum);

/* Ends what is in flight, so that the members of the client's thread may be read. */
void bench_runner_end(struct bench_runner *runner);

/* Frees what the runner owns. */
void bench_runner_close(struct bench_runner *runner);

#endif
