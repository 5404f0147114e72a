/* virtual_clock.h - a clock that stands still until the test moves it, and a loop that goes by it.
 * A suite links virtual_clock.c as a source of its own; it takes the place of the real ones. One
 * thread only. */
#ifndef TRIBUTARY_TESTS_SEAM_VIRTUAL_CLOCK_H
#define TRIBUTARY_TESTS_SEAM_VIRTUAL_CLOCK_H

#include "base/clock.h"
#include "loop/loop.h"

/* Lets time pass. Every timer that comes due meanwhile fires at its moment, and posted tasks run.
 * 0: only what is due by now. */
void virtual_time_pass(struct loop *loop, int64_t ns);

/* Steps that a slice takes at once, or each third time no step; the rest waits until time passes or
 * the loop turns. 0, as it is at first: all of them. */
extern unsigned virtual_slice_steps;

/* Time begins again, and so do the epochs. No loop may exist. */
void virtual_clock_reset(void);

#endif
