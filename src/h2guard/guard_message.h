/* guard_message.h - the gRPC messages inside of DATA.
 *
 * Threads: as the guard. */
#ifndef TRIBUTARY_H2GUARD_GUARD_MESSAGE_H
#define TRIBUTARY_H2GUARD_GUARD_MESSAGE_H

#include "h2guard/guard_internal.h"

/* Which item a DATA frame with `size` bytes of data is. */
static inline enum h2guard_item guard_data_item(const struct h2guard *guard, const struct stream *stream,
                                                uint32_t size)
{
    uint32_t needed = stream->prefix_size == MESSAGE_PREFIX_BYTES
                          ? stream->message_left
                          : MESSAGE_PREFIX_BYTES - stream->prefix_size;

    if (LIKELY(size >= guard->limits->small_data_bytes && size > 0))
        return H2GUARD_ITEM_DATA;
    if (size >= needed || (guard->in.frame.flags & FRAME_END_STREAM))
        return H2GUARD_ITEM_DATA;
    return size == 0 ? H2GUARD_ITEM_EMPTY_DATA : H2GUARD_ITEM_SMALL_DATA;
}

/* Walks bytes of messages. Returns how many passed. */
size_t guard_walk_messages(struct h2guard *guard, const uint8_t *data, size_t size);

#endif
