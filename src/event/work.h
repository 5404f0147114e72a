/* work.h - counts steps of matching, in tests only.
 *
 * A test that compiles this room with TRIBUTARY_COUNT_WORK defines `work_done`. So it can prove a
 * bound by counting, where a clock could only suggest it. Other builds count nothing.
 *
 * Threads: one, in tests. */
#ifndef TRIBUTARY_EVENT_WORK_H
#define TRIBUTARY_EVENT_WORK_H

#include <stdint.h>

#ifdef TRIBUTARY_COUNT_WORK
extern uint64_t work_done;
#define COUNT_WORK(steps) ((void)(work_done += (steps)))
#else
#define COUNT_WORK(steps) ((void)0)
#endif

#endif
