/* register_request.h - what a RegisterRequest says beside its events and its hello, checked. For
 * the files of this room.
 *
 * Any thread. */
#ifndef TRIBUTARY_SERVER_RPC_REGISTER_REQUEST_H
#define TRIBUTARY_SERVER_RPC_REGISTER_REQUEST_H

#include <protobuf-c/protobuf-c.h>

#include "base/fault.h"
#include "event/framing.h"

struct register_request {
    uint64_t activation;   /* that the events are for; 0: the shared stream */
    ProtobufCMessage *end; /* RegisterRequest.End; NULL: none */
};

/* Reads a message that is not the first of its call: it must carry no hello. FAULT_NONE: `end` must
 * be freed with decoded_free(). Otherwise *fault names the field; nothing is kept. */
MUST_CHECK enum fault_reason register_request_read(const struct framing_scan *scan,
                                                   struct register_request *request_out, struct fault *fault);

#endif
