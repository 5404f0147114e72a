/* via.h - the processes that a call has come through (grpc/own_mark.h). A call that this process
 * makes for another one has the marks of that one too, behind its own. So a circle of servers is
 * seen by the first of them that the call comes back to.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_WIRE_VIA_H
#define TRIBUTARY_SERVER_WIRE_VIA_H

#include "base/base.h"
#include "base/fault.h"
#include "base/shared_bytes.h"

#include <grpc/grpc.h>

/* A call that has come through more is refused. */
#define MAX_VIA 16u

/* Reads the marks of a received call. *via_out has them one behind the other, the latest first, and
 * is the caller's. NULL: there are none. Values that are no marks do not count.
 *
 * FAULT_NONE, or DIALS_ITSELF, TOO_MANY_HOPS, MEMORY_BUDGET; then *via_out is untouched. */
MUST_CHECK enum fault_reason via_read(const grpc_metadata_array *metadata, struct shared_bytes **via_out,
                                      struct fault *fault);

#endif
