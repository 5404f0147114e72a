/* counters.h - live objects and totals of the process. Any thread; relaxed: each is exact, none is
 * ordered against another. */
#ifndef TRIBUTARY_BASE_COUNTERS_H
#define TRIBUTARY_BASE_COUNTERS_H

#include <stdatomic.h>

#include "base/base.h"

enum counter {
#define COUNTER(id, name) COUNT_##id,
#include "base/counters.def"
#undef COUNTER
    COUNTER_COUNT
};

extern _Atomic int64_t counters[COUNTER_COUNT];

static inline void count_add(enum counter counter, int64_t by)
{
    atomic_fetch_add_explicit(&counters[counter], by, memory_order_relaxed);
}

static inline int64_t count_get(enum counter counter)
{
    return atomic_load_explicit(&counters[counter], memory_order_relaxed);
}

const char *counter_name(enum counter counter); /* "live.chunks"; static */

#endif
