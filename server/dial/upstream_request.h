/* upstream_request.h - the messages that this side of an upstream call sends.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_DIAL_UPSTREAM_REQUEST_H
#define TRIBUTARY_SERVER_DIAL_UPSTREAM_REQUEST_H

#include "base/base.h"
#include "base/fault.h"

#include <grpc/slice.h>

/* A ProduceControl with `start`. The slice is the caller's. */
grpc_slice upstream_start(struct bytes request, const char *subscription_id, int64_t deadline_ns);
/* A ProduceControl with `stop`. */
grpc_slice upstream_stop_message(enum fault_reason reason, int64_t deadline_ns);

#endif
