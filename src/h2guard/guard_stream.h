/* guard_stream.h - opens and closes streams.
 *
 * Threads: as the guard. */
#ifndef TRIBUTARY_H2GUARD_GUARD_STREAM_H
#define TRIBUTARY_H2GUARD_GUARD_STREAM_H

#include "h2guard/guard_internal.h"

/* Opens a stream, which becomes the last one.
 *   ERR_FULL, ERR_NO_MEMORY  the connection has ended */
enum err guard_stream_open(struct h2guard *guard, uint32_t id, uint8_t flags);

/* One side has ended the stream: `side` is STREAM_PEER_ENDED or STREAM_WE_ENDED. With the second
 * side the stream is closed. */
void guard_stream_half_close(struct h2guard *guard, struct stream *stream, enum stream_flag side);

/* Forgets the stream. */
void guard_stream_close(struct h2guard *guard, struct stream *stream);

#endif
