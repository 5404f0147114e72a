/* stop.h - what a long-running verb waits for: a signal, a deadline, a bell rung by another thread,
 * bytes to read. Main thread, except stop_ring() and stop_end(). */
#ifndef TRIBUTARY_TOOL_STOP_H
#define TRIBUTARY_TOOL_STOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct stop {
    int signal_fd;
    int wakeup_fd;
    int64_t until_ns; /* clock_mono_ns(): the end that was asked for; INT64_MAX: none */
    unsigned signals; /* SIGINT and SIGTERM seen so far */
    bool rung;        /* the bell rang since this was last set to false */
    _Atomic bool over;
};

/* Takes SIGINT and SIGTERM over; call it before other threads begin, so that they inherit the mask.
 * False: errno says why. */
bool stop_init(struct stop *stop, int64_t for_ns); /* `for_ns` 0: no end */
void stop_fini(struct stop *stop);

/* Any thread. */
void stop_ring(struct stop *stop);

/* Any thread: there is nothing left to do, as if somebody had asked. */
void stop_end(struct stop *stop);

/* Waits until `fd` (or -1) can be read, a signal came, the bell rang, the end is reached, or
 * `max_ns` (INT64_MAX: no bound) passed. True: `fd` can be read, or has ended. */
bool stop_wait(struct stop *stop, int fd, int64_t max_ns);

/* A signal came, the end is reached, or stop_end() was called. */
bool stop_requested(const struct stop *stop);

#endif
