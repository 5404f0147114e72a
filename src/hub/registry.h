/* registry.h - producers by name.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_REGISTRY_H
#define TRIBUTARY_HUB_REGISTRY_H

#include "base/fault.h"
#include "hub/hub_internal.h"

/* A producer with an open inlet that is not in the map yet. ERR_NO_MEMORY: there is nothing to
 * end. */
MUST_CHECK enum err producer_init(struct producer *producer, struct hub *hub, struct bytes name,
                                  const char *peer);
void producer_fini(struct producer *producer);

struct producer *producer_find(struct hub *hub, struct bytes name); /* NULL: nobody has the name */

/* FAULT_NONE: there is space for one more name. Otherwise TOO_MANY_PRODUCERS or MEMORY_BUDGET. */
MUST_CHECK enum fault_reason registry_reserve(struct hub *hub, struct fault *fault);

/* Puts the producer into the map: from now on it is found. This cannot fail after
 * registry_reserve(), or when another name has just been taken out. */
MUST_CHECK enum err registry_add(struct producer *producer, uint32_t open_calls);

/* Takes it out of the map. Does nothing where it is not there. */
void registry_remove(struct producer *producer);
/* The same for a producer that is in the map, and a caller that holds the hub's `names`. */
void registry_remove_locked(struct producer *producer);

/* Copies the address of a peer, truncated to fit. `from` NULL: empty. */
void peer_copy(char peer[PEER_CAPACITY], const char *from);

#endif
