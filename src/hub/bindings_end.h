/* bindings_end.h - a producer whose bindings end (bindings_close.h).
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_BINDINGS_END_H
#define TRIBUTARY_HUB_BINDINGS_END_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/loop.h"
#include "route/inlet_report.h"

struct producer;

/* Embedded in the producer. */
struct bindings_end {
    uint32_t state, code; /* for the consumers, as for feed_close() */
    const char *message;  /* static, or the producer's; may be NULL */
    void (*ended)(struct producer *producer);
    struct slice slice;  /* bindings_end()'s own */
    bool awaits_reports; /* and then takes the bindings out */
};

/* Whether it has no binding, and nothing is left to be reported of it. */
static inline bool bindings_are_gone(const struct inlet *inlet)
{
    return inlet->route_count == 0 && !inlet_has_reports(inlet);
}

#endif
