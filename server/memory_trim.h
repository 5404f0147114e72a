/* memory_trim.h - gives memory back to the system that a burst has left behind.
 *
 * malloc() keeps what is freed. Of blocks below 128 KiB it gives back only what lies at the end of
 * its memory. So the daemon would stay as large as its largest burst. Once a second a worker looks
 * how much is resident and not allocated, and calls malloc_trim() where much of that stays.
 *
 * The price: whoever allocates in the same part of the memory waits for malloc_trim(), which takes
 * about 0.1 to 0.3 ms for each MiB that it gives back. server/trim_policy.h bounds how often.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_MEMORY_TRIM_H
#define TRIBUTARY_SERVER_MEMORY_TRIM_H

#include "loop/loop.h"
#include "loop/workers.h"
#include "server/trim_policy.h"

/* Zeroed it is ready. The members are its own. */
struct memory_trim {
    struct loop *loop;
    struct workers *workers;
    struct timer due;
    struct job sample;
    struct trim_policy policy; /* the worker's */
};

/* Begins to watch the memory. The loop must outlive it.
 *   ERR_NO_MEMORY, ERR_IO  as workers_new(); nothing was started */
MUST_CHECK struct status memory_trim_start(struct memory_trim *trim, struct loop *loop);

/* Waits for a trim that runs, and ends the worker. What was started or not may be stopped. The
 * struct must live until the loop is freed. */
void memory_trim_stop(struct memory_trim *trim);

#endif
