/* memory_trim.h - gives memory back to the system that a burst has left behind.
 *
 * malloc() keeps what is freed. It gives back only large blocks, and what lies at the end of its
 * memory. So the daemon would stay as large as its largest burst. Once a second a worker looks how
 * much is resident and not allocated, and calls malloc_trim() where much of that stays.
 *
 * What malloc() gives back at the end of its memory by itself, from 128 KiB on, it soon needs again
 * while messages come and go. The system then clears every page anew. So the daemon raises this
 * bound to 1 MiB.
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

/* Lets malloc() keep up to 1 MiB at the end of each part of its memory, for the life of the
 * process. memory_trim_start() calls it. Any thread. */
void memory_trim_keep(void);

/* Begins to watch the memory. The loop must outlive it.
 *   ERR_NO_MEMORY, ERR_IO  as workers_new(); nothing was started */
MUST_CHECK struct status memory_trim_start(struct memory_trim *trim, struct loop *loop);

/* Waits for a trim that runs, and ends the worker. What was started or not may be stopped. The
 * struct must live until the loop is freed. */
void memory_trim_stop(struct memory_trim *trim);

#endif
