/* bindings_end.h - the end of all bindings of a producer.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_BINDINGS_END_H
#define TRIBUTARY_HUB_BINDINGS_END_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/loop.h"
#include "route/wildcard.h"

struct producer;

/* Embedded in the producer. */
struct bindings_end {
    uint32_t state, code; /* for the consumers, as for feed_close() */
    const char *message;  /* static, or the producer's; may be NULL */
    void (*ended)(struct producer *producer);
    struct slice slice;  /* bindings_end()'s own */
    bool awaits_reports; /* and then takes the bindings out */
};

/* Whether it has no binding, and nothing is left to be reported to wildcards. */
static inline bool bindings_are_gone(const struct inlet *inlet)
{
    return inlet->route_count == 0 && !inlet_has_reports(inlet);
}

/* Whatever was to be reported to the wildcards of an inlet is reported: its end goes on. */
void bindings_reported(struct inlet *inlet);

/* Takes all bindings of a producer out, closes their feeds and frees them. No new one may come.
 * Returns true when that is done. A producer with many bindings takes longer than one turn has time
 * for: then this returns false, the rest follows in slices, and `end->ended` is called on the loop.
 * It may free the producer. `end` is copied. */
bool bindings_end(struct producer *producer, const struct bindings_end *end);

#endif
