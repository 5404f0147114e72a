/* hello.h - what a session says of itself, checked. For the files of this room. */
#ifndef TRIBUTARY_SERVER_RPC_HELLO_H
#define TRIBUTARY_SERVER_RPC_HELLO_H

#include <protobuf-c/protobuf-c.h>

#include "hub/session.h"

struct hello {
    ProtobufCMessage *message; /* what the wish points into */
    struct pair *labels;
    struct bytes *topics;
    struct session_params params; /* but for peer, port and ctx */
};

/* Decodes and checks. FAULT_NONE: hello_fini() must follow. Otherwise the fault names `hello.name`
 * and the like; nothing is kept. */
MUST_CHECK enum fault_reason hello_read(struct bytes bytes, struct hello *hello_out, struct fault *fault);
void hello_fini(struct hello *hello);

#endif
