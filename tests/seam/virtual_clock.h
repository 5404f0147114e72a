/* virtual.h - a clock that stands still until the test moves it, and a loop that goes by it. Linked
 * into a suite as a source of its own (virtual.c), it takes the place of the real ones; one thread
 * only. */
#ifndef TRIBUTARY_TESTS_SEAM_VIRTUAL_CLOCK_H
#define TRIBUTARY_TESTS_SEAM_VIRTUAL_CLOCK_H

#include "base/clock.h"
#include "loop/loop.h"

/* Lets time pass: every timer that comes due meanwhile fires at its moment, and what was posted is
 * run. 0: only what is due by now. */
void virtual_time_pass(struct loop *loop, int64_t ns);

#endif
