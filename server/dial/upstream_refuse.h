/* upstream_refuse.h - the end of an upstream call whose message is refused.
 *
 * Threads: the call's. */
#ifndef TRIBUTARY_SERVER_DIAL_UPSTREAM_REFUSE_H
#define TRIBUTARY_SERVER_DIAL_UPSTREAM_REFUSE_H

#include "base/fault.h"

struct upstream;

/* Ends the call, whose last message is wrong. It counts as failed, also where the upstream has
 * ended it already. The first refusal counts. */
void upstream_refuse(struct upstream *upstream, const struct fault *fault);
/* The code with which it ends the call. */
enum fault_code upstream_refusal_code(enum fault_reason reason);

#endif
