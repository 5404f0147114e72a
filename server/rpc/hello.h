/* hello.h - what a session says about itself, checked. For the files of this room.
 *
 * Any thread. */
#ifndef TRIBUTARY_SERVER_RPC_HELLO_H
#define TRIBUTARY_SERVER_RPC_HELLO_H

#include <protobuf-c/protobuf-c.h>

#include "hub/session.h"

struct hello {
    ProtobufCMessage *message; /* what `params` points into */
    struct pair *labels;
    struct bytes *topics;
    struct session_params params; /* without peer, port and ctx */
    int64_t heartbeat_ns;         /* 0: none */
};

/* The rule for names of producers: printable, 1 to 256 bytes, and not beginning with '@'. *fault
 * says what is wrong with `field`. */
MUST_CHECK enum fault_reason producer_name_check(struct bytes name, const char *field, struct fault *fault);

/* Decodes and checks a serialized Hello. FAULT_NONE: hello_fini() must follow. Otherwise *fault
 * names the field by its path (`hello.name`, `hello.labels[2]`), and nothing is kept. */
MUST_CHECK enum fault_reason hello_read(struct bytes bytes, struct hello *hello_out, struct fault *fault);
/* Leaves `hello` zeroed; a zeroed one is allowed. */
void hello_fini(struct hello *hello);

#endif
