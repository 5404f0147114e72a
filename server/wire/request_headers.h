/* request_headers.h - how large the metadata of a request is, and who is charged for it.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_WIRE_REQUEST_HEADERS_H
#define TRIBUTARY_SERVER_WIRE_REQUEST_HEADERS_H

#include "base/base.h"

#include <grpc/grpc.h>

#include "h2socket/h2socket.h"

/* The size of a request's header list, as RFC 9113, section 10.5.1 counts it: for each field its
 * name, its value and 32 bytes. A binary value (of a name that ends with "-bin") counts as it is on
 * the wire, in base64.
 *
 * The core keeps some fields to itself: this counts :method, :scheme, :path, :authority, te and
 * content-type in their usual form, and not those of a deadline or of compression. */
uint64_t request_headers_bytes(const grpc_call_details *details, const grpc_metadata_array *metadata);

/* What a call keeps of metadata until it ends, in the sum of its connection (h2socket_keep()).
 * Zeroed it is nothing. */
struct header_charge {
    int fd;
    uint64_t bytes;
};

/* `end`: of the connection at `fd`; NULL: nothing is charged. What usual calls have is part of what
 * the guard counts for each open stream. */
void header_charge_begin(struct header_charge *charge, int fd, struct h2socket_end *end,
                         const grpc_metadata_array *metadata);
void header_charge_end(struct header_charge *charge, struct h2socket_end *end);

#endif
