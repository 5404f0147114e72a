/* connection_end.h - what the end of a connection means for its calls.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_WIRE_CONNECTION_END_H
#define TRIBUTARY_SERVER_WIRE_CONNECTION_END_H

#include "base/fault.h"
#include "h2socket/h2socket.h"

/* Why the calls of a connection are lost, if its guard or the core has ended it. FAULT_NONE: they
 * did not; NULL is allowed. */
enum fault_reason connection_end_fault(const struct h2socket_end *end);

#endif
