/* session_encode.h - what a session sends: RegisterRequests. No state. Any thread. */
#ifndef TRIBUTARY_CLIENT_SESSION_ENCODE_H
#define TRIBUTARY_CLIENT_SESSION_ENCODE_H

#include "base/buf.h"
#include "tributary/tributary.h"

/* The number of the shared stream, in place of an activation's. */
#define SHARED_QUEUE UINT64_C(0)

/* Appends the RegisterRequest that carries hello. Out of memory shows in `request->broken`. */
void session_write_hello(const struct tributary_session_options *options, struct buf *request);

/* Appends the RegisterRequest that ends an activation. A long message is shortened to 1024 bytes.
 * Out of memory shows in `request->broken`. */
void session_write_end(struct buf *request, uint64_t activation, enum tributary_code code,
                       const char *message);

/* Writes what stands before the events of an activation, and returns its size. Writes nothing for
 * the shared stream. */
#define MAX_SEND_QUEUE_HEAD 11u
size_t session_write_head(uint8_t head[MAX_SEND_QUEUE_HEAD], uint64_t activation);

#endif
