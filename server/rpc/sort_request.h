/* sort_request.h - the sort window of a SubscribeRequest, checked against its bounds. For the files
 * of this room.
 *
 * Any thread. */
#ifndef TRIBUTARY_SERVER_RPC_SORT_REQUEST_H
#define TRIBUTARY_SERVER_RPC_SORT_REQUEST_H

#include "base/fault.h"
#include "flow/chan_limits.h"
#include "tributary/v1/subscriber.pb-c.h"

/* Fills in limits->sort; `window` NULL: events are not sorted. The other bounds of the channel are
 * filled in already. */
MUST_CHECK enum fault_reason sort_window_read(const Tributary__V1__SortWindow *window,
                                              struct chan_limits *limits, struct fault *fault);

#endif
