/* message.c - how a received message becomes the memory of a chunk: by reference if it is in one
 * piece and large, otherwise by one copy. */
#include "server/wire/message.h"

#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer_reader.h>

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

static grpc_slice copy_of(grpc_byte_buffer *buffer)
{
    const grpc_slice_buffer *from = &buffer->data.raw.slice_buffer;
    grpc_slice whole = grpc_slice_malloc(from->length);
    uint8_t *to = GRPC_SLICE_START_PTR(whole);

    for (size_t i = 0; i < from->count; i++) {
        size_t size = GRPC_SLICE_LENGTH(from->slices[i]);
        memcpy(to, GRPC_SLICE_START_PTR(from->slices[i]), size);
        to += size;
    }
    return whole;
}

/* Brings the message into one piece. Compression is off in the core, so the buffer is always
 * raw. */
static void gather(struct message *message)
{
    const grpc_slice_buffer *from = &message->buffer->data.raw.slice_buffer;

    if (message->is_whole)
        return;
    message->is_whole = true;
    message->is_copy = from->count != 1;
    message->whole = message->is_copy ? copy_of(message->buffer) : grpc_slice_ref(from->slices[0]);
}

size_t message_size(const struct message *message)
{
    return message->buffer->data.raw.slice_buffer.length;
}

struct bytes message_bytes(struct message *message)
{
    gather(message);
    return (struct bytes){GRPC_SLICE_START_PTR(message->whole), GRPC_SLICE_LENGTH(message->whole)};
}

struct chunk_memory *message_keep(struct message *message, struct bytes *bytes_out, uint64_t *pinned_out)
{
    struct slice_memory *held = malloc(sizeof(*held));

    if (!held)
        return NULL;
    gather(message);
    size_t size = GRPC_SLICE_LENGTH(message->whole);
    bool kept = !message->is_copy && size >= KEEP_FROM_BYTES;
    held->memory.release = release_slice;
    if (kept || (message->is_copy && message->whole.refcount)) {
        held->slice = grpc_slice_ref(message->whole);
    } else {
        held->slice = grpc_slice_malloc_large(size);
        memcpy(GRPC_SLICE_START_PTR(held->slice), GRPC_SLICE_START_PTR(message->whole), size);
    }
    *bytes_out = (struct bytes){GRPC_SLICE_START_PTR(held->slice), size};
    *pinned_out = kept ? MAX_OF(size, (size_t)MAX_WIRE_READ) : size;
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
    if (message->is_whole)
        grpc_slice_unref(message->whole);
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

static void free_bytes(void *bytes)
{
    free(bytes);
}

grpc_slice wire_slice_of(struct buf *bytes)
{
    grpc_slice slice =
        bytes->size > 0 ? grpc_slice_new(bytes->data, bytes->size, free_bytes) : grpc_empty_slice();

    if (bytes->size > 0)
        *bytes = (struct buf){0};
    return slice;
}
