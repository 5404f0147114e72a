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

/* Changes how many bytes of the stream are unread. */
static inline void guard_stream_add_unread(struct h2guard *guard, struct stream *stream, int64_t bytes)
{
    int64_t before = MAX_OF(stream->unread, 0);

    stream->unread = (int32_t)MAX_OF(MIN_OF(stream->unread + bytes, INT32_MAX), INT32_MIN);
    guard->stats.unread_bytes += (uint64_t)(MAX_OF(stream->unread, 0) - before);
}

/* Forgets the stream. */
void guard_stream_close(struct h2guard *guard, struct stream *stream);

#endif
