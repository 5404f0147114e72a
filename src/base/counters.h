/* counters.h - counts of live objects, and totals, for the whole process. counters.def lists them.
 *
 * Threads: any. The operations are relaxed atomics: each counter is exact, but a reader may see the
 * changes of two counters in either order. */
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

/* Raises a counter to `value` where it is lower. Only one thread may raise a counter this way. */
static inline void count_raise(enum counter counter, int64_t value)
{
    if (value > count_get(counter))
        atomic_store_explicit(&counters[counter], value, memory_order_relaxed);
}

/* The counter's name in logs and answers, such as "live.chunks"; static text. */
const char *counter_name(enum counter counter);

#endif
