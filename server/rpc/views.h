/* views.h - what the hub knows about a producer or a subscription, as messages of the API. For the
 * files of this room.
 *
 * Threads: the loop. Where memory runs out the buffer is broken. */
#ifndef TRIBUTARY_SERVER_RPC_VIEWS_H
#define TRIBUTARY_SERVER_RPC_VIEWS_H

#include "base/buf.h"
#include "hub/hub_query.h"

/* Appends a serialized Producer. */
void producer_write(const struct producer_view *view, struct buf *answer);
/* Appends a serialized Subscription. `sources`: with its totals by source, at most 1000 of them. */
void subscription_write(const struct subscription_view *view, bool sources, struct buf *answer);

#endif
