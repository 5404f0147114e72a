/* clock.h - the two clocks, in nanoseconds. Any thread. */
#ifndef TRIBUTARY_BASE_CLOCK_H
#define TRIBUTARY_BASE_CLOCK_H

#include "base/base.h"

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_US INT64_C(1000)

int64_t clock_mono_ns(void); /* for waiting and measuring; never jumps */
int64_t clock_wall_ns(void); /* since 1970; for people and the wire; may jump */

/* A value above every earlier one of this process, near clock_wall_ns(): epochs. */
uint64_t clock_epoch_ns(void);

#endif
