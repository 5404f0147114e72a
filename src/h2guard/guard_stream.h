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
    int32_t before = stream->unread;

    if (!LIKELY(!__builtin_add_overflow(before, bytes, &stream->unread)))
        stream->unread = bytes > 0 ? INT32_MAX : INT32_MIN;
    guard->stats.unread_bytes += (uint64_t)((int64_t)MAX_OF(stream->unread, 0) - MAX_OF(before, 0));
}

/* Forgets the stream. */
void guard_stream_close(struct h2guard *guard, struct stream *stream);

#endif
