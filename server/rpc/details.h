/* details.h - a fault as google.rpc.Status, for programs; people read the status message. For the
 * files of this room. */
#ifndef TRIBUTARY_SERVER_RPC_DETAILS_H
#define TRIBUTARY_SERVER_RPC_DETAILS_H

#include "base/buf.h"
#include "base/fault.h"

/* Any thread. Appends a serialized google.rpc.Status: ErrorInfo always, and whatever else says more
 * (RetryInfo, BadRequest, QuotaFailure, ResourceInfo). At most 2 KiB: what does not fit is left
 * out, the least important detail first. */
void fault_details(const struct fault *fault, struct buf *details);

#endif
