/* totals.h - a count of events and of their bytes. */
#ifndef TRIBUTARY_FLOW_TOTALS_H
#define TRIBUTARY_FLOW_TOTALS_H

#include <stdint.h>

struct totals {
    uint64_t events, bytes;
};

static inline void totals_add(struct totals *totals, uint64_t events, uint64_t bytes)
{
    totals->events += events;
    totals->bytes += bytes;
}

static inline void totals_sub(struct totals *totals, uint64_t events, uint64_t bytes)
{
    totals->events -= events;
    totals->bytes -= bytes;
}

#endif
