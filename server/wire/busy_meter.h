/* busy_meter.h - whether a thread has more work than waiting: by the processor time that it used,
 * and by the time for which it waited for a processor.
 *
 * Threads: the thread that is measured. */
#ifndef TRIBUTARY_SERVER_WIRE_BUSY_METER_H
#define TRIBUTARY_SERVER_WIRE_BUSY_METER_H

#include <stdbool.h>
#include <stdint.h>

/* A thread is busy if it ran, or could have run, for more than this share of the time, averaged
 * over windows. */
#define BUSY_ABOVE_PERCENT 70

struct busy_meter {
    int file; /* the kernel's account of the thread; -1: it has none */
    int64_t window_began_ns;
    int64_t window_runnable_ns; /* how long the thread had run or could have, when the window began */
    int percent;                /* mean of the last windows; the newest counts half */
};

/* Begins the first window at `now_ns` (clock_mono_ns()). */
void busy_meter_start(struct busy_meter *meter, int64_t now_ns);
/* Nothing is measured any more. */
void busy_meter_stop(struct busy_meter *meter);

/* Closes the window when it is at least 1 ms long. Call it once for each turn. */
void busy_meter_update(struct busy_meter *meter, int64_t now_ns);

/* How long the thread ran so far, or waited for a processor. */
int64_t busy_meter_runnable_ns(const struct busy_meter *meter);

static inline bool busy_meter_is_busy(const struct busy_meter *meter)
{
    return meter->percent > BUSY_ABOVE_PERCENT;
}

#endif
