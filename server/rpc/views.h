/* views.h - what the hub knows of a producer or a subscription, as messages of the API. For the
 * files of this room; on the loop. */
#ifndef TRIBUTARY_SERVER_RPC_VIEWS_H
#define TRIBUTARY_SERVER_RPC_VIEWS_H

#include "base/buf.h"
#include "hub/hub_query.h"

/* A serialized Producer, appended. Memory that runs out breaks the buffer. */
void producer_write(const struct producer_view *view, struct buf *answer);
/* A serialized Subscription, appended; `sources`: with its sums by source, at most 1000 of them. */
void subscription_write(const struct subscription_view *view, bool sources, struct buf *answer);

#endif
