/* slice_memory.h - a slice as the memory of a chunk (event/chunk.h).
 *
 * Threads: any. */
#ifndef TRIBUTARY_GRPC_SLICE_MEMORY_H
#define TRIBUTARY_GRPC_SLICE_MEMORY_H

#include <stdbool.h>

#include "event/chunk.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>

/* Takes over the slice, which must not hold its bytes within itself. NULL: out of memory, and the
 * slice is still the caller's. */
struct chunk_memory *slice_memory_new(grpc_slice slice);

/* Makes memory of `capacity` bytes, at *data_out, for a chunk that is filled and then sent by
 * reference. The caller owns it. NULL: out of memory. */
struct chunk_memory *slice_memory_begin(uint32_t capacity, const uint8_t **data_out);
/* Keeps the first `size` bytes of `capacity`. If they are less than half, they move to memory of
 * their own. Returns the memory, which may have moved, with its data. */
struct chunk_memory *slice_memory_end(struct chunk_memory *memory, uint32_t size, uint32_t capacity,
                                      const uint8_t **data_out);

/* The slice behind a chunk's memory. No reference is taken. False: the memory comes from neither
 * slice_memory_new() nor slice_memory_end(). */
bool slice_memory_slice(struct chunk_memory *memory, grpc_slice *slice_out);

/* `head`, and behind it a received message, in one new piece of memory. *bytes_out says where.
 * NULL: out of memory. */
struct chunk_memory *slice_memory_after(struct bytes head, const grpc_byte_buffer *message,
                                        struct bytes *bytes_out);

#endif
