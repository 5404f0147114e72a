/* fake_loop.h - a clock that the test moves, and a loop without a thread: tasks, timers and slices
 * run when the test says so. A suite that links it wraps what FAKE_LOOP_LIBS of CMakeLists.txt
 * names.
 *
 * Threads: one. */
#ifndef TRIBUTARY_TESTS_UNIT_BATCH_FAKE_LOOP_H
#define TRIBUTARY_TESTS_UNIT_BATCH_FAKE_LOOP_H

#include "base/clock.h"
#include "loop/loop.h"

/* The one loop, new: the clock is at one second, and nothing was posted. */
struct loop *fake_loop_new(void);
/* Runs the tasks that wait and those that they post, a step of each slice, and the timers that are
 * due. */
void fake_loop_turn(void);
/* Turns, moves the clock to each time at which a timer is due, and ends `ns` later. */
void fake_loop_pass(int64_t ns);
/* Whether nothing waits: no task, no timer, no slice. */
bool fake_loop_is_empty(void);
int64_t fake_now_ns(void);

#endif
