/* response_headers.h - the headers that every call answers with: which encodings of messages the
 * server reads.
 *
 * Threads: any, once response_headers_init() was called. */
#ifndef TRIBUTARY_SERVER_WIRE_RESPONSE_HEADERS_H
#define TRIBUTARY_SERVER_WIRE_RESPONSE_HEADERS_H

#include <grpc/grpc.h>

/* Once, before the first call. */
void response_headers_init(void);
/* The operation that sends them. Static. */
const grpc_op *response_headers(void);
/* Them alone, for a status that comes without headers: the core leaves these out then. Static. */
const grpc_metadata *response_headers_encodings(void);

#endif
