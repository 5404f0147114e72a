/* response_headers.c - see response_headers.h. */
#include "server/wire/response_headers.h"

static grpc_metadata accepted_encodings;

void response_headers_init(void)
{
    accepted_encodings.key = grpc_slice_from_static_string("grpc-accept-encoding");
    accepted_encodings.value = grpc_slice_from_static_string("identity, deflate, gzip");
}

const grpc_metadata *response_headers_encodings(void)
{
    return &accepted_encodings;
}

const grpc_op *response_headers(void)
{
    static const grpc_op op = {.op = GRPC_OP_SEND_INITIAL_METADATA,
                               .data.send_initial_metadata = {.count = 1, .metadata = &accepted_encodings}};

    return &op;
}
