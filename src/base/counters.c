/* counters.c - the counters, and their names. */
#include "base/counters.h"

_Atomic int64_t counters[COUNTER_COUNT];

const char *counter_name(enum counter counter)
{
    static const char *const names[COUNTER_COUNT] = {
#define COUNTER(id, name) [COUNT_##id] = name,
#include "base/counters.def"
#undef COUNTER
    };

    return (unsigned)counter < COUNTER_COUNT ? names[counter] : "unknown";
}
