/* slices.c - slices from our bytes; a message in one piece. */
#include "grpc/slices.h"

#include <stdlib.h>
#include <string.h>

static void free_bytes(void *bytes)
{
    free(bytes);
}

grpc_slice slice_of_buf(struct buf *bytes)
{
    grpc_slice slice =
        bytes->size > 0 ? grpc_slice_new(bytes->data, bytes->size, free_bytes) : grpc_empty_slice();

    if (bytes->size > 0)
        *bytes = (struct buf){0};
    return slice;
}

grpc_slice slice_copy_of(struct bytes bytes)
{
    return grpc_slice_from_copied_buffer((const char *)bytes.data, bytes.size);
}

grpc_slice message_copy(const grpc_byte_buffer *message)
{
    const grpc_slice_buffer *from = &message->data.raw.slice_buffer;
    grpc_slice copy = grpc_slice_malloc_large(from->length);
    uint8_t *to = GRPC_SLICE_START_PTR(copy);

    for (size_t i = 0; i < from->count; i++) {
        size_t size = GRPC_SLICE_LENGTH(from->slices[i]);

        memcpy(to, GRPC_SLICE_START_PTR(from->slices[i]), size);
        to += size;
    }
    return copy;
}

void message_append(const grpc_byte_buffer *message, struct buf *to)
{
    const grpc_slice_buffer *from = &message->data.raw.slice_buffer;

    for (size_t i = 0; i < from->count; i++)
        buf_bytes(to, GRPC_SLICE_START_PTR(from->slices[i]), GRPC_SLICE_LENGTH(from->slices[i]));
}

bool message_gather(const grpc_byte_buffer *message, struct buf *gathered, struct bytes *bytes_out)
{
    const grpc_slice_buffer *from = &message->data.raw.slice_buffer;

    if (from->count == 1) {
        *bytes_out = slice_bytes(&from->slices[0]);
        return true;
    }
    message_append(message, gathered);
    *bytes_out = (struct bytes){gathered->data, gathered->size};
    return !gathered->broken;
}
