/* address_set.h - one endpoint for each address of a name. The set has a session of its own, which
 * publishes nothing: it holds the name, and its state says how the look-ups go.
 *
 *   CONNECTING --answer--> ACTIVE --no answer, an empty one--> UNAVAILABLE --answer--> ACTIVE
 *
 * Without a good answer the endpoints of the last one stay. An endpoint whose address is gone from
 * an answer is drained for 5 s. When the set ends, its endpoints end as it does.
 *
 * An endpoint of the set is called NAME@ADDRESS:PORT. It has the labels of the set and, unless the
 * set has such labels, `set` (NAME) and `address` (ADDRESS:PORT). Its calls have the set's
 * HOST:PORT as authority, unless the set has another one.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_DIAL_ADDRESS_SET_H
#define TRIBUTARY_SERVER_DIAL_ADDRESS_SET_H

#include "server/dial/endpoint.h"
#include "server/dial/set_home.h"

struct address_set;

/* Makes a set of parameters that endpoint_check() has passed, and registers its session. It ends
 * when the hub ends that. FAULT_NONE, or a fault of hub_register(), or MEMORY_BUDGET: nothing was
 * made. */
MUST_CHECK enum fault_reason address_set_add(const struct set_home *home,
                                             const struct endpoint_params *params, const struct place *place,
                                             const struct dialled_owner *owner, struct dialled **dialled_out,
                                             struct fault *fault);

/* Calls `each` with the name of each endpoint of the set, in no order. */
void address_set_each(const struct dialled *dialled, void (*each)(void *ctx, const char *name), void *ctx);

#endif
