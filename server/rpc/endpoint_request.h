/* endpoint_request.h - every default of Endpoint, in one place. Its bounds are in
 * server/dial/endpoint_check.h. For the files of this room.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_RPC_ENDPOINT_REQUEST_H
#define TRIBUTARY_SERVER_RPC_ENDPOINT_REQUEST_H

#include "base/buf.h"
#include "base/fault.h"
#include "server/dial/endpoint_params.h"
#include "tributary/v1/admin.pb-c.h"

/* Parameters that point into a message, which must outlive them. */
struct endpoint_request {
    struct endpoint_params params;
    struct bytes *requests;
    struct pair *metadata, *labels;
    struct bytes *serve, *request_names, *answer_names;
    struct buf definition; /* the message with masked values of metadata */
};

/* Reads a message. FAULT_NONE, or EMPTY, TOO_MANY, BAD_DURATION, OUT_OF_BOUNDS or MEMORY_BUDGET,
 * with field, value and bound. endpoint_request_fini() must follow in every case. */
MUST_CHECK enum fault_reason endpoint_request_read(Tributary__V1__Endpoint *from,
                                                   struct endpoint_request *request, struct fault *fault);
void endpoint_request_fini(struct endpoint_request *request);

#endif
