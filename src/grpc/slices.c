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

static struct bytes bytes_of(const grpc_slice *slice)
{
    return (struct bytes){GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice)};
}

struct bytes message_whole(const grpc_byte_buffer *message, grpc_slice *copy_out, bool *copied_out)
{
    const grpc_slice_buffer *from = &message->data.raw.slice_buffer;

    *copied_out = from->count != 1;
    if (from->count == 1)
        return bytes_of(&from->slices[0]);
    /* Never a slice that holds its bytes within itself: these would move with it. */
    *copy_out = grpc_slice_malloc_large(from->length);
    uint8_t *to = GRPC_SLICE_START_PTR(*copy_out);
    for (size_t i = 0; i < from->count; i++) {
        size_t size = GRPC_SLICE_LENGTH(from->slices[i]);

        memcpy(to, GRPC_SLICE_START_PTR(from->slices[i]), size);
        to += size;
    }
    return bytes_of(copy_out);
}

bool message_gather(const grpc_byte_buffer *message, struct buf *gathered, struct bytes *bytes_out)
{
    const grpc_slice_buffer *from = &message->data.raw.slice_buffer;

    if (from->count == 1) {
        *bytes_out = bytes_of(&from->slices[0]);
        return true;
    }
    for (size_t i = 0; i < from->count; i++)
        buf_bytes(gathered, GRPC_SLICE_START_PTR(from->slices[i]), GRPC_SLICE_LENGTH(from->slices[i]));
    *bytes_out = (struct bytes){gathered->data, gathered->size};
    return !gathered->broken;
}
