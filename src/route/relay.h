/* relay.h - publishing what another server has numbered: events, losses and positions of one of its
 * sources. The sequences stay as they are.
 *
 * A source *skips* the events between two sequences that it publishes. What of them was not
 * reported as lost is *uncounted*: that server had a filter. Then a resume gap of the source has no
 * count.
 *
 * Threads: any one at a time for each inlet, except what takes no `place`. */
#ifndef TRIBUTARY_ROUTE_RELAY_H
#define TRIBUTARY_ROUTE_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "flow/source_loss.h"

struct chunk;
struct inlet;
struct put_waiter;

/* What the publisher notes of its inlet. Zeroed for a new one. */
struct relay_place {
    uint64_t skipped, lost; /* events, since it is known where the source stands */
};

/* Publishes a chunk whose events have their sequences. Those that are not above the last one were
 * published before: they are left out, and count as repeated.
 *
 *   ERR_OK         accepted, or nothing was left; otherwise as inlet_offer()
 *   ERR_NO_MEMORY  a part of the chunk was to be left out, and there is no memory for the rest
 *                  of it. Nothing was accepted.
 *   ERR_AGAIN, ERR_CLOSED, ERR_NOT_FOUND  as inlet_offer() */
MUST_CHECK enum err inlet_relay(struct inlet *inlet, struct relay_place *place, struct chunk *chunk,
                                struct put_waiter *waiter);

/* Events of the source were lost at that server. Every channel that gets the source hears of it,
 * before what is published next. With a filter that looks into events it hears no count. `moves`:
 * the source stands at loss->last_sequence now, where that is higher. A RESUME_GAP that moves
 * leaves out what was reported ahead of where the source stood. `place` NULL: it stays where it is,
 * and the publisher is another thread. Returns false where the inlet accepts nothing. */
bool inlet_lose(struct inlet *inlet, struct relay_place *place, const struct source_loss *loss, bool moves);

/* Nothing of the source comes up to this sequence. */
void inlet_place(struct inlet *inlet, struct relay_place *place, uint64_t sequence);

/* Where the source stands. 0: that is not known. */
uint64_t inlet_sequence(struct inlet *inlet);

#endif
