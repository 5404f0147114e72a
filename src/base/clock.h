/* clock.h - the monotonic clock and the wall clock, in nanoseconds.
 *
 * Threads: any. */
#ifndef TRIBUTARY_BASE_CLOCK_H
#define TRIBUTARY_BASE_CLOCK_H

#include "base/base.h"

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_US INT64_C(1000)

/* The monotonic clock: for waiting and measuring. It never jumps. Its zero has no meaning. */
int64_t clock_mono_ns(void);

/* The wall clock, since 1970: for people and for the wire. It may jump. */
int64_t clock_wall_ns(void);

/* A new epoch: clock_wall_ns(), or one more than the last epoch where the clock has not passed
 * that. So every epoch is above all earlier ones of this process. */
uint64_t clock_epoch_ns(void);

/* A moment, which is not negative, plus a wait; INT64_MAX where that overflows. */
static inline int64_t clock_add_ns(int64_t at_ns, int64_t wait_ns)
{
    return wait_ns > INT64_MAX - at_ns ? INT64_MAX : at_ns + wait_ns;
}

/* clock_mono_ns() after a wait; INT64_MAX where that overflows. */
static inline int64_t clock_from_now_ns(int64_t wait_ns)
{
    return clock_add_ns(clock_mono_ns(), wait_ns);
}

#endif
