/* stop.h - what a long-running verb waits for: a signal, a deadline, a wakeup by another thread,
 * bytes to read. Main thread, except stop_wake() and stop_end(). */
#ifndef TRIBUTARY_TOOL_STOP_H
#define TRIBUTARY_TOOL_STOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct stop {
    int signal_fd;
    int wakeup_fd;
    int64_t until_ns;  /* clock_mono_ns(): the time of the requested end; INT64_MAX: none */
    unsigned signals;  /* how many of SIGINT, SIGTERM and SIGHUP have come */
    _Atomic bool over; /* stop_end() was called */
};

/* Blocks SIGINT, SIGTERM and SIGHUP and reads them from a descriptor, but for a SIGHUP that is
 * ignored (nohup). Call it before other threads start, so that they inherit the mask. A stop is
 * requested after `for_ns`; 0: never. False: errno says why. */
bool stop_init(struct stop *stop, int64_t for_ns);
/* The time of the requested end counts from now on. */
void stop_begin(struct stop *stop, int64_t for_ns);
void stop_fini(struct stop *stop);

/* Any thread. Ends a wait. */
void stop_wake(struct stop *stop);

/* Any thread. Requests a stop: there is nothing left to do. */
void stop_end(struct stop *stop);

/* Waits until `fd` (-1: none) can be read, a signal comes, stop_wake() is called, the end is
 * reached, or `max_ns` has passed (INT64_MAX: no bound). True: `fd` can be read, or has ended. */
bool stop_wait(struct stop *stop, int fd, int64_t max_ns);

/* True: a signal came, the end is reached, or stop_end() was called. */
bool stop_requested(const struct stop *stop);

#endif
