/* bindings_close.h - the end of all bindings of a producer.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_BINDINGS_CLOSE_H
#define TRIBUTARY_HUB_BINDINGS_CLOSE_H

#include <stdbool.h>
#include <stdint.h>

struct bindings_end;
struct inlet;
struct producer;

/* Whatever was to be reported to the wildcards of an inlet is reported: its end goes on. */
void bindings_reported(struct inlet *inlet);

/* binding_close() for every binding of a producer, and the same for its wildcards, now. Where it
 * had its bindings for a while use bindings_end(). */
void bindings_close(struct producer *producer, uint32_t state, uint32_t code, const char *message);

/* Takes all bindings of a producer out, closes their feeds and frees them. No new one may come.
 * Returns true when that is done. A producer with many bindings takes longer than one turn has time
 * for: then this returns false, the rest follows in slices, and `end->ended` is called on the loop.
 * It may free the producer. `end` is copied. */
bool bindings_end(struct producer *producer, const struct bindings_end *end);

#endif
