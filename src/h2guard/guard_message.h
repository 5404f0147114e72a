/* guard_message.h - the gRPC messages inside of DATA.
 *
 * Threads: as the guard. */
#ifndef TRIBUTARY_H2GUARD_GUARD_MESSAGE_H
#define TRIBUTARY_H2GUARD_GUARD_MESSAGE_H

#include "h2guard/guard_internal.h"

/* Which item a DATA frame with `size` bytes of data is. */
enum h2guard_item guard_data_item(const struct h2guard *guard, const struct stream *stream, uint32_t size);

/* Walks bytes of messages. Returns how many passed. */
size_t guard_walk_messages(struct h2guard *guard, const uint8_t *data, size_t size);

#endif
