/* request_headers.h - how large the metadata of a request is.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_WIRE_REQUEST_HEADERS_H
#define TRIBUTARY_SERVER_WIRE_REQUEST_HEADERS_H

#include "base/base.h"

#include <grpc/grpc.h>

/* The size of a request's header list, as RFC 9113, section 10.5.1 counts it: for each field its
 * name, its value and 32 bytes. A binary value (of a name that ends with "-bin") counts as it is on
 * the wire, in base64.
 *
 * The core keeps some fields to itself: this counts :method, :scheme, :path, :authority, te and
 * content-type in their usual form, and not those of a deadline or of compression. */
uint64_t request_headers_bytes(const grpc_call_details *details, const grpc_metadata_array *metadata);

#endif
