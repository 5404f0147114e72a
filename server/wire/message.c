/* message.c - how a received message becomes the memory of a chunk: by reference if it is in one
 * piece and large, otherwise by one copy. */
#include "server/wire/message.h"

#include <stdlib.h>
#include <string.h>

/* A message that is smaller is copied, so that it does not keep alive a read buffer of the core
 * (MAX_WIRE_READ at most). */
#define KEEP_FROM_BYTES (MAX_WIRE_READ / 4)

struct slice_memory {
    struct chunk_memory memory;
    grpc_slice slice;
};

static void release_slice(struct chunk_memory *memory)
{
    struct slice_memory *held = container_of(memory, struct slice_memory, memory);

    grpc_slice_unref(held->slice);
    free(held);
}

struct bytes message_bytes(struct message *message)
{
    if (!message->is_whole)
        message->bytes = message_whole(message->buffer, &message->copy, &message->is_copy);
    message->is_whole = true;
    return message->bytes;
}

struct chunk_memory *message_keep(struct message *message, struct bytes *bytes_out, uint64_t *pinned_out)
{
    struct bytes bytes = message_bytes(message);
    struct slice_memory *held = malloc(sizeof(*held));
    bool by_reference = !message->is_copy && bytes.size >= KEEP_FROM_BYTES;

    if (!held)
        return NULL;
    held->memory.release = release_slice;
    if (message->is_copy) {
        held->slice = grpc_slice_ref(message->copy);
    } else if (by_reference) {
        held->slice = grpc_slice_ref(message->buffer->data.raw.slice_buffer.slices[0]);
    } else {
        held->slice = grpc_slice_malloc_large(bytes.size);
        memcpy(GRPC_SLICE_START_PTR(held->slice), bytes.data, bytes.size);
    }
    *bytes_out = slice_bytes(&held->slice);
    *pinned_out = by_reference ? MAX_OF(bytes.size, (size_t)MAX_WIRE_READ) : bytes.size;
    return &held->memory;
}

struct message message_move(struct message *message)
{
    struct message moved = *message;

    *message = (struct message){0};
    return moved;
}

void message_fini(struct message *message)
{
    if (message->is_copy)
        grpc_slice_unref(message->copy);
    if (message->buffer)
        grpc_byte_buffer_destroy(message->buffer);
    *message = (struct message){0};
}

bool wire_memory_slice(struct chunk_memory *memory, grpc_slice *slice_out)
{
    if (memory->release != release_slice)
        return false;
    *slice_out = container_of(memory, struct slice_memory, memory)->slice;
    return true;
}
