/* start_request.h - where a subscription begins: a decoded Start, checked. For the files of this
 * room.
 *
 * Any thread. */
#ifndef TRIBUTARY_SERVER_RPC_START_REQUEST_H
#define TRIBUTARY_SERVER_RPC_START_REQUEST_H

#include <protobuf-c/protobuf-c.h>

#include "base/fault.h"
#include "hub/subscription.h"

struct start_request {
    struct subscription_params *params; /* what the Start says goes here */
    struct resume_point *points;        /* what params->resume points at; free() must follow */
};

/* Checks a decoded Start, which may be NULL: live. request->params is set and has its defaults, and
 * `points` is NULL. The result points into `message`. After a fault `points` may be set all the
 * same. */
MUST_CHECK enum fault_reason start_read(const ProtobufCMessage *message, struct start_request *request,
                                        struct fault *fault);

#endif
