/* busy_meter.h - whether a thread has more work than waiting, by its processor time.
 *
 * Threads: the thread that is measured. */
#ifndef TRIBUTARY_SERVER_WIRE_BUSY_METER_H
#define TRIBUTARY_SERVER_WIRE_BUSY_METER_H

#include <stdbool.h>
#include <stdint.h>

/* A thread is busy if it used more than this share of a processor, averaged over windows. */
#define BUSY_ABOVE_PERCENT 70

struct busy_meter {
    int64_t window_began_ns;
    int64_t window_cpu_ns; /* the thread's processor time at the beginning of the window */
    int percent;           /* mean of the last windows; the newest counts half */
};

/* Begins the first window at `now_ns` (clock_mono_ns()). */
void busy_meter_start(struct busy_meter *meter, int64_t now_ns);

/* Closes the window when it is at least 1 ms long. Call it once for each turn. */
void busy_meter_update(struct busy_meter *meter, int64_t now_ns);

static inline bool busy_meter_is_busy(const struct busy_meter *meter)
{
    return meter->percent > BUSY_ABOVE_PERCENT;
}

#endif
