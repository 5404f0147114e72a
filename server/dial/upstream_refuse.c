/* upstream_refuse.c - the end of an upstream call whose message is refused. */
#include "server/dial/upstream_refuse.h"

#include "base/counters.h"
#include "server/dial/upstream_internal.h"

/* The same code as gRPC core's for a message that is too large for it. */
enum fault_code upstream_refusal_code(enum fault_reason reason)
{
    switch (reason) {
    case FAULT_EVENT_TOO_LARGE:
    case FAULT_BATCH_TOO_LARGE:
    case FAULT_TOO_MANY_EVENTS:
        return CODE_RESOURCE_EXHAUSTED;
    default:
        return fault_code(reason);
    }
}

void upstream_refuse(struct upstream *upstream, const struct fault *fault)
{
    char text[PEER_WORDS_BYTES];

    if (upstream->refused)
        return;
    upstream->refused = fault->reason;
    count_add(COUNT_REFUSED_BATCHES, 1);
    (void)fault_message(fault, text, sizeof(text));
    client_call_cancel(&upstream->call, (grpc_status_code)upstream_refusal_code(fault->reason), text);
}
