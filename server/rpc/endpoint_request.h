/* endpoint_request.h - every default of Endpoint, in one place. Its bounds are in
 * server/dial/endpoint_check.h. For the files of this room.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_RPC_ENDPOINT_REQUEST_H
#define TRIBUTARY_SERVER_RPC_ENDPOINT_REQUEST_H

#include "base/buf.h"
#include "base/fault.h"
#include "server/dial/endpoint_params.h"
#include "reflect/schema.h"
#include "tributary/v1/admin.pb-c.h"

/* Parameters that point into a message, which must outlive them. */
struct endpoint_request {
    struct endpoint_params params;
    struct bytes *requests;
    struct pair *metadata, *labels;
    struct bytes *serve, *request_names, *answer_names;
    struct schema *schema; /* of the message's descriptor_set; NULL: it has none */
    struct buf definition; /* the message with masked values of metadata, and no descriptor_set */
};

/* Makes the schema of a message's descriptor_set, which takes some milliseconds where it is large.
 * FAULT_NONE: *schema_out is a reference of the caller's, or NULL, where there is no set. Else as
 * schema_new(). */
MUST_CHECK enum fault_reason endpoint_schema_read(const Tributary__V1__Endpoint *from,
                                                  struct schema **schema_out, struct fault *fault);

/* Reads a message. `schema`: what endpoint_schema_read() has made of it; retained. FAULT_NONE, or
 * EMPTY, TOO_MANY, BAD_DURATION, OUT_OF_BOUNDS or MEMORY_BUDGET, with field, value and bound.
 * endpoint_request_fini() must follow in every case. */
MUST_CHECK enum fault_reason endpoint_request_read(Tributary__V1__Endpoint *from, struct schema *schema,
                                                   struct endpoint_request *request, struct fault *fault);
void endpoint_request_fini(struct endpoint_request *request);

#endif
